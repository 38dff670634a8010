#include "server/audit.h"

#include "base/fail.h"
#include "base/json.h"
#include "base/memory.h"
#include "json_line.h"
#include "os/clock.h"
#include "os/thread.h"
#include "when.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 1024 /* of a text in a line */
#define SAY_MS 1000

struct mr_audit {
    struct mr_audit_config config;
    pthread_mutex_t lock;
    int fd;
    uint64_t lost_count; /* lines that could not be written, not yet said */
    int64_t said_ms;
};

/* ---- the file ----------------------------------------------------------------------------- */

static mr_status open_file(const char *path, int *fd, mr_error *error)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return *fd < 0 ? mr_fail_os(error, errno, "cannot write the audit log %s", path) : MR_OK;
}

mr_status mr_audit_open(struct mr_audit **out, const struct mr_audit_config *config,
                        mr_error *error)
{
    struct mr_audit *audit;
    int fd;
    mr_status status = open_file(config->path, &fd, error);

    if (status)
        return status;
    *out = audit = mr_new(struct mr_audit);
    audit->config = *config;
    audit->fd = fd;
    pthread_mutex_init(&audit->lock, NULL);
    return MR_OK;
}

mr_status mr_audit_reopen(struct mr_audit *audit, mr_error *error)
{
    int fd, before;
    mr_status status = open_file(audit->config.path, &fd, error);

    if (status)
        return status;
    pthread_mutex_lock(&audit->lock);
    before = audit->fd;
    audit->fd = fd;
    pthread_mutex_unlock(&audit->lock);
    close(before);
    return MR_OK;
}

void mr_audit_close(struct mr_audit *audit)
{
    if (!audit)
        return;
    close(audit->fd);
    pthread_mutex_destroy(&audit->lock);
    mr_free(audit);
}

/* A line that cannot be written is said to be lost, once a second. */
static void write_line(struct mr_audit *audit, const struct mr_pack *line)
{
    struct mr_clock *clock = mr_clock_real();
    int64_t now_ms = clock->wall_ms(clock);
    char text[160] = "";

    pthread_mutex_lock(&audit->lock);
    if (write(audit->fd, line->data, line->size) != (ssize_t)line->size)
        audit->lost_count++;
    if (audit->lost_count > 0 && now_ms >= audit->said_ms + SAY_MS) {
        snprintf(text, sizeof text, "event=audit_lost lines=%llu reason=\"%s\"",
                 (unsigned long long)audit->lost_count, strerror(errno));
        audit->lost_count = 0;
        audit->said_ms = now_ms;
    }
    pthread_mutex_unlock(&audit->lock);
    if (*text && audit->config.diag)
        audit->config.diag(audit->config.diag_context, text);
}

/* ---- parameters --------------------------------------------------------------------------- */

/* What is data, says where data is, or lets one read it. */
static bool is_private(const struct mr_member *member)
{
    static const char *const names[] = {"PartitionKey", "ExplicitHashKey", "ShardIterator",
                                        "NextToken", "Records"};

    if (member->kind == MR_KIND_BLOB)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(member->name, names[i]) == 0)
            return true;
    return false;
}

static void write_name(struct mr_json_line *line, const char *name)
{
    char text[80];

    snprintf(text, sizeof text, "%s", name);
    if (text[0] >= 'A' && text[0] <= 'Z')
        text[0] = (char)(text[0] | 0x20);
    mr_json_name(line, text);
}

/* Whatever it is: text is written as text, cut where it is long, and other bytes are not. */
static void write_text(struct mr_json_line *line, mr_bytes text)
{
    if (text.size > TEXT_BYTES_MAX)
        text.size = TEXT_BYTES_MAX;
    while (text.size > 0 && !mr_utf8_is_valid(text) && text.size > TEXT_BYTES_MAX - 4)
        text.size--; /* a character that was cut */
    if (mr_utf8_is_valid(text))
        mr_json_string(line, text);
    else
        mr_json_null(line);
}

static void write_time(struct mr_json_line *line, int64_t time_ms)
{
    char text[MR_TIME_TEXT_BYTES];

    mr_time_format(time_ms, text);
    mr_json_text(line, text);
}

static void write_structure(struct mr_json_line *line, enum mr_shape_id id, const void *structure);

static void write_items(struct mr_json_line *line, const struct mr_member *member, const void *at)
{
    size_t count;
    const uint8_t *items = mr_items_of(at, &count);

    mr_json_open(line, member->kind == MR_KIND_TAGS ? '{' : '[');
    for (size_t i = 0; i < count; i++) {
        if (member->kind == MR_KIND_STRINGS) {
            write_text(line, ((const mr_bytes *)(const void *)items)[i]);
        } else if (member->kind == MR_KIND_TAGS) {
            const struct mr_api_tag *tag = &((const struct mr_api_tag *)(const void *)items)[i];

            write_text(line, tag->key); /* a decoded text is UTF-8 */
            mr_pack_u8(&line->pack, ':');
            line->comma = false;
            write_text(line, tag->value);
        } else {
            write_structure(line, member->shape, items + i * mr_shapes[member->shape].bytes);
        }
    }
    mr_json_close(line, member->kind == MR_KIND_TAGS ? '}' : ']');
}

