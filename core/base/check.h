/* check.h - what must be true unless there is a bug; stays on in release. */
#ifndef MR_BASE_CHECK_H
#define MR_BASE_CHECK_H

/* Prints the place and aborts when the condition is false. The world's failures are mr_status. */
#define mr_check(condition)                                                                        \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            mr_check_failed(__FILE__, __LINE__, #condition);                                       \
    } while (0)

_Noreturn void mr_check_failed(const char *file, int line, const char *condition);

#endif
