/*
 * store_dynamodb.c - leases in a table of DynamoDB, as the KCL keeps them: the table has the
 * application's name, and workers of both may share it. Calls have the KCL's own form, with Expected
 * and AttributeUpdates (spec 8.5).
 */
#include "dynamo_item.h"

#include "base/fail.h"
#include "base/memory.h"
#include "os/thread.h"
#include "wire/post.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_BYTES_MAX ((size_t)64 << 10)
#define ANSWER_BYTES_MAX ((size_t)32 << 20)
#define ACTIVE_TRIES 600
#define ACTIVE_MS 100

struct dynamodb {
    mr_lease_store store; /* first */
    mr_poster *poster;
    char *table;
};

static struct dynamodb *dynamodb_of(mr_lease_store *store)
{
    return (struct dynamodb *)(void *)store;
}

/* ---- calls -------------------------------------------------------------------------------- */

static struct mr_pack begin(const struct dynamodb *dynamodb)
{
    struct mr_pack body = MR_PACK(REQUEST_BYTES_MAX);

    mr_item_write_text(&body, "{\"TableName\":");
    mr_item_write_string(&body, dynamodb->table);
    return body;
}

/* Copies the text member of that name of an error's body. */
static void read_member(mr_bytes body, const char *name, char *text, size_t size)
{
    struct mr_json json = mr_json_of(body);
    struct mr_json_value value;
    uint8_t bytes[1024];
    size_t used = 0;

    if (mr_json_find(&json, name, &value) && value.kind == MR_JSON_STRING &&
        value.raw.size <= sizeof bytes)
        used = mr_json_unescape(&value, bytes);
    if (used >= size)
        used = size - 1;
    memcpy(text, bytes, used);
    text[used] = 0;
}

static mr_status status_of(const char *type, unsigned http)
{
    static const struct {
        const char *type;
        mr_status status;
    } known[] = {{"ConditionalCheckFailedException", MR_CONFLICT},
                 {"ResourceNotFoundException", MR_NOT_FOUND},
                 {"ResourceInUseException", MR_EXISTS},
                 {"ProvisionedThroughputExceededException", MR_THROTTLED},
                 {"ThrottlingException", MR_THROTTLED},
                 {"RequestLimitExceeded", MR_THROTTLED},
                 {"LimitExceededException", MR_THROTTLED},
                 {"AccessDeniedException", MR_DENIED},
                 {"UnrecognizedClientException", MR_DENIED},
                 {"InvalidSignatureException", MR_DENIED},
                 {"MissingAuthenticationTokenException", MR_DENIED},
                 {"ExpiredTokenException", MR_DENIED}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(type, known[i].type) == 0)
            return known[i].status;
    return http >= 500 ? MR_UNAVAILABLE : MR_INVALID;
}

/* Posts what was begun, closing its bracket; releases it. */
static mr_status call(struct dynamodb *dynamodb, const char *action, struct mr_pack *body,
                      struct mr_pack *answer, mr_error *error)
{
    char target[80], type[128], message[256];
    const char *name;
    unsigned http = 0;
    mr_status status;

    mr_pack_u8(body, '}');
    snprintf(target, sizeof target, "DynamoDB_20120810.%s", action);
    answer->size = 0;
    status = dynamodb->poster->post(dynamodb->poster, target, (mr_bytes){body->data, body->size},
                                    answer, &http, error);
    mr_pack_fini(body);
    if (status || http == 200)
        return status;
    read_member((mr_bytes){answer->data, answer->size}, "__type", type, sizeof type);
    read_member((mr_bytes){answer->data, answer->size}, "message", message, sizeof message);
    name = strrchr(type, '#') ? strrchr(type, '#') + 1 : type;
    return mr_fail(error, status_of(name, http), "DynamoDB's %s of table %.60s: %.60s %.80s (%u)",
                   action, dynamodb->table, name, message, http);
}

