/*
 * serving.h - where the server is that has a data directory open: the second line of its LOCK file.
 *
 * The first line is the holder's process id. Whoever opens the directory next begins the file anew,
 * so the line dies with its server, however that ends. It is believed only when the directory is
 * locked and that process lives.
 */
#ifndef MR_TOOLS_SERVING_H
#define MR_TOOLS_SERVING_H

#include "millrace.h"

#define MR_SERVING_BYTES 128

/* Leaves the URL of a server of this process, which has the directory open. Best effort: without
 * it commands say that the directory is locked. */
void mr_serving_note(const char *directory, const char *url);

/* False: no server of ours holds the directory. */
bool mr_serving_find(const char *directory, char url[MR_SERVING_BYTES]);

#endif
