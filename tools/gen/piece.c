#include "gen/piece.h"

#include "gen/amount.h"
#include "gen/moment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 9007199254740992.0 /* whole numbers of a double */
#define NUMBER_BYTES_MAX 40
#define MOMENT_BYTES_MAX 24 /* one letter of a format becomes at most so many */
#define LETTERS_MAX (1u << 20)
#define DECIMALS_MAX 9

static const char alphanumeric[] = "0123456789abcdefghijklmnopqrstuvwxyz";
#define HEX_DIGITS ((mr_bytes){alphanumeric, 16})

/* ---- reading arguments -------------------------------------------------------------------- */

/* A call without an argument has nothing before its end. */
static bool has_argument(const struct mr_json *json)
{
    return mr_json_left(json) > 0;
}

static bool take_number(struct mr_json *json, double *number)
{
    struct mr_json_value value;
    char text[NUMBER_BYTES_MAX];

    if (!mr_json_take(json, &value) || value.kind != MR_JSON_NUMBER ||
        value.raw.size >= sizeof text)
        return false;
    memcpy(text, value.raw.data, value.raw.size);
    text[value.raw.size] = 0;
    *number = strtod(text, NULL);
    return fabs(*number) <= NUMBER_MAX;
}

/* What a value looks like in a record: of a string its meaning, all else as it stands. */
static bool take_text(struct mr_json *json, struct mr_arena *arena, mr_bytes *text)
{
    struct mr_json_value value;
    uint8_t *out;

    if (!mr_json_take(json, &value))
        return false;
    if (value.kind != MR_JSON_STRING) {
        *text = mr_arena_copy(arena, value.raw);
        return true;
    }
    out = mr_arena_take(arena, value.raw.size);
    *text = (mr_bytes){out, mr_json_unescape(&value, out)};
    return true;
}

/* An array's items, counted before they are taken. */
static bool count_items(struct mr_json json, size_t *count)
{
    struct mr_json_value value;

    *count = 0;
    if (!mr_json_enter_array(&json))
        return false;
    while (mr_json_next_item(&json) && mr_json_take(&json, &value))
        ++*count;
    return !json.fault && *count > 0;
}

static bool take_choices(struct mr_piece *piece, struct mr_json *json, struct mr_arena *arena)
{
    size_t count, i = 0;

    if (!count_items(*json, &count) || !mr_json_enter_array(json))
        return false;
    piece->choices = mr_arena_array(arena, mr_bytes, count);
    piece->choice_count = count;
    while (mr_json_next_item(json) && take_text(json, arena, &piece->choices[i]))
        i++;
    return !json->fault;
}

/* ---- numbers ------------------------------------------------------------------------------ */

struct range {
    double low, high, step;
};

static bool take_range(struct mr_json *json, struct range *range)
{
    struct mr_json_value name;

    if (!has_argument(json))
        return true;
    if (mr_json_kind_next(json) != MR_JSON_OBJECT)
        return take_number(json, &range->high);
    mr_json_enter(json);
    while (mr_json_next(json, &name)) {
        double *into = mr_json_is(&name, "min")         ? &range->low
                       : mr_json_is(&name, "max")       ? &range->high
                       : mr_json_is(&name, "precision") ? &range->step
                                                        : NULL;
        if (!into || !take_number(json, into))
            return false;
    }
    return !json->fault;
}

/* The decimals that a step needs: 0.01 has two. */
static int decimals_of(double step)
{
    int count = 0;

    while (count < DECIMALS_MAX && fabs(step - round(step)) > 1e-6 * step) {
        step *= 10;
        count++;
    }
    return count;
}

