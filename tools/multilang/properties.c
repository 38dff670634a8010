#include "properties.h"

#include "../guess.h"
#include "../options.h"
#include "base/fail.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum type { TEXT, NUMBER, BOOL };

static const struct key {
    const char *name, *other;
    enum type type;
    uint64_t least, most;
} keys[MR_KEY_COUNT] = {
#define KEY(ID, name, other, type, least, most) {name, other, type, least, most},
#include "properties.def"
};

static const char *const unused[] = {
#define UNUSED(name) name,
#include "properties.def"
};
#define UNUSED_COUNT (sizeof unused / sizeof *unused)

struct reading {
    struct mr_kcl_properties *properties;
    mr_kcl_properties_say *say;
    void *context;
    unsigned fault_count, unknown_count;
};

#define UNKNOWN_TOLD_MAX 20 /* of a file that is something else */

__attribute__((format(printf, 4, 5))) static void say(struct reading *reading, unsigned line,
                                                      bool is_fault, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reading->fault_count += is_fault;
    reading->say(reading->context, line, is_fault, text);
}

/* ---- single keys -------------------------------------------------------------------------- */

static bool read_bool(const char *text, bool *value)
{
    *value = strcasecmp(text, "true") == 0;
    return *value || strcasecmp(text, "false") == 0;
}

static void check_value(struct reading *reading, enum mr_key key)
{
    const char *text = reading->properties->values[key];
    unsigned line = reading->properties->lines[key];
    uint64_t number;
    bool value;

    if (!text)
        return;
    if (keys[key].type == NUMBER &&
        (!mr_number_parse(text, &number) || number < keys[key].least || number > keys[key].most))
        say(reading, line, true, "%s is a number from %llu to %llu, not '%.80s'", keys[key].name,
            (unsigned long long)keys[key].least, (unsigned long long)keys[key].most, text);
    if (keys[key].type == BOOL && !read_bool(text, &value))
        say(reading, line, true, "%s is true or false, not '%.80s'", keys[key].name, text);
}

static void say_unknown(struct reading *reading, unsigned line, const char *name)
{
    struct mr_guess guess = MR_GUESS(name);

    for (size_t i = 0; i < UNUSED_COUNT; i++)
        if (strcmp(unused[i], name) == 0)
            return;
    if (++reading->unknown_count > UNKNOWN_TOLD_MAX)
        return;
    for (size_t i = 0; i < UNUSED_COUNT; i++)
        mr_guess_offer(&guess, unused[i]);
    for (size_t i = 0; i < MR_KEY_COUNT; i++)
        mr_guess_offer(&guess, keys[i].name);
    if (*guess.best)
        say(reading, line, false, "unknown key %.80s, passed over: did you mean %s?", name,
            guess.best);
    else
        say(reading, line, false, "unknown key %.80s, passed over", name);
}

static void take(void *context, unsigned line, const char *name, const char *value)
{
    struct reading *reading = context;
    struct mr_kcl_properties *properties = reading->properties;

    if (!*name) {
        say(reading, line, true, "a value without a key");
        return;
    }
    for (size_t i = 0; i < MR_KEY_COUNT; i++) {
        char *before = properties->values[i];

        if (strcmp(keys[i].name, name) != 0 && strcmp(keys[i].other, name) != 0)
            continue;
        if (before && strcmp(before, value) != 0)
            say(reading, line, false, "%s was '%.80s' in line %u: this one counts", name, before,
                properties->lines[i]);
        mr_free(before);
        properties->values[i] = *value ? mr_copy_text(value) : NULL;
        properties->lines[i] = line;
        return;
    }
    say_unknown(reading, line, name);
}

uint64_t mr_kcl_properties_number(const struct mr_kcl_properties *properties, enum mr_key key,
                                  uint64_t fallback)
{
    const char *text = properties->values[key];
    uint64_t number;

    return text && mr_number_parse(text, &number) ? number : fallback;
}

bool mr_kcl_properties_bool(const struct mr_kcl_properties *properties, enum mr_key key,
                            bool fallback)
{
    const char *text = properties->values[key];
    bool value;

    return text && read_bool(text, &value) ? value : fallback;
}

/* ---- all of them together ----------------------------------------------------------------- */

static bool take_part(char *to, size_t size, const char *from, size_t bytes)
{
    if (bytes == 0 || bytes >= size)
        return false;
    memcpy(to, from, bytes);
    to[bytes] = 0;
    return true;
}

