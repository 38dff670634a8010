#include "kafka/show.h"

#include "json_line.h"
#include "output.h"
#include "table.h"

#include "base/fail.h"
#include "base/memory.h"
#include "base/pack.h"
#include "os/clock.h"
#include "os/socket.h"
#include "os/thread.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define STATUS_NS UINT64_C(1000000000)
#define TEXT_BYTES_MAX ((size_t)64 << 20)
#define REQUEST_MS 2000
#define POLL_MS 200

struct mr_bridge_show {
    const struct mr_bridge_shown *shown;
    size_t count;
    bool has_status, is_json, is_once;
    uint64_t due_ns, before_ns, begin_ns;
    uint64_t *before; /* records by then */
    struct mr_bridge_figures figures;
    int listener; /* -1: none */
    atomic_bool is_stopping;
    pthread_t thread;
};

/* ---- Prometheus --------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void print(struct mr_pack *text, const char *format,
                                                        ...)
{
    char line[600];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    mr_pack_bytes(text,
                  (mr_bytes){line, (size_t)size < sizeof line ? (size_t)size : sizeof line - 1});
}

static const struct {
    const char *name, *kind, *help;
    size_t offset;
} metrics[] = {
#define METRIC(field, name, kind, help)                                                            \
    {                                                                                              \
        name, kind, help, offsetof(struct mr_bridge_figures, field)                                \
    }
    METRIC(record_count, "records_total", "counter", "Records copied."),
    METRIC(record_bytes, "bytes_total", "counter", "Their keys and data."),
    METRIC(transaction_count, "transactions_total", "counter",
           "Transactions, or commits of offsets."),
    METRIC(retry_count, "retries_total", "counter", "What failed and was tried again."),
    METRIC(dead_count, "dead_letters_total", "counter", "Records that went to the dead letters."),
#undef METRIC
};
#define METRIC_COUNT (sizeof metrics / sizeof *metrics)

void mr_bridge_metrics(const struct mr_bridge_shown *shown, size_t count, struct mr_pack *text)
{
    struct mr_bridge_figures *figures = mr_alloc_zero(count, sizeof *figures);

    for (size_t i = 0; i < count; i++)
        mr_bridge_look(shown[i].bridge, &figures[i]);
    for (size_t m = 0; m < METRIC_COUNT; m++) {
        print(text, "# HELP millrace_bridge_%s %s\n# TYPE millrace_bridge_%s %s\n", metrics[m].name,
              metrics[m].help, metrics[m].name, metrics[m].kind);
        for (size_t i = 0; i < count; i++)
            print(text, "millrace_bridge_%s{bridge=\"%s\"} %llu\n", metrics[m].name,
                  shown[i].config->name,
                  *(const unsigned long long *)(const void *)((const char *)&figures[i] +
                                                              metrics[m].offset));
    }
    print(text, "# HELP millrace_bridge_behind_seconds The largest lag of a lane.\n"
                "# TYPE millrace_bridge_behind_seconds gauge\n");
    for (size_t i = 0; i < count; i++)
        print(text, "millrace_bridge_behind_seconds{bridge=\"%s\"} %.3f\n", shown[i].config->name,
              (double)figures[i].behind_ms / 1000);
    print(text, "# HELP millrace_bridge_lane_behind_seconds The lag of a shard or partition.\n"
                "# TYPE millrace_bridge_lane_behind_seconds gauge\n");
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < figures[i].lane_count; j++)
            print(text, "millrace_bridge_lane_behind_seconds{bridge=\"%s\",lane=\"%u\"} %.3f\n",
                  shown[i].config->name, figures[i].lanes[j].id,
                  (double)figures[i].lanes[j].behind_ms / 1000);
    print(text, "# HELP millrace_bridge_lane_behind_records The same in messages, of partitions.\n"
                "# TYPE millrace_bridge_lane_behind_records gauge\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < figures[i].lane_count; j++)
            if (figures[i].lanes[j].behind_count >= 0)
                print(text, "millrace_bridge_lane_behind_records{bridge=\"%s\",lane=\"%u\"} %lld\n",
                      shown[i].config->name, figures[i].lanes[j].id,
                      (long long)figures[i].lanes[j].behind_count);
        mr_free(figures[i].lanes);
    }
    mr_free(figures);
}

/* Whatever is asked for, the answer is the same: the head of the request is only waited for. */
static void answer(const struct mr_bridge_show *show, int client)
{
    struct mr_pack text = MR_PACK(TEXT_BYTES_MAX);
    struct pollfd wait = {.fd = client, .events = POLLIN};
    char head[200], request[2048];
    mr_bytes first, second;
    int size;

    if (poll(&wait, 1, REQUEST_MS) != 1 || mr_socket_read(client, request, sizeof request) <= 0)
        return;
    mr_bridge_metrics(show->shown, show->count, &text);
    size = snprintf(head, sizeof head,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
                    "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                    text.size);
    first = (mr_bytes){head, (size_t)size};
    second = (mr_bytes){text.data, text.size};
    wait.events = POLLOUT;
    while (first.size + second.size > 0 && poll(&wait, 1, REQUEST_MS) == 1) {
        ssize_t written = mr_socket_write(client, first, second);
        size_t of_first, of_second;

        if (written == MR_SOCKET_GONE)
            break;
        if (written < 0)
            continue;
        of_first = (size_t)written < first.size ? (size_t)written : first.size;
        of_second = (size_t)written - of_first;
        first = (mr_bytes){(const char *)first.data + of_first, first.size - of_first};
        second = (mr_bytes){(const char *)second.data + of_second, second.size - of_second};
    }
    mr_socket_finish(client);
    mr_pack_fini(&text);
}

static void *serve(void *context)
{
    struct mr_bridge_show *show = context;

    while (!atomic_load(&show->is_stopping)) {
        struct pollfd wait = {.fd = show->listener, .events = POLLIN};
        char peer[MR_PEER_TEXT_BYTES];
        int client;

        if (poll(&wait, 1, POLL_MS) != 1)
            continue;
        client = mr_socket_accept(show->listener, peer);
        if (client < 0)
            continue;
        answer(show, client);
        mr_socket_close(client);
    }
    return NULL;
}

/* "[ADDRESS:]PORT"; without an address only this machine can ask. */
static mr_status listen_at(struct mr_bridge_show *show, const char *text, mr_error *error)
{
    const char *colon = strrchr(text, ':');
    const char *port_text = colon ? colon + 1 : text;
    char address[256] = "127.0.0.1";
    uint16_t bound;
    uint64_t port;
    mr_status status;

    if (!mr_number_parse(port_text, &port) || port > 65535)
        return mr_fail(error, MR_INVALID, "--metrics takes [ADDRESS:]PORT, not '%.60s'", text);
    if (colon)
        snprintf(address, sizeof address, "%.*s", (int)(colon - text), text);
    status = mr_socket_listen(address, (uint16_t)port, &show->listener, &bound, error);
    if (status)
        return status;
    mr_say("metrics at http://%s:%u/metrics", address, bound);
    show->thread = mr_thread_start("metrics", serve, show);
    return MR_OK;
}

/* ---- a terminal --------------------------------------------------------------------------- */

static void show_json(const struct mr_bridge_show *show, size_t index, double rate)
{
    const struct mr_bridge_figures *figures = &show->figures;
    struct mr_json_line line = MR_JSON_LINE;

    mr_json_open(&line, '{');
    mr_json_name(&line, "bridge");
    mr_json_text(&line, show->shown[index].config->name);
    mr_json_name(&line, "record_count");
    mr_json_count(&line, figures->record_count);
    mr_json_name(&line, "record_bytes");
    mr_json_count(&line, figures->record_bytes);
    mr_json_name(&line, "records_per_s");
    mr_json_real(&line, rate);
    mr_json_name(&line, "behind_ms");
    mr_json_count(&line, (uint64_t)figures->behind_ms);
    mr_json_name(&line, "transaction_count");
    mr_json_count(&line, figures->transaction_count);
    mr_json_name(&line, "retry_count");
    mr_json_count(&line, figures->retry_count);
    mr_json_name(&line, "dead_count");
    mr_json_count(&line, figures->dead_count);
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
    fflush(stdout);
}

static void show_lanes(const struct mr_bridge_figures *figures, struct mr_table *table)
{
    for (size_t i = 0; i < figures->lane_count; i++) {
        const struct mr_bridge_lane *lane = &figures->lanes[i];

        mr_table_cell(table, "  %u", lane->id);
        for (int empty = 0; empty < 2; empty++)
            mr_table_cell(table, "%s", "");
        if (lane->behind_count < 0)
            mr_table_cell(table, "%s", "-");
        else
            mr_table_cell(table, "%lld", (long long)lane->behind_count);
        mr_table_cell(table, "%lld ms", (long long)lane->behind_ms);
        for (int empty = 0; empty < 3; empty++)
            mr_table_cell(table, "%s", "");
    }
}

static void show_row(const struct mr_bridge_show *show, size_t index, double rate,
                     struct mr_table *table)
{
    const struct mr_bridge_figures *figures = &show->figures;

    mr_table_cell(table, "%s", show->shown[index].config->name);
    mr_table_cell(table, "%llu", (unsigned long long)figures->record_count);
    mr_table_cell(table, "%.0f", rate);
    if (figures->behind_count < 0)
        mr_table_cell(table, "%s", "-");
    else
        mr_table_cell(table, "%lld", (long long)figures->behind_count);
    mr_table_cell(table, "%lld ms", (long long)figures->behind_ms);
    mr_table_cell(table, "%llu", (unsigned long long)figures->transaction_count);
    mr_table_cell(table, "%llu", (unsigned long long)figures->retry_count);
    mr_table_cell(table, "%llu", (unsigned long long)figures->dead_count);
    show_lanes(figures, table);
}

static void show_status(struct mr_bridge_show *show, uint64_t now_ns)
{
    struct mr_table table = MR_TABLE("BRIDGE", ">RECORDS", ">A SECOND", ">BEHIND", ">LAG",
                                     ">COMMITS", ">RETRIES", ">DEAD");
    double seconds = (double)(now_ns - show->before_ns) / 1e9;

    for (size_t i = 0; i < show->count; i++) {
        double rate;

        mr_bridge_look(show->shown[i].bridge, &show->figures);
        rate = seconds > 0 ? (double)(show->figures.record_count - show->before[i]) / seconds : 0;
        show->before[i] = show->figures.record_count;
        if (show->is_json)
            show_json(show, i, rate);
        else
            show_row(show, i, rate, &table);
    }
    if (!show->is_json) {
        if (isatty(STDOUT_FILENO))
            fputs("\033[H\033[J", stdout);
        mr_table_print(&table);
        fflush(stdout);
    }
    show->before_ns = now_ns;
}

static void show_progress(struct mr_bridge_show *show, uint64_t now_ns)
{
    uint64_t records = 0;
    char note[60];

    for (size_t i = 0; i < show->count; i++) {
        mr_bridge_look(show->shown[i].bridge, &show->figures);
        records += show->figures.record_count;
    }
    snprintf(note, sizeof note, "%.0f a second",
             (double)records * 1e9 / (double)(now_ns - show->begin_ns + 1));
    mr_progress_show("copied", records, 0, note);
}

void mr_bridge_show_step(struct mr_bridge_show *show)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t now_ns = clock->monotonic_ns(clock);

    if (show->has_status && now_ns >= show->due_ns) {
        show_status(show, now_ns);
        show->due_ns = now_ns + STATUS_NS;
    } else if (!show->has_status && show->is_once && mr_progress_is_seen()) {
        show_progress(show, now_ns);
    }
}

