/*
 * options.h - a command line becomes a struct, by a table.
 *
 * Takes --name value, --name=value, --no-value flags, -n value, -nvalue and -abc; "--" ends the
 * options. Options and arguments may stand in any order.
 */
#ifndef MR_TOOLS_OPTIONS_H
#define MR_TOOLS_OPTIONS_H

#include "millrace.h"

#include <stddef.h>

/* What an option's value becomes: the type of its field in the struct. */
#define MR_OPTION_FLAG bool
#define MR_OPTION_NUMBER uint64_t   /* decimal */
#define MR_OPTION_TEXT const char * /* NULL if not given and without a default */
#define MR_OPTION_TEXTS struct mr_texts
#define MR_OPTION_CHOICE unsigned /* index of the word in the argument's "a|b|c" */

enum mr_option_type { MR_TYPE_FLAG, MR_TYPE_NUMBER, MR_TYPE_TEXT, MR_TYPE_TEXTS, MR_TYPE_CHOICE };

/* The values of an option that may be given more than once, in their order. */
#define MR_TEXTS_MAX 8
struct mr_texts {
    const char *values[MR_TEXTS_MAX];
    size_t count;
};

struct mr_option {
    const char *name; /* an underscore here is a dash on the command line; NULL ends a table */
    enum mr_option_type type;
    char letter;          /* 0: none */
    const char *argument; /* what help calls the value; of a choice: its words */
    const char *fallback; /* the value when not given; "" is none */
    const char *help;
    size_t offset; /* of the field */
};

/* "key_field" as "--key-field". */
#define MR_OPTION_NAME_BYTES 40
void mr_option_name(const struct mr_option *option, char text[MR_OPTION_NAME_BYTES]);

/*
 * Fills target by two tables (either may be NULL) from words[0 .. word_count). What is not an
 * option is moved to the front of words, in order; *argument_count says how many. INVALID: the
 * message names the word, and the nearest option where one is near.
 */
mr_status mr_options_parse(const struct mr_option *common, const struct mr_option *own,
                           void *target, char **words, size_t word_count, size_t *argument_count,
                           mr_error *error);

/* The same without the defaults: what the words do not say stays as it is. */
mr_status mr_options_apply(const struct mr_option *common, const struct mr_option *own,
                           void *target, char **words, size_t word_count, size_t *argument_count,
                           mr_error *error);

/* The defaults of a table. */
mr_status mr_options_init(const struct mr_option *table, void *target, mr_error *error);
/* One value; a text is kept by pointer. INVALID. */
mr_status mr_option_set(const struct mr_option *option, const char *value, void *target,
                        mr_error *error);

/* A whole decimal number, digits only. */
bool mr_number_parse(const char *text, uint64_t *number);

#endif
