#include "output.h"
#include "show.h"

enum mr_exit mr_command_create(struct mr_cli *cli)
{
    const struct mr_create_options *options = cli->options;
    const char *stream = cli->arguments[0];
    struct mr_json_line line = MR_JSON_LINE;
    struct mr_stream_info info;
    enum mr_exit code;

    if (options->shards < 1 || options->shards > UINT32_MAX)
        return mr_cli_misused(cli, "--shards is at least 1");
    if (options->retention < 24 || options->retention > 8760)
        return mr_cli_misused(cli, "--retention is 24 to 8760 hours");
    code = mr_cli_reach(cli, true);
    if (code)
        return code;
    if (mr_streams_create(&cli->place, stream, (uint32_t)options->shards,
                          (uint32_t)options->retention, &cli->error) ||
        mr_streams_describe(&cli->place, stream, &info, &cli->error))
        return mr_cli_failed(cli, stream);
    if (cli->common->json) {
        mr_show_stream(&line, &info);
        mr_json_print(&line, stdout);
        mr_pack_fini(&line.pack);
        return MR_EXIT_OK;
    }
    mr_say("created %s: %u shard%s, records kept for %u hours", stream, info.open_shard_count,
           info.open_shard_count == 1 ? "" : "s", info.retention_hours);
    return MR_EXIT_OK;
}
