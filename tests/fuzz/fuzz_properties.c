/* Properties files of any bytes: whatever is told has a line of the file, and what is read is what the rest of
 * the program can stand. */
#include "../../tools/multilang/properties.h"
#include "base/check.h"
#include "base/memory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    unsigned line_count, fault_count;
};

static void hear(void *context, unsigned line, bool is_fault, const char *text)
{
    struct told *told = context;

    mr_check(*text && line <= told->line_count);
    told->fault_count += is_fault;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_kcl_properties properties = {.stream = ""};
    struct told told = {.line_count = 1};
    uint8_t *copy = mr_alloc(size + !size); /* no byte behind its end */
    mr_status status;

    if (size)
        memcpy(copy, data, size);
    for (size_t i = 0; i < size; i++)
        told.line_count += copy[i] == '\n' || copy[i] == '\r';
    status = mr_kcl_properties_read(&properties, (mr_bytes){copy, size}, hear, &told, NULL);
    mr_check((status == MR_INVALID) == (told.fault_count > 0));
    if (!status) {
        mr_check(properties.values[MR_KEY_EXECUTABLE] && properties.values[MR_KEY_APPLICATION]);
        mr_check(*properties.stream && strlen(properties.stream) <= MR_NAME_BYTES_MAX);
        mr_check(mr_kcl_properties_number(&properties, MR_KEY_MAX_RECORDS, 1) >= 1);
        mr_check(mr_kcl_properties_number(&properties, MR_KEY_MAX_RECORDS, 1) <= 10000);
        mr_check(!properties.is_fan_out || !properties.is_polling);
    }
    mr_kcl_properties_fini(&properties);
    mr_free(copy);
    return 0;
}
