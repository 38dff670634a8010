#include "server/roster.h"

#include "base/fail.h"
#include "base/json.h"
#include "base/memory.h"
#include "service/access.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES_MAX 64
#define ID_BYTES_MAX 128
#define SECRET_BYTES_MAX 128
#define TOKEN_BYTES_MAX 4096

struct reader {
    struct mr_json json;
    struct mr_roster *roster;
    const char *account_id;
    const char *wrong;
    mr_error policy_error; /* says more, if status is set */
};

static bool refuse(struct reader *reader, const char *wrong)
{
    if (!reader->wrong)
        reader->wrong = wrong;
    return false;
}

/* ---- members ------------------------------------------------------------------------------ */

/* A text of so many bytes at most, with a NUL behind it and none within. */
static bool take_text(struct reader *reader, size_t most, mr_bytes *text)
{
    struct mr_json_value value;
    uint8_t *copy;

    if (!mr_json_take(&reader->json, &value))
        return false;
    if (value.kind != MR_JSON_STRING)
        return refuse(reader, "a value is not a string");
    copy = mr_arena_take(&reader->roster->arena, value.raw.size + 1);
    *text = (mr_bytes){copy, mr_json_unescape(&value, copy)};
    copy[text->size] = 0;
    if (text->size == 0 || text->size > most || memchr(copy, 0, text->size))
        return refuse(reader, "a text is empty or too long");
    return true;
}