static bool make_number(struct mr_piece *piece, struct mr_json *json, double step,
                        const char **fault)
{
    struct range range = {.low = 0, .high = 99999, .step = step};

    *fault = "takes a highest number, or {\"min\":1,\"max\":9,\"precision\":1}";
    if (!take_range(json, &range))
        return false;
    *fault = "needs a min that is not above its max, and a precision above 0";
    if (range.low > range.high || range.step < 1e-9)
        return false;
    piece->step_count = (uint64_t)((range.high - range.low) / range.step + 1e-6);
    piece->decimal_count = decimals_of(range.step);
    piece->kind = piece->decimal_count > 0 || range.low != floor(range.low) ? MR_PIECE_REAL
                                                                            : MR_PIECE_INTEGER;
    piece->low = (int64_t)range.low;
    piece->step = (int64_t)round(range.step);
    piece->low_real = range.low;
    piece->step_real = range.step;
    if (piece->kind == MR_PIECE_REAL && decimals_of(fabs(range.low)) > piece->decimal_count)
        piece->decimal_count = decimals_of(fabs(range.low));
    piece->bytes_max = NUMBER_BYTES_MAX;
    return true;
}

/* ---- choices ------------------------------------------------------------------------------ */

static void measure_choices(struct mr_piece *piece)
{
    piece->kind = MR_PIECE_CHOICE;
    for (size_t i = 0; i < piece->choice_count; i++)
        if (piece->choices[i].size > piece->bytes_max)
            piece->bytes_max = piece->choices[i].size;
}

static bool make_choice(struct mr_piece *piece, struct mr_json *json, struct mr_arena *arena,
                        const char **fault)
{
    struct mr_json fallback = mr_json_of((mr_bytes){"[\"a\",\"b\",\"c\"]", 13});

    *fault = "takes an array, as [\"OK\",\"FAIL\"]";
    if (!take_choices(piece, has_argument(json) ? json : &fallback, arena))
        return false;
    measure_choices(piece);
    return true;
}

static bool take_weights(struct mr_json *json, struct mr_arena *arena, double **weights,
                         size_t *count)
{
    size_t i = 0;

    if (!count_items(*json, count) || !mr_json_enter_array(json))
        return false;
    *weights = mr_arena_array(arena, double, *count);
    while (mr_json_next_item(json))
        if (!take_number(json, &(*weights)[i]) || (*weights)[i++] < 0)
            return false;
    return !json->fault;
}

static void set_bounds(struct mr_piece *piece, const double *weights, double sum,
                       struct mr_arena *arena)
{
    double below = 0;

    piece->bounds = mr_arena_array(arena, uint64_t, piece->choice_count);
    for (size_t i = 0; i < piece->choice_count; i++) {
        below += weights[i] / sum;
        piece->bounds[i] = below < 1 ? (uint64_t)(below * 0x1p64) : UINT64_MAX;
    }
    /* Rounding leaves nothing to a last choice that weighs nothing. */
    for (size_t i = piece->choice_count; i-- > 0;) {
        piece->bounds[i] = UINT64_MAX;
        if (weights[i] > 0)
            break;
    }
}

static bool make_weighted(struct mr_piece *piece, struct mr_json *json, struct mr_arena *arena,
                          const char **fault)
{
    struct mr_json_value name;
    double *weights = NULL, sum = 0;
    size_t weight_count = 0;

    *fault = "takes {\"weights\":[0.9,0.1],\"data\":[\"OK\",\"FAIL\"]}";
    if (!has_argument(json) || !mr_json_enter(json))
        return false;
    while (mr_json_next(json, &name)) {
        bool is_weights = mr_json_is(&name, "weights");

        if (is_weights ? !take_weights(json, arena, &weights, &weight_count)
                       : !mr_json_is(&name, "data") || !take_choices(piece, json, arena))
            return false;
    }
    if (json->fault || !weights || !piece->choices)
        return false;
    *fault = "needs as many weights as data";
    if (weight_count != piece->choice_count)
        return false;
    for (size_t i = 0; i < weight_count; i++)
        sum += weights[i];
    *fault = "needs a weight above 0";
    if (sum <= 0)
        return false;
    set_bounds(piece, weights, sum, arena);
    measure_choices(piece);
    return true;
}

