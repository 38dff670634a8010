/*
 * metrics.h - what was counted, as Prometheus reads it: the figures of CloudWatch (IncomingRecords is
 * kinesis_incoming_records_total, its own name stands in the help), and how long operations took.
 */
#ifndef MR_SERVER_METRICS_H
#define MR_SERVER_METRICS_H

#include "base/pack.h"
#include "server/latency.h"

#define MR_METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* figures may be NULL: then it is about operations only. */
void mr_metrics_write(struct mr_pack *text, const struct mr_figures *figures,
                      const struct mr_latencies *latencies);

#endif
