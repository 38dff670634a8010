/* call.c - what commands share: opening the engine, saying what failed and what to do next. */
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

static mr_status name_directory(struct mr_call *call)
{
    const char *data = call->common->data, *home = getenv("HOME");
    int size;

    if (!data)
        data = getenv("MILLRACE_DATA");
    if (data && *data)
        size = snprintf(call->directory, sizeof call->directory, "%s", data);
    else if (home && *home)
        size = snprintf(call->directory, sizeof call->directory, "%s/.local/share/millrace", home);
    else
        return mr_fail(&call->error, MR_INVALID, "no HOME, no MILLRACE_DATA: use --data DIR");
    if ((size_t)size >= sizeof call->directory)
        return mr_fail(&call->error, MR_LIMIT, "the name of the data directory is too long");
    return MR_OK;
}

/* Makes the folders above the data directory. */
static mr_status make_parents(struct mr_call *call)
{
    char path[MR_PATH_BYTES];

    memcpy(path, call->directory, sizeof path);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(path, 0777) && errno != EEXIST)
            return mr_fail_os(&call->error, errno, "cannot make the folder %s", path);
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

enum mr_exit mr_call_place(struct mr_call *call)
{
    mr_status status = name_directory(call);

    if (!status)
        status = make_parents(call);
    return status ? mr_call_failed(call, NULL) : MR_EXIT_OK;
}

enum mr_exit mr_call_find(struct mr_call *call)
{
    struct stat info;

    if (name_directory(call))
        return mr_call_failed(call, NULL);
    if (stat(call->directory, &info) == 0)
        return MR_EXIT_OK;
    mr_say("millrace: there is no data directory at %s", call->directory);
    mr_say("try: millrace create STREAM    makes it, with a first stream");
    mr_say("     millrace --data DIR ...   looks elsewhere, as MILLRACE_DATA does");
    return MR_EXIT_NOT_FOUND;
}

bool mr_call_waits(struct mr_call *call)
{
    static const struct timespec step = {.tv_nsec = LOCK_STEP_MS * 1000000};

    if (call->error.status != MR_LOCKED || call->waited_ms >= LOCK_WAIT_MS)
        return false;
    nanosleep(&step, NULL);
    call->waited_ms += LOCK_STEP_MS;
    return true;
}

enum mr_exit mr_call_open_as(struct mr_call *call, bool make, struct mr_engine_config *config)
{
    enum mr_exit code = make ? mr_call_place(call) : mr_call_find(call);

    if (code)
        return code;
    if (call->common->verbose)
        config->diag = say_diag;
    while (mr_engine_open(&call->engine, call->directory, config, &call->error))
        if (!mr_call_waits(call))
            return mr_call_failed(call, NULL);
    say_recovery(call->engine);
    return MR_EXIT_OK;
}

enum mr_exit mr_call_open(struct mr_call *call, bool make)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;

    return mr_call_open_as(call, make, &config);
}

static bool offer_stream(void *context, const struct mr_stream_info *info)
{
    mr_guess_offer(context, info->name);
    return true;
}

static bool stream_exists(const struct mr_call *call, const char *stream)
{
    struct mr_stream_info info;

    return call->engine && mr_stream_describe(call->engine, stream, &info, NULL) == MR_OK;
}

static void say_next_of_missing(struct mr_call *call, const char *stream)
{
    struct mr_guess guess = MR_GUESS(stream);

    if (stream_exists(call, stream)) {
        mr_say("try: millrace shards %s   lists the shards", stream);
        return;
    }
    mr_stream_each(call->engine, offer_stream, &guess);
    if (*guess.best)
        mr_say("did you mean '%s'?", guess.best);
    mr_say("try: millrace list               lists the streams of %s", call->directory);
    mr_say("     millrace create %s --shards 4   makes it", stream);
}

enum mr_exit mr_call_failed(struct mr_call *call, const char *stream)
{
    mr_status status = call->error.status;

    mr_say("millrace: %s%s%s", mr_colour_on(stderr, MR_RED), call->error.message,
           mr_colour_off(stderr));
    switch (status) {
    case MR_NOT_FOUND:
        if (stream && call->engine)
            say_next_of_missing(call, stream);
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
        mr_say("try: millrace --data %s check   says what is damaged", call->directory);
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

enum mr_exit mr_call_misused(struct mr_call *call, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mr_say("millrace %s: %s", call->command->name, text);
    mr_say("try: millrace %s --help", call->command->name);
    return MR_EXIT_USAGE;
}

enum mr_exit mr_call_shard(struct mr_call *call, const char *text, mr_shard_id *shard)
{
    if (mr_shard_parse(text, shard, &call->error))
        return mr_call_misused(
            call, "'%s' is no shard: use its number, as 2 or shardId-000000000002", text);
    return MR_EXIT_OK;
}
