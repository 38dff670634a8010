#include "log/journal.h"

#include "base/endian.h"
#include "log/frame.h"
#include "os/thread.h"

#include <stdio.h>
#include <xxhash.h>

#define GROUP_MAGIC 0x3167524du /* "MRg1" */
#define ZERO_BYTES (1u << 20)

/* The first lap over reserved space costs the file system more than later ones: write it once. */
static mr_status write_zeros(struct mr_journal *journal, mr_error *error)
{
    uint8_t *zeros = mr_pages_take(ZERO_BYTES);
    mr_status status = MR_OK;

    for (uint64_t at = 0; !status && at < journal->ring_bytes; at += ZERO_BYTES) {
        uint64_t left = journal->ring_bytes - at;
        status = journal->file->fs->write(journal->file, zeros,
                                          left < ZERO_BYTES ? (size_t)left : ZERO_BYTES, at, error);
    }
    mr_pages_give(zeros, ZERO_BYTES);
    return status ? status : journal->file->fs->sync(journal->file, error);
}

mr_status mr_journal_open(struct mr_journal *journal, struct mr_fs *fs, const char *path,
                          uint64_t ring_bytes, uint64_t seed, bool direct, bool prewrite,
                          mr_error *error)
{
    uint64_t size;
    mr_status status;

    *journal = (struct mr_journal){.ring_bytes = ring_bytes, .seed = seed};
    snprintf(journal->path, sizeof journal->path, "%s", path);
    status = fs->open(fs, path, MR_FS_WRITE | MR_FS_CREATE | (direct ? MR_FS_DIRECT : 0),
                      &journal->file, error);
    if (status)
        return status;
    status = fs->size(journal->file, &size, error);
    if (!status)
        status = fs->reserve(journal->file, ring_bytes, error);
    journal->was_empty = !status && size == 0;
    if (!status && size == 0 && prewrite)
        status = write_zeros(journal, error);
    if (status)
        mr_journal_close(journal);
    return status;
}

void mr_journal_close(struct mr_journal *journal)
{
    if (journal->file)
        journal->file->fs->close(journal->file);
    journal->file = NULL;
}

static XXH128_hash_t hash_of(const struct mr_journal *journal, const uint8_t *group, uint64_t bytes)
{
    if (journal->mutant == MR_MUTANT_HEADER_CHECKSUM_ONLY)
        bytes = GROUP_HEADER_BYTES;
    return XXH3_128bits_withSeed(group + 16, (size_t)bytes - 16, journal->seed);
}

static void write_header(uint8_t *group, const struct mr_group_header *header)
{
    memset(group, 0, GROUP_HEADER_BYTES);
    mr_store32(group + 16, GROUP_MAGIC);
    mr_store32(group + 20, header->epoch);
    mr_store64(group + 24, header->lsn);
    mr_store64(group + 32, header->durable_lsn);
    mr_store64(group + 40, header->previous_hash);
    mr_store64(group + 48, header->first_number);
    mr_store64(group + 56, header->number_count);
    mr_store64(group + 64, (uint64_t)header->first_ms);
    mr_store32(group + 72, header->payload_bytes);
    mr_store32(group + 76, header->is_encrypted);
}

/* E4: the directory's id and all of the header but its checksum. */
struct place {
    uint8_t bytes[8 + GROUP_HEADER_BYTES - 16];
};

static mr_bytes place_of(struct place *place, const struct mr_journal *journal,
                         const uint8_t *group)
{
    mr_store64(place->bytes, journal->seed);
    memcpy(place->bytes + 8, group + 16, GROUP_HEADER_BYTES - 16);
    return (mr_bytes){place->bytes, sizeof place->bytes};
}

void mr_journal_encrypt(const struct mr_journal *journal, struct mr_cipher *cipher,
                        struct mr_data_key *key, const struct mr_group_header *header,
                        mr_bytes payload, uint8_t *group)
{
    struct place place;

    write_header(group, header);
    mr_encrypt(cipher, key, place_of(&place, journal, group), payload, group + GROUP_HEADER_BYTES);
}

mr_status mr_journal_decrypt(const struct mr_journal *journal, struct mr_cipher *cipher,
                             struct mr_key_file *keys, const struct mr_group_header *header,
                             uint8_t *group, mr_bytes *payload, mr_error *error)
{
    struct place place;

    return mr_decrypt(cipher, keys, place_of(&place, journal, group), group + GROUP_HEADER_BYTES,
                      header->payload_bytes, payload, error);
}

uint64_t mr_journal_seal(const struct mr_journal *journal, uint8_t *group,
                         const struct mr_group_header *header)
{
    uint64_t used = GROUP_HEADER_BYTES + (uint64_t)header->payload_bytes;
    uint64_t bytes = mr_group_bytes(header->payload_bytes);
    XXH128_hash_t hash;

    memset(group + used, 0, (size_t)(bytes - used));
    write_header(group, header);
    hash = hash_of(journal, group, bytes);
    mr_store64(group, hash.low64);
    mr_store64(group + 8, hash.high64);
    return hash.low64;
}

