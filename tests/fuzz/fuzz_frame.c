/* Runs and frames of any bytes: what is read, written again, is the very bytes it was read from. */
#include "base/check.h"
#include "base/memory.h"
#include "log/frame.h"
#include "log/log.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_frames(mr_bytes bytes)
{
    struct mr_scan scan = mr_scan_of(bytes);
    uint8_t *again = mr_alloc(bytes.size + MR_FRAME_BYTES_MORE);
    mr_record record;

    while (scan.at < scan.end) {
        const uint8_t *from = scan.at;
        mr_put put;
        size_t taken;

        if (!mr_frame_read(&scan, &record))
            break;
        put = (mr_put){.partition_key = record.partition_key,
                       .data = record.data,
                       .explicit_hash_key =
                           record.has_explicit_hash_key ? &record.explicit_hash_key : NULL};
        taken = (size_t)(scan.at - from);
        mr_check(mr_frame_bytes(&put) == taken);
        mr_check(mr_frame_write(again, &put) == again + taken);
        mr_check(!memcmp(again, from, taken));
    }
    mr_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_scan scan = mr_scan_of((mr_bytes){data, size});
    struct mr_run_base base = {1, 1000}, base_again = base;
    struct mr_run run;

    check_frames((mr_bytes){data, size});
    while (scan.at < scan.end) {
        const uint8_t *from = scan.at;
        uint8_t header[RUN_HEADER_BYTES_MAX];
        size_t header_bytes;

        if (!mr_run_read(&scan, &base, &run))
            break;
        header_bytes = (size_t)(mr_run_write_header(header, &base_again, &run) - header);
        mr_check(from + header_bytes == (const uint8_t *)run.frames.data);
        mr_check(!memcmp(header, from, header_bytes));
        mr_check(base.next_number == base_again.next_number && base.at_ms == base_again.at_ms);
        check_frames(run.frames);
    }
    return 0;
}
