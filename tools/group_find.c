/* group_find.c - which applications keep leases where, and what is in them. */
#include "group.h"
#include "output.h"
#include "streams.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_group(void *context, const char *application)
{
    struct mr_groups *groups = context;
    struct mr_group *group;

    if (groups->application && strcmp(groups->application, application) != 0)
        return true;
    mr_grow(groups->items, groups->count, groups->capacity);
    group = &groups->items[groups->count++];
    *group = (struct mr_group){.home = groups->home};
    snprintf(group->stream, sizeof group->stream, "%s", groups->stream);
    snprintf(group->name, sizeof group->name, "%s", application);
    return true;
}

static bool visit_stream(void *context, const struct mr_stream_info *info)
{
    struct mr_groups *groups = context;

    snprintf(groups->stream, sizeof groups->stream, "%s", info->name);
    return mr_lease_home_each(groups->home, info->name, add_group, groups, &groups->cli->error) ==
           MR_OK;
}

/* DynamoDB has a table for each application, which does not name its stream. */
static mr_status visit_home(struct mr_groups *groups, const struct mr_lease_home *home)
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
    struct mr_group *group = context;
    struct mr_group_row *row;

    mr_grow(group->rows, group->count, group->capacity);
    row = &group->rows[group->count++];
    *row = (struct mr_group_row){.lease = *lease};
    snprintf(row->fault, sizeof row->fault, "%s", fault ? fault : "");
    return true;
}

static int compare_rows(const void *a, const void *b)
{
    mr_shard_id left = ((const struct mr_group_row *)a)->lease.shard;
    mr_shard_id right = ((const struct mr_group_row *)b)->lease.shard;

    return (left > right) - (left < right);
}

static mr_status read_rows(struct mr_group *group, mr_lease_store *store, mr_error *error)
{
    mr_status status = store->list(store, add_row, group, error);

    if (group->count > 0)
        qsort(group->rows, group->count, sizeof *group->rows, compare_rows);
    return status;
}

static mr_status read_group(struct mr_group *group, mr_error *error)
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

static enum mr_exit find_homes(struct mr_groups *groups)
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

enum mr_exit mr_groups_find(struct mr_groups *groups)
{
    struct mr_cli *cli = groups->cli;
    enum mr_exit code = find_homes(groups);
    size_t named_count;

    if (code)
        return code;
    for (size_t i = 0; i < groups->home_count; i++)
        if (visit_home(groups, &groups->homes[i]))
            return mr_cli_failed(cli, groups->options->stream);
    named_count = groups->count;
    groups->count = 0;
    for (size_t i = 0; i < named_count; i++) { /* a name without leases is none */
        struct mr_group *group = &groups->items[groups->count++];

        *group = groups->items[i];
        if (read_group(group, &cli->error))
            return mr_cli_failed(cli, group->stream);
        if (group->count == 0)
            groups->count--;
    }
    if (groups->count > 0 || !groups->application)
        return MR_EXIT_OK;
    mr_say("millrace: no application %s keeps leases here", groups->application);
    mr_say("try: millrace group ls          lists them");
    mr_say("     millrace group %s %s --leases FILE   looks elsewhere", cli->arguments[0],
           groups->application);
    return MR_EXIT_NOT_FOUND;
}

void mr_groups_fini(struct mr_groups *groups)
{
    for (size_t i = 0; i < groups->count; i++)
        mr_free(groups->items[i].rows);
    mr_free(groups->items);
    for (size_t i = 0; i < groups->home_count; i++)
        mr_lease_home_fini(&groups->homes[i]);
}

/* ---- what all of them want ---------------------------------------------------------------- */

const char *mr_lease_home_name(const struct mr_lease_home *home)
{
    static const char *const names[] = {[MR_LEASES_ENGINE] = "engine",
                                        [MR_LEASES_DYNAMODB] = "dynamodb",
                                        [MR_LEASES_MEMORY] = "memory"};

    return home->kind == MR_LEASES_FILE ? home->path : names[home->kind];
}

struct mr_group_sums mr_group_sum_up(const struct mr_group *group)
{
    struct mr_group_sums sums = {0};

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
