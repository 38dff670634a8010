#include "log/key_file.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mr_key_file {
    struct mr_fs *fs;
    char path[MR_PATH_BYTES]; /* empty: there is no home to keep it in */
    pthread_mutex_t lock;     /* of all below */
    struct mr_master_key known[KEYS_MAX];
    size_t known_count;
};

/* ---- text ---------------------------------------------------------------------------------- */

static uint64_t id_of(const uint8_t secret[KEY_BYTES])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    uint64_t id = 0;

    SHA256(secret, KEY_BYTES, digest);
    for (size_t i = 0; i < sizeof id; i++)
        id = id << 8 | digest[i];
    return id;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const char *text, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool parse_line(const char *text, size_t size, struct mr_master_key *key)
{
    enum { ID_AT = 4, SECRET_AT = ID_AT + 16 + 1, END = SECRET_AT + 2 * KEY_BYTES };
    uint8_t id[8];

    if (size != END || memcmp(text, "key ", ID_AT) || text[SECRET_AT - 1] != ' ' ||
        !parse_hex(text + ID_AT, id, sizeof id) ||
        !parse_hex(text + SECRET_AT, key->secret, KEY_BYTES))
        return false;
    key->id = 0;
    for (size_t i = 0; i < sizeof id; i++)
        key->id = key->id << 8 | id[i];
    return key->id != 0 && key->id == id_of(key->secret);
}

bool mr_key_file_parse(mr_bytes text, struct mr_master_key keys[KEYS_MAX], size_t *count,
                       size_t *line)
{
    const char *at = text.data, *end = at ? at + text.size : at;

    *count = 0;
    for (*line = 1; at < end; ++*line) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((newline ? newline : end) - at);

        if (size > 0 && at[size - 1] == '\r')
            size--;
        if (size > 0 && *at != '#') {
            if (*count == KEYS_MAX || !parse_line(at, size, &keys[*count]))
                return false;
            ++*count;
        }
        at = newline ? newline + 1 : end;
    }
    return *count > 0;
}

/* ---- one life ------------------------------------------------------------------------------ */

static void default_path(char path[MR_PATH_BYTES])
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (config && *config == '/')
        snprintf(path, MR_PATH_BYTES, "%.4000s/millrace/keys", config);
    else if (home && *home == '/')
        snprintf(path, MR_PATH_BYTES, "%.4000s/.config/millrace/keys", home);
}

struct mr_key_file *mr_key_file_new(struct mr_fs *fs, const char *path)
{
    struct mr_key_file *keys = mr_new(struct mr_key_file);

    keys->fs = fs;
    pthread_mutex_init(&keys->lock, NULL);
    if (path)
        snprintf(keys->path, sizeof keys->path, "%.4060s", path);
    else
        default_path(keys->path);
    return keys;
}

void mr_key_file_free(struct mr_key_file *keys)
{
    if (!keys)
        return;
    pthread_mutex_destroy(&keys->lock);
    OPENSSL_cleanse(keys->known, sizeof keys->known);
    mr_free(keys);
}

const char *mr_key_file_path(const struct mr_key_file *keys)
{
    return keys->path;
}

/* ---- reading ------------------------------------------------------------------------------- */

static const struct mr_master_key *find_known(const struct mr_key_file *keys, uint64_t id)
{
    for (size_t i = 0; i < keys->known_count; i++)
        if (keys->known[i].id == id)
            return &keys->known[i];
    return NULL;
}

/* Fresh memory, to be wiped. */
static mr_status read_file(struct mr_key_file *keys, char **text, size_t *size, mr_error *error)
{
    struct mr_file *file;
    uint64_t bytes = 0;
    mr_status status;

    status = keys->fs->open(keys->fs, keys->path, MR_FS_PRIVATE, &file, error);
    if (status)
        return status;
    status = keys->fs->size(file, &bytes, error);
    if (!status && bytes > KEY_FILE_BYTES_MAX)
        status = mr_fail(error, MR_NO_KEY, "%.120s is no key file: it is too long", keys->path);
    if (!status) {
        *text = mr_alloc((size_t)bytes + 1);
        status = keys->fs->read(file, *text, (size_t)bytes, 0, size, error);
    }
    if (status && bytes <= KEY_FILE_BYTES_MAX)
        mr_free(*text);
    keys->fs->close(file);
    return status;
}

