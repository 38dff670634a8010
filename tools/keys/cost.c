#include "keys/cost.h"

#define PRICE(name, dollars, per) static const double name = dollars;
#include "keys/prices.def"

#define GIB 1073741824.0
#define MONTH_HOURS 730.0
#define MONTH_S (MONTH_HOURS * 3600)
#define DAY_HOURS 24.0
#define WEEK_HOURS 168.0

/* Hours that records are kept between two ages. */
static double hours_between(const struct mr_traffic *traffic, double from, double to)
{
    double hours = (double)traffic->retention_hours;

    return (hours < to ? hours : to) > from ? (hours < to ? hours : to) - from : 0;
}

/* Beyond a week, where both modes charge the same. */
static double long_retention(const struct mr_traffic *traffic)
{
    return traffic->bytes_per_s * 3600 * hours_between(traffic, WEEK_HOURS, 1e9) / GIB *
           long_gb_month;
}

double mr_cost_provisioned(const struct mr_traffic *traffic, uint32_t shard_count)
{
    double month_gb = traffic->bytes_per_s * MONTH_S / GIB;
    double shard_hours = shard_count * MONTH_HOURS;
    double cost = shard_hours * shard_hour;

    cost += traffic->put_units_per_s * MONTH_S / 1e6 * put_units;
    cost += (double)traffic->fan_out * (shard_hours * fan_out_shard_hour + month_gb * fan_out_gb);
    if ((double)traffic->retention_hours > DAY_HOURS)
        cost += shard_hours * retention_shard_hour;
    return cost + long_retention(traffic);
}

double mr_cost_on_demand(const struct mr_traffic *traffic)
{
    double month_gb = traffic->bytes_per_s * MONTH_S / GIB;
    double cost = MONTH_HOURS * on_demand_hour;

    cost += traffic->rounded_bytes_per_s * MONTH_S / GIB * on_demand_in_gb;
    cost += (double)traffic->readers * month_gb * on_demand_out_gb;
    cost += (double)traffic->fan_out * month_gb * on_demand_fan_out_gb;
    cost += traffic->bytes_per_s * 3600 * hours_between(traffic, DAY_HOURS, WEEK_HOURS) / GIB *
            on_demand_retention_gb_month;
    return cost + long_retention(traffic);
}

const char *mr_prices_date(void)
{
    return MR_PRICES_DATE;
}

const char *mr_prices_region(void)
{
    return MR_PRICES_REGION;
}

const char *mr_prices_source(void)
{
    return MR_PRICES_SOURCE;
}
