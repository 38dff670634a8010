#include "dynamo_item.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- in ----------------------------------------------------------------------------------- */

/* An item's attribute: {"S": "text"}, {"N": "12"}, {"SS": ["a", "b"]}, ... */
struct attribute {
    char type[8];
    char text[160];    /* of S and N; cut if is_long */
    char more[2][160]; /* of SS: the first two */
    size_t count;      /* of SS */
    bool is_long;
};

static void take_text(const struct mr_json_value *value, char text[160], bool *is_long)
{
    uint8_t bytes[1024];
    size_t size;

    *is_long |= value->kind != MR_JSON_STRING || value->raw.size > sizeof bytes;
    if (*is_long)
        return;
    size = mr_json_unescape(value, bytes);
    *is_long |= size >= 160 || memchr(bytes, 0, size);
    if (*is_long)
        return;
    memcpy(text, bytes, size);
    text[size] = 0;
}

static bool read_value(struct mr_json *json, struct attribute *attribute)
{
    struct mr_json_value value;

    if (mr_json_kind_next(json) != MR_JSON_ARRAY) {
        if (!mr_json_take(json, &value))
            return false;
        if (value.kind == MR_JSON_STRING)
            take_text(&value, attribute->text, &attribute->is_long);
        return true;
    }
    if (!mr_json_enter_array(json))
        return false;
    while (mr_json_next_item(json)) {
        if (!mr_json_take(json, &value))
            return false;
        if (attribute->count < 2)
            take_text(&value, attribute->more[attribute->count], &attribute->is_long);
        attribute->count++;
    }
    return !json->fault;
}

static bool read_attribute(struct mr_json *json, struct attribute *attribute)
{
    struct mr_json_value name;

    memset(attribute, 0, sizeof *attribute);
    if (!mr_json_enter(json))
        return false;
    while (mr_json_next(json, &name)) {
        size_t size = name.raw.size < 7 ? name.raw.size : 7;

        memcpy(attribute->type, name.raw.data, size);
        attribute->type[size] = 0;
        if (!read_value(json, attribute))
            return false;
    }
    return !json->fault;
}