/* Adds what the file has to what is known; *first is its first key. NOT_FOUND: there is no file. */
static mr_status load(struct mr_key_file *keys, uint64_t *first, mr_error *error)
{
    struct mr_master_key found[KEYS_MAX];
    size_t size = 0, count, line;
    char *text = NULL;
    mr_status status;

    if (!keys->path[0])
        return mr_fail(error, MR_NO_KEY,
                       "there is no home directory to keep the key file in: name one with "
                       "--key-file (MILLRACE_KEY_FILE)");
    status = read_file(keys, &text, &size, error);
    if (status == MR_DENIED) { /* E2: the file system says why */
        if (error)
            error->status = MR_NO_KEY;
        return MR_NO_KEY;
    }
    if (status)
        return status;
    if (mr_key_file_parse((mr_bytes){text, size}, found, &count, &line)) {
        *first = found[0].id;
        for (size_t i = 0; i < count && keys->known_count < KEYS_MAX; i++)
            if (!find_known(keys, found[i].id))
                keys->known[keys->known_count++] = found[i];
    } else {
        status = mr_fail(error, MR_NO_KEY,
                         "%.120s is damaged in line %zu: put the file back from your copy of it",
                         keys->path, line);
    }
    OPENSSL_cleanse(text, size);
    OPENSSL_cleanse(found, sizeof found);
    mr_free(text);
    return status;
}

mr_status mr_key_file_find(struct mr_key_file *keys, uint64_t id, struct mr_master_key *key,
                           mr_error *error)
{
    const struct mr_master_key *known;
    mr_status status = MR_OK;
    uint64_t first;

    pthread_mutex_lock(&keys->lock);
    known = find_known(keys, id);
    if (!known) {
        status = load(keys, &first, error);
        known = status ? NULL : find_known(keys, id);
    }
    if (known && key)
        *key = *known;
    else if (!known && status == MR_NOT_FOUND)
        status = mr_fail(error, MR_NO_KEY,
                         "the key file %.100s is missing, and with it key %016" PRIx64
                         ": put it back, or name it with --key-file",
                         keys->path, id);
    else if (!known && !status)
        status = mr_fail(error, MR_NO_KEY,
                         "%.100s lacks key %016" PRIx64
                         ": add its line from the key file it was made in, or name that",
                         keys->path, id);
    pthread_mutex_unlock(&keys->lock);
    return status;
}

/* ---- making -------------------------------------------------------------------------------- */

static size_t make_text(char *text, size_t capacity)
{
    uint8_t secret[KEY_BYTES];
    size_t size;

    mr_check(RAND_priv_bytes(secret, sizeof secret) == 1);
    size = (size_t)snprintf(text, capacity,
                            "# millrace master keys: who has them can read what they encrypt, who "
                            "loses them cannot.\n# Keep a copy, apart from the data. The first key "
                            "encrypts, all decrypt.\nkey %016" PRIx64 " ",
                            id_of(secret));
    for (size_t i = 0; i < sizeof secret; i++)
        size += (size_t)snprintf(text + size, capacity - size, "%02x", secret[i]);
    OPENSSL_cleanse(secret, sizeof secret);
    text[size++] = '\n';
    return size;
}

static void folder_of(char folder[MR_PATH_BYTES], const char *path)
{
    char *slash;

    memcpy(folder, path, MR_PATH_BYTES);
    slash = strrchr(folder, '/');
    if (!slash)
        memcpy(folder, ".", 2);
    else
        slash[slash == folder] = 0;
}

