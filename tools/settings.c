#include "settings.h"

#include "base/fail.h"
#include "base/memory.h"
#include "guess.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define BLANK 0x5a

/* ---- the table ---------------------------------------------------------------------------- */

/* Of every command's options these are settings, too. */
static const char *const common_settings[] = {"data", "key_file"};

static const struct mr_option *common_option(const char *name)
{
    const struct mr_option *option = mr_common_option_table;

    while (strcmp(option->name, name) != 0)
        option++;
    return option;
}

/* A file does not name a file. */
static bool is_setting(const struct mr_option *option)
{
    return strcmp(option->name, "config") != 0;
}

/* The option at a place: those of serve, then those of every command; NULL: the end. */
static const struct mr_option *option_at(const struct mr_settings *settings, size_t place)
{
    size_t count = 0;

    while (settings->table[count].name)
        count++;
    if (place < count)
        return &settings->table[place];
    place -= count;
    return place < sizeof common_settings / sizeof *common_settings
               ? common_option(common_settings[place])
               : NULL;
}

/* "tls_cert" is "tls-cert". */
static void name_of(const struct mr_option *option, char name[MR_OPTION_NAME_BYTES])
{
    char text[MR_OPTION_NAME_BYTES];

    mr_option_name(option, text);
    memmove(name, text + 2, strlen(text + 2) + 1);
}

static const struct mr_option *find(const struct mr_settings *settings, const char *word,
                                    size_t *place, struct mr_guess *guess)
{
    const struct mr_option *option;

    for (*place = 0; (option = option_at(settings, *place)); ++*place) {
        char name[MR_OPTION_NAME_BYTES];

        if (!is_setting(option))
            continue;
        name_of(option, name);
        if (strcmp(name, word) == 0)
            return option;
        mr_guess_offer(guess, name);
    }
    return NULL;
}

/* What was said of it so far counts no more. */
static void forget(struct mr_settings *settings, const struct mr_option *option)
{
    if (option->type == MR_TYPE_TEXTS)
        ((struct mr_texts *)(void *)((char *)&settings->options + option->offset))->count = 0;
}

/* ---- failures ----------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 0))) static mr_status fail_at(const char *path, uint32_t line,
                                                               mr_error *error, const char *format,
                                                               va_list arguments)
{
    char text[200];

    vsnprintf(text, sizeof text, format, arguments);
    return mr_fail(error, MR_INVALID, "%s, line %u: %s", path, line, text);
}

__attribute__((format(printf, 4, 5))) static mr_status fail_line(const char *path, uint32_t line,
                                                                 mr_error *error,
                                                                 const char *format, ...)
{
    va_list arguments;
    mr_status status;

    va_start(arguments, format);
    status = fail_at(path, line, error, format, arguments);
    va_end(arguments);
    return status;
}

static void environment_name(const struct mr_option *option, char name[MR_OPTION_NAME_BYTES + 16])
{
    snprintf(name, MR_OPTION_NAME_BYTES + 16, "MILLRACE_%s", option->name);
    for (char *at = name; *at; at++)
        *at = (char)toupper((unsigned char)*at);
}

mr_status mr_settings_fail(const struct mr_settings *settings, const char *name, mr_error *error,
                           const char *format, ...)
{
    struct mr_guess guess = MR_GUESS(name);
    const struct mr_option *option;
    struct mr_setting_origin origin = {0};
    char variable[MR_OPTION_NAME_BYTES + 16], text[200];
    va_list arguments;
    size_t place;

    option = find(settings, name, &place, &guess);
    if (option)
        origin = settings->origins[place];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (origin.line)
        return fail_line(settings->path, origin.line, error, "%s", text);
    if (!origin.is_environment)
        return mr_fail(error, MR_INVALID, "--%s", text);
    environment_name(option, variable);
    return mr_fail(error, MR_INVALID, "%s: %s", variable, text);
}

/* ---- the file ----------------------------------------------------------------------------- */

static char *trim(char *text)
{
    char *end;

    while (isspace((unsigned char)*text))
        text++;
    end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = 0;
    return text;
}

static mr_status set_line(struct mr_settings *settings, char *line, uint32_t number,
                          mr_error *error)
{
    char *equals = strchr(line, '='), *value;
    const struct mr_option *option;
    struct mr_guess guess;
    mr_error inner;
    size_t place;

    if (!equals)
        return fail_line(settings->path, number, error, "no setting: write name = value");
    *equals = 0;
    line = trim(line);
    value = trim(equals + 1);
    guess = MR_GUESS(line);
    option = find(settings, line, &place, &guess);
    if (!option && *guess.best)
        return fail_line(settings->path, number, error,
                         "there is no setting '%.40s': did you mean %s?", line, guess.best);
    if (!option)
        return fail_line(settings->path, number, error, "there is no setting '%.40s'", line);
    if (!*value)
        return fail_line(settings->path, number, error, "%s needs a value: %s", line,
                         option->argument);
    if (settings->origins[place].line && option->type != MR_TYPE_TEXTS)
        return fail_line(settings->path, number, error, "%s is set on line %u already", line,
                         settings->origins[place].line);
    settings->origins[place].line = number;
    if (mr_option_set(option, value, &settings->options, &inner))
        return fail_line(settings->path, number, error, "%s", inner.message + 2); /* "--" */
    return MR_OK;
}

