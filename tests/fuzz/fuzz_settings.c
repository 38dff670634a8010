/*
 * A file of settings of any bytes: refused with its line, or taken; and what was taken is checked. Its
 * lines as rules of faults, which come from a network, too.
 */
#include "base/check.h"
#include "server/fault.h"
#include "settings.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mr_option table[] = {
#define SETTING(type, name, letter, argument, fallback, help)                                      \
    {#name,                                                                                        \
     MR_TYPE_##type,                                                                               \
     letter,                                                                                       \
     argument,                                                                                     \
     fallback,                                                                                     \
     help,                                                                                         \
     offsetof(struct mr_serve_options, name)},
#include "settings.def"
    {.name = NULL}};

static void check_message(const mr_error *error)
{
    mr_check(error->status == MR_INVALID || error->status == MR_LIMIT);
    mr_check(error->message[0] && memchr(error->message, 0, sizeof error->message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_faults *faults = mr_faults_new(1);
    struct mr_settings settings;
    mr_error error;

    if (mr_settings_parse(&settings, table, "serve.conf", (mr_bytes){data, size}, &error) ||
        mr_settings_check(&settings, &error))
        check_message(&error);
    mr_settings_fini(&settings);
    if (mr_faults_set(faults, (mr_bytes){data, size}, &error))
        check_message(&error);
    mr_faults_free(faults);
    return 0;
}