/* The folder and the one it is in, if they are not there. */
static mr_status make_folders(struct mr_key_file *keys, const char *folder, mr_error *error)
{
    char outer[MR_PATH_BYTES];
    mr_status status;

    folder_of(outer, folder);
    keys->fs->make_directory(keys->fs, outer, NULL);
    status = keys->fs->make_directory(keys->fs, folder, error);
    return status == MR_EXISTS ? MR_OK : status;
}

/* E1: names last, too, whoever made them, and however that ended. */
static mr_status sync_names(struct mr_key_file *keys, mr_error *error)
{
    char path[MR_PATH_BYTES], folder[MR_PATH_BYTES];

    memcpy(path, keys->path, sizeof path);
    for (int i = 0; i < 3; i++) { /* of the file, of its folder, of the one that is in */
        mr_error own = {0};
        mr_status status;

        folder_of(folder, path);
        status = keys->fs->sync_directory(keys->fs, folder, &own);
        if (status && own.os_errno != EACCES) { /* else nobody of us has made a name in it */
            if (error)
                *error = own;
            return status;
        }
        memcpy(path, folder, sizeof path);
    }
    return MR_OK;
}

/* E1: whole and durable under another name first. */
static mr_status write_new(struct mr_key_file *keys, const char *made, mr_error *error)
{
    char text[512];
    size_t size = make_text(text, sizeof text);
    struct mr_file *file;
    mr_status status;

    keys->fs->remove(keys->fs, made, NULL); /* one that a crash left */
    status = keys->fs->open(
        keys->fs, made, MR_FS_WRITE | MR_FS_CREATE | MR_FS_EXCLUSIVE | MR_FS_PRIVATE, &file, error);
    if (!status) {
        status = keys->fs->write(file, text, size, 0, error);
        if (!status)
            status = keys->fs->sync(file, error);
        keys->fs->close(file);
    }
    OPENSSL_cleanse(text, sizeof text);
    return status;
}

static mr_status make_if_missing(struct mr_key_file *keys, mr_error *error)
{
    char made[MR_PATH_BYTES + 8];
    struct mr_file *file;
    mr_status status = keys->fs->open(keys->fs, keys->path, 0, &file, NULL);

    if (!status)
        keys->fs->close(file);
    if (status != MR_NOT_FOUND)
        return MR_OK; /* made meanwhile; or reading it will say what is wrong */
    snprintf(made, sizeof made, "%s.new", keys->path);
    status = write_new(keys, made, error);
    return status ? status : keys->fs->rename(keys->fs, made, keys->path, error);
}

/* Two processes that make one at the same time would replace each other's: one at a time. */
static mr_status make(struct mr_key_file *keys, mr_error *error)
{
    char folder[MR_PATH_BYTES], path[MR_PATH_BYTES + 8];
    struct mr_file *lock;
    mr_status status;

    folder_of(folder, keys->path);
    snprintf(path, sizeof path, "%s.lock", keys->path);
    status = make_folders(keys, folder, error);
    if (!status)
        status = keys->fs->lock(keys->fs, path, &lock, error);
    if (status)
        return status == MR_LOCKED
                   ? mr_fail(error, MR_BUSY, "%.150s is being made: try again", keys->path)
                   : status;
    status = make_if_missing(keys, error);
    keys->fs->remove(keys->fs, path, NULL);
    keys->fs->close(lock);
    return status;
}

mr_status mr_key_file_first(struct mr_key_file *keys, bool makes, uint64_t *id, mr_error *error)
{
    mr_status status;

    pthread_mutex_lock(&keys->lock);
    status = load(keys, id, error);
    if (status == MR_NOT_FOUND && makes) {
        status = make(keys, error);
        if (!status)
            status = load(keys, id, error);
    }
    if (!status && makes)
        status = sync_names(keys, error);
    if (status && !makes && keys->known_count > 0) {
        *id = keys->known[0].id; /* what was read once serves until the end */
        status = MR_OK;
    }
    if (status == MR_NOT_FOUND)
        status = mr_fail(error, MR_NO_KEY,
                         "the key file %.150s is missing: put it back, or name it with --key-file",
                         keys->path);
    pthread_mutex_unlock(&keys->lock);
    return status;
}
