#include "figures.h"
#include "output.h"
#include "show.h"
#include "table.h"
#include "when.h"

struct list {
    const struct mr_list_options *options;
    struct mr_table table;
    struct mr_json_line line;
    size_t count;
};

static bool show(void *context, const struct mr_stream_info *info)
{
    struct list *list = context;
    char count[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES], time[MR_TIME_TEXT_BYTES];

    list->count++;
    if (list->options->common.json) {
        mr_show_stream(&list->line, info);
        mr_json_print(&list->line, stdout);
        return true;
    }
    if (list->options->names) {
        puts(info->name);
        return true;
    }
    mr_time_format(info->created_ms, time);
    mr_table_cell(&list->table, "%s", info->name);
    mr_table_cell(&list->table, "%u", info->open_shard_count);
    mr_table_cell(&list->table, "%s", mr_count_format(info->record_count, count));
    mr_table_cell(&list->table, "%s", mr_size_format(info->record_bytes, size));
    mr_table_cell(&list->table, "%u h", info->retention_hours);
    mr_table_cell(&list->table, "%.10s %.8s", time, time + 11);
    return true;
}

enum mr_exit mr_command_list(struct mr_cli *cli)
{
    struct list list = {
        .options = cli->options,
        .table = MR_TABLE("STREAM", ">SHARDS", ">RECORDS", ">SIZE", ">KEPT", "CREATED (UTC)"),
        .line = MR_JSON_LINE};
    enum mr_exit code = mr_cli_reach(cli, false);
    mr_status status;

    if (code)
        return code;
    status = mr_streams_each(&cli->place, list.options->names && !list.options->common.json, show,
                             &list, &cli->error);
    mr_pack_fini(&list.line.pack);
    if (status)
        return mr_cli_failed(cli, NULL);
    if (list.count == 0)
        mr_say("no streams yet; try: millrace create STREAM --shards 4");
    else if (!list.options->common.json && !list.options->names)
        mr_table_print(&list.table);
    return MR_EXIT_OK;
}
