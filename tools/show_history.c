/* show_history.c - the hash space after each reshard, as a picture. */
#include "base/memory.h"
#include "output.h"
#include "show.h"

#include <stdlib.h>
#include <string.h>

#define PICTURE_COLUMNS 64

static int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* The moments at which shards were made, each once, in order. */
static size_t find_moments(const struct mr_shard_list *list, int64_t *moments)
{
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++)
        moments[i] = list->shards[i].created_ms;
    qsort(moments, list->count, sizeof *moments, compare_times);
    for (size_t i = 0; i < list->count; i++)
        if (count == 0 || moments[count - 1] != moments[i])
            moments[count++] = moments[i];
    return count;
}

static bool is_open_at(const mr_shard *shard, int64_t moment_ms)
{
    return shard->created_ms <= moment_ms && (!shard->is_closed || shard->closed_ms > moment_ms);
}

/* The hash space at one moment: "|0      |4  |5 |2     |"; what is new is bold. */
static void print_moment(const struct mr_shard_list *list, int64_t moment_ms)
{
    char cells[PICTURE_COLUMNS + 1], text[16];
    bool fresh[PICTURE_COLUMNS + 1] = {false};
    const char *border = mr_output_is_utf8() ? "│" : "|";

    memset(cells, ' ', sizeof cells);
    for (size_t i = 0; i < list->count; i++) {
        const mr_shard *shard = &list->shards[i];
        unsigned from = (unsigned)(mr_hash_key_part(shard->first_key) * PICTURE_COLUMNS);
        unsigned to = (unsigned)(mr_hash_key_part(shard->last_key) * PICTURE_COLUMNS);
        unsigned size = (unsigned)snprintf(text, sizeof text, "%u", shard->id);

        if (!is_open_at(shard, moment_ms))
            continue;
        cells[from] = '|';
        for (unsigned at = from; at < to; at++)
            fresh[at] = shard->created_ms == moment_ms;
        if (from + size < to || from + size == PICTURE_COLUMNS)
            memcpy(cells + from + 1, text, size);
    }
    cells[PICTURE_COLUMNS] = '|';
    for (unsigned at = 0; at <= PICTURE_COLUMNS; at++) {
        bool is_border = cells[at] == '|';
        fputs(is_border   ? mr_colour_on(stdout, MR_DIM)
              : fresh[at] ? mr_colour_on(stdout, MR_GREEN)
                          : "",
              stdout);
        if (is_border)
            fputs(border, stdout);
        else
            putchar(cells[at]);
        fputs(is_border || fresh[at] ? mr_colour_off(stdout) : "", stdout);
    }
    putchar('\n');
}

void mr_show_history(const struct mr_shard_list *list)
{
    int64_t *moments = mr_alloc((list->count + 1) * sizeof *moments);
    size_t moment_count = find_moments(list, moments);

    printf("%12s 0%*s\n", "hash space", PICTURE_COLUMNS, "2^128");
    for (size_t i = 0; i < moment_count; i++) {
        if (i == 0)
            printf("%12s ", "created");
        else
            printf("%8s %3zu ", "reshard", i);
        print_moment(list, moments[i]);
    }
    mr_free(moments);
}