static bool to_count(const struct attribute *attribute, uint64_t *count)
{
    const char *at = attribute->text;
    uint64_t value = 0;

    if (strcmp(attribute->type, "N") != 0 || attribute->is_long || !*at || strlen(at) > 18)
        return false;
    for (; *at; at++) {
        if (*at < '0' || *at > '9')
            return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *count = value;
    return true;
}

static bool to_name(const struct attribute *attribute, char name[MR_WORKER_BYTES_MAX + 1])
{
    if (strcmp(attribute->type, "S") != 0 || attribute->is_long ||
        strlen(attribute->text) > MR_WORKER_BYTES_MAX)
        return false;
    strcpy(name, attribute->text);
    return true;
}

static bool to_shards(const struct attribute *attribute, mr_shard_id shards[2])
{
    if (strcmp(attribute->type, "SS") != 0 || attribute->is_long || attribute->count > 2)
        return false;
    for (size_t i = 0; i < attribute->count; i++)
        if (mr_shard_parse(attribute->more[i], &shards[i], NULL))
            return false;
    return true;
}

static bool to_key(const struct attribute *attribute, mr_hash_key *key)
{
    return strcmp(attribute->type, "S") == 0 && !attribute->is_long &&
           !mr_hash_key_parse(attribute->text, key, NULL);
}

/* What is gathered before it is put together. */
struct reading {
    mr_lease *lease;
    const char *fault;
    char checkpoint[160], key[160];
    uint64_t sub_sequence;
    bool has_counter, has_first, has_last, is_other;
};

static void expect(struct reading *reading, bool is_good, const char *fault)
{
    if (!is_good)
        reading->fault = fault;
}

static void take(struct reading *reading, const struct mr_json_value *name,
                 const struct attribute *attribute)
{
    mr_lease *lease = reading->lease;

    if (mr_json_is(name, "leaseKey")) {
        expect(reading, !attribute->is_long, "its leaseKey is too long");
        strcpy(reading->key, attribute->text);
    } else if (mr_json_is(name, "entityType")) {
        reading->is_other = strcmp(attribute->text, "LEASE") != 0;
    } else if (mr_json_is(name, "leaseOwner")) {
        expect(reading, to_name(attribute, lease->owner), "its leaseOwner is no short text");
    } else if (mr_json_is(name, "checkpointOwner")) {
        expect(reading, to_name(attribute, lease->handing), "its checkpointOwner is no short text");
    } else if (mr_json_is(name, "leaseCounter")) {
        reading->has_counter = to_count(attribute, &lease->counter);
    } else if (mr_json_is(name, "ownerSwitchesSinceCheckpoint")) {
        expect(reading, to_count(attribute, &lease->switches),
               "its ownerSwitchesSinceCheckpoint is no number");
    } else if (mr_json_is(name, "checkpoint")) {
        expect(reading, !attribute->is_long, "its checkpoint is too long");
        strcpy(reading->checkpoint, attribute->text);
    } else if (mr_json_is(name, "checkpointSubSequenceNumber")) {
        expect(reading, to_count(attribute, &reading->sub_sequence),
               "its checkpointSubSequenceNumber is no number");
    } else if (mr_json_is(name, "parentShardId")) {
        expect(reading, to_shards(attribute, lease->parents), "its parentShardId are no shards");
    } else if (mr_json_is(name, "childShardIds")) {
        expect(reading, to_shards(attribute, lease->children), "its childShardIds are no shards");
    } else if (mr_json_is(name, "startingHashKey")) {
        reading->has_first = to_key(attribute, &lease->first_key);
    } else if (mr_json_is(name, "endingHashKey")) {
        reading->has_last = to_key(attribute, &lease->last_key);
    } else if (mr_json_is(name, "beganAtMillis")) {
        uint64_t ms = 0;

        expect(reading, to_count(attribute, &ms), "its beganAtMillis is no number");
        lease->began_ms = (int64_t)ms;
    }
}

enum mr_item mr_item_read(struct mr_json *json, mr_lease *lease, const char **fault)
{
    struct reading reading = {.lease = lease};
    struct attribute attribute;
    struct mr_json_value name;

    *lease = mr_lease_of(MR_NO_SHARD, MR_MARK_TRIM_HORIZON);
    if (!mr_json_enter(json))
        return MR_ITEM_NONE;
    while (mr_json_next(json, &name)) {
        if (!read_attribute(json, &attribute))
            return MR_ITEM_NONE;
        take(&reading, &name, &attribute);
    }
    if (json->fault)
        return MR_ITEM_NONE;
    if (reading.is_other || strchr(reading.key, ':'))
        return MR_ITEM_OTHER;
    lease->has_range = reading.has_first && reading.has_last;
    expect(&reading, reading.has_counter, "its leaseCounter is no number");
    expect(&reading,
           !mr_mark_parse(reading.checkpoint, reading.sub_sequence, &lease->checkpoint, NULL),
           "its checkpoint is no sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP, SHARD_END");
    expect(&reading, !mr_shard_parse(reading.key, &lease->shard, NULL), "its leaseKey is no shard");
    *fault = reading.fault;
    return reading.fault ? MR_ITEM_FAULTY : MR_ITEM_LEASE;
}

/* ---- out ---------------------------------------------------------------------------------- */

void mr_item_write_text(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, (mr_bytes){text, strlen(text)});
}

void mr_item_write_string(struct mr_pack *out, const char *text)
{
    char escaped[8];

    mr_pack_u8(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            mr_pack_u8(out, '\\');
            mr_pack_u8(out, (uint8_t)*text);
        } else if ((unsigned char)*text < 0x20) {
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(unsigned char)*text);
            mr_item_write_text(out, escaped);
        } else {
            mr_pack_u8(out, (uint8_t)*text);
        }
    }
    mr_pack_u8(out, '"');
}

/* How attributes are written: as an item's, or as updates of it. */
struct writing {
    struct mr_pack *out;
    bool is_update, has_some;
};

static void begin(struct writing *writing, const char *name)
{
    if (writing->has_some)
        mr_pack_u8(writing->out, ',');
    writing->has_some = true;
    mr_item_write_string(writing->out, name);
    mr_item_write_text(writing->out, writing->is_update ? ":{\"Action\":\"PUT\",\"Value\":" : ":");
}

static void end(struct writing *writing)
{
    if (writing->is_update)
        mr_pack_u8(writing->out, '}');
}

static void put_text(struct writing *writing, const char *name, const char *text)
{
    begin(writing, name);
    mr_item_write_text(writing->out, "{\"S\":");
    mr_item_write_string(writing->out, text);
    mr_pack_u8(writing->out, '}');
    end(writing);
}

static void put_number(struct writing *writing, const char *name, uint64_t number)
{
    char text[64];

    begin(writing, name);
    snprintf(text, sizeof text, "{\"N\":\"%" PRIu64 "\"}", number);
    mr_item_write_text(writing->out, text);
    end(writing);
}

