/* cli.c - what commands share: opening the engine, saying what failed and what to do next. */
#include "command.h"

#include "base/fail.h"
#include "figures.h"
#include "guess.h"
#include "output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* One process at a time has a data directory; most have it for a moment only. */
#define LOCK_WAIT_MS 2000
#define LOCK_STEP_MS 10

static mr_status name_directory(struct mr_cli *cli)
{
    const char *data = cli->common->data, *home = getenv("HOME");
    int size;

    if (!data)
        data = getenv("MILLRACE_DATA");
    if (data && *data)
        size = snprintf(cli->directory, sizeof cli->directory, "%s", data);
    else if (home && *home)
        size = snprintf(cli->directory, sizeof cli->directory, "%s/.local/share/millrace", home);
    else
        return mr_fail(&cli->error, MR_INVALID, "no HOME, no MILLRACE_DATA: use --data DIR");
    if ((size_t)size >= sizeof cli->directory)
        return mr_fail(&cli->error, MR_LIMIT, "the name of the data directory is too long");
    return MR_OK;
}

/* Makes the folders above the data directory. */
static mr_status make_parents(struct mr_cli *cli)
{
    char path[MR_PATH_BYTES];

    memcpy(path, cli->directory, sizeof path);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(path, 0777) && errno != EEXIST)
            return mr_fail_os(&cli->error, errno, "cannot make the folder %s", path);
        *slash = '/';
    }
    return MR_OK;
}

static void say_diag(void *context, const char *line)
{
    (void)context;
    mr_say("%s", line);
}

static void say_recovery(mr_engine *engine)
{
    struct mr_engine_stats stats;
    char count[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES];

    mr_engine_stats(engine, &stats);
    if (stats.recovered)
        mr_say("recovered after a crash: %s records (%s of journal) read back in %u ms",
               mr_count_format(stats.recovered_record_count, count),
               mr_size_format(stats.recovered_journal_bytes, size), stats.recovery_ms);
}

enum mr_exit mr_cli_place(struct mr_cli *cli)
{
    mr_status status = name_directory(cli);

    if (!status)
        status = make_parents(cli);
    return status ? mr_cli_failed(cli, NULL) : MR_EXIT_OK;
}

enum mr_exit mr_cli_find(struct mr_cli *cli)
{
    struct stat info;

    if (name_directory(cli))
        return mr_cli_failed(cli, NULL);
    if (stat(cli->directory, &info) == 0)
        return MR_EXIT_OK;
    mr_say("millrace: there is no data directory at %s", cli->directory);
    mr_say("try: millrace create STREAM    makes it, with a first stream");
    mr_say("     millrace --data DIR ...   looks elsewhere, as MILLRACE_DATA does");
    return MR_EXIT_NOT_FOUND;
}

bool mr_cli_waits(struct mr_cli *cli)
{
    static const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000};

    if (cli->error.status != MR_LOCKED || cli->waited_ms >= LOCK_WAIT_MS)
        return false;
    nanosleep(&step, NULL);
    cli->waited_ms += LOCK_STEP_MS;
    return true;
}

enum mr_exit mr_cli_open_as(struct mr_cli *cli, bool make, struct mr_engine_config *config)
{
    enum mr_exit code = make ? mr_cli_place(cli) : mr_cli_find(cli);

    if (code)
        return code;
    if (cli->common->verbose)
        config->diag = say_diag;
    while (mr_engine_open(&cli->engine, cli->directory, config, &cli->error))
        if (!mr_cli_waits(cli))
            return mr_cli_failed(cli, NULL);
    say_recovery(cli->engine);
    return MR_EXIT_OK;
}

enum mr_exit mr_cli_open(struct mr_cli *cli, bool make)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;

    return mr_cli_open_as(cli, make, &config);
}

static bool offer_stream(void *context, const struct mr_stream_info *info)
{
    mr_guess_offer(context, info->name);
    return true;
}

static bool stream_exists(const struct mr_cli *cli, const char *stream)
{
    struct mr_stream_info info;

    return cli->engine && mr_stream_describe(cli->engine, stream, &info, NULL) == MR_OK;
}

static void say_next_of_missing(struct mr_cli *cli, const char *stream)
{
    struct mr_guess guess = MR_GUESS(stream);

    if (stream_exists(cli, stream)) {
        mr_say("try: millrace shards %s   lists the shards", stream);
        return;
    }
    mr_stream_each(cli->engine, offer_stream, &guess);
    if (*guess.best)
        mr_say("did you mean '%s'?", guess.best);
    mr_say("try: millrace list               lists the streams of %s", cli->directory);
    mr_say("     millrace create %s --shards 4   makes it", stream);
}

enum mr_exit mr_cli_failed(struct mr_cli *cli, const char *stream)
{
    mr_status status = cli->error.status;

    mr_say("millrace: %s%s%s", mr_colour_on(stderr, MR_RED), cli->error.message,
           mr_colour_off(stderr));
    switch (status) {
    case MR_NOT_FOUND:
        if (stream && cli->engine)
            say_next_of_missing(cli, stream);
        return MR_EXIT_NOT_FOUND;
    case MR_EXISTS:
        if (stream)
            mr_say("try: millrace describe %s   shows it", stream);
        break;
    case MR_CLOSED:
        if (stream)
            mr_say("try: millrace shards %s --open   lists the open shards", stream);
        break;
    case MR_CORRUPT:
        mr_say("try: millrace --data %s check   says what is damaged", cli->directory);
        break;
    case MR_FORMAT:
        mr_say("this is millrace " MR_VERSION ": install a newer one");
        break;
    case MR_NO_SPACE:
        mr_say("free some space, or shorten what is kept; nothing acknowledged is lost");
        break;
    default:
        break;
    }
    return MR_EXIT_FAILED;
}

enum mr_exit mr_cli_misused(struct mr_cli *cli, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mr_say("millrace %s: %s", cli->command->name, text);
    mr_say("try: millrace %s --help", cli->command->name);
    return MR_EXIT_USAGE;
}

enum mr_exit mr_cli_shard(struct mr_cli *cli, const char *text, mr_shard_id *shard)
{
    if (mr_shard_parse(text, shard, &cli->error))
        return mr_cli_misused(cli, "'%s' is no shard: use its number, as 2 or shardId-000000000002",
                              text);
    return MR_EXIT_OK;
}
