/* A bridge's positions as Kafka has them, and files of bridges: read without harm, or refused. */
#include "kafka/file.h"
#include "kafka/inside.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One of each type. */
static const struct mr_option table[] = {
#define OPTION(type, name, argument)                                                               \
    {                                                                                              \
#name, MR_TYPE_##type, 0, argument, "", "", offsetof(struct mr_bridge_options, name)       \
    }
    OPTION(FLAG, at_least_once, ""),      OPTION(TEXT, on_error, "WHAT"),
    OPTION(TEXTS, kafka_property, "K=V"), OPTION(NUMBER, create, "N"),
    OPTION(CHOICE, headers, "drop|wrap"), {0},
#undef OPTION
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mr_bridge_options begin;
    struct mr_bridge_file file = {0};
    mr_bytes created;
    mr_mark mark;

    if (mr_position_scan((mr_bytes){data, size}, &mark, &created) &&
        ((const uint8_t *)created.data < data || created.size > size))
        abort();
    if (!mr_bridge_file_parse(&file, (mr_bytes){data, size}, "fuzz", table, &begin, NULL))
        for (size_t i = 0; i < file.count; i++)
            if (!file.items[i].source || !file.items[i].target || !file.items[i].options.name)
                abort();
    mr_bridge_file_fini(&file);
    return 0;
}