static mr_status set_lines(struct mr_settings *settings, mr_error *error)
{
    char *line = settings->text, *next;
    mr_status status = MR_OK;

    for (uint32_t number = 1; line && !status; number++, line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        line = trim(line);
        if (*line && *line != '#')
            status = set_line(settings, line, number, error);
    }
    return status;
}

mr_status mr_settings_parse(struct mr_settings *settings, const struct mr_option *table,
                            const char *path, mr_bytes text, mr_error *error)
{
    mr_status status;

    memset(settings, 0, sizeof *settings);
    settings->table = table;
    settings->path = path;
    status = mr_options_init(table, &settings->options, error);
    if (status)
        return status;
    if (text.size > 0 && memchr(text.data, 0, text.size))
        return mr_fail(error, MR_INVALID, "%s is no text: it has a NUL", path);
    settings->text = mr_alloc(text.size + 1);
    if (text.size > 0)
        memcpy(settings->text, text.data, text.size);
    settings->text[text.size] = 0;
    return set_lines(settings, error);
}

void mr_settings_fini(struct mr_settings *settings)
{
    mr_free(settings->text);
    settings->text = NULL;
}

static mr_status read_file(struct mr_settings *settings, const struct mr_option *table,
                           const char *path, mr_error *error)
{
    FILE *file = fopen(path, "re");
    char *bytes;
    size_t size;
    mr_status status;

    if (!file && errno == ENOENT)
        return mr_fail(error, MR_NOT_FOUND, "there is no file of settings %s", path);
    if (!file)
        return mr_fail_os(error, errno, "cannot read the settings of %s", path);
    bytes = mr_alloc(FILE_BYTES_MAX + 1);
    size = fread(bytes, 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file))
        status = mr_fail_os(error, errno, "cannot read the settings of %s", path);
    else if (size > FILE_BYTES_MAX)
        status = mr_fail(error, MR_LIMIT, "%s is over %zu bytes", path, FILE_BYTES_MAX);
    else
        status = mr_settings_parse(settings, table, path, (mr_bytes){bytes, size}, error);
    fclose(file);
    mr_free(bytes);
    return status;
}

/* ---- all of them -------------------------------------------------------------------------- */

static mr_status set_environment(struct mr_settings *settings, mr_error *error)
{
    const struct mr_option *option;

    for (size_t place = 0; (option = option_at(settings, place)); place++) {
        char name[MR_OPTION_NAME_BYTES + 16];
        const char *value;
        mr_error inner;

        environment_name(option, name);
        value = getenv(name);
        if (!value || !*value || !is_setting(option))
            continue;
        forget(settings, option);
        settings->origins[place] = (struct mr_setting_origin){.is_environment = true};
        if (mr_option_set(option, value, &settings->options, &inner))
            return mr_fail(error, MR_INVALID, "%s: %s", name, inner.message + 2);
    }
    return MR_OK;
}

/* Of options that were BLANK before: bytes that no value has. */
static bool is_said(const struct mr_serve_options *options, const struct mr_option *option)
{
    const void *field = (const char *)options + option->offset;
    static const uint8_t blank[] = {BLANK, BLANK, BLANK, BLANK, BLANK, BLANK, BLANK, BLANK};

    switch (option->type) {
    case MR_TYPE_TEXTS:
        return ((const struct mr_texts *)field)->count > 0;
    case MR_TYPE_FLAG:
        return memcmp(field, blank, sizeof(MR_OPTION_FLAG)) != 0;
    case MR_TYPE_CHOICE:
        return memcmp(field, blank, sizeof(MR_OPTION_CHOICE)) != 0;
    default:
        return memcmp(field, blank, sizeof blank) != 0;
    }
}

/* What stands on the command line comes from nowhere else. */
static void forget_origins(struct mr_settings *settings, const struct mr_serve_options *said)
{
    const struct mr_option *option;

    for (size_t place = 0; (option = option_at(settings, place)); place++) {
        if (!is_said(said, option))
            continue;
        forget(settings, option);
        settings->origins[place] = (struct mr_setting_origin){0};
    }
}

static mr_status set_words(struct mr_settings *settings, const struct mr_cli *cli, mr_error *error)
{
    size_t argument_count;
    struct mr_serve_options said;
    mr_status status;

    memset(&said, BLANK, sizeof said);
    for (const struct mr_option *each = settings->table; each->name; each++)
        if (each->type == MR_TYPE_TEXTS)
            ((struct mr_texts *)(void *)((char *)&said + each->offset))->count = 0;
    status = mr_options_apply(mr_common_option_table, settings->table, &said, cli->words,
                              cli->word_count, &argument_count, error);
    if (status)
        return status;
    forget_origins(settings, &said);
    return mr_options_apply(mr_common_option_table, settings->table, &settings->options, cli->words,
                            cli->word_count, &argument_count, error);
}

mr_status mr_settings_read(struct mr_settings *settings, const struct mr_cli *cli, mr_error *error)
{
    const struct mr_serve_options *given = cli->options;
    const char *path = given->config;
    mr_status status;

    if (!path)
        path = getenv("MILLRACE_CONFIG");
    if (path && *path)
        status = read_file(settings, cli->command->options, path, error);
    else
        status = mr_settings_parse(settings, cli->command->options, NULL, (mr_bytes){0}, error);
    if (!status)
        status = set_environment(settings, error);
    if (!status)
        status = set_words(settings, cli, error);
    if (!status)
        status = mr_settings_check(settings, error);
    return status;
}
