/*
 * file.h - many bridges from one file: a section for each, with the options of the command line.
 *
 *     [flights]                        # the bridge's name
 *     source = flights
 *     target = kafka://localhost:9092/flights
 *     kafka-property = linger.ms=20    # may come again
 *     at-least-once = true
 */
#ifndef MR_TOOLS_KAFKA_FILE_H
#define MR_TOOLS_KAFKA_FILE_H

#include "command.h"

struct mr_bridge_section {
    const char *source, *target;
    uint32_t line; /* of its head */
    struct mr_bridge_options options;
};

/* Start from {0}; release with mr_bridge_file_fini(). Texts point into it. */
struct mr_bridge_file {
    char *text;
    struct mr_bridge_section *items;
    size_t count, capacity;
};

/* Each section begins with the options of the command line. INVALID, or the file's trouble. */
mr_status mr_bridge_file_read(struct mr_bridge_file *file, const char *path,
                              const struct mr_option *table, const struct mr_bridge_options *begin,
                              mr_error *error);
mr_status mr_bridge_file_parse(struct mr_bridge_file *file, mr_bytes text, const char *path,
                               const struct mr_option *table, const struct mr_bridge_options *begin,
                               mr_error *error);
void mr_bridge_file_fini(struct mr_bridge_file *file);

#endif
