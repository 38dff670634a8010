/* piece.h - a part of a compiled template: text, or what is drawn for each record. */
#ifndef MR_TOOLS_GEN_PIECE_H
#define MR_TOOLS_GEN_PIECE_H

#include "base/arena.h"
#include "base/json.h"
#include "base/pack.h"
#include "gen/function.h"
#include "gen/template.h"

enum mr_piece_kind {
    MR_PIECE_TEXT,
    MR_PIECE_INTEGER, /* low + step * (0 .. step_count) */
    MR_PIECE_REAL,
    MR_PIECE_CHOICE,
    MR_PIECE_TIME,
    MR_PIECE_UUID,
    MR_PIECE_LETTERS,
    MR_PIECE_KEY,
    MR_PIECE_INDEX,
};

struct mr_piece {
    enum mr_piece_kind kind;
    mr_bytes text; /* of TEXT; the format of TIME; the alphabet of LETTERS */
    int64_t low, step;
    uint64_t step_count;
    double low_real, step_real;
    int decimal_count;
    mr_bytes *choices;
    uint64_t *bounds; /* of weighted choices: i when a random number is below bounds[i] */
    size_t choice_count;
    size_t letter_count;
    bool is_utc;
    int64_t cached_ms; /* TIME: what cache is for */
    struct mr_pack cache;
    size_t bytes_max;
};

/* Makes the piece of a call of function; json stands before its argument, if it has one. Memory
 * comes from arena. False: *fault says what is wrong. */
bool mr_piece_make(struct mr_piece *piece, const struct mr_function *function, struct mr_json *json,
                   struct mr_arena *arena, const char **fault);

uint8_t *mr_piece_render(struct mr_piece *piece, const struct mr_draw *draw, uint8_t *out);

#endif
