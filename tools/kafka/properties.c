/* properties.c - what librdkafka is told by the user. Values may be secrets: no message shows one. */
#include "kafka/bridge.h"

#include "base/fail.h"
#include "base/memory.h"
#include "os/fs.h"

#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define ENVIRONMENT "env:"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Without the blanks around it. */
static char *copy(const char *start, const char *end)
{
    char *text;

    while (start < end && is_blank(*start))
        start++;
    while (end > start && is_blank(end[-1]))
        end--;
    text = mr_alloc((size_t)(end - start) + 1);
    memcpy(text, start, (size_t)(end - start));
    text[end - start] = 0;
    return text;
}

mr_status mr_kafka_property_add(struct mr_kafka_properties *properties, const char *text,
                                mr_error *error)
{
    const char *equals = strchr(text, '=');
    struct mr_kafka_property property;

    if (!equals || equals == text)
        return mr_fail(error, MR_INVALID, "a Kafka property is NAME=VALUE");
    property.name = copy(text, equals);
    property.value = copy(equals + 1, text + strlen(text));
    mr_grow(properties->items, properties->count, properties->capacity);
    properties->items[properties->count++] = property;
    if (strncmp(property.value, ENVIRONMENT, strlen(ENVIRONMENT)) == 0) {
        const char *value = getenv(property.value + strlen(ENVIRONMENT));

        if (!value)
            return mr_fail(error, MR_INVALID, "%s is to come from %s, which the environment lacks",
                           property.name, property.value + strlen(ENVIRONMENT));
        mr_free(property.value);
        properties->items[properties->count - 1].value = mr_copy_text(value);
    }
    return MR_OK;
}

mr_status mr_kafka_properties_read(struct mr_kafka_properties *properties, const char *path,
                                   mr_error *error)
{
    uint8_t *bytes;
    size_t size;
    mr_status status = mr_fs_read_all(mr_fs_posix(), path, FILE_BYTES_MAX, &bytes, &size, error);
    char *text, *rest, *line;

    if (status)
        return status;
    text = rest = copy((char *)bytes, (char *)bytes + size);
    mr_free(bytes);
    while (!status && (line = strsep(&rest, "\n"))) {
        line += strspn(line, " \t\r");
        if (*line && *line != '#')
            status = mr_kafka_property_add(properties, line, error);
    }
    mr_free(text);
    return status;
}

void mr_kafka_properties_fini(struct mr_kafka_properties *properties)
{
    for (size_t i = 0; i < properties->count; i++) {
        mr_free(properties->items[i].name);
        mr_free(properties->items[i].value);
    }
    mr_free(properties->items);
    *properties = (struct mr_kafka_properties){0};
}
