#include "command.h"
#include "os/thread.h"

#include <signal.h>
#include <sys/time.h>

static _Atomic uint32_t word;
static volatile sig_atomic_t interrupted;

static void note(int number)
{
    (void)number;
    interrupted = 1;
    atomic_fetch_add(&word, 1);
    mr_word_wake(&word, true); /* a bare system call: allowed in a handler */
}

static _Atomic uint32_t reload_count;

static void note_reload(int number)
{
    (void)number;
    atomic_fetch_add(&reload_count, 1);
    atomic_fetch_add(&word, 1);
    mr_word_wake(&word, true);
}

void mr_reload_catch(void)
{
    /* Without SA_RESTART, too: who waits for the word looks again at once. */
    struct sigaction action = {.sa_handler = note_reload};

    sigaction(SIGHUP, &action, NULL);
}

uint32_t mr_reload_count(void)
{
    return atomic_load(&reload_count);
}

void mr_interrupt_catch(void)
{
    /* Without SA_RESTART a waiting read() returns; the second signal ends the process. */
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

void mr_interrupt_after(double seconds)
{
    struct sigaction action = {.sa_handler = note};
    struct itimerval timer = {.it_value = {.tv_sec = (time_t)seconds}};

    timer.it_value.tv_usec = (suseconds_t)((seconds - (double)timer.it_value.tv_sec) * 1e6);
    if (timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0)
        timer.it_value.tv_usec = 1; /* 0 would be never */
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

bool mr_interrupted(void)
{
    return interrupted;
}

_Atomic uint32_t *mr_interrupt_word(void)
{
    return &word;
}
