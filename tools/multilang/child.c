#include "child.h"

#include "base/fail.h"
#include "base/memory.h"
#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define READ_BYTES (64u << 10)
#define UNREAD_BYTES_MAX (16u << 20) /* of what it says while it does not listen */

extern char **environ;

struct mr_child {
    struct mr_curfew *curfew;
    pid_t pid;
    int in, out; /* our ends */
    uint8_t *bytes;
    size_t begin, end, capacity; /* what is read and not yet given */
    bool is_cut;                 /* within a line of which the beginning was given */
};

/* ---- curfew ------------------------------------------------------------------------------- */

mr_status mr_curfew_init(struct mr_curfew *curfew, mr_error *error)
{
    atomic_init(&curfew->at_ns, UINT64_MAX);
    curfew->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return curfew->fd < 0 ? mr_fail_os(error, errno, "cannot make an eventfd") : MR_OK;
}

void mr_curfew_fini(struct mr_curfew *curfew)
{
    close(curfew->fd);
}

void mr_curfew_set(struct mr_curfew *curfew, uint64_t at_ns)
{
    atomic_store(&curfew->at_ns, at_ns);
    eventfd_write(curfew->fd, 1);
}

/* ---- start -------------------------------------------------------------------------------- */

static void close_both(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* Our threads block all signals and ignore SIGPIPE, which a child must not inherit. */
static int spawn(pid_t *pid, char *const *argv, int in, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int fault;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    fault = posix_spawnp(pid, argv[0], &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return fault;
}

mr_status mr_child_start(struct mr_child **child, char *const *argv, struct mr_curfew *curfew,
                         mr_error *error)
{
    int in[2], out[2], fault;
    pid_t pid;

    if (pipe2(in, O_CLOEXEC))
        return mr_fail_os(error, errno, "cannot make a pipe");
    if (pipe2(out, O_CLOEXEC)) {
        fault = errno;
        close_both(in);
        return mr_fail_os(error, fault, "cannot make a pipe");
    }
    fault = spawn(&pid, argv, in[0], out[1]);
    close(in[0]);
    close(out[1]);
    if (fault) {
        close(in[1]);
        close(out[0]);
        if (fault == ENOENT)
            return mr_fail(error, MR_NOT_FOUND, "there is no program %.160s", argv[0]);
        return mr_fail_os(error, fault, "cannot run %.160s", argv[0]);
    }
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    *child = mr_new(struct mr_child);
    **child = (struct mr_child){.curfew = curfew, .pid = pid, .in = in[1], .out = out[0]};
    return MR_OK;
}

/* ---- lines -------------------------------------------------------------------------------- */

static mr_status fail_closed(mr_error *error)
{
    return mr_fail(error, MR_CLOSED, "it has ended, or closed its standard output");
}

/* Milliseconds up to a moment, for poll(). */
static int left_ms(uint64_t until_ns)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t now_ns = clock->monotonic_ns(clock), ms;

    if (until_ns == UINT64_MAX)
        return -1;
    if (until_ns <= now_ns)
        return 0;
    ms = (until_ns - now_ns + 999999) / 1000000;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* Waits until the child takes input (if that is wanted) or has output. */
static mr_status wait_for(struct mr_child *child, bool to_write, uint64_t until_ns, mr_error *error)
{
    for (;;) {
        uint64_t curfew_ns = atomic_load(&child->curfew->at_ns);
        uint64_t end_ns = curfew_ns < until_ns ? curfew_ns : until_ns;
        struct pollfd fds[] = {
            {.fd = child->out, .events = POLLIN},
            {.fd = to_write ? child->in : -1, .events = POLLOUT},
            {.fd = curfew_ns == UINT64_MAX ? child->curfew->fd : -1, .events = POLLIN}};
        int ready = poll(fds, 3, left_ms(end_ns));

        if (ready < 0 && errno != EINTR)
            return mr_fail_os(error, errno, "cannot wait for it");
        if (fds[0].revents || fds[1].revents)
            return MR_OK;
        if (ready == 0)
            return curfew_ns <= until_ns
                       ? mr_fail(error, MR_TIMEOUT, "it was still busy when all had to end")
                       : mr_fail(error, MR_TIMEOUT, "it did not answer in time");
    }
}

/* Reads what is there; *got false: nothing. */
static mr_status fill(struct mr_child *child, bool *got, mr_error *error)
{
    ssize_t size;

    *got = false;
    if (child->begin > 0) {
        memmove(child->bytes, child->bytes + child->begin, child->end - child->begin);
        child->end -= child->begin;
        child->begin = 0;
    }
    if (child->end > UNREAD_BYTES_MAX)
        return mr_fail(error, MR_LIMIT, "it talks on and on, and does not read what it is told");
    if (child->capacity - child->end < READ_BYTES) {
        child->capacity = child->end + 2 * READ_BYTES;
        child->bytes = mr_resize(child->bytes, child->capacity);
    }
    size = read(child->out, child->bytes + child->end, READ_BYTES);
    if (size == 0)
        return fail_closed(error);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? MR_OK
                                                 : mr_fail_os(error, errno, "cannot read from it");
    child->end += (size_t)size;
    *got = true;
    return MR_OK;
}

/* A line at hand, or the beginning of one that is too long. */
static bool take_line(struct mr_child *child, mr_bytes *line)
{
    while (child->begin < child->end) {
        uint8_t *start = child->bytes + child->begin;
        size_t size = child->end - child->begin;
        uint8_t *end = memchr(start, '\n', size);
        bool was_cut = child->is_cut;

        if (!end && size < MR_CHILD_LINE_BYTES && !was_cut)
            return false;
        *line = (mr_bytes){start, end ? (size_t)(end - start) : size};
        if (line->size > MR_CHILD_LINE_BYTES)
            line->size = MR_CHILD_LINE_BYTES;
        child->begin += end ? (size_t)(end - start) + 1 : size;
        child->is_cut = !end;
        if (!was_cut)
            return true;
    }
    return false;
}

mr_status mr_child_write(struct mr_child *child, mr_bytes bytes, uint64_t until_ns, mr_error *error)
{
    const uint8_t *at = bytes.data, *end = at + bytes.size;

    while (at < end) {
        ssize_t size = write(child->in, at, (size_t)(end - at));
        bool got;
        mr_status status;

        if (size > 0) {
            at += size;
            continue;
        }
        if (size < 0 && errno == EPIPE)
            return mr_fail(error, MR_CLOSED, "it has ended, or closed its standard input");
        if (size < 0 && errno != EAGAIN && errno != EINTR)
            return mr_fail_os(error, errno, "cannot write to it");
        status = wait_for(child, true, until_ns, error);
        if (!status) /* it may talk before it has read all: then both would wait for ever */
            status = fill(child, &got, error);
        if (status)
            return status;
    }
    return MR_OK;
}

mr_status mr_child_read(struct mr_child *child, mr_bytes *line, uint64_t until_ns, mr_error *error)
{
    while (!take_line(child, line)) {
        bool got;
        mr_status status = fill(child, &got, error);

        if (!status && !got)
            status = wait_for(child, false, until_ns, error);
        if (status)
            return status;
    }
    return MR_OK;
}

/* ---- end ---------------------------------------------------------------------------------- */

static void wait_for_end(const struct mr_child *child, uint32_t grace_ms)
{
    int fd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    struct mr_clock *clock = mr_clock_real();
    uint64_t until_ns = clock->monotonic_ns(clock) + (uint64_t)grace_ms * 1000000;

    while (fd >= 0) {
        struct pollfd ended = {.fd = fd, .events = POLLIN};
        int ready = poll(&ended, 1, left_ms(until_ns));

        if (ready >= 0 || errno != EINTR)
            break;
    }
    if (fd >= 0)
        close(fd);
}

void mr_child_end(struct mr_child *child, uint32_t grace_ms, char text[MR_CHILD_END_BYTES])
{
    int state = 0;

    close(child->in);
    wait_for_end(child, grace_ms);
    close(child->out); /* not before: its last words would kill it */
    kill(-child->pid, SIGKILL);
    while (waitpid(child->pid, &state, 0) < 0 && errno == EINTR)
        continue;
    if (text && WIFSIGNALED(state))
        snprintf(text, MR_CHILD_END_BYTES, "killed by signal %d", WTERMSIG(state));
    else if (text)
        snprintf(text, MR_CHILD_END_BYTES, "exited with %d", WEXITSTATUS(state));
    mr_free(child->bytes);
    mr_free(child);
}