static void make_list(struct mr_piece *piece, const struct mr_function *function,
                      struct mr_arena *arena)
{
    piece->choice_count = function->word_count;
    piece->choices = mr_arena_array(arena, mr_bytes, function->word_count);
    for (size_t i = 0; i < function->word_count; i++)
        piece->choices[i] = (mr_bytes){function->words[i], strlen(function->words[i])};
    measure_choices(piece);
}

/* ---- all ---------------------------------------------------------------------------------- */

static bool make_time(struct mr_piece *piece, struct mr_json *json, struct mr_arena *arena,
                      bool is_utc, const char **fault)
{
    const char *fallback = is_utc ? "YYYY-MM-DD[T]HH:mm:ss[Z]" : "YYYY-MM-DD[T]HH:mm:ssZ";

    *fault = "takes a format, as \"YYYY-MM-DD HH:mm:ss\"";
    piece->kind = MR_PIECE_TIME;
    piece->is_utc = is_utc;
    piece->cached_ms = INT64_MIN;
    piece->text = (mr_bytes){fallback, strlen(fallback)};
    if (has_argument(json) && !take_text(json, arena, &piece->text))
        return false;
    piece->bytes_max = MOMENT_BYTES_MAX * (piece->text.size + 1);
    piece->cache = MR_PACK(piece->bytes_max);
    return true;
}

static bool make_letters(struct mr_piece *piece, struct mr_json *json, mr_bytes alphabet,
                         const char **fault)
{
    double count = 1;

    *fault = "takes how many characters, 1 to 1048576";
    if (has_argument(json) && !take_number(json, &count))
        return false;
    if (count < 1 || count > LETTERS_MAX)
        return false;
    piece->kind = MR_PIECE_LETTERS;
    piece->text = alphabet;
    piece->letter_count = piece->bytes_max = (size_t)count;
    return true;
}

bool mr_piece_make(struct mr_piece *piece, const struct mr_function *function, struct mr_json *json,
                   struct mr_arena *arena, const char **fault)
{
    *piece = (struct mr_piece){.bytes_max = 0};
    switch (function->kind) {
    case MR_FUNCTION_NUMBER:
        return make_number(piece, json, 1, fault);
    case MR_FUNCTION_REAL:
        return make_number(piece, json, 0.01, fault);
    case MR_FUNCTION_CHOICE:
        return make_choice(piece, json, arena, fault);
    case MR_FUNCTION_WEIGHTED:
        return make_weighted(piece, json, arena, fault);
    case MR_FUNCTION_LOCAL:
    case MR_FUNCTION_UTC:
        return make_time(piece, json, arena, function->kind == MR_FUNCTION_UTC, fault);
    case MR_FUNCTION_ALPHANUMERIC:
        return make_letters(piece, json, (mr_bytes){alphanumeric, sizeof alphanumeric - 1}, fault);
    case MR_FUNCTION_HEXADECIMAL:
        return make_letters(piece, json, HEX_DIGITS, fault);
    case MR_FUNCTION_LIST:
        make_list(piece, function, arena);
        break;
    default:
        piece->kind = function->kind == MR_FUNCTION_KEY     ? MR_PIECE_KEY
                      : function->kind == MR_FUNCTION_INDEX ? MR_PIECE_INDEX
                                                            : MR_PIECE_UUID;
        piece->bytes_max = NUMBER_BYTES_MAX;
    }
    *fault = "takes no argument";
    return !has_argument(json);
}

/* ---- drawing ------------------------------------------------------------------------------ */

static uint8_t *put(uint8_t *out, mr_bytes bytes)
{
    if (bytes.size)
        memcpy(out, bytes.data, bytes.size);
    return out + bytes.size;
}

static uint8_t *put_count(uint8_t *out, uint64_t number)
{
    char digits[24];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return put(out, (mr_bytes){digits + at, sizeof digits - at});
}