static void drop(struct writing *writing, const char *name)
{
    if (!writing->is_update)
        return;
    mr_item_write_text(writing->out, writing->has_some ? "," : "");
    writing->has_some = true;
    mr_item_write_string(writing->out, name);
    mr_item_write_text(writing->out, ":{\"Action\":\"DELETE\"}");
}

static void put_or_drop(struct writing *writing, const char *name, const char *text)
{
    if (text[0])
        put_text(writing, name, text);
    else
        drop(writing, name);
}

static void put_shards(struct writing *writing, const char *name, const mr_shard_id shards[2])
{
    char text[MR_SHARD_TEXT_BYTES];

    if (shards[0] == MR_NO_SHARD && shards[1] == MR_NO_SHARD) {
        drop(writing, name); /* a set is never empty */
        return;
    }
    begin(writing, name);
    mr_item_write_text(writing->out, "{\"SS\":[");
    for (int i = 0, count = 0; i < 2; i++) {
        if (shards[i] == MR_NO_SHARD)
            continue;
        if (count++ > 0)
            mr_pack_u8(writing->out, ',');
        mr_shard_format(shards[i], text);
        mr_item_write_string(writing->out, text);
    }
    mr_item_write_text(writing->out, "]}");
    end(writing);
}

/* What changes during a lease's life. */
static void put_changing(struct writing *writing, const mr_lease *lease)
{
    char text[MR_MARK_TEXT_BYTES];

    mr_mark_format(&lease->checkpoint, text);
    put_or_drop(writing, "leaseOwner", lease->owner);
    put_or_drop(writing, "checkpointOwner", lease->handing);
    put_number(writing, "leaseCounter", lease->counter);
    put_number(writing, "ownerSwitchesSinceCheckpoint", lease->switches);
    put_text(writing, "checkpoint", text);
    put_number(writing, "checkpointSubSequenceNumber", lease->checkpoint.sub_sequence);
    put_shards(writing, "childShardIds", lease->children);
    if (lease->began_ms > 0)
        put_number(writing, "beganAtMillis", (uint64_t)lease->began_ms);
    else
        drop(writing, "beganAtMillis");
}

/* Where its shard comes from and what it covers. */
static void put_origin(struct writing *writing, const mr_lease *lease)
{
    char first[MR_HASH_KEY_TEXT_BYTES] = "", last[MR_HASH_KEY_TEXT_BYTES] = "";

    if (lease->has_range) {
        mr_hash_key_format(lease->first_key, first);
        mr_hash_key_format(lease->last_key, last);
    }
    put_shards(writing, "parentShardId", lease->parents);
    put_or_drop(writing, "startingHashKey", first);
    put_or_drop(writing, "endingHashKey", last);
}

static bool has_same_origin(const mr_lease *a, const mr_lease *b)
{
    return memcmp(a->parents, b->parents, sizeof a->parents) == 0 && a->has_range == b->has_range &&
           memcmp(&a->first_key, &b->first_key, sizeof a->first_key) == 0 &&
           memcmp(&a->last_key, &b->last_key, sizeof a->last_key) == 0;
}

void mr_item_write_key(struct mr_pack *out, mr_shard_id shard)
{
    char text[MR_SHARD_TEXT_BYTES];

    mr_shard_format(shard, text);
    mr_item_write_text(out, "{\"leaseKey\":{\"S\":");
    mr_item_write_string(out, text);
    mr_item_write_text(out, "}}");
}

void mr_item_write(struct mr_pack *out, const mr_lease *lease)
{
    struct writing writing = {.out = out};
    char text[MR_SHARD_TEXT_BYTES];

    mr_pack_u8(out, '{');
    mr_shard_format(lease->shard, text);
    put_text(&writing, "leaseKey", text);
    put_changing(&writing, lease);
    put_origin(&writing, lease);
    mr_pack_u8(out, '}');
}

void mr_item_write_updates(struct mr_pack *out, const mr_lease *from, const mr_lease *to)
{
    struct writing writing = {.out = out, .is_update = true};

    mr_pack_u8(out, '{');
    put_changing(&writing, to);
    if (!has_same_origin(from, to))
        put_origin(&writing, to);
    if (mr_mark_compare(&from->checkpoint, &to->checkpoint) != 0) {
        /* The first half of a checkpoint in two, that this one is ahead of. */
        drop(&writing, "pendingCheckpoint");
        drop(&writing, "pendingCheckpointSubSequenceNumber");
        drop(&writing, "pendingCheckpointState");
    }
    mr_pack_u8(out, '}');
}
