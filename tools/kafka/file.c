#include "kafka/file.h"

#include "guess.h"

#include "base/fail.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)

/* Cuts blanks off both ends. */
static char *trim(char *text)
{
    char *end = text + strlen(text);

    while (end > text && strchr(" \t\r", end[-1]))
        *--end = 0;
    return text + strspn(text, " \t");
}

/* A comment is a line of its own, or behind a blank. */
static void cut_comment(char *line)
{
    for (char *at = line; *at; at++)
        if (*at == '#' && (at == line || at[-1] == ' ' || at[-1] == '\t')) {
            *at = 0;
            return;
        }
}

/* Those of the whole process have no place in a section. */
static bool is_own(const struct mr_option *option)
{
    return strcmp(option->name, "config") != 0 && strcmp(option->name, "status") != 0 &&
           strcmp(option->name, "metrics") != 0 && strcmp(option->name, "name") != 0;
}

static const struct mr_option *find(const struct mr_option *table, const char *word,
                                    struct mr_guess *guess)
{
    char name[MR_OPTION_NAME_BYTES];

    for (; table->name; table++) {
        mr_option_name(table, name);
        if (is_own(table) && strcmp(name + 2, word) == 0)
            return table;
        if (is_own(table))
            mr_guess_offer(guess, name + 2);
    }
    return NULL;
}

static mr_status set_flag(const struct mr_option *option, const char *value, void *options,
                          mr_error *error)
{
    bool *field = (void *)((char *)options + option->offset);

    *field = strcmp(value, "true") == 0;
    if (!*field && strcmp(value, "false") != 0)
        return mr_fail(error, MR_INVALID, "%s takes true or false", option->name);
    return MR_OK;
}

static mr_status take_setting(struct mr_bridge_section *section, char *line,
                              const struct mr_option *table, mr_error *error)
{
    char *value = strchr(line, '=');
    const char *name;
    const struct mr_option *option;
    struct mr_guess guess;

    if (!value)
        return mr_fail(error, MR_INVALID, "it is no NAME = VALUE and no [NAME]");
    *value++ = 0;
    name = trim(line);
    value = trim(value);
    guess = MR_GUESS(name);
    if (strcmp(name, "source") == 0 || strcmp(name, "target") == 0) {
        const char **place = *name == 's' ? &section->source : &section->target;

        if (*place)
            return mr_fail(error, MR_INVALID, "%s stands there twice", name);
        *place = value;
        return MR_OK;
    }
    option = find(table, name, &guess);
    if (!option)
        return mr_fail(error, MR_INVALID, "a bridge has no %.60s%s%s%s", name,
                       *guess.best ? ": did you mean " : "", guess.best, *guess.best ? "?" : "");
    return option->type == MR_TYPE_FLAG ? set_flag(option, value, &section->options, error)
                                        : mr_option_set(option, value, &section->options, error);
}

static mr_status take_head(struct mr_bridge_file *file, char *line, uint32_t number,
                           const struct mr_bridge_options *begin, mr_error *error)
{
    size_t size = strlen(line);
    char *name = line + 1;

    if (size < 3 || line[size - 1] != ']')
        return mr_fail(error, MR_INVALID, "it is no [NAME]");
    line[size - 1] = 0;
    for (size_t i = 0; i < file->count; i++)
        if (strcmp(file->items[i].options.name, name) == 0)
            return mr_fail(error, MR_INVALID, "there is a bridge %.60s already", name);
    mr_grow(file->items, file->count, file->capacity);
    file->items[file->count] = (struct mr_bridge_section){.line = number, .options = *begin};
    file->items[file->count++].options.name = name;
    return MR_OK;
}

mr_status mr_bridge_file_parse(struct mr_bridge_file *file, mr_bytes text, const char *path,
                               const struct mr_option *table, const struct mr_bridge_options *begin,
                               mr_error *error)
{
    mr_error why = {0};
    char *rest, *line;
    uint32_t number = 0;

    if (text.size > 0 && memchr(text.data, 0, text.size))
        return mr_fail(error, MR_INVALID, "%s is no text", path);
    rest = file->text = mr_alloc(text.size + 1);
    if (text.size > 0)
        memcpy(file->text, text.data, text.size);
    file->text[text.size] = 0;
    while ((line = strsep(&rest, "\n"))) {
        mr_status status = MR_OK;

        number++;
        cut_comment(line);
        line = trim(line);
        if (*line == '[')
            status = take_head(file, line, number, begin, &why);
        else if (*line && file->count == 0)
            status = mr_fail(&why, MR_INVALID, "a [NAME] comes first");
        else if (*line)
            status = take_setting(&file->items[file->count - 1], line, table, &why);
        if (status)
            return mr_fail(error, status, "%s, line %u: %s", path, number, why.message);
    }
    for (size_t i = 0; i < file->count; i++)
        if (!file->items[i].source || !file->items[i].target)
            return mr_fail(error, MR_INVALID, "%s, line %u: [%.60s] lacks source or target", path,
                           file->items[i].line, file->items[i].options.name);
    return file->count > 0 ? MR_OK : mr_fail(error, MR_INVALID, "%s has no bridge", path);
}

mr_status mr_bridge_file_read(struct mr_bridge_file *file, const char *path,
                              const struct mr_option *table, const struct mr_bridge_options *begin,
                              mr_error *error)
{
    uint8_t *bytes;
    size_t size;
    mr_status status = mr_fs_read_all(mr_fs_posix(), path, FILE_BYTES_MAX, &bytes, &size, error);

    if (status)
        return status;
    status = mr_bridge_file_parse(file, (mr_bytes){bytes, size}, path, table, begin, error);
    mr_free(bytes);
    return status;
}

void mr_bridge_file_fini(struct mr_bridge_file *file)
{
    mr_free(file->text);
    mr_free(file->items);
    *file = (struct mr_bridge_file){0};
}
