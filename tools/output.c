#include "output.h"

#include "figures.h"
#include "os/clock.h"

#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
    bool stdout_colours, stderr_colours, stderr_terminal, utf8;
    unsigned columns;
    pthread_mutex_t lock; /* of what follows */
    bool progress_stands;
    uint64_t progress_ns;
} output = {.columns = 80, .lock = PTHREAD_MUTEX_INITIALIZER};

void mr_output_init(void)
{
    const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool colours = !(no_colour && *no_colour) && !(terminal && strcmp(terminal, "dumb") == 0);
    struct winsize size;

    setlocale(LC_CTYPE, "");
    output.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    output.stderr_terminal = isatty(STDERR_FILENO) && !(terminal && strcmp(terminal, "dumb") == 0);
    output.stdout_colours = colours && isatty(STDOUT_FILENO);
    output.stderr_colours = colours && output.stderr_terminal;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
        output.columns = size.ws_col;
}

static bool has_colours(const FILE *file)
{
    return file == stdout ? output.stdout_colours : file == stderr && output.stderr_colours;
}

const char *mr_colour_on(FILE *file, enum mr_colour colour)
{
    static const char *const codes[MR_COLOUR_COUNT] = {
        [MR_PLAIN] = "",       [MR_BOLD] = "\033[1m",   [MR_DIM] = "\033[2m",
        [MR_RED] = "\033[31m", [MR_GREEN] = "\033[32m", [MR_YELLOW] = "\033[33m",
        [MR_BLUE] = "\033[34m"};

    return has_colours(file) ? codes[colour] : "";
}

const char *mr_colour_off(FILE *file)
{
    return has_colours(file) ? "\033[0m" : "";
}

bool mr_output_is_utf8(void)
{
    return output.utf8;
}

static void clear_progress(void)
{
    if (output.progress_stands)
        fputs("\r\033[K", stderr);
    output.progress_stands = false;
}

void mr_say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    pthread_mutex_lock(&output.lock);
    clear_progress();
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    pthread_mutex_unlock(&output.lock);
    va_end(arguments);
}

/* ---- paragraphs ----------------------------------------------------------------------------- */

#define WRAP_COLUMNS 80

/* The bytes before the next place where a line may end. */
static size_t word_bytes(const char *text)
{
    size_t size = strcspn(text, " \n");

    if (strncmp(text + size, " %", 2) == 0)
        size += 1 + strcspn(text + size + 1, " \n");
    return size;
}

void mr_print_wrapped(const char *text, size_t used, size_t margin)
{
    bool is_first = true; /* word of its line */

    while (*text) {
        size_t size = word_bytes(text), width = 0;

        for (size_t i = 0; i < size; i++)
            width += (text[i] & 0xc0) != 0x80;
        if (!is_first && used + 1 + width > WRAP_COLUMNS) {
            printf("\n%*s", (int)margin, "");
            used = margin;
        } else if (!is_first) {
            putchar(' ');
            used++;
        }
        printf("%.*s", (int)size, text);
        used += width;
        text += size + (text[size] != 0);
        is_first = false;
    }
    putchar('\n');
}

/* ---- progress ----------------------------------------------------------------------------- */

bool mr_progress_is_seen(void)
{
    return output.stderr_terminal;
}

void mr_progress_show(const char *what, uint64_t done, uint64_t all, const char *note)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t now_ns = clock->monotonic_ns(clock);
    double part = all ? (double)done / (double)all : 0;
    char bar[MR_BAR_BYTES];

    if (!output.stderr_terminal)
        return;
    pthread_mutex_lock(&output.lock);
    if (output.progress_ns == 0)
        output.progress_ns = now_ns; /* what is done at once needs no bar */
    if (now_ns - output.progress_ns > 100 * 1000000u) {
        fprintf(stderr, "\r\033[K%s ", what);
        if (all)
            fprintf(stderr, "%s%s%s %3.0f %% ", mr_colour_on(stderr, MR_GREEN),
                    mr_bar_format(part, output.columns >= 72 ? 24 : 8, bar), mr_colour_off(stderr),
                    part * 100);
        fputs(note, stderr);
        fflush(stderr);
        output.progress_stands = true;
        output.progress_ns = now_ns;
    }
    pthread_mutex_unlock(&output.lock);
}

void mr_progress_hide(void)
{
    pthread_mutex_lock(&output.lock);
    clear_progress();
    pthread_mutex_unlock(&output.lock);
}
