#include "options.h"

#include "base/fail.h"
#include "guess.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mr_option_name(const struct mr_option *option, char text[MR_OPTION_NAME_BYTES])
{
    snprintf(text, MR_OPTION_NAME_BYTES, "--%s", option->name);
    for (char *at = text; *at; at++)
        if (*at == '_')
            *at = '-';
}

bool mr_number_parse(const char *text, uint64_t *number)
{
    uint64_t value = 0;

    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > (UINT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *number = value;
    return true;
}

/* The index of word in "a|b|c", or -1; offers the words to guess. */
static int choice_of(const char *words, const char *word, struct mr_guess *guess)
{
    for (int index = 0;; index++) {
        char one[32];
        size_t size = strcspn(words, "|");

        snprintf(one, sizeof one, "%.*s", (int)size, words);
        if (strcmp(one, word) == 0)
            return index;
        mr_guess_offer(guess, one);
        if (!words[size])
            return -1;
        words += size + 1;
    }
}

mr_status mr_option_set(const struct mr_option *option, const char *value, void *target,
                        mr_error *error)
{
    void *field = (char *)target + option->offset;
    struct mr_guess guess = MR_GUESS(value);
    struct mr_texts *texts = field;
    char name[MR_OPTION_NAME_BYTES];
    int choice;

    mr_option_name(option, name);
    switch (option->type) {
    case MR_TYPE_FLAG:
        *(MR_OPTION_FLAG *)field = true;
        return MR_OK;
    case MR_TYPE_TEXT:
        *(MR_OPTION_TEXT *)field = value;
        return MR_OK;
    case MR_TYPE_TEXTS:
        if (texts->count == MR_TEXTS_MAX)
            return mr_fail(error, MR_INVALID, "%s may be given %d times, not more", name,
                           MR_TEXTS_MAX);
        texts->values[texts->count++] = value;
        return MR_OK;
    case MR_TYPE_NUMBER:
        if (mr_number_parse(value, (MR_OPTION_NUMBER *)field))
            return MR_OK;
        return mr_fail(error, MR_INVALID, "%s takes a number, not '%s'", name, value);
    case MR_TYPE_CHOICE:
        choice = choice_of(option->argument, value, &guess);
        if (choice >= 0) {
            *(MR_OPTION_CHOICE *)field = (unsigned)choice;
            return MR_OK;
        }
        if (*guess.best)
            return mr_fail(error, MR_INVALID, "%s takes %s, not '%s': did you mean '%s'?", name,
                           option->argument, value, guess.best);
        return mr_fail(error, MR_INVALID, "%s takes %s, not '%s'", name, option->argument, value);
    }
    abort();
}

static const struct mr_option *by_name(const struct mr_option *table, const char *name, size_t size,
                                       struct mr_guess *guess)
{
    char own[MR_OPTION_NAME_BYTES];

    for (; table && table->name; table++) {
        mr_option_name(table, own);
        if (strlen(own) == size && memcmp(own, name, size) == 0)
            return table;
        mr_guess_offer(guess, own);
    }
    return NULL;
}

static const struct mr_option *by_letter(const struct mr_option *table, char letter)
{
    for (; table && table->name; table++)
        if (table->letter == letter)
            return table;
    return NULL;
}

struct parse {
    const struct mr_option *tables[2];
    void *target;
    char **words;
    size_t at, count;
    mr_error *error;
};

static mr_status parse_long(struct parse *parse, char *word)
{
    size_t size = strcspn(word, "=");
    char name[MR_OPTION_NAME_BYTES];
    struct mr_guess guess = MR_GUESS(name);
    const struct mr_option *option;
    const char *value = word[size] ? word + size + 1 : NULL;

    snprintf(name, sizeof name, "%.*s", (int)size, word);
    option = by_name(parse->tables[1], word, size, &guess);
    if (!option)
        option = by_name(parse->tables[0], word, size, &guess);
    if (!option && *guess.best)
        return mr_fail(parse->error, MR_INVALID, "there is no option %s: did you mean %s?", name,
                       guess.best);
    if (!option)
        return mr_fail(parse->error, MR_INVALID, "there is no option %s", name);
    if (option->type == MR_TYPE_FLAG && value)
        return mr_fail(parse->error, MR_INVALID, "%s takes no value", name);
    if (option->type != MR_TYPE_FLAG && !value) {
        if (parse->at == parse->count)
            return mr_fail(parse->error, MR_INVALID, "%s needs a value: %s", name,
                           option->argument);
        value = parse->words[parse->at++];
    }
    return mr_option_set(option, value, parse->target, parse->error);
}

static mr_status parse_letters(struct parse *parse, const char *letters)
{
    for (; *letters; letters++) {
        const struct mr_option *option = by_letter(parse->tables[1], *letters);
        const char *value;

        if (!option)
            option = by_letter(parse->tables[0], *letters);
        if (!option)
            return mr_fail(parse->error, MR_INVALID, "there is no option -%c", *letters);
        if (option->type == MR_TYPE_FLAG) {
            mr_status status = mr_option_set(option, NULL, parse->target, parse->error);
            if (status)
                return status;
            continue;
        }
        if (letters[1])
            value = letters + 1;
        else if (parse->at < parse->count)
            value = parse->words[parse->at++];
        else
            return mr_fail(parse->error, MR_INVALID, "-%c needs a value: %s", *letters,
                           option->argument);
        return mr_option_set(option, value, parse->target, parse->error);
    }
    return MR_OK;
}

mr_status mr_options_init(const struct mr_option *table, void *target, mr_error *error)
{
    mr_status status = MR_OK;

    for (; table && table->name && !status; table++)
        if (*table->fallback)
            status = mr_option_set(table, table->fallback, target, error);
    return status;
}

mr_status mr_options_apply(const struct mr_option *common, const struct mr_option *own,
                           void *target, char **words, size_t word_count, size_t *argument_count,
                           mr_error *error)
{
    struct parse parse = {{common, own}, target, words, 0, word_count, error};
    size_t kept = 0;
    mr_status status = MR_OK;

    while (!status && parse.at < word_count) {
        char *word = words[parse.at++];

        if (strcmp(word, "--") == 0) {
            while (parse.at < word_count)
                words[kept++] = words[parse.at++];
        } else if (strncmp(word, "--", 2) == 0) {
            status = parse_long(&parse, word);
        } else if (word[0] == '-' && word[1]) {
            status = parse_letters(&parse, word + 1);
        } else {
            words[kept++] = word;
        }
    }
    *argument_count = kept;
    return status;
}

mr_status mr_options_parse(const struct mr_option *common, const struct mr_option *own,
                           void *target, char **words, size_t word_count, size_t *argument_count,
                           mr_error *error)
{
    mr_status status = mr_options_init(common, target, error);

    if (!status)
        status = mr_options_init(own, target, error);
    return status ? status
                  : mr_options_apply(common, own, target, words, word_count, argument_count, error);
}
