/* cli.c - what commands share: finding their streams, saying what failed and what to do next. */
#include "command.h"

#include "base/fail.h"
#include "figures.h"
#include "guess.h"
#include "millrace-remote.h"
#include "output.h"
#include "serving.h"
#include "stream/stream.h"
#include "streams.h"

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

/* A person waits: a server that is not there is soon told. */
#define CONNECT_ATTEMPTS 4

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

/* For commands that work nowhere else. */
static enum mr_exit refuse_endpoint(struct mr_cli *cli)
{
    return mr_cli_misused(cli, "it works on a data directory, not over --endpoint");
}

enum mr_exit mr_cli_place(struct mr_cli *cli)
{
    mr_status status = name_directory(cli);

    if (cli->common->endpoint)
        return refuse_endpoint(cli);
    if (!status)
        status = make_parents(cli);
    return status ? mr_cli_failed(cli, NULL) : MR_EXIT_OK;
}

mr_status mr_cli_keep(struct mr_cli *cli)
{
    mr_status status = *cli->directory ? MR_OK : name_directory(cli);

    if (!status)
        status = make_parents(cli);
    if (!status && mkdir(cli->directory, 0777) && errno != EEXIST)
        status = mr_fail_os(&cli->error, errno, "cannot make the folder %.200s", cli->directory);
    return status;
}

enum mr_exit mr_cli_find(struct mr_cli *cli)
{
    struct stat info;

    if (cli->common->endpoint)
        return refuse_endpoint(cli);
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

const char *mr_cli_key_file(const struct mr_cli *cli)
{
    const char *file = cli->common->key_file ? cli->common->key_file : getenv("MILLRACE_KEY_FILE");

    return file && *file ? file : NULL;
}

static enum mr_exit open_in(struct mr_cli *cli, bool make, struct mr_engine_config *config,
                            const struct mr_engine_world *world)
{
    enum mr_exit code = make ? mr_cli_place(cli) : mr_cli_find(cli);

    if (code)
        return code;
    if (cli->common->verbose)
        config->diag = say_diag;
    config->key_file = mr_cli_key_file(cli);
    while (mr_engine_open_with(&cli->engine, cli->directory, config, world, &cli->error))
        if (!mr_cli_waits(cli))
            return mr_cli_failed(cli, NULL);
    cli->place.engine = cli->engine;
    say_recovery(cli->engine);
    return MR_EXIT_OK;
}

enum mr_exit mr_cli_open_as(struct mr_cli *cli, bool make, struct mr_engine_config *config)
{
    return open_in(cli, make, config, &(struct mr_engine_world){0});
}

enum mr_exit mr_cli_open_by(struct mr_cli *cli, struct mr_clock *clock,
                            struct mr_engine_config *config)
{
    return open_in(cli, true, config, &(struct mr_engine_world){.clock = clock});
}

enum mr_exit mr_cli_open(struct mr_cli *cli, bool make)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;

    return mr_cli_open_as(cli, make, &config);
}

/* ---- servers ------------------------------------------------------------------------------ */

/* A server whose URL somebody said; NULL: none. What stands in the command goes before what stands
 * in the environment. */
static const char *endpoint_of(const struct mr_cli *cli)
{
    static const char *const names[] = {"AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL"};

    if (cli->common->endpoint || cli->common->data)
        return cli->common->endpoint;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);

        if (value && *value)
            return value;
    }
    return NULL;
}

static mr_status connect_to(struct mr_cli *cli, const char *endpoint,
                            struct mr_remote_config *config)
{
    config->endpoint = endpoint;
    config->attempt_count = CONNECT_ATTEMPTS;
    snprintf(cli->endpoint, sizeof cli->endpoint, "%s", endpoint);
    if (cli->common->verbose)
        mr_say("going to %s", endpoint);
    return mr_service_connect(&cli->place.service, config, &cli->error);
}

/* A server of ours looks at no signature: it gets nobody's. */
static mr_status connect_to_holder(struct mr_cli *cli, const char *endpoint)
{
    struct mr_remote_config config = MR_REMOTE_CONFIG_DEFAULT;

    config.region = "us-east-1";
    config.access_key_id = config.secret_access_key = "millrace";
    return connect_to(cli, endpoint, &config);
}

