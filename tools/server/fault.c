#include "server/fault.h"

#include "base/fail.h"
#include "base/memory.h"
#include "base/random.h"
#include "gen/amount.h"
#include "guess.h"
#include "options.h"
#include "os/thread.h"
#include "server/part.h"

#include <stdio.h>
#include <string.h>

#define DELAY_S_MAX 3600
#define VALUE_BYTES 160

struct mr_faults {
    pthread_mutex_t lock;
    _Atomic size_t count;
    struct mr_fault_rule rules[MR_FAULT_COUNT_MAX];
    struct mr_random random;
};

/* ---- rules -------------------------------------------------------------------------------- */

static mr_status read_operation(const char *value, struct mr_fault_rule *rule, mr_error *error)
{
    struct mr_guess guess = MR_GUESS(value);

    rule->action = mr_action_find((mr_bytes){value, strlen(value)});
    if (rule->action != MR_ACTION_COUNT || strcmp(value, "*") == 0)
        return MR_OK;
    for (size_t i = 0; i < MR_ACTION_COUNT; i++)
        mr_guess_offer(&guess, mr_actions[i].name);
    return *guess.best ? mr_fail(error, MR_INVALID, "there is no operation %.60s: did you mean %s?",
                                 value, guess.best)
                       : mr_fail(error, MR_INVALID, "there is no operation %.60s", value);
}

static mr_status read_error(const char *value, struct mr_fault_rule *rule, mr_error *error)
{
    struct mr_guess guess = MR_GUESS(value);
    char name[VALUE_BYTES + 16];

    rule->error = mr_exception_find((mr_bytes){value, strlen(value)});
    if (rule->error)
        return MR_OK;
    snprintf(name, sizeof name, "%sException", value);
    rule->error = mr_exception_find((mr_bytes){name, strlen(name)});
    if (rule->error)
        return MR_OK;
    for (enum mr_exception type = MR_EXCEPTION_NONE + 1; type < MR_EXCEPTION_COUNT; type++) {
        size_t size = strlen(mr_exceptions[type].name);

        mr_guess_offer(&guess, mr_exceptions[type].name);
        snprintf(name, sizeof name, "%.*s", (int)(size > 9 ? size - 9 : size), /* "Exception" */
                 mr_exceptions[type].name);
        mr_guess_offer(&guess, name);
    }
    return *guess.best ? mr_fail(error, MR_INVALID, "there is no error %.60s: did you mean %s?",
                                 value, guess.best)
                       : mr_fail(error, MR_INVALID, "there is no error %.60s in Kinesis", value);
}

/* "10%" or "0.1". */
static mr_status read_probability(const char *value, struct mr_fault_rule *rule, mr_error *error)
{
    if (!mr_amount_parse(value, &rule->probability) || rule->probability > 1)
        return mr_fail(error, MR_INVALID, "probability is 0%% to 100%%, or 0 to 1, not %.40s",
                       value);
    return MR_OK;
}

static mr_status read_number(const char *name, const char *value, uint64_t *number, mr_error *error)
{
    if (mr_number_parse(value, number) && *number > 0)
        return MR_OK;
    return mr_fail(error, MR_INVALID, "%s is a number from 1 on, not %.40s", name, value);
}

static mr_status read_delay(const char *value, struct mr_fault_rule *rule, mr_error *error)
{
    double seconds;

    if (!mr_span_parse(value, &seconds) || seconds > DELAY_S_MAX)
        return mr_fail(error, MR_INVALID, "delay is a span of time as 500ms or 2s, not %.40s",
                       value);
    rule->delay_ms = (uint32_t)(seconds * 1000);
    return MR_OK;
}

static mr_status read_stream(const char *value, struct mr_fault_rule *rule, mr_error *error)
{
    if (strlen(value) >= sizeof rule->stream)
        return mr_fail(error, MR_INVALID, "%.40s... is too long for a stream's name", value);
    memcpy(rule->stream, value, strlen(value) + 1);
    return MR_OK;
}

static mr_status read_part(const char *name, const char *value, struct mr_fault_rule *rule,
                           mr_error *error)
{
    if (strcmp(name, "operation") == 0)
        return read_operation(value, rule, error);
    if (strcmp(name, "stream") == 0)
        return read_stream(value, rule, error);
    if (strcmp(name, "every") == 0)
        return read_number(name, value, &rule->every, error);
    if (strcmp(name, "count") == 0)
        return read_number(name, value, &rule->count, error);
    if (strcmp(name, "probability") == 0)
        return read_probability(value, rule, error);
    if (strcmp(name, "delay") == 0)
        return read_delay(value, rule, error);
    if (strcmp(name, "error") == 0)
        return read_error(value, rule, error);
    if (strcmp(name, "disconnect") == 0 && strcmp(value, "before") == 0)
        rule->cut = MR_FAULT_CUT_BEFORE;
    else if (strcmp(name, "disconnect") == 0 && strcmp(value, "after") == 0)
        rule->cut = MR_FAULT_CUT_AFTER;
    else if (strcmp(name, "disconnect") == 0)
        return mr_fail(error, MR_INVALID, "disconnect is before or after, not %.40s", value);
    else
        return mr_fail(error, MR_INVALID,
                       "a rule has operation, stream, every, probability, count, delay, error and "
                       "disconnect, but no '%.40s'",
                       name);
    return MR_OK;
}

