/* consumers.c - RegisterStreamConsumer and what else is done with consumers but reading. */
#include "service/inside.h"

#include <string.h>

#define CREATING_COUNT_MAX 5
#define COMMITTED_COUNT_MAX 50 /* with the account's commitment, on demand */
#define PAGE 100

/* ---- register ----------------------------------------------------------------------------- */

static bool check_register(struct mr_local *local, struct mr_call *call,
                           const struct mr_local_stream *stream,
                           const struct mr_local_consumer *consumer)
{
    uint32_t most = local->config.consumer_count_max;
    size_t count = 0, creating = 0;
    char arn[ARN_BYTES];

    for (size_t i = 0; i < stream->consumer_count; i++) {
        const struct mr_local_consumer *other = &stream->consumers[i];

        if (mr_phase_is_gone(&other->phase, consumer->created_ms))
            continue;
        count++;
        creating += mr_phase_at(&other->phase, consumer->created_ms) == STATUS_CREATING;
        if (strcmp(other->name, consumer->name) == 0) {
            mr_stream_arn(local, call, stream->name, arn);
            return mr_refuse(call, MR_EXCEPTION_IN_USE,
                             "Consumer %s under stream %s already exists.", consumer->name, arn);
        }
    }
    if (stream->is_on_demand && most < COMMITTED_COUNT_MAX && mr_local_is_committed(local))
        most = COMMITTED_COUNT_MAX;
    if (count >= most)
        return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                         "Stream %s under account %s can have at most %u registered consumers.",
                         stream->name, local->account, most);
    return creating < CREATING_COUNT_MAX || !local->config.limit_calls ||
           mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                     "Stream %s under account %s can have at most %d consumers in CREATING.",
                     stream->name, local->account, CREATING_COUNT_MAX);
}

static mr_bytes status_of(struct mr_local *local, const struct mr_local_consumer *consumer)
{
    return mr_text(mr_status_kind_name(mr_phase_at(&consumer->phase, mr_local_now_ms(local))));
}

static struct mr_api_consumer answer_of(struct mr_local *local, struct mr_call *call,
                                        const char *stream,
                                        const struct mr_local_consumer *consumer)
{
    char arn[ARN_BYTES];

    mr_consumer_arn(local, call, stream, consumer, arn);
    return (struct mr_api_consumer){.consumer_name = mr_text_copy(call, consumer->name),
                                    .consumer_arn = mr_text_copy(call, arn),
                                    .consumer_status = status_of(local, consumer),
                                    .consumer_creation_timestamp = MR_NUMBER(consumer->created_ms)};
}

void mr_do_register_stream_consumer(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_register_stream_consumer_request *request = call->request;
    struct mr_api_register_stream_consumer_response *response = call->response;
    struct mr_local_consumer consumer = {0};
    struct mr_local_stream stream;
    struct mr_named named;

    if (!mr_name_stream(local, call, (mr_bytes){0}, request->stream_arn, &named))
        return;
    memcpy(consumer.name, request->consumer_name.data, request->consumer_name.size);
    pthread_mutex_lock(&local->changing);
    mr_local_sweep(local); /* one of that name may be due to go */
    consumer.created_ms = mr_local_now_ms(local);
    consumer.phase = mr_phase_begin(local, STATUS_CREATING);
    if (mr_local_look(local, call, &named, true, &stream) &&
        check_register(local, call, &stream, &consumer) &&
        mr_local_check_tags(local, call, stream.name, request->tags, request->tags_count) &&
        mr_local_store_consumer(local, call, stream.name, &consumer) &&
        mr_local_tag(local, call, stream.name, consumer.name, request->tags, request->tags_count)) {
        response->consumer = mr_arena_new(call->arena, struct mr_api_consumer);
        *response->consumer = answer_of(local, call, stream.name, &consumer);
        response->consumer->consumer_status = mr_text("CREATING");
    }
    pthread_mutex_unlock(&local->changing);
}

/* ---- one consumer ------------------------------------------------------------------------- */

static bool refuse_unknown(struct mr_local *local, struct mr_call *call, const char *name)
{
    return mr_refuse(call, MR_EXCEPTION_NOT_FOUND, "Consumer %s, account %s not found.", name,
                     local->account);
}

/* By its ARN, or by its stream's and its name, or by all of them if they agree. */
static bool look(struct mr_local *local, struct mr_call *call, mr_bytes stream_arn,
                 mr_bytes consumer_name, mr_bytes consumer_arn, struct mr_named *named,
                 struct mr_local_consumer *copy)
{
    const struct mr_local_consumer *consumer;
    struct mr_named other;
    struct mr_local_stream stream;

