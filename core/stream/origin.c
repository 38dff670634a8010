#include "stream/origin.h"

#include "base/fail.h"
#include "base/memory.h"
#include "stream/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "origin/"
#define PREFIX_BYTES (sizeof PREFIX - 1)
#define POSITION_BYTES 8

struct mr_origin_claim {
    struct mr_origin_claim *next;
    struct mr_pack entry;
    char stream[MR_NAME_BYTES_MAX + 1];
    char property[PREFIX_BYTES + MR_ORIGIN_BYTES_MAX + 1];
};

void mr_origins_init(struct mr_origins *origins)
{
    origins->claims = NULL;
    pthread_mutex_init(&origins->lock, NULL);
}

static void free_claim(struct mr_origin_claim *claim)
{
    mr_pack_fini(&claim->entry);
    mr_free(claim);
}

void mr_origins_fini(struct mr_origins *origins)
{
    struct mr_origin_claim *claim;

    while ((claim = origins->claims)) {
        origins->claims = claim->next;
        free_claim(claim);
    }
    pthread_mutex_destroy(&origins->lock);
}

bool mr_origin_is_property(mr_bytes name)
{
    return name.size > PREFIX_BYTES && memcmp(name.data, PREFIX, PREFIX_BYTES) == 0;
}

static bool is_name(const char *name)
{
    size_t size = name ? strnlen(name, MR_ORIGIN_BYTES_MAX + 1) : 0;

    return size >= 1 && size <= MR_ORIGIN_BYTES_MAX;
}

static mr_status bad_name(mr_error *error)
{
    return mr_fail(error, MR_INVALID, "an origin's name has 1 to %d bytes", MR_ORIGIN_BYTES_MAX);
}

mr_status mr_origin_check(const mr_origin *origin, mr_error *error)
{
    if (!is_name(origin->name))
        return bad_name(error);
    if (origin->to <= origin->from)
        return mr_fail(error, MR_INVALID, "records of origin %.200s end before they begin",
                       origin->name);
    return MR_OK;
}

/* ---- positions ---------------------------------------------------------------------------- */

/* Little-endian, as all numbers on disk. */
static uint64_t position_of(const struct mr_property *property)
{
    uint64_t position = 0;

    for (size_t i = 0; property && i < property->value_bytes && i < POSITION_BYTES; i++)
        position |= (uint64_t)property->value[i] << (8 * i);
    return position;
}

struct known {
    bool is_there, has_room; /* has_room: for a property of that name */
    uint32_t stream;
    uint64_t position;
};

static struct known look(struct mr_engine *engine, const char *stream, const char *property)
{
    struct mr_catalog *catalog = &engine->catalog;
    struct known known = {0};
    const struct mr_stream *found;

    pthread_rwlock_rdlock(&catalog->lock);
    found = mr_catalog_find(catalog, stream);
    if (found) {
        const struct mr_property *at = mr_properties_get(&found->properties, property);

        known = (struct known){.is_there = true,
                               .has_room = at || catalog->property_bytes < MR_PROPERTIES_BYTES_MAX,
                               .stream = found->id,
                               .position = position_of(at)};
    }
    pthread_rwlock_unlock(&catalog->lock);
    return known;
}

mr_status mr_origin_position(mr_engine *engine, const char *stream, const char *origin,
                             uint64_t *position, mr_error *error)
{
    char property[PREFIX_BYTES + MR_ORIGIN_BYTES_MAX + 1];
    struct known known;

    if (!is_name(origin))
        return bad_name(error);
    snprintf(property, sizeof property, PREFIX "%s", origin);
    known = look(engine, stream, property);
    if (!known.is_there)
        return mr_no_stream(stream, error);
    *position = known.position;
    return MR_OK;
}

/* ---- claims ------------------------------------------------------------------------------- */

/* False: somebody else has it. */
static bool add_claim(struct mr_origins *origins, struct mr_origin_claim *claim)
{
    const struct mr_origin_claim *other;

    pthread_mutex_lock(&origins->lock);
    other = origins->claims;
    while (other && (strcmp(other->stream, claim->stream) != 0 ||
                     strcmp(other->property, claim->property) != 0))
        other = other->next;
    if (!other) {
        claim->next = origins->claims;
        origins->claims = claim;
    }
    pthread_mutex_unlock(&origins->lock);
    return !other;
}

static mr_status judge(const mr_origin *origin, const char *stream, const struct known *known,
                       mr_error *error)
{
    if (!known->is_there) /* it has its route already, and is not durable yet */
        return mr_fail(error, MR_BUSY, "stream %.60s is being made: try again", stream);
    if (origin->from < known->position)
        return mr_fail(error, MR_CONFLICT,
                       "stream %.60s has origin %.60s up to %" PRIu64 ": it does not take %" PRIu64
                       " again",
                       stream, origin->name, known->position, origin->from);
    if (!known->has_room)
        return mr_fail(error, MR_LIMIT, "properties take more than %" PRIu64 " bytes",
                       MR_PROPERTIES_BYTES_MAX);
    return MR_OK;
}

static void make_entry(struct mr_origin_claim *claim, uint32_t stream, uint64_t position)
{
    uint8_t value[POSITION_BYTES];

    for (size_t i = 0; i < POSITION_BYTES; i++)
        value[i] = (uint8_t)(position >> (8 * i));
    mr_pack_property(&claim->entry, MR_SCOPE_STREAM(stream), claim->property,
                     (mr_bytes){value, sizeof value}, MR_ANY_VERSION);
}

mr_status mr_origin_claim(struct mr_engine *engine, const char *stream, const mr_origin *origin,
                          struct mr_origin_claim **out, mr_error *error)
{
    struct mr_origin_claim *claim = mr_new(struct mr_origin_claim);
    struct known known;
    mr_status status;

    snprintf(claim->stream, sizeof claim->stream, "%s", stream);
    snprintf(claim->property, sizeof claim->property, PREFIX "%s", origin->name);
    if (!add_claim(&engine->origins, claim)) {
        free_claim(claim);
        return mr_fail(error, MR_BUSY, "a put of origin %.100s is under way: try again",
                       origin->name);
    }
    known = look(engine, stream, claim->property);
    status = judge(origin, stream, &known, error);
    if (status) {
        mr_origin_release(engine, claim);
        return status;
    }
    make_entry(claim, known.stream, origin->to);
    *out = claim;
    return MR_OK;
}

mr_bytes mr_origin_entry(const struct mr_origin_claim *claim)
{
    return (mr_bytes){claim->entry.data, claim->entry.size};
}

void mr_origin_release(struct mr_engine *engine, struct mr_origin_claim *claim)
{
    struct mr_origin_claim **at = &engine->origins.claims;

    if (!claim)
        return;
    pthread_mutex_lock(&engine->origins.lock);
    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    pthread_mutex_unlock(&engine->origins.lock);
    free_claim(claim);
}
