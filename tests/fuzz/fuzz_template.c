/* A template of any bytes: it is compiled or refused with a reason, and what it makes is never longer
 * than it said. So are distributions and rates. */
#include "base/check.h"
#include "base/memory.h"
#include "gen/distribution.h"
#include "gen/rate.h"
#include "gen/template.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render(struct mr_template *template)
{
    uint8_t *out = mr_alloc(mr_template_bytes_max(template) + 1);
    struct mr_random random = mr_random_of(1);

    for (uint64_t i = 0; i < 3; i++) {
        struct mr_draw draw = {
            .index = i, .key = UINT64_MAX, .time_ms = INT64_C(1700000000123), .random = &random};
        uint8_t *end = mr_template_render(template, &draw, out);

        mr_check((size_t)(end - out) <= mr_template_bytes_max(template));
    }
    mr_free(out);
}

static void parse(const char *text)
{
    struct mr_random random = mr_random_of(1);
    struct mr_distribution distribution;
    struct mr_rate rate;
    mr_error error;

    if (!mr_distribution_parse(text, 100, &distribution, &error) &&
        distribution.kind != MR_DISTRIBUTION_TIMESTAMP)
        for (int i = 0; i < 20; i++)
            mr_check(mr_distribution_draw(&distribution, &random, 0) < 100);
    if (!mr_rate_parse(text, &rate, &error)) {
        double last_s = 0;

        for (uint64_t i = 0; i < 20; i++) {
            double due_s = mr_rate_due_s(&rate, i);

            mr_check(due_s >= last_s * (1 - 1e-6) - 1e-6);
            last_s = due_s;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_template *template;
    char *copy = mr_alloc(size + 1);
    mr_error error = {.message = ""};

    if (size)
        memcpy(copy, data, size);
    copy[size] = 0;
    if (mr_template_compile(&template, (mr_bytes){copy, size}, &error) == MR_OK) {
        if (mr_template_bytes_max(template) < 1 << 20)
            render(template);
        mr_template_free(template);
    } else {
        mr_check(*error.message);
    }
    parse(copy);
    mr_free(copy);
    return 0;
}
