/* alarm.h - calls at moments to come, from one thread: they must be short. */
#ifndef MR_SERVICE_ALARM_H
#define MR_SERVICE_ALARM_H

#include <stddef.h>
#include <stdint.h>

/* Part of the object it serves. Set ring once, the rest to 0. */
struct mr_alarm {
    void (*ring)(struct mr_alarm *alarm);
    uint64_t at_ns;
    size_t place; /* in the heap, from 1 on; 0: not set */
};

struct mr_alarms;

struct mr_alarms *mr_alarms_new(void);
void mr_alarms_free(struct mr_alarms *alarms); /* none may be set; NULL is allowed */

/* Rings once after so long; an alarm that is set is set anew. */
void mr_alarm_set(struct mr_alarms *alarms, struct mr_alarm *alarm, uint32_t after_ms);
/* Rings all that are set, now. */
void mr_alarms_hurry(struct mr_alarms *alarms);
/* When it returns, ring() is not running and will not be called. Not from ring(). */
void mr_alarm_stop(struct mr_alarms *alarms, struct mr_alarm *alarm);

#endif
