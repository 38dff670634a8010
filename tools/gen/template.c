#include "gen/template.h"

#include "base/fail.h"
#include "base/memory.h"
#include "gen/piece.h"

#include <string.h>

#define ARENA_BYTES ((size_t)256 << 20)

struct mr_template {
    struct mr_piece *pieces;
    size_t piece_count, piece_capacity;
    size_t bytes_max;
    struct mr_arena arena;
};

/* ---- compiling ---------------------------------------------------------------------------- */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

static mr_bytes trim(mr_bytes text)
{
    const uint8_t *at = text.data, *end = at + text.size;

    while (at < end && is_space(*at))
        at++;
    while (at < end && is_space(end[-1]))
        end--;
    return (mr_bytes){at, (size_t)(end - at)};
}

static void add_piece(struct mr_template *compiled, const struct mr_piece *piece)
{
    mr_grow(compiled->pieces, compiled->piece_count, compiled->piece_capacity);
    compiled->pieces[compiled->piece_count++] = *piece;
    compiled->bytes_max += piece->bytes_max;
}

/* Text between two calls, without its line ends. */
static void add_text(struct mr_template *compiled, const uint8_t *at, const uint8_t *end)
{
    uint8_t *copy = mr_arena_take(&compiled->arena, (size_t)(end - at));
    size_t size = 0;

    for (; at < end; at++)
        if (*at != '\n' && *at != '\r')
            copy[size++] = *at;
    if (size > 0)
        add_piece(compiled, &(struct mr_piece){
                                .kind = MR_PIECE_TEXT, .text = {copy, size}, .bytes_max = size});
}

static const uint8_t *find_two(const uint8_t *at, const uint8_t *end, uint8_t byte)
{
    for (; end - at >= 2; at++)
        if (at[0] == byte && at[1] == byte)
            return at;
    return NULL;
}

/*
 * Where the argument ends that begins at `at`, which is behind the parenthesis: JSON, which may hold
 * any of "})", or, as the Data Generator allows, a bare text.
 */
static const uint8_t *argument_end(const uint8_t *at, const uint8_t *end)
{
    struct mr_json json = mr_json_of((mr_bytes){at, (size_t)(end - at)});
    struct mr_json_value value;
    const uint8_t *close;

    if (mr_json_take(&json, &value))
        return json.at;
    close = find_two(at, end, '}');
    while (close && close > at && is_space(close[-1]))
        close--;
    return close && close > at ? close - 1 : NULL;
}

/* One call: its name and its argument, "" if there is none; a bare text gets its quotes. */
struct call {
    mr_bytes name, argument;
    const uint8_t *end; /* behind the braces */
};

static const char *read_call(struct mr_template *compiled, const uint8_t *at, const uint8_t *end,
                             struct call *call)
{
    const uint8_t *stop = at;
    struct mr_json json;
    struct mr_json_value value;

    while (stop < end && *stop != '(' && *stop != '}')
        stop++;
    call->name = trim((mr_bytes){at, (size_t)(stop - at)});
    call->argument = (mr_bytes){"", 0};
    if (stop < end && *stop == '(') {
        at = stop + 1;
        stop = argument_end(at, end);
        if (!stop)
            return "has no end: \")}}\" is missing";
        call->argument = trim((mr_bytes){at, (size_t)(stop - at)});
        json = mr_json_of(call->argument);
        if (call->argument.size > 0 && !(mr_json_take(&json, &value) && mr_json_done(&json)))
            call->argument = mr_arena_print(&compiled->arena, "\"%.*s\"", (int)call->argument.size,
                                            (const char *)call->argument.data);
        while (stop < end && is_space(*stop))
            stop++;
        if (stop == end || *stop++ != ')')
            return "has no end: \")}}\" is missing behind its argument";
    }
    while (stop < end && is_space(*stop))
        stop++;
    if (end - stop < 2 || stop[0] != '}' || stop[1] != '}')
        return "has no end: \"}}\" is missing";
    call->end = stop + 2;
    return NULL;
}

static mr_status compile(struct mr_template *compiled, mr_bytes text, mr_error *error);

static mr_status add_call(struct mr_template *compiled, const struct call *call, mr_error *error)
{
    const char *guess = "", *fault = "";
    const struct mr_function *function = mr_function_of(call->name, &guess);
    struct mr_json json = mr_json_of(call->argument);
    struct mr_piece piece;
    int name_size = call->name.size < 60 ? (int)call->name.size : 60;

    if (!function)
        return mr_fail(error, MR_INVALID, "{{%.*s}} is not known%s%s", name_size,
                       (const char *)call->name.data, *guess ? ": did you mean " : "", guess);
    if (function->kind == MR_FUNCTION_MACRO && call->argument.size == 0)
        return compile(compiled, (mr_bytes){function->text, strlen(function->text)}, error);
    if (function->kind == MR_FUNCTION_MACRO)
        return mr_fail(error, MR_INVALID, "{{%s}} takes no argument", function->name);
    if (!mr_piece_make(&piece, function, &json, &compiled->arena, &fault)) {
        mr_pack_fini(&piece.cache);
        return mr_fail(error, MR_INVALID, "{{%s}} %s", function->name, fault);
    }
    add_piece(compiled, &piece);
    return MR_OK;
}

