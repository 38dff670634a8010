#include "settings_print.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- the man page ------------------------------------------------------------------------- */

/* As troff reads it. */
static void print_roff(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '-')
            fputs("\\-", stdout);
        else if (text[i] == '\'')
            fputs("\\(aq", stdout);
        else
            putchar(text[i]);
    }
}

static void print_bold(const char *text)
{
    fputs("\\fB", stdout);
    print_roff(text, strlen(text));
    fputs("\\fR", stdout);
}

/* Of "on|off" each word. */
static void print_argument(const char *argument)
{
    for (const char *word = argument; *word;) {
        size_t size = strcspn(word, "|");

        fputs(word == argument ? " \\fI" : "|\\fI", stdout);
        print_roff(word, size);
        fputs("\\fR", stdout);
        word += size + (word[size] == '|');
    }
}

void mr_options_print_man(const struct mr_option *table)
{
    for (const struct mr_option *option = table; option->name; option++) {
        char name[MR_OPTION_NAME_BYTES], letter[] = {'-', option->letter, 0};

        mr_option_name(option, name);
        puts(".TP");
        if (option->letter) {
            print_bold(letter);
            fputs(", ", stdout);
        }
        print_bold(name);
        print_argument(option->argument);
        putchar('\n');
        putchar(toupper((unsigned char)option->help[0]));
        print_roff(option->help + 1, strlen(option->help + 1));
        putchar('.');
        if (*option->fallback) {
            fputs(" Default: ", stdout);
            print_roff(option->fallback, strlen(option->fallback));
            putchar('.');
        }
        putchar('\n');
    }
}

/* ---- a file ------------------------------------------------------------------------------- */

void mr_options_print_config(const struct mr_option *table)
{
    puts("# Settings of millrace serve. An option of the command line, or MILLRACE_NAME in the\n"
         "# environment, counts instead of a line here.\n"
         "\n"
         "# the data directory\n"
         "#data = DIR");
    for (const struct mr_option *option = table; option->name; option++) {
        char name[MR_OPTION_NAME_BYTES];

        if (strcmp(option->name, "config") == 0)
            continue;
        mr_option_name(option, name);
        printf("\n# %s", option->help);
        if (option->type == MR_TYPE_CHOICE)
            printf(" (%s)", option->argument);
        printf("\n#%s = %s\n", name + 2, *option->fallback ? option->fallback : option->argument);
    }
}