static uint8_t *put_integer(uint8_t *out, int64_t number)
{
    if (number < 0)
        *out++ = '-';
    return put_count(out, number < 0 ? -(uint64_t)number : (uint64_t)number);
}

/* As JavaScript shows it: no zeros at the end. */
static uint8_t *put_real(uint8_t *out, double number, int decimal_count)
{
    int size = snprintf((char *)out, NUMBER_BYTES_MAX, "%.*f", decimal_count, number);

    while (out[size - 1] == '0')
        size--;
    return out + size - (out[size - 1] == '.');
}

static uint8_t *put_choice(uint8_t *out, const struct mr_piece *piece, struct mr_random *random)
{
    size_t from = 0, to = piece->choice_count - 1;
    uint64_t drawn;

    if (!piece->bounds)
        return put(out, piece->choices[mr_random_below(random, piece->choice_count)]);
    drawn = mr_random_next(random);
    while (from < to) {
        size_t middle = (from + to) / 2;

        if (drawn < piece->bounds[middle])
            to = middle;
        else
            from = middle + 1;
    }
    return put(out, piece->choices[from]);
}

static uint8_t *put_letters(uint8_t *out, const struct mr_piece *piece, struct mr_random *random)
{
    const char *alphabet = piece->text.data;

    /* One number serves for eight letters: no secret depends on them. */
    for (size_t i = 0; i < piece->letter_count;) {
        uint64_t drawn = mr_random_next(random);

        for (size_t end = i + 8; i < end && i < piece->letter_count; i++, drawn >>= 8)
            *out++ = (uint8_t)alphabet[(drawn & 0xff) * piece->text.size >> 8];
    }
    return out;
}

static uint8_t *put_uuid(uint8_t *out, struct mr_random *random)
{
    uint64_t high = mr_random_next(random), low = mr_random_next(random);

    high = (high & ~UINT64_C(0xf000)) | 0x4000; /* version 4 */
    low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    for (int digit = 0; digit < 32; digit++) {
        uint64_t half = digit < 16 ? high : low;

        if (digit == 8 || digit == 12 || digit == 16 || digit == 20)
            *out++ = '-';
        *out++ = (uint8_t)alphanumeric[half >> (60 - digit % 16 * 4) & 15];
    }
    return out;
}

static uint8_t *put_time(uint8_t *out, struct mr_piece *piece, int64_t time_ms)
{
    if (piece->cached_ms != time_ms) {
        struct mr_moment moment = mr_moment_of(time_ms, piece->is_utc);

        piece->cache.size = 0;
        mr_moment_format(&piece->cache, &moment, piece->text);
        piece->cached_ms = time_ms;
    }
    return put(out, (mr_bytes){piece->cache.data, piece->cache.size});
}

uint8_t *mr_piece_render(struct mr_piece *piece, const struct mr_draw *draw, uint8_t *out)
{
    switch (piece->kind) {
    case MR_PIECE_INTEGER:
        return put_integer(
            out, piece->low +
                     piece->step * (int64_t)mr_random_below(draw->random, piece->step_count + 1));
    case MR_PIECE_REAL: {
        uint64_t steps = mr_random_below(draw->random, piece->step_count + 1);
        return put_real(out, piece->low_real + (double)steps * piece->step_real,
                        piece->decimal_count);
    }
    case MR_PIECE_CHOICE:
        return put_choice(out, piece, draw->random);
    case MR_PIECE_TIME:
        return put_time(out, piece, draw->time_ms);
    case MR_PIECE_UUID:
        return put_uuid(out, draw->random);
    case MR_PIECE_LETTERS:
        return put_letters(out, piece, draw->random);
    case MR_PIECE_KEY:
        return put_count(out, draw->key);
    case MR_PIECE_INDEX:
        return put_count(out, draw->index);
    default:
        return put(out, piece->text);
    }
}
