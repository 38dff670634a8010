#include "server/head.h"

#include <string.h>
#include <strings.h>

#define METHOD_BYTES_MAX 32
#define CHUNK_DIGITS_MAX 8
#define ASIDE_BYTES_MAX (8u << 10)

static bool is_token_char(uint8_t c)
{
    static const uint64_t map[4] = {
        0x03ff6cfa00000000u, /* ! # $ % & ' * + - . 0-9 */
        0x57ffffffc7fffffeu, /* A-Z ^ _ ` a-z | ~ */
    };
    return map[c >> 6] >> (c & 63) & 1;
}

static bool is_token(const uint8_t *at, const uint8_t *end)
{
    if (at == end)
        return false;
    for (; at < end; at++)
        if (!is_token_char(*at))
            return false;
    return true;
}

static bool is_value_char(uint8_t c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* No control characters but tabs; eight bytes at a time. */
static bool is_value(const uint8_t *at, const uint8_t *end)
{
    const uint64_t ones = 0x0101010101010101u, tops = ones << 7;

    for (; end - at >= 8; at += 8) {
        uint64_t eight, deletes, suspects;

        memcpy(&eight, at, sizeof eight);
        deletes = eight ^ ones * 0x7f;
        suspects = ((eight - ones * 0x20) & ~eight) | ((deletes - ones) & ~deletes);
        if (suspects & tops) /* a tab, or worse; or a neighbour's borrow */
            for (int i = 0; i < 8; i++)
                if (!is_value_char(at[i]))
                    return false;
    }
    for (; at < end; at++)
        if (!is_value_char(*at))
            return false;
    return true;
}

static mr_bytes between(const uint8_t *at, const uint8_t *end)
{
    return (mr_bytes){at, (size_t)(end - at)};
}

bool mr_bytes_same_text(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && strncasecmp(bytes.data, text, bytes.size) == 0;
}

bool mr_length_parse(mr_bytes text, uint64_t *length)
{
    const uint8_t *digits = text.data;

    *length = 0;
    if (text.size == 0 || text.size > 12)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        *length = *length * 10 + (uint64_t)(digits[i] - '0');
    }
    return true;
}

enum mr_refusal mr_head_find(mr_bytes bytes, size_t *scanned, size_t *end)
{
    const uint8_t *start = bytes.data, *stop = start + bytes.size, *at = start + *scanned;

    *end = 0;
    while (at < stop) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(stop - at));

        if (!newline)
            break;
        if (newline == start || newline[-1] != '\r')
            return MR_REFUSAL_BARE_NEWLINE;
        at = newline + 1;
        if (newline - start == 1) /* a head has a first line */
            return MR_REFUSAL_REQUEST_LINE;
        if (newline[-2] == '\n') {
            *end = (size_t)(at - start);
            break;
        }
    }
    if (*end ? *end > MR_HEAD_BYTES_MAX : bytes.size >= MR_HEAD_BYTES_MAX)
        return MR_REFUSAL_HEAD_BYTES;
    *scanned = *end ? *end : bytes.size;
    return MR_REFUSAL_NONE;
}

enum mr_refusal mr_target_parse(mr_bytes target, mr_bytes *path, mr_bytes *query)
{
    const uint8_t *at = target.data, *end = at + target.size;
    const uint8_t *question = target.size ? memchr(at, '?', target.size) : NULL;

    if (target.size == 0 || (*at != '/' && !(*at == '*' && target.size == 1)))
        return MR_REFUSAL_TARGET;
    for (const uint8_t *c = at; c < end; c++)
        if (*c <= 0x20 || *c >= 0x7f)
            return MR_REFUSAL_TARGET;
    *path = between(at, question ? question : end);
    *query = question ? between(question + 1, end) : (mr_bytes){NULL, 0};
    return MR_REFUSAL_NONE;
}

/* "http://host/path?query", as sent to proxies, which a server has to understand as well. */
static enum mr_refusal absolute_parse(mr_bytes target, struct mr_head *head)
{
    const uint8_t *at = target.data, *end = at + target.size, *slash;

    if (target.size > 7 && strncasecmp(target.data, "http://", 7) == 0)
        at += 7;
    else if (target.size > 8 && strncasecmp(target.data, "https://", 8) == 0)
        at += 8;
    else
        return MR_REFUSAL_TARGET;
    slash = memchr(at, '/', (size_t)(end - at));
    if (!slash || slash == at)
        return MR_REFUSAL_TARGET;
    for (const uint8_t *c = at; c < slash; c++)
        if (*c <= 0x20 || *c >= 0x7f || *c == '@' || *c == '?' || *c == '#')
            return MR_REFUSAL_TARGET;
    head->host = between(at, slash);
    return mr_target_parse(between(slash, end), &head->path, &head->query);
}

