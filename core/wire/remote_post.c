/* remote_post.c - single signed requests that wait for their answer, for services beside Kinesis. */
#include "wire/post.h"

#include "base/fail.h"
#include "base/memory.h"
#include "wire/remote.h"
#include "wire/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES_MAX ((size_t)16 << 20)
#define IDLE_MAX 8 /* connections that are kept */

struct remote_poster {
    mr_poster poster; /* first */
    struct mr_remote_settings settings;
    char *name; /* of the service, as it is signed */
    pthread_mutex_t lock;
    CURL *idle[IDLE_MAX];
    size_t idle_count;
};

/* One request. */
struct posting {
    CURL *easy;
    struct curl_slist *fields;
    struct mr_pack *answer;
    size_t limit;
    char reason[CURL_ERROR_SIZE];
};

/* ---- the request -------------------------------------------------------------------------- */

static void add_field(struct posting *posting, const char *name, mr_bytes value)
{
    struct mr_pack line = {0};
    struct curl_slist *fields;

    mr_pack_bytes(&line, (mr_bytes){name, strlen(name)});
    mr_pack_bytes(&line, (mr_bytes){": ", 2});
    mr_pack_bytes(&line, value);
    mr_pack_u8(&line, 0);
    fields = curl_slist_append(posting->fields, (const char *)line.data);
    if (!fields)
        mr_out_of_memory(line.size);
    posting->fields = fields;
    mr_pack_fini(&line);
}

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void sign(const struct remote_poster *remote, struct posting *posting, const char *target,
                 mr_bytes body)
{
    const struct mr_credentials *credentials = &remote->settings.credentials;
    struct mr_clock *clock = mr_clock_real();
    char time[MR_SIGN_TIME_BYTES];
    struct mr_pack signature = {0};
    struct mr_sign_field fields[5];
    size_t count = 0;
    struct mr_sign signing = {.access_key_id = credentials->access_key_id,
                              .secret = credentials->secret,
                              .region = credentials->region,
                              .service = remote->name,
                              .time = time,
                              .method = "POST",
                              .path = remote->settings.path,
                              .query = "",
                              .fields = fields,
                              .body = body};

    mr_sign_time(clock->wall_ms(clock), time);
    fields[count++] =
        (struct mr_sign_field){"content-type", bytes_of("application/x-amz-json-1.0")};
    fields[count++] = (struct mr_sign_field){"host", bytes_of(remote->settings.host)};
    fields[count++] = (struct mr_sign_field){"x-amz-date", bytes_of(time)};
    if (credentials->session_token)
        fields[count++] =
            (struct mr_sign_field){"x-amz-security-token", bytes_of(credentials->session_token)};
    fields[count++] = (struct mr_sign_field){"x-amz-target", bytes_of(target)};
    signing.field_count = count;
    mr_sign(&signing, &signature);
    for (size_t i = 0; i < count; i++)
        add_field(posting, fields[i].name, fields[i].value);
    add_field(posting, "authorization", (mr_bytes){signature.data, signature.size});
    mr_pack_fini(&signature);
}

static size_t take_answer(char *bytes, size_t one, size_t size, void *context)
{
    struct posting *posting = context;
    (void)one;

    if (size > posting->limit)
        return 0;
    posting->limit -= size;
    mr_pack_bytes(posting->answer, (mr_bytes){bytes, size});
    return size;
}

/* ---- connections -------------------------------------------------------------------------- */

static CURL *take_connection(struct remote_poster *remote)
{
    CURL *easy = NULL;

    pthread_mutex_lock(&remote->lock);
    if (remote->idle_count > 0)
        easy = remote->idle[--remote->idle_count];
    pthread_mutex_unlock(&remote->lock);
    if (!easy)
        easy = curl_easy_init();
    if (!easy)
        mr_out_of_memory(0);
    return easy;
}

