/*
 * Who is let in: right signatures in every form that clients use, and nothing forged. Requests are as
 * the server has read them; what they ask for is always well-formed.
 */
#include "base/memory.h"
#include "server/front.h"
#include "wire/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1795341600000) /* 2026-11-22T10:00:00Z */
#define NOW "20261122T100000Z"
#define ID "AKIDALICE0000000"
#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define TOKEN "FwoGZXIvYXdzEXAMPLE/token+="
#define BODY "{\"StreamName\":\"orders\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}"
#define ALL                                                                                        \
    "\"policies\":[{\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}}]"

static const char users[] =
    "{\"users\":[{\"name\":\"alice\",\"keys\":[{\"id\":\"" ID "\",\"secret\":\"" SECRET "\"},"
    "{\"id\":\"ASIASESSION\",\"secret\":\"" SECRET "\",\"token\":\"" TOKEN "\","
    "\"expires\":\"2026-11-22T10:02:00Z\"}]," ALL "},\n"
    "{\"name\":\"bob\",\"account\":\"123456789012\",\"keys\":[{\"id\":\"AKIDBOB\",\"secret\":"
    "\"another-secret\"}]}]}";

/* ---- the guard ---------------------------------------------------------------------------- */

static int64_t now_ms;

static int64_t wall_ms(struct mr_clock *clock)
{
    (void)clock;
    return now_ms;
}

static uint64_t monotonic_ns(struct mr_clock *clock)
{
    (void)clock;
    return 0;
}

static struct mr_clock clock_now = {.wall_ms = wall_ms, .monotonic_ns = monotonic_ns};
static struct mr_guard *guard;
static char path[300];

