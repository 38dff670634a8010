/*
 * check.c - what a request must be, by its table: all that is wrong is told at once, in the order of
 * the table, as Kinesis does (spec 3).
 */
#include "base/pack.h"
#include "base/utf8.h"
#include "service/pattern.h"
#include "service/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FAULT_COUNT_MAX 10
#define VALUE_BYTES_MAX 2048 /* of a value in a message */

struct faults {
    struct mr_pack text;
    unsigned count;
};

/* Where we are: inside a member of what is inside ...; it becomes text when it is needed. */
struct place {
    const struct place *outer; /* NULL: inside nothing, at the top */
    const struct mr_member *member;
    size_t index; /* of a list's item, from 1 on; 0: it is no list */
};

static void print(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, (mr_bytes){text, strlen(text)});
}

static void print_number(struct mr_pack *out, int64_t number)
{
    char text[24];

    snprintf(text, sizeof text, "%" PRId64, number);
    print(out, text);
}

static void print_text(struct mr_pack *out, mr_bytes text)
{
    if (text.size > VALUE_BYTES_MAX)
        for (text.size = VALUE_BYTES_MAX;
             text.size > 0 && (((const uint8_t *)text.data)[text.size] & 0xc0) == 0x80;)
            text.size--; /* not within a character */
    mr_pack_bytes(out, text);
}

/* ---- values ------------------------------------------------------------------------------- */

static mr_bytes text_of(const void *member)
{
    return *(const mr_bytes *)member;
}

static bool is_absent(const struct mr_member *table, const void *member)
{
    size_t count;

    switch ((enum mr_kind)table->kind) {
    case MR_KIND_STRING:
    case MR_KIND_BLOB:
        return !text_of(member).data;
    case MR_KIND_INTEGER:
    case MR_KIND_LONG:
    case MR_KIND_BOOLEAN:
    case MR_KIND_TIMESTAMP:
        return !((const struct mr_number *)member)->is_set;
    default:
        return !mr_items_of(member, &count); /* of a structure only the pointer counts */
    }
}

static void print_strings(struct mr_pack *out, const mr_bytes *texts, size_t count)
{
    print(out, "[");
    for (size_t i = 0; i < count && out->size < VALUE_BYTES_MAX; i++) {
        print(out, i ? ", " : "");
        print_text(out, texts[i]);
    }
    print(out, "]");
}

static void print_tags(struct mr_pack *out, const struct mr_api_tag *tags, size_t count)
{
    print(out, "{");
    for (size_t i = 0; i < count && out->size < VALUE_BYTES_MAX; i++) {
        print(out, i ? ", " : "");
        print_text(out, tags[i].key);
        print(out, "=");
        print_text(out, tags[i].value);
    }
    print(out, "}");
}

/* " null", or " 'value'"; nothing of blobs and of lists of structures. */
static void print_value(struct mr_pack *out, const struct mr_member *table, const void *member)
{
    size_t count;
    void *items;

    if (is_absent(table, member)) {
        print(out, " null");
        return;
    }
    switch ((enum mr_kind)table->kind) {
    case MR_KIND_BLOB:
    case MR_KIND_LIST:
    case MR_KIND_STRUCTURE:
        return;
    default:
        break;
    }
    print(out, " '");
    switch ((enum mr_kind)table->kind) {
    case MR_KIND_STRING:
        print_text(out, text_of(member));
        break;
    case MR_KIND_STRINGS:
        items = mr_items_of(member, &count);
        print_strings(out, items, count);
        break;
    case MR_KIND_TAGS:
        items = mr_items_of(member, &count);
        print_tags(out, items, count);
        break;
    default:
        print_number(out, ((const struct mr_number *)member)->value);
    }
    print(out, "'");
}

/* ---- faults ------------------------------------------------------------------------------- */

/* Names begin with a small letter in messages. */
static void print_name(struct mr_pack *out, const char *name)
{
    mr_pack_u8(out, (uint8_t)(name[0] | 0x20));
    print(out, name + 1);
}

