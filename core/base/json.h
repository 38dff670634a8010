/*
 * json.h - JSON in, strict (RFC 8259), without a tree.
 *
 * Ask for what you expect, in order. After the first fault every call fails and the
 * fault says what was wrong and where. Nothing is allocated; slices borrow from the input.
 */
#ifndef MR_BASE_JSON_H
#define MR_BASE_JSON_H

#include "millrace.h"

#define MR_JSON_DEPTH_MAX 64 /* brackets inside each other */

enum mr_json_kind {
    MR_JSON_FAULT,
    MR_JSON_NULL,
    MR_JSON_BOOL,
    MR_JSON_NUMBER,
    MR_JSON_STRING,
    MR_JSON_ARRAY,
    MR_JSON_OBJECT,
};

/* A value as it stands in the input: of a string what is between the quotes, still escaped. */
struct mr_json_value {
    enum mr_json_kind kind;
    bool escaped; /* a string with a backslash: mr_json_unescape() it */
    mr_bytes raw;
};

struct mr_json {
    const uint8_t *start, *at, *end;
    unsigned depth;
    bool fresh;        /* just inside a bracket: no comma yet */
    const char *fault; /* NULL, or what is wrong at `at` */
};

struct mr_json mr_json_of(mr_bytes text);

/* What kind of value comes, by its first byte: take it to know that it is one. */
enum mr_json_kind mr_json_kind_next(struct mr_json *json);
/* Steps into the value that comes, which must be an object; then next() once a member. */
bool mr_json_enter(struct mr_json *json);
/* The next member's name; false at the end of the object, which is then left, or on a fault. */
bool mr_json_next(struct mr_json *json, struct mr_json_value *name);
/* The same for an array: true when an item follows. */
bool mr_json_enter_array(struct mr_json *json);
bool mr_json_next_item(struct mr_json *json);
/* Takes one whole value of any kind, checking all of it. */
bool mr_json_take(struct mr_json *json, struct mr_json_value *value);
/*
 * Takes a string that is base64 as mr_base64_encode() makes it, decoding it in the same pass: out
 * has room for 3/4 of mr_json_left(). False and nothing taken if it is anything else: maybe an
 * escaped form of it.
 */
bool mr_json_take_base64(struct mr_json *json, uint8_t *out, size_t *size);
size_t mr_json_left(const struct mr_json *json);
/* True when nothing but white space is left and there was no fault. */
bool mr_json_done(struct mr_json *json);

/* Writes the string that value means; out has room for value.raw.size bytes. Returns its size. */
size_t mr_json_unescape(const struct mr_json_value *value, uint8_t *out);
/* Does the string value mean this text? */
bool mr_json_is(const struct mr_json_value *value, const char *text);

/*
 * Finds a field by a path as "user.id" or ".user.id" in one JSON object, checking the whole text.
 * Of repeated members the last counts. False and kind FAULT: not JSON, json->fault says why. False
 * and kind NULL: no such field.
 */
bool mr_json_find(struct mr_json *json, const char *path, struct mr_json_value *value);

/* Bytes before the first that is a quote, a backslash, a control character or not ASCII. */
size_t mr_json_plain_bytes(mr_bytes text);

/* Is this well-formed UTF-8? */
bool mr_utf8_is_valid(mr_bytes text);

#endif
