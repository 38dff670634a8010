/*
 * decode.c - a body becomes a structure, by its table; wrong types are told in Kinesis's words
 * (spec 3.4). The first wrong type is kept while reading goes on: a fault in the syntax further on
 * comes before it.
 */
#include "wire/in.h"

#include <string.h>

/* Unescaped texts, blobs, and messages about them take at most this from the arena. */
#define TEXTS_BYTES(body_bytes) (2 * (body_bytes) + ((size_t)2 << 20))

struct decoder {
    struct mr_in in;
    size_t body_bytes;
    bool is_answer;  /* of a server, whose lists must be whole: nobody checks them afterwards */
    bool is_refused; /* a member came twice, or it is more than we take */
    mr_bytes wrong;  /* the first value of a wrong type, or absent */
};

struct mr_in mr_in_of(enum mr_format format, mr_bytes body, struct mr_arena *arena)
{
    struct mr_in in = {.arena = arena};

    if (format == MR_FORMAT_JSON) {
        in.format = &mr_in_json;
        in.json = mr_json_of(body);
    } else {
        in.format = &mr_in_cbor;
        in.cbor = mr_cbor_of(body);
    }
    return in;
}

/* ---- wrong types -------------------------------------------------------------------------- */

static const char *class_of(enum mr_in_kind kind)
{
    switch (kind) {
    case MR_IN_BOOL:
        return "java.lang.Boolean";
    case MR_IN_NUMBER:
        return "com.amazon.coral.value.json.numbers.TruncatingBigNumber";
    case MR_IN_BYTES:
        return "java.nio.HeapByteBuffer";
    default:
        return "java.lang.String";
    }
}

static const char *what_wanted(enum mr_kind kind)
{
    switch (kind) {
    case MR_KIND_STRING:
        return "an String";
    case MR_KIND_BLOB:
        return "a Blob";
    case MR_KIND_INTEGER:
        return "an Integer";
    case MR_KIND_LONG:
        return "an Long";
    case MR_KIND_BOOLEAN:
        return "an Boolean";
    default:
        return "milliseconds since epoch";
    }
}

static void note(struct decoder *decoder, mr_bytes wrong)
{
    if (!decoder->wrong.data)
        decoder->wrong = wrong;
}

static void note_text(struct decoder *decoder, const char *text)
{
    note(decoder, (mr_bytes){text, strlen(text)});
}

/* Takes a value of another kind than was wanted. */
static bool refuse(struct decoder *decoder, enum mr_in_kind kind, enum mr_kind wanted)
{
    bool wants_one = wanted < MR_KIND_STRUCTURE;

    if (kind == MR_IN_LIST)
        note_text(decoder, "Start of list found where not expected");
    else if (kind == MR_IN_MAP)
        note_text(decoder, "Start of structure or map found where not expected.");
    else if (wanted == MR_KIND_LIST || wanted == MR_KIND_STRINGS)
        note_text(decoder, "Expected list or null");
    else if (wanted == MR_KIND_TAGS)
        note_text(decoder, "Expected map or null");
    else if (wanted == MR_KIND_STRUCTURE)
        note_text(decoder, "Expected null");
    else if (wants_one && kind != MR_IN_FAULT && !decoder->wrong.data)
        note(decoder, mr_arena_print(decoder->in.arena, "class %s can not be converted to %s",
                                     class_of(kind), what_wanted(wanted)));
    return decoder->in.format->skip(&decoder->in);
}

/* ---- scalars ------------------------------------------------------------------------------ */

static bool take_string(struct decoder *decoder, enum mr_in_kind kind, mr_bytes *value)
{
    if (kind != MR_IN_TEXT)
        return refuse(decoder, kind, MR_KIND_STRING);
    return decoder->in.format->text(&decoder->in, value);
}

static bool take_blob(struct decoder *decoder, enum mr_in_kind kind, mr_bytes *value)
{
    mr_bytes wrong = {0};

    if (kind != (decoder->in.format == &mr_in_cbor ? MR_IN_BYTES : MR_IN_TEXT))
        return refuse(decoder, kind, MR_KIND_BLOB);
    if (!decoder->in.format->blob(&decoder->in, value, &wrong))
        return false;
    if (wrong.data)
        note(decoder, wrong);
    return true;
}

