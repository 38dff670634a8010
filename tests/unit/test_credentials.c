/* Who signs: the environment, the two files, profiles, and which comes first. */
#include "wire/credentials.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char home[200];

static void write_file(const char *name, const char *content)
{
    char path[300];
    FILE *file;

    snprintf(path, sizeof path, "%s/.aws/%s", home, name);
    file = fopen(path, "w");
    mr_check(file);
    mr_check(fputs(content, file) >= 0 && fclose(file) == 0);
}

static int setup(void **state)
{
    static const char *const names[] = {"AWS_ACCESS_KEY_ID",  "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",  "AWS_REGION",
                                        "AWS_DEFAULT_REGION", "AWS_PROFILE",
                                        "AWS_CONFIG_FILE",    "AWS_SHARED_CREDENTIALS_FILE"};
    const char *temporary = getenv("TMPDIR");
    char path[300];
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
    snprintf(home, sizeof home, "%s/home.XXXXXX", temporary ? temporary : "/tmp");
    mr_check(mkdtemp(home));
    snprintf(path, sizeof path, "%s/.aws", home);
    mr_check(mkdir(path, 0700) == 0);
    setenv("HOME", home, 1);
    return 0;
}

static int teardown(void **state)
{
    char command[300];
    (void)state;

    snprintf(command, sizeof command, "rm -rf '%s'", home);
    return system(command);
}

/* "ID SECRET TOKEN REGION", with - for what is not known. */
static void expect(const char *profile, const char *expected)
{
    struct mr_credentials found = {.secret = NULL};
    char told[400];
    mr_error error;

    if (mr_credentials_find(profile, &found, &error))
        fail_msg("%s", error.message);
    snprintf(told, sizeof told, "%s %s %s %s", found.access_key_id ? found.access_key_id : "-",
             found.secret ? found.secret : "-", found.session_token ? found.session_token : "-",
             found.region ? found.region : "-");
    assert_string_equal(told, expected);
    mr_credentials_fini(&found);
}

static void expect_read(const char *content, const char *section, const char *id, bool is_there)
{
    struct mr_credentials found = {.secret = NULL};

    assert_int_equal(mr_credentials_read((mr_bytes){content, strlen(content)}, section, &found),
                     is_there);
    if (id)
        assert_string_equal(found.access_key_id, id);
    else
        assert_null(found.access_key_id);
    mr_credentials_fini(&found);
}

static void nothing_is_found_where_nothing_is(void **state)
{
    (void)state;
    expect(NULL, "- - - -");
}

static void the_environment_comes_first(void **state)
{
    (void)state;
    write_file("credentials", "[default]\naws_access_key_id=F\naws_secret_access_key=FS\n"
                              "aws_session_token=FT\nregion=fr\n");
    expect(NULL, "F FS FT fr");
    setenv("AWS_DEFAULT_REGION", "dr", 1);
    expect(NULL, "F FS FT dr");
    setenv("AWS_REGION", "er", 1);
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    expect(NULL, "F FS FT er"); /* half a key is none */
    setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
    expect(NULL, "E ES - er"); /* the token is the other key's */
    setenv("AWS_SESSION_TOKEN", "ET", 1);
    expect(NULL, "E ES ET er");
}

static void profiles_have_their_sections(void **state)
{
    (void)state;
    write_file("credentials", "[default]\naws_access_key_id=D\naws_secret_access_key=DS\n"
                              "[work]\naws_access_key_id = W\naws_secret_access_key = WS\n");
    write_file("config", "[default]\nregion = us-east-2\n[profile work]\nregion = eu-west-3\n"
                         "[profile keyed]\naws_access_key_id=K\naws_secret_access_key=KS\n");
    expect(NULL, "D DS - us-east-2");
    expect("work", "W WS - eu-west-3");
    expect("keyed", "K KS - -");
    setenv("AWS_PROFILE", "work", 1);
    expect(NULL, "W WS - eu-west-3");
    setenv("AWS_ACCESS_KEY_ID", "E", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
    expect(NULL, "E ES - eu-west-3");
    expect("work", "W WS - eu-west-3"); /* who names one means it */
}

static void a_profile_that_is_not_there_is_told(void **state)
{
    struct mr_credentials found = {.secret = NULL};
    mr_error error;
    (void)state;

    write_file("credentials", "[default]\naws_access_key_id=D\naws_secret_access_key=DS\n");
    assert_int_equal(mr_credentials_find("nobody", &found, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.message, "nobody"));
    mr_credentials_fini(&found);
}

static void the_files_may_lie_elsewhere(void **state)
{
    char path[300];
    (void)state;

    write_file("mine", "[default]\naws_access_key_id=M\naws_secret_access_key=MS\n");
    write_file("own", "[default]\nregion=own-1\n");
    snprintf(path, sizeof path, "%s/.aws/mine", home);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    snprintf(path, sizeof path, "%s/.aws/own", home);
    setenv("AWS_CONFIG_FILE", path, 1);
    expect(NULL, "M MS - own-1");
}

static void odd_files_are_read_as_far_as_they_go(void **state)
{
    static const char good[] = "aws_access_key_id=A\naws_secret_access_key=S\n";
    char text[300];
    (void)state;

    snprintf(text, sizeof text, "%s[other]\n", good);
    expect_read(text, "default", NULL, false);
    snprintf(text, sizeof text, "[default]\n# comment\n; too\n\n%s", good);
    expect_read(text, "default", "A", true);
    snprintf(text, sizeof text,
             "[ default ]\r\naws_access_key_id\t=\tA\r\naws_secret_access_key=S");
    expect_read(text, "default", "A", true);
    snprintf(text, sizeof text, "[default]\ns3 =\n  aws_access_key_id=NO\n%s", good);
    expect_read(text, "default", "A", true);
    snprintf(text, sizeof text, "[default]\n%saws_access_key_id=LAST\n", good);
    expect_read(text, "default", "LAST", true);
    expect_read("[default]\naws_access_key_id=\naws_secret_access_key=S\n", "default", NULL, true);
    expect_read("[default]\naws_access_key_id=A\n", "default", NULL, true);
    expect_read("[default", "default", NULL, false);
    expect_read("", "default", NULL, false);
}

static void what_would_end_a_header_is_not_taken(void **state)
{
    (void)state;
    expect_read("[default]\naws_access_key_id=A\rX: y\naws_secret_access_key=S\n", "default", NULL,
                true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_found_where_nothing_is),    TEST(the_environment_comes_first),
        TEST(profiles_have_their_sections),         TEST(a_profile_that_is_not_there_is_told),
        TEST(the_files_may_lie_elsewhere),          TEST(odd_files_are_read_as_far_as_they_go),
        TEST(what_would_end_a_header_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
