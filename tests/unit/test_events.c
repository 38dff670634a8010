/* test_events.c - recordings, NDJSON and CSV become events; what cannot is counted, and the totals
 * add up. */
#include "../../tools/events/events.h"
#include "support/seed.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

static char path[64];

static int setup(void **state)
{
    int file;

    (void)state;
    strcpy(path, "/tmp/millrace-events-XXXXXX");
    file = mkstemp(path);
    return file < 0 || close(file);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void store(const void *bytes, size_t size)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static uint64_t rejected_lines[16];
static size_t rejected_count;
static char last_why[200];

static void note(void *context, uint64_t line, const char *why)
{
    (void)context;
    if (rejected_count < 16)
        rejected_lines[rejected_count++] = line;
    snprintf(last_why, sizeof last_why, "%s", why);
}

static struct mr_events *open_text(const char *text, struct mr_events_config config)
{
    struct mr_events *events;

    store(text, strlen(text));
    config.path = path;
    config.reject = note;
    rejected_count = 0;
    assert_int_equal(mr_events_open(&events, &config, NULL), MR_OK);
    return events;
}

/* All that can be read at once; bytes are valid until the events are closed. */
static size_t read_all(struct mr_events *events, struct mr_event *batch, size_t max)
{
    size_t count;

    assert_int_equal(mr_events_read(events, batch, max, &count, NULL), MR_OK);
    return count;
}

static void expect(mr_bytes bytes, const char *text)
{
    assert_int_equal(bytes.size, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.size);
}

static void totals_add_up(struct mr_events *events, uint64_t good, uint64_t bad, uint64_t skipped)
{
    struct mr_events_totals totals;

    mr_events_totals(events, &totals);
    assert_int_equal(totals.event_count, good);
    assert_int_equal(totals.rejected_count, bad);
    assert_int_equal(totals.skipped_count, skipped);
    assert_int_equal(totals.line_count, good + bad + skipped);
}

static void knows_a_recording_by_its_members(void **state)
{
    struct mr_event batch[8];
    struct mr_events *events = open_text(
        "{\"time\":\"2001-01-01T00:47:00.250Z\",\"key\":\"DTW\",\"data\":\"a\\n\\u00e9\"}\n"
        "{\"base64\":\"AP8=\",\"hash\":\"340282366920938463463374607431768211455\",\"key\":"
        "\"A\\\"B\","
        "\"time\":978310020250,\"more\":[1]}\n",
        (struct mr_events_config){0});

    (void)state;
    assert_int_equal(read_all(events, batch, 8), 2);
    assert_int_equal(mr_events_format(events), MR_EVENTS_RECORDING);
    expect(batch[0].key, "DTW");
    expect(batch[0].data, "a\n\xc3\xa9");
    assert_int_equal(batch[0].time_ms, 978310020250);
    assert_false(batch[0].has_hash_key);
    expect(batch[1].key, "A\"B");
    assert_int_equal(batch[1].data.size, 2);
    assert_memory_equal(batch[1].data.data, "\0\xff", 2);
    assert_int_equal(batch[1].time_ms, 978310020250);
    assert_true(batch[1].has_hash_key && batch[1].hash_key.hi == UINT64_MAX);
    totals_add_up(events, 2, 0, 0);
    mr_events_close(events);
}

static void finds_fields_in_a_recording_in_its_data(void **state)
{
    struct mr_event batch[8];
    struct mr_events *events =
        open_text("{\"time\":1,\"key\":\"K\",\"data\":\"{\\\"user\\\":{\\\"id\\\":7}}\"}\n"
                  "{\"time\":1,\"key\":\"K\",\"data\":\"no object\"}\n",
                  (struct mr_events_config){.fields = {"$key", "user.id"}, .field_count = 2});

    (void)state;
    assert_int_equal(read_all(events, batch, 8), 1);
    expect(batch[0].fields[0], "K");
    expect(batch[0].fields[1], "7");
    totals_add_up(events, 1, 1, 0);
    mr_events_close(events);
}

static void reads_what_tail_prints(void **state)
{
    struct mr_event batch[1];
    struct mr_events *events = open_text(
        "{\"shard_id\":\"shardId-000000000000\",\"arrival_time\":\"2026-11-22T10:00:00.001Z\","
        "\"partition_key\":\"p\",\"data_base64\":\"eA==\"}",
        (struct mr_events_config){0});

    (void)state;
    assert_int_equal(read_all(events, batch, 1), 1);
    expect(batch[0].key, "p");
    expect(batch[0].data, "x");
    assert_int_equal(batch[0].time_ms % 1000, 1);
    mr_events_close(events);
}

static void counts_and_names_every_bad_line(void **state)
{
    static const uint64_t bad[] = {2, 4, 5, 6, 7, 8, 9};
    struct mr_event batch[16];
    char text[2000], long_key[300];
    struct mr_events *events;

    (void)state;
    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = 0;
    snprintf(text, sizeof text,
             "{\"id\":\"a\",\"time\":2}\n"
             "not json\n"
             "\n"
             "{\"time\":\"2001-01-01\"}\n"
             "{\"id\":\"\",\"time\":3}\n"
             "{\"id\":\"%s\",\"time\":3}\n"
             "{\"id\":{\"x\":1},\"time\":3}\n"
             "{\"id\":\"a\",\"time\":\"noon\"}\n"
             "{\"id\":\"a\",\"time\":3\n"
             "{\"id\":\"b\",\"time\":1}\r\n"
             "{\"id\":\"c\"",
             long_key);
    events = open_text(text, (struct mr_events_config){.key_field = "id"});
    assert_int_equal(read_all(events, batch, 16), 2);
    expect(batch[0].key, "a");
    expect(batch[1].key, "b");
    expect(batch[1].data, "{\"id\":\"b\",\"time\":1}");
    assert_int_equal(batch[1].line, 10);
    assert_int_equal(read_all(events, batch, 16), 0);
    assert_int_equal(rejected_count, 8);
    assert_memory_equal(rejected_lines, bad, sizeof bad);
    totals_add_up(events, 2, 8, 1);
    mr_events_close(events);
}

static void counts_times_that_go_backwards(void **state)
{
    struct mr_event batch[4];
    struct mr_events *events = open_text("{\"time\":5}\n{\"time\":3}\n{\"time\":4}\n{\"time\":5}\n",
                                         (struct mr_events_config){0});
    struct mr_events_totals totals;

    (void)state;
    assert_int_equal(read_all(events, batch, 4), 4);
    mr_events_totals(events, &totals);
    assert_int_equal(totals.backward_count, 2);
    mr_events_close(events);
}

static void stops_at_a_bad_line_when_strict(void **state)
{
    struct mr_event batch[4];
    struct mr_events *events = open_text("{\"a\":1}\n{\"a\":2}\n[]\n{\"a\":3}\n",
                                         (struct mr_events_config){.strict = true});
    size_t count;
    mr_error error;

    (void)state;
    assert_int_equal(read_all(events, batch, 4), 2);
    assert_int_equal(mr_events_read(events, batch, 4, &count, &error), MR_INVALID);
    assert_non_null(strstr(error.message, "line 3:"));
    assert_int_equal(mr_events_read(events, batch, 4, &count, &error), MR_INVALID);
    totals_add_up(events, 2, 1, 0);
    mr_events_close(events);
}

static void reads_csv_with_quotes(void **state)
{
    struct mr_event batch[8];
    struct mr_events *events =
        open_text("\xef\xbb\xbf"
                  "pickup;\"zone;id\";fare\r\n"
                  "2013-01-01 15:11:48;\"a \"\"b\"\"; c\";3\r\n"
                  "2013-01-01 15:11:49;d\r\n"
                  "2013-01-01 15:11:49;\"d\r\n"
                  "2013-01-01 15:11:49;\"d\"x;4\r\n"
                  "2013-01-01 15:11:50;\"e\";\"\"\r\n",
                  (struct mr_events_config){.key_field = "zone;id", .time_field = "pickup"});

    (void)state;
    assert_int_equal(read_all(events, batch, 8), 2);
    assert_int_equal(mr_events_format(events), MR_EVENTS_CSV);
    expect(batch[0].key, "a \"b\"; c");
    expect(batch[0].data, "2013-01-01 15:11:48;\"a \"\"b\"\"; c\";3");
    assert_int_equal(batch[0].time_ms, 1357053108000);
    expect(batch[1].key, "e");
    totals_add_up(events, 2, 3, 1);
    mr_events_close(events);
}

static void says_which_column_is_missing(void **state)
{
    struct mr_events *events = open_text("a,b\n1,2\n", (struct mr_events_config){.key_field = "c"});
    struct mr_event batch[1];
    size_t count;
    mr_error error;

    (void)state;
    assert_int_equal(mr_events_read(events, batch, 1, &count, &error), MR_INVALID);
    assert_non_null(strstr(error.message, "no column 'c'"));
    mr_events_close(events);
}

/* ---- packed files ------------------------------------------------------------------------- */

#define LINE "{\"time\":1,\"key\":\"key\",\"data\":\"some text of a record\"}\n"
#define LINE_COUNT 20000

static char *many_lines(void)
{
    char *text = mr_alloc(sizeof LINE * LINE_COUNT);

    for (size_t i = 0; i < LINE_COUNT; i++)
        memcpy(text + i * (sizeof LINE - 1), LINE, sizeof LINE);
    return text;
}

static size_t pack_gzip(const char *text, uint8_t *out, size_t capacity)
{
    z_stream zlib = {.next_in = (uint8_t *)(uintptr_t)text,
                     .avail_in = (unsigned)strlen(text),
                     .next_out = out,
                     .avail_out = (unsigned)capacity};

    assert_int_equal(deflateInit2(&zlib, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    deflateEnd(&zlib);
    return capacity - zlib.avail_out;
}

static mr_status count_events(uint64_t *event_count, mr_error *error)
{
    struct mr_events_config config = {.path = path};
    struct mr_event batch[100];
    struct mr_events *events;
    mr_status status;
    size_t count;

    *event_count = 0;
    assert_int_equal(mr_events_open(&events, &config, NULL), MR_OK);
    while (!(status = mr_events_read(events, batch, 100, &count, error)) && count > 0)
        *event_count += count;
    mr_events_close(events);
    return status;
}

/* Twice the file is the file twice; half of it is half the lines and CORRUPT. */
static void reads_a_packed_file(const uint8_t *packed, size_t size)
{
    uint8_t *twice = mr_alloc(2 * size);
    uint64_t count;
    mr_error error;

    memcpy(twice, packed, size);
    memcpy(twice + size, packed, size);
    store(twice, 2 * size);
    assert_int_equal(count_events(&count, NULL), MR_OK);
    assert_int_equal(count, 2 * LINE_COUNT);

    store(packed, size / 2);
    assert_int_equal(count_events(&count, &error), MR_CORRUPT);
    assert_true(count < LINE_COUNT);
    assert_non_null(strstr(error.message, "cut short"));

    twice[size / 2] ^= 0x55;
    store(twice, size);
    assert_int_equal(count_events(&count, &error), MR_CORRUPT);
    mr_free(twice);
}

static void reads_gzip_and_zstd(void **state)
{
    char *text = many_lines();
    size_t capacity = sizeof LINE * LINE_COUNT;
    uint8_t *packed = mr_alloc(capacity);
    size_t size = pack_gzip(text, packed, capacity);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();

    (void)state;
    reads_a_packed_file(packed, size);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
    size = ZSTD_compress2(zstd, packed, capacity, text, strlen(text));
    assert_false(ZSTD_isError(size));
    reads_a_packed_file(packed, size);
    ZSTD_freeCCtx(zstd);
    mr_free(packed);
    mr_free(text);
}

static void says_what_cannot_be_opened(void **state)
{
    struct mr_events_config config = {.path = "/tmp/no such file"};
    struct mr_events *events;
    mr_error error;

    (void)state;
    assert_int_equal(mr_events_open(&events, &config, &error), MR_NOT_FOUND);
    config.path = "/tmp";
    assert_int_equal(mr_events_open(&events, &config, &error), MR_INVALID);
}

static void an_empty_file_has_no_events(void **state)
{
    uint64_t count;

    (void)state;
    store("", 0);
    assert_int_equal(count_events(&count, NULL), MR_OK);
    assert_int_equal(count, 0);
}

/* ---- writing and times -------------------------------------------------------------------- */

static void comes_back_as_it_was_written(void **state)
{
    struct mr_random random = seed_random();
    struct mr_event events[50], batch[50];
    uint8_t bytes[50][64];
    struct mr_pack out = MR_PACK(1u << 20);
    struct mr_events *read;

    (void)state;
    for (size_t i = 0; i < 50; i++) {
        for (size_t b = 0; b < 64; b++)
            bytes[i][b] = (uint8_t)mr_random_below(&random, i % 2 ? 128 : 256);
        for (size_t b = 0; b < 8; b++)
            bytes[i][b] = (uint8_t)(bytes[i][b] % 127 + 1);
        events[i] =
            (struct mr_event){.time_ms = (int64_t)mr_random_below(&random, UINT64_C(1) << 44),
                              .key = {bytes[i], 1 + mr_random_below(&random, 8)},
                              .data = {bytes[i] + 8, mr_random_below(&random, 56)},
                              .has_hash_key = i % 3 == 0,
                              .hash_key = {mr_random_next(&random), i}};
        mr_event_write(&out, &events[i]);
    }
    mr_pack_u8(&out, 0);
    read = open_text((const char *)out.data, (struct mr_events_config){0});
    assert_int_equal(read_all(read, batch, 50), 50);
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(batch[i].time_ms, events[i].time_ms);
        assert_int_equal(batch[i].key.size, events[i].key.size);
        assert_memory_equal(batch[i].key.data, events[i].key.data, events[i].key.size);
        assert_int_equal(batch[i].data.size, events[i].data.size);
        assert_memory_equal(batch[i].data.data, events[i].data.data, events[i].data.size);
        assert_int_equal(batch[i].has_hash_key, events[i].has_hash_key);
        if (batch[i].has_hash_key)
            assert_true(batch[i].hash_key.hi == events[i].hash_key.hi && batch[i].hash_key.lo == i);
    }
    mr_events_close(read);
    mr_pack_fini(&out);
}

static void reads_times_as_files_have_them(void **state)
{
    static const struct {
        const char *text;
        int64_t time_ms;
    } good[] = {
        {"1970-01-01", 0},
        {"2001-01-01T00:47:00Z", 978310020000},
        {" 2001-01-01 00:47:00.1234 ", 978310020123},
        {"2001-01-01T01:47:00,5+01:00", 978310020500},
        {"2000/12/31 16:47:00 -0800", 978310020000},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2016-12-31T23:59:60Z", 1483228799000},
        {"978310020", 978310020000},
        {"978310020.25", 978310020250},
        {"978310020123", 978310020123},
        {"978310020123456", 978310020123},
        {"978310020123456789", 978310020123},
        {"Mon, 01 Jan 2001 00:47:00 GMT", 978310020000},
        {"[01/Jan/2001:01:47:00 +0100]", 978310020000},
    };
    static const char *const bad[] = {"",
                                      "noon",
                                      "2001-02-29",
                                      "2001-13-01",
                                      "2001-1",
                                      "12:00",
                                      "1e9",
                                      "2001-01-01T25:00Z",
                                      "2001-01-01x",
                                      "0000-01-01",
                                      "32/Jan/2001:01:47:00"};
    int64_t time_ms;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(mr_event_time_parse((mr_bytes){good[i].text, strlen(good[i].text)}, &time_ms));
        assert_int_equal(time_ms, good[i].time_ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(mr_event_time_parse((mr_bytes){bad[i], strlen(bad[i])}, &time_ms));
}

static void a_time_written_is_read_as_it_was(void **state)
{
    struct mr_random random = seed_random();
    char text[MR_EVENT_TIME_CHARS];
    int64_t time_ms, again;

    (void)state;
    for (int i = 0; i < 100000; i++) { /* years 1653 to 2287 */
        time_ms = (int64_t)mr_random_below(&random, 20000000000000) - 10000000000000;
        mr_event_time_format(time_ms, text);
        assert_true(mr_event_time_parse((mr_bytes){text, sizeof text}, &again));
        assert_int_equal(again, time_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(knows_a_recording_by_its_members, setup, teardown),
        cmocka_unit_test_setup_teardown(finds_fields_in_a_recording_in_its_data, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_what_tail_prints, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_and_names_every_bad_line, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_times_that_go_backwards, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_at_a_bad_line_when_strict, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_csv_with_quotes, setup, teardown),
        cmocka_unit_test_setup_teardown(says_which_column_is_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_gzip_and_zstd, setup, teardown),
        cmocka_unit_test(says_what_cannot_be_opened),
        cmocka_unit_test_setup_teardown(an_empty_file_has_no_events, setup, teardown),
        cmocka_unit_test_setup_teardown(comes_back_as_it_was_written, setup, teardown),
        cmocka_unit_test(reads_times_as_files_have_them),
        cmocka_unit_test(a_time_written_is_read_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
