/* leases.h - where the leases of consumer applications are kept, as commands are told. */
#ifndef MR_TOOLS_LEASES_H
#define MR_TOOLS_LEASES_H

#include "command.h"
#include "millrace-consumer.h"
#include "millrace-remote.h"

enum mr_lease_home_kind {
    MR_LEASES_FILE,
    MR_LEASES_ENGINE,
    MR_LEASES_DYNAMODB,
    MR_LEASES_MEMORY,
};

struct mr_lease_home {
    enum mr_lease_home_kind kind;
    char path[MR_PATH_BYTES]; /* FILE */
    mr_engine *engine;        /* ENGINE */
    mr_poster *poster;        /* DYNAMODB */
};

/*
 * Reads what --leases says: a file's path, "engine", "memory", "dynamodb" or its URL. NULL: DynamoDB
 * for streams of AWS, else leases.db in the data directory, which is made where it is missing. After
 * mr_cli_reach(). `remote` has the region and the keys for DynamoDB. Whatever fails has been said;
 * release with mr_lease_home_fini() in any case.
 */
enum mr_exit mr_lease_home_find(struct mr_cli *cli, const char *where,
                                const struct mr_remote_config *remote, struct mr_lease_home *home);
void mr_lease_home_fini(struct mr_lease_home *home);

/* table: of DynamoDB; NULL: the application's name. */
mr_status mr_lease_home_open(const struct mr_lease_home *home, const char *stream,
                             const char *application, const char *table, mr_lease_store **store,
                             mr_error *error);

/* Of a FILE that is not there: none. */
mr_status mr_lease_home_each(const struct mr_lease_home *home, const char *stream,
                             bool (*visit)(void *context, const char *application), void *context,
                             mr_error *error);

#endif
