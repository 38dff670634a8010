/* peer.h - the servers that are measured, each a process of its own on a free port. */
#ifndef MR_BENCH_PEER_H
#define MR_BENCH_PEER_H

#include "bench/bench.h"

#include <sys/types.h>

struct mr_peer {
    pid_t pid;
    uint16_t port;
};

/* The program that MILLRACE names, over a directory of the run, without limits; and with a file of
 * users, whose signatures it checks. */
void mr_peer_start_millrace(struct mr_peer *peer, const char *directory);
void mr_peer_start_guarded(struct mr_peer *peer, const char *directory, const char *auth);

/* False: it is not there, and that was said. */
bool mr_peer_start_nginx(struct mr_peer *peer); /* answers 200 to all; MR_BENCH_NGINX names it */
bool mr_peer_start_kinesalite(
    struct mr_peer *peer); /* in memory; MR_BENCH_KINESALITE names its cli.js */

void mr_peer_stop(struct mr_peer *peer); /* as SIGTERM does it */

/* A line of its /proc/PID/status, in KiB: "VmRSS", "VmHWM". */
uint64_t mr_peer_memory_kb(const struct mr_peer *peer, const char *what);

double mr_peer_processor_s(const struct mr_peer *peer); /* that it has used */

/* Waits (at most 10 s) until it has nearly stopped using the processor. */
void mr_peer_settle(const struct mr_peer *peer);

#endif
