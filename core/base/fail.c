#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* X-macro rows become one switch each, so a status that is not in the table has no name. */

const char *mr_status_name(mr_status status)
{
    switch (status) {
#define X(name, value, retryable, text)                                                            \
    case MR_##name:                                                                                \
        return #name;
        MR_STATUS_MAP(X)
#undef X
    }
    return "UNKNOWN";
}

const char *mr_status_text(mr_status status)
{
    switch (status) {
#define X(name, value, retryable, text)                                                            \
    case MR_##name:                                                                                \
        return text;
        MR_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

bool mr_status_retryable(mr_status status)
{
    switch (status) {
#define X(name, value, retryable, text)                                                            \
    case MR_##name:                                                                                \
        return retryable;
        MR_STATUS_MAP(X)
#undef X
    }
    return false;
}

mr_status mr_fail(mr_error *error, mr_status status, const char *format, ...)
{
    va_list arguments;

    if (!error)
        return status;
    error->status = status;
    error->os_errno = 0;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

mr_status mr_fail_os(mr_error *error, int os_errno, const char *format, ...)
{
    mr_status status = os_errno == ENOSPC || os_errno == EDQUOT ? MR_NO_SPACE : MR_IO;
    va_list arguments;
    size_t used;

    if (!error)
        return status;
    error->status = status;
    error->os_errno = os_errno;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    used = strlen(error->message);
    snprintf(error->message + used, sizeof error->message - used, ": %s", strerror(os_errno));
    return status;
}
