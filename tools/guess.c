/* guess.c - the distance is Levenshtein's, two swapped neighbours counting as one mistake. */
#include "guess.h"

#include <string.h>

#define WORD_MAX 63

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static unsigned distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned row[3][WORD_MAX + 1]; /* the row before the last, the last, this one */

    for (size_t j = 0; j <= b_size; j++)
        row[1][j] = (unsigned)j;
    for (size_t i = 1; i <= a_size; i++) {
        row[2][0] = (unsigned)i;
        for (size_t j = 1; j <= b_size; j++) {
            unsigned best = row[1][j - 1] + (a[i - 1] != b[j - 1]);
            best = smaller(best, smaller(row[1][j], row[2][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = smaller(best, row[0][j - 2] + 1);
            row[2][j] = best;
        }
        memcpy(row[0], row[1], sizeof row[0]);
        memcpy(row[1], row[2], sizeof row[1]);
    }
    return row[1][b_size];
}

void mr_guess_offer(struct mr_guess *guess, const char *candidate)
{
    size_t word_size = strlen(guess->word), size = strlen(candidate);
    unsigned far;

    if (word_size == 0 || word_size > WORD_MAX || size == 0 || size > WORD_MAX)
        return;
    far = distance(guess->word, word_size, candidate, size);
    if (word_size >= 3 && strncmp(guess->word, candidate, word_size) == 0)
        far = smaller(far, 2); /* a beginning of the word */
    if (far >= guess->distance || far * 2 > size)
        return;
    guess->distance = far;
    memcpy(guess->best, candidate, size + 1);
}
