#include "command.h"
#include "json_line.h"
#include "os/socket.h"
#include "os/thread.h"
#include "output.h"
#include "server/guard.h"
#include "server/kinesis.h"
#include "serving.h"

#include <stdio.h>
#include <string.h>

#define STOP_MS 10000 /* for answers under way */

struct serving {
    struct mr_cli *cli;
    const struct mr_serve_options *options;
    struct mr_guard *guard; /* NULL: everybody may call */
    struct mr_kinesis *kinesis;
    struct mr_server *server;
};

static void say_line(void *context, const char *line)
{
    (void)context;
    mr_say("%s", line);
}

static mr_status open_guard(struct serving *serving)
{
    const struct mr_serve_options *options = serving->options;
    const struct mr_guard_config config = {
        .path = options->auth, .account_id = options->account_id, .region = options->region};

    if (!options->auth)
        return MR_OK;
    mr_reload_catch();
    return mr_guard_open(&serving->guard, &config, &serving->cli->error);
}

static void reload_guard(struct serving *serving)
{
    mr_error error;

    if (mr_guard_reload(serving->guard, &error))
        mr_say("millrace: users stay as they were: %s", error.message);
    else
        mr_say("users read again from %s", serving->options->auth);
}

static mr_status open_server(struct serving *serving)
{
    const struct mr_serve_options *options = serving->options;
    struct mr_kinesis_config kinesis_config = {.account_id = options->account_id,
                                               .region = options->region,
                                               .shard_count_max = (uint32_t)options->shard_limit,
                                               .state_delay_ms = (uint32_t)options->state_delay,
                                               .has_limits = options->limits == 0,
                                               .guard = serving->guard};
    struct mr_server_config server_config = {.address = options->address,
                                             .port = (uint16_t)options->port,
                                             .loop_count = (unsigned)options->loops,
                                             .tls_cert = options->tls_cert,
                                             .tls_key = options->tls_key,
                                             .handle = mr_kinesis_handle,
                                             .diag = say_line};
    mr_status status = mr_kinesis_open(&serving->kinesis, serving->cli->engine, &kinesis_config,
                                       &serving->cli->error);

    if (status)
        return status;
    server_config.context = serving->kinesis;
    return mr_server_open(&serving->server, &server_config, &serving->cli->error);
}

static void say_where(const struct serving *serving)
{
    const struct mr_serve_options *options = serving->options;
    bool is_v6 = strchr(options->address, ':') != NULL;
    const char *region = options->region ? options->region : "us-east-1";
    struct mr_json_line line = MR_JSON_LINE;
    unsigned port = mr_server_port(serving->server);
    char url[128];

    snprintf(url, sizeof url, "%s://%s%.64s%s:%u", options->tls_cert ? "https" : "http",
             is_v6 ? "[" : "", options->address, is_v6 ? "]" : "", port);
    mr_say("serving Kinesis at %s%s, from %s; ^C ends it", url,
           options->tls_cert ? " (http, too)" : "", serving->cli->directory);
    mr_say("try: export AWS_ENDPOINT_URL=%s AWS_DEFAULT_REGION=%s %s%s", url, region,
           options->auth ? "and a key of " : "AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x",
           options->auth ? options->auth : "");
    mr_say("     aws kinesis create-stream --stream-name first && aws kinesis list-streams");
    if (!serving->cli->common->json)
        return;
    mr_json_open(&line, '{');
    mr_json_name(&line, "url");
    mr_json_text(&line, url);
    mr_json_name(&line, "port");
    mr_json_count(&line, port);
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
    fflush(stdout);
}

/* For commands on this machine: with TLS the port takes plain HTTP, too. */
static void note_address(const struct serving *serving)
{
    const char *address = serving->options->address;
    bool is_any = strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
    bool is_v6 = strchr(address, ':') != NULL;
    char url[MR_SERVING_BYTES];

    snprintf(url, sizeof url, "http://%s%.64s%s:%u", is_v6 && !is_any ? "[" : "",
             is_any ? "127.0.0.1" : address, is_v6 && !is_any ? "]" : "",
             mr_server_port(serving->server));
    mr_serving_note(serving->cli->directory, url);
}

static void wait_for_the_end(struct serving *serving)
{
    _Atomic uint32_t *word = mr_interrupt_word();
    uint32_t seen = atomic_load(word), reload_count = 0;

    while (!mr_interrupted()) {
        if (mr_reload_count() != reload_count) {
            reload_count = mr_reload_count();
            reload_guard(serving);
        }
        mr_word_wait(word, seen, UINT32_MAX);
        seen = atomic_load(word);
    }
}

static void close_server(struct serving *serving)
{
    size_t cut_count = mr_server_stop(serving->server, STOP_MS);

    if (cut_count)
        mr_say("millrace: %zu connections were cut: their clients did not read", cut_count);
    mr_kinesis_drain(serving->kinesis);
    mr_server_close(serving->server);
}

enum mr_exit mr_command_serve(struct mr_cli *cli)
{
    const struct mr_serve_options *options = cli->options;
    struct serving serving = {.cli = cli, .options = options};
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    enum mr_exit code;
    mr_status status;

    if (options->port > UINT16_MAX)
        return mr_cli_misused(cli, "--port is 0 to 65535");
    if (options->state_delay > 3600000)
        return mr_cli_misused(cli, "--state-delay is at most 3600000, an hour");
    if (options->shard_limit < 1 || options->shard_limit > config.shard_count_max)
        return mr_cli_misused(cli, "--shard-limit is 1 to %u", config.shard_count_max);
    if (options->loops > 64)
        return mr_cli_misused(cli, "--loops is at most 64");
    if (!options->tls_cert != !options->tls_key)
        return mr_cli_misused(cli, "--tls-cert and --tls-key come together");
    config.journal_prewrite = true;
    if (options->limits == 0)
        config.limits = MR_LIMITS_KINESIS;
    code = mr_cli_open_as(cli, true, &config);
    if (code)
        return code;
    mr_files_allow_most(); /* a connection is one */
    mr_interrupt_catch();
    status = open_guard(&serving);
    if (!status)
        status = open_server(&serving);
    if (!status) {
        note_address(&serving);
        say_where(&serving);
        wait_for_the_end(&serving);
        close_server(&serving);
    }
    mr_kinesis_close(serving.kinesis);
    mr_guard_close(serving.guard);
    return status ? mr_cli_failed(cli, NULL) : MR_EXIT_OK;
}