    if (!consumer_arn.data && (!stream_arn.data || !consumer_name.data))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Either ConsumerARN, or StreamARN and ConsumerName, should be provided.");
    if (!mr_name_resource(local, call, consumer_arn.data ? consumer_arn : stream_arn, named))
        return false;
    if (!consumer_arn.data)
        memcpy(named->consumer, consumer_name.data, consumer_name.size);
    if ((consumer_name.data && !mr_text_is(consumer_name, named->consumer)) ||
        (stream_arn.data && (!mr_name_resource(local, call, stream_arn, &other) ||
                             strcmp(other.name, named->name) != 0)))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "ConsumerARN, StreamARN and ConsumerName do not name the same consumer.");
    if (!mr_local_look(local, call, named, false, &stream))
        return false;
    consumer = mr_local_consumer_find(local, &stream, named->consumer);
    if (!consumer ||
        (named->consumer_created_s && named->consumer_created_s != consumer->created_ms / 1000))
        return refuse_unknown(local, call, named->consumer);
    *copy = *consumer;
    return true;
}

void mr_do_deregister_stream_consumer(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_deregister_stream_consumer_request *request = call->request;
    struct mr_local_consumer consumer;
    struct mr_named named;

    pthread_mutex_lock(&local->changing);
    if (look(local, call, request->stream_arn, request->consumer_name, request->consumer_arn,
             &named, &consumer) &&
        consumer.phase.kind != STATUS_DELETING) {
        consumer.phase = mr_phase_begin(local, STATUS_DELETING);
        mr_local_store_consumer(local, call, named.name, &consumer);
    }
    pthread_mutex_unlock(&local->changing);
}

void mr_do_describe_stream_consumer(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_describe_stream_consumer_request *request = call->request;
    struct mr_api_describe_stream_consumer_response *response = call->response;
    struct mr_api_consumer_description *description;
    struct mr_local_consumer consumer;
    struct mr_api_consumer answer;
    struct mr_named named;
    char arn[ARN_BYTES];

    if (!look(local, call, request->stream_arn, request->consumer_name, request->consumer_arn,
              &named, &consumer))
        return;
    answer = answer_of(local, call, named.name, &consumer);
    mr_stream_arn(local, call, named.name, arn);
    description = mr_arena_new(call->arena, struct mr_api_consumer_description);
    description->consumer_name = answer.consumer_name;
    description->consumer_arn = answer.consumer_arn;
    description->consumer_status = answer.consumer_status;
    description->consumer_creation_timestamp = answer.consumer_creation_timestamp;
    description->stream_arn = mr_text_copy(call, arn);
    response->consumer_description = description;
}

/* ---- all of a stream ---------------------------------------------------------------------- */

static bool read_token(struct mr_local *local, struct mr_call *call, mr_bytes text,
                       const struct mr_local_stream *stream, struct mr_token *token)
{
    memset(token, 0, sizeof *token);
    if (!text.data)
        return true;
    if (!mr_token_open(local, text, token) || token->kind != TOKEN_CONSUMERS ||
        token->stream_id != stream->id)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Invalid NextToken.");
    return mr_local_now_ms(local) <= token->created_ms + MR_TOKEN_LIFE_MS ||
           mr_refuse(call, MR_EXCEPTION_EXPIRED_NEXT_TOKEN, "NextToken has expired.");
}

void mr_do_list_stream_consumers(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_list_stream_consumers_request *request = call->request;
    struct mr_api_list_stream_consumers_response *response = call->response;
    int64_t now_ms = mr_local_now_ms(local);
    struct mr_local_stream stream;
    struct mr_named named;
    struct mr_token token;
    size_t most = PAGE;

    if (!mr_name_stream(local, call, (mr_bytes){0}, request->stream_arn, &named) ||
        !mr_local_look(local, call, &named, false, &stream) ||
        !read_token(local, call, request->next_token, &stream, &token))
        return;
    if (request->max_results.is_set && request->max_results.value < PAGE)
        most = (size_t)request->max_results.value;
    response->consumers = mr_arena_array(call->arena, struct mr_api_consumer, most);
    for (size_t i = 0; i < stream.consumer_count; i++) {
        const struct mr_local_consumer *consumer = &stream.consumers[i];

        if (strcmp(consumer->name, token.name) <= 0 || mr_phase_is_gone(&consumer->phase, now_ms))
            continue;
        if (response->consumers_count == most) {
            mr_bytes last = response->consumers[most - 1].consumer_name;

            token = (struct mr_token){
                .kind = TOKEN_CONSUMERS, .created_ms = now_ms, .stream_id = stream.id};
            memcpy(token.name, last.data, last.size);
            response->next_token = mr_token_make(local, call, &token);
            break;
        }
        response->consumers[response->consumers_count++] =
            answer_of(local, call, stream.name, consumer);
    }
}
