/* starting.h - what serve does before it serves: streams, certificates, the words it begins with. */
#ifndef MR_TOOLS_STARTING_H
#define MR_TOOLS_STARTING_H

#include "millrace.h"

enum { MR_TLS_OFF, MR_TLS_SELF_SIGNED }; /* of --tls */

/* Reads "orders:4,clicks". take() may be NULL. INVALID. */
mr_status mr_start_streams_read(const char *list,
                                mr_status (*take)(void *context, const char *name,
                                                  uint32_t shard_count, mr_error *error),
                                void *context, mr_error *error);

/* Makes those of the list that are missing. */
mr_status mr_start_streams(mr_engine *engine, const char *list, mr_error *error);

#endif
