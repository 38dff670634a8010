/*
 * replay.c - main() of the fuzz targets without a fuzzer: feeds each file named, or each file of
 * each folder named, to LLVMFuzzerTestOneInput(). With no names it feeds the empty input.
 */
#include "base/check.h"
#include "base/memory.h"

#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t replayed_count;

static void replay_file(const char *path, size_t size)
{
    uint8_t *bytes = mr_alloc(size + 1);
    FILE *file = fopen(path, "rb");

    mr_check(file);
    mr_check(fread(bytes, 1, size, file) == size);
    fclose(file);

    /* Named first: it is the last line when the input brings the target down. */
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, size);
    mr_free(bytes);
    replayed_count++;
}

static void replay(const char *path)
{
    struct stat info;
    struct dirent *entry;
    DIR *folder;

    mr_check(stat(path, &info) == 0);
    if (!S_ISDIR(info.st_mode)) {
        replay_file(path, (size_t)info.st_size);
        return;
    }
    folder = opendir(path);
    mr_check(folder);
    while ((entry = readdir(folder))) {
        char child[PATH_MAX];

        if (entry->d_name[0] == '.')
            continue;
        mr_check(snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) < PATH_MAX);
        replay(child);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        replay(argv[i]);
    printf("%zu inputs replayed\n", replayed_count);
    return 0;
}
