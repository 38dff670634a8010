/* print_record.h - a record on stdout, in the ways of tail -o and -F. */
#ifndef MR_TOOLS_PRINT_RECORD_H
#define MR_TOOLS_PRINT_RECORD_H

#include "json_line.h"
#include "millrace.h"

enum mr_print_how { MR_PRINT_TEXT, MR_PRINT_JSON, MR_PRINT_RAW, MR_PRINT_HEX };

struct mr_printer {
    enum mr_print_how how;
    const char *format; /* of -F, or NULL */
    struct mr_json_line line;
};

/* Is every %-letter and backslash of a format known? If not, *at is the first that is not. */
bool mr_format_is_valid(const char *format, const char **at);

void mr_record_print(struct mr_printer *printer, const mr_record *record);

#endif
