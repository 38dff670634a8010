/* consume.c - any program as a record processor, by the protocol of the KCL's MultiLangDaemon. */
#include "command.h"
#include "gen/amount.h"
#include "json_line.h"
#include "leases.h"
#include "multilang/processor.h"
#include "multilang/properties.h"
#include "os/clock.h"
#include "os/fs.h"
#include "os/thread.h"
#include "output.h"
#include "when.h"

#include "base/fail.h"
#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROPERTIES_BYTES_MAX ((size_t)1 << 20)
#define GRACE_MS 10000 /* for programs to finish what they do when we are asked to end */

struct consume {
    struct mr_cli *cli;
    const struct mr_consume_options *options;
    struct mr_kcl_properties properties; /* empty without --properties */
    struct mr_remote_config remote;
    char **argv;      /* of the program */
    char *executable; /* what it points into, of properties */
    uint32_t grace_ms;
    struct mr_multilang multilang;
    struct mr_lease_home home;
    struct mr_consumer_config config;
    mr_consumer *consumer;
    mr_status status; /* of mr_consumer_run() */
    mr_error error;
    _Atomic bool is_over;
};

/* ---- properties --------------------------------------------------------------------------- */

static void say_property(void *context, unsigned line, bool is_fault, const char *text)
{
    const struct consume *consume = context;
    const char *path = consume->options->properties;
    const char *kind = is_fault ? "" : "note: ";

    if (line)
        mr_say("%s:%u: %s%s", path, line, kind, text);
    else
        mr_say("%s: %s%s", path, kind, text);
}

/* The program's words of the command line. */
static void copy_arguments(struct consume *consume)
{
    const struct mr_cli *cli = consume->cli;

    consume->argv = mr_alloc_zero(cli->argument_count, sizeof *consume->argv); /* and a NULL */
    memcpy(consume->argv, cli->arguments + 1, (cli->argument_count - 1) * sizeof *consume->argv);
}

/* "python3 app.py": what stands between blanks are its arguments, as the KCL has it. */
static void split_executable(struct consume *consume)
{
    char *text = mr_copy_text(consume->properties.values[MR_KEY_EXECUTABLE]), *rest = text, *word;
    size_t count = 0, capacity = 0;

    consume->executable = text;
    do {
        word = strtok_r(rest, " \t", &rest);
        mr_grow(consume->argv, count, capacity);
        consume->argv[count++] = word;
    } while (word);
}

static enum mr_exit read_properties(struct consume *consume)
{
    struct mr_cli *cli = consume->cli;
    uint8_t *bytes;
    size_t size;
    mr_status status = mr_fs_read_all(mr_fs_posix(), consume->options->properties,
                                      PROPERTIES_BYTES_MAX, &bytes, &size, &cli->error);

    if (status)
        return mr_cli_failed(cli, NULL);
    status = mr_kcl_properties_read(&consume->properties, (mr_bytes){bytes, size}, say_property,
                                    consume, &cli->error);
    mr_free(bytes);
    if (status)
        return mr_cli_misused(cli, "%s has %s", consume->options->properties, cli->error.message);
    split_executable(consume);
    return MR_EXIT_OK;
}

