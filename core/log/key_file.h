/*
 * key_file.h - the key file: master keys, each of which wraps many data keys (cipher.h). Text:
 *
 *     # ...                 skipped, as are empty lines
 *     key <id> <secret>     16 and 64 hex digits; id: the first 8 bytes of SHA-256 of the secret's 32
 *
 * The first key wraps what is new, every key unwraps what it once wrapped. So a file is rotated by a
 * new key in front, and what was in two files is joined by one behind the other.
 *
 *     E1  A key is durable in its file before anything is encrypted under it; making a file replaces
 *         none.
 *     E2  A file that others than its owner may read, that is damaged or that lacks the key is refused,
 *         saying what to do; nothing is changed.
 *
 * The file is read when a key is first needed, and again whenever one is not known: putting it right
 * helps at once. What was read once serves until the end. Any thread may call.
 */
#ifndef MR_LOG_KEY_FILE_H
#define MR_LOG_KEY_FILE_H

#include "os/fs.h"

#define KEY_BYTES 32
#define KEYS_MAX 64
#define KEY_FILE_BYTES_MAX (64u << 10)

struct mr_master_key {
    uint64_t id; /* never 0 */
    uint8_t secret[KEY_BYTES];
};

/* False: *line (from 1) is not as above, or there are no keys or too many. */
bool mr_key_file_parse(mr_bytes text, struct mr_master_key keys[KEYS_MAX], size_t *count,
                       size_t *line);

struct mr_key_file;

/* path NULL: $XDG_CONFIG_HOME/millrace/keys, else ~/.config/millrace/keys. */
struct mr_key_file *mr_key_file_new(struct mr_fs *fs, const char *path);
void mr_key_file_free(struct mr_key_file *keys); /* wipes them; NULL is allowed */

const char *mr_key_file_path(const struct mr_key_file *keys);

/* NO_KEY. key may be NULL: it is there. */
mr_status mr_key_file_find(struct mr_key_file *keys, uint64_t id, struct mr_master_key *key,
                           mr_error *error);

/* The first key of the file, which is read anew. makes: a missing file is made, with one key; else
 * what is known already will do. NO_KEY, BUSY, IO, NO_SPACE. */
mr_status mr_key_file_first(struct mr_key_file *keys, bool makes, uint64_t *id, mr_error *error);

#endif
