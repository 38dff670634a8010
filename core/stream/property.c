#include "stream/property.h"

#include "base/memory.h"

#include <string.h>

void mr_properties_fini(struct mr_properties *properties)
{
    for (size_t i = 0; i < properties->count; i++)
        mr_free(properties->items[i]);
    mr_free(properties->items);
    *properties = (struct mr_properties){0};
}

bool mr_property_name_is_valid(mr_bytes name)
{
    return name.size >= 1 && name.size <= MR_PROPERTY_NAME_BYTES_MAX &&
           !memchr(name.data, 0, name.size);
}

size_t mr_properties_at(const struct mr_properties *properties, const char *name)
{
    size_t low = 0, high = properties->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(properties->items[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct mr_properties *properties, size_t index, const char *name)
{
    return index < properties->count && strcmp(properties->items[index]->name, name) == 0;
}

const struct mr_property *mr_properties_get(const struct mr_properties *properties,
                                            const char *name)
{
    size_t index = mr_properties_at(properties, name);

    return is_at(properties, index, name) ? properties->items[index] : NULL;
}

static struct mr_property *property_of(mr_bytes name, mr_bytes value, uint64_t version)
{
    struct mr_property *property = mr_alloc(sizeof *property + name.size + 1 + value.size);
    char *behind = property->name + name.size + 1;

    memcpy(property->name, name.data, name.size);
    property->name[name.size] = '\0';
    if (value.size)
        memcpy(behind, value.data, value.size);
    property->version = version;
    property->value_bytes = value.size;
    property->value = (const uint8_t *)behind;
    return property;
}

static void insert(struct mr_properties *properties, size_t index, struct mr_property *property)
{
    mr_grow(properties->items, properties->count, properties->capacity);
    memmove(properties->items + index + 1, properties->items + index,
            (properties->count - index) * sizeof *properties->items);
    properties->items[index] = property;
    properties->count++;
}

static void remove_at(struct mr_properties *properties, size_t index)
{
    mr_free(properties->items[index]);
    properties->count--;
    memmove(properties->items + index, properties->items + index + 1,
            (properties->count - index) * sizeof *properties->items);
}

void mr_properties_set(struct mr_properties *properties, const char *name, mr_bytes value,
                       uint64_t version)
{
    size_t index = mr_properties_at(properties, name);
    bool is_there = is_at(properties, index, name);
    struct mr_property *property;

    if (!value.data) {
        if (is_there)
            remove_at(properties, index);
        return;
    }
    property = property_of((mr_bytes){name, strlen(name)}, value, version);
    if (is_there) {
        mr_free(properties->items[index]);
        properties->items[index] = property;
    } else {
        insert(properties, index, property);
    }
}

uint64_t mr_properties_bytes(const struct mr_properties *properties)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < properties->count; i++)
        bytes += strlen(properties->items[i]->name) + properties->items[i]->value_bytes;
    return bytes;
}

void mr_properties_pack(const struct mr_properties *properties, struct mr_pack *pack)
{
    mr_pack_varint(pack, properties->count);
    for (size_t i = 0; i < properties->count; i++) {
        const struct mr_property *property = properties->items[i];

        mr_pack_varint(pack, property->version);
        mr_pack_string(pack, (mr_bytes){property->name, strlen(property->name)});
        mr_pack_string(pack, (mr_bytes){property->value, property->value_bytes});
    }
}

bool mr_properties_unpack(struct mr_properties *properties, struct mr_scan *scan)
{
    uint64_t count = mr_scan_varint(scan);

    for (uint64_t i = 0; i < count; i++) {
        uint64_t version = mr_scan_varint(scan);
        mr_bytes name = mr_scan_string(scan), value = mr_scan_string(scan);
        struct mr_property *property;

        if (mr_scan_failed(scan) || version == 0 || !mr_property_name_is_valid(name) ||
            value.size > MR_PROPERTY_VALUE_BYTES_MAX)
            return false;
        property = property_of(name, value, version);
        if (i > 0 && strcmp(properties->items[i - 1]->name, property->name) >= 0) {
            mr_free(property);
            return false;
        }
        insert(properties, properties->count, property);
    }
    return !mr_scan_failed(scan);
}
