/*
 * guard.h - who may call: a file of users with access keys and policies, read again when told so.
 *
 *     {"users": [{"name": "alice",
 *                 "keys": [{"id": "AKIDALICE", "secret": "..."}],
 *                 "policies": [{"Version": "2012-10-17",
 *                               "Statement": {"Effect": "Allow", "Action": "kinesis:*",
 *                                             "Resource": "*"}}]}]}
 *
 * A user may have an "account" (else it is the server's). A key may have a "token", which its requests
 * then must have, and may be good until "expires": "2026-12-31T23:59:59Z". The file holds secrets: it
 * is refused if others than its owner may read it.
 */
#ifndef MR_SERVER_GUARD_H
#define MR_SERVER_GUARD_H

#include "os/clock.h"
#include "server/verify.h"

struct mr_guard;
struct mr_roster;

struct mr_guard_config {
    const char *path;
    const char *account_id;
    const char *region;     /* NULL: whatever the caller's credential says */
    struct mr_clock *clock; /* NULL: the real one */
};

/* NOT_FOUND, IO, DENIED: others may read the file; INVALID: what is wrong in which line. */
mr_status mr_guard_open(struct mr_guard **guard, const struct mr_guard_config *config,
                        mr_error *error);
/* Reads the file again. If that fails all stays as it is. Calls under way end as they began. */
mr_status mr_guard_reload(struct mr_guard *guard, mr_error *error);
void mr_guard_close(struct mr_guard *guard); /* no pass may be in use; NULL is allowed */

/* Who was let in: good until the end, whatever is reloaded meanwhile. */
struct mr_pass {
    struct mr_roster *roster;
    const struct mr_caller *caller; /* NULL: nobody */
};

/* False: a refusal, in AWS's words. */
bool mr_guard_admit(struct mr_guard *guard, const struct mr_request *request,
                    struct mr_claim *claim, struct mr_arena *arena, struct mr_pass *pass,
                    struct mr_refusal *refusal);
void mr_pass_end(struct mr_pass *pass);

/* What the file's text says; for mr_guard_open(), and for tests. */
mr_status mr_roster_read(struct mr_roster **roster, mr_bytes text, const char *account_id,
                         mr_error *error);
void mr_roster_give(struct mr_roster *roster);

#endif