static bool take_number(struct decoder *decoder, enum mr_in_kind kind, enum mr_kind wanted,
                        struct mr_number *number)
{
    if (kind != MR_IN_NUMBER)
        return refuse(decoder, kind, wanted);
    number->is_set = true;
    if (wanted == MR_KIND_TIMESTAMP)
        return decoder->in.format->time_ms(&decoder->in, &number->value);
    if (!decoder->in.format->number(&decoder->in, &number->value))
        return false;
    if (wanted == MR_KIND_INTEGER && number->value > INT32_MAX)
        number->value = INT32_MAX;
    if (wanted == MR_KIND_INTEGER && number->value < INT32_MIN)
        number->value = INT32_MIN;
    return true;
}

static bool is_one_of(mr_bytes upper, const char *const words[3])
{
    for (int i = 0; i < 3; i++)
        if (strlen(words[i]) == upper.size && memcmp(words[i], upper.data, upper.size) == 0)
            return true;
    return false;
}

static bool take_truth_text(struct decoder *decoder, struct mr_number *number)
{
    static const char *const yes[] = {"TRUE", "1", "YES"}, *const no[] = {"FALSE", "0", "NO"};
    char upper[64];
    size_t size = 0;
    mr_bytes text;

    if (!decoder->in.format->text(&decoder->in, &text))
        return false;
    for (; size < text.size && size < sizeof upper; size++) {
        char byte = ((const char *)text.data)[size];
        upper[size] = (char)(byte >= 'a' && byte <= 'z' ? byte - 'a' + 'A' : byte);
    }
    if (is_one_of((mr_bytes){upper, size}, yes))
        *number = MR_NUMBER(1);
    else if (is_one_of((mr_bytes){upper, size}, no))
        *number = MR_NUMBER(0);
    else
        note(decoder, mr_arena_print(decoder->in.arena, "'%.*s' can not be converted to an Boolean",
                                     (int)size, upper));
    return true;
}

static bool take_truth(struct decoder *decoder, enum mr_in_kind kind, struct mr_number *number)
{
    if (kind == MR_IN_TEXT)
        return take_truth_text(decoder, number);
    if (kind != MR_IN_BOOL)
        return refuse(decoder, kind, MR_KIND_BOOLEAN);
    number->is_set = true;
    return decoder->in.format->truth(&decoder->in, &number->value);
}

/* ---- lists and structures ----------------------------------------------------------------- */

static bool take_members(struct decoder *decoder, const struct mr_shape *shape, void *structure);

/* Room for structures, or NULL: it is more than we take. Texts and blobs need no such look, see
 * mr_decode(). */
static void *take_zero(struct decoder *decoder, size_t bytes)
{
    if (bytes + TEXTS_BYTES(decoder->body_bytes) <= mr_arena_left(decoder->in.arena))
        return mr_arena_take_zero(decoder->in.arena, bytes);
    decoder->is_refused = true;
    return NULL;
}

/* An array in the arena that grows; items beyond `most` are counted, not kept: so the memory of a
 * request is bounded whatever it says. */
struct growing {
    uint8_t *items;
    size_t count, stored, capacity, item_bytes;
    int64_t most;
};

/* Room for one more item, zeroed; NULL if it is not kept. */
static void *grow(struct decoder *decoder, struct growing *list)
{
    uint8_t *items;

    list->count++;
    if ((int64_t)list->stored >= list->most) {
        decoder->is_refused |= decoder->is_answer;
        return NULL;
    }
    if (list->stored == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 4;
        items = take_zero(decoder, list->capacity * list->item_bytes);
        if (!items) {
            list->most = 0;
            return NULL;
        }
        if (list->stored > 0)
            memcpy(items, list->items, list->stored * list->item_bytes);
        list->items = items;
    }
    return list->items + list->stored++ * list->item_bytes;
}

static void end_list(struct decoder *decoder, const struct growing *list, void *member)
{
    void *items = list->items;

    if (!items)
        items = mr_arena_take(decoder->in.arena, 0); /* empty is not absent */
    mr_items_set(member, items, list->count);
}

