#define _GNU_SOURCE 1
#include "bench/bench.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What all processors did since the machine started, in ticks. */
struct machine {
    double busy, idle, stolen;
};

static struct {
    const char *program;
    char directory[3000];
    struct machine machine;
    bool wrong;
} run;

/* ---- time --------------------------------------------------------------------------------- */

uint64_t mr_bench_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void mr_bench_sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000u),
                          .tv_nsec = (long)(at_ns % 1000000000u)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        ;
}

static double processor_s(int who)
{
    struct rusage usage;

    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

double mr_bench_processor_s(void)
{
    return processor_s(RUSAGE_SELF);
}

void mr_bench_settle(void)
{
    for (unsigned i = 0; i < 60; i++) {
        double before = mr_bench_processor_s();

        mr_bench_sleep_until(mr_bench_now_ns() + 50000000);
        if (mr_bench_processor_s() - before < 0.0025)
            return;
    }
}

/* ---- the run ------------------------------------------------------------------------------ */

static struct machine machine_now(void)
{
    double ticks[8] = {0};
    FILE *file = fopen("/proc/stat", "r");

    if (!file)
        return (struct machine){0};
    /* user nice system idle iowait irq softirq steal */
    if (fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &ticks[0], &ticks[1], &ticks[2],
               &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) != 8)
        memset(ticks, 0, sizeof ticks);
    fclose(file);
    return (struct machine){.busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6],
                            .idle = ticks[3] + ticks[4],
                            .stolen = ticks[7]};
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)stat, (void)kind, (void)place;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is_disk(const char *path)
{
    struct statfs stat;

    return statfs(path, &stat) == 0 && stat.f_type != TMPFS_MAGIC && stat.f_type != RAMFS_MAGIC;
}

void mr_bench_begin(const char *program)
{
    const char *base = strrchr(program, '/');
    const char *temporary = getenv("TMPDIR");

    run.program = base ? base + 1 : program;
    /* The name is fixed, so that what an interrupted run left behind goes with the next. */
    if (temporary && is_disk(temporary))
        snprintf(run.directory, sizeof run.directory, "%s/millrace-%u-%s", temporary,
                 (unsigned)getuid(), run.program);
    else
        snprintf(run.directory, sizeof run.directory, "%s.data", program);
    remove_tree(run.directory);
    if (mkdir(run.directory, 0700) != 0) {
        fprintf(stderr, "%s: %s\n", run.directory, strerror(errno));
        exit(1);
    }
    if (!is_disk(run.directory))
        fprintf(stderr, "%s is kept in memory: the figures say nothing of a disk\n", run.directory);
    setvbuf(stdout, NULL, _IOLBF, 0);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* threads inherit it: sleeps end on time */
    run.machine = machine_now();
}

int mr_bench_end(void)
{
    struct machine now = machine_now();
    double busy = now.busy - run.machine.busy, idle = now.idle - run.machine.idle,
           stolen = now.stolen - run.machine.stolen, all = busy + idle + stolen;
    double own =
        (processor_s(RUSAGE_SELF) + processor_s(RUSAGE_CHILDREN)) * (double)sysconf(_SC_CLK_TCK);
    double others = busy > own ? busy - own : 0;

    if (all > 0)
        printf("# %s: the machine was %.0f %% ours, %.0f %% others', %.0f %% stolen, %.0f %% idle; "
               "%ld processors, peak memory %.0f MiB\n",
               run.program, 100 * (busy - others) / all, 100 * others / all, 100 * stolen / all,
               100 * idle / all, sysconf(_SC_NPROCESSORS_ONLN),
               (double)mr_bench_memory_peak_kb() / 1024);
    remove_tree(run.directory);
    return run.wrong ? 1 : 0;
}

const char *mr_bench_path(const char *name)
{
    static char paths[16][3200];
    static unsigned next;
    char *path = paths[next++ % 16];

    snprintf(path, sizeof paths[0], "%s/%s", run.directory, name);
    return path;
}

void mr_bench_wrong(const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "%s: WRONG: ", run.program);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    run.wrong = true;
}

void mr_bench_need(mr_status status, const mr_error *error)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", run.program, mr_status_name(status), error->message);
    exit(1);
}

int mr_bench_apart(void (*work)(void *context), void *context)
{
    pid_t pid = fork();
    int how = 0;

    mr_check(pid >= 0);
    if (pid == 0) {
        run.wrong = false;
        work(context);
        _exit(run.wrong);
    }
    mr_check(waitpid(pid, &how, 0) == pid);
    return how;
}

void *mr_bench_share(size_t bytes)
{
    void *shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    mr_check(shared != MAP_FAILED);
    return shared;
}

double mr_bench_setting(const char *name, double fallback)
{
    const char *text = getenv(name);

    return text && *text ? strtod(text, NULL) : fallback;
}

bool mr_bench_wants(const char *name)
{
    const char *only = getenv("MR_BENCH_ONLY");

    return !only || strstr(name, only);
}

