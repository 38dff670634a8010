/* function.h - the functions of templates, by name: what template.c makes pieces of. */
#ifndef MR_TOOLS_GEN_FUNCTION_H
#define MR_TOOLS_GEN_FUNCTION_H

#include "millrace.h"

enum mr_function_kind {
    MR_FUNCTION_NUMBER,   /* max, or {"min":, "max":, "precision":} */
    MR_FUNCTION_REAL,     /* the same; the precision is 0.01 if not given */
    MR_FUNCTION_CHOICE,   /* [words] */
    MR_FUNCTION_WEIGHTED, /* {"weights": [], "data": []} */
    MR_FUNCTION_LOCAL,    /* "format" */
    MR_FUNCTION_UTC,      /* "format" */
    MR_FUNCTION_UUID,
    MR_FUNCTION_ALPHANUMERIC, /* count */
    MR_FUNCTION_HEXADECIMAL,  /* count */
    MR_FUNCTION_KEY,
    MR_FUNCTION_INDEX,
    MR_FUNCTION_LIST,
    MR_FUNCTION_MACRO,
};

struct mr_function {
    enum mr_function_kind kind;
    const char *name;
    const char *const *words; /* of LIST */
    size_t word_count;
    const char *text; /* of MACRO */
};

/* NULL: there is none, and *guess is the nearest or "". */
const struct mr_function *mr_function_of(mr_bytes name, const char **guess);

#endif
