/* fuzz_events.c - any file as events: totals add up, and what is read from it comes back as it was from
 * a recording of it. The first byte chooses how it is read. */
#include "../../tools/events/events.h"
#include "base/check.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mr_events *open_bytes(mr_bytes bytes, struct mr_events_config config)
{
    int file = memfd_create("events", 0);
    struct mr_events *events;
    char path[64];

    mr_check(file >= 0 && write(file, bytes.data, bytes.size) == (ssize_t)bytes.size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    config.path = path;
    mr_check(!mr_events_open(&events, &config, NULL));
    close(file);
    return events;
}

static bool equal(mr_bytes a, mr_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void comes_back(const struct mr_event *event)
{
    struct mr_pack out = MR_PACK((size_t)1 << 28);
    struct mr_events *events;
    struct mr_event again;
    size_t count;

    mr_event_write(&out, event);
    events = open_bytes((mr_bytes){out.data, out.size},
                        (struct mr_events_config){.format = MR_EVENTS_RECORDING});
    mr_check(!mr_events_read(events, &again, 1, &count, NULL) && count == 1);
    mr_check(equal(again.key, event->key) && equal(again.data, event->data));
    mr_check(again.has_hash_key == event->has_hash_key && again.time_ms == event->time_ms);
    mr_events_close(events);
    mr_pack_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_events_config config = {0};
    struct mr_events_totals totals;
    struct mr_event batch[16];
    struct mr_events *events;
    uint64_t event_count = 0;
    size_t count;

    if (size == 0)
        return 0;
    config.format = (enum mr_event_format)(data[0] & 3);
    config.key_field = data[0] & 4 ? "k" : NULL;
    config.strict = data[0] & 8;
    if (data[0] & 16)
        config.fields[config.field_count++] = "a.b";
    events = open_bytes((mr_bytes){data + 1, size - 1}, config);
    while (!mr_events_read(events, batch, 16, &count, NULL) && count > 0)
        for (size_t i = 0; i < count; i++, event_count++)
            if (mr_events_format(events) == MR_EVENTS_RECORDING && batch[i].key.size)
                comes_back(&batch[i]);
    mr_events_totals(events, &totals);
    mr_check(totals.event_count == event_count);
    mr_check(totals.line_count ==
             totals.event_count + totals.rejected_count + totals.skipped_count);
    mr_events_close(events);
    return 0;
}
