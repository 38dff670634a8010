/*
 * store_engine.c - leases in the engine: each is a property of the stream, "lease/APPLICATION/SHARD",
 * which is an entry of the same journal as the records.
 */
#include "lease.h"

#include "base/fail.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "lease/"
#define NAME_BYTES (sizeof PREFIX + MR_APPLICATION_BYTES_MAX + 1 + MR_SHARD_TEXT_BYTES)

struct engine_store {
    mr_lease_store store; /* first */
    mr_engine *engine;
    char stream[MR_NAME_BYTES_MAX + 1];
    char prefix[NAME_BYTES]; /* "lease/APPLICATION/" */
};

static struct engine_store *engine_of(mr_lease_store *store)
{
    return (struct engine_store *)(void *)store;
}

/* ---- reading ------------------------------------------------------------------------------ */

struct listing {
    size_t prefix_bytes;
    mr_lease_visit *visit;
    void *context;
};

static bool take(void *context, const char *name, mr_bytes value, uint64_t version)
{
    const struct listing *listing = context;
    const char *fault = "the name of its property is no shard's";
    mr_lease lease = mr_lease_of(MR_NO_SHARD, MR_MARK_TRIM_HORIZON);
    mr_shard_id shard;
    bool is_good = !mr_shard_parse(name + listing->prefix_bytes, &shard, NULL) &&
                   mr_lease_unpack(value, shard, &lease, &fault);
    (void)version;

    return listing->visit(listing->context, &lease, is_good ? NULL : fault);
}

static mr_status list(mr_lease_store *store, mr_lease_visit *visit, void *context, mr_error *error)
{
    const struct engine_store *at = engine_of(store);
    struct listing listing = {strlen(at->prefix), visit, context};

    return mr_property_each(at->engine, at->stream, at->prefix, take, &listing, error);
}

struct finding {
    const char *name;
    mr_shard_id shard;
    mr_lease lease;
    uint64_t version; /* 0: not found */
    const char *fault;
};

static bool find(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct finding *finding = context;

    if (strcmp(name, finding->name) != 0)
        return false; /* a longer one */
    finding->version = version;
    if (mr_lease_unpack(value, finding->shard, &finding->lease, &finding->fault))
        finding->fault = NULL;
    return false;
}

/* The lease and the version of its property. */
static mr_status look(struct engine_store *at, mr_shard_id shard, char name[NAME_BYTES],
                      struct finding *finding, mr_error *error)
{
    char text[MR_SHARD_TEXT_BYTES];
    mr_status status;

    mr_shard_format(shard, text);
    snprintf(name, NAME_BYTES, "%.*s%s", (int)(NAME_BYTES - sizeof text), at->prefix, text);
    *finding = (struct finding){.name = name, .shard = shard};
    status = mr_property_each(at->engine, at->stream, name, find, finding, error);
    if (status)
        return status;
    if (finding->version == 0)
        return mr_lease_missing(shard, error);
    return finding->fault ? mr_lease_damaged(shard, finding->fault, error) : MR_OK;
}

static mr_status get(mr_lease_store *store, mr_shard_id shard, mr_lease *lease, mr_error *error)
{
    struct finding finding;
    char name[NAME_BYTES];
    mr_status status = look(engine_of(store), shard, name, &finding, error);

    if (!status)
        *lease = finding.lease;
    return status;
}

/* ---- writing ------------------------------------------------------------------------------ */

static mr_status set(struct engine_store *at, const char *name, const mr_lease *lease,
                     uint64_t version, mr_error *error)
{
    struct mr_pack pack = MR_PACK(MR_LEASE_BYTES_MAX);
    mr_status status;

    mr_lease_pack(&pack, lease);
    status = mr_property_set(at->engine, at->stream, name, (mr_bytes){pack.data, pack.size},
                             version, NULL, error);
    mr_pack_fini(&pack);
    return status;
}

static mr_status create(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    struct engine_store *at = engine_of(store);
    struct finding finding;
    char name[NAME_BYTES];
    mr_error ignored;
    mr_status status = look(at, lease->shard, name, &finding, &ignored);

    if (status == MR_OK || status == MR_CORRUPT)
        return mr_lease_exists(lease->shard, error);
    status = set(at, name, lease, 0, error);
    return status == MR_CONFLICT ? mr_lease_exists(lease->shard, error) : status;
}

/* The row, if it is the expected one; and the version that it keeps until somebody changes it. */
static mr_status expect(struct engine_store *at, const mr_lease *expected, char name[NAME_BYTES],
                        uint64_t *version, mr_error *error)
{
    struct finding finding;
    mr_status status = look(at, expected->shard, name, &finding, error);

    if (status)
        return status;
    *version = finding.version;
    return finding.lease.counter == expected->counter
               ? MR_OK
               : mr_lease_conflict(expected->shard, finding.lease.counter, expected->counter,
                                   error);
}

static mr_status update(mr_lease_store *store, const mr_lease *from, const mr_lease *to,
                        mr_error *error)
{
    struct engine_store *at = engine_of(store);
    char name[NAME_BYTES];
    uint64_t version;
    mr_status status = expect(at, from, name, &version, error);

    return status ? status : set(at, name, to, version, error);
}

static mr_status remove_lease(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    struct engine_store *at = engine_of(store);
    char name[NAME_BYTES];
    uint64_t version;
    mr_status status = expect(at, lease, name, &version, error);

    return status ? status
                  : mr_property_set(at->engine, at->stream, name, (mr_bytes){NULL, 0}, version,
                                    NULL, error);
}

/* ---- open and close ----------------------------------------------------------------------- */

static void close_store(mr_lease_store *store)
{
    mr_free(engine_of(store));
}

mr_status mr_lease_store_engine(mr_lease_store **store, mr_engine *engine, const char *stream,
                                const char *application, mr_error *error)
{
    struct engine_store *at;
    mr_status status = mr_application_check(application, error);

    if (status)
        return status;
    if (strlen(stream) > MR_NAME_BYTES_MAX)
        return mr_fail(error, MR_INVALID, "a stream's name has at most %d bytes",
                       MR_NAME_BYTES_MAX);
    at = mr_new(struct engine_store);
    at->store = (mr_lease_store){list, get, create, update, remove_lease, close_store};
    at->engine = engine;
    strcpy(at->stream, stream);
    snprintf(at->prefix, sizeof at->prefix, PREFIX "%s/", application);
    *store = &at->store;
    return MR_OK;
}

/* ---- applications ------------------------------------------------------------------------- */

struct naming {
    char last[MR_APPLICATION_BYTES_MAX + 1];
    bool (*visit)(void *context, const char *application);
    void *context;
};

static bool name_one(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct naming *naming = context;
    const char *application = name + strlen(PREFIX), *end = strchr(application, '/');
    size_t size = end ? (size_t)(end - application) : 0;
    (void)value;
    (void)version;

    if (size == 0 || size > MR_APPLICATION_BYTES_MAX ||
        (strncmp(naming->last, application, size) == 0 && !naming->last[size]))
        return true;
    memcpy(naming->last, application, size);
    naming->last[size] = 0;
    return naming->visit(naming->context, naming->last);
}

mr_status mr_applications_engine(mr_engine *engine, const char *stream,
                                 bool (*visit)(void *context, const char *application),
                                 void *context, mr_error *error)
{
    struct naming naming = {.visit = visit, .context = context};

    return mr_property_each(engine, stream, PREFIX, name_one, &naming, error);
}
