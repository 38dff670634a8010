/* credentials.c - the environment, and two files of sections with lines of `name = value`. */
#include "wire/credentials.h"

#include "base/fail.h"
#include "base/memory.h"
#include "base/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static void set(char **text, const char *value)
{
    if (!*text && value)
        *text = mr_copy_text(value);
}

void mr_credentials_fini(struct mr_credentials *credentials)
{
    mr_free(credentials->access_key_id);
    mr_free(credentials->secret);
    mr_free(credentials->session_token);
    mr_free(credentials->region);
    *credentials = (struct mr_credentials){.secret = NULL};
}

/* ---- a file's text ------------------------------------------------------------------------ */

static mr_bytes trim(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (at < end && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        end--;
    return (mr_bytes){at, (size_t)(end - at)};
}

static bool is_text(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

/* The name in "[name]", or nothing. */
static mr_bytes section_of(mr_bytes line)
{
    const char *at = line.data;
    const char *end = line.size ? memchr(at, ']', line.size) : NULL;

    return line.size && *at == '[' && end ? trim(at + 1, end) : (mr_bytes){0};
}

static void take(mr_bytes name, mr_bytes value, struct mr_credentials *found)
{
    char **text = is_text(name, "aws_access_key_id")       ? &found->access_key_id
                  : is_text(name, "aws_secret_access_key") ? &found->secret
                  : is_text(name, "aws_session_token")     ? &found->session_token
                  : is_text(name, "region")                ? &found->region
                                                           : NULL;

    /* What goes into a header must not end it. */
    if (!text || value.size == 0 || memchr(value.data, 0, value.size) ||
        memchr(value.data, '\r', value.size))
        return;
    mr_free(*text);
    *text = mr_alloc(value.size + 1);
    memcpy(*text, value.data, value.size);
    (*text)[value.size] = 0;
}

/* Of the parts of a key all or none are taken: they belong together. */
static void join(struct mr_credentials *credentials, struct mr_credentials *found)
{
    set(&credentials->region, found->region);
    if (credentials->access_key_id || !found->access_key_id || !found->secret)
        return;
    set(&credentials->access_key_id, found->access_key_id);
    set(&credentials->secret, found->secret);
    set(&credentials->session_token, found->session_token);
}

bool mr_credentials_read(mr_bytes text, const char *section, struct mr_credentials *credentials)
{
    const char *at = text.size ? text.data : "", *end = at + text.size;
    struct mr_credentials found = {.secret = NULL};
    bool is_here = false, was_here = false;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const char *equals;
        mr_bytes line, name;

        line_end = line_end ? line_end : end;
        line = trim(at, line_end);
        /* An indented line belongs to the value above it: a nested setting, none of ours. */
        equals = line.data == at && line.size ? memchr(at, '=', line.size) : NULL;
        name = section_of(line);
        if (name.data) {
            is_here = is_text(name, section);
            was_here |= is_here;
        } else if (is_here && equals && *at != '#' && *at != ';') {
            take(trim(at, equals), trim(equals + 1, at + line.size), &found);
        }
        at = line_end + (line_end < end);
    }
    join(credentials, &found);
    mr_credentials_fini(&found);
    return was_here;
}

/* ---- the files ---------------------------------------------------------------------------- */

static mr_status read_file(const char *path, struct mr_pack *text, mr_error *error)
{
    FILE *file = fopen(path, "re");
    mr_status status = MR_OK;
    size_t size;

    if (!file)
        return errno == ENOENT ? MR_OK : mr_fail_os(error, errno, "cannot read %s", path);
    do {
        uint8_t *to = mr_pack_extend(text, 4096);

        size = fread(to, 1, 4096, file);
        text->size -= 4096 - size;
    } while (size > 0 && text->size <= FILE_BYTES_MAX);
    if (ferror(file))
        status = mr_fail_os(error, errno, "cannot read %s", path);
    else if (text->size > FILE_BYTES_MAX)
        status = mr_fail(error, MR_LIMIT, "%s is over 1 MiB: it holds no credentials", path);
    fclose(file);
    return status;
}

static mr_status read_section(const char *name, const char *standard, const char *section,
                              struct mr_credentials *credentials, bool *is_found, mr_error *error)
{
    const char *path = variable(name), *home = variable("HOME");
    struct mr_pack text = {0};
    char full[4096];
    mr_status status;

    if (path)
        snprintf(full, sizeof full, "%s", path);
    else if (home)
        snprintf(full, sizeof full, "%s/.aws/%s", home, standard);
    else
        return MR_OK;
    status = read_file(full, &text, error);
    if (!status && mr_credentials_read((mr_bytes){text.data, text.size}, section, credentials))
        *is_found = true;
    mr_pack_fini(&text);
    return status;
}

static mr_status read_files(const char *profile, struct mr_credentials *credentials,
                            mr_error *error)
{
    bool is_default = strcmp(profile, "default") == 0, is_found = false;
    char section[300];
    mr_status status;

    status = read_section("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile, credentials,
                          &is_found, error);
    snprintf(section, sizeof section, "profile %s", profile);
    if (!status)
        status = read_section("AWS_CONFIG_FILE", "config", is_default ? "default" : section,
                              credentials, &is_found, error);
    if (!status && !is_found && !is_default)
        status = mr_fail(error, MR_NOT_FOUND, "there is no profile '%.100s' in ~/.aws", profile);
    return status;
}

static void read_variables(struct mr_credentials *credentials)
{
    struct mr_credentials found = {
        .access_key_id = (char *)(uintptr_t)variable("AWS_ACCESS_KEY_ID"),
        .secret = (char *)(uintptr_t)variable("AWS_SECRET_ACCESS_KEY"),
        .session_token = (char *)(uintptr_t)variable("AWS_SESSION_TOKEN"),
    };

    join(credentials, &found);
}

mr_status mr_credentials_find(const char *profile, struct mr_credentials *credentials,
                              mr_error *error)
{
    const char *named = profile ? profile : variable("AWS_PROFILE");
    mr_status status;

    set(&credentials->region, variable("AWS_REGION"));
    set(&credentials->region, variable("AWS_DEFAULT_REGION"));
    if (!profile)
        read_variables(credentials);
    status = read_files(named ? named : "default", credentials, error);
    if (!status && profile)
        read_variables(credentials);
    return status;
}
