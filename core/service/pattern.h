/* pattern.h - what rules.def says, asked of a text. */
#ifndef MR_SERVICE_PATTERN_H
#define MR_SERVICE_PATTERN_H

#include "base/pack.h"
#include "millrace.h"

enum mr_rule {
    MR_RULE_ANY,
#define PATTERN(NAME, text, match) MR_RULE_##NAME,
#define ENUM(NAME, ...) MR_RULE_##NAME,
#include "service/rules.def"
#undef PATTERN
#undef ENUM
    MR_RULE_COUNT,
};

bool mr_rule_holds(enum mr_rule rule, mr_bytes text);

/* Writes "Member must satisfy regular expression pattern: ..." or "... enum value set: [A, B]". */
void mr_rule_print(enum mr_rule rule, struct mr_pack *out);
bool mr_rule_is_enum(enum mr_rule rule);

#endif
