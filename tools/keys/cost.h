/* cost.h - what a month of this traffic costs on AWS: 730 hours at the average seen. */
#ifndef MR_TOOLS_KEYS_COST_H
#define MR_TOOLS_KEYS_COST_H

#include <stdint.h>

struct mr_traffic {
    double put_units_per_s; /* of 25 KiB */
    double bytes_per_s;
    double rounded_bytes_per_s; /* each record as whole KiB */
    uint64_t readers, fan_out;  /* consumers that poll; that have their own throughput */
    uint64_t retention_hours;
};

double mr_cost_provisioned(const struct mr_traffic *traffic, uint32_t shard_count);
double mr_cost_on_demand(const struct mr_traffic *traffic);

const char *mr_prices_date(void);
const char *mr_prices_region(void);
const char *mr_prices_source(void);

#endif
