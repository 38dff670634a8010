#include "service/alarm.h"

#include "base/memory.h"
#include "os/clock.h"
#include "os/thread.h"

/* A heap: no alarm rings before the one at half its place. */
struct mr_alarms {
    pthread_mutex_t lock;
    pthread_cond_t is_changed;
    struct mr_alarm **heap; /* [1..count] */
    size_t count, capacity;
    struct mr_alarm *ringing;
    bool is_stopping;
    pthread_t thread;
};

static uint64_t now_ns(void)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock);
}

/* ---- the heap ----------------------------------------------------------------------------- */

static void put(struct mr_alarms *alarms, size_t place, struct mr_alarm *alarm)
{
    alarms->heap[place] = alarm;
    alarm->place = place;
}

/* Puts an alarm where it belongs, at this place or above or below it. */
static void settle(struct mr_alarms *alarms, size_t place, struct mr_alarm *alarm)
{
    for (; place > 1 && alarm->at_ns < alarms->heap[place / 2]->at_ns; place /= 2)
        put(alarms, place, alarms->heap[place / 2]);
    for (size_t next; (next = 2 * place) <= alarms->count; place = next) {
        if (next < alarms->count && alarms->heap[next + 1]->at_ns < alarms->heap[next]->at_ns)
            next++;
        if (alarm->at_ns <= alarms->heap[next]->at_ns)
            break;
        put(alarms, place, alarms->heap[next]);
    }
    put(alarms, place, alarm);
}

static void take_out(struct mr_alarms *alarms, struct mr_alarm *alarm)
{
    struct mr_alarm *last = alarms->heap[alarms->count--];

    if (last != alarm)
        settle(alarms, alarm->place, last);
    alarm->place = 0;
}

/* ---- the thread --------------------------------------------------------------------------- */

static void ring_first(struct mr_alarms *alarms)
{
    struct mr_alarm *alarm = alarms->heap[1];

    take_out(alarms, alarm);
    alarms->ringing = alarm;
    pthread_mutex_unlock(&alarms->lock);
    alarm->ring(alarm);
    pthread_mutex_lock(&alarms->lock);
    alarms->ringing = NULL;
    pthread_cond_broadcast(&alarms->is_changed);
}

static void *run(void *context)
{
    struct mr_alarms *alarms = context;

    pthread_mutex_lock(&alarms->lock);
    while (!alarms->is_stopping) {
        if (alarms->count == 0)
            pthread_cond_wait(&alarms->is_changed, &alarms->lock);
        else if (alarms->heap[1]->at_ns > now_ns())
            mr_condition_wait_until(&alarms->is_changed, &alarms->lock, alarms->heap[1]->at_ns);
        else
            ring_first(alarms);
    }
    pthread_mutex_unlock(&alarms->lock);
    return NULL;
}

struct mr_alarms *mr_alarms_new(void)
{
    struct mr_alarms *alarms = mr_new(struct mr_alarms);

    pthread_mutex_init(&alarms->lock, NULL);
    mr_condition_init(&alarms->is_changed);
    alarms->thread = mr_thread_start("mr-alarm", run, alarms);
    return alarms;
}

void mr_alarms_free(struct mr_alarms *alarms)
{
    if (!alarms)
        return;
    pthread_mutex_lock(&alarms->lock);
    alarms->is_stopping = true;
    pthread_cond_broadcast(&alarms->is_changed);
    pthread_mutex_unlock(&alarms->lock);
    pthread_join(alarms->thread, NULL);
    pthread_cond_destroy(&alarms->is_changed);
    pthread_mutex_destroy(&alarms->lock);
    mr_free(alarms->heap);
    mr_free(alarms);
}

/* ---- setting ------------------------------------------------------------------------------ */

void mr_alarm_set(struct mr_alarms *alarms, struct mr_alarm *alarm, uint32_t after_ms)
{
    pthread_mutex_lock(&alarms->lock);
    alarm->at_ns = now_ns() + (uint64_t)after_ms * 1000000;
    if (alarm->place) {
        settle(alarms, alarm->place, alarm);
    } else {
        if (alarms->count + 2 > alarms->capacity) {
            alarms->capacity = alarms->capacity ? 2 * alarms->capacity : 16;
            alarms->heap = mr_resize(alarms->heap, alarms->capacity * sizeof(*alarms->heap));
        }
        settle(alarms, ++alarms->count, alarm);
    }
    pthread_cond_broadcast(&alarms->is_changed);
    pthread_mutex_unlock(&alarms->lock);
}

void mr_alarms_hurry(struct mr_alarms *alarms)
{
    uint64_t now = now_ns();

    pthread_mutex_lock(&alarms->lock);
    for (size_t place = 1; place <= alarms->count; place++)
        if (alarms->heap[place]->at_ns > now) /* those that are late stay in front */
            alarms->heap[place]->at_ns = now;
    pthread_cond_broadcast(&alarms->is_changed);
    pthread_mutex_unlock(&alarms->lock);
}

void mr_alarm_stop(struct mr_alarms *alarms, struct mr_alarm *alarm)
{
    pthread_mutex_lock(&alarms->lock);
    while (alarms->ringing == alarm)
        pthread_cond_wait(&alarms->is_changed, &alarms->lock);
    if (alarm->place)
        take_out(alarms, alarm);
    pthread_mutex_unlock(&alarms->lock);
}