uint64_t mr_bench_memory_peak_kb(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long peak_kb = 0;

    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %llu", &peak_kb) == 1)
            break;
    fclose(file);
    return peak_kb;
}

/* ---- figures ------------------------------------------------------------------------------ */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double mr_bench_median(const double *values, size_t count)
{
    double sorted[1024];
    double median;

    mr_check(count > 0 && count <= sizeof sorted / sizeof *sorted);
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    median = sorted[count / 2];
    return count % 2 ? median : (median + sorted[count / 2 - 1]) / 2;
}

void mr_bench_value(const char *name, double value, const char *unit)
{
    printf("%s %.*f %s\n", name, value >= 1000 ? 0 : value >= 10 ? 1 : 3, value, unit);
}

void mr_bench_ratio(const char *name, double ratio, const char *limit, enum mr_bench_target kind,
                    double target)
{
    bool ok = kind == MR_BENCH_AT_LEAST ? ratio >= target : ratio <= target;

    printf("%s %.3f of %s (target %s %g) %s\n", name, ratio, limit,
           kind == MR_BENCH_AT_LEAST ? ">=" : "<=", target, ok ? "ok" : "MISSED");
}

void mr_bench_alternate(struct mr_bench_side *sides, size_t side_count, unsigned round_count,
                        uint32_t window_ms)
{
    mr_check(round_count <= MR_BENCH_ROUNDS_MAX);
    for (unsigned round = 0; round < round_count; round++)
        for (size_t i = 0; i < side_count; i++) {
            mr_bench_settle();
            sides[i].values[sides[i].round_count++] = sides[i].run(sides[i].context, window_ms);
        }
}

double mr_bench_side_median(const struct mr_bench_side *side)
{
    return mr_bench_median(side->values, side->round_count);
}

double mr_bench_side_ratio(const struct mr_bench_side *side, const struct mr_bench_side *limit)
{
    double ratios[MR_BENCH_ROUNDS_MAX];

    mr_check(side->round_count == limit->round_count);
    for (unsigned i = 0; i < side->round_count; i++)
        ratios[i] = side->values[i] / limit->values[i];
    return mr_bench_median(ratios, side->round_count);
}

static unsigned spread_bucket(uint64_t ns)
{
    unsigned power;

    if (ns < 16)
        return (unsigned)ns;
    power = 63 - (unsigned)__builtin_clzll(ns);
    return (power - 3) * 16 + (unsigned)(ns >> (power - 4) & 15);
}

static double spread_bucket_end_ns(unsigned bucket)
{
    return bucket < 16 ? bucket + 1
                       : (double)(17 + bucket % 16) * (double)(1ull << (bucket / 16 - 1));
}

void mr_bench_spread_add(struct mr_bench_spread *spread, uint64_t ns)
{
    spread->count++;
    spread->buckets[spread_bucket(ns)]++;
}

void mr_bench_spread_merge(struct mr_bench_spread *into, const struct mr_bench_spread *from)
{
    into->count += from->count;
    for (size_t i = 0; i < sizeof into->buckets / sizeof *into->buckets; i++)
        into->buckets[i] += from->buckets[i];
}

double mr_bench_spread_us(const struct mr_bench_spread *spread, double percentile)
{
    double rank = (double)spread->count * percentile / 100, below = 0;

    for (unsigned i = 0; i < sizeof spread->buckets / sizeof *spread->buckets; i++) {
        below += (double)spread->buckets[i];
        if (below > 0 && below >= rank)
            return spread_bucket_end_ns(i) / 1000;
    }
    return 0;
}

/* ---- the work ----------------------------------------------------------------------------- */

static const char *const words[] = {
    "summer", "river",  "light", "garden", "linen",   "shirt",   "blue",    "large",   "offer",
    "basket", "review", "stone", "kettle", "morning", "running", "shoes",   "leather", "return",
    "gift",   "paper",  "lamp",  "winter", "coat",    "coffee",  "grinder", "wooden",  "table",
    "chair",  "cotton", "small", "silver", "watch",   "travel",  "bag",     "black",   "green"};
static const char *const pages[] = {"/", "/search", "/item", "/basket", "/pay", "/account/orders"};
static const char *const agents[] = {"Firefox/126.0", "Chrome/125.0.6422", "Safari/17.4.1",
                                     "Edge/125.0.2535"};

static unsigned below(struct mr_random *random, unsigned bound)
{
    return (unsigned)mr_random_below(random, bound);
}

#define PICK(array) ((array)[below(random, sizeof(array) / sizeof *(array))])

/* One JSON object of exactly `bytes`: a page view, and with room for it what the page showed. */
static void write_record(uint8_t *out, size_t bytes, unsigned user, uint64_t at_ms,
                         struct mr_random *random)
{
    char text[512];
    size_t used = 0;

#define ADD(...)                                                                                   \
    do {                                                                                           \
        size_t size = (size_t)snprintf(text, sizeof text, __VA_ARGS__);                            \
        mr_check(used + size + 2 <= bytes);                                                        \
        memcpy(out + used, text, size);                                                            \
        used += size;                                                                              \
    } while (0)

