/*
 * refusal.h - why a request or a connection is refused: one table for the answer's status and text,
 * and for the line that says so, at most one a second for each reason.
 */
#ifndef MR_SERVER_REFUSAL_H
#define MR_SERVER_REFUSAL_H

#include "os/loop.h"

/* X(name, status, text); status 0: the connection is closed without an answer. */
#define MR_REFUSAL_MAP(X)                                                                          \
    X(BARE_NEWLINE, 400, "a line ends without CR")                                                 \
    X(REQUEST_LINE, 400, "malformed request line")                                                 \
    X(TARGET, 400, "malformed request target")                                                     \
    X(VERSION, 505, "unknown HTTP version")                                                        \
    X(FIELD_NAME, 400, "malformed field name")                                                     \
    X(FIELD_VALUE, 400, "a field value has a control character")                                   \
    X(FIELD_FOLDED, 400, "a field is folded over lines")                                           \
    X(FIELD_COUNT, 431, "too many fields")                                                         \
    X(HEAD_BYTES, 431, "the head is too large")                                                    \
    X(HOST, 400, "not exactly one Host field")                                                     \
    X(LENGTH, 400, "malformed Content-Length")                                                     \
    X(LENGTH_TWICE, 400, "two Content-Length fields")                                              \
    X(LENGTH_AND_CODING, 400, "Content-Length and Transfer-Encoding together")                     \
    X(CODING, 501, "unknown Transfer-Encoding")                                                    \
    X(CODING_VERSION, 400, "Transfer-Encoding in HTTP/1.0")                                        \
    X(CHUNK, 400, "malformed chunk")                                                               \
    X(BODY_BYTES, 413, "the body is too large")                                                    \
    X(EXPECTATION, 417, "unknown expectation")                                                     \
    X(REQUEST_COUNT, 503, "too many requests at once")                                             \
    X(HEAD_LATE, 408, "the head came too slowly")                                                  \
    X(BODY_LATE, 408, "the body came too slowly")                                                  \
    X(READ_LATE, 0, "the client does not read its answer")                                         \
    X(HANDSHAKE_LATE, 0, "the TLS handshake came too slowly")                                      \
    X(HANDSHAKE, 0, "the TLS handshake failed")                                                    \
    X(NO_TLS, 0, "TLS was spoken to a server without a certificate")                               \
    X(PROTOCOL, 0, "neither HTTP/1, HTTP/2 nor TLS")                                               \
    X(CONNECTION_COUNT, 0, "too many connections")                                                 \
    X(FILE_COUNT, 0, "the system has no file for a connection")                                    \
    X(H2_PROTOCOL, 0, "the client broke the rules of HTTP/2")                                      \
    X(H2_FLOOD, 0, "too many HTTP/2 control frames")                                               \
    X(H2_RESETS, 0, "the client resets too many HTTP/2 streams")                                   \
    X(H2_ERRORS, 0, "the client makes us reset too many HTTP/2 streams")

enum mr_refusal {
    MR_REFUSAL_NONE,
#define X(name, status, text) MR_REFUSAL_##name,
    MR_REFUSAL_MAP(X)
#undef X
        MR_REFUSAL_COUNT
};

unsigned mr_refusal_http_status(enum mr_refusal refusal);
const char *mr_refusal_text(enum mr_refusal refusal);

/* What one loop has refused. Start with mr_refusals_init(). */
struct mr_refusals {
    struct mr_loop *loop;
    void (*diag)(void *context, const char *line);
    void *context;
    struct mr_timer timer; /* says what is unsaid */
    struct {
        uint64_t count; /* since it was last said */
        uint64_t said_ms;
        bool is_said; /* within the last second */
        char peer[56];
    } kinds[MR_REFUSAL_COUNT];
};

void mr_refusals_init(struct mr_refusals *refusals, struct mr_loop *loop,
                      void (*diag)(void *context, const char *line), void *context);
void mr_refusals_fini(struct mr_refusals *refusals); /* says what is unsaid */

/* Says it now, or counts it and says it within the second. */
void mr_refusals_note(struct mr_refusals *refusals, enum mr_refusal refusal, const char *peer);

#endif
