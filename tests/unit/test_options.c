#include "../../tools/guess.h"
#include "../../tools/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct target {
    MR_OPTION_FLAG flag, other_flag;
    MR_OPTION_NUMBER number;
    MR_OPTION_TEXT text;
    MR_OPTION_CHOICE choice;
};

static const struct mr_option common[] = {
    {"flag", MR_TYPE_FLAG, 'f', "", "", "", offsetof(struct target, flag)}, {.name = NULL}};

static const struct mr_option own[] = {
    {"other_flag", MR_TYPE_FLAG, 'g', "", "", "", offsetof(struct target, other_flag)},
    {"number", MR_TYPE_NUMBER, 'n', "N", "7", "", offsetof(struct target, number)},
    {"key_field", MR_TYPE_TEXT, 'k', "FIELD", "", "", offsetof(struct target, text)},
    {"output", MR_TYPE_CHOICE, 'o', "text|json|raw", "json", "", offsetof(struct target, choice)},
    {.name = NULL}};

static struct target target;
static const char *kept[16];
static size_t kept_count;
static mr_error error;

/* Parses words up to NULL. */
static mr_status parse(const char *const *words)
{
    char copies[16][40], *pointers[16];
    size_t count = 0;
    mr_status status;

    for (; words[count]; count++) {
        strcpy(copies[count], words[count]);
        pointers[count] = copies[count];
    }
    target = (struct target){.flag = false};
    error.message[0] = 0;
    status = mr_options_parse(common, own, &target, pointers, count, &kept_count, &error);
    for (size_t i = 0; i < kept_count && !status; i++)
        for (size_t k = 0; k < count; k++)
            if (pointers[i] == copies[k])
                kept[i] = words[k];
    return status;
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static void takes_values_in_every_form(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--number", "3", "-o", "raw", "--other-flag"), MR_OK);
    assert_int_equal(target.number, 3);
    assert_int_equal(target.choice, 2);
    assert_true(target.other_flag);
    assert_false(target.flag);
    assert_int_equal(PARSE("--number=18446744073709551600", "-otext", "-fg"), MR_OK);
    assert_int_equal(target.number, 18446744073709551600u);
    assert_int_equal(target.choice, 0);
    assert_true(target.flag && target.other_flag);
    assert_int_equal(PARSE("-fgn12"), MR_OK);
    assert_int_equal(target.number, 12);
    assert_int_equal(kept_count, 0);
}

static void gives_what_was_not_given(void **state)
{
    (void)state;
    assert_int_equal(PARSE("x"), MR_OK);
    assert_int_equal(target.number, 7);
    assert_int_equal(target.choice, 1);
    assert_null(target.text);
}

static void keeps_arguments_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(PARSE("a", "-f", "-", "--number", "1", "b", "--", "--flag", "-n"), MR_OK);
    assert_int_equal(kept_count, 5);
    assert_string_equal(kept[0], "a");
    assert_string_equal(kept[1], "-");
    assert_string_equal(kept[2], "b");
    assert_string_equal(kept[3], "--flag");
    assert_string_equal(kept[4], "-n");
}

static void takes_values_that_look_like_options(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--key-field", "-15m"), MR_OK);
    assert_int_equal(PARSE("--key-field="), MR_OK);
    assert_string_equal(target.text, "");
}

static void refuses(const char *message, const char *first, const char *second)
{
    const char *words[] = {first, second, NULL};

    assert_int_equal(parse(words), MR_INVALID);
    assert_string_equal(error.message, message);
}

static void says_what_is_wrong_and_what_was_meant(void **state)
{
    (void)state;
    refuses("there is no option --nubmer: did you mean --number?", "--nubmer", NULL);
    refuses("there is no option --key: did you mean --key-field?", "--key", NULL);
    refuses("there is no option --something", "--something", NULL);
    refuses("there is no option -x", "-x", NULL);
    refuses("--number needs a value: N", "--number", NULL);
    refuses("-n needs a value: N", "-n", NULL);
    refuses("--number takes a number, not '3x'", "--number", "3x");
    refuses("--number takes a number, not '-1'", "-n", "-1");
    refuses("--number takes a number, not '18446744073709551616'", "-n", "18446744073709551616");
    refuses("--flag takes no value", "--flag=1", NULL);
    refuses("--output takes text|json|raw, not 'jsn': did you mean 'json'?", "--output", "jsn");
    refuses("--output takes text|json|raw, not 'xyzzy'", "--output", "xyzzy");
}

static const char *guessed(const char *word)
{
    static const char *const words[] = {"create", "delete", "describe", "put", "tail", "split"};
    static struct mr_guess guess;

    guess = MR_GUESS(word);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        mr_guess_offer(&guess, words[i]);
    return guess.best;
}

static void guesses_the_nearest_word_and_no_far_one(void **state)
{
    char longest[1000];

    (void)state;
    assert_string_equal(guessed("tial"), "tail");
    assert_string_equal(guessed("creat"), "create");
    assert_string_equal(guessed("deleet"), "delete");
    assert_string_equal(guessed("desc"), "describe");
    assert_string_equal(guessed("pt"), "put");
    assert_string_equal(guessed("spilt"), "split");
    assert_string_equal(guessed("x"), "");
    assert_string_equal(guessed(""), "");
    assert_string_equal(guessed("frobnicate"), "");
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    assert_string_equal(guessed(longest), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_values_in_every_form),
        cmocka_unit_test(gives_what_was_not_given),
        cmocka_unit_test(keeps_arguments_in_their_order),
        cmocka_unit_test(takes_values_that_look_like_options),
        cmocka_unit_test(says_what_is_wrong_and_what_was_meant),
        cmocka_unit_test(guesses_the_nearest_word_and_no_far_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
