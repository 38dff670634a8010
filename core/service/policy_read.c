/* policy_read.c - a policy's document: strict, for what is misread might allow too much. */
#include "base/fail.h"
#include "base/json.h"
#include "base/memory.h"
#include "service/policy_inside.h"

struct reader {
    struct mr_json json;
    struct mr_policy *policy;
    const char *wrong; /* NULL, or what is */
};

static bool refuse(struct reader *reader, const char *wrong)
{
    if (!reader->wrong)
        reader->wrong = wrong;
    return false;
}

static bool take_text(struct reader *reader, mr_bytes *text)
{
    struct mr_json_value value;
    uint8_t *copy;

    if (!mr_json_take(&reader->json, &value))
        return false;
    if (value.kind != MR_JSON_STRING)
        return refuse(reader, "a value is not a string");
    copy = mr_arena_take(&reader->policy->arena, value.raw.size);
    *text = (mr_bytes){copy, mr_json_unescape(&value, copy)};
    return true;
}

typedef bool check_function(struct reader *reader, mr_bytes text);

/* One more, in front of the others. */
static bool take_one(struct reader *reader, check_function *check, struct mr_policy_text **texts)
{
    struct mr_policy_text *text = mr_arena_new(&reader->policy->arena, struct mr_policy_text);

    if (!take_text(reader, &text->bytes) || !check(reader, text->bytes))
        return false;
    text->next = *texts;
    *texts = text;
    return true;
}

/* A string, or an array of them. */
static bool take_texts(struct reader *reader, check_function *check, struct mr_policy_text **texts)
{
    if (mr_json_kind_next(&reader->json) != MR_JSON_ARRAY)
        return take_one(reader, check, texts);
    if (!mr_json_enter_array(&reader->json))
        return false;
    while (mr_json_next_item(&reader->json))
        if (!take_one(reader, check, texts))
            return false;
    return !reader->json.fault;
}

static bool check_action(struct reader *reader, mr_bytes action)
{
    mr_bytes service;

    if (mr_policy_text_is(action, "*") ||
        (mr_policy_cut(&action, &service) && service.size > 0 && action.size > 0))
        return true;
    return refuse(reader, "an action is \"*\" or like \"kinesis:PutRecord\" or \"kinesis:Get*\"");
}

static bool check_resource(struct reader *reader, mr_bytes resource)
{
    mr_bytes part;

    if (mr_policy_text_is(resource, "*"))
        return true;
    if (memmem(resource.data, resource.size, "${", 2))
        return refuse(reader, "policy variables are not supported");
    for (int i = 0; i < ARN_COLONS; i++)
        if (!mr_policy_cut(&resource, &part) || (i == 0 && !mr_policy_text_is(part, "arn")))
            return refuse(reader, "a resource is \"*\" or an ARN, with wildcards within its parts");
    return true;
}

static bool is_account(mr_bytes text)
{
    const char *digits = text.data;

    for (size_t i = 0; i < text.size; i++)
        if (digits[i] < '0' || digits[i] > '9')
            return false;
    return text.size == 12;
}

static bool check_principal(struct reader *reader, mr_bytes principal)
{
    if (mr_policy_text_is(principal, "*") || is_account(principal))
        return true;
    if (principal.size < 4 || memcmp(principal.data, "arn:", 4) != 0 ||
        memchr(principal.data, '*', principal.size) || memchr(principal.data, '?', principal.size))
        return refuse(reader,
                      "a principal is \"*\", an account, or an ARN: a user's, without wildcards");
    return true;
}

/* Services and others never call here. */
static bool check_nothing(struct reader *reader, mr_bytes principal)
{
    (void)reader;
    (void)principal;
    return true;
}

