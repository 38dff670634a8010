#include "command.h"
#include "figures.h"
#include "json_line.h"
#include "output.h"

/* X(member): what --json prints, under the names of millrace.h. */
#define FIGURE_MAP(X)                                                                              \
    X(stream_count)                                                                                \
    X(shard_count)                                                                                 \
    X(open_shard_count)                                                                            \
    X(record_count)                                                                                \
    X(record_bytes)                                                                                \
    X(segment_count)                                                                               \
    X(segment_raw_bytes)                                                                           \
    X(segment_stored_bytes)                                                                        \
    X(journal_used_bytes)                                                                          \
    X(journal_bytes)                                                                               \
    X(memory_bytes)                                                                                \
    X(recovered_record_count)                                                                      \
    X(recovered_journal_bytes)                                                                     \
    X(recovery_ms)

static void print_json(const struct mr_cli *cli, const struct mr_engine_stats *stats)
{
    struct mr_json_line line = MR_JSON_LINE;

    mr_json_open(&line, '{');
    mr_json_name(&line, "directory");
    mr_json_text(&line, cli->directory);
#define X(name)                                                                                    \
    mr_json_name(&line, #name);                                                                    \
    mr_json_count(&line, stats->name);
    FIGURE_MAP(X)
#undef X
    mr_json_name(&line, "recovered");
    mr_json_bool(&line, stats->recovered);
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
}

static void print(const struct mr_cli *cli, const struct mr_engine_stats *stats)
{
    char a[MR_FIGURE_BYTES], b[MR_FIGURE_BYTES];

    printf("%s%s%s\n", mr_colour_on(stdout, MR_BOLD), cli->directory, mr_colour_off(stdout));
    printf("  streams    %s, with %s open shards\n", mr_count_format(stats->stream_count, a),
           mr_count_format(stats->open_shard_count, b));
    printf("  records    %s (%s of keys and data)\n", mr_count_format(stats->record_count, a),
           mr_size_format(stats->record_bytes, b));
    printf("  segments   %llu", (unsigned long long)stats->segment_count);
    if (stats->segment_stored_bytes)
        printf(": %s of records compressed to %s, a factor of %.1f",
               mr_size_format(stats->segment_raw_bytes, a),
               mr_size_format(stats->segment_stored_bytes, b),
               (double)stats->segment_raw_bytes / (double)stats->segment_stored_bytes);
    printf("\n  journal    %s of %s in use\n", mr_size_format(stats->journal_used_bytes, a),
           mr_size_format(stats->journal_bytes, b));
    if (stats->read_only_reason)
        printf("  read only  %s\n", stats->read_only_reason);
}

enum mr_exit mr_command_status(struct mr_cli *cli)
{
    struct mr_engine_stats stats;
    enum mr_exit code = mr_cli_open(cli, false);

    if (code)
        return code;
    mr_engine_stats(cli->engine, &stats);
    if (cli->common->json)
        print_json(cli, &stats);
    else
        print(cli, &stats);
    return MR_EXIT_OK;
}
