/* bridge.c - records between streams and Kafka topics: the command; the work is in kafka/. */
#include "kafka/bridge.h"
#include "command.h"
#include "kafka/file.h"
#include "kafka/show.h"
#include "output.h"

#include "base/memory.h"
#include "os/thread.h"

#include <stdio.h>
#include <string.h>

#define SCHEME "kafka://"
#define LOOK_MS 1000

/* One way of one stream. */
struct one {
    struct mr_cli *cli;
    const struct mr_bridge_options *options;
    struct mr_kafka_properties properties;
    struct mr_bridge_config config;
    char *name, *brokers;
    struct mr_bridge *bridge;
    pthread_t thread;
    mr_status status;
    mr_error error;
    _Atomic bool is_over;
};

/* ---- what was asked for ------------------------------------------------------------------- */

static bool is_kafka(const char *text)
{
    return strncmp(text, SCHEME, strlen(SCHEME)) == 0;
}

static enum mr_exit read_places(struct one *one, const char *source, const char *target)
{
    const char *url, *slash;

    if (is_kafka(source) == is_kafka(target))
        return mr_cli_misused(one->cli, "one of SOURCE and TARGET is a stream, the other is "
                                        "kafka://HOST:PORT/TOPIC");
    one->config.is_outward = is_kafka(target);
    one->config.stream = one->config.is_outward ? source : target;
    url = (one->config.is_outward ? target : source) + strlen(SCHEME);
    slash = strchr(url, '/');
    if (!slash || slash == url || !slash[1] || strlen(slash + 1) > MR_TOPIC_BYTES_MAX ||
        strlen(one->config.stream) > MR_NAME_BYTES_MAX)
        return mr_cli_misused(one->cli, "Kafka's side is kafka://HOST:PORT[,HOST:PORT...]/TOPIC");
    one->brokers = mr_copy_text(url);
    one->brokers[slash - url] = 0;
    one->config.brokers = one->brokers;
    one->config.topic = slash + 1;
    return MR_EXIT_OK;
}

static enum mr_exit read_name(struct one *one)
{
    size_t size = strlen(one->config.stream) + strlen(one->config.topic) + 2;

    if (one->options->name && (!*one->options->name || strchr(one->options->name, '/') ||
                               strlen(one->options->name) > MR_NAME_BYTES_MAX))
        return mr_cli_misused(one->cli, "--name takes 1 to %d characters, none of them /",
                              MR_NAME_BYTES_MAX);
    one->name = mr_alloc(size);
    snprintf(one->name, size, "%s-%s", one->config.stream, one->config.topic);
    one->config.name = one->options->name ? one->options->name : one->name;
    if (strlen(one->config.name) > MR_NAME_BYTES_MAX)
        return mr_cli_misused(one->cli,
                              "the names are long: give the bridge a shorter one, --name");
    return MR_EXIT_OK;
}

static enum mr_exit read_trouble(struct one *one)
{
    static const char *const words[] = {"stop", "dlq", "retry"};
    const char *word = one->options->on_error;

    one->config.dead_letters = one->options->dead_letters;
    one->config.on_error = one->options->dead_letters ? MR_ON_ERROR_DLQ : MR_ON_ERROR_STOP;
    for (unsigned i = 0; word && i < 3; i++)
        if (strcmp(word, words[i]) == 0) {
            one->config.on_error = (enum mr_on_error)i;
            word = NULL;
        }
    if (word)
        return mr_cli_misused(one->cli, "--on-error takes stop, dlq or retry, not '%s'", word);
    if (one->config.on_error == MR_ON_ERROR_DLQ && !one->config.dead_letters)
        return mr_cli_misused(one->cli, "--on-error dlq needs --dead-letters");
    return MR_EXIT_OK;
}

static enum mr_exit read_properties(struct one *one)
{
    const struct mr_texts *texts = &one->options->kafka_property;
    struct mr_cli *cli = one->cli;

    if (one->options->kafka_config &&
        mr_kafka_properties_read(&one->properties, one->options->kafka_config, &cli->error))
        return mr_cli_failed(cli, NULL);
    for (size_t i = 0; i < texts->count; i++)
        if (mr_kafka_property_add(&one->properties, texts->values[i], &cli->error))
            return mr_cli_misused(cli, "%s", cli->error.message);
    one->config.properties = &one->properties;
    return MR_EXIT_OK;
}

static enum mr_exit read_numbers(struct one *one)
{
    const struct mr_bridge_options *options = one->options;

    if (options->memory < 8 || options->memory > 65536)
        return mr_cli_misused(one->cli, "--memory takes 8 to 65536 MiB");
    if (options->create > 10000)
        return mr_cli_misused(one->cli, "--create takes 1 to 10000");
    one->config.memory_bytes = options->memory << 20;
    one->config.create_count = (uint32_t)options->create;
    return MR_EXIT_OK;
}

static enum mr_exit read_one(struct one *one, const char *source, const char *target)
{
    const struct mr_bridge_options *options = one->options;
    enum mr_exit code = read_places(one, source, target);

