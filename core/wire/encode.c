/* encode.c - a structure becomes a body, by its table. Maps and lists have no length in front. */
#include "base/base64.h"
#include "base/json.h"
#include "wire/wire.h"

#include <string.h>

const char *mr_format_type(enum mr_format format)
{
    return format == MR_FORMAT_JSON ? "application/x-amz-json-1.1" : "application/x-amz-cbor-1.1";
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void put_bytes(struct mr_pack *out, const void *data, size_t size)
{
    memcpy(mr_pack_extend(out, size), data, size);
}

static void put_escape(struct mr_pack *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btn_fr"; /* of 8 to 13; there is none for 11 */
    char text[6] = {'\\', (char)byte, '0', '0', 0, 0};

    if (byte == '"' || byte == '\\') {
        put_bytes(out, text, 2);
    } else if (byte >= 8 && byte <= 13 && byte != 11) {
        text[1] = letters[byte - 8];
        put_bytes(out, text, 2);
    } else {
        text[1] = 'u';
        text[4] = hex[byte >> 4];
        text[5] = hex[byte & 15];
        put_bytes(out, text, 6);
    }
}

/* Text of which `plain` bytes need no escape. */
static void json_text_escaped(struct mr_pack *out, mr_bytes text, size_t plain)
{
    const uint8_t *at = text.data, *end = at + text.size;

    mr_pack_u8(out, '"');
    for (;;) {
        while (at + plain < end && at[plain] >= 0x80)
            plain++; /* UTF-8 goes as it is */
        put_bytes(out, at, plain);
        at += plain;
        if (at == end)
            break;
        if (*at < 0x20 || *at == '"' || *at == '\\')
            put_escape(out, *at++);
        plain = mr_json_plain_bytes((mr_bytes){at, (size_t)(end - at)});
    }
    mr_pack_u8(out, '"');
}

static void json_text(struct mr_pack *out, mr_bytes text)
{
    size_t plain = mr_json_plain_bytes(text);
    uint8_t *to;

    if (plain < text.size) {
        json_text_escaped(out, text, plain);
        return;
    }
    to = mr_pack_extend(out, plain + 2);
    to[0] = '"';
    memcpy(to + 1, text.data, plain);
    to[plain + 1] = '"';
}

static void json_blob(struct mr_pack *out, mr_bytes bytes)
{
    size_t size = MR_BASE64_BYTES(bytes.size);
    uint8_t *text = mr_pack_extend(out, size + 2);

    text[0] = '"';
    mr_base64_encode(bytes, (char *)text + 1);
    text[size + 1] = '"';
}

static void put_digits(struct mr_pack *out, uint64_t number)
{
    char text[20];
    size_t size = 0;

    do
        text[sizeof text - ++size] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    put_bytes(out, text + sizeof text - size, size);
}

static void json_number(struct mr_pack *out, int64_t number)
{
    if (number < 0)
        mr_pack_u8(out, '-');
    put_digits(out, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

/* Seconds, with milliseconds behind the point. */
static void json_time(struct mr_pack *out, int64_t ms)
{
    uint64_t size = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    unsigned part = (unsigned)(size % 1000);
    char text[4] = {'.', (char)('0' + part / 100), (char)('0' + part / 10 % 10),
                    (char)('0' + part % 10)};

    if (ms < 0)
        mr_pack_u8(out, '-');
    put_digits(out, size / 1000);
    put_bytes(out, text, sizeof text);
}

/* ---- CBOR --------------------------------------------------------------------------------- */

#define CBOR_UNSIGNED 0x00
#define CBOR_NEGATIVE 0x20
#define CBOR_BYTES 0x40
#define CBOR_TEXT 0x60
#define CBOR_LIST 0x9f
#define CBOR_MAP 0xbf
#define CBOR_TIME 0xc1
#define CBOR_FALSE 0xf4
#define CBOR_BREAK 0xff

static void cbor_head(struct mr_pack *out, uint8_t major, uint64_t argument)
{
    unsigned width = argument < 24            ? 0
                     : argument <= UINT8_MAX  ? 1
                     : argument <= UINT16_MAX ? 2
                     : argument <= UINT32_MAX ? 4
                                              : 8;
    uint8_t *head = mr_pack_extend(out, 1 + width);

    if (width == 0) {
        head[0] = (uint8_t)(major | argument);
        return;
    }
    head[0] = (uint8_t)(major | (24 + __builtin_ctz(width)));
    for (unsigned i = width; i > 0; i--, argument >>= 8)
        head[i] = (uint8_t)argument;
}

static void cbor_string(struct mr_pack *out, uint8_t major, mr_bytes bytes)
{
    cbor_head(out, major, bytes.size);
    if (bytes.size > 0)
        put_bytes(out, bytes.data, bytes.size);
}

static void cbor_number(struct mr_pack *out, int64_t number)
{
    if (number < 0)
        cbor_head(out, CBOR_NEGATIVE, (uint64_t)(-1 - number));
    else
        cbor_head(out, CBOR_UNSIGNED, (uint64_t)number);
}

/* ---- either ------------------------------------------------------------------------------- */

/* Where values go. */
struct writer {
    struct mr_pack *out;
    bool is_cbor;
};

static void put_text(const struct writer *writer, mr_bytes text)
{
    if (writer->is_cbor)
        cbor_string(writer->out, CBOR_TEXT, text);
    else
        json_text(writer->out, text);
}

static void put_blob(const struct writer *writer, mr_bytes bytes)
{
    if (writer->is_cbor)
        cbor_string(writer->out, CBOR_BYTES, bytes);
    else
        json_blob(writer->out, bytes);
}

static void put_number(const struct writer *writer, int64_t number)
{
    if (writer->is_cbor)
        cbor_number(writer->out, number);
    else
        json_number(writer->out, number);
}

static void put_time(const struct writer *writer, int64_t ms)
{
    if (writer->is_cbor) {
        mr_pack_u8(writer->out, CBOR_TIME);
        cbor_number(writer->out, ms); /* milliseconds, as Kinesis has it */
    } else {
        json_time(writer->out, ms);
    }
}

static void put_truth(const struct writer *writer, bool truth)
{
    if (writer->is_cbor)
        mr_pack_u8(writer->out, (uint8_t)(CBOR_FALSE + truth));
    else
        put_bytes(writer->out, truth ? "true" : "false", truth ? 4 : 5);
}

static void open_brackets(const struct writer *writer, bool is_map)
{
    if (writer->is_cbor)
        mr_pack_u8(writer->out, is_map ? CBOR_MAP : CBOR_LIST);
    else
        mr_pack_u8(writer->out, is_map ? '{' : '[');
}

static void close_brackets(const struct writer *writer, bool is_map)
{
    if (writer->is_cbor)
        mr_pack_u8(writer->out, CBOR_BREAK);
    else
        mr_pack_u8(writer->out, is_map ? '}' : ']');
}

/* Before every item of a list but the first, and every pair of a map. */
static void put_comma(const struct writer *writer, bool is_first)
{
    if (!writer->is_cbor && !is_first)
        mr_pack_u8(writer->out, ',');
}

static void put_key(const struct writer *writer, mr_bytes key, bool is_first)
{
    put_comma(writer, is_first);
    put_text(writer, key);
    if (!writer->is_cbor)
        mr_pack_u8(writer->out, ':');
}

/* The same of a name in our tables, which has nothing to escape. */
static void put_name(const struct writer *writer, const struct mr_member *table, bool is_first)
{
    size_t size = table->name_bytes, comma = !is_first;
    uint8_t *to;

    if (writer->is_cbor) {
        cbor_string(writer->out, CBOR_TEXT, (mr_bytes){table->name, size});
        return;
    }
    to = mr_pack_extend(writer->out, comma + size + 3);
    if (comma)
        *to++ = ',';
    to[0] = '"';
    memcpy(to + 1, table->name, size);
    to[size + 1] = '"';
    to[size + 2] = ':';
}

/* ---- structures --------------------------------------------------------------------------- */

static void put_structure(const struct writer *writer, const struct mr_shape *shape,
                          const void *structure);

static bool is_written(const struct mr_member *table, const void *member)
{
    size_t count;

    switch ((enum mr_kind)table->kind) {
    case MR_KIND_STRING:
    case MR_KIND_BLOB:
        return ((const mr_bytes *)member)->data;
    case MR_KIND_INTEGER:
    case MR_KIND_LONG:
    case MR_KIND_BOOLEAN:
    case MR_KIND_TIMESTAMP:
        return ((const struct mr_number *)member)->is_set;
    case MR_KIND_STRUCTURE:
        return mr_items_of(member, &count);
    default:
        return table->is_required || mr_items_of(member, &count);
    }
}

static void put_list(const struct writer *writer, const struct mr_member *table, const void *member)
{
    const struct mr_shape *shape = &mr_shapes[table->shape];
    size_t count;
    const uint8_t *items = mr_items_of(member, &count);

    open_brackets(writer, false);
    for (size_t i = 0; i < count; i++) {
        put_comma(writer, i == 0);
        put_structure(writer, shape, items + i * shape->bytes);
    }
    close_brackets(writer, false);
}

static void put_strings(const struct writer *writer, const void *member)
{
    size_t count;
    const mr_bytes *items = mr_items_of(member, &count);

    open_brackets(writer, false);
    for (size_t i = 0; i < count; i++) {
        put_comma(writer, i == 0);
        put_text(writer, items[i]);
    }
    close_brackets(writer, false);
}

static void put_tags(const struct writer *writer, const void *member)
{
    size_t count;
    const struct mr_api_tag *items = mr_items_of(member, &count);

    open_brackets(writer, true);
    for (size_t i = 0; i < count; i++) {
        put_key(writer, items[i].key, i == 0);
        put_text(writer, items[i].value);
    }
    close_brackets(writer, true);
}

static void put_member(const struct writer *writer, const struct mr_member *table,
                       const void *member)
{
    const struct mr_number *number = member;
    size_t count;

    switch ((enum mr_kind)table->kind) {
    case MR_KIND_STRING:
        put_text(writer, *(const mr_bytes *)member);
        break;
    case MR_KIND_BLOB:
        put_blob(writer, *(const mr_bytes *)member);
        break;
    case MR_KIND_INTEGER:
    case MR_KIND_LONG:
        put_number(writer, number->value);
        break;
    case MR_KIND_BOOLEAN:
        put_truth(writer, number->value);
        break;
    case MR_KIND_TIMESTAMP:
        put_time(writer, number->value);
        break;
    case MR_KIND_STRUCTURE:
        put_structure(writer, &mr_shapes[table->shape], mr_items_of(member, &count));
        break;
    case MR_KIND_LIST:
        put_list(writer, table, member);
        break;
    case MR_KIND_STRINGS:
        put_strings(writer, member);
        break;
    case MR_KIND_TAGS:
        put_tags(writer, member);
        break;
    }
}

static void put_structure(const struct writer *writer, const struct mr_shape *shape,
                          const void *structure)
{
    bool is_first = true;

    open_brackets(writer, true);
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct mr_member *table = &shape->members[i];
        const void *member = mr_member_at(structure, i);

        if (!is_written(table, member))
            continue;
        put_name(writer, table, is_first);
        put_member(writer, table, member);
        is_first = false;
    }
    close_brackets(writer, true);
}

void mr_encode(enum mr_format format, enum mr_shape_id shape, const void *structure,
               struct mr_pack *out)
{
    const struct writer writer = {out, format == MR_FORMAT_CBOR};

    put_structure(&writer, &mr_shapes[shape], structure);
}

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

void mr_encode_refusal(enum mr_format format, const struct mr_refusal *refusal, struct mr_pack *out)
{
    const struct writer writer = {out, format == MR_FORMAT_CBOR};
    /* So it is, in the real one. */
    const char *message = refusal->type == MR_EXCEPTION_SERIALIZATION ? "Message" : "message";

    open_brackets(&writer, true);
    put_key(&writer, bytes_of("__type"), true);
    put_text(&writer, bytes_of(mr_exceptions[refusal->type].name));
    if (refusal->message.data) {
        put_key(&writer, bytes_of(message), false);
        put_text(&writer, refusal->message);
    }
    close_brackets(&writer, true);
}
