/*
 * admin.h - what can be changed while it runs, for who is on this machine only:
 *
 *   GET /admin/faults      the rules, a line of JSON each, with how often each hit
 *   POST /admin/faults     replaces them by those in the body, one a line (fault.h)
 *   DELETE /admin/faults   removes them
 *   GET /admin/clock       {"time":...,"rate":...,"ahead_ms":...}
 *   POST /admin/clock      "+24h" sets the clock ahead
 *
 * A web page cannot ask: what comes from a browser, or by way of a proxy, is refused.
 */
#ifndef MR_SERVER_ADMIN_H
#define MR_SERVER_ADMIN_H

#include "base/pack.h"
#include "os/warp.h"
#include "server/fault.h"
#include "server/server.h"

struct mr_admin {
    struct mr_faults *faults;
    struct mr_warp *warp;
    struct mr_service *service; /* a local one, whose clock it is; NULL: none */
};

/* Whether it comes from a program on this machine. */
bool mr_request_is_local(const struct mr_request *request);

/* Does what a request for /admin/... asks, fills the answer, and returns its status. */
unsigned mr_admin_answer(const struct mr_admin *admin, const struct mr_request *request,
                         struct mr_pack *answer);

#endif