static bool take_structure(struct decoder *decoder, enum mr_in_kind kind,
                           const struct mr_shape *shape, void *structure)
{
    if (kind == MR_IN_NULL)
        return decoder->in.format->skip(&decoder->in);
    if (kind != MR_IN_MAP)
        return refuse(decoder, kind, MR_KIND_STRUCTURE);
    return take_members(decoder, shape, structure);
}

static bool take_list(struct decoder *decoder, enum mr_in_kind kind, const struct mr_member *table,
                      void *member)
{
    const struct mr_shape *shape = &mr_shapes[table->shape];
    struct growing list = {.item_bytes = shape->bytes, .most = table->most};
    struct mr_in *in = &decoder->in;

    if (kind != MR_IN_LIST)
        return refuse(decoder, kind, MR_KIND_LIST);
    if (!in->format->enter(in))
        return false;
    while (in->format->next(in, NULL)) {
        void *item = grow(decoder, &list);

        if (item ? !take_structure(decoder, in->format->kind(in), shape, item)
                 : !in->format->skip(in))
            return false;
    }
    end_list(decoder, &list, member);
    return true;
}

static bool take_strings(struct decoder *decoder, enum mr_in_kind kind,
                         const struct mr_member *table, void *member)
{
    struct growing list = {.item_bytes = sizeof(mr_bytes), .most = table->most};
    struct mr_in *in = &decoder->in;

    if (kind != MR_IN_LIST)
        return refuse(decoder, kind, MR_KIND_STRINGS);
    if (!in->format->enter(in))
        return false;
    while (in->format->next(in, NULL)) {
        mr_bytes *item = grow(decoder, &list);
        enum mr_in_kind item_kind = in->format->kind(in);

        if (!item || item_kind == MR_IN_NULL) {
            if (!in->format->skip(in))
                return false;
        } else if (!take_string(decoder, item_kind, item)) {
            return false;
        }
    }
    end_list(decoder, &list, member);
    return true;
}

static bool take_tags(struct decoder *decoder, enum mr_in_kind kind, const struct mr_member *table,
                      void *member)
{
    struct growing list = {.item_bytes = sizeof(struct mr_api_tag), .most = table->most};
    struct mr_in *in = &decoder->in;
    mr_bytes key;

    if (kind != MR_IN_MAP)
        return refuse(decoder, kind, MR_KIND_TAGS);
    if (!in->format->enter(in))
        return false;
    while (in->format->next(in, &key)) {
        struct mr_api_tag *tag = grow(decoder, &list);
        enum mr_in_kind value_kind = in->format->kind(in);

        if (tag)
            tag->key = key;
        if (!tag || value_kind == MR_IN_NULL) {
            if (!in->format->skip(in))
                return false;
        } else if (!take_string(decoder, value_kind, &tag->value)) {
            return false;
        }
    }
    end_list(decoder, &list, member);
    return true;
}

static bool take_member(struct decoder *decoder, const struct mr_member *table, void *member)
{
    enum mr_in_kind kind = decoder->in.format->kind(&decoder->in);
    const struct mr_shape *shape;
    void *inner;

    if (kind == MR_IN_NULL)
        return decoder->in.format->skip(&decoder->in);
    switch ((enum mr_kind)table->kind) {
    case MR_KIND_STRING:
        return take_string(decoder, kind, member);
    case MR_KIND_BLOB:
        return take_blob(decoder, kind, member);
    case MR_KIND_INTEGER:
    case MR_KIND_LONG:
    case MR_KIND_TIMESTAMP:
        return take_number(decoder, kind, table->kind, member);
    case MR_KIND_BOOLEAN:
        return take_truth(decoder, kind, member);
    case MR_KIND_STRUCTURE:
        if (kind != MR_IN_MAP)
            return refuse(decoder, kind, MR_KIND_STRUCTURE);
        shape = &mr_shapes[table->shape];
        inner = take_zero(decoder, shape->bytes);
        if (!inner)
            return false;
        mr_items_set(member, inner, 0);
        return take_members(decoder, shape, inner);
    case MR_KIND_LIST:
        return take_list(decoder, kind, table, member);
    case MR_KIND_STRINGS:
        return take_strings(decoder, kind, table, member);
    case MR_KIND_TAGS:
        return take_tags(decoder, kind, table, member);
    }
    return false;
}