/* "records.1.member." */
static void print_place(struct mr_pack *out, const struct place *place)
{
    if (!place->outer)
        return;
    print_place(out, place->outer);
    print_name(out, place->member->name);
    if (place->index) {
        print(out, ".");
        print_number(out, (int64_t)place->index);
        print(out, ".member");
    }
    print(out, ".");
}

/* Begins a fault; the caller goes on with what must be. False: there are enough. */
static bool begin(struct faults *faults, const struct place *place, const struct mr_member *table,
                  const void *member)
{
    if (faults->count == FAULT_COUNT_MAX)
        return false;
    if (faults->count++ > 0)
        print(&faults->text, "; ");
    print(&faults->text, "Value");
    print_value(&faults->text, table, member);
    print(&faults->text, " at '");
    print_place(&faults->text, place);
    print_name(&faults->text, table->name);
    print(&faults->text, "' failed to satisfy constraint: ");
    return true;
}

static void fault(struct faults *faults, const struct place *place, const struct mr_member *table,
                  const void *member, const char *phrase, int64_t bound)
{
    if (!begin(faults, place, table, member))
        return;
    print(&faults->text, phrase);
    print_number(&faults->text, bound);
}

static void check_range(struct faults *faults, const struct place *place,
                        const struct mr_member *table, const void *member, int64_t value,
                        const char *least, const char *most)
{
    if (value < table->least)
        fault(faults, place, table, member, least, table->least);
    if (value > table->most)
        fault(faults, place, table, member, most, table->most);
}

static void check_length(struct faults *faults, const struct place *place,
                         const struct mr_member *table, const void *member, size_t length)
{
    check_range(faults, place, table, member, (int64_t)length,
                "Member must have length greater than or equal to ",
                "Member must have length less than or equal to ");
}

/* ---- members ------------------------------------------------------------------------------ */

/* Texts are UTF-8 by now, or come from C: bytes that are none count one each. */
static size_t char_count(mr_bytes text)
{
    size_t count = mr_utf8_chars(text);

    return count == SIZE_MAX ? text.size : count;
}

static void check_rule(struct faults *faults, const struct place *place,
                       const struct mr_member *table, const void *member, mr_bytes text)
{
    if (!mr_rule_holds(table->rule, text) && begin(faults, place, table, member))
        mr_rule_print(table->rule, &faults->text);
}

static void check_string(struct faults *faults, const struct place *place,
                         const struct mr_member *table, const void *member)
{
    mr_bytes text = text_of(member);

    if (!mr_rule_is_enum(table->rule))
        check_rule(faults, place, table, member, text);
    check_length(faults, place, table, member, char_count(text));
    if (mr_rule_is_enum(table->rule))
        check_rule(faults, place, table, member, text);
}

/* "Member must satisfy constraint: [...]" of the first item that is wrong. */
static void begin_items(struct faults *faults, const char *phrase, int64_t least, int64_t most)
{
    print(&faults->text, phrase);
    print(&faults->text, "[Member must have length less than or equal to ");
    print_number(&faults->text, most);
    print(&faults->text, ", Member must have length greater than or equal to ");
    print_number(&faults->text, least);
    print(&faults->text, "]");
}

static bool has_length(mr_bytes text, int64_t least, int64_t most)
{
    size_t length = char_count(text);

    return (int64_t)length >= least && (int64_t)length <= most;
}

static void check_strings(struct faults *faults, const struct place *place,
                          const struct mr_member *table, const void *member)
{
    bool is_length_wrong = false, is_rule_broken = false;
    const mr_bytes *texts;
    size_t count, stored;

    texts = mr_items_of(member, &count);
    stored = (int64_t)count > table->most ? (size_t)table->most : count;
    check_length(faults, place, table, member, count);
    for (size_t i = 0; i < stored; i++) {
        is_length_wrong |= !has_length(texts[i], table->item_least, table->item_most);
        is_rule_broken |= !mr_rule_holds(table->rule, texts[i]);
    }
    if (is_length_wrong && begin(faults, place, table, member))
        begin_items(faults, "Member must satisfy constraint: ", table->item_least,
                    table->item_most);
    if (is_rule_broken && begin(faults, place, table, member)) {
        print(&faults->text, "Member must satisfy constraint: [");
        mr_rule_print(table->rule, &faults->text);
        print(&faults->text, "]");
    }
}

