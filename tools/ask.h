/* ask.h - calls of a service that wait for the answer. */
#ifndef MR_TOOLS_ASK_H
#define MR_TOOLS_ASK_H

#include "service/service.h"

/* Room for the largest answer, twice over, and for what it says. */
#define MR_ASK_ARENA MR_ARENA((size_t)256 << 20)

/* *response (may be NULL) lives as long as the arena. */
mr_status mr_ask(mr_service *service, enum mr_action action, const void *request,
                 struct mr_arena *arena, const void **response, mr_error *error);

/* How far a stream has taken an origin (mr_origin_position()). *is_known: the service knows such. */
mr_status mr_ask_position(mr_service *service, const char *stream, const char *origin,
                          uint64_t *position, bool *is_known, mr_error *error);

/* An exception as a status of ours; its text becomes the message. */
mr_status mr_refusal_fail(const struct mr_refusal *refusal, mr_error *error);

static inline mr_bytes mr_text_bytes(const char *text)
{
    return (mr_bytes){text, __builtin_strlen(text)};
}

/* Copies a text into an array of size bytes, cut where it is longer. */
void mr_text_take(char *text, size_t size, mr_bytes bytes);

#endif