static void write_users(const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static mr_status open_guard(const char *region, mr_error *error)
{
    const struct mr_guard_config config = {
        .path = path, .account_id = "000000000000", .region = region, .clock = &clock_now};

    return mr_guard_open(&guard, &config, error);
}

static int set_up(void **state)
{
    const char *temporary = getenv("TMPDIR");

    (void)state;
    snprintf(path, sizeof path, "%s/guard.XXXXXX", temporary ? temporary : "/tmp");
    close(mkstemp(path));
    now_ms = NOW_MS;
    write_users(users, 0600);
    return open_guard(NULL, NULL);
}

/* What was forged in this case, and in all. */
static struct {
    size_t tried, let_in;
} here, total;

static void print_forged(const char *name, size_t tried, size_t let_in)
{
    printf("## %-40s %5zu forged, let in: %zu\n", name, tried, let_in);
}

static int tear_down(void **state)
{
    if (here.tried > 0)
        print_forged(*state, here.tried, here.let_in);
    total.tried += here.tried;
    total.let_in += here.let_in;
    here.tried = here.let_in = 0;
    mr_guard_close(guard);
    guard = NULL;
    return unlink(path);
}

/* ---- requests ----------------------------------------------------------------------------- */

#define FIELDS_MAX 12

/* A request and how it is signed; the defaults are right. */
struct sample {
    struct mr_request request;
    struct mr_field fields[FIELDS_MAX];
    char authorization[2048];
    char query[4096];
    char body[sizeof BODY];
    const char *id, *secret, *date, *region, *service, *terminator, *time, *token, *names;
    const char *expires;   /* of a query */
    const char *host_name; /* as it is signed */
};

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static struct mr_field *field_of(struct sample *sample, const char *name)
{
    for (size_t i = 0; i < sample->request.field_count; i++)
        if (strcmp(sample->fields[i].name.data, name) == 0)
            return &sample->fields[i];
    return NULL;
}

static void set(struct sample *sample, const char *name, const char *value)
{
    struct mr_field *field = field_of(sample, name);

    if (!field) {
        field = &sample->fields[sample->request.field_count++];
        assert_true(sample->request.field_count <= FIELDS_MAX);
    }
    *field = (struct mr_field){bytes_of(name), bytes_of(value)};
}

static void drop(struct sample *sample, const char *name)
{
    struct mr_field *field = field_of(sample, name);

    *field = sample->fields[--sample->request.field_count];
}

static void begin(struct sample *sample)
{
    memset(sample, 0, sizeof *sample);
    memcpy(sample->body, BODY, sizeof BODY);
    sample->request = (struct mr_request){.method = bytes_of("POST"),
                                          .path = bytes_of("/"),
                                          .host = bytes_of("127.0.0.1:4567"),
                                          .fields = sample->fields,
                                          .body = bytes_of(sample->body),
                                          .version = 1};
    sample->id = ID;
    sample->secret = SECRET;
    sample->date = "20261122";
    sample->region = "eu-west-3";
    sample->service = "kinesis";
    sample->terminator = "aws4_request";
    sample->time = NOW;
    sample->host_name = "host";
    set(sample, "content-type", "application/x-amz-json-1.1");
    set(sample, "x-amz-target", "Kinesis_20131202.PutRecord");
}

/* An independent writing of what is signed: lower-case names in order, each with its value. */
static void sign_canonical(struct sample *sample, const char *query, char signature[65])
{
    struct mr_pack text = MR_PACK(SIZE_MAX);
    struct mr_seal key;
    char names[500], scope[200], hash[65], *name, *rest = NULL;

    mr_pack_bytes(&text, sample->request.method);
    mr_pack_bytes(&text, bytes_of("\n/\n"));
    mr_pack_bytes(&text, bytes_of(query));
    mr_pack_bytes(&text, bytes_of("\n"));
    snprintf(names, sizeof names, "%s", sample->names);
    for (name = strtok_r(names, ";", &rest); name; name = strtok_r(NULL, ";", &rest)) {
        struct mr_field *field = field_of(sample, name);

        mr_pack_bytes(&text, bytes_of(name));
        mr_pack_bytes(&text, bytes_of(":"));
        mr_pack_bytes(&text, strcmp(name, sample->host_name) == 0 ? sample->request.host
                             : field                              ? field->value
                                                                  : bytes_of(""));
        mr_pack_bytes(&text, bytes_of("\n"));
    }
    mr_pack_bytes(&text, bytes_of("\n"));
    mr_pack_bytes(&text, bytes_of(sample->names));
    mr_pack_bytes(&text, bytes_of("\n"));
    mr_sign_hash(sample->request.body, hash);
    mr_pack_bytes(&text, bytes_of(hash));
    snprintf(scope, sizeof scope, "%s/%s/%s/%s", sample->date, sample->region, sample->service,
             sample->terminator);
    mr_sign_key(sample->secret, sample->date, sample->region, sample->service, &key);
    mr_sign_seal(&key, bytes_of(sample->time), bytes_of(scope), (mr_bytes){text.data, text.size},
                 signature);
    mr_pack_fini(&text);
}

/* In the Authorization header. */
static void sign(struct sample *sample)
{
    char signature[65];

    set(sample, "x-amz-date", sample->time);
    if (sample->token)
        set(sample, "x-amz-security-token", sample->token);
    if (!sample->names)
        sample->names = sample->token
                            ? "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
                            : "content-type;host;x-amz-date;x-amz-target";
    sign_canonical(sample, "", signature);
    snprintf(sample->authorization, sizeof sample->authorization,
             "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/%s, SignedHeaders=%s, Signature=%s",
             sample->id, sample->date, sample->region, sample->service, sample->terminator,
             sample->names, signature);
    set(sample, "authorization", sample->authorization);
}

/* In the query. */
static void presign(struct sample *sample)
{
    char signature[65];
    size_t used;

    sample->names = "content-type;host;x-amz-target";
    used = (size_t)snprintf(sample->query, sizeof sample->query,
                            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s%%2F%s%%2F%s%%2F"
                            "%s%%2F%s&X-Amz-Date=%s",
                            sample->id, sample->date, sample->region, sample->service,
                            sample->terminator, sample->time);
    if (sample->expires)
        used += (size_t)snprintf(sample->query + used, sizeof sample->query - used,
                                 "&X-Amz-Expires=%s", sample->expires);
    used += (size_t)snprintf(sample->query + used, sizeof sample->query - used,
                             "&X-Amz-SignedHeaders=content-type%%3Bhost%%3Bx-amz-target");
    sign_canonical(sample, sample->query, signature);
    snprintf(sample->query + used, sizeof sample->query - used, "&X-Amz-Signature=%s", signature);
    sample->request.query = bytes_of(sample->query);
}

/* ---- answers ------------------------------------------------------------------------------ */

static struct mr_arena arena = {.limit = (size_t)64 << 20};
/* NULL: let in. Else the exception's name. */
static const char *ask(struct sample *sample)
{
    struct mr_front front;

    mr_arena_reset(&arena);
    arena.limit = (size_t)64 << 20;
    mr_front_read(&sample->request, guard, &arena, &front);
    mr_pass_end(&front.pass);
    if (front.verdict == MR_FRONT_CALL)
        return NULL;
    return front.verdict == MR_FRONT_REFUSED ? mr_exceptions[front.refusal.type].name : "";
}

static const char *message_for(struct sample *sample)
{
    struct mr_front front;

    mr_arena_reset(&arena);
    mr_front_read(&sample->request, guard, &arena, &front);
    mr_pass_end(&front.pass);
    return (const char *)mr_arena_print(&arena, "%s: %.*s", mr_exceptions[front.refusal.type].name,
                                        (int)front.refusal.message.size,
                                        (const char *)front.refusal.message.data)
        .data;
}

static void is_let_in(struct sample *sample)
{
    const char *refusal = ask(sample);

    if (refusal)
        fail_msg("refused: %s", message_for(sample));
}

/* None of these may come in; of what kind the refusal is may be told as well. */
static void is_kept_out(struct sample *sample, const char *expected)
{
    const char *refusal = ask(sample);

    here.tried++;
    here.let_in += !refusal;
    if (!refusal)
        fail_msg("let in: %s", sample->authorization);
    if (expected && strcmp(refusal, expected) != 0)
        fail_msg("refused with %s, not %s", refusal, expected);
}

#define INVALID "InvalidSignatureException"
#define INCOMPLETE "IncompleteSignatureException"
#define UNKNOWN "UnrecognizedClientException"

/* ---- let in ------------------------------------------------------------------------------- */

static void right_ones_are_let_in(void **state)
{
    struct sample sample;

    (void)state;
    begin(&sample);
    sign(&sample);
    is_let_in(&sample);
    is_let_in(&sample); /* with the kept key */

    begin(&sample);
    sample.names = ":authority;content-type;x-amz-date;x-amz-target";
    sample.host_name = ":authority"; /* as the SDK for JavaScript does over HTTP/2 */
    sample.request.version = 2;
    sign(&sample);
    is_let_in(&sample);

    begin(&sample);
    sample.id = "ASIASESSION";
    sample.token = TOKEN;
    sign(&sample);
    is_let_in(&sample);

    begin(&sample);
    sample.id = "AKIDBOB";
    sample.secret = "another-secret";
    sign(&sample);
    is_let_in(&sample); /* what he may do is another question */

    begin(&sample);
    presign(&sample);
    is_let_in(&sample);
    begin(&sample);
    sample.expires = "3600";
    sample.time = "20261122T093000Z";
    presign(&sample);
    is_let_in(&sample);
}

static void a_hash_of_the_body_may_be_said(void **state)
{
    struct sample sample;
    char hash[65];

    (void)state;
    mr_sign_hash(bytes_of(BODY), hash);
    begin(&sample);
    set(&sample, "x-amz-content-sha256", hash);
    sample.names = "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-target";
    sign(&sample);
    is_let_in(&sample);
}

static void five_minutes_of_skew_are_let_in(void **state)
{
    static const char *const times[] = {"20261122T095500Z", "20261122T100500Z"};
    struct sample sample;

    (void)state;
    for (int i = 0; i < 2; i++) {
        begin(&sample);
        sample.time = times[i];
        sign(&sample);
        is_let_in(&sample);
    }
}

static void spaces_in_values_are_signed_as_one(void **state)
{
    struct sample sample;

    (void)state;
    begin(&sample);
    set(&sample, "x-amz-user-agent", "a b c");
    sample.names = "content-type;host;x-amz-date;x-amz-target;x-amz-user-agent";
    sign(&sample);
    set(&sample, "x-amz-user-agent", "  a   b \t c ");
    is_let_in(&sample);
}

/* ---- kept out ----------------------------------------------------------------------------- */

static void a_changed_signature_is_kept_out(void **state)
{
    struct sample sample;
    char *signature;

    (void)state;
    begin(&sample);
    sign(&sample);
    signature = strstr(sample.authorization, "Signature=") + 10;
    for (int i = 0; i < 64; i++) {
        char right = signature[i];

        signature[i] = right == '0' ? '1' : '0';
        is_kept_out(&sample, INVALID);
        signature[i] = right == 'f' ? 'e' : 'f';
        is_kept_out(&sample, INVALID);
        signature[i] = right;
        if (right >= 'a') {
            signature[i] = (char)(right - 'a' + 'A');
            is_kept_out(&sample, INVALID);
            signature[i] = right;
        }
    }
    is_let_in(&sample);
    for (size_t left = 0; left < 64; left++) {
        field_of(&sample, "authorization")->value.size =
            (size_t)(signature - sample.authorization) + left;
        is_kept_out(&sample, left ? INVALID : INCOMPLETE);
    }
    strcat(sample.authorization, "0");
    set(&sample, "authorization", sample.authorization);
    is_kept_out(&sample, INVALID);
}

static void a_changed_body_is_kept_out(void **state)
{
    struct sample sample;

    (void)state;
    begin(&sample);
    sign(&sample);
    for (size_t i = strlen("{\"StreamName\":\""); i < sizeof BODY - 1; i++) {
        if (!strchr("orders A k", sample.body[i]))
            continue; /* so that it stays JSON */
        sample.body[i] ^= 2;
        is_kept_out(&sample, INVALID);
        sample.body[i] ^= 2;
    }
    is_let_in(&sample);
    sample.request.body = bytes_of(BODY " ");
    is_kept_out(&sample, INVALID);
}

/* Each byte of what is said about the signature. */
static void a_changed_claim_is_kept_out(void **state)
{
    struct sample sample;
    char *end;

    (void)state;
    begin(&sample);
    sign(&sample);
    end = strstr(sample.authorization, ", Signature=");
    for (char *at = strstr(sample.authorization, "Credential=") + 11; at < end; at++) {
        char right = *at;

        if (strchr(", =", right) || strncmp(at, "SignedHeaders", 13) == 0)
            continue;
        *at = right == 'x' ? 'y' : 'x';
        is_kept_out(&sample, NULL);
        *at = right;
    }
    is_let_in(&sample);
}

static void changed_fields_are_kept_out(void **state)
{
    static const struct {
        const char *name, *value;
    } changes[] = {
        {"x-amz-target", "Kinesis_20131202.ListStreams"},
        {"x-amz-target", "Kinesis_20131202.DeleteStream"},
        {"x-amz-target", "kinesis_20131202.PutRecord"},
        {"content-type", "application/x-amz-json-1.1; charset=utf-8"},
        {"x-amz-date", "20261122T100001Z"},
        {"x-amz-date", "20261122T095959Z"},
        {"x-amz-date", "20261122T100000Z0"},
        {"x-amz-date", "20261122T100000z"},
        {"x-amz-date", "20261122 100000Z"},
        {"x-amz-date", "20261122T1000 0Z"},
        {"x-amz-date", "20261122T095960Z"},
        {"x-amz-date", "20261122T096000Z"},
        {"x-amz-date", "20261052T100000Z"},
        {"x-amz-date", "2026-11-22T10:00:00Z"},
        {"x-amz-date", "Sun, 22 Nov 2026 10:00:00 GMT"},
        {"x-amz-date", ""},
        {"x-amz-security-token", TOKEN},
        {"x-amz-security-token", "x"},
        {"x-amz-content-sha256", "UNSIGNED-PAYLOAD"},
        {"x-amz-content-sha256", "x"},
        {"x-amz-anything", "x"},
    };
    struct sample sample;

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        begin(&sample);
        sign(&sample);
        set(&sample, changes[i].name, changes[i].value);
        is_kept_out(&sample, NULL);
    }
    begin(&sample);
    sign(&sample);
    sample.request.host = bytes_of("127.0.0.1:4568");
    is_kept_out(&sample, INVALID);
    sample.request.host = bytes_of("");
    is_kept_out(&sample, INVALID);
    begin(&sample);
    sign(&sample);
    sample.request.path = bytes_of("/x");
    is_kept_out(&sample, INVALID);
    sample.request.path = bytes_of("/");
    sample.request.query = bytes_of("a=b");
    is_kept_out(&sample, INVALID);
    sample.request.query = bytes_of("");
    is_let_in(&sample);
    begin(&sample);
    sign(&sample);
    drop(&sample, "x-amz-date");
    is_kept_out(&sample, INCOMPLETE);
    set(&sample, "date", "Sun, 22 Nov 2026 10:00:00 GMT");
    is_kept_out(&sample, INVALID);
}

