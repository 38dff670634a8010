#include "leases.h"

#include "base/fail.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "leases.db"

static bool is_aws(const struct mr_cli *cli)
{
    return cli->place.service && strstr(cli->endpoint, ".amazonaws.com");
}

static enum mr_exit name_file(struct mr_cli *cli, const char *where, struct mr_lease_home *home)
{
    int size;

    home->kind = MR_LEASES_FILE;
    if (!where && mr_cli_keep(cli))
        return mr_cli_failed(cli, NULL);
    size = where ? snprintf(home->path, sizeof home->path, "%s", where)
                 : snprintf(home->path, sizeof home->path, "%s/" FILE_NAME, cli->directory);
    if ((size_t)size >= sizeof home->path)
        return mr_cli_misused(cli, "the name of the lease file is too long");
    return MR_EXIT_OK;
}

static enum mr_exit connect_dynamodb(struct mr_cli *cli, const char *endpoint,
                                     const struct mr_remote_config *remote,
                                     struct mr_lease_home *home)
{
    struct mr_remote_config config = *remote;

    home->kind = MR_LEASES_DYNAMODB;
    config.endpoint = endpoint;
    return mr_poster_connect(&home->poster, &config, "dynamodb", &cli->error)
               ? mr_cli_failed(cli, NULL)
               : MR_EXIT_OK;
}

enum mr_exit mr_lease_home_find(struct mr_cli *cli, const char *where,
                                const struct mr_remote_config *remote, struct mr_lease_home *home)
{
    *home = (struct mr_lease_home){.engine = cli->engine};
    if (where ? strcmp(where, "dynamodb") == 0 : is_aws(cli))
        return connect_dynamodb(cli, NULL, remote, home);
    if (!where)
        return name_file(cli, NULL, home);
    if (strncmp(where, "http://", 7) == 0 || strncmp(where, "https://", 8) == 0)
        return connect_dynamodb(cli, where, remote, home);
    if (strcmp(where, "engine") == 0) {
        home->kind = MR_LEASES_ENGINE;
        if (!cli->engine)
            return mr_cli_misused(cli,
                                  "--leases engine works in a data directory, not over a server");
        return MR_EXIT_OK;
    }
    if (strcmp(where, "memory") == 0) {
        home->kind = MR_LEASES_MEMORY;
        return MR_EXIT_OK;
    }
    return name_file(cli, where, home);
}

void mr_lease_home_fini(struct mr_lease_home *home)
{
    mr_poster_close(home->poster);
}

mr_status mr_lease_home_open(const struct mr_lease_home *home, const char *stream,
                             const char *application, const char *table, mr_lease_store **store,
                             mr_error *error)
{
    switch (home->kind) {
    case MR_LEASES_ENGINE:
        return mr_lease_store_engine(store, home->engine, stream, application, error);
    case MR_LEASES_DYNAMODB:
        return mr_lease_store_dynamodb(store, home->poster, table ? table : application, error);
    case MR_LEASES_MEMORY:
        return mr_lease_store_memory(store, error);
    case MR_LEASES_FILE:
        break;
    }
    return mr_lease_store_file(store, home->path, stream, application, error);
}

mr_status mr_lease_home_each(const struct mr_lease_home *home, const char *stream,
                             bool (*visit)(void *context, const char *application), void *context,
                             mr_error *error)
{
    if (home->kind == MR_LEASES_ENGINE)
        return mr_applications_engine(home->engine, stream, visit, context, error);
    if (home->kind == MR_LEASES_FILE && access(home->path, F_OK) == 0)
        return mr_applications_file(home->path, stream, visit, context, error);
    return MR_OK;
}
