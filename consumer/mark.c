#include "mark.h"

#include "base/fail.h"
#include "base/u128.h"

#include <string.h>

#define WORDS 3

/* ---- as numbers --------------------------------------------------------------------------- */

/* The layout stands at the head of core/stream/sequence.c. */
mr_mark mr_mark_of(const mr_sequence *sequence)
{
    uint64_t shard = sequence->shard, time_s = sequence->time_s;

    return (mr_mark){.kind = MR_MARK_RECORD,
                     .sequence = {2 | shard << 4 | time_s << 36,
                                  time_s >> 28 | sequence->number << 16,
                                  sequence->number >> 48 | (shard & 15) << 16 |
                                      (uint64_t)sequence->created_s << 20 | (uint64_t)2 << 56}};
}

uint64_t mr_mark_number(const mr_mark *place)
{
    return (place->sequence[1] >> 16 | place->sequence[2] << 48) & INT64_MAX;
}

int mr_mark_compare(const mr_mark *a, const mr_mark *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    for (int i = WORDS; i-- > 0;)
        if (a->sequence[i] != b->sequence[i])
            return a->sequence[i] < b->sequence[i] ? -1 : 1;
    return (a->sub_sequence > b->sub_sequence) - (a->sub_sequence < b->sub_sequence);
}

/* ---- as text ------------------------------------------------------------------------------ */

/* As the KCL has them. */
static const char *const names[] = {[MR_MARK_AT_TIME] = "AT_TIMESTAMP",
                                    [MR_MARK_TRIM_HORIZON] = "TRIM_HORIZON",
                                    [MR_MARK_LATEST] = "LATEST",
                                    [MR_MARK_RECORD] = "",
                                    [MR_MARK_SHARD_END] = "SHARD_END"};
#define NAME_COUNT (sizeof names / sizeof names[0])

/* words = words / 10^19; returns the remainder */
static uint64_t divide(uint64_t words[WORDS])
{
    const uint64_t ten_19 = UINT64_C(10000000000000000000);
    mr_u128 rest = 0;

    for (int i = WORDS; i-- > 0;) {
        mr_u128 part = rest << 64 | words[i];

        words[i] = (uint64_t)(part / ten_19);
        rest = part % ten_19;
    }
    return (uint64_t)rest;
}

void mr_mark_format(const mr_mark *place, char text[MR_MARK_TEXT_BYTES])
{
    uint64_t words[WORDS];
    char digits[80];
    size_t at = sizeof digits;

    if (place->kind != MR_MARK_RECORD) {
        strcpy(text, names[place->kind]);
        return;
    }
    memcpy(words, place->sequence, sizeof words);
    do {
        uint64_t part = divide(words);

        for (int i = 0; i < 19; i++, part /= 10)
            digits[--at] = (char)('0' + part % 10);
    } while (words[0] | words[1] | words[2]);
    while (at < sizeof digits - 1 && digits[at] == '0')
        at++;
    memcpy(text, digits + at, sizeof digits - at);
    text[sizeof digits - at] = 0;
}

/* words = words * factor + add; false: it does not fit */
static bool multiply(uint64_t words[WORDS], uint64_t factor, uint64_t add)
{
    for (int i = 0; i < WORDS; i++) {
        mr_u128 product = (mr_u128)words[i] * factor + add;

        words[i] = (uint64_t)product;
        add = (uint64_t)(product >> 64);
    }
    return add == 0;
}

bool mr_mark_read(mr_bytes digits, mr_mark *place)
{
    const char *text = digits.data;
    uint64_t words[WORDS] = {0};
    size_t at = 0;

    if (digits.size == 0 || digits.size >= MR_MARK_TEXT_BYTES)
        return false;
    while (at < digits.size) {
        uint64_t part = 0, factor = 1;

        for (int i = 0; i < 19 && at < digits.size; i++, at++, factor *= 10) {
            if (text[at] < '0' || text[at] > '9')
                return false;
            part = part * 10 + (uint64_t)(text[at] - '0');
        }
        if (!multiply(words, factor, part))
            return false;
    }
    *place = (mr_mark){.kind = MR_MARK_RECORD};
    memcpy(place->sequence, words, sizeof words);
    return true;
}

mr_status mr_mark_parse(const char *text, uint64_t sub_sequence, mr_mark *place, mr_error *error)
{
    mr_mark read;

    for (size_t i = 0; i < NAME_COUNT; i++)
        if (names[i][0] && strcmp(text, names[i]) == 0) {
            *place = (mr_mark){.kind = (mr_mark_kind)i};
            return MR_OK;
        }
    if (!mr_mark_read((mr_bytes){text, strlen(text)}, &read))
        return mr_fail(error, MR_INVALID,
                       "\"%.80s\" is no place in a shard: a sequence number of up to 57 digits, "
                       "TRIM_HORIZON, LATEST, AT_TIMESTAMP or SHARD_END",
                       text);
    *place = read;
    place->sub_sequence = sub_sequence;
    return MR_OK;
}

/* ---- as bytes ----------------------------------------------------------------------------- */

void mr_mark_pack(struct mr_pack *pack, const mr_mark *place)
{
    mr_pack_u8(pack, (uint8_t)place->kind);
    if (place->kind != MR_MARK_RECORD)
        return;
    mr_pack_varint(pack, place->sub_sequence);
    for (int i = 0; i < WORDS; i++)
        mr_pack_u64(pack, place->sequence[i]);
}

mr_mark mr_mark_scan(struct mr_scan *scan)
{
    uint8_t kind = mr_scan_u8(scan);
    mr_mark place = {.kind = (mr_mark_kind)kind};

    scan->failed |= kind >= NAME_COUNT;
    if (kind != MR_MARK_RECORD)
        return place;
    place.sub_sequence = mr_scan_varint(scan);
    for (int i = 0; i < WORDS; i++)
        place.sequence[i] = mr_scan_u64(scan);
    return place;
}
