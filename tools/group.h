/* group.h - the applications that read streams, and their leases: what the parts of `group` share. */
#ifndef MR_TOOLS_GROUP_H
#define MR_TOOLS_GROUP_H

#include "leases.h"
#include "when.h"

#define MR_GROUP_HOMES_MAX 2

enum mr_group_task { MR_GROUP_LS, MR_GROUP_SHOW, MR_GROUP_RESET };

/* An application's leases of one stream. */
struct mr_group {
    const struct mr_lease_home *home;
    char stream[MR_NAME_BYTES_MAX + 1];
    char name[MR_APPLICATION_BYTES_MAX + 1];
    struct mr_group_row {
        mr_lease lease;
        char fault[128]; /* "": it can be read */
    } * rows;
    size_t count, capacity;
};

struct mr_groups {
    struct mr_cli *cli;
    const struct mr_group_options *options;
    enum mr_group_task task;
    const char *application; /* NULL: all */
    struct mr_lease_home homes[MR_GROUP_HOMES_MAX];
    size_t home_count;
    struct mr_group *items;
    size_t count, capacity;
    const struct mr_lease_home *home; /* of those being visited */
    char stream[MR_NAME_BYTES_MAX + 1];
    struct mr_when to; /* RESET */
};

/* Finds the applications that are asked for and reads their leases, in shard order. Whatever fails
 * has been said; release with mr_groups_fini() in any case. */
enum mr_exit mr_groups_find(struct mr_groups *groups);
void mr_groups_fini(struct mr_groups *groups);

/* Sets the one application that was found elsewhere. */
enum mr_exit mr_groups_reset(struct mr_groups *groups);

struct mr_group_sums {
    size_t ended, owned, worker_count;
};

struct mr_group_sums mr_group_sum_up(const struct mr_group *group);

/* As --leases takes it. */
const char *mr_lease_home_name(const struct mr_lease_home *home);

#endif
