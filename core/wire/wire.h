/*
 * wire.h - the door of core/wire: requests and responses of core/service as bytes, in JSON and in
 * CBOR, and the framing of event streams. Driven by the tables of shapes.def, in both directions.
 */
#ifndef MR_WIRE_WIRE_H
#define MR_WIRE_WIRE_H

#include "base/pack.h"
#include "service/service.h"

enum mr_format {
    MR_FORMAT_JSON, /* application/x-amz-json-1.1 */
    MR_FORMAT_CBOR, /* application/x-amz-cbor-1.1 */
};

const char *mr_format_type(enum mr_format format); /* its content type */

/*
 * Reads a structure, into the arena; it borrows from the body, so both must outlive it. What the
 * table does not know is skipped. A member that comes twice is refused: readers differ in which of
 * them counts. False: *refusal is a SerializationException, without a message if the syntax is wrong
 * or the arena's limit too small: of it 2 MiB and twice the body are kept for texts.
 */
bool mr_decode(enum mr_format format, mr_bytes body, enum mr_shape_id shape, struct mr_arena *arena,
               void **structure, struct mr_refusal *refusal);

/* The same of a server's answer, which must have all that is required; but numbers and lists may be
 * absent: 0, and none. */
bool mr_decode_answer(enum mr_format format, mr_bytes body, enum mr_shape_id shape,
                      struct mr_arena *arena, void **structure);

/* Appends a structure. Required lists are written even if absent, all else only if present. */
void mr_encode(enum mr_format format, enum mr_shape_id shape, const void *structure,
               struct mr_pack *out);

/* Appends the body of an error. */
void mr_encode_refusal(enum mr_format format, const struct mr_refusal *refusal,
                       struct mr_pack *out);

/* ---- event streams ------------------------------------------------------------------------ */

/* Appends one whole message (spec 7.3): the first of a stream; an event; the last, if it failed. */
void mr_event_initial(enum mr_format format, struct mr_pack *out);
void mr_event_records(enum mr_format format, const struct mr_api_subscribe_to_shard_event *event,
                      struct mr_pack *out);
void mr_event_exception(enum mr_format format, const struct mr_refusal *refusal,
                        struct mr_pack *out);

/* A message, cut into its parts; they borrow from its bytes. */
struct mr_event_message {
    mr_bytes kind;    /* ":message-type": "event", "exception", "error" */
    mr_bytes type;    /* ":event-type" or ":exception-type"; of an error its ":error-code" */
    mr_bytes payload; /* of an error its ":error-message" */
};
#define MR_EVENT_BYTES_MAX (24u << 20) /* of a message we take; a record has at most 10 MiB */

/* Cuts off the first message: *size gets its bytes, 0 if they are not all there yet. False: this is
 * no such stream, or damaged. */
bool mr_event_cut(mr_bytes stream, struct mr_event_message *message, size_t *size);

#endif