static mr_status refuse_answer(const char *action, mr_error *error)
{
    return mr_fail(error, MR_UNAVAILABLE, "DynamoDB's %s answers with what is no JSON of it",
                   action);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Visits the items of a page; *last becomes its LastEvaluatedKey, without data if there is none. */
static mr_status take_page(mr_bytes page, mr_lease_visit *visit, void *context, mr_bytes *last,
                           bool *goes_on, mr_error *error)
{
    struct mr_json json = mr_json_of(page);
    struct mr_json_value name, value;
    const char *fault;
    mr_lease lease;

    *last = (mr_bytes){0};
    if (!mr_json_enter(&json))
        return refuse_answer("Scan", error);
    while (mr_json_next(&json, &name)) {
        if (!mr_json_is(&name, "Items")) {
            if (mr_json_take(&json, &value) && mr_json_is(&name, "LastEvaluatedKey") &&
                value.kind == MR_JSON_OBJECT)
                *last = value.raw;
            continue;
        }
        if (!mr_json_enter_array(&json))
            break;
        while (mr_json_next_item(&json)) {
            enum mr_item item = mr_item_read(&json, &lease, &fault);

            if (item == MR_ITEM_NONE)
                return refuse_answer("Scan", error);
            if (item != MR_ITEM_OTHER && *goes_on)
                *goes_on = visit(context, &lease, item == MR_ITEM_FAULTY ? fault : NULL);
        }
    }
    return json.fault ? refuse_answer("Scan", error) : MR_OK;
}

static mr_status list(mr_lease_store *store, mr_lease_visit *visit, void *context, mr_error *error)
{
    struct dynamodb *dynamodb = dynamodb_of(store);
    struct mr_pack answer = MR_PACK(ANSWER_BYTES_MAX), start = MR_PACK(REQUEST_BYTES_MAX / 2);
    bool goes_on = true;
    mr_bytes last;
    mr_status status;

    do {
        struct mr_pack body = begin(dynamodb);

        mr_item_write_text(&body, ",\"ConsistentRead\":true");
        if (start.size > 0) {
            mr_item_write_text(&body, ",\"ExclusiveStartKey\":");
            mr_pack_bytes(&body, (mr_bytes){start.data, start.size});
        }
        status = call(dynamodb, "Scan", &body, &answer, error);
        if (!status)
            status = take_page((mr_bytes){answer.data, answer.size}, visit, context, &last,
                               &goes_on, error);
        start.size = 0;
        if (!status && last.data && last.size < REQUEST_BYTES_MAX / 2)
            mr_pack_bytes(&start, last);
    } while (!status && goes_on && start.size > 0);
    mr_pack_fini(&answer);
    mr_pack_fini(&start);
    return status == MR_NOT_FOUND ? MR_OK : status; /* no table yet: no leases */
}

/* Reads {"Item":{...}} or {}. */
static mr_status take_item(mr_bytes answer, mr_shard_id shard, mr_lease *lease, mr_error *error)
{
    struct mr_json json = mr_json_of(answer);
    struct mr_json_value name, value;
    mr_status status = mr_lease_missing(shard, error);
    const char *fault;

    if (!mr_json_enter(&json))
        return refuse_answer("GetItem", error);
    while (mr_json_next(&json, &name)) {
        if (!mr_json_is(&name, "Item")) {
            mr_json_take(&json, &value);
            continue;
        }
        switch (mr_item_read(&json, lease, &fault)) {
        case MR_ITEM_LEASE:
            status = MR_OK;
            break;
        case MR_ITEM_FAULTY:
            status = mr_lease_damaged(shard, fault, error);
            break;
        case MR_ITEM_OTHER:
            status = mr_lease_damaged(shard, "its entityType is not LEASE", error);
            break;
        case MR_ITEM_NONE:
            return refuse_answer("GetItem", error);
        }
    }
    return json.fault ? refuse_answer("GetItem", error) : status;
}

static void write_place(struct mr_pack *body, mr_shard_id shard)
{
    mr_item_write_text(body, ",\"Key\":");
    mr_item_write_key(body, shard);
}

static mr_status get(mr_lease_store *store, mr_shard_id shard, mr_lease *lease, mr_error *error)
{
    struct dynamodb *dynamodb = dynamodb_of(store);
    struct mr_pack body = begin(dynamodb), answer = MR_PACK(ANSWER_BYTES_MAX);
    mr_status status;

    write_place(&body, shard);
    mr_item_write_text(&body, ",\"ConsistentRead\":true");
    status = call(dynamodb, "GetItem", &body, &answer, error);
    if (!status)
        status = take_item((mr_bytes){answer.data, answer.size}, shard, lease, error);
    mr_pack_fini(&answer);
    return status;
}

/* ---- the table --------------------------------------------------------------------------- */

static mr_status create_table(struct dynamodb *dynamodb, mr_error *error)
{
    struct mr_pack body = begin(dynamodb), answer = MR_PACK(ANSWER_BYTES_MAX);
    mr_status status;

    mr_item_write_text(&body,
                       ",\"KeySchema\":[{\"AttributeName\":\"leaseKey\",\"KeyType\":\"HASH\"}],"
                       "\"AttributeDefinitions\":[{\"AttributeName\":\"leaseKey\","
                       "\"AttributeType\":\"S\"}],\"BillingMode\":\"PAY_PER_REQUEST\"");
    status = call(dynamodb, "CreateTable", &body, &answer, error);
    mr_pack_fini(&answer);
    return status == MR_EXISTS ? MR_OK : status;
}

/* NOT_FOUND: there is no table. */
static mr_status look_at_table(struct dynamodb *dynamodb, bool *is_active, mr_error *error)
{
    struct mr_pack body = begin(dynamodb), answer = MR_PACK(ANSWER_BYTES_MAX);
    mr_status status = call(dynamodb, "DescribeTable", &body, &answer, error);
    char state[32] = "";

    if (!status)
        read_member((mr_bytes){answer.data, answer.size}, "Table.TableStatus", state, sizeof state);
    *is_active = strcmp(state, "ACTIVE") == 0 || strcmp(state, "UPDATING") == 0;
    mr_pack_fini(&answer);
    return status;
}

/* Another may make it at the same time. */
static mr_status make_table(struct dynamodb *dynamodb, mr_error *error)
{
    _Atomic uint32_t never = 0; /* changes: so it is slept on */
    mr_status status = create_table(dynamodb, error);
    bool is_active = false;

    for (int i = 0; !status && !is_active && i < ACTIVE_TRIES; i++) {
        mr_word_wait(&never, 0, i == 0 ? 1 : ACTIVE_MS);
        status = look_at_table(dynamodb, &is_active, error);
    }
    if (!status && !is_active)
        status = mr_fail(error, MR_TIMEOUT, "DynamoDB's table %.80s does not become ACTIVE",
                         dynamodb->table);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------ */

static mr_status put_item(struct dynamodb *dynamodb, const mr_lease *lease, mr_error *error)
{
    struct mr_pack body = begin(dynamodb), answer = MR_PACK(ANSWER_BYTES_MAX);
    mr_status status;

    mr_item_write_text(&body, ",\"Expected\":{\"leaseKey\":{\"Exists\":false}},\"Item\":");
    mr_item_write(&body, lease);
    status = call(dynamodb, "PutItem", &body, &answer, error);
    mr_pack_fini(&answer);
    return status == MR_CONFLICT ? mr_lease_exists(lease->shard, error) : status;
}

/* The first lease makes the table: who only looks makes none. */
static mr_status create(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    struct dynamodb *dynamodb = dynamodb_of(store);
    mr_status status = put_item(dynamodb, lease, error);

    if (status == MR_NOT_FOUND) {
        status = make_table(dynamodb, error);
        if (!status)
            status = put_item(dynamodb, lease, error);
    }
    return status;
}

static void write_expected(struct mr_pack *body, const mr_lease *lease)
{
    char text[100];

    snprintf(text, sizeof text,
             ",\"Expected\":{\"leaseCounter\":{\"Value\":{\"N\":\"%" PRIu64 "\"}}}",
             lease->counter);
    mr_item_write_text(body, text);
}

/* A condition that failed: there is another counter, or no such item. */
static mr_status explain(mr_lease_store *store, const mr_lease *expected, mr_error *error)
{
    mr_lease found;
    mr_status status = get(store, expected->shard, &found, error);

    return status ? status
                  : mr_lease_conflict(expected->shard, found.counter, expected->counter, error);
}

static mr_status update(mr_lease_store *store, const mr_lease *from, const mr_lease *to,
                        mr_error *error)
{
    struct dynamodb *dynamodb = dynamodb_of(store);
    struct mr_pack body = begin(dynamodb), answer = MR_PACK(ANSWER_BYTES_MAX);
    mr_status status;

    write_place(&body, from->shard);
    write_expected(&body, from);
    mr_item_write_text(&body, ",\"AttributeUpdates\":");
    mr_item_write_updates(&body, from, to);
    status = call(dynamodb, "UpdateItem", &body, &answer, error);
    mr_pack_fini(&answer);
    return status == MR_CONFLICT ? explain(store, from, error) : status;
}

static mr_status remove_lease(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    struct dynamodb *dynamodb = dynamodb_of(store);
    struct mr_pack body = begin(dynamodb), answer = MR_PACK(ANSWER_BYTES_MAX);
    mr_status status;

    write_place(&body, lease->shard);
    write_expected(&body, lease);
    status = call(dynamodb, "DeleteItem", &body, &answer, error);
    mr_pack_fini(&answer);
    return status == MR_CONFLICT ? explain(store, lease, error) : status;
}

/* ---- open and close ----------------------------------------------------------------------- */

static void close_store(mr_lease_store *store)
{
    struct dynamodb *dynamodb = dynamodb_of(store);

    mr_free(dynamodb->table);
    mr_free(dynamodb);
}

mr_status mr_lease_store_dynamodb(mr_lease_store **store, mr_poster *poster, const char *table,
                                  mr_error *error)
{
    struct dynamodb *dynamodb;
    mr_status status = mr_application_check(table, error);
    bool is_active;

    if (status)
        return status;
    dynamodb = mr_new(struct dynamodb);
    dynamodb->store = (mr_lease_store){list, get, create, update, remove_lease, close_store};
    dynamodb->poster = poster;
    dynamodb->table = mr_copy_text(table);
    status = look_at_table(dynamodb, &is_active, error);
    if (status && status != MR_NOT_FOUND) {
        close_store(&dynamodb->store);
        return status;
    }
    *store = &dynamodb->store;
    return MR_OK;
}
