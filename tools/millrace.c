/* millrace.c - main(): the command's table, its options, its run. */
#include "command.h"
#include "guess.h"
#include "output.h"

#include "base/fail.h"
#include "base/memory.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
#define COMMAND(name, ...) static const struct mr_option name##_options[] = {
#define OPTION(command, type, name, letter, argument, fallback, help)                              \
    {#name, MR_TYPE_##type, letter, argument, fallback, help,                                      \
     offsetof(struct mr_##command##_options, name)},
#define END(command) {0}};
#include "commands.def"

#define COMMAND(name, ...) static const struct mr_example name##_examples[] = {
#define EXAMPLE(command, line, what) {line, what},
#define END(command) {0}};
#include "commands.def"

#define COMMAND(name, min, max, arguments, summary)                                                \
    {#name, min, max, arguments, summary, name##_options, name##_examples, ""
#define NOTE(command, text) text
#define END(command) , mr_command_##command},
const struct mr_command mr_commands[] = {
#include "commands.def"
    {0}};
/* clang-format on */

/* Room for the options of any command. */
union any_options {
    struct mr_common_options common;
#define COMMAND(name, ...) struct mr_##name##_options name;
#include "commands.def"
};

const struct mr_command *mr_command_of(const char *name, const char **guess)
{
    static char best[MR_GUESS_BYTES];
    struct mr_guess near = MR_GUESS(name);

    for (const struct mr_command *command = mr_commands; command->name; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
        mr_guess_offer(&near, command->name);
    }
    memcpy(best, near.best, sizeof best);
    if (guess)
        *guess = best;
    return NULL;
}

static enum mr_exit no_command(const char *name)
{
    const char *guess;

    mr_command_of(name, &guess);
    mr_say("millrace: there is no command '%s'", name);
    if (*guess)
        mr_say("did you mean 'millrace %s'?", guess);
    mr_say("try: millrace help");
    return MR_EXIT_USAGE;
}

/* Where the command's word stands: behind the common options. */
static int find_command(int count, char **words)
{
    int at = 1;

    while (at < count && words[at][0] == '-') {
        bool takes_next = strcmp(words[at], "--data") == 0 || strcmp(words[at], "-d") == 0 ||
                          strcmp(words[at], "--key-file") == 0 ||
                          strcmp(words[at], "--endpoint") == 0;
        at += takes_next ? 2 : 1;
    }
    return at;
}

static enum mr_exit run(struct mr_cli *cli, char **words, size_t word_count)
{
    union any_options options;
    const struct mr_command *command = cli->command;

    memset(&options, 0, sizeof options);
    cli->common = &options.common;
    cli->options = &options;
    if (mr_options_parse(mr_common_option_table, command->options, &options, words, word_count,
                         &cli->argument_count, &cli->error))
        return mr_cli_misused(cli, "%s", cli->error.message);
    cli->arguments = cli->words = words;
    cli->word_count = word_count;
    if (options.common.help) {
        mr_help_print(command);
        return MR_EXIT_OK;
    }
    if (cli->argument_count < command->arguments_min)
        return mr_cli_misused(cli, "it takes %s", command->arguments);
    if (cli->argument_count > command->arguments_max)
        return mr_cli_misused(cli, "'%s' is too much: it takes %s", words[command->arguments_max],
                              *command->arguments ? command->arguments : "no arguments");
    return command->run(cli);
}

/* A pipe that its reader closed ends us quietly; any other trouble with stdout is said. */
static enum mr_exit finish_output(enum mr_exit code)
{
    bool failed = ferror(stdout) != 0;

    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return code;
    if (errno != EPIPE && errno != 0)
        mr_say("millrace: cannot write to the standard output: %s", strerror(errno));
    return errno == EPIPE || errno == 0 ? code : MR_EXIT_FAILED;
}

int main(int count, char **words)
{
    struct mr_cli cli = {.command = NULL};
    int at = find_command(count, words);
    enum mr_exit code;

    mr_output_init();
    signal(SIGPIPE, SIG_IGN);
    if (count == 2 && (strcmp(words[1], "--version") == 0 || strcmp(words[1], "-V") == 0)) {
        puts("millrace " MR_VERSION);
        return (int)finish_output(MR_EXIT_OK);
    }
    if (at >= count) {
        bool asked = count > 1 && (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0);
        mr_help_print(NULL);
        return (int)finish_output(asked ? MR_EXIT_OK : MR_EXIT_USAGE);
    }
    cli.command = mr_command_of(words[at], NULL);
    if (!cli.command)
        return (int)no_command(words[at]);

    /* The command's word goes away; what stood before it are its options, too. */
    memmove(words + 2, words + 1, (size_t)(at - 1) * sizeof *words);
    code = run(&cli, words + 2, (size_t)(count - 2));
    code = finish_output(code);
    mr_cli_close(&cli);
    return (int)code;
}