/* Rightly signed, but not what may be signed so. */
static void what_leaves_out_a_part_is_kept_out(void **state)
{
    static const char *const names[] = {
        "host",
        "x-amz-date",
        "host;x-amz-date",   /* whoever has seen it could send it to another action */
        "host;x-amz-target", /* ... or at any time */
        "content-type;host;x-amz-target",
        "content-type;x-amz-date;x-amz-target", /* ... or elsewhere */
        "Content-Type;host;x-amz-date;x-amz-target",
        "content-type;HOST;x-amz-date;x-amz-target",
        "host;content-type;x-amz-date;x-amz-target",
        "x-amz-target;x-amz-date;host;content-type",
        "content-type;host;host;x-amz-date;x-amz-target",
        "content-type;host;x-amz-date;x-amz-date;x-amz-target",
        "content-type;host;x-amz-date;x-amz-target;",
        ";content-type;host;x-amz-date;x-amz-target",
        "content-type;;host;x-amz-date;x-amz-target",
        "content-type;host;not-there;x-amz-date;x-amz-target",
    };
    struct sample sample;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        begin(&sample);
        sample.names = names[i];
        sign(&sample);
        is_kept_out(&sample, INVALID);
    }
    begin(&sample);
    sample.id = "ASIASESSION";
    sample.token = TOKEN;
    sample.names = "content-type;host;x-amz-date;x-amz-target";
    sign(&sample);
    is_kept_out(&sample, INVALID);
}

