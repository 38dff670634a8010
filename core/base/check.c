#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void mr_check_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "millrace: bug at %s:%d: not true: %s\n", file, line, condition);
    abort();
}
