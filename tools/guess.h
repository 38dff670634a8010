/* guess.h - what a mistyped word was meant to be. */
#ifndef MR_TOOLS_GUESS_H
#define MR_TOOLS_GUESS_H

#include <stdbool.h>

#define MR_GUESS_BYTES 160

/* Start from MR_GUESS(word), offer every word there is, then look at best: "" when none is near. */
struct mr_guess {
    const char *word;
    unsigned distance;
    char best[MR_GUESS_BYTES];
};
#define MR_GUESS(mistyped) ((struct mr_guess){.word = (mistyped), .distance = 3})

void mr_guess_offer(struct mr_guess *guess, const char *candidate);

#endif
