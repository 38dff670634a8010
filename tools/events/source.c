#include "events/source.h"

#include "base/fail.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>
#include <zstd.h>

#define INPUT_BYTES ((size_t)256 << 10)
#define MAGIC_BYTES 4

/* Unpacks input[at .. end) into `to`: moves `at`, returns how much came out, or -1 with the error. */
typedef ssize_t unpack_fn(struct mr_source *source, void *to, size_t bytes);

struct mr_source {
    int file;
    char name[256];
    unpack_fn *unpack; /* NULL: until the first bytes are seen */
    uint8_t *input;
    size_t at, end;
    bool at_end;  /* of the file */
    bool is_open; /* a packed frame that has not ended: the file may not end here */
    uint64_t read_bytes, file_bytes;
    z_stream zlib;
    ZSTD_DStream *zstd;
    mr_error error;
};

static ssize_t damaged(struct mr_source *source, const char *what)
{
    mr_fail(&source->error, MR_CORRUPT, "%s is damaged: %s, at about byte %llu of the file",
            source->name, what,
            (unsigned long long)(source->read_bytes - (source->end - source->at)));
    return -1;
}

/* As read(2), and counts. */
static ssize_t read_some(struct mr_source *source, void *to, size_t bytes)
{
    ssize_t got = read(source->file, to, bytes);

    if (got < 0)
        mr_fail_os(&source->error, errno, "cannot read %s", source->name);
    else
        source->read_bytes += (uint64_t)got;
    source->at_end = got == 0;
    return got;
}

static ssize_t copy(struct mr_source *source, void *to, size_t bytes)
{
    size_t left = source->end - source->at, size = left < bytes ? left : bytes;

    memcpy(to, source->input + source->at, size);
    source->at += size;
    return (ssize_t)size;
}

static ssize_t inflate_some(struct mr_source *source, void *to, size_t bytes)
{
    z_stream *zlib = &source->zlib;
    int result;

    zlib->next_in = source->input + source->at;
    zlib->avail_in = (unsigned)(source->end - source->at);
    zlib->next_out = to;
    zlib->avail_out = (unsigned)bytes;
    source->is_open = true;
    result = inflate(zlib, Z_NO_FLUSH);
    source->at = source->end - zlib->avail_in;
    if (result == Z_STREAM_END) { /* members may follow each other */
        source->is_open = false;
        inflateReset(zlib);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return damaged(source, zlib->msg ? zlib->msg : "no gzip");
    }
    return (ssize_t)(bytes - zlib->avail_out);
}

static ssize_t unzstd_some(struct mr_source *source, void *to, size_t bytes)
{
    ZSTD_inBuffer in = {source->input + source->at, source->end - source->at, 0};
    ZSTD_outBuffer out = {to, bytes, 0};
    size_t result = ZSTD_decompressStream(source->zstd, &out, &in);

    source->at += in.pos;
    if (ZSTD_isError(result))
        return damaged(source, ZSTD_getErrorName(result));
    source->is_open = result != 0;
    return (ssize_t)out.pos;
}

/* More of the file behind what is left of the input. */
static bool fill(struct mr_source *source)
{
    ssize_t got;

    memmove(source->input, source->input + source->at, source->end - source->at);
    source->end -= source->at;
    source->at = 0;
    got = read_some(source, source->input + source->end, INPUT_BYTES - source->end);
    source->end += got > 0 ? (size_t)got : 0;
    return got >= 0;
}

static void choose(struct mr_source *source)
{
    static const uint8_t zstd_magic[MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
    const uint8_t *input = source->input + source->at;
    size_t size = source->end - source->at;

    source->unpack = copy;
    if (size >= 2 && input[0] == 0x1f && input[1] == 0x8b) {
        source->unpack = inflate_some;
        if (inflateInit2(&source->zlib, 15 + 16) != Z_OK) /* 16: with a gzip header */
            mr_out_of_memory(0);
    } else if (size >= MAGIC_BYTES && memcmp(input, zstd_magic, MAGIC_BYTES) == 0) {
        source->unpack = unzstd_some;
        source->zstd = ZSTD_createDStream();
        if (!source->zstd)
            mr_out_of_memory(0);
    }
}

mr_status mr_source_open(struct mr_source **source, const char *path, mr_error *error)
{
    bool is_stdin = !path || strcmp(path, "-") == 0;
    int file = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct mr_source *made;
    struct stat info;

    if (file < 0 && errno == ENOENT)
        return mr_fail(error, MR_NOT_FOUND, "there is no file %s", path);
    if (file < 0)
        return mr_fail_os(error, errno, "cannot open %s", path);
    if (fstat(file, &info) == 0 && S_ISDIR(info.st_mode)) {
        if (!is_stdin)
            close(file);
        return mr_fail(error, MR_INVALID, "%s is a directory, not a file", path ? path : "-");
    }
    made = mr_new(struct mr_source);
    made->file = file;
    made->input = mr_alloc(INPUT_BYTES);
    made->file_bytes = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    strncpy(made->name, is_stdin ? "the standard input" : path, sizeof made->name - 1);
    *source = made;
    return MR_OK;
}

ssize_t mr_source_read(struct mr_source *source, void *to, size_t bytes)
{
    ssize_t got = 0;

    while (!source->unpack && !source->error.status) {
        if (source->end - source->at >= MAGIC_BYTES || source->at_end)
            choose(source);
        else
            fill(source);
    }
    while (got == 0 && !source->error.status) {
        if (source->at < source->end || source->is_open)
            got = source->unpack(source, to, bytes);
        if (got)
            break;
        if (source->at_end && source->is_open)
            return damaged(source, "it is cut short");
        if (source->at_end)
            return 0;
        if (source->unpack == copy)
            got = read_some(source, to, bytes);
        else
            fill(source);
    }
    if (source->error.status) {
        errno = EIO;
        return -1;
    }
    return got;
}

const mr_error *mr_source_error(const struct mr_source *source)
{
    return &source->error;
}

uint64_t mr_source_read_bytes(const struct mr_source *source)
{
    return source->read_bytes;
}

uint64_t mr_source_file_bytes(const struct mr_source *source)
{
    return source->file_bytes;
}

void mr_source_close(struct mr_source *source)
{
    if (!source)
        return;
    if (source->unpack == inflate_some)
        inflateEnd(&source->zlib);
    ZSTD_freeDStream(source->zstd);
    if (source->file != STDIN_FILENO)
        close(source->file);
    mr_free(source->input);
    mr_free(source);
}
