/* credentials.h - who signs, and for which region: from where all AWS tools take it. */
#ifndef MR_WIRE_CREDENTIALS_H
#define MR_WIRE_CREDENTIALS_H

#include "millrace.h"

/* Texts are NULL where nothing is known. */
struct mr_credentials {
    char *access_key_id, *secret, *session_token;
    char *region;
};

/*
 * Finds what is not known yet: looks in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; AWS_REGION,
 * AWS_DEFAULT_REGION), then in the profile's part of ~/.aws/credentials and of ~/.aws/config
 * (AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE). The profile is the one given, else AWS_PROFILE,
 * else "default"; keys of one that was given come before the environment's. NOT_FOUND: there is no
 * such profile; LIMIT: a file is over 1 MiB; IO. Start from {NULL}; release with
 * mr_credentials_fini() in any case.
 */
mr_status mr_credentials_find(const char *profile, struct mr_credentials *credentials,
                              mr_error *error);

void mr_credentials_fini(struct mr_credentials *credentials);

/* Takes what is not known yet from a section of a file's text; false: there is no such section. */
bool mr_credentials_read(mr_bytes text, const char *section, struct mr_credentials *credentials);

#endif
