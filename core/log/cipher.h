/*
 * cipher.h - encryption at rest: AES-256-GCM under data keys, which travel with what they encrypt.
 *
 *     offset  size  field of an envelope, before the encrypted bytes
 *          0     8  id of the master key (key_file.h)
 *          8    12  nonce of the wrapping, random
 *         20    32  the data key, encrypted under the master key
 *         52    16  tag of that
 *         68     8  count: the nonce of what follows is it and four zeros
 *         76    16  tag of what follows and of its place, which is not stored
 *
 * A data key is made at random in each life of an engine: one for its journal, one for each stream,
 * and new ones when a stream's encryption is started again. So keys need no table that could be lost or
 * outgrown, a block is read with nothing but the key file, and goes with its file.
 *
 *     E3  A nonce never repeats under a key. A data key exists in one life only, where each use of it
 *         takes the next count: no crash, no restored backup and no copied directory can bring a pair
 *         back. The wrappings' nonces are random: at one for each data key the 2^32 that NIST allows
 *         a master key (SP 800-38D, 8.3) last for ever.
 *     E4  Changed or moved bytes are noticed, by who holds the key: the tag covers envelope, bytes and
 *         place. (Checksums, which need no key, are over the encrypted bytes.)
 */
#ifndef MR_LOG_CIPHER_H
#define MR_LOG_CIPHER_H

#include "log/key_file.h"

#define ENVELOPE_BYTES 92u

/* What encrypts: any number of threads, each with a cipher of its own. */
struct mr_data_key;

/* Wrapped by the master key of this id. NO_KEY. */
mr_status mr_data_key_new(struct mr_data_key **key, struct mr_key_file *keys, uint64_t master,
                          mr_error *error);
void mr_data_key_free(struct mr_data_key *key); /* wipes it; NULL is allowed */

/* One thread's working state. */
struct mr_cipher;
struct mr_cipher *mr_cipher_new(void);
void mr_cipher_free(struct mr_cipher *cipher); /* NULL is allowed */

/* Writes the envelope, and behind it plain (which may lie there already) encrypted. */
void mr_encrypt(struct mr_cipher *cipher, struct mr_data_key *key, mr_bytes place, mr_bytes plain,
                uint8_t *out);

/* Decrypts what mr_encrypt() wrote, where it lies. CORRUPT: something was changed, or it is of another
 * place; *plain is garbage then. NO_KEY. */
mr_status mr_decrypt(struct mr_cipher *cipher, struct mr_key_file *keys, mr_bytes place,
                     uint8_t *bytes, size_t size, mr_bytes *plain, mr_error *error);

#endif
