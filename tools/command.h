/*
 * command.h - what a command gets and what it may cli.
 *
 * A command is one function in a file of its name, and an entry of commands.def. It returns its
 * exit code, having said on stderr what went wrong and what to do next.
 */
#ifndef MR_TOOLS_COMMAND_H
#define MR_TOOLS_COMMAND_H

#include "millrace.h"
#include "options.h"

#include "os/clock.h"
#include "os/fs.h"

enum mr_exit {
    MR_EXIT_OK = 0,
    MR_EXIT_FAILED = 1,
    MR_EXIT_USAGE = 2,
    MR_EXIT_BUDGET = 3,
    MR_EXIT_NOT_FOUND = 4,
};

/* What every command takes. */
struct mr_common_options {
    const char *data, *key_file, *endpoint;
    bool json, verbose, help;
};

/* struct mr_create_options and so on, with a field for each OPTION. */
/* clang-format off */
#define COMMAND(name, ...) struct mr_##name##_options { struct mr_common_options common;
#define OPTION(command, type, name, ...) MR_OPTION_##type name;
#define END(command) };
#include "commands.def"
/* clang-format on */

/* Where streams are: one of both. */
struct mr_place {
    mr_engine *engine;
    mr_service *service; /* of a server */
};

struct mr_cli {
    const struct mr_command *command;
    const struct mr_common_options *common;
    const void *options; /* of the command's own type */
    char **words;        /* of the command line, behind the command's own */
    size_t word_count;
    char *const *arguments;
    size_t argument_count;
    char directory[MR_PATH_BYTES]; /* the data directory */
    mr_engine *engine;             /* from mr_cli_open() to the end of the command */
    struct mr_place place;         /* the same, or a server, from mr_cli_reach() on */
    mr_service *service;           /* over the engine, from mr_cli_service() on */
    char endpoint[256];            /* of the server */
    mr_error error;                /* for the command's calls */
    unsigned waited_ms;            /* for another process to leave the directory */
};

struct mr_example {
    const char *line, *what; /* line NULL ends them */
};

struct mr_command {
    const char *name; /* NULL ends the table */
    size_t arguments_min, arguments_max;
    const char *arguments, *summary;
    const struct mr_option *options;
    const struct mr_example *examples;
    const char *note;
    enum mr_exit (*run)(struct mr_cli *cli);
};

extern const struct mr_command mr_commands[];
extern const struct mr_option mr_common_option_table[];

#define COMMAND(name, ...) enum mr_exit mr_command_##name(struct mr_cli *cli);
#include "commands.def"

/* NULL if there is none; then *guess (may be NULL) is the nearest name or "". */
const struct mr_command *mr_command_of(const char *name, const char **guess);
void mr_help_print(const struct mr_command *command);

/* Whatever fails in these has been said. Fills cli->directory from --data, MILLRACE_DATA or
 * ~/.local/share/millrace: */
enum mr_exit mr_cli_place(struct mr_cli *cli); /* makes the folders above it */
enum mr_exit mr_cli_find(struct mr_cli *cli);  /* NOT_FOUND when it is missing */
/* From --key-file or MILLRACE_KEY_FILE; NULL: the engine's default. */
const char *mr_cli_key_file(const struct mr_cli *cli);
/* and opens its engine; `make`: makes it when it is missing. */
enum mr_exit mr_cli_open(struct mr_cli *cli, bool make);
enum mr_exit mr_cli_open_as(struct mr_cli *cli, bool make, struct mr_engine_config *config);
/* The same by a clock of one's own. */
enum mr_exit mr_cli_open_by(struct mr_cli *cli, struct mr_clock *clock,
                            struct mr_engine_config *config);

/* The data directory, made where it is missing, for what is kept beside streams of anywhere. */
mr_status mr_cli_keep(struct mr_cli *cli);

/* Finds the server that was asked for, or opens the engine as above; a directory that a server of
 * ours has open is reached through it. */
enum mr_exit mr_cli_reach(struct mr_cli *cli, bool make);

/* The service of the place, for who works on one: of an engine it is opened at the first call. */
mr_status mr_cli_service(struct mr_cli *cli, mr_service **service);

void mr_cli_close(struct mr_cli *cli);

/* After a failed opening: true, a moment later, when it was LOCKED and is worth another try. */
bool mr_cli_waits(struct mr_cli *cli);

/* Says cli->error, with the next step for it, and returns the exit code. stream may be NULL. */
enum mr_exit mr_cli_failed(struct mr_cli *cli, const char *stream);

/* Says what is wrong with the command line. */
__attribute__((format(printf, 2, 3))) enum mr_exit mr_cli_misused(struct mr_cli *cli,
                                                                  const char *format, ...);

/* Reads an argument as a shard; whatever fails has been said. */
enum mr_exit mr_cli_shard(struct mr_cli *cli, const char *text, mr_shard_id *shard);

/* ^C, a polite kill and a closed pipe as questions, not as ends: a command that goes on for long
 * asks, finishes what it has begun, and returns. */
void mr_interrupt_catch(void);
void mr_interrupt_after(double seconds); /* by itself, so much later */
bool mr_interrupted(void);
/* From now on SIGHUP is no interrupt, but a wish to read files again; how many there were. */
void mr_reload_catch(void);
uint32_t mr_reload_count(void);
/* Grows and is woken with each interrupt and each such wish: for mr_word_wait(). */
_Atomic uint32_t *mr_interrupt_word(void);

#endif
