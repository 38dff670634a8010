/* group_reset.c - setting all leases of an application elsewhere, under its workers' hands. */
#include "group.h"
#include "os/clock.h"
#include "output.h"
#include "streams.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Where a shard begins; one that had been closed by then is over. */
static mr_lease aim(const struct mr_groups *groups, const mr_shard *shard, int64_t now_ms)
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

static mr_status reset_group(struct mr_groups *groups, const struct mr_group *group, size_t *count)
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

static bool confirmed(const struct mr_groups *groups)
{
    struct mr_group_sums sums = mr_group_sum_up(&groups->items[0]);
    char answer[16] = "";

    if (groups->options->yes || !isatty(STDIN_FILENO))
        return true;
    mr_say("%s of %s: %zu leases, %zu owned by %zu workers", groups->items[0].name,
           groups->items[0].stream, groups->items[0].count, sums.owned, sums.worker_count);
    fputs("begin again there? [y/N] ", stderr);
    return fgets(answer, sizeof answer, stdin) && (*answer == 'y' || *answer == 'Y');
}

enum mr_exit mr_groups_reset(struct mr_groups *groups)
{
    const struct mr_group *group = &groups->items[0];
    struct mr_cli *cli = groups->cli;
    size_t count;

    if (groups->count > 1)
        return mr_cli_misused(cli,
                              "%s keeps leases of %s in %s and of %s in %s: choose one by "
                              "-s STREAM and --leases WHERE",
                              groups->application, group[0].stream,
                              mr_lease_home_name(group[0].home), group[1].stream,
                              mr_lease_home_name(group[1].home));
    if (!confirmed(groups))
        return MR_EXIT_FAILED;
    if (reset_group(groups, group, &count))
        return mr_cli_failed(cli, group->stream);
    mr_say("%zu leases of %s begin at %s", count, group->name, groups->options->to);
    return MR_EXIT_OK;
}
