/*
 * Secrets are compared in a time that does not tell where they differ. Time is not measured: a byte that
 * cannot be read stands at the end of what differs from the first on, and who does not run into it
 * has looked at less.
 */
#include "server/verify.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define RAN_INTO_IT 42
#define SIZE 64 /* a signature */

static void give_up(int number)
{
    (void)number;
    _exit(RAN_INTO_IT);
}

/* What a process ends with that compares these: 1 for equal, 0 for different. */
static int compared(mr_bytes a, mr_bytes b, bool (*are_equal)(mr_bytes, mr_bytes))
{
    struct sigaction action = {.sa_handler = give_up};
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        sigaction(SIGSEGV, &action, NULL);
        sigaction(SIGBUS, &action, NULL);
        _exit(are_equal(a, b));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool are_equal_in_haste(mr_bytes a, mr_bytes b)
{
    const volatile uint8_t *left = a.data, *right = b.data;

    for (size_t i = 0; i < a.size; i++)
        if (left[i] != right[i])
            return false;
    return true;
}

static void looks_at_every_byte(void **state)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages =
        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t other[SIZE];
    (void)state;

    assert_true(pages != MAP_FAILED);
    memset(pages, 'a', page);
    memset(other, 'b', sizeof other);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    for (size_t beyond = 1; beyond < SIZE; beyond++) {
        const mr_bytes cut = {pages + page - SIZE + beyond, SIZE}, whole = {other, SIZE};

        assert_int_equal(compared(cut, whole, mr_bytes_are_equal_secretly), RAN_INTO_IT);
    }
    assert_int_equal(
        compared((mr_bytes){pages + page - 1, SIZE}, (mr_bytes){other, SIZE}, are_equal_in_haste),
        0); /* so this test can fail */
    munmap(pages, 2 * page);
}

static void equal_is_what_has_the_same_bytes(void **state)
{
    uint8_t a[SIZE] = {0}, b[SIZE] = {0};
    (void)state;

    for (size_t i = 0; i < SIZE; i++) {
        b[i] = 1;
        assert_false(mr_bytes_are_equal_secretly((mr_bytes){a, SIZE}, (mr_bytes){b, SIZE}));
        b[i] = 0;
        assert_true(mr_bytes_are_equal_secretly((mr_bytes){a, i}, (mr_bytes){b, i}));
        assert_false(mr_bytes_are_equal_secretly((mr_bytes){a, i}, (mr_bytes){b, i + 1}));
    }
    assert_true(mr_bytes_are_equal_secretly((mr_bytes){0}, (mr_bytes){0}));
    assert_false(mr_bytes_are_equal_secretly((mr_bytes){0}, (mr_bytes){a, 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_at_every_byte),
        cmocka_unit_test(equal_is_what_has_the_same_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
