/*
 * lab.c - guided labs: each is a script beside labs/lab.sh, whose head says what it is about:
 *
 *     # title: The hot shard
 *     # about: one or more lines, up to the first that is no comment
 */
#include "base/memory.h"
#include "command.h"
#include "guess.h"
#include "json_line.h"
#include "labs/readers.h"
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAB_MAX 32
#define LINE_BYTES 200
#define ABOUT_BYTES 2000

/* A lab's file is NUMBER-NAME.sh. */
struct lab {
    int number;
    char name[60], path[MR_PATH_BYTES], title[LINE_BYTES];
    char about[ABOUT_BYTES];
};

struct labs {
    char folder[MR_PATH_BYTES];
    struct lab list[LAB_MAX];
    size_t count;
};

/* ---- where they are ----------------------------------------------------------------------- */

static bool is_folder(const char *folder)
{
    char path[MR_PATH_BYTES + 10];

    snprintf(path, sizeof path, "%s/lab.sh", folder);
    return access(path, R_OK) == 0;
}

/* The program's own path, so that the labs run this one. */
static bool find_self(char self[MR_PATH_BYTES])
{
    ssize_t size = readlink("/proc/self/exe", self, MR_PATH_BYTES - 1);

    self[size > 0 ? size : 0] = 0;
    return size > 0;
}

/* MILLRACE_LABS, else where `make install` puts them, else where they stand in the source. */
static bool find_folder(char folder[MR_PATH_BYTES])
{
    static const char *const places[] = {"../share/millrace/labs", "../../tools/labs"};
    const char *given = getenv("MILLRACE_LABS");
    char self[MR_PATH_BYTES], *slash;

    if (given) {
        snprintf(folder, MR_PATH_BYTES, "%s", given);
        return is_folder(folder);
    }
    if (!find_self(self) || !(slash = strrchr(self, '/')))
        return false;
    *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if ((size_t)snprintf(folder, MR_PATH_BYTES, "%s/%s", self, places[i]) < MR_PATH_BYTES &&
            is_folder(folder))
            return true;
    return false;
}

/* ---- what they are ------------------------------------------------------------------------ */

/* Text behind "# title: " of a line, without its end; NULL: it is something else. */
static const char *field(char *line, const char *name)
{
    size_t size = strlen(name);

    line[strcspn(line, "\n")] = 0;
    return strncmp(line, "# ", 2) == 0 && strncmp(line + 2, name, size) == 0 ? line + 2 + size
                                                                             : NULL;
}

static void read_head(struct lab *lab)
{
    FILE *file = fopen(lab->path, "r");
    char line[LINE_BYTES];
    const char *text;
    bool in_about = false;

    while (file && fgets(line, sizeof line, file) && line[0] == '#') {
        if ((text = field(line, "title: "))) {
            strcpy(lab->title, text);
        } else if ((text = field(line, "about: ")) || (in_about && (text = field(line, "  ")))) {
            size_t used = strlen(lab->about);

            snprintf(lab->about + used, sizeof lab->about - used, "%s%s", in_about ? "\n" : "",
                     text);
            in_about = true;
        }
    }
    if (file)
        fclose(file);
}

static int by_number(const void *a, const void *b)
{
    return ((const struct lab *)a)->number - ((const struct lab *)b)->number;
}

static enum mr_exit read_labs(struct mr_cli *cli, struct labs *labs)
{
    struct dirent *entry;
    DIR *folder;

    (void)cli;
    if (!find_folder(labs->folder) || !(folder = opendir(labs->folder))) {
        mr_say("millrace: the labs are not where they were installed");
        mr_say("try: MILLRACE_LABS=FOLDER millrace lab list   FOLDER: the source's tools/labs");
        return MR_EXIT_NOT_FOUND;
    }
    while ((entry = readdir(folder)) && labs->count < LAB_MAX) {
        struct lab lab = {.number = 0};
        char suffix[4] = "";

        if (sscanf(entry->d_name, "%d-%59[a-z-].%3s", &lab.number, lab.name, suffix) != 3 ||
            strcmp(suffix, "sh") != 0 ||
            (size_t)snprintf(lab.path, sizeof lab.path, "%s/%s", labs->folder, entry->d_name) >=
                sizeof lab.path)
            continue;
        read_head(&lab);
        labs->list[labs->count++] = lab;
    }
    closedir(folder);
    qsort(labs->list, labs->count, sizeof *labs->list, by_number);
    return MR_EXIT_OK;
}