/* arn:aws:kinesis:REGION:ACCOUNT:stream/NAME */
static bool read_stream_arn(const char *arn, char *region, size_t region_bytes, char *stream,
                            size_t stream_bytes)
{
    const char *at = arn, *parts[6] = {arn};

    for (int i = 1; i < 6; i++) {
        at = strchr(at, ':');
        if (!at)
            return false;
        parts[i] = ++at;
    }
    return strncmp(arn, "arn:", 4) == 0 && strncmp(parts[2], "kinesis:", 8) == 0 &&
           strncmp(parts[5], "stream/", 7) == 0 && !strchr(parts[5] + 7, '/') &&
           take_part(region, region_bytes, parts[3], (size_t)(parts[4] - parts[3] - 1)) &&
           take_part(stream, stream_bytes, parts[5] + 7, strlen(parts[5] + 7));
}

static void find_stream(struct reading *reading)
{
    struct mr_kcl_properties *properties = reading->properties;
    const char *name = properties->values[MR_KEY_STREAM];
    const char *arn = properties->values[MR_KEY_STREAM_ARN];
    const char *region = properties->values[MR_KEY_REGION];
    unsigned arn_line = properties->lines[MR_KEY_STREAM_ARN];

    if (region && !take_part(properties->region, sizeof properties->region, region, strlen(region)))
        say(reading, properties->lines[MR_KEY_REGION], true, "regionName is none");
    if (!name && !arn) {
        say(reading, 0, true, "streamName or streamArn is missing");
    } else if (!arn) {
        if (!take_part(properties->stream, sizeof properties->stream, name, strlen(name)))
            say(reading, properties->lines[MR_KEY_STREAM], true,
                "streamName has more than 128 characters");
    } else if (!read_stream_arn(arn, properties->region, sizeof properties->region,
                                properties->stream, sizeof properties->stream)) {
        say(reading, arn_line, true,
            "streamArn is none: arn:aws:kinesis:REGION:ACCOUNT:stream/NAME");
    } else {
        if (name && strcmp(name, properties->stream) != 0)
            say(reading, arn_line, false, "streamName is another stream, %.128s: streamArn counts",
                name);
        if (region && strcmp(region, properties->region) != 0)
            say(reading, arn_line, false,
                "regionName is another region, %.60s: that of streamArn counts", region);
    }
}

static void find_position(struct reading *reading)
{
    struct mr_kcl_properties *properties = reading->properties;
    const char *position = properties->values[MR_KEY_POSITION];
    unsigned line = properties->lines[MR_KEY_POSITION];

    /* The KCL's own default. */
    properties->from = (mr_position){.start = MR_START_LATEST};
    if (properties->values[MR_KEY_POSITION_TIME_S]) {
        properties->from = (mr_position){
            .start = MR_START_AT_TIME,
            .time_ms =
                (int64_t)mr_kcl_properties_number(properties, MR_KEY_POSITION_TIME_S, 0) * 1000};
        if (position && strcmp(position, "AT_TIMESTAMP") != 0)
            say(reading, properties->lines[MR_KEY_POSITION_TIME_S], false,
                "initialPositionInStreamExtended counts, not initialPositionInStream");
    } else if (position && strcmp(position, "TRIM_HORIZON") == 0) {
        properties->from.start = MR_START_TRIM_HORIZON;
    } else if (position && strcmp(position, "AT_TIMESTAMP") == 0) {
        say(reading, line, true,
            "AT_TIMESTAMP needs initialPositionInStreamExtended, in seconds since 1970");
    } else if (position && strcmp(position, "LATEST") != 0) {
        say(reading, line, true,
            "initialPositionInStream is TRIM_HORIZON, LATEST or AT_TIMESTAMP, not '%.80s'",
            position);
    }
}

/* arn:...:stream/STREAM/consumer/NAME:SECONDS */
static bool read_consumer_arn(const char *arn, char *name, size_t bytes)
{
    const char *at = strstr(arn, "/consumer/");

    at = at ? at + strlen("/consumer/") : "";
    return take_part(name, bytes, at, strcspn(at, ":"));
}

