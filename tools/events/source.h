/* source.h - the bytes of a file or of standard input, gzip and zstd taken off. */
#ifndef MR_TOOLS_EVENTS_SOURCE_H
#define MR_TOOLS_EVENTS_SOURCE_H

#include "millrace.h"

#include <sys/types.h>

struct mr_source;

/* path NULL or "-": standard input. What it is packed with is seen by its first bytes. */
mr_status mr_source_open(struct mr_source **source, const char *path, mr_error *error);

/* As read(2): waits for the first bytes only; 0 is the end, -1 a failure, told by
 * mr_source_error(). CORRUPT: damaged or cut short, and all before it has been given out. */
ssize_t mr_source_read(struct mr_source *source, void *to, size_t bytes);
const mr_error *mr_source_error(const struct mr_source *source);

uint64_t mr_source_read_bytes(const struct mr_source *source); /* as stored, so far */
uint64_t mr_source_file_bytes(const struct mr_source *source); /* 0: not known */
void mr_source_close(struct mr_source *source);

#endif