/* The request line, without its CR LF. */
static enum mr_refusal request_line_parse(const uint8_t *at, const uint8_t *end,
                                          struct mr_head *head)
{
    const uint8_t *space = memchr(at, ' ', (size_t)(end - at)), *target;
    enum mr_refusal refusal;

    if (!space || space - at > METHOD_BYTES_MAX || !is_token(at, space))
        return MR_REFUSAL_REQUEST_LINE;
    head->method = between(at, space);
    target = space + 1;
    space = memchr(target, ' ', (size_t)(end - target));
    if (!space || space == target)
        return MR_REFUSAL_REQUEST_LINE;
    if (end - space != 9 || memcmp(space, " HTTP/", 6) != 0 || space[6] < '0' || space[6] > '9' ||
        space[7] != '.' || space[8] < '0' || space[8] > '9')
        return MR_REFUSAL_REQUEST_LINE;
    if (space[6] != '1' || space[8] > '1')
        return MR_REFUSAL_VERSION;
    head->is_http_1_0 = space[8] == '0';
    refusal = mr_target_parse(between(target, space), &head->path, &head->query);
    return refusal ? absolute_parse(between(target, space), head) : MR_REFUSAL_NONE;
}

/* "name: value", without its CR LF. */
static enum mr_refusal field_parse(const uint8_t *at, const uint8_t *end, struct mr_field *field)
{
    const uint8_t *colon;

    if (*at == ' ' || *at == '\t')
        return MR_REFUSAL_FIELD_FOLDED;
    for (colon = at; colon < end && is_token_char(*colon); colon++)
        ;
    if (colon == at || colon == end || *colon != ':')
        return MR_REFUSAL_FIELD_NAME;
    field->name = between(at, colon);
    for (at = colon + 1; at < end && (*at == ' ' || *at == '\t'); at++)
        ;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    field->value = between(at, end);
    return is_value(at, end) ? MR_REFUSAL_NONE : MR_REFUSAL_FIELD_VALUE;
}

/* Whether a comma-separated list has this word. */
static bool list_has(mr_bytes list, const char *word)
{
    const char *at = list.data, *end = at + list.size;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end, *next = comma ? comma + 1 : end;

        while (at < stop && (*at == ' ' || *at == '\t'))
            at++;
        while (stop > at && (stop[-1] == ' ' || stop[-1] == '\t'))
            stop--;
        if (mr_bytes_same_text((mr_bytes){at, (size_t)(stop - at)}, word))
            return true;
        at = next;
    }
    return false;
}

/* What the fields say about the message itself. */
static enum mr_refusal fields_obey(struct mr_head *head)
{
    unsigned host_count = 0, length_count = 0, coding_count = 0;
    bool keep_alive = false, close = false;

    for (size_t i = 0; i < head->field_count; i++) {
        const struct mr_field *field = &head->fields[i];

        switch (field->name.size) {
        case 4:
            if (mr_bytes_same_text(field->name, "host")) {
                host_count++;
                if (!head->host.data)
                    head->host = field->value;
            }
            break;
        case 6:
            if (mr_bytes_same_text(field->name, "expect")) {
                if (!mr_bytes_same_text(field->value, "100-continue"))
                    return MR_REFUSAL_EXPECTATION;
                head->expects_continue = !head->is_http_1_0;
            }
            break;
        case 10:
            if (mr_bytes_same_text(field->name, "connection")) {
                close |= list_has(field->value, "close");
                keep_alive |= list_has(field->value, "keep-alive");
            }
            break;
        case 14:
            if (mr_bytes_same_text(field->name, "content-length")) {
                length_count++;
                if (!mr_length_parse(field->value, &head->body_bytes))
                    return MR_REFUSAL_LENGTH;
            }
            break;
        case 17:
            if (mr_bytes_same_text(field->name, "transfer-encoding")) {
                coding_count++;
                head->is_chunked = mr_bytes_same_text(field->value, "chunked");
            }
            break;
        default:
            break;
        }
    }
    head->keeps_alive = !close && (keep_alive || !head->is_http_1_0);
    if (host_count > 1 || (host_count == 0 && !head->is_http_1_0))
        return MR_REFUSAL_HOST;
    if (length_count > 0 && coding_count > 0)
        return MR_REFUSAL_LENGTH_AND_CODING;
    if (length_count > 1)
        return MR_REFUSAL_LENGTH_TWICE;
    if (coding_count > 0 && head->is_http_1_0)
        return MR_REFUSAL_CODING_VERSION;
    if (coding_count > 1 || (coding_count == 1 && !head->is_chunked))
        return MR_REFUSAL_CODING;
    return MR_REFUSAL_NONE;
}

