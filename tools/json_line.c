#include "json_line.h"

#include "base/json.h"

#include <string.h>

static void raw(struct mr_json_line *line, const char *text)
{
    mr_pack_bytes(&line->pack, (mr_bytes){text, strlen(text)});
}

static void begin_value(struct mr_json_line *line)
{
    if (line->comma)
        mr_pack_u8(&line->pack, ',');
    line->comma = true;
}

void mr_json_open(struct mr_json_line *line, char bracket)
{
    begin_value(line);
    mr_pack_u8(&line->pack, (uint8_t)bracket);
    line->comma = false;
}

void mr_json_close(struct mr_json_line *line, char bracket)
{
    mr_pack_u8(&line->pack, (uint8_t)bracket);
    line->comma = true;
}

void mr_json_name(struct mr_json_line *line, const char *name)
{
    begin_value(line);
    mr_pack_u8(&line->pack, '"');
    raw(line, name);
    raw(line, "\":");
    line->comma = false;
}

static void escape(struct mr_json_line *line, uint8_t byte)
{
    static const char escaped[] = "\"\\\n\t", letters[] = "\"\\nt";
    const char *found = memchr(escaped, byte, sizeof escaped - 1);
    char text[8] = {'\\', 0};

    if (found)
        text[1] = letters[found - escaped];
    else
        snprintf(text, sizeof text, "\\u%04x", byte);
    raw(line, text);
}

void mr_json_string(struct mr_json_line *line, mr_bytes utf8)
{
    const uint8_t *at = utf8.data, *end = at ? at + utf8.size : at;

    begin_value(line);
    mr_pack_u8(&line->pack, '"');
    while (at < end) {
        size_t size = mr_json_plain_bytes((mr_bytes){at, (size_t)(end - at)});

        while (at + size < end && at[size] >= 0x80)
            size++;
        mr_pack_bytes(&line->pack, (mr_bytes){at, size});
        at += size;
        if (at < end && *at < 0x80)
            escape(line, *at++);
    }
    mr_pack_u8(&line->pack, '"');
}

void mr_json_text(struct mr_json_line *line, const char *text)
{
    mr_json_string(line, (mr_bytes){text, strlen(text)});
}

void mr_json_count(struct mr_json_line *line, uint64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    begin_value(line);
    raw(line, text);
}

void mr_json_real(struct mr_json_line *line, double number)
{
    char text[330];

    snprintf(text, sizeof text, "%.3f", number);
    begin_value(line);
    raw(line, text);
}

void mr_json_figure(struct mr_json_line *line, double number)
{
    char text[40];

    snprintf(text, sizeof text, "%.5g", number);
    begin_value(line);
    raw(line, text);
}

void mr_json_bool(struct mr_json_line *line, bool value)
{
    begin_value(line);
    raw(line, value ? "true" : "false");
}

void mr_json_null(struct mr_json_line *line)
{
    begin_value(line);
    raw(line, "null");
}

void mr_json_print(struct mr_json_line *line, FILE *file)
{
    mr_pack_u8(&line->pack, '\n');
    fwrite(line->pack.data, 1, line->pack.size, file);
    line->pack.size = 0;
    line->comma = false;
}