static void give_connection(struct remote_poster *remote, CURL *easy)
{
    curl_easy_reset(easy); /* keeps the connection */
    pthread_mutex_lock(&remote->lock);
    if (remote->idle_count < IDLE_MAX) {
        remote->idle[remote->idle_count++] = easy;
        easy = NULL;
    }
    pthread_mutex_unlock(&remote->lock);
    if (easy)
        curl_easy_cleanup(easy);
}

static void set_options(const struct remote_poster *remote, struct posting *posting, mr_bytes body)
{
    const struct mr_remote_settings *settings = &remote->settings;
    CURL *easy = posting->easy;

    curl_easy_setopt(easy, CURLOPT_URL, settings->url);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "millrace/" MR_VERSION);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.size);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, posting->fields);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, posting);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, posting->reason);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->numbers.connect_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)settings->numbers.timeout_ms);
    if (settings->is_local)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (settings->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
}

static mr_status post(mr_poster *poster, const char *target, mr_bytes body, struct mr_pack *answer,
                      unsigned *http, mr_error *error)
{
    struct remote_poster *remote = (struct remote_poster *)(void *)poster;
    struct posting posting = {.answer = answer, .limit = ANSWER_BYTES_MAX};
    long status = 0;
    CURLcode code;

    posting.easy = take_connection(remote);
    sign(remote, &posting, target, body);
    set_options(remote, &posting, body);
    code = curl_easy_perform(posting.easy);
    curl_easy_getinfo(posting.easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(posting.fields);
    give_connection(remote, posting.easy);
    *http = (unsigned)status;
    if (code == CURLE_OK)
        return MR_OK;
    return mr_fail(error, code == CURLE_OPERATION_TIMEDOUT ? MR_TIMEOUT : MR_UNAVAILABLE,
                   "%s at %.100s: %.100s", target, remote->settings.url,
                   posting.reason[0] ? posting.reason : curl_easy_strerror(code));
}

/* ---- open and close ----------------------------------------------------------------------- */

static void close_poster(mr_poster *poster)
{
    struct remote_poster *remote = (struct remote_poster *)(void *)poster;

    for (size_t i = 0; i < remote->idle_count; i++)
        curl_easy_cleanup(remote->idle[i]);
    mr_remote_settings_fini(&remote->settings);
    pthread_mutex_destroy(&remote->lock);
    mr_free(remote->name);
    mr_free(remote);
}

void mr_poster_close(mr_poster *poster)
{
    if (poster)
        poster->close(poster);
}

/* Where AWS has it. */
static mr_status find_endpoint(const struct mr_remote_config *config, const char *name,
                               char url[200], mr_error *error)
{
    struct mr_credentials credentials = {.secret = NULL};
    mr_status status = mr_credentials_find(config->profile, &credentials, error);
    const char *region = config->region ? config->region : credentials.region;

    if (region) {
        snprintf(url, 200, "https://%.40s.%.64s.amazonaws.com%s", name, region,
                 strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
        status = MR_OK;
    } else if (!status) {
        status =
            mr_fail(error, MR_NOT_FOUND, "no region is known: set AWS_REGION, or use an endpoint");
    }
    mr_credentials_fini(&credentials);
    return status;
}

mr_status mr_poster_connect(mr_poster **poster, const struct mr_remote_config *config,
                            const char *name, mr_error *error)
{
    struct mr_remote_config with = *config;
    struct remote_poster *remote;
    char url[200];
    mr_status status = MR_OK;

    if (!with.endpoint) {
        status = find_endpoint(config, name, url, error);
        with.endpoint = url;
    }
    if (status)
        return status;
    remote = mr_new(struct remote_poster);
    status = mr_remote_settings_init(&remote->settings, &with, error);
    if (status) {
        mr_free(remote);
        return status;
    }
    remote->poster = (mr_poster){post, close_poster};
    remote->name = mr_copy_text(name);
    pthread_mutex_init(&remote->lock, NULL);
    *poster = &remote->poster;
    return MR_OK;
}
