#include "command.h"
#include "json_line.h"
#include "os/entropy.h"
#include "os/socket.h"
#include "os/thread.h"
#include "os/warp.h"
#include "output.h"
#include "server/audit.h"
#include "server/fault.h"
#include "server/guard.h"
#include "server/kinesis.h"
#include "server/self_signed.h"
#include "serving.h"
#include "settings.h"
#include "starting.h"
#include "systemd.h"

#include <stdio.h>
#include <string.h>

#define STOP_MS 10000 /* for answers under way */

struct serving {
    struct mr_cli *cli;
    struct mr_settings settings;
    const struct mr_serve_options *options; /* of the settings */
    struct mr_warp warp;
    struct mr_self_signed self_signed;
    const char *tls_cert, *tls_key; /* NULL: no TLS */
    struct mr_guard *guard;         /* NULL: everybody may call */
    struct mr_audit *audit;         /* NULL: none */
    struct mr_faults *faults;
    struct mr_kinesis *kinesis;
    struct mr_server *server;
};

static void say_line(void *context, const char *line)
{
    (void)context;
    mr_say("%s", line);
}

static const char *region_of(const struct serving *serving)
{
    return serving->options->region ? serving->options->region : "us-east-1";
}

/* ---- parts -------------------------------------------------------------------------------- */

static mr_status open_guard(struct serving *serving)
{
    const struct mr_serve_options *options = serving->options;
    const struct mr_guard_config config = {
        .path = options->auth, .account_id = options->account_id, .region = options->region};

    return options->auth ? mr_guard_open(&serving->guard, &config, &serving->cli->error) : MR_OK;
}

static mr_status open_audit(struct serving *serving)
{
    const struct mr_audit_config config = {.path = serving->options->audit,
                                           .account_id = serving->options->account_id,
                                           .region = region_of(serving),
                                           .diag = say_line};

    return config.path ? mr_audit_open(&serving->audit, &config, &serving->cli->error) : MR_OK;
}

