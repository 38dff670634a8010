/* test_lines.c - lines come out whole, whatever pieces they arrive in. */
#include "../../tools/lines.h"
#include "base/random.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int pipe_ends[2];

static int setup(void **state)
{
    (void)state;
    return pipe(pipe_ends);
}

static void feed(const char *text, size_t size)
{
    assert_int_equal(write(pipe_ends[1], text, size), (ssize_t)size);
}

static void expect(struct mr_lines *lines, const char *text)
{
    mr_bytes line;

    assert_int_equal(mr_lines_next(lines, &line), MR_LINE_GOOD);
    assert_int_equal(line.size, strlen(text));
    assert_memory_equal(line.data, text, line.size);
}

static void gives_what_is_at_hand_before_it_waits(void **state)
{
    struct mr_lines lines;
    mr_bytes line;

    (void)state;
    mr_lines_init(&lines, pipe_ends[0]);
    assert_int_equal(mr_lines_next(&lines, &line), MR_LINE_NONE);
    feed("one\n\ntwo\nthr", 12);
    assert_true(mr_lines_fill(&lines));
    expect(&lines, "one");
    expect(&lines, "");
    expect(&lines, "two");
    assert_int_equal(lines.number, 3);
    assert_int_equal(lines.byte_count, 9);
    assert_int_equal(mr_lines_next(&lines, &line), MR_LINE_NONE);
    feed("ee\nfour", 7);
    assert_true(mr_lines_fill(&lines));
    expect(&lines, "three");
    close(pipe_ends[1]);
    assert_int_equal(mr_lines_next(&lines, &line), MR_LINE_NONE);
    assert_true(mr_lines_fill(&lines));
    expect(&lines, "four");
    assert_int_equal(mr_lines_next(&lines, &line), MR_LINE_NONE);
    assert_false(mr_lines_fill(&lines));
    assert_int_equal(lines.byte_count, 19);
    assert_int_equal(lines.os_errno, 0);
    mr_lines_fini(&lines);
    close(pipe_ends[0]);
}

static void a_line_over_the_limit_is_one_line_and_the_next_is_whole(void **state)
{
    size_t size = MR_LINE_BYTES_MAX + ((size_t)4 << 20);
    char *text = malloc(size);
    FILE *temporary = tmpfile();
    int file = fileno(temporary);
    struct mr_lines lines;
    mr_bytes line;
    enum mr_line kind;

    (void)state;
    assert_non_null(text);
    memset(text, 'x', size);
    memcpy(text, "first\n", 6);
    memcpy(text + size - 6, "\nlast\n", 6);
    assert_int_equal(write(file, text, size), (ssize_t)size);
    lseek(file, 0, SEEK_SET);
    mr_lines_init(&lines, file);
    assert_true(mr_lines_fill(&lines));
    expect(&lines, "first");
    while ((kind = mr_lines_next(&lines, &line)) == MR_LINE_NONE)
        assert_true(mr_lines_fill(&lines));
    assert_int_equal(kind, MR_LINE_TOO_LONG);
    assert_int_equal(lines.number, 2);
    while (mr_lines_next(&lines, &line) == MR_LINE_NONE)
        assert_true(mr_lines_fill(&lines));
    assert_int_equal(line.size, 4);
    assert_memory_equal(line.data, "last", 4);
    assert_int_equal(lines.byte_count, size);
    mr_lines_fini(&lines);
    fclose(temporary);
    free(text);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(gives_what_is_at_hand_before_it_waits, setup),
        cmocka_unit_test_setup(a_line_over_the_limit_is_one_line_and_the_next_is_whole, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