static bool take_principals(struct reader *reader, struct mr_policy_text **principals)
{
    struct mr_json_value name;
    struct mr_policy_text *others = NULL;

    if (mr_json_kind_next(&reader->json) != MR_JSON_OBJECT)
        return take_one(reader, check_principal, principals) &&
               (mr_policy_text_is((*principals)->bytes, "*") ||
                refuse(reader, "a Principal is \"*\" or an object like {\"AWS\": ...}"));
    if (!mr_json_enter(&reader->json))
        return false;
    while (mr_json_next(&reader->json, &name)) {
        bool is_aws = mr_json_is(&name, "AWS");

        if (!is_aws && !mr_json_is(&name, "Service") && !mr_json_is(&name, "Federated") &&
            !mr_json_is(&name, "CanonicalUser"))
            return refuse(reader, "a Principal has AWS, Service, Federated or CanonicalUser");
        if (!take_texts(reader, is_aws ? check_principal : check_nothing,
                        is_aws ? principals : &others))
            return false;
    }
    return !reader->json.fault;
}

static bool skip(struct reader *reader)
{
    struct mr_json_value value;

    return mr_json_take(&reader->json, &value);
}

enum member {
    MEMBER_SID,
    MEMBER_EFFECT,
    MEMBER_ACTION,
    MEMBER_NOT_ACTION,
    MEMBER_RESOURCE,
    MEMBER_NOT_RESOURCE,
    MEMBER_PRINCIPAL,
    MEMBER_NOT_PRINCIPAL,
    MEMBER_CONDITION,
    MEMBER_COUNT,
};

static const char *const member_names[] = {"Sid",       "Effect",       "Action",
                                           "NotAction", "Resource",     "NotResource",
                                           "Principal", "NotPrincipal", "Condition"};

static bool take_effect(struct reader *reader, struct mr_policy_statement *statement)
{
    mr_bytes effect;

    if (!take_text(reader, &effect))
        return false;
    statement->denies = mr_policy_text_is(effect, "Deny");
    return statement->denies || mr_policy_text_is(effect, "Allow") ||
           refuse(reader, "an Effect is \"Allow\" or \"Deny\"");
}

static bool take_member(struct reader *reader, enum member member,
                        struct mr_policy_statement *statement)
{
    mr_bytes sid;

    switch (member) {
    case MEMBER_SID:
        return take_text(reader, &sid);
    case MEMBER_EFFECT:
        return take_effect(reader, statement);
    case MEMBER_ACTION:
    case MEMBER_NOT_ACTION:
        statement->negates_actions = member == MEMBER_NOT_ACTION;
        return take_texts(reader, check_action, &statement->actions);
    case MEMBER_RESOURCE:
    case MEMBER_NOT_RESOURCE:
        statement->negates_resources = member == MEMBER_NOT_RESOURCE;
        return take_texts(reader, check_resource, &statement->resources);
    case MEMBER_PRINCIPAL:
        return take_principals(reader, &statement->principals);
    case MEMBER_NOT_PRINCIPAL:
        statement->is_conditional = statement->is_about_all = true;
        return skip(reader);
    case MEMBER_CONDITION:
        statement->is_conditional = true;
        return mr_json_kind_next(&reader->json) == MR_JSON_OBJECT
                   ? skip(reader)
                   : refuse(reader, "a Condition is an object");
    case MEMBER_COUNT:
        break;
    }
    return false;
}

static bool has(unsigned seen, enum member member)
{
    return seen & 1u << member;
}

static bool check_statement(struct reader *reader, unsigned seen)
{
    bool has_principal = has(seen, MEMBER_PRINCIPAL) || has(seen, MEMBER_NOT_PRINCIPAL);

    if (!has(seen, MEMBER_EFFECT))
        return refuse(reader, "a statement has no Effect");
    if (has(seen, MEMBER_ACTION) == has(seen, MEMBER_NOT_ACTION))
        return refuse(reader, "a statement has an Action or a NotAction");
    if (has(seen, MEMBER_RESOURCE) == has(seen, MEMBER_NOT_RESOURCE))
        return refuse(reader, "a statement has a Resource or a NotResource");
    if (has(seen, MEMBER_PRINCIPAL) && has(seen, MEMBER_NOT_PRINCIPAL))
        return refuse(reader, "a statement has a Principal or a NotPrincipal");
    if (has_principal && reader->policy->kind == MR_POLICY_IDENTITY)
        return refuse(reader, "a user's policy has no Principal: it is about that user");
    if (!has_principal && reader->policy->kind == MR_POLICY_RESOURCE)
        return refuse(reader, "a resource's policy has a Principal in each statement");
    return true;
}

