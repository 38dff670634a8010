/*
 * output.h - talk, colours and progress, as the terminal allows.
 *
 * Data goes to stdout, talk to stderr. Colours and progress only on a terminal and without NO_COLOR;
 * drawing characters only where the locale is UTF-8.
 */
#ifndef MR_TOOLS_OUTPUT_H
#define MR_TOOLS_OUTPUT_H

#include "millrace.h"

#include <stdio.h>

/* Looks at the terminal, the locale and NO_COLOR. Before all else here. */
void mr_output_init(void);

enum mr_colour { MR_PLAIN, MR_BOLD, MR_DIM, MR_RED, MR_GREEN, MR_YELLOW, MR_BLUE, MR_COLOUR_COUNT };

/* Sequences that begin and end a colour on that file: "" where it has no colours. */
const char *mr_colour_on(FILE *file, enum mr_colour colour);
const char *mr_colour_off(FILE *file);

bool mr_output_is_utf8(void);

/* Text in lines of at most 80 columns and a newline: so many of the first line are used, the others begin
 * with margin blanks. A newline in it is a blank; a percent sign stays with its number. */
void mr_print_wrapped(const char *text, size_t used, size_t margin);

/* Talk: a line on stderr, after removing a progress bar that stands there. Any thread. */
__attribute__((format(printf, 1, 2))) void mr_say(const char *format, ...);

/* ---- progress ----------------------------------------------------------------------------- */

/* One line on a terminal's stderr, drawn anew at most ten times a second. all 0: not known. */
void mr_progress_show(const char *what, uint64_t done, uint64_t all, const char *note);
void mr_progress_hide(void);
bool mr_progress_is_seen(void); /* stderr is a terminal */

#endif
