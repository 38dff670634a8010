#include "serving.h"

#include "os/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_lock(const char *directory, int flags)
{
    char path[MR_PATH_BYTES + 8];

    snprintf(path, sizeof path, "%s/LOCK", directory);
    return open(path, flags | O_CLOEXEC);
}

void mr_serving_note(const char *directory, const char *url)
{
    int fd = open_lock(directory, O_WRONLY | O_APPEND);
    char line[MR_SERVING_BYTES + 1];
    int size = snprintf(line, sizeof line, "%s\n", url);

    if (fd < 0)
        return;
    if (size > 0 && (size_t)size < sizeof line && write(fd, line, (size_t)size) != size)
        (void)ftruncate(fd, 0); /* half a line is none */
    close(fd);
}

/* "http://", then what stands in a host, a port and nothing else. */
static bool is_url(const char *text)
{
    static const char start[] = "http://";
    const char *host = text + sizeof start - 1;

    return strncmp(text, start, sizeof start - 1) == 0 && *host &&
           strspn(host, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:[]") ==
               strlen(host);
}

static bool is_alive(long pid)
{
    return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

bool mr_serving_find(const char *directory, char url[MR_SERVING_BYTES])
{
    char text[MR_SERVING_BYTES + 32], *line, *end;
    int fd = open_lock(directory, O_RDONLY);
    ssize_t size;

    if (fd < 0)
        return false;
    size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return false;
    text[size] = 0;
    line = strchr(text, '\n');
    end = line ? strchr(line + 1, '\n') : NULL;
    if (!end || end - line - 1 >= MR_SERVING_BYTES)
        return false;
    *end = 0;
    if (!is_alive(strtol(text, NULL, 10)) || !is_url(line + 1))
        return false;
    memcpy(url, line + 1, strlen(line + 1) + 1);
    return true;
}
