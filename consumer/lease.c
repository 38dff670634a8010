#include "lease.h"

#include "base/fail.h"

#include <inttypes.h>
#include <string.h>

#define FORMAT_VERSION 1

mr_lease mr_lease_of(mr_shard_id shard, mr_mark_kind begin)
{
    return (mr_lease){.shard = shard,
                      .parents = {MR_NO_SHARD, MR_NO_SHARD},
                      .children = {MR_NO_SHARD, MR_NO_SHARD},
                      .checkpoint = {.kind = begin}};
}

/* ---- as bytes ----------------------------------------------------------------------------- */

static void pack_text(struct mr_pack *pack, const char *text)
{
    mr_pack_string(pack, (mr_bytes){text, strlen(text)});
}

void mr_lease_pack(struct mr_pack *pack, const mr_lease *lease)
{
    mr_pack_u8(pack, FORMAT_VERSION);
    mr_pack_varint(pack, lease->counter);
    mr_pack_varint(pack, lease->switches);
    pack_text(pack, lease->owner);
    pack_text(pack, lease->handing);
    mr_mark_pack(pack, &lease->checkpoint);
    mr_pack_u64(pack, (uint64_t)lease->began_ms);
    for (int i = 0; i < 2; i++)
        mr_pack_u32(pack, lease->parents[i]);
    for (int i = 0; i < 2; i++)
        mr_pack_u32(pack, lease->children[i]);
    mr_pack_u8(pack, lease->has_range);
    if (!lease->has_range)
        return;
    mr_pack_u64(pack, lease->first_key.hi);
    mr_pack_u64(pack, lease->first_key.lo);
    mr_pack_u64(pack, lease->last_key.hi);
    mr_pack_u64(pack, lease->last_key.lo);
}

static void scan_text(struct mr_scan *scan, char text[MR_WORKER_BYTES_MAX + 1])
{
    mr_bytes bytes = mr_scan_string(scan);

    if (scan->failed || bytes.size > MR_WORKER_BYTES_MAX ||
        (bytes.size > 0 && memchr(bytes.data, 0, bytes.size))) {
        scan->failed = true;
        return;
    }
    if (bytes.size > 0)
        memcpy(text, bytes.data, bytes.size);
    text[bytes.size] = 0;
}

static mr_hash_key scan_key(struct mr_scan *scan)
{
    uint64_t hi = mr_scan_u64(scan);

    return (mr_hash_key){hi, mr_scan_u64(scan)};
}

bool mr_lease_unpack(mr_bytes bytes, mr_shard_id shard, mr_lease *lease, const char **fault)
{
    struct mr_scan scan = mr_scan_of(bytes);
    uint8_t version = mr_scan_u8(&scan), has_range;

    *lease = mr_lease_of(shard, MR_MARK_TRIM_HORIZON);
    *fault = "written by a newer version of millrace: use that";
    if (!mr_scan_failed(&scan) && version > FORMAT_VERSION)
        return false;
    lease->counter = mr_scan_varint(&scan);
    lease->switches = mr_scan_varint(&scan);
    scan_text(&scan, lease->owner);
    scan_text(&scan, lease->handing);
    lease->checkpoint = mr_mark_scan(&scan);
    lease->began_ms = (int64_t)mr_scan_u64(&scan);
    for (int i = 0; i < 2; i++)
        lease->parents[i] = mr_scan_u32(&scan);
    for (int i = 0; i < 2; i++)
        lease->children[i] = mr_scan_u32(&scan);
    has_range = mr_scan_u8(&scan);
    lease->has_range = has_range == 1;
    if (lease->has_range) {
        lease->first_key = scan_key(&scan);
        lease->last_key = scan_key(&scan);
    }
    *fault = "not a lease: its bytes are damaged";
    return !mr_scan_failed(&scan) && mr_scan_left(&scan) == 0 && version == FORMAT_VERSION &&
           has_range <= 1;
}

/* ---- answers ------------------------------------------------------------------------------ */

mr_status mr_application_check(const char *application, mr_error *error)
{
    size_t size = strlen(application);

    if (size >= 1 && size <= MR_APPLICATION_BYTES_MAX &&
        strspn(application, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
            size)
        return MR_OK;
    return mr_fail(
        error, MR_INVALID,
        "\"%.80s\" is no name for an application: 1 to %d letters, digits, '_', '.', '-'",
        application, MR_APPLICATION_BYTES_MAX);
}

mr_status mr_lease_conflict(mr_shard_id shard, uint64_t counter, uint64_t expected, mr_error *error)
{
    return mr_fail(error, MR_CONFLICT,
                   "the lease of shard %u has the counter %" PRIu64 ", not %" PRIu64
                   ": somebody else has changed it",
                   shard, counter, expected);
}

mr_status mr_lease_missing(mr_shard_id shard, mr_error *error)
{
    return mr_fail(error, MR_NOT_FOUND, "there is no lease of shard %u", shard);
}

mr_status mr_lease_exists(mr_shard_id shard, mr_error *error)
{
    return mr_fail(error, MR_EXISTS, "there is a lease of shard %u", shard);
}

mr_status mr_lease_damaged(mr_shard_id shard, const char *fault, mr_error *error)
{
    return mr_fail(error, MR_CORRUPT, "the lease of shard %u cannot be read: %s", shard, fault);
}
