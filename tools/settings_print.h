/* settings_print.h - the table of options as other texts: a part of the man page, a file of settings. */
#ifndef MR_TOOLS_SETTINGS_PRINT_H
#define MR_TOOLS_SETTINGS_PRINT_H

#include "options.h"

void mr_options_print_man(const struct mr_option *table);

/* A file for --config, with every setting at its default, commented out. */
void mr_options_print_config(const struct mr_option *table);

#endif