/* By its name or its number. */
static const struct lab *find_lab(struct mr_cli *cli, const struct labs *labs)
{
    const char *name = cli->argument_count > 1 ? cli->arguments[1] : "";
    struct mr_guess guess = MR_GUESS(name);

    for (size_t i = 0; i < labs->count; i++) {
        char number[12];

        snprintf(number, sizeof number, "%d", labs->list[i].number);
        if (strcmp(name, labs->list[i].name) == 0 || strcmp(name, number) == 0)
            return &labs->list[i];
        mr_guess_offer(&guess, labs->list[i].name);
    }
    if (*name)
        mr_say("millrace: there is no lab '%s'", name);
    else
        mr_say("millrace lab %s: which lab?", cli->arguments[0]);
    if (*guess.best)
        mr_say("did you mean '%s'?", guess.best);
    mr_say("try: millrace lab list");
    return NULL;
}

/* ---- list, show, run ---------------------------------------------------------------------- */

static void list_json(const struct labs *labs)
{
    struct mr_json_line line = MR_JSON_LINE;

    for (size_t i = 0; i < labs->count; i++) {
        mr_json_open(&line, '{');
        mr_json_name(&line, "number");
        mr_json_count(&line, (uint64_t)labs->list[i].number);
        mr_json_name(&line, "name");
        mr_json_text(&line, labs->list[i].name);
        mr_json_name(&line, "title");
        mr_json_text(&line, labs->list[i].title);
        mr_json_close(&line, '}');
        mr_json_print(&line, stdout);
    }
    mr_pack_fini(&line.pack);
}

static enum mr_exit list(struct mr_cli *cli, const struct labs *labs)
{
    if (cli->common->json) {
        list_json(labs);
        return MR_EXIT_OK;
    }
    for (size_t i = 0; i < labs->count; i++)
        printf("%d  %s%-12s%s %s\n", labs->list[i].number, mr_colour_on(stdout, MR_BOLD),
               labs->list[i].name, mr_colour_off(stdout), labs->list[i].title);
    puts("\nmillrace lab run NAME runs one here and now, in a directory of its own.");
    return MR_EXIT_OK;
}

static enum mr_exit show(const struct lab *lab)
{
    printf("%s%d. %s%s\n\n", mr_colour_on(stdout, MR_BOLD), lab->number, lab->title,
           mr_colour_off(stdout));
    mr_print_wrapped(lab->about, 0, 0);
    printf("\nIt is a script: %s\n", lab->path);
    printf("millrace lab run %s   runs it\n", lab->name);
    return MR_EXIT_OK;
}

/* The script in its own process; its exit code is ours. */
static enum mr_exit run_script(struct mr_cli *cli, const struct labs *labs, const struct lab *lab)
{
    const struct mr_lab_options *options = cli->options;
    char self[MR_PATH_BYTES];
    pid_t child;
    int status;

    if (!find_self(self)) {
        mr_say("millrace: cannot find my own path");
        return MR_EXIT_FAILED;
    }
    fflush(stdout);
    child = fork();
    if (child == 0) {
        setenv("MILLRACE", self, 1);
        setenv("MILLRACE_LABS", labs->folder, 1);
        setenv("LAB_FAST", options->fast ? "1" : "", 1);
        if (options->answer)
            setenv("LAB_ANSWER", options->answer, 1);
        else
            unsetenv("LAB_ANSWER");
        signal(SIGPIPE, SIG_DFL);
        execlp("bash", "bash", lab->path, (char *)NULL);
        _exit(127);
    }
    signal(SIGINT, SIG_IGN); /* ^C is for the script, which cleans up */
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) != 127)
        return (enum mr_exit)WEXITSTATUS(status);
    if (child < 0 || WIFEXITED(status))
        mr_say("millrace: cannot run bash, which the labs are written for");
    return MR_EXIT_FAILED;
}

enum mr_exit mr_command_lab(struct mr_cli *cli)
{
    const char *verb = cli->arguments[0];
    struct labs *labs;
    const struct lab *lab = NULL;
    bool is_list = strcmp(verb, "list") == 0, is_show = strcmp(verb, "show") == 0;
    enum mr_exit code;

    if (strcmp(verb, "readers") == 0)
        return mr_lab_readers(cli);
    if (!is_list && !is_show && strcmp(verb, "run") != 0)
        return mr_cli_misused(cli, "'%s' is none of list, show and run", verb);
    labs = mr_new(struct labs);
    code = read_labs(cli, labs);
    if (!code && is_list)
        code = list(cli, labs);
    else if (!code && !(lab = find_lab(cli, labs)))
        code = cli->argument_count > 1 ? MR_EXIT_NOT_FOUND : MR_EXIT_USAGE;
    else if (!code)
        code = is_show ? show(lab) : run_script(cli, labs, lab);
    mr_free(labs);
    return code;
}