enum mr_exit mr_cli_reach(struct mr_cli *cli, bool make)
{
    struct mr_engine_config engine_config = MR_ENGINE_CONFIG_DEFAULT;
    struct mr_remote_config config = MR_REMOTE_CONFIG_DEFAULT;
    const char *endpoint = endpoint_of(cli);
    char holder[MR_SERVING_BYTES];
    enum mr_exit code;

    if (cli->common->endpoint && cli->common->data)
        return mr_cli_misused(cli, "--endpoint and --data contradict each other");
    if (endpoint)
        return connect_to(cli, endpoint, &config) ? mr_cli_failed(cli, NULL) : MR_EXIT_OK;
    code = make ? mr_cli_place(cli) : mr_cli_find(cli);
    if (code)
        return code;
    if (cli->common->verbose)
        engine_config.diag = say_diag;
    engine_config.key_file = mr_cli_key_file(cli);
    while (mr_engine_open(&cli->engine, cli->directory, &engine_config, &cli->error)) {
        if (cli->error.status == MR_LOCKED && mr_serving_find(cli->directory, holder))
            return connect_to_holder(cli, holder) ? mr_cli_failed(cli, NULL) : MR_EXIT_OK;
        if (!mr_cli_waits(cli))
            return mr_cli_failed(cli, NULL);
    }
    cli->place.engine = cli->engine;
    say_recovery(cli->engine);
    return MR_EXIT_OK;
}

mr_status mr_cli_service(struct mr_cli *cli, mr_service **service)
{
    mr_status status = MR_OK;

    if (!cli->place.service && !cli->service)
        status = mr_service_open(&cli->service, cli->engine, &cli->error);
    *service = cli->place.service ? cli->place.service : cli->service;
    return status;
}

void mr_cli_close(struct mr_cli *cli)
{
    mr_service_close(cli->place.service);
    mr_service_close(cli->service);
    mr_engine_close(cli->engine);
}

/* ---- what failed -------------------------------------------------------------------------- */

static bool offer_stream(void *context, const struct mr_stream_info *info)
{
    mr_guess_offer(context, info->name);
    return true;
}

static bool is_somewhere(const struct mr_cli *cli)
{
    return cli->place.engine || cli->place.service;
}

static void say_next_of_missing(struct mr_cli *cli, const char *stream)
{
    struct mr_guess guess = MR_GUESS(stream);
    struct mr_stream_info info;

    if (mr_streams_describe(&cli->place, stream, &info, NULL) == MR_OK) {
        mr_say("try: millrace shards %s   lists the shards", stream);
        return;
    }
    mr_streams_each(&cli->place, true, offer_stream, &guess, NULL);
    if (*guess.best)
        mr_say("did you mean '%s'?", guess.best);
    mr_say("try: millrace list               lists the streams of %s",
           cli->place.service ? cli->endpoint : cli->directory);
    mr_say("     millrace create %s --shards 4   makes it", stream);
}

/* A server has the directory: what can be done over it goes there by itself. */
static void say_holder(const struct mr_cli *cli)
{
    char holder[MR_SERVING_BYTES];

    if (mr_serving_find(cli->directory, holder))
        mr_say("a server has it open, at %s: create, list, put, tail and the like go there",
               holder);
}

enum mr_exit mr_cli_failed(struct mr_cli *cli, const char *stream)
{
    mr_status status = cli->error.status;

    mr_say("millrace: %s%s%s", mr_colour_on(stderr, MR_RED), cli->error.message,
           mr_colour_off(stderr));
    switch (status) {
    case MR_NOT_FOUND:
        if (stream && is_somewhere(cli))
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
    case MR_LOCKED:
        say_holder(cli);
        break;
    case MR_UNAVAILABLE:
        mr_say("try: millrace serve           serves a data directory");
        mr_say("     millrace --data DIR ...  works without a server");
        break;
    case MR_DENIED:
        if (cli->place.service && !endpoint_of(cli)) /* it was found by itself */
            mr_say("try: millrace --endpoint %s ...   signs with your own keys", cli->endpoint);
        if (*cli->endpoint) /* else a file is not ours to read, and which one has been said */
            mr_say("try: AWS_PROFILE=NAME, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, of "
                   "somebody whose policies allow it");
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
