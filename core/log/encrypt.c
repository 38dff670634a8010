/*
 * encrypt.c - the data keys of a life: one for the journal, one for each stream with encrypted blocks.
 *
 * A group is encrypted as a whole if anything in it is to be: one pass over it, whatever the number of
 * puts, by the committer, which leaves the plain bytes to the publisher. A block is encrypted where it
 * is compressed. Tails and readers have plain bytes only.
 */
#include "base/fail.h"
#include "base/memory.h"
#include "log/inside.h"

#include <inttypes.h>

/* With keys_lock held. */
static mr_status make_key(struct mr_log *log, uint64_t key_id, struct mr_data_key **key,
                          mr_error *error)
{
    mr_status status = mr_data_key_new(key, log->keys, key_id, error);

    if (status)
        return status;
    mr_grow(log->data_keys, log->data_key_count, log->data_key_capacity);
    log->data_keys[log->data_key_count++] = *key;
    return MR_OK;
}

static mr_status make_journal_key(struct mr_log *log, uint64_t key_id, mr_error *error)
{
    struct mr_data_key *key;
    mr_status status = make_key(log, key_id, &key, error);

    if (!status)
        atomic_store(&log->journal_key, key);
    return status;
}

mr_status mr_log_first_key(struct mr_log *log, uint64_t *key_id, mr_error *error)
{
    return mr_key_file_first(log->keys, true, key_id, error);
}

void mr_log_encrypt(struct mr_log *log, uint32_t stream, uint64_t key_id)
{
    struct mr_store *store = mr_log_store_hold(log, stream);
    mr_error error;

    if (!store)
        return;
    pthread_mutex_lock(&log->keys_lock);
    store->key_id = key_id;
    store->key = NULL;
    if (key_id && !log->is_recovering && make_journal_key(log, key_id, &error))
        mr_log_diag(log, "event=journal_key_kept reason=\"%s\"", error.message);
    pthread_mutex_unlock(&log->keys_lock);
    mr_store_release(store);
}

mr_status mr_log_need_key(struct mr_log *log, uint64_t key_id, mr_error *error)
{
    mr_status status = MR_OK;

    if (atomic_load_explicit(&log->ready_key_id, memory_order_acquire) == key_id)
        return MR_OK;
    pthread_mutex_lock(&log->keys_lock);
    if (!atomic_load(&log->journal_key))
        status = make_journal_key(log, key_id, error);
    else
        status = mr_key_file_find(log->keys, key_id, NULL, error);
    if (!status)
        atomic_store(&log->ready_key_id, key_id);
    pthread_mutex_unlock(&log->keys_lock);
    return status;
}

mr_status mr_log_store_key(struct mr_log *log, struct mr_store *store, struct mr_data_key **key,
                           mr_error *error)
{
    mr_status status = MR_OK;
    uint64_t first;

    pthread_mutex_lock(&log->keys_lock);
    if (!store->key && store->key_id)
        status = make_key(log, store->key_id, &store->key, error);
    /* Encryption was stopped since these records were put, or another key had opened the journal. */
    if (!store->key) {
        status = mr_key_file_first(log->keys, false, &first, error);
        if (!status)
            status = make_key(log, first, &store->key, error);
    }
    *key = store->key;
    pthread_mutex_unlock(&log->keys_lock);
    return status;
}

static struct mr_cipher *cipher_of(struct mr_log *log)
{
    if (!log->cipher)
        log->cipher = mr_cipher_new();
    return log->cipher;
}

uint8_t *mr_log_encrypt_group(struct mr_log *log, struct mr_lane *lane,
                              const struct mr_group *group)
{
    const mr_bytes payload = {group->bytes + GROUP_HEADER_BYTES, group->used - GROUP_HEADER_BYTES};

    if (!lane->encrypted)
        lane->encrypted = mr_pages_take(GROUP_BYTES_MAX);
    mr_journal_encrypt(&log->journal, cipher_of(log), atomic_load(&log->journal_key),
                       &group->header, payload, lane->encrypted);
    return lane->encrypted;
}

mr_status mr_log_open_group(struct mr_log *log, const struct mr_group_header *header,
                            uint8_t *group, mr_bytes *payload, mr_error *error)
{
    mr_error own;
    mr_status status;

    *payload = (mr_bytes){group + GROUP_HEADER_BYTES, header->payload_bytes};
    if (!header->is_encrypted)
        return MR_OK;
    status =
        mr_journal_decrypt(&log->journal, cipher_of(log), log->keys, header, group, payload, &own);
    return status ? mr_fail(error, status, "%.60s, to be recovered, is encrypted: %.150s",
                            log->journal.path, own.message)
                  : MR_OK;
}

void mr_log_forget_keys(struct mr_log *log)
{
    for (size_t i = 0; i < log->data_key_count; i++)
        mr_data_key_free(log->data_keys[i]);
    mr_free(log->data_keys);
    mr_cipher_free(log->cipher);
    mr_key_file_free(log->keys);
    for (uint32_t i = 0; i < LANE_COUNT; i++)
        mr_pages_give(log->lanes[i].encrypted, GROUP_BYTES_MAX);
}
