/* reshard.c - the commands split, merge and scale. */
#include "output.h"
#include "show.h"

static void print_change(struct mr_cli *cli, const mr_shard_id *parents, size_t parent_count,
                         const mr_shard_id *children, size_t child_count)
{
    struct mr_json_line line = MR_JSON_LINE;
    char text[MR_SHARD_TEXT_BYTES];

    if (!cli->common->json) {
        for (size_t i = 0; i < parent_count; i++) {
            mr_shard_format(parents[i], text);
            printf("%s%s", i ? " + " : "", text);
        }
        for (size_t i = 0; i < child_count; i++) {
            mr_shard_format(children[i], text);
            printf("%s%s", i ? " + " : mr_output_is_utf8() ? " → " : " -> ", text);
        }
        putchar('\n');
        return;
    }
    mr_json_open(&line, '{');
    mr_json_name(&line, "parents");
    mr_json_open(&line, '[');
    for (size_t i = 0; i < parent_count; i++) {
        mr_shard_format(parents[i], text);
        mr_json_text(&line, text);
    }
    mr_json_close(&line, ']');
    mr_json_name(&line, "children");
    mr_json_open(&line, '[');
    for (size_t i = 0; i < child_count; i++) {
        mr_shard_format(children[i], text);
        mr_json_text(&line, text);
    }
    mr_json_close(&line, ']');
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
}

enum mr_exit mr_command_split(struct mr_cli *cli)
{
    const struct mr_split_options *options = cli->options;
    const char *stream = cli->arguments[0];
    mr_shard_id shard, children[2];
    mr_hash_key at;
    enum mr_exit code = mr_cli_shard(cli, cli->arguments[1], &shard);

    if (code)
        return code;
    if (options->at && mr_hash_key_parse(options->at, &at, &cli->error))
        return mr_cli_misused(cli, "--at: %s", cli->error.message);
    code = mr_cli_reach(cli, false);
    if (code)
        return code;
    if (mr_streams_split(&cli->place, stream, shard, options->at ? &at : NULL, children,
                         &cli->error))
        return mr_cli_failed(cli, stream);
    print_change(cli, &shard, 1, children, 2);
    return MR_EXIT_OK;
}

enum mr_exit mr_command_merge(struct mr_cli *cli)
{
    const char *stream = cli->arguments[0];
    mr_shard_id shards[2], child;
    enum mr_exit code = mr_cli_shard(cli, cli->arguments[1], &shards[0]);

    if (!code)
        code = mr_cli_shard(cli, cli->arguments[2], &shards[1]);
    if (!code)
        code = mr_cli_reach(cli, false);
    if (code)
        return code;
    if (mr_streams_merge(&cli->place, stream, shards[0], shards[1], &child, &cli->error))
        return mr_cli_failed(cli, stream);
    print_change(cli, shards, 2, &child, 1);
    return MR_EXIT_OK;
}

enum mr_exit mr_command_scale(struct mr_cli *cli)
{
    const char *stream = cli->arguments[0];
    struct mr_json_line line = MR_JSON_LINE;
    struct mr_stream_info before, after;
    uint64_t count;
    enum mr_exit code;

    if (!mr_number_parse(cli->arguments[1], &count) || count < 1 || count > UINT32_MAX)
        return mr_cli_misused(cli, "'%s' is no number of shards", cli->arguments[1]);
    code = mr_cli_reach(cli, false);
    if (code)
        return code;
    if (mr_streams_describe(&cli->place, stream, &before, &cli->error) ||
        mr_streams_scale(&cli->place, stream, (uint32_t)count, &cli->error) ||
        mr_streams_describe(&cli->place, stream, &after, &cli->error))
        return mr_cli_failed(cli, stream);
    if (cli->common->json) {
        mr_show_stream(&line, &after);
        mr_json_print(&line, stdout);
        mr_pack_fini(&line.pack);
    } else {
        printf("%s: %u open shards, were %u\n", stream, after.open_shard_count,
               before.open_shard_count);
    }
    return MR_EXIT_OK;
}
