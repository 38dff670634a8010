/* property.h - small named values, in name order, each with the version of its last change. */
#ifndef MR_STREAM_PROPERTY_H
#define MR_STREAM_PROPERTY_H

#include "base/pack.h"
#include "base/scan.h"
#include "millrace.h"

struct mr_property {
    uint64_t version;
    size_t value_bytes;
    const uint8_t *value; /* behind the name's NUL */
    char name[];
};

/* Start from {0}; release with mr_properties_fini(). */
struct mr_properties {
    struct mr_property **items; /* by name */
    size_t count, capacity;
};

void mr_properties_fini(struct mr_properties *properties);

/* 1..512 bytes, none of them 0. */
bool mr_property_name_is_valid(mr_bytes name);

/* The index of the first property whose name is not below name. */
size_t mr_properties_at(const struct mr_properties *properties, const char *name);

/* NULL when it is not there. */
const struct mr_property *mr_properties_get(const struct mr_properties *properties,
                                            const char *name);

/* A value whose data is NULL removes. */
void mr_properties_set(struct mr_properties *properties, const char *name, mr_bytes value,
                       uint64_t version);

/* Names and values together. */
uint64_t mr_properties_bytes(const struct mr_properties *properties);

/* As stored in the catalog's snapshot; unpack into {0}. */
void mr_properties_pack(const struct mr_properties *properties, struct mr_pack *pack);
bool mr_properties_unpack(struct mr_properties *properties, struct mr_scan *scan);

#endif
