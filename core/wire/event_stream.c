/*
 * event_stream.c - messages of an event stream: lengths, their checksum, headers, a payload, the
 * checksum of all; integers with the high byte first.
 */
#include "base/crc32.h"
#include "wire/wire.h"

#include <string.h>

#define PRELUDE_BYTES 12
#define BYTES_HEADER 6 /* the type of a header's value */
#define TEXT_HEADER 7

static void put_u16(struct mr_pack *out, size_t value)
{
    mr_pack_u8(out, (uint8_t)(value >> 8));
    mr_pack_u8(out, (uint8_t)value);
}

static void store_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static void put_text(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, (mr_bytes){text, strlen(text)});
}

static void put_header(struct mr_pack *out, const char *name, const char *value)
{
    mr_pack_u8(out, (uint8_t)strlen(name));
    put_text(out, name);
    mr_pack_u8(out, TEXT_HEADER);
    put_u16(out, strlen(value));
    put_text(out, value);
}

/* Begins a message: its payload follows. Returns where it begins. */
static size_t begin(struct mr_pack *out, enum mr_format format, const char *message,
                    const char *name, const char *type)
{
    size_t start = out->size;

    mr_pack_extend(out, PRELUDE_BYTES);
    put_header(out, name, type);
    put_header(out, ":content-type", mr_format_type(format));
    put_header(out, ":message-type", message);
    store_u32(out->data + start + 4, (uint32_t)(out->size - start - PRELUDE_BYTES));
    return start;
}

static void end(struct mr_pack *out, size_t start)
{
    uint8_t *checksum = mr_pack_extend(out, 4), *message = out->data + start;
    size_t size = out->size - start;

    store_u32(message, (uint32_t)size);
    store_u32(message + 8, mr_crc32(0, (mr_bytes){message, 8}));
    store_u32(checksum, mr_crc32(0, (mr_bytes){message, size - 4}));
}

void mr_event_initial(enum mr_format format, struct mr_pack *out)
{
    size_t start = begin(out, format, "event", ":event-type", "initial-response");

    mr_encode(format, MR_SHAPE_subscribe_to_shard_response,
              &(struct mr_api_subscribe_to_shard_response){0}, out);
    end(out, start);
}

void mr_event_records(enum mr_format format, const struct mr_api_subscribe_to_shard_event *event,
                      struct mr_pack *out)
{
    size_t start = begin(out, format, "event", ":event-type", "SubscribeToShardEvent");

    mr_encode(format, MR_SHAPE_subscribe_to_shard_event, event, out);
    end(out, start);
}

void mr_event_exception(enum mr_format format, const struct mr_refusal *refusal,
                        struct mr_pack *out)
{
    size_t start =
        begin(out, format, "exception", ":exception-type", mr_exceptions[refusal->type].name);
    struct mr_api_message message = {.message = refusal->message};

    mr_encode(format, MR_SHAPE_message, &message, out);
    end(out, start);
}

/* ---- reading ------------------------------------------------------------------------------ */

static uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* The first `size` bytes of what is left; false: there are fewer. */
static bool cut(mr_bytes *left, size_t size, mr_bytes *part)
{
    if (left->size < size)
        return false;
    *part = (mr_bytes){left->data, size};
    *left = (mr_bytes){(const uint8_t *)left->data + size, left->size - size};
    return true;
}

static bool cut_u8(mr_bytes *left, size_t *value)
{
    mr_bytes part;

    if (!cut(left, 1, &part))
        return false;
    *value = *(const uint8_t *)part.data;
    return true;
}

/* A text, or bytes, with 16 bits of length in front. */
static bool cut_long(mr_bytes *left, mr_bytes *value)
{
    size_t high, low;

    return cut_u8(left, &high) && cut_u8(left, &low) && cut(left, high << 8 | low, value);
}

static bool is_text(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static void take_header(struct mr_event_message *message, mr_bytes name, mr_bytes value)
{
    if (is_text(name, ":message-type"))
        message->kind = value;
    else if (is_text(name, ":event-type") || is_text(name, ":exception-type") ||
             is_text(name, ":error-code"))
        message->type = value;
    else if (is_text(name, ":error-message"))
        message->payload = value;
}

static bool cut_headers(mr_bytes left, struct mr_event_message *message)
{
    /* Of each type of value: true, false, 8, 16, 32 and 64 bits, bytes, text, time, UUID. */
    static const size_t sizes[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
    size_t name_size, type;
    mr_bytes name, value;

    while (left.size > 0) {
        if (!cut_u8(&left, &name_size) || !cut(&left, name_size, &name) || !cut_u8(&left, &type) ||
            type >= sizeof sizes / sizeof *sizes)
            return false;
        if (type == BYTES_HEADER || type == TEXT_HEADER) {
            if (!cut_long(&left, &value))
                return false;
        } else if (!cut(&left, sizes[type], &value)) {
            return false;
        }
        if (type == TEXT_HEADER)
            take_header(message, name, value);
    }
    return true;
}

bool mr_event_cut(mr_bytes stream, struct mr_event_message *message, size_t *size)
{
    const uint8_t *bytes = stream.data;
    uint32_t all, headers;
    mr_bytes payload;

    *size = 0;
    if (stream.size < PRELUDE_BYTES)
        return true;
    all = load_u32(bytes);
    headers = load_u32(bytes + 4);
    if (load_u32(bytes + 8) != mr_crc32(0, (mr_bytes){bytes, 8}) || all > MR_EVENT_BYTES_MAX ||
        all < PRELUDE_BYTES + 4 || headers > all - PRELUDE_BYTES - 4)
        return false;
    if (stream.size < all)
        return true;
    if (load_u32(bytes + all - 4) != mr_crc32(0, (mr_bytes){bytes, all - 4}))
        return false;
    payload = (mr_bytes){bytes + PRELUDE_BYTES + headers, all - PRELUDE_BYTES - 4 - headers};
    *message = (struct mr_event_message){.payload = payload};
    *size = all;
    return cut_headers((mr_bytes){bytes + PRELUDE_BYTES, headers}, message);
}