static bool is_printable(mr_bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (((const uint8_t *)text.data)[i] < 0x20 || ((const uint8_t *)text.data)[i] > 0x7e)
            return false;
    return true;
}

static mr_status check(const struct mr_fault_rule *rule, mr_error *error)
{
    if (rule->cut == MR_FAULT_CUT_AFTER && rule->error)
        return mr_fail(error, MR_INVALID,
                       "disconnect=after contradicts an error: that is instead of the operation");
    if (rule->delay_ms || rule->error || rule->cut)
        return MR_OK;
    return mr_fail(error, MR_INVALID,
                   "a rule says what happens: error=NAME, delay=500ms or disconnect=before");
}

mr_status mr_fault_rule_read(mr_bytes text, struct mr_fault_rule *rule, mr_error *error)
{
    mr_bytes rest = text, part, name;
    mr_status status = MR_OK;

    *rule = (struct mr_fault_rule){.action = MR_ACTION_COUNT, .probability = 1};
    if (text.size >= MR_FAULT_TEXT_BYTES || !is_printable(text))
        return mr_fail(error, MR_INVALID, "a rule has at most %d characters, all of ASCII",
                       MR_FAULT_TEXT_BYTES - 1);
    if (text.size > 0)
        memcpy(rule->text, text.data, text.size);
    while (!status && mr_part_take(&rest, ",", &part)) {
        char word[32], value[VALUE_BYTES];

        if (!mr_part_take(&part, "=", &name) || !part.size || part.size >= sizeof value ||
            name.size >= sizeof word)
            return mr_fail(error, MR_INVALID,
                           "'%.*s' is no part of a rule: write name=value, with commas between",
                           (int)(name.size < 60 ? name.size : 60), (const char *)name.data);
        snprintf(word, sizeof word, "%.*s", (int)name.size, (const char *)name.data);
        snprintf(value, sizeof value, "%.*s", (int)part.size, (const char *)part.data);
        status = read_part(word, value, rule, error);
    }
    return status ? status : check(rule, error);
}

/* ---- all of them -------------------------------------------------------------------------- */

struct mr_faults *mr_faults_new(uint64_t seed)
{
    struct mr_faults *faults = mr_new(struct mr_faults);

    pthread_mutex_init(&faults->lock, NULL);
    faults->random = mr_random_of(seed);
    return faults;
}

void mr_faults_free(struct mr_faults *faults)
{
    if (!faults)
        return;
    pthread_mutex_destroy(&faults->lock);
    mr_free(faults);
}

mr_status mr_faults_set(struct mr_faults *faults, mr_bytes text, mr_error *error)
{
    struct mr_fault_rule *rules = mr_alloc_zero(MR_FAULT_COUNT_MAX, sizeof *rules);
    mr_status status = MR_OK;
    size_t count = 0;
    mr_bytes line;

    while (!status && mr_part_take(&text, "\r\n", &line)) {
        if (line.size == 0)
            continue;
        if (count == MR_FAULT_COUNT_MAX)
            status = mr_fail(error, MR_LIMIT, "there are at most %d rules", MR_FAULT_COUNT_MAX);
        else
            status = mr_fault_rule_read(line, &rules[count++], error);
    }
    if (!status) {
        pthread_mutex_lock(&faults->lock);
        memcpy(faults->rules, rules, count * sizeof *rules);
        atomic_store(&faults->count, count);
        pthread_mutex_unlock(&faults->lock);
    }
    mr_free(rules);
    return status;
}

size_t mr_faults_list(struct mr_faults *faults, struct mr_fault_rule rules[MR_FAULT_COUNT_MAX])
{
    size_t count;

    pthread_mutex_lock(&faults->lock);
    count = atomic_load(&faults->count);
    memcpy(rules, faults->rules, count * sizeof *rules);
    pthread_mutex_unlock(&faults->lock);
    return count;
}

bool mr_faults_are_set(struct mr_faults *faults)
{
    return atomic_load_explicit(&faults->count, memory_order_relaxed) > 0;
}

static bool is_for(const struct mr_fault_rule *rule, enum mr_action action, const char *stream)
{
    return (rule->action == MR_ACTION_COUNT || rule->action == action) &&
           (!rule->stream[0] || strcmp(rule->stream, stream) == 0);
}

static bool has_its_turn(struct mr_faults *faults, struct mr_fault_rule *rule)
{
    rule->seen_count++;
    if (rule->count && rule->hit_count >= rule->count)
        return false;
    if (rule->every && rule->seen_count % rule->every != 0)
        return false;
    if (rule->probability < 1 &&
        (double)(mr_random_next(&faults->random) >> 11) * 0x1p-53 >= rule->probability)
        return false;
    rule->hit_count++;
    return true;
}

bool mr_faults_hit(struct mr_faults *faults, enum mr_action action, const char *stream,
                   struct mr_fault_rule *rule)
{
    bool is_hit = false;

    pthread_mutex_lock(&faults->lock);
    for (size_t i = 0; i < atomic_load(&faults->count) && !is_hit; i++) {
        struct mr_fault_rule *each = &faults->rules[i];

        is_hit = is_for(each, action, stream) && has_its_turn(faults, each);
        if (is_hit)
            *rule = *each;
    }
    pthread_mutex_unlock(&faults->lock);
    return is_hit;
}
