/*
 * self_signed.h - a certificate for this machine by a certificate authority made for it: for
 * localhost, 127.0.0.1, ::1, the machine's name and one more address, and for nothing else, as the
 * authority's own certificate says. So to trust it is to trust no other machine.
 */
#ifndef MR_SERVER_SELF_SIGNED_H
#define MR_SERVER_SELF_SIGNED_H

#include "os/fs.h"

struct mr_self_signed {
    char ca[MR_PATH_BYTES], cert[MR_PATH_BYTES], key[MR_PATH_BYTES];
    bool is_new; /* the authority was made now: it is to be trusted anew */
};

/*
 * Finds them in the directory, or makes it and them. What is there is kept while it is good for
 * another month and covers the address (NULL: none more). The authority's key is not kept: a new
 * certificate is one by a new authority. IO, INVALID.
 */
mr_status mr_self_signed_open(struct mr_self_signed *files, const char *directory,
                              const char *address, mr_error *error);

#endif
