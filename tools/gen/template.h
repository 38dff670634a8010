/*
 * template.h - records by a template, in the language of the Kinesis Data Generator: text, and in
 * double braces what is drawn anew for each record, as {{random.number({"min":10,"max":150})}}.
 *
 * Its functions are those of its documentation and the commonest of faker.js (see words.def), and
 * two of our own: {{key}}, the key's number as the distribution drew it, and {{index}}, the
 * record's number. As there, line ends of a template are not part of the record.
 */
#ifndef MR_TOOLS_GEN_TEMPLATE_H
#define MR_TOOLS_GEN_TEMPLATE_H

#include "base/random.h"
#include "millrace.h"

#define MR_TEMPLATE_BYTES_MAX ((size_t)256 << 10)

/* What a record is made of. */
struct mr_draw {
    uint64_t index, key;
    int64_t time_ms;
    struct mr_random *random;
};

struct mr_template; /* one thread at a time */

/* text is copied. INVALID says what is wrong and where; LIMIT: records would be over 10 MiB. */
mr_status mr_template_compile(struct mr_template **compiled, mr_bytes text, mr_error *error);
void mr_template_free(struct mr_template *compiled); /* NULL is allowed */

/* No record is longer. */
size_t mr_template_bytes_max(const struct mr_template *compiled);

/* Writes one record, of at most that size; returns its end. */
uint8_t *mr_template_render(struct mr_template *compiled, const struct mr_draw *draw, uint8_t *out);

/* A template that comes along, by its name; NULL: there is none. */
const char *mr_template_named(const char *name);
/* "sensors, access-log, ...", for messages. */
const char *mr_template_names(void);

#endif