static void apply_properties(struct consume *consume)
{
    const struct mr_kcl_properties *properties = &consume->properties;
    struct mr_consumer_config *config = &consume->config;
    const char *version = properties->values[MR_KEY_CLIENT_VERSION];

#define NUMBER(KEY, field)                                                                         \
    config->field = (uint32_t)mr_kcl_properties_number(properties, MR_KEY_##KEY, config->field)
    NUMBER(FAILOVER_MS, lease_ms);
    NUMBER(SHARD_SYNC_MS, shard_sync_ms);
    NUMBER(MAX_RECORDS, batch_count_max);
    NUMBER(MAX_LEASES, lease_count_max);
    NUMBER(MAX_STEAL, steal_count_max);
    NUMBER(HANDOFF_MS, handover_ms);
    NUMBER(IDLE_MS, poll_ms);
#undef NUMBER
    if (mr_kcl_properties_number(properties, MR_KEY_THREADS, 0) > 0)
        config->thread_count_max =
            (uint32_t)mr_kcl_properties_number(properties, MR_KEY_THREADS, 0);
    if (config->poll_ms < config->call_ms)
        config->call_ms = config->poll_ms;
    /* Workers of the KCL 2 do not hand over. */
    if (!mr_kcl_properties_bool(properties, MR_KEY_HANDOFF, true) ||
        (version && strstr(version, "2X")))
        config->handover_ms = 0;
    config->calls_when_empty =
        mr_kcl_properties_bool(properties, MR_KEY_CALL_WHEN_EMPTY, config->calls_when_empty);
    config->stream = properties->stream;
    config->application = properties->values[MR_KEY_APPLICATION];
    config->worker = properties->values[MR_KEY_WORKER];
    config->from = properties->from;
    if (*properties->consumer_name)
        config->fan_out_name = properties->consumer_name;
    /* As the KCL: who wants no fan-out says so. */
    if (properties->is_fan_out || (!properties->is_polling && consume->cli->place.service))
        config->retrieval = MR_RETRIEVE_FAN_OUT;
    consume->multilang.timeout_ms =
        (uint32_t)mr_kcl_properties_number(properties, MR_KEY_TIMEOUT_S, 0) * 1000;
    consume->grace_ms = (uint32_t)mr_kcl_properties_number(properties, MR_KEY_GRACE_MS, GRACE_MS);
}

/* ---- the command line --------------------------------------------------------------------- */

static enum mr_exit check_arguments(const struct consume *consume)
{
    const struct mr_consume_options *options = consume->options;
    struct mr_cli *cli = consume->cli;

    if (options->properties && cli->argument_count > 0)
        return mr_cli_misused(cli, "--properties names stream and program: '%s' contradicts it",
                              cli->arguments[0]);
    if (options->properties && options->application)
        return mr_cli_misused(cli, "--properties names the application: -a contradicts it");
    if (options->properties)
        return MR_EXIT_OK;
    if (cli->argument_count < 2)
        return mr_cli_misused(cli, "it takes STREAM and PROGRAM, or --properties FILE");
    if (!options->application)
        return mr_cli_misused(cli, "-a NAME is missing: whose checkpoints these are");
    return MR_EXIT_OK;
}

static enum mr_exit read_span(const struct consume *consume, const char *name, const char *text,
                              uint32_t *ms)
{
    double seconds;

    if (!text)
        return MR_EXIT_OK;
    if (!mr_span_parse(text, &seconds) || seconds <= 0 || seconds > 86400)
        return mr_cli_misused(consume->cli, "%s takes a time up to a day, as 30s, not '%s'", name,
                              text);
    *ms = (uint32_t)(seconds * 1000);
    return MR_EXIT_OK;
}

static enum mr_exit read_from(struct consume *consume)
{
    static const mr_start starts[] = {[MR_WHEN_START] = MR_START_TRIM_HORIZON,
                                      [MR_WHEN_LATEST] = MR_START_LATEST,
                                      [MR_WHEN_TIME] = MR_START_AT_TIME};
    struct mr_clock *clock = mr_clock_real();
    const char *text = consume->options->from;
    struct mr_when when;

    if (!text)
        return MR_EXIT_OK;
    if (mr_when_parse(text, clock->wall_ms(clock), &when, NULL) || when.kind == MR_WHEN_SEQUENCE)
        return mr_cli_misused(consume->cli, "--from takes start, latest or a time, not '%s'", text);
    consume->config.from = (mr_position){.start = starts[when.kind], .time_ms = when.time_ms};
    return MR_EXIT_OK;
}

static enum mr_exit apply_options(struct consume *consume)
{
    const struct mr_consume_options *options = consume->options;
    struct mr_consumer_config *config = &consume->config;
    enum mr_exit code = read_from(consume);

    if (!code)
        code = read_span(consume, "--failover", options->failover, &config->lease_ms);
    if (!code)
        code = read_span(consume, "--timeout", options->timeout, &consume->multilang.timeout_ms);
    if (!options->properties) {
        config->stream = consume->cli->arguments[0];
        config->application = options->application;
    }
    if (options->worker)
        config->worker = options->worker;
    if (options->fan_out)
        config->retrieval = MR_RETRIEVE_FAN_OUT;
    return code;
}

/* Found before anything begins: later it would be told once a second. */
static enum mr_exit find_program(struct consume *consume)
{
    const char *name = consume->argv[0], *path = getenv("PATH");
    char file[MR_PATH_BYTES];

    if (strchr(name, '/'))
        return access(name, X_OK) == 0
                   ? MR_EXIT_OK
                   : mr_cli_misused(consume->cli, "%s is no program that can be run", name);
    for (const char *end; path; path = *end ? end + 1 : NULL) {
        end = strchrnul(path, ':');
        snprintf(file, sizeof file, "%.*s/%s", (int)(end - path), path, name);
        if (access(file, X_OK) == 0)
            return MR_EXIT_OK;
    }
    return mr_cli_misused(consume->cli, "there is no program %s in PATH: use ./%s or a full name",
                          name, name);
}

/* ---- places ------------------------------------------------------------------------------- */

/* The command line's endpoint comes first, then that of the properties, then the environment's. */
static enum mr_exit reach(struct consume *consume)
{
    struct mr_cli *cli = consume->cli;
    const struct mr_kcl_properties *properties = &consume->properties;
    const char *endpoint = properties->values[MR_KEY_KINESIS_ENDPOINT];

    consume->remote = MR_REMOTE_CONFIG_DEFAULT;
    if (*properties->region)
        consume->remote.region = properties->region;
    if (*properties->profile)
        consume->remote.profile = properties->profile;
    if (!endpoint || cli->common->endpoint || cli->common->data)
        return mr_cli_reach(cli, false);
    consume->remote.endpoint = endpoint;
    snprintf(cli->endpoint, sizeof cli->endpoint, "%s", endpoint);
    return mr_service_connect(&cli->place.service, &consume->remote, &cli->error)
               ? mr_cli_failed(cli, NULL)
               : MR_EXIT_OK;
}

static void say_diag(void *context, const char *line)
{
    const struct consume *consume = context;

    if (consume->multilang.is_verbose || strstr(line, " reason="))
        mr_say("%s", line);
}

static enum mr_exit open_all(struct consume *consume)
{
    struct mr_cli *cli = consume->cli;
    struct mr_consumer_config *config = &consume->config;
    const char *where = consume->options->leases;
    enum mr_exit code;

    if (!where)
        where = consume->properties.values[MR_KEY_DYNAMODB_ENDPOINT];
    if (!where && consume->properties.values[MR_KEY_TABLE])
        where = "dynamodb";
    code = mr_lease_home_find(cli, where, &consume->remote, &consume->home);
    if (code)
        return code;
    if (mr_cli_service(cli, &config->service) ||
        mr_lease_home_open(&consume->home, config->stream, config->application,
                           consume->properties.values[MR_KEY_TABLE], &config->leases,
                           &cli->error) ||
        mr_curfew_init(&consume->multilang.curfew, &cli->error))
        return mr_cli_failed(cli, config->stream);
    config->processor = mr_multilang_processor;
    config->processor_context = &consume->multilang;
    config->diag = say_diag;
    config->diag_context = consume;
    return mr_consumer_open(&consume->consumer, config, &cli->error)
               ? mr_cli_failed(cli, config->stream)
               : MR_EXIT_OK;
}

/* ---- work --------------------------------------------------------------------------------- */

static void *work(void *context)
{
    struct consume *consume = context;

    consume->status = mr_consumer_run(consume->consumer, &consume->error);
    atomic_store(&consume->is_over, true);
    atomic_fetch_add(mr_interrupt_word(), 1);
    mr_word_wake(mr_interrupt_word(), true);
    return NULL;
}

static void report(const struct consume *consume)
{
    struct mr_consumer_metrics metrics;
    struct mr_json_line line = MR_JSON_LINE;
    uint64_t restarts = atomic_load(&consume->multilang.restart_count);

    mr_consumer_metrics(consume->consumer, &metrics);
    if (!consume->options->common.json) {
        mr_say("%llu records, %llu checkpoints, %llu restarts of the program",
               (unsigned long long)metrics.record_count,
               (unsigned long long)metrics.checkpoint_count, (unsigned long long)restarts);
        return;
    }
    mr_json_open(&line, '{');
    mr_json_name(&line, "record_count");
    mr_json_count(&line, metrics.record_count);
    mr_json_name(&line, "record_bytes");
    mr_json_count(&line, metrics.record_bytes);
    mr_json_name(&line, "checkpoint_count");
    mr_json_count(&line, metrics.checkpoint_count);
    mr_json_name(&line, "restart_count");
    mr_json_count(&line, restarts);
    mr_json_name(&line, "lost_count");
    mr_json_count(&line, metrics.lost_count);
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
}

static enum mr_exit run(struct consume *consume)
{
    _Atomic uint32_t *word = mr_interrupt_word();
    struct mr_clock *clock = mr_clock_real();
    struct mr_cli *cli = consume->cli;
    pthread_t worker;

    mr_interrupt_catch();
    if (consume->multilang.is_verbose)
        mr_say("%s as %s: leases in %s", consume->config.stream, consume->config.application,
               consume->home.kind == MR_LEASES_FILE ? consume->home.path : "their store");
    worker = mr_thread_start("consume", work, consume);
    while (!mr_interrupted() && !atomic_load(&consume->is_over)) {
        uint32_t seen = atomic_load(word);

        if (!mr_interrupted() && !atomic_load(&consume->is_over))
            mr_word_wait(word, seen, UINT32_MAX);
    }
    mr_curfew_set(&consume->multilang.curfew,
                  clock->monotonic_ns(clock) + (uint64_t)consume->grace_ms * 1000000);
    mr_consumer_stop(consume->consumer);
    pthread_join(worker, NULL);
    report(consume);
    if (!consume->status)
        return MR_EXIT_OK;
    cli->error = consume->error;
    return mr_cli_failed(cli, consume->config.stream);
}

static enum mr_exit prepare(struct consume *consume)
{
    enum mr_exit code = check_arguments(consume);

    if (!code && consume->options->properties)
        code = read_properties(consume);
    else if (!code)
        copy_arguments(consume);
    if (!code)
        code = find_program(consume);
    if (!code)
        code = reach(consume);
    if (!code && consume->options->properties)
        apply_properties(consume);
    if (!code)
        code = apply_options(consume);
    if (!code)
        code = open_all(consume);
    return code;
}

enum mr_exit mr_command_consume(struct mr_cli *cli)
{
    struct consume consume = {
        .cli = cli,
        .options = cli->options,
        .grace_ms = GRACE_MS,
        .multilang = {.is_verbose = cli->common->verbose, .curfew = {.fd = -1}},
        .config = MR_CONSUMER_CONFIG_DEFAULT};
    enum mr_exit code = prepare(&consume);

    consume.multilang.argv = consume.argv;
    if (!code)
        code = run(&consume);
    mr_consumer_close(consume.consumer);
    mr_lease_store_close(consume.config.leases);
    mr_lease_home_fini(&consume.home);
    mr_curfew_fini(&consume.multilang.curfew);
    mr_free(consume.argv);
    mr_free(consume.executable);
    mr_kcl_properties_fini(&consume.properties);
    return code;
}
