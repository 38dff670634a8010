#include "output.h"
#include "show.h"

enum mr_exit mr_command_create(struct mr_call *call)
{
    const struct mr_create_options *options = call->options;
    const char *stream = call->arguments[0];
    struct mr_json_line line = MR_JSON_LINE;
    struct mr_stream_info info;
    enum mr_exit code;

    if (options->shards < 1 || options->shards > UINT32_MAX)
        return mr_call_misused(call, "--shards is at least 1");
    if (options->retention < 24 || options->retention > 8760)
        return mr_call_misused(call, "--retention is 24 to 8760 hours");
    code = mr_call_open(call, true);
    if (code)
        return code;
    if (mr_stream_create(call->engine, stream, (uint32_t)options->shards, &call->error))
        return mr_call_failed(call, stream);
    if (options->retention != 24 &&
        mr_stream_retain(call->engine, stream, (uint32_t)options->retention, &call->error))
        return mr_call_failed(call, stream);
    if (mr_stream_describe(call->engine, stream, &info, &call->error))
        return mr_call_failed(call, stream);
    if (call->common->json) {
        mr_show_stream(&line, &info);
        mr_json_print(&line, stdout);
        mr_pack_fini(&line.pack);
        return MR_EXIT_OK;
    }
    mr_say("created %s: %u shard%s, records kept for %u hours", stream, info.open_shard_count,
           info.open_shard_count == 1 ? "" : "s", info.retention_hours);
    return MR_EXIT_OK;
}