/* The member of that name; most come in one order, so the one after the last is looked at first. */
static size_t find_member(const struct mr_shape *shape, mr_bytes name, size_t from)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        size_t index = from + i < shape->member_count ? from + i : from + i - shape->member_count;
        const struct mr_member *member = &shape->members[index];

        if (member->name_bytes == name.size && memcmp(member->name, name.data, name.size) == 0)
            return index;
    }
    return SIZE_MAX;
}

static bool take_members(struct decoder *decoder, const struct mr_shape *shape, void *structure)
{
    const struct mr_in_format *format = decoder->in.format;
    uint32_t seen = 0;
    size_t next = 0;
    mr_bytes key;

    if (!format->enter(&decoder->in))
        return false;
    while (format->next(&decoder->in, &key)) {
        size_t index = find_member(shape, key, next);

        if (index == SIZE_MAX) {
            if (!format->skip(&decoder->in))
                return false;
            continue;
        }
        if (seen & UINT32_C(1) << index) {
            decoder->is_refused = true;
            return false;
        }
        seen |= UINT32_C(1) << index;
        next = index + 1;
        if (!take_member(decoder, &shape->members[index], mr_member_at(structure, index)))
            return false;
    }
    return true;
}

static bool decode(struct decoder *decoder, enum mr_shape_id shape, void **structure)
{
    void *top = take_zero(decoder, mr_shapes[shape].bytes);

    *structure = top;
    return top && decoder->in.format->kind(&decoder->in) == MR_IN_MAP &&
           take_members(decoder, &mr_shapes[shape], top) && !decoder->is_refused &&
           decoder->in.format->done(&decoder->in);
}

bool mr_decode(enum mr_format format, mr_bytes body, enum mr_shape_id shape, struct mr_arena *arena,
               void **structure, struct mr_refusal *refusal)
{
    struct decoder decoder = {.in = mr_in_of(format, body, arena), .body_bytes = body.size};
    void *top;

    *refusal = (struct mr_refusal){.type = MR_EXCEPTION_SERIALIZATION};
    if (!decode(&decoder, shape, &top))
        return false;
    if (decoder.wrong.data) {
        refusal->message = decoder.wrong;
        return false;
    }
    refusal->type = MR_EXCEPTION_NONE;
    *structure = top;
    return true;
}

/* ---- answers ------------------------------------------------------------------------------ */

static bool is_whole(const struct mr_shape *shape, const void *structure);

static bool is_member_whole(const struct mr_member *table, const void *member)
{
    const struct mr_shape *shape = &mr_shapes[table->shape];
    const uint8_t *items;
    size_t count;

    switch ((enum mr_kind)table->kind) {
    case MR_KIND_STRING:
    case MR_KIND_BLOB:
        return !table->is_required || ((const mr_bytes *)member)->data;
    case MR_KIND_STRUCTURE:
        items = mr_items_of(member, &count);
        return items ? is_whole(shape, items) : !table->is_required;
    case MR_KIND_LIST:
        items = mr_items_of(member, &count);
        for (size_t i = 0; i < count; i++)
            if (!is_whole(shape, items + i * shape->bytes))
                return false;
        return true;
    default:
        return true; /* a number that is absent is 0, a list is empty */
    }
}

/* That what may be followed is there. */
static bool is_whole(const struct mr_shape *shape, const void *structure)
{
    for (size_t i = 0; i < shape->member_count; i++)
        if (!is_member_whole(&shape->members[i], mr_member_at(structure, i)))
            return false;
    return true;
}

bool mr_decode_answer(enum mr_format format, mr_bytes body, enum mr_shape_id shape,
                      struct mr_arena *arena, void **structure)
{
    struct decoder decoder = {
        .in = mr_in_of(format, body, arena), .body_bytes = body.size, .is_answer = true};

    return decode(&decoder, shape, structure) && !decoder.wrong.data &&
           is_whole(&mr_shapes[shape], *structure);
}
