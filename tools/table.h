/* table.h - rows of cells, printed in columns. */
#ifndef MR_TOOLS_TABLE_H
#define MR_TOOLS_TABLE_H

#include <stddef.h>

#define MR_TABLE_COLUMN_MAX 12

/* Gathers cells and prints them in columns: start from MR_TABLE("NAME", ">COUNT") (">": to the
 * right), call mr_table_cell() once a column, row by row, then print once. */
struct mr_table {
    const char *heads[MR_TABLE_COLUMN_MAX]; /* NULL ends them */
    char *cells;                            /* NUL-terminated, one behind the other */
    size_t cells_bytes, cells_capacity, cell_count;
};
#define MR_TABLE(...) ((struct mr_table){.heads = {__VA_ARGS__}})

__attribute__((format(printf, 2, 3))) void mr_table_cell(struct mr_table *table, const char *format,
                                                         ...);
/* Prints heads and rows to stdout, and frees the cells. */
void mr_table_print(struct mr_table *table);

#endif