static void a_wrong_scope_is_kept_out(void **state)
{
    static const struct {
        const char *date, *region, *service, *terminator;
    } scopes[] = {
        {"20261121", "eu-west-3", "kinesis", "aws4_request"},
        {"20261123", "eu-west-3", "kinesis", "aws4_request"},
        {"2026112", "eu-west-3", "kinesis", "aws4_request"},
        {"", "eu-west-3", "kinesis", "aws4_request"},
        {"20261122", "", "kinesis", "aws4_request"},
        {"20261122", "eu west 3", "kinesis", "aws4_request"},
        {"20261122", "a-region-that-is-longer-than-any-of-them", "kinesis", "aws4_request"},
        {"20261122", "eu-west-3", "Kinesis", "aws4_request"},
        {"20261122", "eu-west-3", "s3", "aws4_request"},
        {"20261122", "eu-west-3", "", "aws4_request"},
        {"20261122", "eu-west-3", "kinesis", "aws4_Request"},
        {"20261122", "eu-west-3", "kinesis", "aws4"},
        {"20261122", "eu-west-3", "kinesis", "aws4_request/x"},
        {"20261122", "eu-west-3", "kinesis", ""},
    };
    struct sample sample;

    (void)state;
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
        begin(&sample);
        sample.date = scopes[i].date;
        sample.region = scopes[i].region;
        sample.service = scopes[i].service;
        sample.terminator = scopes[i].terminator;
        sign(&sample);
        is_kept_out(&sample, NULL);
    }
}

