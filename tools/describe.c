#include "figures.h"
#include "output.h"
#include "show.h"
#include "when.h"

static void print(const struct mr_stream_info *info)
{
    char a[MR_FIGURE_BYTES], b[MR_FIGURE_BYTES], time[MR_TIME_TEXT_BYTES];

    mr_time_format(info->created_ms, time);
    printf("%s%s%s\n", mr_colour_on(stdout, MR_BOLD), info->name, mr_colour_off(stdout));
    printf("  created    %s\n", time);
    printf("  shards     %u open, %u closed and still readable\n", info->open_shard_count,
           info->shard_count - info->open_shard_count);
    if (info->is_encrypted)
        puts("  encrypted  what is put from now on");
    if (info->record_count == MR_UNKNOWN) {
        printf("  records    kept for %u hours\n", info->retention_hours);
        return; /* a server tells no more */
    }
    printf("  records    %s (%s of keys and data), kept for %u hours\n",
           mr_count_format(info->record_count, a), mr_size_format(info->record_bytes, b),
           info->retention_hours);
    printf("  segments   %llu", (unsigned long long)info->segment_count);
    if (info->segment_stored_bytes)
        printf(": %s of records compressed to %s, a factor of %.1f",
               mr_size_format(info->segment_raw_bytes, a),
               mr_size_format(info->segment_stored_bytes, b),
               (double)info->segment_raw_bytes / (double)info->segment_stored_bytes);
    putchar('\n');
}

enum mr_exit mr_command_describe(struct mr_cli *cli)
{
    const char *stream = cli->arguments[0];
    struct mr_json_line line = MR_JSON_LINE;
    struct mr_stream_info info;
    enum mr_exit code = mr_cli_reach(cli, false);

    if (code)
        return code;
    if (mr_streams_describe(&cli->place, stream, &info, &cli->error))
        return mr_cli_failed(cli, stream);
    if (cli->common->json) {
        mr_show_stream(&line, &info);
        mr_json_print(&line, stdout);
        mr_pack_fini(&line.pack);
    } else {
        print(&info);
    }
    return MR_EXIT_OK;
}
