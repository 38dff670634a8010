/* shape.c - the tables of service.h, out of the .def files. */
#include "service/pattern.h"
#include "service/service.h"

#include <string.h>

/* ---- members ------------------------------------------------------------------------------ */

#define REQUIRED true
#define OPTIONAL false
#define NO_MIN MR_NO_MIN
#define NO_MAX MR_NO_MAX
#define NAMED(Name, type, need)                                                                    \
    .name = #Name, .name_bytes = sizeof #Name - 1, .kind = MR_KIND_##type, .is_required = (need)

#define SHAPE(name) static const struct mr_member members_##name[] = {
#define STRING(name, Name, need, from, to, is)                                                     \
    {NAMED(Name, STRING, need), .least = (from), .most = (to), .rule = MR_RULE_##is},
#define BLOB(name, Name, need, from, to) {NAMED(Name, BLOB, need), .least = (from), .most = (to)},
#define INTEGER(name, Name, need, from, to)                                                        \
    {NAMED(Name, INTEGER, need), .least = (from), .most = (to)},
#define LONG(name, Name, need, from, to) {NAMED(Name, LONG, need), .least = (from), .most = (to)},
#define BOOLEAN(name, Name, need) {NAMED(Name, BOOLEAN, need)},
#define TIMESTAMP(name, Name, need) {NAMED(Name, TIMESTAMP, need)},
#define STRUCTURE(name, Name, need, of) {NAMED(Name, STRUCTURE, need), .shape = MR_SHAPE_##of},
#define LIST(name, Name, need, from, to, of)                                                       \
    {NAMED(Name, LIST, need), .least = (from), .most = (to), .shape = MR_SHAPE_##of},
#define STRINGS(name, Name, need, from, to, item_from, item_to, is)                                \
    {NAMED(Name, STRINGS, need), .least = (from),        .most = (to),                             \
     .item_least = (item_from),  .item_most = (item_to), .rule = MR_RULE_##is},
#define TAGS(name, Name, need, from, to)                                                           \
    {NAMED(Name, TAGS, need), .least = (from), .most = (to), .shape = MR_SHAPE_tag},
#define END                                                                                        \
    {                                                                                              \
        .name = NULL                                                                               \
    }                                                                                              \
    }                                                                                              \
    ;
#include "service/shapes.def"

/* ---- shapes ------------------------------------------------------------------------------- */

#define MEMBER_COUNT(name) (sizeof members_##name / sizeof members_##name[0] - 1)

#define SHAPE(name)                                                                                \
    _Static_assert(sizeof(struct mr_api_##name) >= MR_ROW_BYTES * MEMBER_COUNT(name),              \
                   "one row a member");
#include "service/shapes.def"

const struct mr_shape mr_shapes[MR_SHAPE_COUNT] = {
#define SHAPE(shape)                                                                               \
    [MR_SHAPE_##shape] = {.name = #shape,                                                          \
                          .bytes = sizeof(struct mr_api_##shape),                                  \
                          .members = members_##shape,                                              \
                          .member_count = MEMBER_COUNT(shape)},
#include "service/shapes.def"
};

/* By memcpy, for the pointers are of many types. */

void *mr_items_of(const void *member, size_t *count)
{
    void *items;

    memcpy(&items, member, sizeof items);
    memcpy(count, (const uint8_t *)member + sizeof items, sizeof *count);
    return items;
}

void mr_items_set(void *member, const void *items, size_t count)
{
    memcpy(member, &items, sizeof items);
    memcpy((uint8_t *)member + sizeof items, &count, sizeof count);
}

/* ---- actions ------------------------------------------------------------------------------ */

#define ANSWERS_NONE(name) .answer = MR_ANSWER_NONE
#define ANSWERS_STRUCTURE(name)                                                                    \
    .answer = MR_ANSWER_STRUCTURE, .response = MR_SHAPE_##name##_response
#define ANSWERS_EVENTS(name) .answer = MR_ANSWER_EVENTS
#define OF_ACCOUNT false
#define OF_STREAM true

const struct mr_action_info mr_actions[MR_ACTION_COUNT] = {
#define ACTION(NAME, action, Name, how, rate, what)                                                \
    [MR_ACTION_##NAME] = {.name = #Name,                                                           \
                          .request = MR_SHAPE_##action##_request,                                  \
                          ANSWERS_##how(action),                                                   \
                          .rate_per_s = (rate),                                                    \
                          .is_rate_per_stream = OF_##what},
#include "service/actions.def"
#undef ACTION
};

static bool is_named(const char *name, mr_bytes text)
{
    return strlen(name) == text.size && memcmp(name, text.data, text.size) == 0;
}

enum mr_action mr_action_find(mr_bytes name)
{
    enum mr_action action = 0;

    while (action < MR_ACTION_COUNT && !is_named(mr_actions[action].name, name))
        action++;
    return action;
}

/* ---- exceptions --------------------------------------------------------------------------- */

const struct mr_exception_info mr_exceptions[MR_EXCEPTION_COUNT] = {
    [MR_EXCEPTION_NONE] = {"", 200},
#define EXCEPTION(NAME, Name, http_code) [MR_EXCEPTION_##NAME] = {#Name, http_code},
#include "service/exceptions.def"
#undef EXCEPTION
};

enum mr_exception mr_exception_find(mr_bytes name)
{
    enum mr_exception type = MR_EXCEPTION_COUNT;

    while (--type > MR_EXCEPTION_NONE && !is_named(mr_exceptions[type].name, name))
        continue;
    return type;
}