static bool take_statement(struct reader *reader)
{
    struct mr_policy_statement *statement =
        mr_arena_new(&reader->policy->arena, struct mr_policy_statement);
    struct mr_json_value name;
    unsigned seen = 0;

    if (mr_json_kind_next(&reader->json) != MR_JSON_OBJECT)
        return refuse(reader, "a statement is an object");
    if (!mr_json_enter(&reader->json))
        return false;
    while (mr_json_next(&reader->json, &name)) {
        enum member member = 0;

        while (member < MEMBER_COUNT && !mr_json_is(&name, member_names[member]))
            member++;
        if (member == MEMBER_COUNT)
            return refuse(reader, "a statement has a member that is unknown");
        if (has(seen, member))
            return refuse(reader, "a statement has a member twice");
        seen |= 1u << member;
        if (!take_member(reader, member, statement))
            return false;
    }
    if (reader->json.fault || !check_statement(reader, seen))
        return false;
    reader->policy->is_conditional |= statement->is_conditional;
    statement->next = reader->policy->statements;
    reader->policy->statements = statement;
    return true;
}

static bool take_statements(struct reader *reader)
{
    if (mr_json_kind_next(&reader->json) != MR_JSON_ARRAY)
        return take_statement(reader);
    if (!mr_json_enter_array(&reader->json))
        return false;
    while (mr_json_next_item(&reader->json))
        if (!take_statement(reader))
            return false;
    return !reader->json.fault;
}

static bool take_document(struct reader *reader)
{
    bool has_version = false, has_id = false, has_statement = false;
    struct mr_json_value name;
    mr_bytes text;

    if (mr_json_kind_next(&reader->json) != MR_JSON_OBJECT)
        return refuse(reader, "it is not a JSON object");
    if (!mr_json_enter(&reader->json))
        return false;
    while (mr_json_next(&reader->json, &name)) {
        bool *seen = mr_json_is(&name, "Version")     ? &has_version
                     : mr_json_is(&name, "Id")        ? &has_id
                     : mr_json_is(&name, "Statement") ? &has_statement
                                                      : NULL;

        if (!seen || *seen)
            return refuse(reader, "it has Version, Id and Statement, each once");
        *seen = true;
        if (seen == &has_statement) {
            if (!take_statements(reader))
                return false;
        } else if (!take_text(reader, &text)) {
            return false;
        } else if (seen == &has_version && !mr_policy_text_is(text, "2012-10-17") &&
                   !mr_policy_text_is(text, "2008-10-17")) {
            return refuse(reader, "its Version is \"2012-10-17\" or \"2008-10-17\"");
        }
    }
    return mr_json_done(&reader->json) && (has_statement || refuse(reader, "it has no Statement"));
}

mr_status mr_policy_read(struct mr_policy **policy, enum mr_policy_kind kind, mr_bytes document,
                         mr_error *error)
{
    struct reader reader = {.json = mr_json_of(document)};

    if (document.size > MR_POLICY_BYTES_MAX)
        return mr_fail(error, MR_LIMIT, "a policy has at most %u bytes", MR_POLICY_BYTES_MAX);
    reader.policy = mr_new(struct mr_policy);
    /* What each of its bytes may begin is smaller than this. */
    reader.policy->arena = MR_ARENA(128 * (document.size + 64));
    reader.policy->kind = kind;
    if (take_document(&reader)) {
        *policy = reader.policy;
        return MR_OK;
    }
    mr_policy_free(reader.policy);
    if (!reader.wrong)
        reader.wrong = reader.json.fault ? reader.json.fault : "something comes behind it";
    return mr_fail(error, MR_INVALID, "the policy is wrong near byte %zu: %s",
                   (size_t)(reader.json.at - reader.json.start), reader.wrong);
}

void mr_policy_free(struct mr_policy *policy)
{
    if (!policy)
        return;
    mr_arena_fini(&policy->arena);
    mr_free(policy);
}

bool mr_policy_is_conditional(const struct mr_policy *policy)
{
    return policy->is_conditional;
}
