/* A clock that goes faster and can be set ahead; a manager that is told, and its socket taken. */
#include "../../tools/systemd.h"
#include "os/socket.h"
#include "os/warp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define DAY_MS INT64_C(86400000)

static void is_the_real_clock_until_it_is_moved(void **state)
{
    struct mr_clock *real = mr_clock_real();
    struct mr_warp warp;
    int64_t before_ms, ms;
    (void)state;

    mr_warp_init(&warp, 1);
    before_ms = real->wall_ms(real);
    ms = warp.clock.wall_ms(&warp.clock);
    assert_in_range(ms, before_ms, real->wall_ms(real));
    assert_true(mr_warp_jump(&warp, DAY_MS));
    assert_in_range(warp.clock.wall_ms(&warp.clock), ms + DAY_MS, real->wall_ms(real) + DAY_MS);
    assert_true(warp.clock.monotonic_ns(&warp.clock) >=
                real->monotonic_ns(real) + (uint64_t)(DAY_MS - 1000) * 1000000);
}

static void goes_so_much_faster(void **state)
{
    struct mr_clock *real = mr_clock_real();
    struct mr_warp warp;
    uint64_t real_ns, warped_ns;
    (void)state;

    mr_warp_init(&warp, 3600);
    real_ns = real->monotonic_ns(real);
    warped_ns = warp.clock.monotonic_ns(&warp.clock);
    while (real->monotonic_ns(real) - real_ns < 20000000)
        ;
    warped_ns = warp.clock.monotonic_ns(&warp.clock) - warped_ns;
    real_ns = real->monotonic_ns(real) - real_ns;
    assert_true(warped_ns >= UINT64_C(70) * 1000000000 && warped_ns <= real_ns * 3601);
}

static void goes_neither_back_nor_too_far(void **state)
{
    struct mr_warp warp;
    (void)state;

    mr_warp_init(&warp, 1);
    assert_false(mr_warp_jump(&warp, -1));
    assert_true(mr_warp_jump(&warp, MR_WARP_JUMPS_MS_MAX));
    assert_false(mr_warp_jump(&warp, 1));
    assert_true(mr_warp_jump(&warp, 0));
}

static void tells_its_manager(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[64] = "", name[64];
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    int size = snprintf(name, sizeof name, "@millrace-test-%d", (int)getpid());
    (void)state;

    memcpy(address.sun_path + 1, name + 1, (size_t)size - 1);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)size)),
                     0);
    unsetenv("NOTIFY_SOCKET");
    mr_systemd_notify("READY=1"); /* nobody asked */
    setenv("NOTIFY_SOCKET", name, 1);
    mr_systemd_notify("STOPPING=1");
    assert_int_equal(recv(fd, text, sizeof text - 1, 0), 10);
    assert_string_equal(text, "STOPPING=1");
    setenv("NOTIFY_SOCKET", "relative", 1);
    mr_systemd_notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
    close(fd);
}

static void takes_the_socket_meant_for_it(void **state)
{
    char pid[24];
    (void)state;

    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", "1", 1);
    assert_int_equal(mr_systemd_listener(), 0); /* another process's */
    setenv("LISTEN_PID", pid, 1);
    assert_int_equal(mr_systemd_listener(), 3);
    assert_int_equal(mr_systemd_listener(), 0); /* once */
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "2", 1);
    assert_int_equal(mr_systemd_listener(), -1);
}

static void adopts_only_what_listens(void **state)
{
    uint16_t port, adopted;
    mr_error error;
    int fd;
    (void)state;

    assert_int_equal(mr_socket_listen("127.0.0.1", 0, &fd, &port, &error), MR_OK);
    assert_int_equal(mr_socket_adopt(fd, &adopted, &error), MR_OK);
    assert_int_equal(adopted, port);
    mr_socket_close(fd);
    assert_int_equal(mr_socket_adopt(-1, &adopted, &error), MR_INVALID);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(mr_socket_adopt(fd, &adopted, &error), MR_INVALID);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(is_the_real_clock_until_it_is_moved),
        cmocka_unit_test(goes_so_much_faster),
        cmocka_unit_test(goes_neither_back_nor_too_far),
        cmocka_unit_test(tells_its_manager),
        cmocka_unit_test(takes_the_socket_meant_for_it),
        cmocka_unit_test(adopts_only_what_listens),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
