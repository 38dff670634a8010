/* page.html is the page but for its data; it is part of the program as it stands. */
#include "keys/render.h"

#include "base/check.h"

#include <string.h>

/* The bytes of a file, from the folder that the compiler runs in. */
__asm__(".section .rodata\n"
        "mr_keys_page:\n"
        ".incbin \"tools/keys/page.html\"\n"
        "mr_keys_page_end:\n"
        ".byte 0\n"
        ".previous\n");

extern const char mr_keys_page[];

static const char place[] = "@DATA@";

/* "<" as JSON may write it, so that no text ends the script it stands in. */
static void write_data(FILE *file, mr_bytes json)
{
    const char *at = json.data, *end = at + json.size;

    while (at < end) {
        const char *less = memchr(at, '<', (size_t)(end - at));

        fwrite(at, 1, (size_t)((less ? less : end) - at), file);
        if (less)
            fputs("\\u003c", file);
        at = less ? less + 1 : end;
    }
}

void mr_result_page(FILE *file, const struct mr_result *result)
{
    const char *data = strstr(mr_keys_page, place);
    struct mr_json_line line = MR_JSON_LINE;

    mr_check(data);
    mr_result_json(&line, result);
    fwrite(mr_keys_page, 1, (size_t)(data - mr_keys_page), file);
    write_data(file, (mr_bytes){line.pack.data, line.pack.size});
    fputs(data + strlen(place), file);
    mr_pack_fini(&line.pack);
}
