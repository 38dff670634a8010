/* Files of credentials of any bytes: what is found is text that a header can hold, a key is whole. */
#include "base/check.h"
#include "wire/credentials.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
    mr_check(!text || (*text && !strpbrk(text, "\r\n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sections[] = {"default", "profile work"};

    for (size_t i = 0; i < 2; i++) {
        struct mr_credentials found = {.secret = NULL};

        mr_credentials_read((mr_bytes){data, size}, sections[i], &found);
        check_text(found.access_key_id);
        check_text(found.secret);
        check_text(found.session_token);
        check_text(found.region);
        mr_check(!found.access_key_id == !found.secret);
        mr_check(!found.session_token || found.secret);
        mr_credentials_fini(&found);
    }
    return 0;
}
