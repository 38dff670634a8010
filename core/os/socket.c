#include "os/socket.h"

#include "base/check.h"
#include "base/fail.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static uint16_t port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)(const void *)address)->sin6_port
                     : ((const struct sockaddr_in *)(const void *)address)->sin_port);
}

static int listen_at(const struct addrinfo *info)
{
    const int on = 1;
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    /* Not SO_REUSEPORT: a server left over would silently take half of the connections. */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

mr_status mr_socket_listen(const char *address, uint16_t port, int *fd, uint16_t *bound,
                           mr_error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    struct addrinfo *info;
    char service[8];
    int failure;

    snprintf(service, sizeof service, "%u", port);
    failure = getaddrinfo(address, service, &hints, &info);
    if (failure != 0)
        return mr_fail(error, MR_INVALID, "cannot listen at \"%s\": %s", address,
                       gai_strerror(failure));
    *fd = listen_at(info);
    failure = errno;
    freeaddrinfo(info);
    if (*fd < 0)
        return mr_fail_os(error, failure, "cannot listen at %s, port %u", address, port);
    mr_check(getsockname(*fd, (struct sockaddr *)&own, &size) == 0);
    *bound = port_of(&own);
    return MR_OK;
}

mr_status mr_socket_adopt(int fd, uint16_t *port, mr_error *error)
{
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own, option_size = sizeof(int);
    int listens = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &option_size) || !listens ||
        getsockname(fd, (struct sockaddr *)&own, &size) ||
        (own.ss_family != AF_INET && own.ss_family != AF_INET6))
        return mr_fail(error, MR_INVALID, "file %d is no TCP socket that listens", fd);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_NONBLOCK))
        return mr_fail_os(error, errno, "cannot use the socket that was handed over");
    *port = port_of(&own);
    return MR_OK;
}

static void peer_format(const struct sockaddr_storage *address, char peer[MR_PEER_TEXT_BYTES])
{
    char text[INET6_ADDRSTRLEN] = "?";
    bool is_6 = address->ss_family == AF_INET6;

    if (is_6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, text,
                  sizeof text);
    else
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr, text,
                  sizeof text);
    snprintf(peer, MR_PEER_TEXT_BYTES, is_6 ? "[%s]:%u" : "%s:%u", text, port_of(address));
}

int mr_socket_accept(int listener, char peer[MR_PEER_TEXT_BYTES])
{
    const int on = 1;
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int fd = accept4(listener, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peer_format(&address, peer);
    return fd;
}

static ssize_t outcome(ssize_t size)
{
    if (size >= 0)
        return size;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? MR_SOCKET_WAIT
                                                                     : MR_SOCKET_GONE;
}

ssize_t mr_socket_read(int fd, void *to, size_t size)
{
    return outcome(recv(fd, to, size, 0));
}

ssize_t mr_socket_peek(int fd, void *to, size_t size)
{
    return outcome(recv(fd, to, size, MSG_PEEK));
}

ssize_t mr_socket_write(int fd, mr_bytes first, mr_bytes second)
{
    struct iovec parts[2] = {{(void *)first.data, first.size}, {(void *)second.data, second.size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

    if (first.size == 0)
        return outcome(send(fd, second.data, second.size, MSG_NOSIGNAL));
    if (second.size == 0)
        return outcome(send(fd, first.data, first.size, MSG_NOSIGNAL));
    return outcome(sendmsg(fd, &message, MSG_NOSIGNAL));
}

void mr_socket_finish(int fd)
{
    shutdown(fd, SHUT_WR); /* a peer that is gone needs no end */
}

void mr_socket_close(int fd)
{
    close(fd);
}

void mr_files_allow_most(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}
