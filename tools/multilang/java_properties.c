/*
 * java_properties.c - Java's properties files: "key = value", "key: value", "key value", comments, lines that
 * go on behind a backslash, escapes. Blanks behind a value are dropped, as the KCL does.
 */
#include "properties.h"

#include "base/memory.h"

#include <string.h>

struct reading {
    const char *at, *end;
    unsigned line;
};

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\f';
}

static bool is_end_of_line(char byte)
{
    return byte == '\n' || byte == '\r';
}

static void skip_blanks(struct reading *reading)
{
    while (reading->at < reading->end && is_blank(*reading->at))
        reading->at++;
}

/* The end of a line, in any system's way. */
static void skip_end_of_line(struct reading *reading)
{
    bool is_pair =
        reading->end - reading->at > 1 && reading->at[0] == '\r' && reading->at[1] == '\n';

    reading->at += is_pair ? 2 : 1;
    reading->line++;
}

static void skip_line(struct reading *reading)
{
    while (reading->at < reading->end && !is_end_of_line(*reading->at))
        reading->at++;
}

/* ---- characters --------------------------------------------------------------------------- */

static bool take_unit(struct reading *reading, uint32_t *unit)
{
    *unit = 0;
    if (reading->end - reading->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char digit = reading->at[i];
        uint32_t value = digit >= '0' && digit <= '9'   ? (uint32_t)(digit - '0')
                         : digit >= 'a' && digit <= 'f' ? (uint32_t)(digit - 'a' + 10)
                         : digit >= 'A' && digit <= 'F' ? (uint32_t)(digit - 'A' + 10)
                                                        : 16;

        if (value == 16)
            return false;
        *unit = *unit << 4 | value;
    }
    reading->at += 4;
    return true;
}

static void add_utf8(struct mr_pack *out, uint32_t point)
{
    if (point < 0x80) {
        mr_pack_u8(out, (uint8_t)point);
        return;
    }
    if (point >= 0x10000) {
        mr_pack_u8(out, (uint8_t)(0xf0 | point >> 18));
        mr_pack_u8(out, (uint8_t)(0x80 | (point >> 12 & 0x3f)));
    } else if (point >= 0x800) {
        mr_pack_u8(out, (uint8_t)(0xe0 | point >> 12));
    }
    mr_pack_u8(out, point >= 0x800 ? (uint8_t)(0x80 | (point >> 6 & 0x3f))
                                   : (uint8_t)(0xc0 | point >> 6));
    mr_pack_u8(out, (uint8_t)(0x80 | (point & 0x3f)));
}

/* Behind "\u": one character, of which there may be two halves. What is none becomes U+FFFD. */
static void take_point(struct reading *reading, struct mr_pack *out)
{
    uint32_t point, low;

    if (!take_unit(reading, &point) || point == 0) {
        add_utf8(out, 0xfffd);
        return;
    }
    if (point >= 0xd800 && point < 0xdc00 && reading->end - reading->at >= 6 &&
        reading->at[0] == '\\' && reading->at[1] == 'u') {
        reading->at += 2;
        if (take_unit(reading, &low) && low >= 0xdc00 && low < 0xe000) {
            add_utf8(out, 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00));
            return;
        }
        reading->at -= 2;
        point = 0xfffd;
    }
    add_utf8(out, point >= 0xd800 && point < 0xe000 ? 0xfffd : point);
}

/* Behind a backslash. */
static void take_escape(struct reading *reading, struct mr_pack *out)
{
    static const char letters[] = "tnrf", meant[] = "\t\n\r\f";
    const char *letter;
    char byte;

    if (reading->at == reading->end)
        return;
    if (is_end_of_line(*reading->at)) { /* goes on in the next line */
        skip_end_of_line(reading);
        skip_blanks(reading);
        return;
    }
    byte = *reading->at++;
    letter = memchr(letters, byte, 4);
    if (byte == 'u')
        take_point(reading, out);
    else
        mr_pack_u8(out, (uint8_t)(letter ? meant[letter - letters] : byte));
}

/* ---- entries ------------------------------------------------------------------------------ */

static void take_key(struct reading *reading, struct mr_pack *out)
{
    while (reading->at < reading->end && !is_end_of_line(*reading->at)) {
        char byte = *reading->at;

        if (is_blank(byte) || byte == '=' || byte == ':')
            break;
        reading->at++;
        if (byte == '\\')
            take_escape(reading, out);
        else
            mr_pack_u8(out, (uint8_t)byte);
    }
    skip_blanks(reading);
    if (reading->at < reading->end && (*reading->at == '=' || *reading->at == ':'))
        reading->at++;
    skip_blanks(reading);
}

static void take_value(struct reading *reading, struct mr_pack *out)
{
    while (reading->at < reading->end && !is_end_of_line(*reading->at)) {
        char byte = *reading->at++;

        if (byte == '\\')
            take_escape(reading, out);
        else
            mr_pack_u8(out, (uint8_t)byte);
    }
    while (out->size > 0 && is_blank((char)out->data[out->size - 1]))
        out->size--;
}

bool mr_java_properties_each(mr_bytes text,
                             void (*visit)(void *context, unsigned line, const char *key,
                                           const char *value),
                             void *context)
{
    struct reading reading = {
        .at = text.data, .end = (const char *)text.data + text.size, .line = 1};
    struct mr_pack key = MR_PACK(3 * text.size + 8), value = key;

    if (text.size == 0)
        return true;
    if (memchr(text.data, 0, text.size))
        return false;
    while (reading.at < reading.end) {
        unsigned line = reading.line;

        skip_blanks(&reading);
        if (reading.at == reading.end)
            break;
        if (is_end_of_line(*reading.at)) {
            skip_end_of_line(&reading);
            continue;
        }
        if (*reading.at == '#' || *reading.at == '!') {
            skip_line(&reading);
            continue;
        }
        key.size = value.size = 0;
        take_key(&reading, &key);
        take_value(&reading, &value);
        mr_pack_u8(&key, 0);
        mr_pack_u8(&value, 0);
        visit(context, line, (const char *)key.data, (const char *)value.data);
    }
    mr_pack_fini(&key);
    mr_pack_fini(&value);
    return true;
}
