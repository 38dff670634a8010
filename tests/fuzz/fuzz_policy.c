/*
 * Policy documents of any bytes: refused, or asked; what one says does not depend on how often it is
 * asked. The first byte chooses between those of users and of resources.
 */
#include "base/check.h"
#include "service/access.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mr_policy_question question = {
        bytes_of("kinesis:PutRecord"),
        bytes_of("arn:aws:kinesis:us-east-1:123456789012:stream/orders"),
        bytes_of("arn:aws:iam::123456789012:user/alice"), bytes_of("123456789012")};
    enum mr_policy_kind kind = size > 0 && data[0] & 1 ? MR_POLICY_IDENTITY : MR_POLICY_RESOURCE;
    struct mr_policy *policy;
    enum mr_opinion opinion;
    mr_error error;

    if (size == 0)
        return 0;
    if (mr_policy_read(&policy, kind, (mr_bytes){data + 1, size - 1}, &error)) {
        mr_check(error.status == MR_INVALID || error.status == MR_LIMIT);
        mr_check(memchr(error.message, 0, sizeof error.message));
        return 0;
    }
    opinion = mr_policy_ask(policy, &question);
    mr_check(opinion == mr_policy_ask(policy, &question));
    mr_check(kind == MR_POLICY_RESOURCE || opinion != MR_OPINION_ALLOW_ACCOUNT);
    mr_policy_free(policy);
    return 0;
}
