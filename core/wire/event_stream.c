/*
 * event_stream.c - messages of an event stream: lengths, their checksum, headers, a payload, the
 * checksum of all; integers with the high byte first.
 */
#include "base/crc32.h"
#include "wire/wire.h"

#include <string.h>

#define PRELUDE_BYTES 12
#define TEXT_HEADER 7 /* the type of a header's value */

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
