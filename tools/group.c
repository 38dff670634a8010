/* group.c - what applications have read: their leases on any store, and setting them elsewhere. */
#include "ask.h"
#include "command.h"
#include "figures.h"
#include "leases.h"
#include "os/clock.h"
#include "output.h"
#include "reader.h"
#include "show.h"
#include "table.h"
#include "when.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HOMES_MAX 2

enum task { LS, SHOW, RESET };

/* An application's leases of one stream. */
struct group {
    const struct mr_lease_home *home;
    char stream[MR_NAME_BYTES_MAX + 1];
    char name[MR_APPLICATION_BYTES_MAX + 1];
    struct row {
        mr_lease lease;
        char fault[128]; /* "": it can be read */
    } * rows;
    size_t count, capacity;
};

struct groups {
    struct mr_cli *cli;
    const struct mr_group_options *options;
    enum task task;
    const char *application; /* NULL: all */
    struct mr_lease_home homes[HOMES_MAX];
    size_t home_count;
    struct group *items;
    size_t count, capacity;
    const struct mr_lease_home *home; /* of those being visited */
    char stream[MR_NAME_BYTES_MAX + 1];
    struct mr_when to; /* RESET */
};

/* ---- finding ------------------------------------------------------------------------------ */

static bool add_group(void *context, const char *application)
{
    struct groups *groups = context;
    struct group *group;

    if (groups->application && strcmp(groups->application, application) != 0)
        return true;
    mr_grow(groups->items, groups->count, groups->capacity);
    group = &groups->items[groups->count++];
    *group = (struct group){.home = groups->home};
    snprintf(group->stream, sizeof group->stream, "%s", groups->stream);
    snprintf(group->name, sizeof group->name, "%s", application);
    return true;
}

static bool visit_stream(void *context, const struct mr_stream_info *info)
{
    struct groups *groups = context;

    snprintf(groups->stream, sizeof groups->stream, "%s", info->name);
    return mr_lease_home_each(groups->home, info->name, add_group, groups, &groups->cli->error) ==
           MR_OK;
}

/* DynamoDB has a table for each application, which does not name its stream. */
static mr_status visit_home(struct groups *groups, const struct mr_lease_home *home)
{
    const char *stream = groups->options->stream;
    struct mr_cli *cli = groups->cli;
    mr_status status;

    groups->home = home;
    cli->error.status = MR_OK;
    if (stream)
        snprintf(groups->stream, sizeof groups->stream, "%s", stream);
    if (home->kind == MR_LEASES_DYNAMODB && groups->application) {
        add_group(groups, groups->application);
        return MR_OK;
    }
    if (stream)
        return mr_lease_home_each(home, stream, add_group, groups, &cli->error);
    status = mr_streams_each(&cli->place, true, visit_stream, groups, &cli->error);
    return status ? status : cli->error.status;
}

static bool add_row(void *context, const mr_lease *lease, const char *fault)
{
    struct group *group = context;
    struct row *row;

    mr_grow(group->rows, group->count, group->capacity);
    row = &group->rows[group->count++];
    *row = (struct row){.lease = *lease};
    snprintf(row->fault, sizeof row->fault, "%s", fault ? fault : "");
    return true;
}

static int compare_rows(const void *a, const void *b)
{
    mr_shard_id left = ((const struct row *)a)->lease.shard;
    mr_shard_id right = ((const struct row *)b)->lease.shard;

    return (left > right) - (left < right);
}

static mr_status read_rows(struct group *group, mr_lease_store *store, mr_error *error)
{
    mr_status status = store->list(store, add_row, group, error);

    if (group->count > 0)
        qsort(group->rows, group->count, sizeof *group->rows, compare_rows);
    return status;
}

static mr_status read_group(struct group *group, mr_error *error)
{
    mr_lease_store *store;
    mr_status status =
        mr_lease_home_open(group->home, group->stream, group->name, NULL, &store, error);

    if (status)
        return status;
    status = read_rows(group, store, error);
    mr_lease_store_close(store);
    return status;
}

