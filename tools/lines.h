/* lines.h - lines of a file, a pipe or any other source, without copying them. */
#ifndef MR_TOOLS_LINES_H
#define MR_TOOLS_LINES_H

#include "millrace.h"

#include <sys/types.h>

#define MR_LINE_BYTES_MAX ((size_t)64 << 20) /* lines of so many bytes are too long */

struct mr_lines {
    int file;
    /* Where bytes come from if not from the file: as read(2), errno included. May be set after init. */
    ssize_t (*read)(void *context, void *to, size_t bytes);
    void *context;
    uint8_t *data;                     /* data[start .. end) is read and not given out */
    size_t start, seen, end, capacity; /* no newline before seen */
    uint64_t number;                   /* of the line given out last, from 1 */
    uint64_t byte_count;               /* given out so far */
    bool at_end, skipping;
    int os_errno; /* why reading ended before the end, or 0 */
};

void mr_lines_init(struct mr_lines *lines, int file);
void mr_lines_fini(struct mr_lines *lines);

enum mr_line { MR_LINE_NONE, MR_LINE_GOOD, MR_LINE_TOO_LONG };

/* The next line that is at hand, without its newline; valid until mr_lines_fill(). NONE: fill. */
enum mr_line mr_lines_next(struct mr_lines *lines, mr_bytes *line);

/* All that is at hand, for who sees by himself where its first line ends: behind so many bytes, a
 * newline the last of them. No line is under way that is too long. */
static inline mr_bytes mr_lines_rest(const struct mr_lines *lines)
{
    return (mr_bytes){lines->data + lines->start, lines->skipping ? 0 : lines->end - lines->start};
}
static inline void mr_lines_pass(struct mr_lines *lines, size_t bytes)
{
    lines->start = lines->seen = lines->start + bytes;
    lines->byte_count += bytes;
    lines->number++;
}

/* Waits for more input. False at the end: after an interrupt, too, or an error. */
bool mr_lines_fill(struct mr_lines *lines);

#endif
