/* What hashing and routing a partition key costs, beside OpenSSL in the same run. */
#include "base/endian.h"
#include "base/md5.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/u128.h"
#include "bench/bench.h"
#include "stream/range.h"

#include <openssl/evp.h>
#include <stdio.h>

#define KEY_COUNT 4096
#define KEY_BYTES_MAX 36
#define ROUND_COUNT 15
#define WINDOW_MS 10

static uint8_t text[KEY_COUNT][KEY_BYTES_MAX];
static mr_bytes keys[KEY_COUNT];
static mr_hash_key hashes[KEY_COUNT];
static EVP_MD *openssl_md5;
static volatile size_t sink; /* what was computed is used */

/* ---- ways to hash or to route all keys ------------------------------------------------------ */

static void hash_openssl(void)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        uint8_t digest[MR_MD5_BYTES];
        EVP_Digest(keys[i].data, keys[i].size, digest, NULL, openssl_md5, NULL);
        hashes[i] = (mr_hash_key){mr_load64(digest), mr_load64(digest + 8)};
    }
}

static void hash_single(void)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        hashes[i] = mr_hash_key_of(keys[i]);
}

static void hash_in(mr_md5_lanes lanes)
{
    mr_md5_use(lanes);
    mr_hash_keys_of(keys, sizeof keys[0], KEY_COUNT, hashes);
    mr_md5_use(MR_MD5_LANES_BEST);
}

static void hash_4_lanes(void)
{
    hash_in(MR_MD5_LANES_4);
}

static void hash_16_lanes(void)
{
    hash_in(MR_MD5_LANES_16);
}

static void hash_16_wide_lanes(void)
{
    hash_in(MR_MD5_LANES_16_WIDE);
}

static struct {
    mr_hash_key starts[4096];
    size_t count;
} map;

static void route(void)
{
    size_t sum = 0;

    for (size_t i = 0; i < KEY_COUNT; i++)
        sum += mr_range_find(map.starts, map.count, hashes[i]);
    sink = sum;
}

/* ---- how fast ------------------------------------------------------------------------------- */

struct way {
    void (*all_keys)(void);
};

/* Millions of keys a second. */
static double run(void *context, uint32_t window_ms)
{
    const struct way *way = context;
    const uint64_t begin_ns = mr_bench_now_ns();
    uint64_t done = 0, spent_ns;

    do {
        way->all_keys();
        done += KEY_COUNT;
        spent_ns = mr_bench_now_ns() - begin_ns;
    } while (spent_ns < (uint64_t)window_ms * 1000000);
    return (double)done * 1e3 / (double)spent_ns;
}

static void print_side(const struct mr_bench_side *side)
{
    mr_bench_value(side->name, mr_bench_side_median(side), "Mkeys/s");
}

/* names: the limit's, then ours. at_least is what most lanes must reach. */
static void bench_hashing(size_t key_bytes, const char *const names[5], double at_least)
{
    struct mr_random random = mr_random_of(1);
    struct way ways[] = {
        {hash_openssl}, {hash_single}, {hash_4_lanes}, {hash_16_lanes}, {hash_16_wide_lanes}};
    struct mr_bench_side sides[5];
    size_t side_count = mr_md5_used() == MR_MD5_LANES_16_WIDE ? 5
                        : mr_md5_used() == MR_MD5_LANES_16    ? 4
                                                              : 3;

    for (size_t i = 0; i < KEY_COUNT; i++) {
        for (size_t byte = 0; byte < key_bytes; byte++)
            text[i][byte] = (uint8_t)mr_random_next(&random);
        keys[i] = (mr_bytes){text[i], key_bytes};
    }
    for (size_t i = 0; i < side_count; i++)
        sides[i] = (struct mr_bench_side){.name = names[i], .run = run, .context = &ways[i]};
    mr_bench_alternate(sides, side_count, ROUND_COUNT, WINDOW_MS);
    for (size_t i = 0; i < side_count; i++)
        print_side(&sides[i]);
    mr_bench_ratio(names[side_count - 1], mr_bench_side_ratio(&sides[side_count - 1], &sides[0]),
                   names[0], MR_BENCH_AT_LEAST, at_least);
}

static void print_routing(const char *kind)
{
    struct way way = {route};
    struct mr_bench_side side = {.run = run, .context = &way};
    char name[64];

    mr_bench_alternate(&side, 1, ROUND_COUNT, WINDOW_MS);
    snprintf(name, sizeof name, "route_%zu_%s", map.count, kind);
    mr_bench_value(name, 1e3 / mr_bench_side_median(&side), "ns/key");
}

static void bench_routing(void)
{
    static const uint32_t counts[] = {1, 16, 256, 4096};

    hash_single(); /* keys spread as MD5 spreads them */
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        map.count = counts[i];
        for (uint32_t shard = 0; shard < counts[i]; shard++)
            map.starts[shard] = mr_range_uniform(counts[i], shard).first;
        print_routing("even");
        /* After many splits: squares, so that low shards are narrow and high ones wide. */
        for (uint32_t shard = 0; shard < counts[i]; shard++) {
            uint64_t hi = map.starts[shard].hi;
            map.starts[shard] = (mr_hash_key){(uint64_t)((mr_u128)hi * hi >> 64), shard};
        }
        if (counts[i] > 1)
            print_routing("uneven");
    }
}

int main(int argc, char **argv)
{
    static const char *const names_16[] = {"md5_openssl", "md5_single", "md5_4_lanes",
                                           "md5_16_lanes", "md5_16_wide_lanes"};
    static const char *const names_36[] = {"md5_openssl.36b", "md5_single.36b", "md5_4_lanes.36b",
                                           "md5_16_lanes.36b", "md5_16_wide_lanes.36b"};

    (void)argc;
    openssl_md5 = EVP_MD_fetch(NULL, "MD5", NULL);
    if (!openssl_md5) {
        fprintf(stderr, "this OpenSSL has no MD5\n");
        return 1;
    }
    mr_bench_begin(argv[0]);
    bench_hashing(16, names_16, 5);
    bench_hashing(36, names_36, 5);
    bench_routing();
    EVP_MD_free(openssl_md5);
    return mr_bench_end();
}
