/* put_line.h - how a line of input becomes a record to put. */
#ifndef MR_TOOLS_PUT_LINE_H
#define MR_TOOLS_PUT_LINE_H

#include "base/random.h"
#include "millrace.h"

/* What `put` was told about keys; at most one of the first four. */
struct mr_put_rules {
    const char *key;       /* of every record */
    const char *key_field; /* a path into each line, which is JSON */
    const char *key_separator;
    bool json; /* lines as `tail -o json` prints them */
    bool has_hash_key;
    mr_hash_key hash_key;
    struct mr_random random; /* for keys nobody gave */
    char why[160];           /* a line is BAD */
};

enum mr_put_line { MR_PUT_LINE_GOOD, MR_PUT_LINE_BLANK, MR_PUT_LINE_BAD };

/* Memory one line may need besides itself. */
#define MR_PUT_LINE_SCRATCH_BYTES(line_bytes) ((line_bytes) + 64)

/*
 * Fills *put from line: its bytes are in line and in *scratch, which moves behind what was used.
 * hash_key is where put->explicit_hash_key points if it has one. BAD: rules->why says it.
 */
enum mr_put_line mr_put_line_read(struct mr_put_rules *rules, mr_bytes line, uint8_t **scratch,
                                  mr_put *put, mr_hash_key *hash_key);

#endif