static bool has_only(mr_bytes text, const char *marks)
{
    const char *at = text.data;

    for (size_t i = 0; i < text.size; i++) {
        bool is_plain = (at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z') ||
                        (at[i] >= '0' && at[i] <= '9');

        if (!is_plain && !strchr(marks, at[i]))
            return false;
    }
    return true;
}

static bool take_expires(struct reader *reader, int64_t *expires_ms)
{
    struct tm parts = {0};
    const char *end;
    mr_bytes text;

    if (!take_text(reader, 40, &text))
        return false;
    end = strptime(text.data, "%Y-%m-%dT%H:%M:%SZ", &parts);
    if (!end || *end)
        return refuse(reader, "\"expires\" is like \"2026-12-31T23:59:59Z\"");
    *expires_ms = (int64_t)timegm(&parts) * 1000;
    return true;
}

/* One of the names, which must not have come before. */
static bool take_name(struct reader *reader, const struct mr_json_value *name,
                      const char *const *names, size_t count, unsigned *seen, size_t *index)
{
    for (*index = 0; *index < count && !mr_json_is(name, names[*index]);)
        ++*index;
    if (*index == count)
        return refuse(reader, "there is no member of that name");
    if (*seen & 1u << *index)
        return refuse(reader, "a member comes twice");
    *seen |= 1u << *index;
    return true;
}

/* ---- keys --------------------------------------------------------------------------------- */

static bool take_key_member(struct reader *reader, size_t index, struct mr_access_key *key)
{
    mr_bytes secret;

    switch (index) {
    case 0:
        return take_text(reader, ID_BYTES_MAX, &key->id) &&
               (has_only(key->id, "_-") || refuse(reader, "an \"id\" has letters and digits"));
    case 1:
        if (!take_text(reader, SECRET_BYTES_MAX, &secret))
            return false;
        key->secret = secret.data;
        return true;
    case 2:
        return take_text(reader, TOKEN_BYTES_MAX, &key->token);
    default:
        return take_expires(reader, &key->expires_ms);
    }
}

static bool take_key(struct reader *reader, const struct mr_user *user)
{
    static const char *const names[] = {"id", "secret", "token", "expires"};
    struct mr_access_key *key = mr_arena_new(&reader->roster->arena, struct mr_access_key);
    struct mr_json_value name;
    unsigned seen = 0;
    size_t index;

    pthread_mutex_init(&key->signing.lock, NULL);
    key->user = user;
    key->expires_ms = INT64_MAX;
    key->next = reader->roster->keys;
    reader->roster->keys = key;
    if (!mr_json_enter(&reader->json))
        return false;
    while (mr_json_next(&reader->json, &name))
        if (!take_name(reader, &name, names, 4, &seen, &index) ||
            !take_key_member(reader, index, key))
            return false;
    if (reader->json.fault)
        return false;
    if (!key->id.data || !key->secret)
        return refuse(reader, "a key has an \"id\" and a \"secret\"");
    if (mr_table_get(&reader->roster->by_id, key->id))
        return refuse(reader, "two keys have this \"id\"");
    mr_table_put(&reader->roster->by_id, key->id, key);
    return true;
}

static bool take_keys(struct reader *reader, const struct mr_user *user)
{
    if (!mr_json_enter_array(&reader->json))
        return false;
    while (mr_json_next_item(&reader->json))
        if (!take_key(reader, user))
            return false;
    return !reader->json.fault;
}

/* ---- users -------------------------------------------------------------------------------- */

static bool take_policy(struct reader *reader, struct mr_user *user)
{
    struct mr_json_value value;
    struct mr_policy *policy;

    if (!mr_json_take(&reader->json, &value))
        return false;
    if (mr_policy_read(&policy, MR_POLICY_IDENTITY, value.raw, &reader->policy_error))
        return refuse(reader, "");
    mr_grow(user->policies, user->caller.policy_count, user->capacity);
    user->policies[user->caller.policy_count++] = policy;
    user->caller.policies = user->policies;
    return !mr_policy_is_conditional(policy) ||
           refuse(reader, "a policy has a Condition, which cannot be checked here");
}

static bool take_policies(struct reader *reader, struct mr_user *user)
{
    if (!mr_json_enter_array(&reader->json))
        return false;
    while (mr_json_next_item(&reader->json))
        if (!take_policy(reader, user))
            return false;
    return !reader->json.fault;
}

static bool take_user_member(struct reader *reader, size_t index, struct mr_user *user,
                             mr_bytes *name)
{
    mr_bytes *account = &user->caller.account;

    switch (index) {
    case 0:
        return take_text(reader, NAME_BYTES_MAX, name) &&
               (has_only(*name, "_+=,.@-") ||
                refuse(reader, "a \"name\" has letters, digits and _+=,.@-"));
    case 1:
        return take_text(reader, 12, account) &&
               ((account->size == 12 && strspn(account->data, "0123456789") == 12) ||
                refuse(reader, "an \"account\" has 12 digits"));
    case 2:
        return take_keys(reader, user);
    default:
        return take_policies(reader, user);
    }
}

static bool take_user(struct reader *reader)
{
    static const char *const names[] = {"name", "account", "keys", "policies"};
    struct mr_user *user = mr_arena_new(&reader->roster->arena, struct mr_user);
    struct mr_json_value member;
    mr_bytes name = {0};
    unsigned seen = 0;
    size_t index;

    user->caller.account = (mr_bytes){reader->account_id, strlen(reader->account_id)};
    user->next = reader->roster->users;
    reader->roster->users = user;
    if (!mr_json_enter(&reader->json))
        return false;
    while (mr_json_next(&reader->json, &member))
        if (!take_name(reader, &member, names, 4, &seen, &index) ||
            !take_user_member(reader, index, user, &name))
            return false;
    if (reader->json.fault)
        return false;
    if (!name.data)
        return refuse(reader, "a user has a \"name\"");
    user->caller.arn = mr_arena_print(
        &reader->roster->arena, "arn:aws:iam::%.*s:user/%.*s", (int)user->caller.account.size,
        (const char *)user->caller.account.data, (int)name.size, (const char *)name.data);
    return true;
}

static bool take_users(struct reader *reader)
{
    static const char *const names[] = {"users"};
    struct mr_json_value member;
    unsigned seen = 0;
    size_t index;

    if (!mr_json_enter(&reader->json))
        return false;
    while (mr_json_next(&reader->json, &member)) {
        if (!take_name(reader, &member, names, 1, &seen, &index) ||
            !mr_json_enter_array(&reader->json))
            return false;
        while (mr_json_next_item(&reader->json))
            if (!take_user(reader))
                return false;
    }
    return mr_json_done(&reader->json) && (seen || refuse(reader, "there are no \"users\""));
}

/* ---- the whole ---------------------------------------------------------------------------- */

static size_t line_of(const struct mr_json *json)
{
    size_t line = 1;

    for (const uint8_t *at = json->start; at < json->at; at++)
        line += *at == '\n';
    return line;
}

mr_status mr_roster_read(struct mr_roster **roster, mr_bytes text, const char *account_id,
                         mr_error *error)
{
    struct reader reader = {.json = mr_json_of(text), .account_id = account_id};
    const char *wrong;

    reader.roster = mr_new(struct mr_roster);
    reader.roster->references = 1;
    /* The smallest user or key is a few bytes of text. */
    reader.roster->arena = MR_ARENA(512 * (text.size + 64));
    if (take_users(&reader)) {
        *roster = reader.roster;
        return MR_OK;
    }
    mr_roster_give(reader.roster);
    wrong = reader.policy_error.status ? reader.policy_error.message
            : reader.wrong             ? reader.wrong
            : reader.json.fault        ? reader.json.fault
                                       : "something comes behind it";
    return mr_fail(error, MR_INVALID, "line %zu: %s", line_of(&reader.json), wrong);
}

static void forget_key(struct mr_access_key *key)
{
    if (key->secret)
        OPENSSL_cleanse((char *)(uintptr_t)key->secret, strlen(key->secret));
    OPENSSL_cleanse(key->signing.items, sizeof key->signing.items);
    pthread_mutex_destroy(&key->signing.lock);
}

void mr_roster_give(struct mr_roster *roster)
{
    if (!roster || atomic_fetch_sub(&roster->references, 1) > 1)
        return;
    for (struct mr_access_key *key = roster->keys; key; key = key->next)
        forget_key(key);
    for (struct mr_user *user = roster->users; user; user = user->next) {
        while (user->caller.policy_count > 0)
            mr_policy_free(user->policies[--user->caller.policy_count]);
        mr_free(user->policies);
    }
    mr_table_fini(&roster->by_id);
    mr_arena_fini(&roster->arena);
    mr_free(roster);
}
