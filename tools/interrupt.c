#include "command.h"
#include "os/thread.h"

#include <signal.h>

static _Atomic uint32_t word;
static volatile sig_atomic_t interrupted;

static void note(int number)
{
    (void)number;
    interrupted = 1;
    atomic_fetch_add(&word, 1);
    mr_word_wake(&word, true); /* a bare system call: allowed in a handler */
}

void mr_interrupt_catch(void)
{
    /* Without SA_RESTART a waiting read() returns; the second signal ends the process. */
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool mr_interrupted(void)
{
    return interrupted;
}

_Atomic uint32_t *mr_interrupt_word(void)
{
    return &word;
}
