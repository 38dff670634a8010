#include "systemd.h"

#include "options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FILE 3 /* of those that are handed over */

void mr_systemd_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t size = path ? strlen(path) : 0;
    int fd;

    if (size == 0 || size >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, size);
    if (path[0] == '@')
        address.sun_path[0] = 0; /* a name of Linux's own, not a file */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* If nobody listens there is nobody to tell. */
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
    close(fd);
}

int mr_systemd_listener(void)
{
    const char *pid_text = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
    uint64_t pid, count;

    if (!pid_text || !count_text || !mr_number_parse(pid_text, &pid) ||
        !mr_number_parse(count_text, &count) || pid != (uint64_t)getpid() || count == 0)
        return 0;
    unsetenv("LISTEN_PID"); /* for this process only, and once */
    unsetenv("LISTEN_FDS");
    return count == 1 ? FIRST_FILE : -1;
}