static void wrong_keys_are_kept_out(void **state)
{
    static const struct {
        const char *id, *secret, *token, *expected;
    } keys[] = {
        {ID, "another-secret", NULL, INVALID},
        {ID, SECRET " ", NULL, INVALID},
        {ID, "", NULL, INVALID},
        {"AKIDBOB", SECRET, NULL, INVALID},
        {"AKIDNOBODY", SECRET, NULL, UNKNOWN},
        {"akidalice0000000", SECRET, NULL, UNKNOWN},
        {ID "0", SECRET, NULL, UNKNOWN},
        {"AKIDALICE000000", SECRET, NULL, UNKNOWN},
        {"*", SECRET, NULL, UNKNOWN},
        {"", SECRET, NULL, NULL},
        {ID, SECRET, TOKEN, UNKNOWN},
        {"ASIASESSION", SECRET, NULL, UNKNOWN},
        {"ASIASESSION", SECRET, "x", UNKNOWN},
        {"ASIASESSION", SECRET, TOKEN "=", UNKNOWN},
        {"ASIASESSION", SECRET, "fwoGZXIvYXdzEXAMPLE/token+=", UNKNOWN},
    };
    struct sample sample;

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        begin(&sample);
        sample.id = keys[i].id;
        sample.secret = keys[i].secret;
        sample.token = keys[i].token;
        sign(&sample);
        is_kept_out(&sample, keys[i].expected);
    }
    now_ms += 120000;
    begin(&sample);
    sample.id = "ASIASESSION";
    sample.token = TOKEN;
    sign(&sample);
    is_kept_out(&sample, "ExpiredTokenException");
}

