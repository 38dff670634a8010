#include "service/pattern.h"

#include <string.h>

/*
 * A pattern, matched against the whole text, is literal text but for these:
 *
 *     *   any characters of one line       #   a digit
 *     ~   one or more of a-zA-Z0-9_.-      $   one or more digits
 *     !   one or more that are no space    %   a-z or a digit
 *     @   alone: 0, or digits that do not begin with 0
 *
 * What repeats takes all it can, which is right as no pattern goes on with what it takes; but for *,
 * where a mismatch goes back to the last one: characters are matched one by one between two of
 * them, so an earlier one never needs to take more. That bounds the work to the square of the text.
 */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_low(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || is_digit(byte);
}

static bool is_name(uint8_t byte)
{
    return is_low(byte) || (byte >= 'A' && byte <= 'Z') || byte == '_' || byte == '.' ||
           byte == '-';
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static bool fits(char token, uint8_t byte)
{
    switch (token) {
    case '#':
    case '$':
        return is_digit(byte);
    case '~':
        return is_name(byte);
    case '!':
        return !is_space(byte);
    case '%':
        return is_low(byte);
    default:
        return byte == (uint8_t)token;
    }
}

static bool repeats(char token)
{
    return token == '~' || token == '!' || token == '$';
}

static bool is_decimal(const uint8_t *at, size_t size, size_t digits_max)
{
    if (size == 0 || size > digits_max || (at[0] == '0' && size > 1))
        return false;
    while (size > 0 && is_digit(at[size - 1]))
        size--;
    return size == 0;
}

static bool matches(const char *pattern, const uint8_t *at, const uint8_t *end)
{
    const char *star = NULL;
    const uint8_t *star_at = NULL;

    for (;;) {
        if (*pattern == '*') {
            star = ++pattern;
            star_at = at;
        } else if (*pattern && at < end && fits(*pattern, *at)) {
            at++;
            while (repeats(*pattern) && at < end && fits(*pattern, *at))
                at++;
            pattern++;
        } else if (!*pattern && at == end) {
            return true;
        } else if (star && star_at < end && *star_at != '\n' && *star_at != '\r') {
            at = ++star_at;
            pattern = star;
        } else {
            return false;
        }
    }
}

static bool is_one_of(const char *const *texts, mr_bytes text)
{
    for (; *texts; texts++)
        if (strlen(*texts) == text.size && memcmp(*texts, text.data, text.size) == 0)
            return true;
    return false;
}

#define PATTERN(NAME, text, match)
#define ENUM(NAME, ...) static const char *const texts_##NAME[] = {__VA_ARGS__, NULL};
#include "service/rules.def"
#undef PATTERN
#undef ENUM

static const struct {
    const char *text, *pattern;
    const char *const *texts;
} rules[MR_RULE_COUNT] = {
    [MR_RULE_ANY] = {"", "", NULL},
#define PATTERN(NAME, text, match) [MR_RULE_##NAME] = {text, match, NULL},
#define ENUM(NAME, ...) [MR_RULE_##NAME] = {NULL, NULL, texts_##NAME},
#include "service/rules.def"
#undef PATTERN
#undef ENUM
};

bool mr_rule_holds(enum mr_rule rule, mr_bytes text)
{
    const uint8_t *at = text.data;

    switch (rule) {
    case MR_RULE_ANY:
        return true;
    case MR_RULE_HASH_KEY:
        return is_decimal(at, text.size, 39);
    case MR_RULE_SEQUENCE:
        return is_decimal(at, text.size, 129);
    default:
        if (rules[rule].texts)
            return is_one_of(rules[rule].texts, text);
        return matches(rules[rule].pattern, at, at + text.size);
    }
}

bool mr_rule_is_enum(enum mr_rule rule)
{
    return rules[rule].texts;
}

static void print(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, (mr_bytes){text, strlen(text)});
}

void mr_rule_print(enum mr_rule rule, struct mr_pack *out)
{
    if (!rules[rule].texts) {
        print(out, "Member must satisfy regular expression pattern: ");
        print(out, rules[rule].text);
        return;
    }
    print(out, "Member must satisfy enum value set: [");
    for (const char *const *text = rules[rule].texts; *text; text++) {
        print(out, *text);
        print(out, text[1] ? ", " : "]");
    }
}