static enum mr_exit find_homes(struct groups *groups)
{
    struct mr_remote_config remote = MR_REMOTE_CONFIG_DEFAULT;
    struct mr_cli *cli = groups->cli;
    const char *where = groups->options->leases;
    enum mr_exit code;

    if (where && strcmp(where, "memory") == 0)
        return mr_cli_misused(cli, "leases in memory are seen by their process alone");
    code = mr_lease_home_find(cli, where, &remote, &groups->homes[groups->home_count++]);
    if (!code && !where && cli->engine)
        code = mr_lease_home_find(cli, "engine", &remote, &groups->homes[groups->home_count++]);
    if (!code && groups->homes[0].kind == MR_LEASES_DYNAMODB && !groups->application)
        return mr_cli_misused(cli, "in DynamoDB each table may be an application: name one, "
                                   "`aws dynamodb list-tables` lists them");
    if (!code && groups->homes[0].kind == MR_LEASES_DYNAMODB && !groups->options->stream)
        return mr_cli_misused(cli,
                              "a table of DynamoDB does not say of which stream it is: -s STREAM");
    return code;
}

static enum mr_exit find_groups(struct groups *groups)
{
    struct mr_cli *cli = groups->cli;
    enum mr_exit code = find_homes(groups);

    if (code)
        return code;
    for (size_t i = 0; i < groups->home_count; i++)
        if (visit_home(groups, &groups->homes[i]))
            return mr_cli_failed(cli, groups->options->stream);
    for (size_t i = 0; i < groups->count; i++)
        if (read_group(&groups->items[i], &cli->error))
            return mr_cli_failed(cli, groups->items[i].stream);
    if (groups->count > 0 || !groups->application)
        return MR_EXIT_OK;
    mr_say("millrace: no application %s keeps leases here", groups->application);
    mr_say("try: millrace group ls          lists them");
    mr_say("     millrace group %s %s --leases FILE   looks elsewhere", cli->arguments[0],
           groups->application);
    return MR_EXIT_NOT_FOUND;
}

/* ---- lag ---------------------------------------------------------------------------------- */