static void other_times_are_kept_out(void **state)
{
    static const char *const times[] = {"20261122T095459Z", "20261122T090000Z", "20261122T000000Z",
                                        "20261122T100501Z", "20261122T110000Z", "20261122T235959Z"};
    static const char *const expires[] = {"0", "-1", "604801", "x", "1e3", "99999999999999999999"};
    struct sample sample;

    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        begin(&sample);
        sample.time = times[i];
        sign(&sample);
        is_kept_out(&sample, INVALID);
    }
    for (size_t i = 0; i < sizeof expires / sizeof *expires; i++) {
        begin(&sample);
        sample.expires = expires[i];
        presign(&sample);
        is_kept_out(&sample, NULL);
    }
    begin(&sample);
    sample.expires = "60";
    sample.time = "20261122T095859Z";
    presign(&sample);
    is_kept_out(&sample, INVALID);

    /* Sent again, as it was, when its time is over. */
    begin(&sample);
    sign(&sample);
    is_let_in(&sample);
    now_ms += 300999;
    is_let_in(&sample);
    now_ms += 1;
    is_kept_out(&sample, INVALID);
}

static void a_changed_query_is_kept_out(void **state)
{
    struct sample sample;
    char *signature;

    (void)state;
    begin(&sample);
    sample.expires = "600";
    presign(&sample);
    is_let_in(&sample);
    signature = strstr(sample.query, "X-Amz-Signature=") + 16;
    for (int i = 0; i < 64; i += 4) {
        signature[i] ^= 1;
        is_kept_out(&sample, INVALID);
        signature[i] ^= 1;
    }
    for (char *at = sample.query; at < signature - 17; at++) {
        char right = *at;

        if (strchr("=&%", right) || (at > sample.query && at[-1] == '%') ||
            (at > sample.query + 1 && at[-2] == '%'))
            continue;
        *at = right == 'x' ? 'y' : 'x';
        is_kept_out(&sample, NULL);
        *at = right;
    }
    strcat(sample.query, "&X-Amz-Other=1");
    sample.request.query = bytes_of(sample.query);
    is_kept_out(&sample, INVALID);
    begin(&sample);
    presign(&sample);
    set(&sample, "authorization", "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=c, Signature=d");
    is_kept_out(&sample, INVALID);
}

static void empty_and_gigantic_ones_are_kept_out(void **state)
{
    static const char *const values[] = {
        "",
        " ",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 Credential=, SignedHeaders=, Signature=",
        "AWS4-HMAC-SHA256 Credential=/, SignedHeaders=;, Signature=0",
        "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=" ID "/20261122/eu-west-3/kinesis/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-target, Signature=",
        "AWS4-HMAC-SHA256 Credential=" ID "/20261122/eu-west-3/kinesis/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-target, Signature=*",
        "AWS4-ECDSA-P256-SHA256 Credential=" ID "/20261122/eu-west-3/kinesis/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-target, Signature=0",
        "AWS " ID ":frJIUN8DYpKDtOLCwo//yllqDzg=",
        "Basic QUtJREFMSUNFOng=",
        "Bearer x",
    };
    size_t size = 60000;
    char *large = mr_alloc(size + 1);
    struct sample sample;

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        begin(&sample);
        sign(&sample);
        set(&sample, "authorization", values[i]);
        is_kept_out(&sample, NULL);
    }
    memset(large, 'a', size);
    large[size] = 0;
    for (int i = 0; i < 3; i++) {
        begin(&sample);
        sign(&sample);
        memcpy(large, i == 0 ? "AWS4-HMAC-SHA256 Credential=" : sample.authorization,
               i == 0 ? 28 : strlen(sample.authorization));
        if (i == 2)
            for (size_t at = strlen(sample.authorization); at < size; at += 2)
                large[at] = ';';
        set(&sample, "authorization", large);
        is_kept_out(&sample, NULL);
    }
    begin(&sample);
    sign(&sample);
    drop(&sample, "authorization");
    is_kept_out(&sample, "MissingAuthenticationTokenException");
    /* Other algorithms under a right signature. */
    begin(&sample);
    sign(&sample);
    memcpy(sample.authorization, "AWS4-HMAC-SHA255", 16);
    is_kept_out(&sample, INCOMPLETE);
    mr_free(large);
}

