/* config.c - a caller's configuration over the default. */
#include "base/config.h"
#include "base/fail.h"

#include <string.h>

mr_status mr_config_merge(void *config, size_t size, const void *given, const char *default_name,
                          mr_error *error)
{
    size_t struct_bytes;

    if (!given)
        return MR_OK;
    memcpy(&struct_bytes, given, sizeof struct_bytes);
    if (struct_bytes < sizeof struct_bytes || struct_bytes > size)
        return mr_fail(error, MR_INVALID,
                       "the configuration's struct_bytes is %zu, not %zu to %zu: start from %s",
                       struct_bytes, sizeof struct_bytes, size, default_name);
    memcpy(config, given, struct_bytes);
    return MR_OK;
}
