#include "lines.h"

#include "base/memory.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES ((size_t)256 << 10) /* stays near the processor */

static ssize_t read_file(void *context, void *to, size_t bytes)
{
    const struct mr_lines *lines = context;

    return read(lines->file, to, bytes);
}

void mr_lines_init(struct mr_lines *lines, int file)
{
    *lines = (struct mr_lines){
        .file = file, .read = read_file, .context = lines, .capacity = FIRST_BYTES};
    lines->data = mr_alloc(lines->capacity);
}

void mr_lines_fini(struct mr_lines *lines)
{
    mr_free(lines->data);
    lines->data = NULL;
}

/* The line that ends before `end` is done with. */
static enum mr_line give(struct mr_lines *lines, size_t end, size_t next, mr_bytes *line)
{
    enum mr_line kind = lines->skipping ? MR_LINE_TOO_LONG : MR_LINE_GOOD;

    *line = (mr_bytes){lines->data + lines->start, end - lines->start};
    lines->byte_count += next - lines->start;
    lines->start = lines->seen = next;
    lines->number++;
    lines->skipping = false;
    return kind;
}

enum mr_line mr_lines_next(struct mr_lines *lines, mr_bytes *line)
{
    uint8_t *newline = memchr(lines->data + lines->seen, '\n', lines->end - lines->seen);

    if (newline) {
        size_t end = (size_t)(newline - lines->data);
        return give(lines, end, end + 1, line);
    }
    lines->seen = lines->end;
    if (lines->at_end && (lines->end > lines->start || lines->skipping))
        return give(lines, lines->end, lines->end, line);
    return MR_LINE_NONE;
}

bool mr_lines_fill(struct mr_lines *lines)
{
    ssize_t got;

    if (lines->at_end)
        return false;
    if (lines->end - lines->start >= MR_LINE_BYTES_MAX) {
        lines->skipping = true;
        lines->byte_count += lines->end - lines->start;
        lines->start = lines->end;
    }
    if (lines->start > 0) {
        memmove(lines->data, lines->data + lines->start, lines->end - lines->start);
        lines->end -= lines->start;
        lines->seen -= lines->start < lines->seen ? lines->start : lines->seen;
        lines->start = 0;
    }
    if (lines->end == lines->capacity) {
        lines->capacity *= 2;
        lines->data = mr_resize(lines->data, lines->capacity);
    }
    got = lines->read(lines->context, lines->data + lines->end, lines->capacity - lines->end);
    if (got > 0) {
        lines->end += (size_t)got;
        return true;
    }
    if (got < 0)
        lines->os_errno = errno;
    lines->at_end = true;
    if (got < 0)
        lines->start = lines->seen = lines->end; /* half a line is none */
    return got == 0 && (lines->end > lines->start || lines->skipping);
}