enum mr_refusal mr_head_parse(mr_bytes bytes, struct mr_head *head)
{
    const uint8_t *at = bytes.data, *end = at + bytes.size - 2; /* less the empty line */
    const uint8_t *newline = memchr(at, '\n', bytes.size);
    enum mr_refusal refusal;

    *head = (struct mr_head){.fields = head->fields};
    refusal = request_line_parse(at, newline - 1, head);
    for (at = newline + 1; !refusal && at < end; at = newline + 1) {
        newline = memchr(at, '\n', (size_t)(end - at));
        if (head->field_count == MR_FIELD_COUNT_MAX)
            return MR_REFUSAL_FIELD_COUNT;
        refusal = field_parse(at, newline - 1, &head->fields[head->field_count++]);
    }
    return refusal ? refusal : fields_obey(head);
}

/* ---- chunked bodies ----------------------------------------------------------------------- */

enum chunk_state {
    CHUNK_SIZE, /* at the start of a chunk: must be state 0 */
    CHUNK_EXTENSION,
    CHUNK_SIZE_END, /* LF expected */
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER, /* at the start of a line */
    CHUNK_TRAILER_LINE,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
};

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte that is not data. False: it may not stand there. */
static bool chunk_byte(struct mr_chunks *chunks, uint8_t c)
{
    int digit;

    switch ((enum chunk_state)chunks->state) {
    case CHUNK_SIZE:
        digit = hex_digit(c);
        if (digit >= 0) {
            chunks->left = chunks->left * 16 + (uint64_t)digit;
            return ++chunks->digits <= CHUNK_DIGITS_MAX;
        }
        if (chunks->digits == 0 || (c != '\r' && c != ';'))
            return false;
        chunks->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_END;
        return true;
    case CHUNK_EXTENSION:
        if (c == '\r')
            chunks->state = CHUNK_SIZE_END;
        else if (!is_value_char(c) || ++chunks->aside > ASIDE_BYTES_MAX)
            return false;
        return true;
    case CHUNK_SIZE_END:
        chunks->state = chunks->left ? CHUNK_DATA : CHUNK_TRAILER;
        chunks->digits = 0;
        return c == '\n';
    case CHUNK_DATA_CR:
        chunks->state = CHUNK_DATA_LF;
        return c == '\r';
    case CHUNK_DATA_LF:
        chunks->state = CHUNK_SIZE;
        return c == '\n';
    case CHUNK_TRAILER:
        chunks->state = c == '\r' ? CHUNK_END_LF : CHUNK_TRAILER_LINE;
        return c == '\r' || (is_token_char(c) && ++chunks->aside <= ASIDE_BYTES_MAX);
    case CHUNK_TRAILER_LINE:
        if (c == '\r')
            chunks->state = CHUNK_TRAILER_LF;
        else if (!is_value_char(c) || ++chunks->aside > ASIDE_BYTES_MAX)
            return false;
        return true;
    case CHUNK_TRAILER_LF:
        chunks->state = CHUNK_TRAILER;
        return c == '\n';
    case CHUNK_END_LF:
        chunks->is_complete = true;
        return c == '\n';
    case CHUNK_DATA:
        break;
    }
    return false;
}

enum mr_refusal mr_chunks_read(struct mr_chunks *chunks, const uint8_t **at, const uint8_t *end,
                               mr_bytes *piece)
{
    *piece = (mr_bytes){NULL, 0};
    while (*at < end && !chunks->is_complete) {
        if (chunks->state == CHUNK_DATA) {
            size_t here = (size_t)(end - *at);

            *piece = (mr_bytes){*at, here < chunks->left ? here : (size_t)chunks->left};
            *at += piece->size;
            chunks->left -= piece->size;
            if (chunks->left == 0)
                chunks->state = CHUNK_DATA_CR;
            break;
        }
        if (!chunk_byte(chunks, *(*at)++))
            return MR_REFUSAL_CHUNK;
    }
    return MR_REFUSAL_NONE;
}
