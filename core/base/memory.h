/* memory.h - malloc that does not fail: sizes from outside meet a limit before they come here. */
#ifndef MR_BASE_MEMORY_H
#define MR_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* All return memory or call the out-of-memory handler (see mr_on_out_of_memory). */
void *mr_alloc(size_t bytes);
void *mr_alloc_zero(size_t count, size_t bytes);
void *mr_resize(void *memory, size_t bytes);
char *mr_copy_text(const char *text);
void mr_free(void *memory); /* NULL is allowed */

/* Makes *bytes hold at least `needed`, forgetting what was in it where it has to grow; returns it. Start
 * from NULL and 0, release *bytes with mr_free(). */
uint8_t *mr_scratch(uint8_t **bytes, size_t *capacity, size_t needed);

/* Calls the handler; for other sources of memory than malloc. */
_Noreturn void mr_out_of_memory(size_t bytes);

/* A zeroed object. */
#define mr_new(type) ((type *)mr_alloc_zero(1, sizeof(type)))

/* Makes room for one more element in array[count], doubling; for arrays that grow one by one. */
#define mr_grow(array, count, capacity)                                                            \
    do {                                                                                           \
        if ((count) == (capacity)) {                                                               \
            (capacity) = (capacity) ? (capacity)*2 : 8;                                            \
            (array) = mr_resize((array), (size_t)(capacity) * sizeof *(array));                    \
        }                                                                                          \
    } while (0)

#endif
