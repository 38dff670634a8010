/* remote_attempt.c - one request out, one answer in, and whether to try again. */
#include "base/check.h"
#include "base/memory.h"
#include "wire/origin.h"
#include "wire/remote.h"
#include "wire/sign.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_BYTES_MAX ((size_t)32 << 20)
#define BODY_BYTES_MAX ((size_t)64 << 20)
#define MESSAGE_BYTES_MAX 1000 /* that is shown of an answer that is not understood */

struct mr_exchange *mr_exchange_new(struct mr_remote *remote, struct mr_call *call)
{
    struct mr_exchange *exchange = mr_new(struct mr_exchange);

    exchange->remote = remote;
    exchange->call = call;
    exchange->body = MR_PACK(BODY_BYTES_MAX);
    exchange->answer = MR_PACK(0);
    mr_encode(remote->settings.format, mr_actions[call->action].request, call->request,
              &exchange->body);
    if (mr_actions[call->action].answer == MR_ANSWER_EVENTS)
        exchange->events = mr_events_new(exchange);
    return exchange;
}

static void end_transfer(struct mr_exchange *exchange)
{
    if (exchange->easy)
        curl_easy_cleanup(exchange->easy);
    curl_slist_free_all(exchange->fields);
    exchange->easy = NULL;
    exchange->fields = NULL;
}

void mr_exchange_free(struct mr_exchange *exchange)
{
    end_transfer(exchange);
    if (exchange->call)
        mr_events_free(exchange->events);
    mr_pack_fini(&exchange->body);
    mr_pack_fini(&exchange->answer);
    mr_free(exchange);
}

/* ---- the request -------------------------------------------------------------------------- */

static void add_field(struct mr_exchange *exchange, struct mr_pack *line, const char *name,
                      mr_bytes value)
{
    line->size = 0;
    mr_pack_bytes(line, (mr_bytes){name, strlen(name)});
    mr_pack_bytes(line, (mr_bytes){": ", 2});
    mr_pack_bytes(line, value);
    mr_pack_u8(line, 0);
    exchange->fields = curl_slist_append(exchange->fields, (const char *)line->data);
    if (!exchange->fields)
        mr_out_of_memory(line->size);
}

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

/* The fields, signed now: a signature is good for minutes only. */
static void sign_request(struct mr_exchange *exchange)
{
    const struct mr_remote_settings *settings = &exchange->remote->settings;
    const struct mr_credentials *credentials = &settings->credentials;
    struct mr_clock *clock = exchange->remote->clock;
    struct mr_pack line = {0}, signature = {0};
    char time[MR_SIGN_TIME_BYTES], target[80];
    char origin[MR_ORIGIN_TEXT_BYTES];
    struct mr_sign_field fields[6];
    size_t count = 0;
    struct mr_sign sign = {.access_key_id = credentials->access_key_id,
                           .secret = credentials->secret,
                           .region = credentials->region,
                           .service = "kinesis",
                           .time = time,
                           .method = "POST",
                           .path = settings->path,
                           .query = "",
                           .fields = fields,
                           .body = {exchange->body.data, exchange->body.size}};

    mr_sign_time(clock->wall_ms(clock), time);
    snprintf(target, sizeof target, "Kinesis_20131202.%s", mr_actions[exchange->call->action].name);
    fields[count++] =
        (struct mr_sign_field){"content-type", bytes_of(mr_format_type(settings->format))};
    fields[count++] = (struct mr_sign_field){"host", bytes_of(settings->host)};
    fields[count++] = (struct mr_sign_field){"x-amz-date", bytes_of(time)};
    if (credentials->session_token)
        fields[count++] =
            (struct mr_sign_field){"x-amz-security-token", bytes_of(credentials->session_token)};
    fields[count++] = (struct mr_sign_field){"x-amz-target", bytes_of(target)};
    if (exchange->call->origin) {
        mr_origin_write(&exchange->call->origin->origin, origin);
        fields[count++] = (struct mr_sign_field){MR_ORIGIN_FIELD, bytes_of(origin)};
    }
    sign.field_count = count;
    mr_sign(&sign, &signature);
    for (size_t i = 0; i < count; i++)
        add_field(exchange, &line, fields[i].name, fields[i].value);
    add_field(exchange, &line, "authorization", (mr_bytes){signature.data, signature.size});
    add_field(exchange, &line, "expect", (mr_bytes){0}); /* no wait for a 100 */
    mr_pack_fini(&line);
    mr_pack_fini(&signature);
}

/* One line of the answer's head. */
static size_t take_field(char *line, size_t one, size_t size, void *context)
{
    struct mr_exchange *exchange = context;
    struct mr_call_origin *origin = exchange->call ? exchange->call->origin : NULL;
    size_t name_size = strlen(MR_POSITION_FIELD), value_size = size, at = name_size + 1;
    (void)one;

    if (!origin || size <= name_size || strncasecmp(line, MR_POSITION_FIELD, name_size) != 0 ||
        line[name_size] != ':')
        return size;
    while (at < size && line[at] == ' ')
        at++;
    while (value_size > at && strchr("\r\n ", line[value_size - 1]))
        value_size--;
    origin->is_known = mr_position_read((mr_bytes){line + at, value_size - at}, &origin->position);
    return size;
}

