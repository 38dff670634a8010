/* fail.h - how the world's failures are reported: the place that knows most writes the message. */
#ifndef MR_BASE_FAIL_H
#define MR_BASE_FAIL_H

#include "millrace.h"

/* Fills error (may be NULL) and returns status, so that one can write: return mr_fail(...). */
__attribute__((format(printf, 3, 4))) mr_status mr_fail(mr_error *error, mr_status status,
                                                        const char *format, ...);

/* The same with ": <text of os_errno>" behind the message. ENOSPC and EDQUOT become NO_SPACE, all
 * others IO. */
__attribute__((format(printf, 3, 4))) mr_status mr_fail_os(mr_error *error, int os_errno,
                                                           const char *format, ...);

#endif
