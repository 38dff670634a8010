/* group.c - what applications have read: their leases on any store, and setting them elsewhere. */
#include "group.h"
#include "command.h"
#include "figures.h"
#include "os/clock.h"
#include "reader.h"
#include "show.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

/* ---- lag ---------------------------------------------------------------------------------- */

/* How long the first record behind the checkpoint has waited; -1: it cannot be told. */
static int64_t lag_ms(struct mr_groups *groups, const struct mr_group *group, const mr_shard *shard,
                      const mr_lease *lease)
{
    struct mr_clock *clock = mr_clock_real();
    mr_position from = {.start = MR_START_TRIM_HORIZON};
    struct mr_shard_reader *reader;
    char text[MR_MARK_TEXT_BYTES];
    mr_batch batch = {0};
    mr_status status;

    switch (lease->checkpoint.kind) {
    case MR_MARK_SHARD_END:
        return 0;
    case MR_MARK_RECORD:
        mr_mark_format(&lease->checkpoint, text);
        if (mr_sequence_parse(text, &from.sequence, NULL))
            return -1;
        from.start = MR_START_AFTER;
        break;
    case MR_MARK_LATEST:
    case MR_MARK_AT_TIME:
        if (lease->began_ms == 0)
            return lease->checkpoint.kind == MR_MARK_LATEST ? 0 : -1;
        from = (mr_position){.start = MR_START_AT_TIME, .time_ms = lease->began_ms};
        break;
    case MR_MARK_TRIM_HORIZON:
        break;
    }
    if (mr_shard_reader_open(&reader, &groups->cli->place, group->stream, shard, &from, NULL))
        return -1;
    status = mr_shard_reader_next(reader, 1, &batch, NULL);
    if (!status && batch.count > 0)
        batch.behind_ms = clock->wall_ms(clock) - batch.records[0].arrival_ms;
    else
        batch.behind_ms = status ? -1 : 0;
    mr_shard_reader_close(reader);
    return batch.behind_ms < -1 ? 0 : batch.behind_ms;
}

static const mr_shard *shard_of(const struct mr_shard_list *list, mr_shard_id id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->shards[i].id == id)
            return &list->shards[i];
    return NULL;
}

/* ---- ls, show ----------------------------------------------------------------------------- */

static void list_groups(const struct mr_groups *groups)
{
    struct mr_table table =
        MR_TABLE("APPLICATION", "STREAM", ">SHARDS", ">ENDED", ">OWNED", ">WORKERS", "LEASES");
    struct mr_json_line line = MR_JSON_LINE;

    for (size_t i = 0; i < groups->count; i++) {
        const struct mr_group *group = &groups->items[i];
        struct mr_group_sums sums = mr_group_sum_up(group);

        if (groups->options->common.json) {
            mr_json_open(&line, '{');
            mr_json_name(&line, "application");
            mr_json_text(&line, group->name);
            mr_json_name(&line, "stream");
            mr_json_text(&line, group->stream);
            mr_json_name(&line, "leases");
            mr_json_text(&line, mr_lease_home_name(group->home));
            mr_json_name(&line, "shard_count");
            mr_json_count(&line, group->count);
            mr_json_name(&line, "ended_count");
            mr_json_count(&line, sums.ended);
            mr_json_name(&line, "owned_count");
            mr_json_count(&line, sums.owned);
            mr_json_name(&line, "worker_count");
            mr_json_count(&line, sums.worker_count);
            mr_json_close(&line, '}');
            mr_json_print(&line, stdout);
            continue;
        }
        mr_table_cell(&table, "%s", group->name);
        mr_table_cell(&table, "%s", group->stream);
        mr_table_cell(&table, "%zu", group->count);
        mr_table_cell(&table, "%zu", sums.ended);
        mr_table_cell(&table, "%zu", sums.owned);
        mr_table_cell(&table, "%zu", sums.worker_count);
        mr_table_cell(&table, "%s", mr_lease_home_name(group->home));
    }
    mr_pack_fini(&line.pack);
    if (!groups->options->common.json)
        mr_table_print(&table);
}

static void show_json(struct mr_json_line *line, const struct mr_group *group,
                      const struct mr_group_row *row, int64_t lag)
{
    char text[MR_MARK_TEXT_BYTES];

    mr_json_open(line, '{');
    mr_json_name(line, "application");
    mr_json_text(line, group->name);
    mr_json_name(line, "stream");
    mr_json_text(line, group->stream);
    mr_show_shard_id(line, "shard_id", row->lease.shard);
    if (*row->fault) {
        mr_json_name(line, "fault");
        mr_json_text(line, row->fault);
    } else {
        mr_mark_format(&row->lease.checkpoint, text);
        mr_json_name(line, "owner");
        mr_json_text(line, row->lease.owner);
        mr_json_name(line, "checkpoint");
        mr_json_text(line, text);
        mr_json_name(line, "sub_sequence");
        mr_json_count(line, row->lease.checkpoint.sub_sequence);
        if (lag >= 0) {
            mr_json_name(line, "lag_ms");
            mr_json_count(line, (uint64_t)lag);
        }
    }
    mr_json_close(line, '}');
    mr_json_print(line, stdout);
}

