/*
 * format.h - the file FORMAT, by which a directory says what it is: three lines of text.
 *
 *     millrace directory, format 1
 *     id <16 hex digits>
 *     checksum <16 hex digits: XXH3-64 of the lines before>
 */
#ifndef MR_LOG_FORMAT_H
#define MR_LOG_FORMAT_H

#include "os/clock.h"
#include "os/fs.h"

#define DIRECTORY_FORMAT 1

uint64_t mr_format_new_id(struct mr_clock *clock);

mr_status mr_format_write(struct mr_fs *fs, const char *directory, uint64_t directory_id,
                          mr_error *error);

/* NOT_FOUND: there is no such file. FORMAT: a newer one. CORRUPT. */
mr_status mr_format_read(struct mr_fs *fs, const char *directory, uint64_t *directory_id,
                         mr_error *error);

#endif