static size_t take_answer(char *bytes, size_t one, size_t size, void *context)
{
    struct mr_exchange *exchange = context;
    long status = 0;
    (void)one;

    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    if (exchange->events && status == 200)
        return mr_events_write(exchange->events, bytes, size);
    exchange->is_too_large = size > ANSWER_BYTES_MAX - exchange->answer.size;
    if (exchange->is_too_large)
        return 0;
    mr_pack_bytes(&exchange->answer, (mr_bytes){bytes, size});
    return size;
}

static void set_times(struct mr_exchange *exchange)
{
    const struct mr_remote_config *numbers = &exchange->remote->settings.numbers;
    long silence_s = ((long)numbers->timeout_ms + 999) / 1000;

    curl_easy_setopt(exchange->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(exchange->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)numbers->connect_ms);
    if (!exchange->events) {
        curl_easy_setopt(exchange->easy, CURLOPT_TIMEOUT_MS, (long)numbers->timeout_ms);
        return;
    }
    curl_easy_setopt(exchange->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(exchange->easy, CURLOPT_LOW_SPEED_TIME, silence_s);
}

void mr_exchange_begin(struct mr_exchange *exchange)
{
    const struct mr_remote_settings *settings = &exchange->remote->settings;
    CURL *easy = curl_easy_init();

    if (!easy)
        mr_out_of_memory(0);
    exchange->easy = easy;
    exchange->attempt++;
    exchange->answer.size = 0;
    exchange->is_too_large = false;
    exchange->reason[0] = 0;
    sign_request(exchange);
    curl_easy_setopt(easy, CURLOPT_URL, settings->url);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "millrace/" MR_VERSION);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body.size);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->body.data);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->fields);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    if (exchange->call->origin) {
        exchange->call->origin->is_known = false;
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_field);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    }
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->reason);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    if (settings->is_local)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (settings->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
    set_times(exchange);
    mr_check(curl_multi_add_handle(exchange->remote->multi, easy) == CURLM_OK);
}

/* ---- the answer --------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void refuse(struct mr_exchange *exchange,
                                                         enum mr_exception type, const char *format,
                                                         ...)
{
    char text[MESSAGE_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    exchange->call->refusal.type = type;
    exchange->call->refusal.message = mr_arena_print(exchange->call->arena, "%s", text);
}

static enum mr_format format_of(struct mr_exchange *exchange)
{
    const char *type = NULL, *cbor = mr_format_type(MR_FORMAT_CBOR);

    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_TYPE, &type);
    return type && strncasecmp(type, cbor, strlen(cbor)) == 0 ? MR_FORMAT_CBOR : MR_FORMAT_JSON;
}

/* Decodes the answer out of a copy in the call's arena; NULL if it is none. */
static void *decode_answer(struct mr_exchange *exchange, enum mr_shape_id shape)
{
    struct mr_arena *arena = exchange->call->arena;
    mr_bytes body = {exchange->answer.data, exchange->answer.size};
    void *structure;

    if (body.size == 0 || mr_arena_left(arena) < body.size + 64)
        return NULL;
    body = mr_arena_copy(arena, body);
    return mr_decode_answer(format_of(exchange), body, shape, arena, &structure) ? structure : NULL;
}

/* "com.amazonaws.kinesis#ResourceInUseException" has a name behind its namespace. */
static mr_bytes name_of(mr_bytes type)
{
    const char *hash = type.size ? memchr(type.data, '#', type.size) : NULL;

    if (!hash)
        return type;
    return (mr_bytes){hash + 1, type.size - (size_t)(hash + 1 - (const char *)type.data)};
}

static bool is_in(mr_bytes name, const char *part)
{
    return name.size && memmem(name.data, name.size, part, strlen(part));
}

/* An exception that is none of Kinesis: of what stands before it. */
static enum mr_exception guess_of(mr_bytes name, long status)
{
    if (status == 429 || is_in(name, "Throttl") || is_in(name, "TooManyRequests") ||
        is_in(name, "RequestLimitExceeded"))
        return MR_EXCEPTION_THROUGHPUT_EXCEEDED;
    if (status == 503)
        return MR_EXCEPTION_SERVICE_UNAVAILABLE;
    return status >= 500 || !name.size ? MR_EXCEPTION_INTERNAL_FAILURE : MR_EXCEPTION_ACCESS_DENIED;
}

