/* properties.c - setting and visiting them; what they are kept in is property.h. */
#include "base/fail.h"
#include "base/memory.h"
#include "stream/engine.h"

#include <inttypes.h>
#include <string.h>

/* ---- set ---------------------------------------------------------------------------------- */

/* Sets *scope, the engine's at first, to the stream's if there is one. */
static mr_status scope_of(struct mr_engine *engine, const char *stream, uint64_t *scope,
                          mr_error *error)
{
    const struct mr_stream *found;

    if (!stream)
        return MR_OK;
    pthread_rwlock_rdlock(&engine->catalog.lock);
    found = mr_catalog_find(&engine->catalog, stream);
    if (found)
        *scope = MR_SCOPE_STREAM(found->id);
    pthread_rwlock_unlock(&engine->catalog.lock);
    return found ? MR_OK : mr_no_stream(stream, error);
}

/* What apply() said; value is the property's version then. */
static mr_status answer(mr_status status, uint64_t value, const char *stream, const char *name,
                        uint64_t expected_version, mr_error *error)
{
    switch (status) {
    case MR_OK:
        return MR_OK;
    case MR_NOT_FOUND:
        return mr_no_stream(stream, error);
    case MR_CONFLICT:
        return mr_fail(error, MR_CONFLICT, "property %.100s has version %" PRIu64 ", not %" PRIu64,
                       name, value, expected_version);
    default:
        return mr_fail(error, status, "properties take more than %" PRIu64 " bytes",
                       MR_PROPERTIES_BYTES_MAX);
    }
}

mr_status mr_property_set(mr_engine *engine, const char *stream, const char *name, mr_bytes value,
                          uint64_t expected_version, uint64_t *version, mr_error *error)
{
    struct mr_pack entry = {0};
    struct mr_log_append append = {0};
    uint64_t scope = MR_SCOPE_ENGINE;
    mr_status status;

    if (!mr_property_name_is_valid((mr_bytes){name, strlen(name)}) ||
        value.size > MR_PROPERTY_VALUE_BYTES_MAX)
        return mr_fail(error, MR_LIMIT,
                       "a property's name has 1 to %d bytes and its value at most %u",
                       MR_PROPERTY_NAME_BYTES_MAX, MR_PROPERTY_VALUE_BYTES_MAX);
    status = scope_of(engine, stream, &scope, error);
    if (status)
        return status;
    mr_pack_property(&entry, scope, name, value, expected_version);
    append.entry = (mr_bytes){entry.data, entry.size};
    status = mr_log_append_wait(engine->log, &append, MR_PUT_WAIT_MS, error);
    mr_pack_fini(&entry);
    if (!status)
        status =
            answer(append.entry_status, append.entry_value, stream, name, expected_version, error);
    if (!status && version)
        *version = append.entry_value;
    return status;
}

/* ---- visit -------------------------------------------------------------------------------- */

/* A copy of the next property, for visit() runs without our lock. */
struct visited {
    char name[MR_PROPERTY_NAME_BYTES_MAX + 1]; /* the last one's, or the prefix */
    bool is_first;
    uint8_t *value;
    size_t value_bytes, value_capacity;
    uint64_t version;
};

static bool copy_next(const struct mr_properties *properties, const char *prefix,
                      struct visited *visited)
{
    size_t index = mr_properties_at(properties, visited->name);
    const struct mr_property *property;

    if (!visited->is_first && index < properties->count &&
        strcmp(properties->items[index]->name, visited->name) == 0)
        index++;
    if (index == properties->count)
        return false;
    property = properties->items[index];
    if (strncmp(property->name, prefix, strlen(prefix)) != 0)
        return false;
    memcpy(visited->name, property->name, strlen(property->name) + 1);
    visited->is_first = false;
    visited->version = property->version;
    visited->value_bytes = property->value_bytes;
    if (visited->value_capacity <= property->value_bytes) {
        visited->value_capacity = 2 * property->value_bytes + 64;
        visited->value = mr_resize(visited->value, visited->value_capacity);
    }
    memcpy(visited->value, property->value, property->value_bytes);
    return true;
}

mr_status mr_property_each(mr_engine *engine, const char *stream, const char *prefix,
                           bool (*visit)(void *context, const char *name, mr_bytes value,
                                         uint64_t version),
                           void *context, mr_error *error)
{
    struct mr_catalog *catalog = &engine->catalog;
    struct visited visited = {.is_first = true};
    struct mr_stream *found = NULL;
    bool is_there;

    if (strlen(prefix) > MR_PROPERTY_NAME_BYTES_MAX)
        return MR_OK; /* no name is so long */
    memcpy(visited.name, prefix, strlen(prefix) + 1);
    if (stream) {
        pthread_rwlock_rdlock(&catalog->lock);
        found = mr_catalog_find(catalog, stream);
        if (found)
            mr_stream_take(found);
        pthread_rwlock_unlock(&catalog->lock);
        if (!found)
            return mr_no_stream(stream, error);
    }
    do {
        pthread_rwlock_rdlock(&catalog->lock);
        is_there = copy_next(found ? &found->properties : &catalog->properties, prefix, &visited);
        pthread_rwlock_unlock(&catalog->lock);
    } while (is_there && visit(context, visited.name,
                               (mr_bytes){visited.value, visited.value_bytes}, visited.version));
    mr_free(visited.value);
    mr_stream_give(found);
    return MR_OK;
}
