/* json_line.h - JSON out: one object a line. */
#ifndef MR_TOOLS_JSON_LINE_H
#define MR_TOOLS_JSON_LINE_H

#include "base/pack.h"
#include "millrace.h"

#include <stdio.h>

/* A line in the making: start from MR_JSON_LINE, release with mr_pack_fini(&line.pack). */
struct mr_json_line {
    struct mr_pack pack;
    bool comma;
};
#define MR_JSON_LINE ((struct mr_json_line){.pack = MR_PACK((size_t)256 << 20)})

void mr_json_open(struct mr_json_line *line, char bracket); /* '{' or '[' */
void mr_json_close(struct mr_json_line *line, char bracket);
void mr_json_name(struct mr_json_line *line, const char *name);
void mr_json_string(struct mr_json_line *line, mr_bytes utf8);
void mr_json_text(struct mr_json_line *line, const char *text);
void mr_json_count(struct mr_json_line *line, uint64_t number);
void mr_json_real(struct mr_json_line *line, double number);   /* three decimals */
void mr_json_figure(struct mr_json_line *line, double number); /* five digits */
void mr_json_bool(struct mr_json_line *line, bool value);
void mr_json_null(struct mr_json_line *line);

/* Writes the line and its newline, and empties it. */
void mr_json_print(struct mr_json_line *line, FILE *file);

#endif