/* ---- show --------------------------------------------------------------------------------- */

mr_status mr_bridge_show_open(struct mr_bridge_show **out, const struct mr_bridge_shown *shown,
                              size_t count, const struct mr_bridge_options *options,
                              mr_error *error)
{
    struct mr_bridge_show *show = mr_new(struct mr_bridge_show);
    struct mr_clock *clock = mr_clock_real();
    mr_status status = MR_OK;

    show->shown = shown;
    show->count = count;
    show->has_status = options->status;
    show->is_json = options->common.json;
    show->is_once = options->once;
    show->before = mr_alloc_zero(count, sizeof *show->before);
    show->begin_ns = show->before_ns = clock->monotonic_ns(clock);
    show->listener = -1;
    if (options->metrics)
        status = listen_at(show, options->metrics, error);
    if (status) {
        mr_free(show->before);
        mr_free(show);
        return status;
    }
    *out = show;
    return MR_OK;
}

void mr_bridge_show_close(struct mr_bridge_show *show)
{
    mr_progress_hide();
    for (size_t i = 0; i < show->count; i++) {
        const struct mr_bridge_figures *figures = &show->figures;

        mr_bridge_look(show->shown[i].bridge, &show->figures);
        if (show->is_json)
            show_json(show, i, 0);
        else
            mr_say("%s: %llu records copied, %llu dead letters", show->shown[i].config->name,
                   (unsigned long long)figures->record_count,
                   (unsigned long long)figures->dead_count);
    }
    if (show->listener >= 0) {
        atomic_store(&show->is_stopping, true);
        pthread_join(show->thread, NULL);
        mr_socket_close(show->listener);
    }
    mr_free(show->figures.lanes);
    mr_free(show->before);
    mr_free(show);
}