static void find_retrieval(struct reading *reading)
{
    struct mr_kcl_properties *properties = reading->properties;
    const char *mode = properties->values[MR_KEY_RETRIEVAL];
    const char *arn = properties->values[MR_KEY_CONSUMER_ARN];
    const char *name = properties->values[MR_KEY_CONSUMER_NAME];
    char *to = properties->consumer_name;
    size_t bytes = sizeof properties->consumer_name;

    properties->is_fan_out = mode && strcasecmp(mode, "FANOUT") == 0;
    properties->is_polling = mode && strcasecmp(mode, "POLLING") == 0;
    if (mode && !properties->is_fan_out && !properties->is_polling &&
        strcasecmp(mode, "DEFAULT") != 0)
        say(reading, properties->lines[MR_KEY_RETRIEVAL], true,
            "retrievalMode is POLLING, FANOUT or DEFAULT, not '%.80s'", mode);
    if (properties->is_polling && (arn || name))
        say(reading, properties->lines[MR_KEY_RETRIEVAL], false,
            "retrievalMode is POLLING: what fanoutConfig says is passed over");
    if (arn ? !read_consumer_arn(arn, to, bytes)
            : name && !take_part(to, bytes, name, strlen(name)))
        say(reading, properties->lines[arn ? MR_KEY_CONSUMER_ARN : MR_KEY_CONSUMER_NAME], true,
            "that is no stream consumer");
    if (arn && name && strcmp(name, to) != 0)
        say(reading, properties->lines[MR_KEY_CONSUMER_ARN], false,
            "fanoutConfig.consumerName is another, %.80s: consumerArn counts", name);
}

static void find_credentials(struct reading *reading)
{
    static const char *const known[] = {
        "DefaultCredentialsProvider", "DefaultAWSCredentialsProviderChain",
        "EnvironmentVariableCredentialsProvider", "ProfileCredentialsProvider"};
    struct mr_kcl_properties *properties = reading->properties;
    const char *name = properties->values[MR_KEY_CREDENTIALS], *bar;
    size_t size;

    if (!name)
        return;
    bar = strchr(name, '|'); /* behind it stand arguments */
    for (const char *at = name; *at && at != bar; at++)
        if (*at == '.') /* a class's full name */
            name = at + 1;
    size = strcspn(name, "|");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i]) != size || strncmp(known[i], name, size) != 0)
            continue;
        if (bar && *name == 'P')
            take_part(properties->profile, sizeof properties->profile, bar + 1, strlen(bar + 1));
        return;
    }
    say(reading, properties->lines[MR_KEY_CREDENTIALS], false,
        "%.80s is not known here: keys come from the environment or ~/.aws, as for the AWS CLI",
        name);
}

static void find_rest(struct reading *reading)
{
    const struct mr_kcl_properties *properties = reading->properties;

    if (!properties->values[MR_KEY_EXECUTABLE])
        say(reading, 0, true, "executableName is missing: the program that processes records");
    if (!properties->values[MR_KEY_APPLICATION])
        say(reading, 0, true, "applicationName is missing");
    if (properties->values[MR_KEY_HANDOFF_MS] &&
        !mr_kcl_properties_bool(properties, MR_KEY_HANDOFF, true))
        say(reading, properties->lines[MR_KEY_HANDOFF_MS], false,
            "isGracefulLeaseHandoffEnabled is false: this is passed over");
}

mr_status mr_kcl_properties_read(struct mr_kcl_properties *properties, mr_bytes text,
                                 mr_kcl_properties_say *tell, void *context, mr_error *error)
{
    struct reading reading = {.properties = properties, .say = tell, .context = context};

    if (!mr_java_properties_each(text, take, &reading))
        say(&reading, 0, true, "this is no text");
    if (reading.unknown_count > UNKNOWN_TOLD_MAX)
        say(&reading, 0, false, "%u more unknown keys: is this a properties file of the KCL?",
            reading.unknown_count - UNKNOWN_TOLD_MAX);
    for (size_t i = 0; i < MR_KEY_COUNT; i++)
        check_value(&reading, (enum mr_key)i);
    find_stream(&reading);
    find_position(&reading);
    find_retrieval(&reading);
    find_credentials(&reading);
    find_rest(&reading);
    if (reading.fault_count > 0)
        return mr_fail(error, MR_INVALID, "%u fault%s", reading.fault_count,
                       reading.fault_count > 1 ? "s" : "");
    return MR_OK;
}

void mr_kcl_properties_fini(struct mr_kcl_properties *properties)
{
    for (size_t i = 0; i < MR_KEY_COUNT; i++)
        mr_free(properties->values[i]);
}