static void take_failure(struct mr_exchange *exchange, long status)
{
    const struct mr_api_failure *failure = decode_answer(exchange, MR_SHAPE_failure);
    struct mr_refusal *refusal = &exchange->call->refusal;
    mr_bytes name = failure ? name_of(failure->type) : (mr_bytes){0};

    if (!name.size) {
        refuse(exchange, guess_of(name, status), "%s answers %ld", exchange->remote->settings.url,
               status);
        return;
    }
    refusal->message = failure->message.data ? failure->message : failure->capital_message;
    refusal->type = mr_exception_find(name);
    if (refusal->type == MR_EXCEPTION_NONE)
        refuse(exchange, guess_of(name, status), "%.*s: %.*s", (int)(name.size & 0xff),
               (const char *)name.data, (int)(refusal->message.size & 0x1ff),
               (const char *)refusal->message.data);
}

/* As many results as records, or nobody knows whose they are. */
static bool is_complete(const struct mr_call *call)
{
    const struct mr_api_put_records_request *request = call->request;
    const struct mr_api_put_records_response *response = call->response;

    return call->action != MR_ACTION_PUT_RECORDS ||
           (response && response->records_count == request->records_count);
}

static void take_success(struct mr_exchange *exchange)
{
    const struct mr_action_info *action = &mr_actions[exchange->call->action];

    if (action->answer == MR_ANSWER_NONE)
        return;
    if (action->answer == MR_ANSWER_STRUCTURE)
        exchange->call->response = decode_answer(exchange, action->response);
    if (!exchange->call->response || !is_complete(exchange->call))
        refuse(exchange, MR_EXCEPTION_INTERNAL_FAILURE,
               "the answer of %s to %s is none that Kinesis gives", exchange->remote->settings.url,
               action->name);
}

static void take_end(struct mr_exchange *exchange, CURLcode code)
{
    long status = 0;

    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    if (exchange->is_too_large)
        refuse(exchange, MR_EXCEPTION_INTERNAL_FAILURE, "an answer of over %zu bytes is not taken",
               ANSWER_BYTES_MAX);
    else if (code != CURLE_OK)
        refuse(exchange, MR_EXCEPTION_SERVICE_UNAVAILABLE, "%s: %s", exchange->remote->settings.url,
               exchange->reason[0] ? exchange->reason : curl_easy_strerror(code));
    else if (status == 200)
        take_success(exchange);
    else
        take_failure(exchange, status);
}

/* ---- again -------------------------------------------------------------------------------- */

/* Credentials that somebody renews in a file: read once more. */
static bool has_new_credentials(struct mr_exchange *exchange)
{
    struct mr_remote_settings *settings = &exchange->remote->settings;
    struct mr_credentials old = settings->credentials, found = {.secret = NULL};
    bool is_new = !settings->is_keyed &&
                  mr_credentials_find(settings->profile, &found, NULL) == MR_OK &&
                  found.access_key_id && strcmp(found.access_key_id, old.access_key_id) != 0;

    if (is_new) {
        settings->credentials = found;
        settings->credentials.region = old.region; /* that of the calls before */
        old.region = found.region;
        found = old;
    }
    mr_credentials_fini(&found);
    return is_new;
}

static bool is_passing(struct mr_exchange *exchange, CURLcode code)
{
    const struct mr_refusal *refusal = &exchange->call->refusal;
    long status = 0;

    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    switch (refusal->type) {
    case MR_EXCEPTION_THROUGHPUT_EXCEEDED:
    case MR_EXCEPTION_KMS_THROTTLING:
        return true;
    case MR_EXCEPTION_SERVICE_UNAVAILABLE: /* but a certificate stays as it is */
        return code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_SSL_CACERT_BADFILE;
    case MR_EXCEPTION_INTERNAL_FAILURE:
        return status >= 500;
    case MR_EXCEPTION_LIMIT_EXCEEDED: /* a rate passes, a quota does not */
        return is_in(refusal->message, "Rate exceeded");
    case MR_EXCEPTION_EXPIRED_TOKEN:
    case MR_EXCEPTION_UNRECOGNIZED_CLIENT:
        return has_new_credentials(exchange);
    default:
        return false;
    }
}

/* Up to twice as long each time, and at random, so that many who failed at once do not come back
 * at once. */
static uint64_t wait_ns(struct mr_exchange *exchange)
{
    const struct mr_remote_config *numbers = &exchange->remote->settings.numbers;
    uint64_t most_ms = (uint64_t)numbers->backoff_ms << (exchange->attempt - 1);

    if (most_ms > numbers->backoff_max_ms)
        most_ms = numbers->backoff_max_ms;
    return mr_random_below(&exchange->remote->random, most_ms * 1000000 + 1);
}

bool mr_exchange_end(struct mr_exchange *exchange, CURLcode code)
{
    struct mr_remote *remote = exchange->remote;
    struct mr_call *call = exchange->call;
    bool is_again;

    take_end(exchange, code);
    is_again = call->refusal.type && exchange->attempt < remote->settings.numbers.attempt_count &&
               is_passing(exchange, code);
    end_transfer(exchange);
    if (!is_again)
        return true;
    call->refusal = (struct mr_refusal){0};
    call->response = NULL;
    exchange->begins_ns = remote->clock->monotonic_ns(remote->clock) + wait_ns(exchange);
    return false;
}
