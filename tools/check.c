#include "base/fail.h"
#include "command.h"
#include "figures.h"
#include "json_line.h"
#include "log/log.h"
#include "output.h"
#include "stream/stream.h"

#include <string.h>

struct check {
    bool json;
    struct mr_json_line line;
    uint64_t cost_count; /* lines in which repairing said what it cost */
};

static void report(void *context, const struct mr_log_finding *finding)
{
    struct check *check = context;

    mr_progress_hide();
    if (!check->json) {
        printf("%s%s%s %s\n", mr_colour_on(stdout, finding->damage ? MR_RED : MR_DIM),
               finding->damage ? "damage" : "remark", mr_colour_off(stdout), finding->text);
        return;
    }
    mr_json_open(&check->line, '{');
    mr_json_name(&check->line, "damage");
    mr_json_bool(&check->line, finding->damage);
    mr_json_name(&check->line, "text");
    mr_json_text(&check->line, finding->text);
    mr_json_close(&check->line, '}');
    mr_json_print(&check->line, stdout);
}

static void show_progress(void *context, uint64_t done, uint64_t all)
{
    char size[MR_FIGURE_BYTES];

    (void)context;
    mr_progress_show("check", done, all, mr_size_format(all, size));
}

static void print_totals(struct check *check, const struct mr_log_verify_totals *totals)
{
    char files[MR_FIGURE_BYTES], bytes[MR_FIGURE_BYTES], blocks[MR_FIGURE_BYTES],
        records[MR_FIGURE_BYTES], groups[MR_FIGURE_BYTES], damage[MR_FIGURE_BYTES];

    if (check->json) {
        mr_json_open(&check->line, '{');
#define X(name)                                                                                    \
    mr_json_name(&check->line, #name);                                                             \
    mr_json_count(&check->line, totals->name);
        X(file_count)
        X(byte_count)
        X(block_count)
        X(record_count)
        X(group_count)
        X(damage_count)
#undef X
        mr_json_close(&check->line, '}');
        mr_json_print(&check->line, stdout);
        return;
    }
    printf("read %s files, %s: %s blocks with %s records, %s journal groups\n",
           mr_count_format(totals->file_count, files), mr_size_format(totals->byte_count, bytes),
           mr_count_format(totals->block_count, blocks),
           mr_count_format(totals->record_count, records),
           mr_count_format(totals->group_count, groups));
    if (totals->damage_count)
        printf("%s%s damaged%s\n", mr_colour_on(stdout, MR_RED),
               mr_count_format(totals->damage_count, damage), mr_colour_off(stdout));
    else
        printf("%severy checksum is right%s\n", mr_colour_on(stdout, MR_GREEN),
               mr_colour_off(stdout));
}

static mr_status verify(struct mr_cli *cli, struct check *check,
                        struct mr_log_verify_totals *totals)
{
    mr_status status;

    do
        status = mr_log_verify(mr_fs_posix(), cli->directory, mr_cli_key_file(cli), report,
                               show_progress, check, totals, &cli->error);
    while (status && mr_cli_waits(cli));
    mr_progress_hide();
    if (!status)
        print_totals(check, totals);
    return status;
}

/* The engine's line: event=salvage lost_numbers=57..101 */
static void note_cost(void *context, const char *line)
{
    struct check *check = context;
    const char *found = strstr(line, "lost_numbers=");
    unsigned long long first, last;

    if (!strstr(line, "event=salvage"))
        return;
    check->cost_count++;
    if (found && sscanf(found, "lost_numbers=%llu..%llu", &first, &last) == 2)
        mr_say("it cost the records from number %llu to %llu (`tail --from seq:N` takes these)",
               first, last);
    else
        mr_say("it cost: %s", line);
}

/* Opens the directory around what is damaged in the journal, and closes it: then it is whole. */
static mr_status repair(struct mr_cli *cli, struct check *check)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    struct mr_engine_world world = {.salvage = true};
    mr_engine *engine;
    mr_status status;

    config.key_file = mr_cli_key_file(cli);
    config.diag = note_cost;
    config.diag_context = check;
    mr_say("repairing: opening around the damage ...");
    status = mr_engine_open_with(&engine, cli->directory, &config, &world, &cli->error);
    if (status)
        return status;
    mr_engine_close(engine);
    if (check->cost_count == 0)
        mr_say("it cost nothing: no acknowledged record was in the damaged parts of the journal");
    return MR_OK;
}

enum mr_exit mr_command_check(struct mr_cli *cli)
{
    const struct mr_check_options *options = cli->options;
    struct check check = {.json = cli->common->json, .line = MR_JSON_LINE};
    struct mr_log_verify_totals totals = {0};
    enum mr_exit code = mr_cli_find(cli);
    mr_status status;

    if (code)
        return code;
    status = verify(cli, &check, &totals);
    if (!status && options->repair && totals.damage_count == 0) {
        mr_say("there is nothing to repair");
    } else if (!status && options->repair) {
        status = repair(cli, &check);
        if (!status)
            status = verify(cli, &check, &totals);
        if (!status && totals.damage_count)
            mr_say("what is still damaged cannot be repaired: readers name it and go on behind it");
    } else if (!status && totals.damage_count) {
        mr_say("try: millrace --data %s check --repair   on a copy first", cli->directory);
    }
    mr_pack_fini(&check.line.pack);
    if (status)
        return mr_cli_failed(cli, NULL);
    return totals.damage_count ? MR_EXIT_FAILED : MR_EXIT_OK;
}
