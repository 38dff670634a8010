/* show.h - how bridges are doing: a progress line, --status on a terminal, --metrics for Prometheus. */
#ifndef MR_TOOLS_KAFKA_SHOW_H
#define MR_TOOLS_KAFKA_SHOW_H

#include "kafka/bridge.h"

struct mr_bridge_shown {
    struct mr_bridge *bridge;
    const struct mr_bridge_config *config;
};

struct mr_bridge_show;

/* Listens, if metrics were asked for; shown must outlive it. */
mr_status mr_bridge_show_open(struct mr_bridge_show **show, const struct mr_bridge_shown *shown,
                              size_t count, const struct mr_bridge_options *options,
                              mr_error *error);
/* Now and then: draws what is due. */
void mr_bridge_show_step(struct mr_bridge_show *show);
/* Says the totals. */
void mr_bridge_show_close(struct mr_bridge_show *show);

/* As Prometheus reads it. */
struct mr_pack;
void mr_bridge_metrics(const struct mr_bridge_shown *shown, size_t count, struct mr_pack *text);

#endif
