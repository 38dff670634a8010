#include "base/config.h"
#include "base/fail.h"
#include "base/memory.h"
#include "wire/remote.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *text)
{
    return text && *text ? mr_copy_text(text) : NULL;
}

static mr_status check(const struct mr_remote_config *config, mr_error *error)
{
    const struct {
        const char *name;
        uint32_t value, least, most;
    } numbers[] = {
        {"attempt_count", config->attempt_count, 1, 20},
        {"backoff_ms", config->backoff_ms, 1, 60000},
        {"backoff_max_ms", config->backoff_max_ms, config->backoff_ms, 600000},
        {"timeout_ms", config->timeout_ms, 1, 3600000},
        {"connect_ms", config->connect_ms, 1, 3600000},
        {"connection_count", config->connection_count, 1, 10000},
    };

    if (config->format != MR_REMOTE_CBOR && config->format != MR_REMOTE_JSON)
        return mr_fail(error, MR_INVALID, "there is no format %d", (int)config->format);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value < numbers[i].least || numbers[i].value > numbers[i].most)
            return mr_fail(error, MR_INVALID, "%s must be %" PRIu32 " to %" PRIu32 ", not %" PRIu32,
                           numbers[i].name, numbers[i].least, numbers[i].most, numbers[i].value);
    if (!config->access_key_id != !config->secret_access_key)
        return mr_fail(error, MR_INVALID, "access_key_id and secret_access_key come together");
    return MR_OK;
}

/* ---- the endpoint ------------------------------------------------------------------------- */

static bool is_of_aws(const char *host)
{
    return strstr(host, ".amazonaws.com") != NULL;
}

static bool is_this_machine(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0;
}

/* The host as a client writes it into its field. */
static char *host_field(CURLU *url, const char *host)
{
    char *port = NULL, field[300];

    if (curl_url_get(url, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT) == CURLUE_OK)
        snprintf(field, sizeof field, "%s:%s", host, port);
    else
        snprintf(field, sizeof field, "%s", host);
    curl_free(port);
    return mr_copy_text(field);
}

static mr_status read_url(struct mr_remote_settings *settings, const char *endpoint,
                          mr_error *error)
{
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL, *path = NULL;
    bool is_good = curl_url_set(url, CURLUPART_URL, endpoint, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                   curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK && strlen(host) < 256 &&
                   curl_url_get(url, CURLUPART_PATH, &path, CURLU_URLENCODE) == CURLUE_OK &&
                   (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

    if (is_good) {
        settings->url = mr_copy_text(endpoint);
        settings->host = host_field(url, host);
        settings->path = mr_copy_text(path);
        settings->is_local = is_this_machine(host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(path);
    curl_url_cleanup(url);
    if (!is_good)
        return mr_fail(error, MR_INVALID,
                       "'%.100s' is no endpoint: it is like http://127.0.0.1:4567", endpoint);
    return MR_OK;
}

static mr_status find_endpoint(struct mr_remote_settings *settings, const char *endpoint,
                               mr_error *error)
{
    const char *region = settings->credentials.region;
    char url[200];

    if (endpoint && *endpoint)
        return read_url(settings, endpoint, error);
    if (!region)
        return mr_fail(error, MR_NOT_FOUND,
                       "no region is known: set AWS_REGION, or use an endpoint");
    snprintf(url, sizeof url, "https://kinesis.%.64s.amazonaws.com%s", region,
             strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
    return read_url(settings, url, error);
}

/* ---- who signs ---------------------------------------------------------------------------- */

static mr_status find_credentials(struct mr_remote_settings *settings,
                                  const struct mr_remote_config *config, mr_error *error)
{
    struct mr_credentials *credentials = &settings->credentials;
    mr_status status;

    credentials->region = copy(config->region);
    if (config->access_key_id) {
        credentials->access_key_id = copy(config->access_key_id);
        credentials->secret = copy(config->secret_access_key);
        credentials->session_token = copy(config->session_token);
        settings->is_keyed = true;
    }
    status = mr_credentials_find(config->profile, credentials, error);
    /* A file that fails matters only to who needs it. */
    return credentials->access_key_id && credentials->region ? MR_OK : status;
}

/* What a server that looks at nothing is told. */
static mr_status fill_credentials(struct mr_remote_settings *settings, mr_error *error)
{
    struct mr_credentials *credentials = &settings->credentials;

    if (!credentials->region)
        credentials->region = mr_copy_text("us-east-1");
    if (credentials->access_key_id)
        return MR_OK;
    if (is_of_aws(settings->host))
        return mr_fail(error, MR_NOT_FOUND,
                       "no credentials for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                       "or write ~/.aws/credentials (aws configure does)");
    credentials->access_key_id = mr_copy_text("millrace");
    credentials->secret = mr_copy_text("millrace");
    settings->is_keyed = true;
    return MR_OK;
}

mr_status mr_remote_settings_init(struct mr_remote_settings *settings,
                                  const struct mr_remote_config *config, mr_error *error)
{
    struct mr_remote_config merged = MR_REMOTE_CONFIG_DEFAULT;
    mr_status status =
        mr_config_merge(&merged, sizeof merged, config, "MR_REMOTE_CONFIG_DEFAULT", error);

    *settings = (struct mr_remote_settings){.url = NULL};
    if (!status)
        status = check(&merged, error);
    if (!status)
        status = find_credentials(settings, &merged, error);
    if (!status)
        status = find_endpoint(settings, merged.endpoint, error);
    if (!status)
        status = fill_credentials(settings, error);
    if (status) {
        mr_remote_settings_fini(settings);
        return status;
    }
    settings->ca_file = copy(merged.ca_file ? merged.ca_file : getenv("AWS_CA_BUNDLE"));
    settings->profile = copy(merged.profile);
    settings->format = merged.format == MR_REMOTE_JSON ? MR_FORMAT_JSON : MR_FORMAT_CBOR;
    settings->numbers = merged;
    return MR_OK;
}

void mr_remote_settings_fini(struct mr_remote_settings *settings)
{
    mr_free(settings->url);
    mr_free(settings->host);
    mr_free(settings->path);
    mr_free(settings->ca_file);
    mr_free(settings->profile);
    mr_credentials_fini(&settings->credentials);
}