static void refusals_are_in_the_words_of_aws(void **state)
{
    struct sample sample;

    (void)state;
    begin(&sample);
    sample.secret = "x";
    sign(&sample);
    assert_string_equal(
        message_for(&sample),
        "InvalidSignatureException: The request signature we calculated does not match the "
        "signature you provided. Check your AWS Secret Access Key and signing method. Consult the "
        "service documentation for details.");
    begin(&sample);
    sample.id = "X";
    sign(&sample);
    assert_string_equal(message_for(&sample), "UnrecognizedClientException: The security token "
                                              "included in the request is invalid.");
    begin(&sample);
    sample.time = "20261122T095000Z";
    sign(&sample);
    assert_string_equal(message_for(&sample),
                        "InvalidSignatureException: Signature expired: 20261122T095000Z is now "
                        "earlier than 20261122T095500Z (20261122T100000Z - 5 min.)");
    begin(&sample);
    sample.time = "20261122T101000Z";
    sign(&sample);
    assert_string_equal(message_for(&sample),
                        "InvalidSignatureException: Signature not yet current: 20261122T101000Z is "
                        "still later than 20261122T100500Z (20261122T100000Z + 5 min.)");
}

/* ---- the file ----------------------------------------------------------------------------- */

static void what_is_reloaded_counts_from_then_on(void **state)
{
    struct sample sample;
    struct mr_front front;
    mr_error error;

    (void)state;
    begin(&sample);
    sign(&sample);
    mr_arena_reset(&arena);
    mr_front_read(&sample.request, guard, &arena, &front);
    assert_int_equal(front.verdict, MR_FRONT_CALL);
    write_users("{\"users\":[{\"name\":\"eve\"}]}", 0600);
    is_let_in(&sample); /* nobody said so yet */
    assert_int_equal(mr_guard_reload(guard, NULL), MR_OK);
    is_kept_out(&sample, UNKNOWN);
    /* A call that was let in before goes on as who it was. */
    assert_int_equal(front.pass.caller->policy_count, 1);
    assert_memory_equal(front.pass.caller->arn.data, "arn:aws:iam::000000000000:user/alice", 36);
    mr_pass_end(&front.pass);
    /* What is wrong changes nothing. */
    write_users("{\"users\":[{\"name\":\"alice\"}", 0600);
    assert_int_equal(mr_guard_reload(guard, &error), MR_INVALID);
    is_kept_out(&sample, UNKNOWN);
    write_users(users, 0600);
    assert_int_equal(mr_guard_reload(guard, NULL), MR_OK);
    is_let_in(&sample);
}

static void another_region_may_be_refused(void **state)
{
    struct sample sample;

    (void)state;
    mr_guard_close(guard);
    assert_int_equal(open_guard("eu-west-1", NULL), MR_OK);
    begin(&sample);
    sign(&sample);
    is_kept_out(&sample, INVALID);
    begin(&sample);
    sample.region = "eu-west-1";
    sign(&sample);
    is_let_in(&sample);
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    static const mode_t modes[] = {0604, 0640, 0602, 0620, 0601, 0610, 0666, 0644};
    mr_error error;

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(mr_guard_reload(guard, &error), MR_DENIED);
        assert_non_null(strstr(error.message, "chmod 600"));
    }
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(mr_guard_reload(guard, &error), MR_OK);
}

