/* reshard.c - the commands split, merge and scale. */
#include "output.h"
#include "show.h"

static void print_change(struct mr_call *call, const mr_shard_id *parents, size_t parent_count,
                         const mr_shard_id *children, size_t child_count)
{
    struct mr_json_line line = MR_JSON_LINE;
    char text[MR_SHARD_TEXT_BYTES];

    if (!call->common->json) {
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

enum mr_exit mr_command_split(struct mr_call *call)
{
    const struct mr_split_options *options = call->options;
    const char *stream = call->arguments[0];
    mr_shard_id shard, children[2];
    mr_hash_key at;
    enum mr_exit code = mr_call_shard(call, call->arguments[1], &shard);

    if (code)
        return code;
    if (options->at && mr_hash_key_parse(options->at, &at, &call->error))
        return mr_call_misused(call, "--at: %s", call->error.message);
    code = mr_call_open(call, false);
    if (code)
        return code;
    if (mr_shard_split(call->engine, stream, shard, options->at ? &at : NULL, children,
                       &call->error))
        return mr_call_failed(call, stream);
    print_change(call, &shard, 1, children, 2);
    return MR_EXIT_OK;
}

enum mr_exit mr_command_merge(struct mr_call *call)
{
    const char *stream = call->arguments[0];
    mr_shard_id shards[2], child;
    enum mr_exit code = mr_call_shard(call, call->arguments[1], &shards[0]);

    if (!code)
        code = mr_call_shard(call, call->arguments[2], &shards[1]);
    if (!code)
        code = mr_call_open(call, false);
    if (code)
        return code;
    if (mr_shard_merge(call->engine, stream, shards[0], shards[1], &child, &call->error))
        return mr_call_failed(call, stream);
    print_change(call, shards, 2, &child, 1);
    return MR_EXIT_OK;
}

enum mr_exit mr_command_scale(struct mr_call *call)
{
    const char *stream = call->arguments[0];
    struct mr_json_line line = MR_JSON_LINE;
    struct mr_stream_info before, after;
    uint64_t count;
    enum mr_exit code;

    if (!mr_number_parse(call->arguments[1], &count) || count < 1 || count > UINT32_MAX)
        return mr_call_misused(call, "'%s' is no number of shards", call->arguments[1]);
    code = mr_call_open(call, false);
    if (code)
        return code;
    if (mr_stream_describe(call->engine, stream, &before, &call->error) ||
        mr_stream_scale(call->engine, stream, (uint32_t)count, &call->error) ||
        mr_stream_describe(call->engine, stream, &after, &call->error))
        return mr_call_failed(call, stream);
    if (call->common->json) {
        mr_show_stream(&line, &after);
        mr_json_print(&line, stdout);
        mr_pack_fini(&line.pack);
    } else {
        printf("%s: %u open shards, were %u\n", stream, after.open_shard_count,
               before.open_shard_count);
    }
    return MR_EXIT_OK;
}