static mr_status open_faults(struct serving *serving)
{
    const struct mr_texts *rules = &serving->options->fault;
    char text[MR_TEXTS_MAX * MR_FAULT_TEXT_BYTES] = "";
    size_t size = 0;
    uint64_t seed;

    mr_entropy(&seed, sizeof seed);
    serving->faults = mr_faults_new(seed);
    for (size_t i = 0; i < rules->count; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s\n", rules->values[i]);
    return mr_faults_set(serving->faults, (mr_bytes){text, size}, &serving->cli->error);
}

static void say_trust(const char *ca)
{
    mr_say("made a certificate authority for this machine only; clients trust it by");
    mr_say("     export AWS_CA_BUNDLE=%s       the AWS CLI, boto3", ca);
    mr_say("     export NODE_EXTRA_CA_CERTS=%s the SDK for JavaScript", ca);
    mr_say("     curl --cacert %s", ca);
    mr_say("     keytool -importcert -cacerts -alias millrace -file %s", ca);
    mr_say("     sudo cp %s /usr/local/share/ca-certificates/millrace.crt", ca);
    mr_say("     sudo update-ca-certificates   all programs of this machine");
}

static mr_status open_certificate(struct serving *serving)
{
    const struct mr_serve_options *options = serving->options;
    struct mr_self_signed *files = &serving->self_signed;
    char directory[MR_PATH_BYTES + 8];
    mr_status status;

    serving->tls_cert = options->tls_cert;
    serving->tls_key = options->tls_key;
    if (options->tls != MR_TLS_SELF_SIGNED)
        return MR_OK;
    snprintf(directory, sizeof directory, "%s-tls", serving->cli->directory);
    status = mr_self_signed_open(files, directory, options->address, &serving->cli->error);
    if (status)
        return status;
    serving->tls_cert = files->cert;
    serving->tls_key = files->key;
    if (files->is_new)
        say_trust(files->ca);
    return MR_OK;
}

static mr_status open_kinesis(struct serving *serving)
{
    const struct mr_serve_options *options = serving->options;
    const struct mr_kinesis_config config = {.account_id = options->account_id,
                                             .region = options->region,
                                             .shard_count_max = (uint32_t)options->shard_limit,
                                             .state_delay_ms = (uint32_t)options->state_delay,
                                             .has_limits = options->limits == 0,
                                             .guard = serving->guard,
                                             .audit = serving->audit,
                                             .faults = serving->faults,
                                             .warp = &serving->warp,
                                             .has_admin = options->admin == 0,
                                             .metrics = (enum mr_reach)options->metrics};

    return mr_kinesis_open(&serving->kinesis, serving->cli->engine, &config, &serving->cli->error);
}

static mr_status open_server(struct serving *serving)
{
    const struct mr_serve_options *options = serving->options;
    const struct mr_server_config config = {.address = options->address,
                                            .port = (uint16_t)options->port,
                                            .listener = mr_systemd_listener(),
                                            .loop_count = (unsigned)options->loops,
                                            .tls_cert = serving->tls_cert,
                                            .tls_key = serving->tls_key,
                                            .handle = mr_kinesis_handle,
                                            .context = serving->kinesis,
                                            .diag = say_line};

    return mr_server_open(&serving->server, &config, &serving->cli->error);
}

static mr_status open_all(struct serving *serving)
{
    mr_status status = open_guard(serving);

    if (!status)
        status = open_audit(serving);
    if (!status)
        status = open_faults(serving);
    if (!status)
        status = open_certificate(serving);
    if (!status && serving->options->streams)
        status =
            mr_start_streams(serving->cli->engine, serving->options->streams, &serving->cli->error);
    if (!status)
        status = open_kinesis(serving);
    return status ? status : open_server(serving);
}

/* ---- words -------------------------------------------------------------------------------- */

static void say_where(const struct serving *serving)
{
    const struct mr_serve_options *options = serving->options;
    bool is_v6 = strchr(options->address, ':') != NULL;
    struct mr_json_line line = MR_JSON_LINE;
    unsigned port = mr_server_port(serving->server);
    char url[128];

    snprintf(url, sizeof url, "%s://%s%.64s%s:%u", serving->tls_cert ? "https" : "http",
             is_v6 ? "[" : "", options->address, is_v6 ? "]" : "", port);
    mr_say("serving Kinesis at %s%s, from %s; ^C ends it", url,
           serving->tls_cert ? " (http, too)" : "", serving->cli->directory);
    if (options->clock_rate > 1)
        mr_say("its time passes %u times as fast as the real one", (unsigned)options->clock_rate);
    if (options->fault.count)
        mr_say("it makes trouble: %zu fault %s set", options->fault.count,
               options->fault.count == 1 ? "rule is" : "rules are");
    mr_say("try: export AWS_ENDPOINT_URL=%s AWS_DEFAULT_REGION=%s %s%s", url, region_of(serving),
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

/* ---- until the end ------------------------------------------------------------------------ */

/* Each part by itself: what cannot be read stays as it was. */
static void reload(struct serving *serving)
{
    mr_error error;

    mr_systemd_notify("RELOADING=1");
    if (serving->guard && mr_guard_reload(serving->guard, &error))
        mr_say("millrace: users stay as they were: %s", error.message);
    else if (serving->guard)
        mr_say("users read again from %s", serving->options->auth);
    if (serving->tls_cert && mr_server_reload(serving->server, &error))
        mr_say("millrace: the certificate stays as it was: %s", error.message);
    else if (serving->tls_cert)
        mr_say("certificate read again from %s", serving->tls_cert);
    if (serving->audit && mr_audit_reopen(serving->audit, &error))
        mr_say("millrace: the audit log stays where it was: %s", error.message);
    mr_systemd_notify("READY=1");
}

static void wait_for_the_end(struct serving *serving)
{
    _Atomic uint32_t *word = mr_interrupt_word();
    uint32_t seen = atomic_load(word), reload_count = 0;

    while (!mr_interrupted()) {
        if (mr_reload_count() != reload_count) {
            reload_count = mr_reload_count();
            reload(serving);
        }
        mr_word_wait(word, seen, UINT32_MAX);
        seen = atomic_load(word);
    }
}

static void serve(struct serving *serving)
{
    size_t cut_count;

    note_address(serving);
    say_where(serving);
    mr_systemd_notify("READY=1");
    wait_for_the_end(serving);
    mr_systemd_notify("STOPPING=1");
    cut_count = mr_server_stop(serving->server, STOP_MS);
    if (cut_count)
        mr_say("millrace: %zu connections were cut: their clients did not read", cut_count);
    mr_kinesis_drain(serving->kinesis);
    mr_server_close(serving->server);
}

static enum mr_exit run(struct serving *serving)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    struct mr_cli *cli = serving->cli;
    enum mr_exit code;
    mr_status status;

    config.journal_prewrite = true;
    if (serving->options->limits == 0)
        config.limits = MR_LIMITS_KINESIS;
    mr_warp_init(&serving->warp, (uint32_t)serving->options->clock_rate);
    code = mr_cli_open_by(cli, &serving->warp.clock, &config);
    if (code)
        return code;
    mr_files_allow_most(); /* a connection is one */
    mr_interrupt_catch();
    mr_reload_catch();
    status = open_all(serving);
    if (!status)
        serve(serving);
    mr_kinesis_close(serving->kinesis);
    mr_faults_free(serving->faults);
    mr_audit_close(serving->audit);
    mr_guard_close(serving->guard);
    return status ? mr_cli_failed(cli, NULL) : MR_EXIT_OK;
}

enum mr_exit mr_command_serve(struct mr_cli *cli)
{
    static struct serving serving; /* its clock is the engine's, which is closed after us */
    enum mr_exit code;
    mr_status status;

    serving.cli = cli;
    serving.options = &serving.settings.options;
    status = mr_settings_read(&serving.settings, cli, &cli->error);
    if (status == MR_INVALID)
        code = mr_cli_misused(cli, "%s", cli->error.message);
    else if (status)
        code = mr_cli_failed(cli, NULL);
    else {
        cli->common = &serving.settings.options.common;
        code = run(&serving);
    }
    return code;
}
