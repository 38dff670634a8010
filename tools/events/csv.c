/* CSV by RFC 4180, but that a row is a line: separators , ; or a tab, quotes doubled inside quotes. */
#include "events/wanted.h"

#include <stdio.h>
#include <string.h>

/* Takes the next cell; false at the end of the line, or on a fault, which reader->why tells. */
static bool take_cell(struct mr_wanted *wanted, struct mr_line_reader *reader, const char **at,
                      const char *end, mr_bytes *cell)
{
    const char *start = *at, *stop;
    char *out;
    size_t size = 0;

    if (!start)
        return false;
    if (start == end || *start != '"') {
        stop = memchr(start, wanted->separator, (size_t)(end - start));
        *cell = (mr_bytes){start, (size_t)((stop ? stop : end) - start)};
        *at = stop ? stop + 1 : NULL;
        return true;
    }
    out = (char *)mr_arena_reserve(reader->arena, (size_t)(end - start));
    for (start++;; start++) {
        if (start == end)
            return mr_line_refuse(reader, "a quote without its end in this line");
        if (*start == '"' && (start + 1 == end || *++start != '"'))
            break;
        out[size++] = *start;
    }
    mr_arena_keep(reader->arena, size);
    *cell = (mr_bytes){out, size};
    start += *start == '"' && start + 1 == end;
    if (start < end && *start != wanted->separator)
        return mr_line_refuse(reader, "something between a quote and the next '%c'",
                              wanted->separator);
    *at = start < end ? start + 1 : NULL;
    return true;
}

static const char *end_of(mr_bytes line)
{
    const char *end = (const char *)line.data + line.size;

    return line.size && end[-1] == '\r' ? end - 1 : end;
}

bool mr_wanted_find_columns(struct mr_wanted *wanted, struct mr_line_reader *reader, mr_bytes line,
                            const bool is_needed[WANTED_MAX])
{
    static const char separators[] = ",;\t|", mark[] = "\xef\xbb\xbf";
    const char *at = line.data, *end = end_of(line);
    size_t most = 0;
    mr_bytes cell;

    if (line.size >= 3 && memcmp(at, mark, 3) == 0)
        at += 3;
    wanted->separator = ',';
    for (const char *one = separators; *one; one++) {
        size_t count = 0;

        for (const char *c = at; c < end; c++)
            count += *c == *one;
        if (count > most) {
            most = count;
            wanted->separator = *one;
        }
    }
    for (size_t i = 0; i < wanted->count; i++)
        wanted->columns[i] = SIZE_MAX;
    reader->why[0] = 0;
    for (wanted->column_count = 0; take_cell(wanted, reader, &at, end, &cell);
         wanted->column_count++)
        for (size_t i = 0; i < wanted->count; i++)
            if (strlen(wanted->names[i]) == cell.size &&
                memcmp(wanted->names[i], cell.data, cell.size) == 0)
                wanted->columns[i] = wanted->column_count;
    if (reader->why[0])
        return false;
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->columns[i] == SIZE_MAX && is_needed[i])
            return mr_line_refuse(reader, "its first line has no column '%s' but: %.*s",
                                  wanted->names[i], (int)(line.size < 90 ? line.size : 90),
                                  (const char *)line.data);
    return true;
}

bool mr_wanted_find_cells(struct mr_wanted *wanted, struct mr_line_reader *reader, mr_bytes line)
{
    const char *at = line.data, *end = end_of(line);
    size_t column = 0;
    mr_bytes cell;

    memset(wanted->values, 0, sizeof wanted->values);
    reader->why[0] = 0;
    for (; take_cell(wanted, reader, &at, end, &cell); column++)
        for (size_t i = 0; i < wanted->count; i++)
            if (wanted->columns[i] == column && cell.size > 0)
                wanted->values[i] = cell;
    if (reader->why[0])
        return false;
    return column == wanted->column_count ||
           mr_line_refuse(reader, "has %zu columns, not %zu", column, wanted->column_count);
}
