/* socket.h - TCP, without blocking. */
#ifndef MR_OS_SOCKET_H
#define MR_OS_SOCKET_H

#include "millrace.h"

#include <sys/types.h>

#define MR_PEER_TEXT_BYTES 56 /* "[IPv6 address]:port" and its NUL */

/* What reading and writing give besides a count of bytes; reading gives 0 at the end. */
#define MR_SOCKET_WAIT ((ssize_t)-1) /* not now */
#define MR_SOCKET_GONE ((ssize_t)-2) /* never again */

/* Listens at a numeric address or a name of this machine; port 0 takes a free one. *bound gets the
 * port. INVALID: no such address; IO. */
mr_status mr_socket_listen(const char *address, uint16_t port, int *fd, uint16_t *bound,
                           mr_error *error);

/* A socket that somebody else made to listen: INVALID if it is none. */
mr_status mr_socket_adopt(int fd, uint16_t *port, mr_error *error);

/* A new connection that sends at once what it is given, or -errno. */
int mr_socket_accept(int listener, char peer[MR_PEER_TEXT_BYTES]);

ssize_t mr_socket_read(int fd, void *to, size_t size);
ssize_t mr_socket_peek(int fd, void *to, size_t size); /* leaves the bytes there */

/* Both, one behind the other, in one call; as much as fits. */
ssize_t mr_socket_write(int fd, mr_bytes first, mr_bytes second);

void mr_socket_finish(int fd); /* no more will be written: the peer reads the end */
void mr_socket_close(int fd);

/* Lets this process open as many files as its hard limit says. */
void mr_files_allow_most(void);

#endif
