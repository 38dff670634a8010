/* figures.h - sizes, counts, durations and shares as people read them. */
#ifndef MR_TOOLS_FIGURES_H
#define MR_TOOLS_FIGURES_H

#include <stdint.h>

#define MR_FIGURE_BYTES 32
/* Each fills text and returns it; of UINT64_MAX, which nobody knows, it is "-". */
const char *mr_size_format(uint64_t bytes, char text[MR_FIGURE_BYTES]);     /* "1.9 MB" */
const char *mr_count_format(uint64_t count, char text[MR_FIGURE_BYTES]);    /* "20,000" */
const char *mr_duration_format(double seconds, char text[MR_FIGURE_BYTES]); /* "12.3 ms" */

#define MR_BAR_BYTES 256
/* A bar of `width` columns (at most 60), filled to part 0..1; the rest is blank. */
const char *mr_bar_format(double part, unsigned width, char text[MR_BAR_BYTES]);

/* Columns a text takes: its characters. */
unsigned mr_text_width(const char *text);

#endif
