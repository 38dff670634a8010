#include "support/producer_world.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void delivered(void *context, const mr_delivery *delivery)
{
    struct sent *sent = delivery->token;

    mr_check(sent->world == context);
    sent->answer_count++;
    sent->delivery = *delivery;
    sent->delivery.message = NULL; /* it is over with the call */
    sent->answered_ms = sent->world->clock.wall_ms;
    sent->world->answered_count++;
}

struct producer_world *producer_world_new(uint64_t seed, unsigned shard_count)
{
    struct producer_world *world = mr_new(struct producer_world);

    sim_service_init(&world->service, seed, shard_count);
    sim_clock_init(&world->clock);
    world->random = mr_random_of(seed + 1);
    world->config = MR_PRODUCER_CONFIG_DEFAULT;
    world->config.service = &world->service.base;
    world->config.stream = "stream";
    world->config.delivered = delivered;
    world->config.delivered_context = world;
    world->config.rate_limit = 0;
    return world;
}

void producer_world_open(struct producer_world *world)
{
    mr_error error;

    if (mr_producer_make(&world->producer, &world->config, &world->clock.base,
                         mr_random_next(&world->random), &error)) {
        fprintf(stderr, "%s\n", error.message);
        abort();
    }
}

void producer_world_free(struct producer_world *world)
{
    mr_check(mr_producer_is_idle(world->producer));
    mr_producer_free(world->producer);
    sim_service_fini(&world->service);
    for (size_t i = 0; i < world->sent_count; i++)
        mr_free(world->sent[i]);
    mr_free(world);
}

struct sent *producer_world_put_as(struct producer_world *world, const mr_put *put,
                                   mr_status *status)
{
    struct sent *sent = mr_new(struct sent);

    mr_check(world->sent_count < sizeof world->sent / sizeof *world->sent);
    sent->world = world;
    sent->put_ms = world->clock.wall_ms;
    if (put->partition_key.size)
        memcpy(sent->key, put->partition_key.data,
               put->partition_key.size < 31 ? put->partition_key.size : 31);
    *status = mr_producer_put(world->producer, put, sent, NULL);
    if (*status) {
        mr_free(sent);
        return NULL;
    }
    world->sent[world->sent_count++] = sent;
    return sent;
}

struct sent *producer_world_put(struct producer_world *world, unsigned key, size_t data_bytes)
{
    char name[32], *data = mr_alloc_zero(1, data_bytes + 32);
    unsigned value = world->next_value[key];
    mr_status status;
    struct sent *sent;
    mr_put put = {.partition_key = {name, (size_t)snprintf(name, sizeof name, "k%u", key)},
                  .data = {data, data_bytes}};

    mr_check(snprintf(data, 32, "%u", value) <= (int)data_bytes);
    sent = producer_world_put_as(world, &put, &status);
    mr_free(data);
    if (sent) {
        sent->value = value;
        world->next_value[key]++;
    }
    return sent;
}

void producer_world_pass(struct producer_world *world, unsigned ms)
{
    mr_producer_step(world->producer);
    while (ms-- > 0) {
        sim_clock_advance(&world->clock, 1);
        mr_producer_step(world->producer);
    }
    mr_producer_step(world->producer); /* answers of the last one */
}

void producer_world_finish(struct producer_world *world)
{
    for (unsigned i = 0; !mr_producer_is_idle(world->producer); i++) {
        mr_check(i < 10000000);
        producer_world_pass(world, 1);
        while (mr_random_below(&world->random, 3) > 0 && sim_service_answer(&world->service))
            continue;
    }
}

/* ---- the auditor ------------------------------------------------------------------------------ */

void producer_world_check_answers(const struct producer_world *world)
{
    for (size_t i = 0; i < world->sent_count; i++)
        mr_check(world->sent[i]->answer_count == 1);
    mr_check(world->answered_count == world->sent_count);
}

size_t producer_world_count_gaps(const struct producer_world *world)
{
    unsigned next[1000] = {0};
    size_t gaps = 0;

    for (size_t i = 0; i < world->service.record_count; i++) {
        const struct sim_record *record = &world->service.records[i];
        unsigned key = (unsigned)strtoul(record->key + 1, NULL, 10);
        unsigned value = (unsigned)strtoul(record->data, NULL, 10);

        mr_check(key < 1000);
        if (value > next[key])
            gaps++;
        if (value >= next[key])
            next[key] = value + 1;
    }
    return gaps;
}

static int compare(const void *a, const void *b)
{
    const struct sim_record *left = a, *right = b;
    int by_key = strcmp(left->key, right->key);

    return by_key ? by_key : strcmp(left->data, right->data);
}

size_t producer_world_count_lost(const struct producer_world *world)
{
    size_t count = world->service.record_count, lost = 0;
    struct sim_record *records = mr_alloc(count * sizeof *records + 1), wanted = {0};

    if (count)
        memcpy(records, world->service.records, count * sizeof *records);
    qsort(records, count, sizeof *records, compare);
    for (size_t i = 0; i < world->sent_count; i++) {
        const struct sent *sent = world->sent[i];

        snprintf(wanted.key, sizeof wanted.key, "%s", sent->key);
        snprintf(wanted.data, sizeof wanted.data, "%u", sent->value);
        lost += sent->delivery.status == MR_OK &&
                !bsearch(&wanted, records, count, sizeof *records, compare);
    }
    mr_free(records);
    return lost;
}

size_t producer_world_count_status(const struct producer_world *world, mr_status status)
{
    size_t count = 0;

    for (size_t i = 0; i < world->sent_count; i++)
        count += world->sent[i]->delivery.status == status;
    return count;
}
