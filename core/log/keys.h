/*
 * keys.h - the key file: master keys, each of which wraps many data keys (cipher.h). Text:
 *
 *     # ...                 skipped, as are empty lines
 *     key <id> <secret>     16 and 64 hex digits; id: the first 8 bytes of SHA-256 of the secret's 32
 *
 * The first key wraps what is new, every key unwraps what it once wrapped. So a file is rotated by a
 * new key in front, and what was in two files is joined by one behind the other.
 *
 *     K1  A key is durable in its file before anything is encrypted under it; making a file replaces
 *         none.
 *     K2  A file that others than its owner may read, that is damaged or that lacks the key is refused,
 *         saying what to do; nothing is changed.
 *
 * The file is read when a key is first needed, and again whenever one is not known: putting it right
 * helps at once. What was read once serves until the end. Any thread may call.
 */
#ifndef MR_LOG_KEYS_H
#define MR_LOG_KEYS_H

#include "os/fs.h"

#define KEY_BYTES 32
#define KEYS_MAX 64
#define KEY_FILE_BYTES_MAX (64u << 10)

struct mr_master_key {
    uint64_t id; /* never 0 */
    uint8_t secret[KEY_BYTES];
};

/* False: *line (from 1) is not as above, or there are no keys or too many. */
bool mr_keys_parse(mr_bytes text, struct mr_master_key keys[KEYS_MAX], size_t *count, size_t *line);

struct mr_keys;

/* path NULL: $XDG_CONFIG_HOME/millrace/keys, else ~/.config/millrace/keys. */
struct mr_keys *mr_keys_new(struct mr_fs *fs, const char *path);
void mr_keys_free(struct mr_keys *keys); /* wipes them; NULL is allowed */

const char *mr_keys_path(const struct mr_keys *keys);

/* NO_KEY. */
mr_status mr_keys_find(struct mr_keys *keys, uint64_t id, struct mr_master_key *key,
                       mr_error *error);

/* The first key of the file, which is read anew. makes: a missing file is made, with one key. NO_KEY,
 * BUSY, IO, NO_SPACE. */
mr_status mr_keys_first(struct mr_keys *keys, bool makes, uint64_t *id, mr_error *error);

#endif
