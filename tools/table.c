#include "table.h"

#include "base/memory.h"
#include "figures.h"
#include "output.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void mr_table_cell(struct mr_table *table, const char *format, ...)
{
    va_list arguments;
    char cell[512];
    size_t size;

    va_start(arguments, format);
    vsnprintf(cell, sizeof cell, format, arguments);
    va_end(arguments);
    size = strlen(cell) + 1;
    while (table->cells_bytes + size > table->cells_capacity) {
        table->cells_capacity = table->cells_capacity ? table->cells_capacity * 2 : 4096;
        table->cells = mr_resize(table->cells, table->cells_capacity);
    }
    memcpy(table->cells + table->cells_bytes, cell, size);
    table->cells_bytes += size;
    table->cell_count++;
}

static void print_cell(const char *text, unsigned width, bool right, bool last)
{
    unsigned pad = width - mr_text_width(text);

    if (right)
        printf("%*s", (int)pad, "");
    fputs(text, stdout);
    if (!right && !last)
        printf("%*s", (int)pad, "");
    if (!last)
        fputs("  ", stdout);
}

void mr_table_print(struct mr_table *table)
{
    unsigned widths[MR_TABLE_COLUMN_MAX], column_count = 0;
    const char *cell = table->cells;

    while (column_count < MR_TABLE_COLUMN_MAX && table->heads[column_count]) {
        const char *head = table->heads[column_count];
        widths[column_count++] = mr_text_width(head) - (*head == '>');
    }
    for (size_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1)
        if (mr_text_width(cell) > widths[i % column_count])
            widths[i % column_count] = mr_text_width(cell);

    fputs(mr_colour_on(stdout, MR_BOLD), stdout);
    for (unsigned i = 0; i < column_count; i++) {
        bool right = *table->heads[i] == '>';
        print_cell(table->heads[i] + right, widths[i], right, i + 1 == column_count);
    }
    printf("%s\n", mr_colour_off(stdout));
    cell = table->cells;
    for (size_t i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1) {
        size_t column = i % column_count;
        bool last = column + 1 == column_count;

        print_cell(cell, widths[column], *table->heads[column] == '>', last);
        if (last)
            putchar('\n');
    }
    mr_free(table->cells);
    *table = (struct mr_table){.heads = {NULL}};
}