    ADD("{\"t\":%llu,\"user\":%u,\"page\":\"%s/%u\",\"ms\":%u", (unsigned long long)at_ms, user,
        PICK(pages), below(random, 20000), below(random, 900));
    if (bytes >= 400) {
        ADD(",\"agent\":\"%s\",\"session\":\"%016llx\",\"shown\":[", PICK(agents),
            (unsigned long long)mr_random_next(random));
        while (used + 160 < bytes)
            ADD("%s{\"sku\":%u,\"title\":\"%s %s\",\"price\":%u.%02u,\"stock\":%s}",
                out[used - 1] == '}' ? "," : "", below(random, 20000), PICK(words), PICK(words),
                below(random, 300), below(random, 100), below(random, 8) ? "true" : "false");
        ADD("]");
    }
    ADD(",\"q\":\"");
#undef ADD
    while (used < bytes - 2) {
        const char *word = PICK(words);
        size_t size = strlen(word), room = bytes - 2 - used;

        memcpy(out + used, word, size < room ? size : room);
        used += size < room ? size : room;
        if (used < bytes - 2)
            out[used++] = ' ';
    }
    memcpy(out + used, "\"}", 2);
}

void mr_bench_records_make(struct mr_bench_records *records, size_t count, size_t data_bytes)
{
    const size_t key_bytes = 16;
    struct mr_random state = mr_random_of(1), *random = &state;
    uint64_t at_ms = 1717200000000;

    records->count = count;
    records->puts = mr_alloc_zero(count, sizeof *records->puts);
    records->bytes = mr_alloc(count * (key_bytes + data_bytes));
    for (size_t i = 0; i < count; i++) {
        uint8_t *key = records->bytes + i * (key_bytes + data_bytes);
        unsigned user = below(random, 200000);
        char text[32];

        if (below(random, 4) == 0)
            user %= 1000; /* the busy ones */
        snprintf(text, sizeof text, "user-%011u", user);
        memcpy(key, text, key_bytes);
        at_ms += below(random, 3);
        write_record(key + key_bytes, data_bytes, user, at_ms, random);
        records->puts[i] =
            (mr_put){.partition_key = {key, key_bytes}, .data = {key + key_bytes, data_bytes}};
    }
}

void mr_bench_records_free(struct mr_bench_records *records)
{
    mr_free(records->puts);
    mr_free(records->bytes);
    *records = (struct mr_bench_records){0};
}

#define DISK_BUFFER_BYTES ((size_t)4 << 20)

static void disk_need(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "%s: %s: %s\n", run.program, what, strerror(errno));
    exit(1);
}

void mr_bench_disk_open(struct mr_bench_disk *disk, const char *name, uint64_t file_bytes)
{
    const char *path = mr_bench_path(name);
    struct mr_random random = mr_random_of(7);

    disk->file_bytes = file_bytes;
    disk->at = 0;
    disk->file = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (disk->file < 0 && errno == EINVAL)
        disk->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    disk_need(disk->file >= 0, path);
    disk->buffer = aligned_alloc(4096, DISK_BUFFER_BYTES);
    mr_check(disk->buffer);
    for (size_t i = 0; i < DISK_BUFFER_BYTES; i += 8)
        memcpy(disk->buffer + i, &(uint64_t){mr_random_next(&random)}, 8);
    for (uint64_t at = 0; at < file_bytes; at += DISK_BUFFER_BYTES)
        disk_need(pwrite(disk->file, disk->buffer, DISK_BUFFER_BYTES, (off_t)at) ==
                      (ssize_t)DISK_BUFFER_BYTES,
                  path);
    disk_need(fsync(disk->file) == 0, path);
}

double mr_bench_disk_groups_per_s(struct mr_bench_disk *disk, size_t group_bytes,
                                  uint32_t window_ms)
{
    uint64_t start = mr_bench_now_ns(), end = start + (uint64_t)window_ms * 1000000, now = start;
    size_t bytes = (group_bytes + 4095) / 4096 * 4096;
    double group_count = 0;

    mr_check(bytes <= DISK_BUFFER_BYTES);
    while (now < end) {
        if (disk->at + bytes > disk->file_bytes)
            disk->at = 0;
        disk_need(pwrite(disk->file, disk->buffer, bytes, (off_t)disk->at) == (ssize_t)bytes,
                  "write");
        disk_need(fdatasync(disk->file) == 0, "sync");
        disk->at += bytes;
        group_count++;
        now = mr_bench_now_ns();
    }
    return group_count * 1e9 / (double)(now - start);
}

void mr_bench_disk_close(struct mr_bench_disk *disk)
{
    close(disk->file);
    free(disk->buffer);
}
