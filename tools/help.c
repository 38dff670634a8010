#include "command.h"
#include "figures.h"
#include "output.h"
#include "settings_print.h"

#include <stdio.h>
#include <string.h>

enum { OUTPUT_TEXT, OUTPUT_MAN, OUTPUT_CONFIG }; /* of help --output */

#define HELP_COLUMN 31

/* "-k, --key KEY" */
static void format_option(const struct mr_option *option, char *text, size_t bytes)
{
    char name[MR_OPTION_NAME_BYTES];
    int size = 0;

    mr_option_name(option, name);
    if (option->letter)
        size = snprintf(text, bytes, "-%c, ", option->letter);
    else
        size = snprintf(text, bytes, "    ");
    snprintf(text + size, bytes - (size_t)size, "%s%s%s", name, *option->argument ? " " : "",
             option->argument);
}

static void print_options(const struct mr_option *option)
{
    for (; option->name; option++) {
        char name[80], help[400];
        int used;

        format_option(option, name, sizeof name);
        snprintf(help, sizeof help, *option->fallback ? "%s (%s)" : "%s", option->help,
                 option->fallback);
        used = printf("  %-28s ", name);
        mr_print_wrapped(help, (size_t)used, HELP_COLUMN);
    }
}

static void print_head(const char *text)
{
    printf("\n%s%s%s\n", mr_colour_on(stdout, MR_BOLD), text, mr_colour_off(stdout));
}

/* Paragraphs; lines that begin with a blank stay as they are. */
static void print_note(const char *note)
{
    char text[4000];

    putchar('\n');
    while (*note) {
        size_t size = 0;

        if (*note == ' ') {
            size = strcspn(note, "\n");
            printf("%.*s\n", (int)size, note);
        } else {
            while (note[size] &&
                   !(note[size] == '\n' && (note[size + 1] == ' ' || !note[size + 1])))
                size++;
            snprintf(text, sizeof text, "%.*s", (int)size, note);
            mr_print_wrapped(text, 0, 0);
        }
        note += size + (note[size] == '\n');
    }
}

static void print_command(const struct mr_command *command)
{
    mr_print_wrapped(command->summary, (size_t)printf("millrace %s: ", command->name), 4);
    if (command->examples->line)
        print_head("Examples");
    for (const struct mr_example *example = command->examples; example->line; example++)
        printf("  %s\n      %s%s%s\n", example->line, mr_colour_on(stdout, MR_DIM), example->what,
               mr_colour_off(stdout));
    print_head("Usage");
    printf("  millrace %s%s%s [OPTION...]\n", command->name, *command->arguments ? " " : "",
           command->arguments);
    print_head("Options");
    print_options(command->options);
    print_options(mr_common_option_table);
    if (*command->note)
        print_note(command->note);
}

static void print_program(void)
{
    puts("millrace: durable, ordered, sharded streams in a directory");
    print_head("Begin");
    puts("  millrace create flights --shards 4\n"
         "  millrace put flights --key DTW 'delayed by 66 minutes'\n"
         "  millrace tail flights");
    print_head("Commands");
    for (const struct mr_command *command = mr_commands; command->name; command++)
        mr_print_wrapped(command->summary, (size_t)printf("  %-10s ", command->name), 13);
    print_head("Options of every command");
    print_options(mr_common_option_table);
    puts("\nmillrace COMMAND --help explains a command, examples first.");
}

void mr_help_print(const struct mr_command *command)
{
    if (command)
        print_command(command);
    else
        print_program();
}

/* "--key-field<tab>the key is ..." a line. */
static void print_words(const struct mr_option *option)
{
    for (; option->name; option++) {
        char name[MR_OPTION_NAME_BYTES];

        mr_option_name(option, name);
        printf("%s\t%s\n", name, option->help);
        if (option->letter)
            printf("-%c\t%s\n", option->letter, option->help);
    }
}

enum mr_exit mr_command_help(struct mr_cli *cli)
{
    const struct mr_help_options *options = cli->options;
    const char *name = cli->argument_count ? cli->arguments[0] : NULL, *guess;
    const struct mr_command *command = name ? mr_command_of(name, &guess) : NULL;

    if (name && !command)
        return *guess ? mr_cli_misused(cli, "there is no command '%s': did you mean '%s'?", name,
                                       guess)
                      : mr_cli_misused(cli, "there is no command '%s'", name);
    if (options->output && !command)
        return mr_cli_misused(cli, "say of which command");
    if (options->output == OUTPUT_CONFIG && strcmp(command->name, "serve") != 0)
        return mr_cli_misused(cli, "only serve has a file of settings");
    if (options->output == OUTPUT_MAN) {
        mr_options_print_man(command->options);
        return MR_EXIT_OK;
    }
    if (options->output == OUTPUT_CONFIG) {
        mr_options_print_config(command->options);
        return MR_EXIT_OK;
    }
    if (!options->complete) {
        mr_help_print(command);
        return MR_EXIT_OK;
    }
    if (command) {
        print_words(command->options);
    } else {
        for (command = mr_commands; command->name; command++)
            printf("%s\t%s\n", command->name, command->summary);
        return MR_EXIT_OK;
    }
    print_words(mr_common_option_table);
    return MR_EXIT_OK;
}
