/* Blocks of any bytes, with good checksums: read, and their runs, without harm. */
#include "base/check.h"
#include "base/endian.h"
#include "base/memory.h"
#include "log/block.h"

#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_runs(mr_bytes bytes)
{
    struct mr_scan runs = mr_scan_of(bytes);
    struct mr_run_base base = {1, 1};
    struct mr_run run;
    volatile uint8_t sum = 0;

    while (mr_run_read(&runs, &base, &run)) {
        struct mr_scan frames = mr_scan_of(run.frames);
        mr_record record;

        while (frames.at < frames.end && mr_frame_read(&frames, &record))
            if (record.partition_key.size + record.data.size > 0)
                sum = sum ^ frames.at[-1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_codec *codec;
    struct mr_block block;
    uint8_t *whole, *raw;
    uint32_t codec_id;
    mr_bytes runs;

    if (size <= BLOCK_HEADER_BYTES)
        return 0;
    whole = mr_alloc(size);
    memcpy(whole, data, size);
    codec_id = whole[12];
    memcpy(whole + 8, "MRb1", 4);
    mr_store32(whole + 12, codec_id);
    mr_store32(whole + 20, (uint32_t)(size - BLOCK_HEADER_BYTES));
    mr_store32(whole + 24, mr_load32(whole + 24) & 0x1fffff);
    if (codec_id == 0)
        mr_store32(whole + 24, (uint32_t)(size - BLOCK_HEADER_BYTES));
    mr_store32(whole + 12,
               codec_id | (uint32_t)(XXH3_64bits(whole + 8, BLOCK_HEADER_BYTES - 8) << 8));
    mr_store64(whole, XXH3_64bits_withSeed(whole + 8, size - 8, 5));
    if (mr_block_read_header(whole, &block)) {
        mr_check(block.stored_bytes == size - BLOCK_HEADER_BYTES);
        mr_check(block.first_number <= block.last_number && block.first_ms <= block.last_ms);
        codec = mr_codec_new(NULL);
        raw = mr_alloc(block.raw_bytes);
        if (!mr_block_read(codec, &block, whole, 5, raw, &runs, NULL))
            read_runs(runs);
        mr_free(raw);
        mr_codec_free(codec);
    }
    mr_free(whole);
    return 0;
}
