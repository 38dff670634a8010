#include "figures.h"
#include "output.h"
#include "show.h"
#include "table.h"

#include <string.h>

#define RELATIVES_SHOWN 3

/* A step within one reshard to many shards: made, and closed at once without a record. */
static bool is_step(const mr_shard *shard)
{
    return shard->is_closed && shard->closed_ms == shard->created_ms && shard->record_count == 0;
}

static bool is_shown(const struct mr_shards_options *options, const mr_shard *shard)
{
    return options->all || !(is_step(shard) || (options->open && shard->is_closed));
}

static const mr_shard *shard_of(const struct mr_shard_list *list, mr_shard_id id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->shards[i].id == id)
            return &list->shards[i];
    return NULL;
}

/* Relatives of a shard, each once, in order. */
struct relatives {
    mr_shard_id ids[RELATIVES_SHOWN];
    size_t count;
    bool more;
};

static void add_relative(struct relatives *relatives, mr_shard_id id)
{
    size_t at = relatives->count;

    while (at > 0 && relatives->ids[at - 1] > id)
        at--;
    if (at > 0 && relatives->ids[at - 1] == id)
        return;
    if (relatives->count == RELATIVES_SHOWN) {
        relatives->more = true;
        return;
    }
    memmove(&relatives->ids[at + 1], &relatives->ids[at],
            (relatives->count - at) * sizeof relatives->ids[0]);
    relatives->ids[at] = id;
    relatives->count++;
}

/* Parents, or the parents of steps that are not shown. */
static void find_parents(const struct mr_shards_options *options, const struct mr_shard_list *list,
                         const mr_shard *shard, struct relatives *parents)
{
    const mr_shard_id ids[] = {shard->parent, shard->adjacent_parent};

    for (size_t i = 0; i < 2; i++) {
        const mr_shard *parent = ids[i] == MR_NO_SHARD ? NULL : shard_of(list, ids[i]);
        if (parent && is_step(parent) && !options->all)
            find_parents(options, list, parent, parents);
        else if (parent)
            add_relative(parents, parent->id);
    }
}

static void find_children(const struct mr_shards_options *options, const struct mr_shard_list *list,
                          const mr_shard *shard, struct relatives *children)
{
    for (size_t i = 0; i < list->count; i++) {
        const mr_shard *child = &list->shards[i];
        if (child->parent != shard->id && child->adjacent_parent != shard->id)
            continue;
        if (is_step(child) && !options->all)
            find_children(options, list, child, children);
        else
            add_relative(children, child->id);
    }
}

static char *write_relatives(char *out, const struct relatives *relatives)
{
    for (size_t i = 0; i < relatives->count; i++)
        out += sprintf(out, "%s%u", i ? "," : "", relatives->ids[i]);
    return stpcpy(out, relatives->more ? ",.." : "");
}

/* "open", "2 → open", "0,3 → 7,8": what it was made of, and what became of it. */
static void format_lineage(const struct mr_shards_options *options,
                           const struct mr_shard_list *list, const mr_shard *shard, char *text)
{
    const char *arrow = mr_output_is_utf8() ? "→ " : "> ";
    struct relatives parents = {.count = 0}, children = {.count = 0};

    find_parents(options, list, shard, &parents);
    find_children(options, list, shard, &children);
    text = write_relatives(text, &parents);
    if (parents.count)
        text = stpcpy(text, " ");
    if (parents.count || shard->is_closed)
        text = stpcpy(text, arrow);
    if (shard->is_closed)
        write_relatives(text, &children);
    else
        stpcpy(text, "open");
}

static uint64_t bytes_of(const struct mr_shard_list *list, uint64_t *most)
{
    uint64_t all = 0;

    *most = 0;
    for (size_t i = 0; i < list->count && list->shards[i].record_bytes != MR_UNKNOWN; i++) {
        all += list->shards[i].record_bytes;
        if (list->shards[i].record_bytes > *most)
            *most = list->shards[i].record_bytes;
    }
    return all;
}

static void print_table(const struct mr_shards_options *options, const struct mr_shard_list *list)
{
    struct mr_table table =
        MR_TABLE(">ID", "HASH KEYS", ">SPACE", ">RECORDS", ">SIZE", "LOAD", ">", "LINEAGE");
    uint64_t most, all = bytes_of(list, &most);

    for (size_t i = 0; i < list->count; i++) {
        const mr_shard *shard = &list->shards[i];
        char count[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES], bar[MR_BAR_BYTES], lineage[128];
        double load = all ? (double)shard->record_bytes / (double)all : 0;

        if (!is_shown(options, shard))
            continue;
        format_lineage(options, list, shard, lineage);
        mr_table_cell(&table, "%u", shard->id);
        mr_table_cell(&table, "%06x-%06x", (unsigned)(shard->first_key.hi >> 40),
                      (unsigned)(shard->last_key.hi >> 40));
        mr_table_cell(&table, "%.1f%%",
                      100 *
                          (mr_hash_key_part(shard->last_key) - mr_hash_key_part(shard->first_key)));
        mr_table_cell(&table, "%s", mr_count_format(shard->record_count, count));
        mr_table_cell(&table, "%s", mr_size_format(shard->record_bytes, size));
        mr_table_cell(&table, "%s",
                      mr_bar_format(most ? (double)shard->record_bytes / (double)most : 0, 7, bar));
        if (shard->record_bytes == MR_UNKNOWN)
            mr_table_cell(&table, "-");
        else
            mr_table_cell(&table, "%.1f%%", 100 * load);
        mr_table_cell(&table, "%s", lineage);
    }
    mr_table_print(&table);
}

static void print_full(const struct mr_shards_options *options, const struct mr_shard_list *list)
{
    struct mr_table table = MR_TABLE("SHARD", ">FIRST HASH KEY", ">LAST HASH KEY");

    for (size_t i = 0; i < list->count; i++) {
        const mr_shard *shard = &list->shards[i];
        char id[MR_SHARD_TEXT_BYTES], first[MR_HASH_KEY_TEXT_BYTES], last[MR_HASH_KEY_TEXT_BYTES];

        if (!is_shown(options, shard))
            continue;
        mr_shard_format(shard->id, id);
        mr_hash_key_format(shard->first_key, first);
        mr_hash_key_format(shard->last_key, last);
        mr_table_cell(&table, "%s", id);
        mr_table_cell(&table, "%s", first);
        mr_table_cell(&table, "%s", last);
    }
    mr_table_print(&table);
}

static void print_json(const struct mr_shards_options *options, const struct mr_shard_list *list)
{
    struct mr_json_line line = MR_JSON_LINE;

    for (size_t i = 0; i < list->count; i++) {
        if (options->open && list->shards[i].is_closed)
            continue;
        mr_show_shard(&line, &list->shards[i]);
        mr_json_print(&line, stdout);
    }
    mr_pack_fini(&line.pack);
}

enum mr_exit mr_command_shards(struct mr_cli *cli)
{
    const struct mr_shards_options *options = cli->options;
    const char *stream = cli->arguments[0];
    struct mr_shard_list list;
    enum mr_exit code = mr_cli_reach(cli, false);

    if (code)
        return code;
    if (mr_shard_list_read(&list, &cli->place, stream, &cli->error)) {
        mr_shard_list_fini(&list);
        return mr_cli_failed(cli, stream);
    }
    if (cli->common->json)
        print_json(options, &list);
    else if (options->history)
        mr_show_history(&list);
    else if (options->full)
        print_full(options, &list);
    else
        print_table(options, &list);
    mr_shard_list_fini(&list);
    return MR_EXIT_OK;
}
