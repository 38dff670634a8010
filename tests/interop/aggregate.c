/*
 * aggregate.c - packs records that it reads as lines into an aggregate, and unpacks one: for other
 * implementations of the format to compare with. See aggregates.py.
 */
#include "wire/aggregate.h"
#include "base/check.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Places of texts, in order of first use. */
struct names {
    char *texts[1000];
    uint32_t count;
};

static uint32_t place_of(struct names *names, const char *text)
{
    uint32_t place = 0;

    while (place < names->count && strcmp(names->texts[place], text) != 0)
        place++;
    if (place == names->count) {
        mr_check(place < 1000);
        names->texts[names->count++] = mr_copy_text(text);
    }
    return place;
}

static size_t read_hex(char *text)
{
    size_t size = 0;
    unsigned byte;

    for (; sscanf(text + size * 2, "%2x", &byte) == 1; size++)
        text[size] = (char)byte; /* in place: it is behind what is read */
    return size;
}

static void print_hex(mr_bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", ((const uint8_t *)bytes.data)[i]);
}

static void pack(void)
{
    struct names keys = {0}, explicit_keys = {0};
    struct mr_pack records = {0}, out = {0};
    char line[4096], *rest;
    size_t size;

    while (fgets(line, sizeof line, stdin)) {
        const char *key = strtok_r(line, " \n", &rest),
                   *explicit_key = strtok_r(NULL, " \n", &rest);
        char *data = strtok_r(NULL, " \n", &rest), none[1] = "";
        uint32_t place = place_of(&keys, key);
        uint32_t explicit_place =
            explicit_key[0] == '-' ? MR_NO_EXPLICIT_KEY : place_of(&explicit_keys, explicit_key);

        data = data ? data : none;
        size = read_hex(data);
        mr_aggregate_add_record(&records, place, explicit_place, (mr_bytes){data, size});
    }
    mr_aggregate_begin(&out);
    for (uint32_t i = 0; i < keys.count; i++)
        mr_aggregate_add_key(&out, (mr_bytes){keys.texts[i], strlen(keys.texts[i])});
    for (uint32_t i = 0; i < explicit_keys.count; i++) {
        mr_hash_key key;

        mr_check(mr_hash_key_parse(explicit_keys.texts[i], &key, NULL) == MR_OK);
        mr_aggregate_add_hash_key(&out, key);
    }
    mr_pack_bytes(&out, (mr_bytes){records.data, records.size});
    mr_aggregate_end(&out, 0);
    print_hex((mr_bytes){out.data, out.size});
}

static void unpack(void)
{
    static char text[4 << 20];
    struct mr_aggregate_reader reader = {0};
    struct mr_user_record record;
    char digits[MR_HASH_KEY_TEXT_BYTES] = "-";

    text[fread(text, 1, sizeof text - 1, stdin)] = 0;
    if (!mr_aggregate_open(&reader, (mr_bytes){text, read_hex(text)}))
        return;
    while (mr_aggregate_next(&reader, &record)) {
        if (record.has_explicit_hash_key)
            mr_hash_key_format(record.explicit_hash_key, digits);
        else
            strcpy(digits, "-");
        printf("%.*s %s ", (int)record.partition_key.size, (const char *)record.partition_key.data,
               digits);
        print_hex(record.data);
        putchar('\n');
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "pack") == 0)
        pack();
    else if (argc == 2 && strcmp(argv[1], "unpack") == 0)
        unpack();
    else
        return 2;
    return 0;
}