static void show_row(struct mr_table *table, const struct mr_group_row *row, int64_t lag)
{
    char place[MR_MARK_TEXT_BYTES], figure[MR_FIGURE_BYTES];

    mr_table_cell(table, "%u", row->lease.shard);
    mr_table_cell(table, "%s", *row->lease.owner ? row->lease.owner : "-");
    if (*row->fault) {
        mr_table_cell(table, "-");
        mr_table_cell(table, "unreadable: %s", row->fault);
        return;
    }
    mr_mark_format(&row->lease.checkpoint, place);
    mr_table_cell(table, "%s",
                  lag < 0    ? "-"
                  : lag == 0 ? "0"
                             : mr_duration_format((double)lag / 1000, figure));
    mr_table_cell(table, "%s", place);
}

static enum mr_exit show_groups(struct mr_groups *groups)
{
    struct mr_cli *cli = groups->cli;

    for (size_t i = 0; i < groups->count; i++) {
        const struct mr_group *group = &groups->items[i];
        struct mr_table table = MR_TABLE(">SHARD", "OWNER", ">LAG", "CHECKPOINT");
        struct mr_json_line line = MR_JSON_LINE;
        struct mr_shard_list list;

        if (mr_shard_list_read(&list, &cli->place, group->stream, &cli->error)) {
            mr_shard_list_fini(&list);
            return mr_cli_failed(cli, group->stream);
        }
        for (size_t at = 0; at < group->count; at++) {
            const struct mr_group_row *row = &group->rows[at];
            const mr_shard *shard = shard_of(&list, row->lease.shard);
            int64_t lag = shard && !*row->fault ? lag_ms(groups, group, shard, &row->lease) : -1;

            if (groups->options->common.json)
                show_json(&line, group, row, lag);
            else
                show_row(&table, row, lag);
        }
        if (!groups->options->common.json) {
            printf("%s on %s, leases in %s\n", group->name, group->stream,
                   mr_lease_home_name(group->home));
            mr_table_print(&table);
        }
        mr_pack_fini(&line.pack);
        mr_shard_list_fini(&list);
    }
    return MR_EXIT_OK;
}

/* ---- the command line --------------------------------------------------------------------- */

static enum mr_exit read_arguments(struct mr_groups *groups)
{
    static const char *const names[] = {
        [MR_GROUP_LS] = "ls", [MR_GROUP_SHOW] = "show", [MR_GROUP_RESET] = "reset"};
    struct mr_clock *clock = mr_clock_real();
    struct mr_cli *cli = groups->cli;
    const char *name = cli->arguments[0], *to = groups->options->to;
    size_t task = 0;

    while (task <= MR_GROUP_RESET && strcmp(names[task], name) != 0)
        task++;
    if (task > MR_GROUP_RESET)
        return mr_cli_misused(cli, "it does ls, show and reset, not '%s'", name);
    groups->task = (enum mr_group_task)task;
    groups->application = cli->argument_count > 1 ? cli->arguments[1] : NULL;
    if (task != MR_GROUP_LS && !groups->application)
        return mr_cli_misused(cli, "%s takes an APPLICATION: millrace group ls lists them", name);
    if ((task == MR_GROUP_RESET) != (to != NULL))
        return mr_cli_misused(cli, to ? "--to is for reset"
                                      : "reset takes --to start, latest or a time");
    if (to && (mr_when_parse(to, clock->wall_ms(clock), &groups->to, NULL) ||
               groups->to.kind == MR_WHEN_SEQUENCE))
        return mr_cli_misused(cli, "--to takes start, latest, -15m or a time, not '%s'", to);
    return MR_EXIT_OK;
}

enum mr_exit mr_command_group(struct mr_cli *cli)
{
    struct mr_groups groups = {.cli = cli, .options = cli->options};
    enum mr_exit code = read_arguments(&groups);

    if (!code)
        code = mr_cli_reach(cli, false);
    if (!code)
        code = mr_groups_find(&groups);
    if (!code && groups.task == MR_GROUP_LS)
        list_groups(&groups);
    if (!code && groups.task == MR_GROUP_SHOW)
        code = show_groups(&groups);
    if (!code && groups.task == MR_GROUP_RESET)
        code = mr_groups_reset(&groups);
    mr_groups_fini(&groups);
    return code;
}
