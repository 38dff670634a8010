/* Alarms ring once, not early, in the order of their times, and not after they were stopped. */
#include "os/clock.h"
#include "os/thread.h"
#include "service/alarm.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ALARM_COUNT 200

static uint64_t now_ns(void)
{
    return mr_clock_real()->monotonic_ns(mr_clock_real());
}

struct rung {
    struct mr_alarm alarm; /* first */
    uint64_t rung_ns;
    _Atomic uint32_t place; /* among all that rang, from 1 on; 0: it has not */
};

static _Atomic uint32_t rung_count;

static void note(struct mr_alarm *alarm)
{
    struct rung *rung = (struct rung *)(void *)alarm;

    rung->rung_ns = now_ns();
    rung->place = atomic_load(&rung_count) + 1;
    atomic_fetch_add(&rung_count, 1); /* last: somebody waits for it */
    mr_word_wake(&rung_count, true);
}

static void wait_for(uint32_t count)
{
    uint32_t seen;

    while ((seen = atomic_load(&rung_count)) < count)
        mr_word_wait(&rung_count, seen, UINT32_MAX);
}

static int set_up(void **state)
{
    rung_count = 0;
    *state = mr_alarms_new();
    return 0;
}

static int tear_down(void **state)
{
    mr_alarms_free(*state);
    return 0;
}

static void they_ring_in_order_and_not_early(void **state)
{
    static struct rung alarms[ALARM_COUNT];
    struct mr_random random = seed_random();

    for (int i = 0; i < ALARM_COUNT; i++) {
        alarms[i] = (struct rung){.alarm.ring = note};
        mr_alarm_set(*state, &alarms[i].alarm, (uint32_t)mr_random_below(&random, 60));
    }
    wait_for(ALARM_COUNT);
    for (int i = 0; i < ALARM_COUNT; i++) {
        assert_true(alarms[i].rung_ns >= alarms[i].alarm.at_ns);
        /* One set for earlier, but after the other had rung, comes later. */
        for (int j = i + 1; j < ALARM_COUNT; j++)
            if (alarms[i].alarm.at_ns < alarms[j].alarm.at_ns)
                assert_true(alarms[i].place < alarms[j].place);
    }
}

static void one_that_is_set_anew_rings_once_at_its_new_time(void **state)
{
    struct rung sooner = {.alarm.ring = note}, later = {.alarm.ring = note},
                last = {.alarm.ring = note};

    mr_alarm_set(*state, &sooner.alarm, 1000000);
    mr_alarm_set(*state, &later.alarm, 0);
    mr_alarm_set(*state, &later.alarm, 40); /* unless it has rung already */
    mr_alarm_set(*state, &sooner.alarm, 20);
    mr_alarm_set(*state, &last.alarm, 60);
    while (!atomic_load(&rung_count) || !last.place)
        wait_for(atomic_load(&rung_count) + 1);
    assert_true(sooner.place > 0 && sooner.place < last.place);
    assert_true(later.place > 0 && later.place < last.place);
    assert_true(later.rung_ns >= later.alarm.at_ns);
    assert_true(atomic_load(&rung_count) <= 4);
}

static void one_that_was_stopped_does_not_ring(void **state)
{
    static struct rung alarms[ALARM_COUNT];
    struct mr_random random = seed_random();
    struct rung last = {.alarm.ring = note};

    for (int i = 0; i < ALARM_COUNT; i++) {
        alarms[i] = (struct rung){.alarm.ring = note};
        mr_alarm_set(*state, &alarms[i].alarm, 1000 + (uint32_t)mr_random_below(&random, 60));
    }
    /* Those in the middle of the heap, too: what is left still rings in order. */
    for (int i = 0; i < ALARM_COUNT; i += 2)
        mr_alarm_stop(*state, &alarms[i].alarm);
    for (int i = 1; i < ALARM_COUNT; i += 2)
        mr_alarm_set(*state, &alarms[i].alarm, (uint32_t)mr_random_below(&random, 20));
    mr_alarm_set(*state, &last.alarm, 30);
    wait_for(ALARM_COUNT / 2 + 1);
    for (int i = 0; i < ALARM_COUNT; i++)
        assert_int_equal(alarms[i].place != 0, i % 2);
    assert_int_equal(last.place, ALARM_COUNT / 2 + 1);
    mr_alarm_stop(*state, &last.alarm); /* has rung: nothing to do */
}

struct slow {
    struct mr_alarm alarm;  /* first */
    _Atomic uint32_t stage; /* 1: rings; 2: may end; 3: ended */
};

static void ring_slowly(struct mr_alarm *alarm)
{
    struct slow *slow = (struct slow *)(void *)alarm;

    atomic_store(&slow->stage, 1);
    mr_word_wake(&slow->stage, true);
    while (atomic_load(&slow->stage) < 2)
        mr_word_wait(&slow->stage, 1, UINT32_MAX);
    atomic_store(&slow->stage, 3);
}

static void *let_end(void *context)
{
    struct slow *slow = context;

    atomic_store(&slow->stage, 2);
    mr_word_wake(&slow->stage, true);
    return NULL;
}

static void stopping_waits_for_one_that_rings(void **state)
{
    struct slow slow = {.alarm.ring = ring_slowly};
    pthread_t thread;

    mr_alarm_set(*state, &slow.alarm, 0);
    while (atomic_load(&slow.stage) == 0)
        mr_word_wait(&slow.stage, 0, UINT32_MAX);
    thread = mr_thread_start("test", let_end, &slow);
    mr_alarm_stop(*state, &slow.alarm);
    assert_int_equal(atomic_load(&slow.stage), 3);
    pthread_join(thread, NULL);
}

static void set_again(struct mr_alarm *alarm);

struct again {
    struct mr_alarm alarm; /* first */
    struct mr_alarms *alarms;
    _Atomic uint32_t count;
};

static void set_again(struct mr_alarm *alarm)
{
    struct again *again = (struct again *)(void *)alarm;

    if (atomic_fetch_add(&again->count, 1) < 9)
        mr_alarm_set(again->alarms, alarm, 1);
    mr_word_wake(&again->count, true);
}

static void one_may_set_itself_again(void **state)
{
    struct again again = {.alarm.ring = set_again, .alarms = *state};
    uint32_t seen;

    mr_alarm_set(*state, &again.alarm, 0);
    while ((seen = atomic_load(&again.count)) < 10)
        mr_word_wait(&again.count, seen, UINT32_MAX);
    mr_alarm_stop(*state, &again.alarm);
    assert_int_equal(again.count, 10);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(they_ring_in_order_and_not_early),
        CASE(one_that_is_set_anew_rings_once_at_its_new_time),
        CASE(one_that_was_stopped_does_not_ring),
        CASE(stopping_waits_for_one_that_rings),
        CASE(one_may_set_itself_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
