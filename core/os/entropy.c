#include "os/entropy.h"

#include "base/check.h"

#include <sys/random.h>

void mr_entropy(void *bytes, size_t size)
{
    mr_check(getentropy(bytes, size) == 0);
}
