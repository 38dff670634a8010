/* fuzz_json_line.c - any line put may get: as JSON, as our own JSON, as base64; and what is good comes
 * back from what we write of it. */
#include "../../tools/json_line.h"
#include "../../tools/put_line.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/json.h"
#include "base/memory.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool equal(mr_bytes a, mr_bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* A record of a good line, written as tail does and read again, is the same. */
static void comes_back(const mr_put *put)
{
    struct mr_put_rules rules = {.json = true};
    struct mr_json_line line = MR_JSON_LINE;
    char *text = mr_alloc(MR_BASE64_BYTES(put->data.size) + 1), number[MR_HASH_KEY_TEXT_BYTES];
    uint8_t *scratch, *scratch_at;
    mr_hash_key hash_key;
    mr_put again;

    mr_base64_encode(put->data, text);
    mr_json_open(&line, '{');
    mr_json_name(&line, "partition_key");
    mr_json_string(&line, put->partition_key);
    if (put->explicit_hash_key) {
        mr_hash_key_format(*put->explicit_hash_key, number);
        mr_json_name(&line, "explicit_hash_key");
        mr_json_text(&line, number);
    }
    mr_json_name(&line, "data_base64");
    mr_json_string(&line, (mr_bytes){text, MR_BASE64_BYTES(put->data.size)});
    mr_json_close(&line, '}');

    scratch = scratch_at = mr_alloc(MR_PUT_LINE_SCRATCH_BYTES(line.pack.size));
    mr_check(mr_put_line_read(&rules, (mr_bytes){line.pack.data, line.pack.size}, &scratch_at,
                              &again, &hash_key) == MR_PUT_LINE_GOOD);
    mr_check(equal(again.partition_key, put->partition_key) && equal(again.data, put->data));
    mr_check(!again.explicit_hash_key == !put->explicit_hash_key);
    mr_free(scratch);
    mr_free(text);
    mr_pack_fini(&line.pack);
}

static void put_by(struct mr_put_rules rules, mr_bytes line)
{
    size_t scratch_bytes = MR_PUT_LINE_SCRATCH_BYTES(line.size);
    uint8_t *scratch = mr_alloc(scratch_bytes), *scratch_at = scratch;
    mr_hash_key hash_key;
    mr_put put;

    if (mr_put_line_read(&rules, line, &scratch_at, &put, &hash_key) == MR_PUT_LINE_GOOD)
        comes_back(&put);
    mr_check((size_t)(scratch_at - scratch) <= scratch_bytes);
    mr_free(scratch);
}

static void decode(mr_bytes line)
{
    uint8_t *out = mr_alloc(line.size + 1);
    char *again = mr_alloc(line.size + 4);
    size_t size;

    if (mr_base64_decode(line, out, &size)) {
        mr_check(MR_BASE64_BYTES(size) == line.size);
        mr_base64_encode((mr_bytes){out, size}, again);
        mr_check(line.size == 0 || memcmp(again, line.data, line.size) == 0);
    }
    mr_free(out);
    mr_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = mr_alloc(size + !size); /* no byte behind its end */
    mr_bytes line = {copy, size};

    if (size)
        memcpy(copy, data, size);
    put_by((struct mr_put_rules){.json = true}, line);
    put_by((struct mr_put_rules){.key_field = ".a.b"}, line);
    put_by((struct mr_put_rules){.key_field = "a"}, line);
    put_by((struct mr_put_rules){.key_separator = "::"}, line);
    put_by((struct mr_put_rules){.random = mr_random_of(1)}, line);
    decode(line);
    mr_free(copy);
    return 0;
}