/* Calls io for the part before the ring's end and the part after it. */
static mr_status around(const struct mr_journal *journal, struct mr_file *file, uint64_t lsn,
                        uint8_t *bytes, uint64_t size, bool write, mr_error *error)
{
    struct mr_fs *fs = file->fs;

    while (size > 0) {
        uint64_t at = lsn % journal->ring_bytes;
        uint64_t part = journal->ring_bytes - at < size ? journal->ring_bytes - at : size;
        size_t got = (size_t)part;
        mr_status status = write ? fs->write(file, bytes, (size_t)part, at, error)
                                 : fs->read(file, bytes, (size_t)part, at, &got, error);

        if (status)
            return status;
        if (got < part)
            memset(bytes + got, 0, (size_t)part - got);
        bytes += part;
        lsn += part;
        size -= part;
    }
    return MR_OK;
}

mr_status mr_journal_write(struct mr_journal *journal, struct mr_file *file, const uint8_t *group,
                           const struct mr_group_header *header, mr_error *error)
{
    return around(journal, file, header->lsn, (uint8_t *)group,
                  mr_group_bytes(header->payload_bytes), true, error);
}

/* What the first page says; false if it cannot be the group's header. */
static bool read_header(const struct mr_journal *journal, const uint8_t *page, uint64_t lsn,
                        struct mr_group_header *header)
{
    *header = (struct mr_group_header){
        .epoch = mr_load32(page + 20),
        .lsn = mr_load64(page + 24),
        .durable_lsn = mr_load64(page + 32),
        .previous_hash = mr_load64(page + 40),
        .first_number = mr_load64(page + 48),
        .number_count = mr_load64(page + 56),
        .first_ms = (int64_t)mr_load64(page + 64),
        .payload_bytes = mr_load32(page + 72),
        .is_encrypted = mr_load32(page + 76) == 1,
    };
    return mr_load32(page + 16) == GROUP_MAGIC && header->lsn == lsn &&
           header->payload_bytes <= GROUP_BYTES_MAX - JOURNAL_PAGE_BYTES &&
           mr_group_bytes(header->payload_bytes) <= journal->ring_bytes;
}

static mr_status read_at(struct mr_journal *journal, uint64_t lsn, uint64_t have, uint8_t *buffer,
                         struct mr_group_header *header, uint64_t *hash, bool *found,
                         mr_error *error)
{
    uint64_t bytes;
    XXH128_hash_t expected;
    mr_status status;

    *found = false;
    if (!read_header(journal, buffer, lsn, header))
        return MR_OK;
    bytes = mr_group_bytes(header->payload_bytes);
    if (bytes > have) {
        status =
            around(journal, journal->file, lsn + have, buffer + have, bytes - have, false, error);
        if (status)
            return status;
    }
    expected = hash_of(journal, buffer, bytes);
    *hash = expected.low64;
    *found = mr_load64(buffer) == expected.low64 && mr_load64(buffer + 8) == expected.high64;
    return MR_OK;
}

mr_status mr_journal_read(struct mr_journal *journal, uint64_t lsn, uint8_t *buffer,
                          struct mr_group_header *header, uint64_t *hash, bool *found,
                          mr_error *error)
{
    mr_status status =
        around(journal, journal->file, lsn, buffer, JOURNAL_PAGE_BYTES, false, error);
    if (status)
        return status;
    return read_at(journal, lsn, JOURNAL_PAGE_BYTES, buffer, header, hash, found, error);
}

/* The first whole group at `after` or behind it. */
static mr_status find_behind(struct mr_journal *journal, uint64_t after, uint64_t known,
                             uint64_t end, uint32_t epoch, uint8_t *buffer,
                             struct mr_group_header *header, uint64_t *hash, bool *found,
                             mr_error *error)
{
    enum { STRIDE = 1 << 20 };
    uint8_t *stride = mr_pages_take(STRIDE);
    mr_status status = MR_OK;

    *found = false;
    for (uint64_t lsn = after; !status && !*found && lsn < end;) {
        uint64_t size = end - lsn < STRIDE ? end - lsn : STRIDE;

        status = around(journal, journal->file, lsn, stride, size, false, error);
        for (uint64_t at = 0; !status && !*found && at < size; at += JOURNAL_PAGE_BYTES) {
            /* Looking at the magic first: nearly every page is no header. */
            if (mr_load32(stride + at + 16) != GROUP_MAGIC ||
                !read_header(journal, stride + at, lsn + at, header) ||
                (header->epoch < epoch && lsn + at >= known))
                continue;
            memcpy(buffer, stride + at, JOURNAL_PAGE_BYTES);
            status =
                read_at(journal, lsn + at, JOURNAL_PAGE_BYTES, buffer, header, hash, found, error);
        }
        lsn += size;
    }
    mr_pages_give(stride, STRIDE);
    return status;
}

mr_status mr_journal_look_ahead(struct mr_journal *journal, uint64_t lsn, uint64_t known,
                                uint64_t end, uint32_t epoch, uint8_t *buffer,
                                struct mr_group_header *header, uint64_t *hash, bool *found,
                                bool *is_hole, mr_error *error)
{
    mr_status status = find_behind(journal, lsn + JOURNAL_PAGE_BYTES, known, end, epoch, buffer,
                                   header, hash, found, error);
    struct mr_group_header other = *header;
    bool is_other = *found;

    *is_hole = lsn < known;
    while (!status && is_other && !*is_hole) {
        *is_hole = other.durable_lsn > lsn;
        if (!*is_hole)
            status = find_behind(journal, other.lsn + mr_group_bytes(other.payload_bytes), known,
                                 end, epoch, buffer, &other, hash, &is_other, error);
    }
    if (!status && *is_hole && *found && other.lsn != header->lsn)
        status = mr_journal_read(journal, header->lsn, buffer, header, hash, found, error);
    return status;
}