static void check_tags(struct faults *faults, const struct place *place,
                       const struct mr_member *table, const void *member)
{
    const struct mr_member *key = &mr_shapes[MR_SHAPE_tag].members[0], *value = key + 1;
    bool is_key_wrong = false, is_value_wrong = false;
    const struct mr_api_tag *tags;
    size_t count, stored;

    tags = mr_items_of(member, &count);
    stored = (int64_t)count > table->most ? (size_t)table->most : count;
    check_length(faults, place, table, member, count);
    for (size_t i = 0; i < stored; i++) {
        is_key_wrong |= !has_length(tags[i].key, key->least, key->most);
        is_value_wrong |= !has_length(tags[i].value, value->least, value->most);
    }
    if (is_key_wrong && begin(faults, place, table, member))
        begin_items(faults, "Map keys must satisfy constraint: ", key->least, key->most);
    if (is_value_wrong && begin(faults, place, table, member))
        begin_items(faults, "Map value must satisfy constraint: ", value->least, value->most);
}

static void check_structure(struct faults *faults, const struct place *place,
                            const struct mr_shape *shape, const void *structure);

static void check_list(struct faults *faults, const struct place *place,
                       const struct mr_member *table, const void *member)
{
    const struct mr_shape *shape = &mr_shapes[table->shape];
    size_t count, stored;
    const uint8_t *items = mr_items_of(member, &count);

    stored = (int64_t)count > table->most ? (size_t)table->most : count;
    check_length(faults, place, table, member, count);
    for (size_t i = 0; i < stored && faults->count < FAULT_COUNT_MAX; i++) {
        struct place in = {.outer = place, .member = table, .index = i + 1};

        check_structure(faults, &in, shape, items + i * shape->bytes);
    }
}

static void check_member(struct faults *faults, const struct place *place,
                         const struct mr_member *table, const void *member)
{
    struct place in = {.outer = place, .member = table};
    size_t count;

    if (is_absent(table, member)) {
        if (table->is_required && begin(faults, place, table, member))
            print(&faults->text, "Member must not be null");
        return;
    }
    switch ((enum mr_kind)table->kind) {
    case MR_KIND_STRING:
        check_string(faults, place, table, member);
        break;
    case MR_KIND_BLOB:
        check_length(faults, place, table, member, text_of(member).size);
        break;
    case MR_KIND_INTEGER:
    case MR_KIND_LONG:
        check_range(faults, place, table, member, ((const struct mr_number *)member)->value,
                    "Member must have value greater than or equal to ",
                    "Member must have value less than or equal to ");
        break;
    case MR_KIND_STRINGS:
        check_strings(faults, place, table, member);
        break;
    case MR_KIND_TAGS:
        check_tags(faults, place, table, member);
        break;
    case MR_KIND_LIST:
        check_list(faults, place, table, member);
        break;
    case MR_KIND_STRUCTURE:
        check_structure(faults, &in, &mr_shapes[table->shape], mr_items_of(member, &count));
        break;
    case MR_KIND_BOOLEAN:
    case MR_KIND_TIMESTAMP:
        break;
    }
}

static void check_structure(struct faults *faults, const struct place *place,
                            const struct mr_shape *shape, const void *structure)
{
    for (size_t i = 0; i < shape->member_count; i++)
        check_member(faults, place, &shape->members[i], mr_member_at(structure, i));
}

bool mr_request_check(enum mr_action action, const void *request, struct mr_arena *arena,
                      struct mr_refusal *refusal)
{
    struct faults faults = {.text = MR_PACK((size_t)1 << 20)};
    const struct place top = {NULL, NULL, 0};

    check_structure(&faults, &top, &mr_shapes[mr_actions[action].request], request);
    if (faults.count > 0)
        *refusal = (struct mr_refusal){MR_EXCEPTION_VALIDATION,
                                       mr_arena_print(arena, "%u validation error%s detected: %.*s",
                                                      faults.count, faults.count > 1 ? "s" : "",
                                                      (int)faults.text.size,
                                                      (const char *)faults.text.data)};
    mr_pack_fini(&faults.text);
    return faults.count == 0;
}