static mr_status compile(struct mr_template *compiled, mr_bytes text, mr_error *error)
{
    const uint8_t *at = text.data, *end = at + text.size, *open;

    while ((open = find_two(at, end, '{'))) {
        struct call call;
        const char *fault;
        mr_status status;

        /* Of "{{{" the first is text: the Data Generator's templates begin so. */
        while (end - open > 2 && open[2] == '{')
            open++;
        add_text(compiled, at, open);
        fault = read_call(compiled, open + 2, end, &call);
        if (fault)
            return mr_fail(error, MR_INVALID, "the call that begins at byte %zu, \"%.*s\", %s",
                           (size_t)(open - (const uint8_t *)text.data) + 1,
                           end - open < 30 ? (int)(end - open) : 30, (const char *)open, fault);
        status = add_call(compiled, &call, error);
        if (status)
            return status;
        at = call.end;
    }
    add_text(compiled, at, end);
    return MR_OK;
}

mr_status mr_template_compile(struct mr_template **compiled, mr_bytes text, mr_error *error)
{
    mr_status status;

    *compiled = NULL;
    text = trim(text);
    if (text.size > MR_TEMPLATE_BYTES_MAX)
        return mr_fail(error, MR_LIMIT, "a template has at most %zu bytes", MR_TEMPLATE_BYTES_MAX);
    *compiled = mr_new(struct mr_template);
    (*compiled)->arena = MR_ARENA(ARENA_BYTES);
    status = compile(*compiled, text, error);
    if (!status && (*compiled)->bytes_max > MR_RECORD_BYTES_MAX)
        status = mr_fail(error, MR_LIMIT, "its records may have %zu bytes: 10 MiB is the most",
                         (*compiled)->bytes_max);
    if (status) {
        mr_template_free(*compiled);
        *compiled = NULL;
    }
    return status;
}

void mr_template_free(struct mr_template *compiled)
{
    if (!compiled)
        return;
    for (size_t i = 0; i < compiled->piece_count; i++)
        mr_pack_fini(&compiled->pieces[i].cache);
    mr_free(compiled->pieces);
    mr_arena_fini(&compiled->arena);
    mr_free(compiled);
}

/* ---- rendering ---------------------------------------------------------------------------- */

size_t mr_template_bytes_max(const struct mr_template *compiled)
{
    return compiled->bytes_max;
}

uint8_t *mr_template_render(struct mr_template *compiled, const struct mr_draw *draw, uint8_t *out)
{
    for (size_t i = 0; i < compiled->piece_count; i++)
        out = mr_piece_render(&compiled->pieces[i], draw, out);
    return out;
}

/* ---- those that come along ---------------------------------------------------------------- */

/* clang-format off */
static const struct {
    const char *name, *text;
} named[] = {
    {"sensors",
     "{\"sensorId\":{{random.number(50)}},"
     "\"currentTemperature\":{{random.number({\"min\":10,\"max\":150})}},"
     "\"status\":\"{{random.weightedArrayElement({\"weights\":[0.9,0.07,0.03],"
     "\"data\":[\"OK\",\"WARN\",\"FAIL\"]})}}\"}"},
    {"people", "{{name.firstName}},{{name.lastName}},{{random.number(70)}},{{internet.ip}}"},
    {"access-log",
     "{{internet.ip}} - - [{{date.now(\"DD/MMM/YYYY:HH:mm:ss ZZ\")}}] "
     "\"{{random.weightedArrayElement({\"weights\":[0.6,0.1,0.1,0.2],"
     "\"data\":[\"GET\",\"POST\",\"DELETE\",\"PUT\"]})}} "
     "{{random.arrayElement([\"/\",\"/list\",\"/cart\",\"/search\",\"/login\"])}} HTTP/1.1\" "
     "{{random.weightedArrayElement({\"weights\":[0.9,0.04,0.02,0.04],"
     "\"data\":[\"200\",\"404\",\"500\",\"301\"]})}} {{random.number(10000)}} \"-\" "
     "\"{{internet.userAgent}}\""},
    {"orders",
     "{\"order\":{{index}},\"customer\":\"customer-{{key}}\",\"time\":\"{{date.utc}}\","
     "\"product\":\"{{commerce.product}}\",\"price\":{{commerce.price}},"
     "\"country\":\"{{address.countryCode}}\"}"},
    {"devices",
     "{\"uuid\":\"{{random.uuid}}\",\"device_ts\":\"{{date.utc(\"YYYY-MM-DD HH:mm:ss.SSS\")}}\","
     "\"device_id\":{{key}},\"device_temp\":{{random.weightedArrayElement("
     "{\"weights\":[0.3,0.3,0.2,0.2],\"data\":[32,34,28,40]})}},\"track_id\":{{random.number(30)}}}"},
};
/* clang-format on */

const char *mr_template_named(const char *name)
{
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (strcmp(named[i].name, name) == 0)
            return named[i].text;
    return NULL;
}

const char *mr_template_names(void)
{
    return "sensors, people, access-log, orders, devices";
}
