/* config.h - configurations that grow at their end, from release to release. */
#ifndef MR_BASE_CONFIG_H
#define MR_BASE_CONFIG_H

#include "millrace.h"

/*
 * Copies a caller's configuration (NULL: none) over config, which holds the default named so in
 * messages. Both begin with a size_t struct_bytes: what was compiled with an older header is shorter,
 * and the rest stays the default. INVALID.
 */
mr_status mr_config_merge(void *config, size_t size, const void *given, const char *default_name,
                          mr_error *error);

#endif
