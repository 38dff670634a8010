/*
 * properties.h - the KCL's properties files: Java's syntax, the KCL's keys, and what they mean
 * together. Whatever is strange in one is told with its line.
 */
#ifndef MR_TOOLS_MULTILANG_PROPERTIES_H
#define MR_TOOLS_MULTILANG_PROPERTIES_H

#include "base/pack.h"
#include "millrace.h"

enum mr_key {
#define KEY(ID, ...) MR_KEY_##ID,
#include "properties.def"
    MR_KEY_COUNT,
};

/* Start from {0}; release with mr_kcl_properties_fini() in any case. */
struct mr_kcl_properties {
    char *values[MR_KEY_COUNT]; /* NULL: not given, or given without a value */
    unsigned lines[MR_KEY_COUNT];

    /* What they mean together: */
    char stream[MR_NAME_BYTES_MAX + 1];
    char region[64]; /* "": not told */
    char profile[128];
    char consumer_name[MR_NAME_BYTES_MAX + 1];
    mr_position from;
    bool is_fan_out, is_polling; /* neither: as it likes */
};

/* line 0: of the whole file. A fault makes the file useless, the rest is good to know. */
typedef void mr_kcl_properties_say(void *context, unsigned line, bool is_fault, const char *text);

/* INVALID: there were faults, which have been told. */
mr_status mr_kcl_properties_read(struct mr_kcl_properties *properties, mr_bytes text,
                                 mr_kcl_properties_say *say, void *context, mr_error *error);
void mr_kcl_properties_fini(struct mr_kcl_properties *properties);

/* Of a key that is not given: the fallback. */
uint64_t mr_kcl_properties_number(const struct mr_kcl_properties *properties, enum mr_key key,
                                  uint64_t fallback);
bool mr_kcl_properties_bool(const struct mr_kcl_properties *properties, enum mr_key key,
                            bool fallback);

/*
 * Java's syntax alone: visits keys and values, unescaped and NUL-terminated, valid during the call,
 * with their lines. False: a NUL stands in the text.
 */
bool mr_java_properties_each(mr_bytes text,
                             void (*visit)(void *context, unsigned line, const char *key,
                                           const char *value),
                             void *context);

#endif
