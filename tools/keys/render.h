/* render.h - a result as people and programs read it. */
#ifndef MR_TOOLS_KEYS_RENDER_H
#define MR_TOOLS_KEYS_RENDER_H

#include "json_line.h"
#include "keys/result.h"

#include <stdio.h>

void mr_result_print(const struct mr_result *result); /* to stdout, in 80 columns */

/* All of it as one JSON object. */
void mr_result_json(struct mr_json_line *line, const struct mr_result *result);

/* One page that needs nothing but itself. */
void mr_result_page(FILE *file, const struct mr_result *result);

#endif
