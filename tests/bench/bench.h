/*
 * bench.h - what the benchmarks share: windows that alternate, medians, and how figures are
 * printed.
 *
 * A benchmark prints two kinds of lines:
 *
 *     NAME VALUE UNIT                                         a figure
 *     NAME RATIO of LIMIT (target >= T) ok|MISSED             the figure NAME against the figure
 * LIMIT
 *
 * The limit of a ratio is measured in the same run, in windows that alternate with those of the
 * figure: a noisy machine disturbs both alike. tests/bench/run.sh makes one table of all ratios.
 */
#ifndef MR_BENCH_BENCH_H
#define MR_BENCH_BENCH_H

#include "millrace.h"

/* ---- the run ------------------------------------------------------------------------------ */

/* Takes a fresh directory for this program: below TMPDIR if that is set and on a disk, else beside
 * the program. */
void mr_bench_begin(const char *program);
/* Says what else the machine did meanwhile, removes the directory; returns main()'s status. */
int mr_bench_end(void);
/* A path in the run's directory; valid until the end. */
const char *mr_bench_path(const char *name);
/* Something that must hold at any speed does not: the program will fail. */
void mr_bench_wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Aborts with the error's message unless status is MR_OK. */
void mr_bench_need(mr_status status, const mr_error *error);

/* Runs work(context) in a process of its own and returns what waitpid() says of its end: 0 if all
 * went well. No engine may be open in this process. Changes of the context stay in the other one,
 * but for memory from mr_bench_share(). */
int mr_bench_apart(void (*work)(void *context), void *context);
void *mr_bench_share(size_t bytes); /* zeroed, and never given back */

/* Environment variable as a number, or fallback. */
double mr_bench_setting(const char *name, double fallback);
/* Whether to measure this: MR_BENCH_ONLY is not set or part of the name. */
bool mr_bench_wants(const char *name);

/* ---- time --------------------------------------------------------------------------------- */

uint64_t mr_bench_now_ns(void); /* monotonic */
void mr_bench_sleep_until(uint64_t at_ns);
double mr_bench_processor_s(void); /* that this process has used */
/* Waits (at most 3 s) until this process has nearly stopped using the processor: background work
 * left by one window must not burden the next. */
void mr_bench_settle(void);

/* ---- figures ------------------------------------------------------------------------------ */

double mr_bench_median(const double *values, size_t count);

void mr_bench_value(const char *name, double value, const char *unit);

enum mr_bench_target { MR_BENCH_AT_LEAST, MR_BENCH_AT_MOST };
void mr_bench_ratio(const char *name, double ratio, const char *limit, enum mr_bench_target kind,
                    double target);

/* One of several ways that are compared. run() works for about window_ms and returns its figure. */
#define MR_BENCH_ROUNDS_MAX 32
struct mr_bench_side {
    const char *name;
    double (*run)(void *context, uint32_t window_ms);
    void *context;
    double values[MR_BENCH_ROUNDS_MAX]; /* out: one a round */
    unsigned round_count;               /* out */
};

/* Runs a window of each side in turn, A B A B ..., settling between them. */
void mr_bench_alternate(struct mr_bench_side *sides, size_t side_count, unsigned round_count,
                        uint32_t window_ms);
double mr_bench_side_median(const struct mr_bench_side *side);
/* The median over the rounds of side / limit: each pair stood next to each other in time. */
double mr_bench_side_ratio(const struct mr_bench_side *side, const struct mr_bench_side *limit);

/* How latencies spread: buckets of 1/16 of their size. Start from {0}; one writer at a time. */
struct mr_bench_spread {
    uint64_t count;
    uint64_t buckets[64 * 16];
};
void mr_bench_spread_add(struct mr_bench_spread *spread, uint64_t ns);
void mr_bench_spread_merge(struct mr_bench_spread *into, const struct mr_bench_spread *from);
double mr_bench_spread_us(const struct mr_bench_spread *spread, double percentile); /* 0..100 */

uint64_t mr_bench_memory_peak_kb(void); /* of this process, resident */

/* ---- the work ----------------------------------------------------------------------------- */

/* Records such as a web site would send: JSON lines of exactly data_bytes, keyed by user, a few of
 * whom are busy. Made before the windows begin. */
struct mr_bench_records {
    mr_put *puts;
    size_t count;
    uint8_t *bytes;
};
void mr_bench_records_make(struct mr_bench_records *records, size_t count, size_t data_bytes);
void mr_bench_records_free(struct mr_bench_records *records);

/* A file of the journal's kind - written once, then overwritten past the page cache - and a loop
 * that makes groups of group_bytes durable one by one: the limit of any journal on this disk. */
struct mr_bench_disk {
    int file;
    uint64_t file_bytes, at;
    uint8_t *buffer;
};
void mr_bench_disk_open(struct mr_bench_disk *disk, const char *name, uint64_t file_bytes);
double mr_bench_disk_groups_per_s(struct mr_bench_disk *disk, size_t group_bytes,
                                  uint32_t window_ms);
void mr_bench_disk_close(struct mr_bench_disk *disk);

#endif
