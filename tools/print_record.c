#include "print_record.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/memory.h"
#include "show.h"
#include "when.h"

#include <string.h>

static void print_bytes(mr_bytes bytes)
{
    fwrite(bytes.data ? bytes.data : "", 1, bytes.size, stdout);
}

static bool is_control(uint8_t byte)
{
    return byte == 0x7f || (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r');
}

/* UTF-8 without control characters (but white space): it can do a terminal no harm. */
static bool is_readable(mr_bytes data)
{
    const uint8_t *at = data.data;

    for (size_t i = 0; i < data.size; i++)
        if (is_control(at[i]) || (i > 0 && at[i - 1] == 0xc2 && at[i] < 0xa0))
            return false;
    return mr_utf8_is_valid(data);
}

static void print_base64(mr_bytes data)
{
    size_t size = MR_BASE64_BYTES(data.size);
    char *text = mr_alloc(size + 1);

    mr_base64_encode(data, text);
    fwrite(text, 1, size, stdout);
    mr_free(text);
}

static void print_text(mr_bytes data)
{
    if (is_readable(data)) {
        print_bytes(data);
    } else {
        printf("[%zu bytes, base64] ", data.size);
        print_base64(data);
    }
    putchar('\n');
}

static void print_json(struct mr_json_line *line, const mr_record *record)
{
    mr_bytes data = record->data;

    mr_json_open(line, '{');
    mr_show_shard_id(line, "shard_id", record->sequence.shard);
    mr_show_sequence(line, "sequence_number", &record->sequence);
    mr_show_time(line, "arrival_time", record->arrival_ms);
    mr_json_name(line, "partition_key");
    mr_json_string(line, record->partition_key);
    if (record->has_explicit_hash_key)
        mr_show_hash_key(line, "explicit_hash_key", record->explicit_hash_key);
    if (mr_utf8_is_valid(data)) {
        mr_json_name(line, "data");
        mr_json_string(line, data);
    } else {
        size_t size = MR_BASE64_BYTES(data.size);
        char *text = mr_alloc(size);

        mr_base64_encode(data, text);
        mr_json_name(line, "data_base64");
        mr_json_string(line, (mr_bytes){text, size});
        mr_free(text);
    }
    mr_json_close(line, '}');
    mr_json_print(line, stdout);
}

/* "00000010  68 65 6c ...  |hel...|" */
static void print_hex_row(mr_bytes data, size_t from)
{
    const uint8_t *at = (const uint8_t *)data.data + from;
    size_t count = data.size - from < 16 ? data.size - from : 16;

    printf("%08zx ", from);
    for (size_t i = 0; i < 16; i++) {
        if (i % 8 == 0)
            putchar(' ');
        if (i < count)
            printf("%02x ", at[i]);
        else
            fputs("   ", stdout);
    }
    fputs(" |", stdout);
    for (size_t i = 0; i < count; i++)
        putchar(at[i] >= 0x20 && at[i] < 0x7f ? at[i] : '.');
    fputs("|\n", stdout);
}

static void print_hex(const mr_record *record)
{
    char time[MR_TIME_TEXT_BYTES], shard[MR_SHARD_TEXT_BYTES];

    mr_time_format(record->arrival_ms, time);
    mr_shard_format(record->sequence.shard, shard);
    printf("%s %s %zu bytes, key ", time, shard, record->data.size);
    print_text(record->partition_key);
    for (size_t from = 0; from < record->data.size; from += 16)
        print_hex_row(record->data, from);
}

bool mr_format_is_valid(const char *format, const char **at)
{
    for (*at = format; **at; (*at)++) {
        const char *letters = **at == '%' ? "tshkv%" : **at == '\\' ? "nt\\" : NULL;

        if (!letters)
            continue;
        if (!(*at)[1] || !strchr(letters, (*at)[1]))
            return false;
        (*at)++;
    }
    return true;
}

static void print_field(char letter, const mr_record *record)
{
    char text[MR_SEQUENCE_TEXT_BYTES];

    switch (letter) {
    case 't':
        mr_time_format(record->arrival_ms, text);
        fputs(text, stdout);
        break;
    case 's':
        mr_sequence_format(&record->sequence, text);
        fputs(text, stdout);
        break;
    case 'h':
        mr_shard_format(record->sequence.shard, text);
        fputs(text, stdout);
        break;
    case 'k':
        print_bytes(record->partition_key);
        break;
    case 'v':
        print_bytes(record->data);
        break;
    default:
        putchar('%');
    }
}

static void print_format(const char *format, const mr_record *record)
{
    for (; *format; format++) {
        if (*format == '%')
            print_field(*++format, record);
        else if (*format == '\\')
            putchar(*++format == 'n' ? '\n' : *format == 't' ? '\t' : '\\');
        else
            putchar(*format);
    }
}

void mr_record_print(struct mr_printer *printer, const mr_record *record)
{
    if (printer->format) {
        print_format(printer->format, record);
        return;
    }
    switch (printer->how) {
    case MR_PRINT_TEXT:
        print_text(record->data);
        break;
    case MR_PRINT_JSON:
        print_json(&printer->line, record);
        break;
    case MR_PRINT_RAW:
        print_bytes(record->data);
        putchar('\n');
        break;
    case MR_PRINT_HEX:
        print_hex(record);
        break;
    }
}
