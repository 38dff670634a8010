/* Key files of any bytes: only what has its id is taken for a key. */
#include "base/check.h"
#include "log/key_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_master_key keys[KEYS_MAX];
    size_t count, line;
    bool good = mr_key_file_parse((mr_bytes){data, size}, keys, &count, &line);

    mr_check(count <= KEYS_MAX && line >= 1 && line <= size + 1 && (!good || count > 0));
    for (size_t i = 0; good && i < count; i++)
        mr_check(keys[i].id != 0);
    return 0;
}
