/*
 * Aggregates of any bytes: what opens as one has the records that it counts, and written again by us
 * they are the same. Half of the inputs get the frame and the digest that let them in.
 */
#include "base/check.h"
#include "base/md5.h"
#include "base/memory.h"
#include "wire/aggregate.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(mr_bytes a, mr_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void write_again(mr_bytes data, struct mr_pack *out)
{
    struct mr_aggregate_reader reader = {0};
    struct mr_user_record record;
    uint32_t index = 0, explicit_index = 0;

    mr_aggregate_begin(out);
    mr_check(mr_aggregate_open(&reader, data));
    while (mr_aggregate_next(&reader, &record))
        mr_aggregate_add_key(out, record.partition_key);
    mr_check(mr_aggregate_open(&reader, data));
    while (mr_aggregate_next(&reader, &record))
        if (record.has_explicit_hash_key)
            mr_aggregate_add_hash_key(out, record.explicit_hash_key);
    mr_check(mr_aggregate_open(&reader, data));
    while (mr_aggregate_next(&reader, &record))
        mr_aggregate_add_record(
            out, index++, record.has_explicit_hash_key ? explicit_index++ : MR_NO_EXPLICIT_KEY,
            record.data);
    mr_aggregate_end(out, 0);
    mr_aggregate_reader_fini(&reader);
}

static void read_both(mr_bytes data, mr_bytes again)
{
    struct mr_aggregate_reader a = {0}, b = {0};
    struct mr_user_record left, right;
    size_t count = 0;

    mr_check(mr_aggregate_open(&a, data) && mr_aggregate_open(&b, again));
    mr_check(a.record_count > 0 && a.record_count == b.record_count);
    for (; mr_aggregate_next(&a, &left); count++) {
        mr_check(mr_aggregate_next(&b, &right));
        mr_check(is_same(left.partition_key, right.partition_key) &&
                 is_same(left.data, right.data));
        mr_check(left.has_explicit_hash_key == right.has_explicit_hash_key &&
                 left.explicit_hash_key.hi == right.explicit_hash_key.hi &&
                 left.explicit_hash_key.lo == right.explicit_hash_key.lo);
    }
    mr_check(count == a.record_count);
    mr_aggregate_reader_fini(&a);
    mr_aggregate_reader_fini(&b);
}

static void look(mr_bytes data)
{
    struct mr_aggregate_reader reader = {0};
    struct mr_pack again = {0};

    if (mr_aggregate_open(&reader, data)) {
        write_again(data, &again);
        read_both(data, (mr_bytes){again.data, again.size});
    }
    mr_pack_fini(&again);
    mr_aggregate_reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_pack framed = {0};

    look((mr_bytes){data, size});
    mr_aggregate_begin(&framed);
    mr_pack_bytes(&framed, (mr_bytes){data, size});
    mr_aggregate_end(&framed, 0);
    look((mr_bytes){framed.data, framed.size});
    mr_pack_fini(&framed);
    return 0;
}