static void files_that_are_wrong_say_where(void **state)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "line 1: "},
        {"{}", "there are no \"users\""},
        {"[]", "line 1: "},
        {"{\"users\":{}}", "line 1: "},
        {"{\"users\":[]} x", "line 1: "},
        {"{\n\n\"user\":[]}", "line 3: there is no member of that name"},
        {"{\"users\":[{}]}", "a user has a \"name\""},
        {"{\"users\":[{\"name\":\"a\",\"name\":\"b\"}]}", "a member comes twice"},
        {"{\"users\":[{\"name\":\"a b\"}]}", "a \"name\" has letters"},
        {"{\"users\":[{\"name\":\"\"}]}", "a text is empty or too long"},
        {"{\"users\":[{\"name\":1}]}", "a value is not a string"},
        {"{\"users\":[{\"name\":\"a\",\"account\":\"1\"}]}", "12 digits"},
        {"{\"users\":[{\"name\":\"a\",\"account\":\"12345678901x\"}]}", "12 digits"},
        {"{\"users\":[{\"name\":\"a\",\"keys\":[{\"id\":\"x\"}]}]}", "an \"id\" and a \"secret\""},
        {"{\"users\":[{\"name\":\"a\",\"keys\":[{\"secret\":\"x\"}]}]}", "an \"id\" and"},
        {"{\"users\":[{\"name\":\"a\",\"keys\":[{\"id\":\"x/y\",\"secret\":\"x\"}]}]}",
         "letters and digits"},
        {"{\"users\":[{\"name\":\"a\",\"keys\":[{\"id\":\"x\",\"secret\":\"\\u0000\"}]}]}",
         "a text is empty or too long"},
        {"{\"users\":[{\"name\":\"a\",\"keys\":[{\"id\":\"x\",\"secret\":\"1\"},{\"id\":\"x\","
         "\"secret\":\"2\"}]}]}",
         "two keys have this \"id\""},
        {"{\"users\":[{\"name\":\"a\",\"keys\":[{\"id\":\"x\",\"secret\":\"1\",\"expires\":"
         "\"tomorrow\"}]}]}",
         "\"expires\" is like"},
        {"{\"users\":[{\"name\":\"a\",\"policies\":[{}]}]}", "the policy is wrong near byte"},
        {"{\"users\":[{\"name\":\"a\",\"policies\":{}}]}", "line 1: "},
        {"{\"users\":[{\"name\":\"a\",\"policies\":[{\"Statement\":{\"Effect\":\"Deny\",\"Action\":"
         "\"*\",\"Resource\":\"*\",\"Condition\":{}}}]}]}",
         "cannot be checked here"},
    };
    mr_error error;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_users(wrong[i].text, 0600);
        if (mr_guard_reload(guard, &error) != MR_INVALID ||
            !strstr(error.message, wrong[i].message))
            fail_msg("%s\nsays: %s", wrong[i].text, error.message);
    }
    for (size_t size = 0; size < sizeof users - 1; size++) {
        char part[sizeof users];

        memcpy(part, users, size);
        part[size] = 0;
        write_users(part, 0600);
        assert_int_equal(mr_guard_reload(guard, &error), MR_INVALID);
        assert_null(strstr(error.message, "wJalr")); /* no secret in what is said */
    }
    unlink(path);
    assert_int_equal(mr_guard_reload(guard, &error), MR_NOT_FOUND);
    write_users(users, 0600);
}

static int say_how_many(void **state)
{
    (void)state;
    print_forged("all", total.tried, total.let_in);
    mr_arena_fini(&arena);
    return total.tried >= 300 && total.let_in == 0 ? 0 : -1;
}

#define CASE(name)                                                                                 \
    cmocka_unit_test_prestate_setup_teardown(name, set_up, tear_down, (void *)(uintptr_t) #name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(right_ones_are_let_in),
        CASE(a_hash_of_the_body_may_be_said),
        CASE(five_minutes_of_skew_are_let_in),
        CASE(spaces_in_values_are_signed_as_one),
        CASE(a_changed_signature_is_kept_out),
        CASE(a_changed_body_is_kept_out),
        CASE(a_changed_claim_is_kept_out),
        CASE(changed_fields_are_kept_out),
        CASE(what_leaves_out_a_part_is_kept_out),
        CASE(a_wrong_scope_is_kept_out),
        CASE(wrong_keys_are_kept_out),
        CASE(other_times_are_kept_out),
        CASE(a_changed_query_is_kept_out),
        CASE(empty_and_gigantic_ones_are_kept_out),
        CASE(refusals_are_in_the_words_of_aws),
        CASE(what_is_reloaded_counts_from_then_on),
        CASE(another_region_may_be_refused),
        CASE(a_file_that_others_may_read_is_refused),
        CASE(files_that_are_wrong_say_where),
    };
    return cmocka_run_group_tests_name("guard", tests, NULL, say_how_many);
}
