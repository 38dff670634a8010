/* entropy.h - bytes that nobody can guess. */
#ifndef MR_OS_ENTROPY_H
#define MR_OS_ENTROPY_H

#include <stddef.h>

void mr_entropy(void *bytes, size_t size); /* at most 256 */

#endif