static void write_member(struct mr_json_line *line, const struct mr_member *member, const void *at)
{
    const struct mr_number *number = at;

    switch ((enum mr_kind)member->kind) {
    case MR_KIND_STRING:
        write_text(line, *(const mr_bytes *)at);
        break;
    case MR_KIND_INTEGER:
    case MR_KIND_LONG:
        mr_json_count(line, (uint64_t)number->value);
        break;
    case MR_KIND_BOOLEAN:
        mr_json_bool(line, number->value);
        break;
    case MR_KIND_TIMESTAMP:
        write_time(line, number->value);
        break;
    case MR_KIND_STRUCTURE:
        write_structure(line, member->shape, *(void *const *)at);
        break;
    default:
        write_items(line, member, at);
    }
}

static bool is_there(const struct mr_member *member, const void *at)
{
    switch ((enum mr_kind)member->kind) {
    case MR_KIND_INTEGER:
    case MR_KIND_LONG:
    case MR_KIND_BOOLEAN:
    case MR_KIND_TIMESTAMP:
        return ((const struct mr_number *)at)->is_set;
    default:
        return *(void *const *)at; /* a text's data, a list's items, a structure */
    }
}

static void write_structure(struct mr_json_line *line, enum mr_shape_id id, const void *structure)
{
    const struct mr_shape *shape = &mr_shapes[id];

    mr_json_open(line, '{');
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct mr_member *member = &shape->members[i];
        const void *at = mr_member_at(structure, i);

        if (is_private(member) || !is_there(member, at))
            continue;
        write_name(line, member->name);
        write_member(line, member, at);
    }
    mr_json_close(line, '}');
}

/* ---- lines -------------------------------------------------------------------------------- */

static void add_text(struct mr_json_line *line, const char *name, const char *text)
{
    mr_json_name(line, name);
    mr_json_text(line, text);
}

static void add_bytes(struct mr_json_line *line, const char *name, mr_bytes text)
{
    mr_json_name(line, name);
    if (text.data)
        write_text(line, text);
    else
        mr_json_null(line);
}

static mr_bytes user_of(mr_bytes arn)
{
    const uint8_t *slash = arn.size > 0 ? memrchr(arn.data, '/', arn.size) : NULL;

    return slash ? (mr_bytes){slash + 1, arn.size - (size_t)(slash + 1 - (const uint8_t *)arn.data)}
                 : arn;
}

static void write_identity(struct mr_json_line *line, const struct mr_audit *audit,
                           const struct mr_audit_call *call)
{
    mr_json_name(line, "userIdentity");
    mr_json_open(line, '{');
    if (call->caller) {
        add_text(line, "type", "IAMUser");
        add_bytes(line, "arn", call->caller->arn);
        add_bytes(line, "accountId", call->caller->account);
        add_bytes(line, "userName", user_of(call->caller->arn));
    } else { /* it was refused, or nobody was asked who he is */
        add_text(line, "type", "Unknown");
        add_text(line, "accountId", audit->config.account_id);
    }
    if (call->key_id.data)
        add_bytes(line, "accessKeyId", call->key_id);
    mr_json_close(line, '}');
}

/* An address without its port. */
static mr_bytes address_of(const char *peer)
{
    const char *colon = strrchr(peer, ':');
    mr_bytes address = {peer, colon ? (size_t)(colon - peer) : strlen(peer)};

    if (address.size > 2 && peer[0] == '[')
        address = (mr_bytes){peer + 1, address.size - 2};
    return address;
}

static bool only_reads(enum mr_action action)
{
    const char *name = mr_actions[action].name;

    return strncmp(name, "Get", 3) == 0 || strncmp(name, "List", 4) == 0 ||
           strncmp(name, "Describe", 8) == 0 || strncmp(name, "Subscribe", 9) == 0;
}

static void write_call(struct mr_json_line *line, const struct mr_audit *audit,
                       const struct mr_audit_call *call)
{
    struct mr_clock *clock = mr_clock_real();
    const struct mr_refusal *refusal = call->refusal;

    mr_json_open(line, '{');
    add_text(line, "eventVersion", "1.08");
    write_identity(line, audit, call);
    mr_json_name(line, "eventTime");
    write_time(line, clock->wall_ms(clock));
    add_text(line, "eventSource", "kinesis.amazonaws.com");
    add_text(line, "eventName", mr_actions[call->action].name);
    if (call->region.data)
        add_bytes(line, "awsRegion", call->region);
    else
        add_text(line, "awsRegion", audit->config.region);
    add_bytes(line, "sourceIPAddress", address_of(call->request->peer));
    add_bytes(line, "userAgent", mr_request_field(call->request, "user-agent"));
    if (refusal->type) {
        add_text(line, "errorCode", mr_exceptions[refusal->type].name);
        add_bytes(line, "errorMessage", refusal->message);
    }
    mr_json_name(line, "requestParameters");
    if (call->structure)
        write_structure(line, mr_actions[call->action].request, call->structure);
    else
        mr_json_null(line);
    mr_json_name(line, "responseElements");
    mr_json_null(line);
    add_text(line, "requestID", call->request_id);
    add_text(line, "eventID", call->request_id);
    mr_json_name(line, "readOnly");
    mr_json_bool(line, only_reads(call->action));
    add_text(line, "eventType", "AwsApiCall");
    add_text(line, "recipientAccountId", audit->config.account_id);
    mr_json_close(line, '}');
    mr_pack_u8(&line->pack, '\n');
}

void mr_audit_note(struct mr_audit *audit, const struct mr_audit_call *call)
{
    struct mr_json_line line = MR_JSON_LINE;

    write_call(&line, audit, call);
    write_line(audit, &line.pack);
    mr_pack_fini(&line.pack);
}
