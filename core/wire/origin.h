/*
 * origin.h - mr_call.origin over HTTP, beside what Kinesis has: a field of the request says where the
 * records come from, and one of the answer, how far they are taken. Whoever does not know the field
 * passes it over, and its answer has none.
 *
 *     x-millrace-origin: FROM TO NAME      as in mr_origin; 0 0 NAME only asks
 *     x-millrace-position: POSITION
 */
#ifndef MR_WIRE_ORIGIN_H
#define MR_WIRE_ORIGIN_H

#include "service/service.h"

#define MR_ORIGIN_FIELD "x-millrace-origin"
#define MR_POSITION_FIELD "x-millrace-position"
#define MR_ORIGIN_TEXT_BYTES (MR_ORIGIN_BYTES_MAX + 44)
#define MR_POSITION_FIELD_BYTES 21

void mr_origin_write(const mr_origin *origin, char text[MR_ORIGIN_TEXT_BYTES]);

/* False: it is none. The name, of printable ASCII, goes into the arena. */
bool mr_origin_read(mr_bytes text, struct mr_arena *arena, mr_origin *origin);

/* Digits and nothing else, up to 2^64-1. */
bool mr_position_read(mr_bytes text, uint64_t *position);

#endif