    one->config.partitioning = (enum mr_partitioning)options->partitioner;
    one->config.at_least_once = options->at_least_once;
    one->config.state_topic = options->state_topic;
    one->config.from_latest = options->from == 1;
    one->config.wraps_headers = options->headers == 1;
    one->config.is_once = options->once;
    if (!code)
        code = read_name(one);
    if (!code)
        code = read_trouble(one);
    if (!code)
        code = read_numbers(one);
    if (!code)
        code = read_properties(one);
    return code;
}

/* ---- work --------------------------------------------------------------------------------- */

static void *work(void *context)
{
    struct one *one = context;

    one->status = mr_bridge_run(one->bridge, &one->error);
    atomic_store(&one->is_over, true);
    atomic_fetch_add(mr_interrupt_word(), 1);
    mr_word_wake(mr_interrupt_word(), true);
    return NULL;
}

struct many {
    struct mr_cli *cli;
    struct mr_bridge_file file;
    struct one *items;
    size_t count;
    struct mr_bridge_shown *shown; /* what show.c looks at */
};

static bool are_over(const struct many *many)
{
    for (size_t i = 0; i < many->count; i++)
        if (!atomic_load(&many->items[i].is_over))
            return false;
    return true;
}

/* One that cannot go on does not stop the others. */
static void watch(struct many *many, struct mr_bridge_show *show)
{
    _Atomic uint32_t *word = mr_interrupt_word();

    while (!mr_interrupted() && !are_over(many)) {
        uint32_t seen = atomic_load(word);

        if (!mr_interrupted() && !are_over(many))
            mr_word_wait(word, seen, LOOK_MS / 4);
        mr_bridge_show_step(show);
    }
}

static enum mr_exit run(struct many *many)
{
    const struct mr_bridge_options *options = many->cli->options;
    struct mr_bridge_show *show;
    enum mr_exit code = MR_EXIT_OK;
    mr_error error;

    for (size_t i = 0; i < many->count; i++)
        many->shown[i] = (struct mr_bridge_shown){many->items[i].bridge, &many->items[i].config};
    if (mr_bridge_show_open(&show, many->shown, many->count, options, &many->cli->error))
        return mr_cli_failed(many->cli, NULL);
    mr_interrupt_catch();
    for (size_t i = 0; i < many->count; i++)
        many->items[i].thread = mr_thread_start("bridge", work, &many->items[i]);
    watch(many, show);
    for (size_t i = 0; i < many->count; i++)
        mr_bridge_stop(many->items[i].bridge);
    for (size_t i = 0; i < many->count; i++) {
        struct one *one = &many->items[i];

        pthread_join(one->thread, NULL);
        error = one->error;
        if (one->status) {
            many->cli->error = error;
            code = mr_cli_failed(many->cli, one->config.stream);
        }
    }
    mr_bridge_show_close(show);
    return code;
}

static enum mr_exit open_all(struct many *many)
{
    struct mr_cli *cli = many->cli;
    mr_service *service;

    for (size_t i = 0; i < many->count; i++) {
        struct one *one = &many->items[i];

        one->config.place = &cli->place;
        if (mr_bridge_open(&one->bridge, &one->config, &cli->error))
            return mr_cli_failed(cli, one->config.stream);
    }
    if (mr_cli_service(cli, &service)) /* which must see the streams that were made */
        return mr_cli_failed(cli, NULL);
    for (size_t i = 0; i < many->count; i++)
        many->items[i].config.service = service;
    return MR_EXIT_OK;
}

static enum mr_exit prepare(struct many *many)
{
    struct mr_cli *cli = many->cli;
    const struct mr_bridge_options *options = cli->options;
    enum mr_exit code = MR_EXIT_OK;

    if (options->config ? cli->argument_count > 0 : cli->argument_count != 2)
        return mr_cli_misused(cli, "it takes SOURCE and TARGET, or --config FILE");
    if (options->config && mr_bridge_file_read(&many->file, options->config, cli->command->options,
                                               options, &cli->error))
        return cli->error.status == MR_INVALID ? mr_cli_misused(cli, "%s", cli->error.message)
                                               : mr_cli_failed(cli, NULL);
    many->count = options->config ? many->file.count : 1;
    many->items = mr_alloc_zero(many->count, sizeof *many->items);
    many->shown = mr_alloc_zero(many->count, sizeof *many->shown);
    for (size_t i = 0; !code && i < many->count; i++) {
        const struct mr_bridge_section *section = options->config ? &many->file.items[i] : NULL;

        many->items[i].cli = cli;
        many->items[i].options = section ? &section->options : options;
        code = section ? read_one(&many->items[i], section->source, section->target)
                       : read_one(&many->items[i], cli->arguments[0], cli->arguments[1]);
    }
    if (!code)
        code = mr_cli_reach(cli, options->create > 0);
    return code ? code : open_all(many);
}

enum mr_exit mr_command_bridge(struct mr_cli *cli)
{
    struct many many = {.cli = cli};
    enum mr_exit code = prepare(&many);

    if (!code)
        code = run(&many);
    for (size_t i = 0; i < many.count; i++) {
        struct one *one = &many.items[i];

        mr_bridge_close(one->bridge);
        mr_kafka_properties_fini(&one->properties);
        mr_free(one->name);
        mr_free(one->brokers);
    }
    mr_free(many.items);
    mr_free(many.shown);
    mr_bridge_file_fini(&many.file);
    return code;
}
