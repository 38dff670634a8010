/*
 * millrace-remote.h - the Kinesis API over the network, as the service that millrace-producer.h and
 * millrace-consumer.h work on: of `millrace serve`, or of AWS itself.
 *
 * Requests are signed (Signature Version 4). A call that fails for a reason that passes - a lost
 * connection, a timeout, an answer 5xx, a rate that was exceeded - is made again, after a wait that
 * grows exponentially and is drawn at random from what it may be. That holds for puts, too, as in
 * AWS's own SDKs: a put whose answer was lost may be stored twice, which only who reads can tell.
 *
 * Threads     One thread of its own does all the work of the network; calls never block.
 * Errors      What the network or the server did wrong is told as an exception of Kinesis:
 *             ServiceUnavailableException where a server could not be reached or did not answer,
 *             InternalFailureException where it made no sense.
 */
#ifndef MILLRACE_REMOTE_H
#define MILLRACE_REMOTE_H

#include "millrace.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum mr_remote_format {
    MR_REMOTE_CBOR, /* blobs as they are: half the work of base64 at both ends, a third less bytes */
    MR_REMOTE_JSON,
} mr_remote_format;

/* Start from MR_REMOTE_CONFIG_DEFAULT. Texts are copied. */
struct mr_remote_config {
    size_t struct_bytes; /* of the struct that you were compiled with */

    const char *endpoint; /* "http://127.0.0.1:4567"; NULL: that of AWS in the region */
    const char *region; /* NULL: AWS_REGION, AWS_DEFAULT_REGION, the profile's; without an endpoint
                             there must be one, else it is us-east-1 */

    /* Who signs. NULL: AWS_ACCESS_KEY_ID and so on, else the profile of ~/.aws/credentials and
     * ~/.aws/config. With an endpoint that is not AWS's nothing need be there: such servers take
     * any signature. */
    const char *access_key_id, *secret_access_key, *session_token;
    const char *profile; /* NULL: AWS_PROFILE, else "default" */

    const char *ca_file; /* certificates to trust, PEM; NULL: AWS_CA_BUNDLE, else the system's */

    mr_remote_format format;
    uint32_t attempt_count;    /* of a call, 1..20; 1: never again */
    uint32_t backoff_ms;       /* the wait before the second is at most this, then twice, ... */
    uint32_t backoff_max_ms;   /* ... and at most this */
    uint32_t timeout_ms;       /* of an attempt; of a subscription: between two events */
    uint32_t connect_ms;       /* to reach the server */
    uint32_t connection_count; /* calls at the same time, but for subscriptions; others wait */
};
/* clang-format off */
#define MR_REMOTE_CONFIG_DEFAULT                                                                   \
    ((struct mr_remote_config){sizeof(struct mr_remote_config), NULL, NULL, NULL, NULL, NULL,      \
                               NULL, NULL, MR_REMOTE_CBOR, 8, 100, 5000, 60000, 5000, 64})
/* clang-format on */

/*
 * Reads the credentials and starts the thread; does not look for the server yet. Close it with
 * mr_service_close(). NOT_FOUND: no such profile, no credentials for AWS, no region; INVALID: the
 * endpoint is no http:// or https:// URL, or a number is out of range; IO: a file cannot be read.
 */
mr_status mr_service_connect(mr_service **service, const struct mr_remote_config *config,
                             mr_error *error);

/*
 * Another service of AWS, by its name in endpoints and signatures ("dynamodb"): for the lease stores
 * of millrace-consumer.h. Errors as above.
 */
typedef struct mr_poster mr_poster;
mr_status mr_poster_connect(mr_poster **poster, const struct mr_remote_config *config,
                            const char *name, mr_error *error);
void mr_poster_close(mr_poster *poster); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