/* How long the first record behind the checkpoint has waited; -1: it cannot be told. */
static int64_t lag_ms(struct groups *groups, const struct group *group, const mr_shard *shard,
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

static const char *home_name(const struct mr_lease_home *home)
{
    static const char *const names[] = {[MR_LEASES_ENGINE] = "engine",
                                        [MR_LEASES_DYNAMODB] = "dynamodb",
                                        [MR_LEASES_MEMORY] = "memory"};

    return home->kind == MR_LEASES_FILE ? home->path : names[home->kind];
}

struct sums {
    size_t ended, owned, worker_count;
};

static struct sums sum_up(const struct group *group)
{
    struct sums sums = {0};

    for (size_t i = 0; i < group->count; i++) {
        const mr_lease *lease = &group->rows[i].lease;
        size_t before = 0;

        sums.ended += lease->checkpoint.kind == MR_MARK_SHARD_END;
        if (!*lease->owner || lease->checkpoint.kind == MR_MARK_SHARD_END)
            continue;
        sums.owned++;
        while (before < i && strcmp(group->rows[before].lease.owner, lease->owner) != 0)
            before++;
        sums.worker_count += before == i;
    }
    return sums;
}

static void list_groups(const struct groups *groups)
{
    struct mr_table table =
        MR_TABLE("APPLICATION", "STREAM", ">SHARDS", ">ENDED", ">OWNED", ">WORKERS", "LEASES");
    struct mr_json_line line = MR_JSON_LINE;

    for (size_t i = 0; i < groups->count; i++) {
        const struct group *group = &groups->items[i];
        struct sums sums = sum_up(group);

        if (groups->options->common.json) {
            mr_json_open(&line, '{');
            mr_json_name(&line, "application");
            mr_json_text(&line, group->name);
            mr_json_name(&line, "stream");
            mr_json_text(&line, group->stream);
            mr_json_name(&line, "leases");
            mr_json_text(&line, home_name(group->home));
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
        mr_table_cell(&table, "%s", home_name(group->home));
    }
    mr_pack_fini(&line.pack);
    if (!groups->options->common.json)
        mr_table_print(&table);
}

static void show_json(struct mr_json_line *line, const struct group *group, const struct row *row,
                      int64_t lag)
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

static void show_row(struct mr_table *table, const struct row *row, int64_t lag)
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

static enum mr_exit show_groups(struct groups *groups)
{
    struct mr_cli *cli = groups->cli;

    for (size_t i = 0; i < groups->count; i++) {
        const struct group *group = &groups->items[i];
        struct mr_table table = MR_TABLE(">SHARD", "OWNER", ">LAG", "CHECKPOINT");
        struct mr_json_line line = MR_JSON_LINE;
        struct mr_shard_list list;

        if (mr_shard_list_read(&list, &cli->place, group->stream, &cli->error)) {
            mr_shard_list_fini(&list);
            return mr_cli_failed(cli, group->stream);
        }
        for (size_t at = 0; at < group->count; at++) {
            const struct row *row = &group->rows[at];
            const mr_shard *shard = shard_of(&list, row->lease.shard);
            int64_t lag = shard && !*row->fault ? lag_ms(groups, group, shard, &row->lease) : -1;

            if (groups->options->common.json)
                show_json(&line, group, row, lag);
            else
                show_row(&table, row, lag);
        }
        if (!groups->options->common.json) {
            printf("%s on %s, leases in %s\n", group->name, group->stream, home_name(group->home));
            mr_table_print(&table);
        }
        mr_pack_fini(&line.pack);
        mr_shard_list_fini(&list);
    }
    return MR_EXIT_OK;
}

/* ---- reset -------------------------------------------------------------------------------- */

/* Where a shard begins; one that had been closed by then is over. */
static mr_lease aim(const struct groups *groups, const mr_shard *shard, int64_t now_ms)
{
    mr_lease lease = {.shard = shard->id,
                      .parents = {shard->parent, shard->adjacent_parent},
                      .children = {MR_NO_SHARD, MR_NO_SHARD},
                      .has_range = true,
                      .first_key = shard->first_key,
                      .last_key = shard->last_key};
    int64_t from_ms = groups->to.kind == MR_WHEN_TIME ? groups->to.time_ms : now_ms;

    lease.checkpoint.kind = MR_MARK_TRIM_HORIZON;
    if (groups->to.kind == MR_WHEN_START)
        return lease;
    lease.checkpoint.kind = groups->to.kind == MR_WHEN_LATEST ? MR_MARK_LATEST : MR_MARK_AT_TIME;
    lease.began_ms = from_ms;
    /* A server tells whole seconds. */
    if (shard->is_closed &&
        (groups->to.kind == MR_WHEN_LATEST || shard->closed_ms + 1000 <= from_ms)) {
        lease.checkpoint.kind = MR_MARK_SHARD_END;
        lease.began_ms = 0;
    }
    return lease;
}

/* Whoever holds the lease finds another counter, and that it has lost it. */
static mr_status set_lease(mr_lease_store *store, const mr_lease *to, mr_error *error)
{
    mr_lease before, after;
    mr_status status;

    do {
        status = store->get(store, to->shard, &before, error);
        if (status == MR_NOT_FOUND) {
            status = store->create(store, to, error);
            if (status != MR_EXISTS)
                return status;
            status = MR_CONFLICT; /* somebody was faster */
            continue;
        }
        if (status)
            return status;
        after = before;
        after.checkpoint = to->checkpoint;
        after.began_ms = to->began_ms;
        after.owner[0] = after.handing[0] = 0;
        after.counter = before.counter + 1;
        status = store->update(store, &before, &after, error);
    } while (status == MR_CONFLICT || status == MR_NOT_FOUND);
    return status;
}

static mr_status reset_group(struct groups *groups, const struct group *group, size_t *count)
{
    struct mr_clock *clock = mr_clock_real();
    struct mr_cli *cli = groups->cli;
    int64_t now_ms = clock->wall_ms(clock);
    mr_lease_store *store = NULL;
    struct mr_shard_list list;
    mr_status status = mr_shard_list_read(&list, &cli->place, group->stream, &cli->error);

    *count = 0;
    if (!status)
        status =
            mr_lease_home_open(group->home, group->stream, group->name, NULL, &store, &cli->error);
    /* Parents first: then nobody begins at a child before theirs is set. */
    for (size_t i = 0; !status && i < list.count; i++, ++*count) {
        mr_lease to = aim(groups, &list.shards[i], now_ms);

        status = set_lease(store, &to, &cli->error);
    }
    mr_lease_store_close(store);
    mr_shard_list_fini(&list);
    return status;
}

static bool confirmed(const struct groups *groups)
{
    struct sums sums = sum_up(&groups->items[0]);
    char answer[16] = "";

    if (groups->options->yes || !isatty(STDIN_FILENO))
        return true;
    mr_say("%s of %s: %zu leases, %zu owned by %zu workers", groups->items[0].name,
           groups->items[0].stream, groups->items[0].count, sums.owned, sums.worker_count);
    fputs("begin again there? [y/N] ", stderr);
    return fgets(answer, sizeof answer, stdin) && (*answer == 'y' || *answer == 'Y');
}

static enum mr_exit reset(struct groups *groups)
{
    const struct group *group = &groups->items[0];
    struct mr_cli *cli = groups->cli;
    size_t count;

    if (groups->count > 1)
        return mr_cli_misused(cli,
                              "%s keeps leases of %s in %s and of %s in %s: choose one by "
                              "-s STREAM and --leases WHERE",
                              groups->application, group[0].stream, home_name(group[0].home),
                              group[1].stream, home_name(group[1].home));
    if (!confirmed(groups))
        return MR_EXIT_FAILED;
    if (reset_group(groups, group, &count))
        return mr_cli_failed(cli, group->stream);
    mr_say("%zu leases of %s begin at %s", count, group->name, groups->options->to);
    return MR_EXIT_OK;
}

/* ---- the command line --------------------------------------------------------------------- */

static enum mr_exit read_arguments(struct groups *groups)
{
    static const char *const names[] = {[LS] = "ls", [SHOW] = "show", [RESET] = "reset"};
    struct mr_clock *clock = mr_clock_real();
    struct mr_cli *cli = groups->cli;
    const char *name = cli->arguments[0], *to = groups->options->to;
    size_t task = 0;

    while (task <= RESET && strcmp(names[task], name) != 0)
        task++;
    if (task > RESET)
        return mr_cli_misused(cli, "it does ls, show and reset, not '%s'", name);
    groups->task = (enum task)task;
    groups->application = cli->argument_count > 1 ? cli->arguments[1] : NULL;
    if (task != LS && !groups->application)
        return mr_cli_misused(cli, "%s takes an APPLICATION: millrace group ls lists them", name);
    if ((task == RESET) != (to != NULL))
        return mr_cli_misused(cli, to ? "--to is for reset"
                                      : "reset takes --to start, latest or a time");
    if (to && (mr_when_parse(to, clock->wall_ms(clock), &groups->to, NULL) ||
               groups->to.kind == MR_WHEN_SEQUENCE))
        return mr_cli_misused(cli, "--to takes start, latest, -15m or a time, not '%s'", to);
    return MR_EXIT_OK;
}

enum mr_exit mr_command_group(struct mr_cli *cli)
{
    struct groups groups = {.cli = cli, .options = cli->options};
    enum mr_exit code = read_arguments(&groups);

    if (!code)
        code = mr_cli_reach(cli, false);
    if (!code)
        code = find_groups(&groups);
    if (!code && groups.task == LS)
        list_groups(&groups);
    if (!code && groups.task == SHOW)
        code = show_groups(&groups);
    if (!code && groups.task == RESET)
        code = reset(&groups);
    for (size_t i = 0; i < groups.count; i++)
        mr_free(groups.items[i].rows);
    mr_free(groups.items);
    for (size_t i = 0; i < groups.home_count; i++)
        mr_lease_home_fini(&groups.homes[i]);
    return code;
}
