/*
 * journal.h - the shared write-ahead file: a ring of groups, each durable with one sync.
 *
 *     offset  size  field of a group's header, little-endian
 *          0    16  XXH3-128 of all that follows in the group, padding included; seed: directory id
 *         16     4  "MRg1"
 *         20     4  epoch: grows with each opening
 *         24     8  lsn: where the group begins, counted in bytes since the directory was made
 *         32     8  durable_lsn: all before it was durable when this group was taken to be written
 *         40     8  hash of the group before: the low half of its XXH3-128
 *         48     8  first number: entries take one each, runs one a record
 *         56     8  number_count
 *         64     8  first_ms: entry times count from it
 *         72     4  payload_bytes
 *         76     4  1 if the payload is encrypted, else 0
 *         80    16  0
 *         96        payload: entries, then zeros up to a multiple of 4096. If encrypted: an envelope
 *                   (cipher.h), whose place is the directory's id and the header, then those
 *
 *     entry   1       1 run, 2 owner's entry, 3 run whose blocks are to be encrypted, too
 *             varint  ms since first_ms
 *       run:  varint  log
 *             varint  record_count
 *             varint  record_bytes: keys and data
 *             varint  frames_bytes, then the frames (frame.h)
 *       owner's: varint bytes, then the bytes
 *
 * A group lies at its lsn modulo the ring's size; it may go round the end. No two groups share a 4096
 * byte page, so that a torn write cannot reach what is already durable. The ring is reserved on the
 * disk while the directory is open (a put never meets a full disk), and cut to nothing by a clean
 * close (a backup is small, and every byte of a closed directory is under a checksum).
 *
 *     J1  A group is read back whole or not at all.
 *     J2  A group of an older life, or one that does not follow its predecessor, is never taken.
 *     J3  Damage inside what was acknowledged is told apart from an unfinished last write.
 */
#ifndef MR_LOG_JOURNAL_H
#define MR_LOG_JOURNAL_H

#include "log/cipher.h"
#include "log/log.h"

#define JOURNAL_PAGE_BYTES 4096u
#define GROUP_HEADER_BYTES 96u
#define GROUP_BYTES_MAX ((MR_BATCH_BYTES_MAX) + (4u << 20))

enum mr_journal_entry { JOURNAL_RUN = 1, JOURNAL_OWNER = 2, JOURNAL_ENCRYPTED_RUN = 3 };

struct mr_journal {
    struct mr_file *file;
    uint64_t ring_bytes, seed;
    uint32_t mutant;
    bool was_empty; /* the file was made or cut: there is nothing to read */
    char path[MR_PATH_BYTES];
};

struct mr_group_header {
    uint64_t lsn, durable_lsn, previous_hash, first_number, number_count;
    int64_t first_ms;
    uint32_t epoch, payload_bytes;
    bool is_encrypted; /* then payload_bytes counts the envelope, too */
};

static inline uint64_t mr_group_bytes(uint64_t payload_bytes)
{
    uint64_t used = GROUP_HEADER_BYTES + payload_bytes;
    return (used + JOURNAL_PAGE_BYTES - 1) & ~(uint64_t)(JOURNAL_PAGE_BYTES - 1);
}

/* Opens path with its whole ring reserved (and written, if prewrite). */
mr_status mr_journal_open(struct mr_journal *journal, struct mr_fs *fs, const char *path,
                          uint64_t ring_bytes, uint64_t seed, bool direct, bool prewrite,
                          mr_error *error);
void mr_journal_close(struct mr_journal *journal);

/* Writes header, envelope and the encrypted payload to group: then it is to be sealed as any other. */
void mr_journal_encrypt(const struct mr_journal *journal, struct mr_cipher *cipher,
                        struct mr_data_key *key, const struct mr_group_header *header,
                        mr_bytes payload, uint8_t *group);

/* Decrypts a group that was read, in place. CORRUPT, NO_KEY. */
mr_status mr_journal_decrypt(const struct mr_journal *journal, struct mr_cipher *cipher,
                             struct mr_key_file *keys, const struct mr_group_header *header,
                             uint8_t *group, mr_bytes *payload, mr_error *error);

/* Fills the header and padding around a payload that lies at group + GROUP_HEADER_BYTES; returns the
 * group's hash. */
uint64_t mr_journal_seal(const struct mr_journal *journal, uint8_t *group,
                         const struct mr_group_header *header);

/* Writes a sealed group into file, which is the journal's, or the same opened again; durable after its
 * sync. */
mr_status mr_journal_write(struct mr_journal *journal, struct mr_file *file, const uint8_t *group,
                           const struct mr_group_header *header, mr_error *error);

/* Reads the group at lsn into buffer, of GROUP_BYTES_MAX. *found is false if there is no whole group
 * of that lsn. On found, *hash is the group's hash. */
mr_status mr_journal_read(struct mr_journal *journal, uint64_t lsn, uint8_t *buffer,
                          struct mr_group_header *header, uint64_t *hash, bool *found,
                          mr_error *error);

/* There is no group at lsn that follows: is it the end, or a hole in what was acknowledged (J3)? The
 * latter if lsn lies before `known`, where a checkpoint says that groups lie, or some group behind,
 * below end, was taken when lsn's was durable already. A group that was on its way together with the
 * missing one proves nothing. Then the first whole group behind is found, if there is one: before
 * `known` of any epoch, from there on of at least `epoch`. buffer is of GROUP_BYTES_MAX. */
mr_status mr_journal_look_ahead(struct mr_journal *journal, uint64_t lsn, uint64_t known,
                                uint64_t end, uint32_t epoch, uint8_t *buffer,
                                struct mr_group_header *header, uint64_t *hash, bool *found,
                                bool *is_hole, mr_error *error);

#endif
