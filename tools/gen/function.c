#include "gen/function.h"

#include "guess.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES_MAX 60

/* clang-format off */
#define LIST(id, name, ...) static const char *const id[] = {__VA_ARGS__};
#include "gen/words.def"

static const struct mr_function functions[] = {
    {.kind = MR_FUNCTION_NUMBER, .name = "random.number"},
    {.kind = MR_FUNCTION_REAL, .name = "random.float"},
    {.kind = MR_FUNCTION_CHOICE, .name = "random.arrayElement"},
    {.kind = MR_FUNCTION_CHOICE, .name = "helpers.randomize"},
    {.kind = MR_FUNCTION_WEIGHTED, .name = "random.weightedArrayElement"},
    {.kind = MR_FUNCTION_LOCAL, .name = "date.now"},
    {.kind = MR_FUNCTION_LOCAL, .name = "date.simTime"},
    {.kind = MR_FUNCTION_LOCAL, .name = "current.timestamp"},
    {.kind = MR_FUNCTION_UTC, .name = "date.utc"},
    {.kind = MR_FUNCTION_UUID, .name = "random.uuid"},
    {.kind = MR_FUNCTION_ALPHANUMERIC, .name = "random.alphaNumeric"},
    {.kind = MR_FUNCTION_HEXADECIMAL, .name = "random.hexadecimal"},
    {.kind = MR_FUNCTION_KEY, .name = "key"},
    {.kind = MR_FUNCTION_INDEX, .name = "index"},
#define LIST(id, name_, ...)                                                                       \
    {.kind = MR_FUNCTION_LIST, .name = name_, .words = id, .word_count = sizeof id / sizeof *id},
#define MACRO(name_, text_) {.kind = MR_FUNCTION_MACRO, .name = name_, .text = text_},
#include "gen/words.def"
};
/* clang-format on */

const struct mr_function *mr_function_of(mr_bytes name, const char **guess)
{
    static _Thread_local char best[MR_GUESS_BYTES];
    char text[NAME_BYTES_MAX + 1];
    struct mr_guess near = MR_GUESS(text);

    snprintf(text, sizeof text, "%.*s",
             name.size < NAME_BYTES_MAX ? (int)name.size : NAME_BYTES_MAX, (const char *)name.data);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strlen(functions[i].name) == name.size &&
            memcmp(functions[i].name, name.data, name.size) == 0)
            return &functions[i];
        mr_guess_offer(&near, functions[i].name);
    }
    memcpy(best, near.best, sizeof best);
    *guess = best;
    return NULL;
}
