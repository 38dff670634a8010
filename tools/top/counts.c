#include "top/counts.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 400
#define PAGE_BYTES_MAX ((size_t)64 << 20)
#define WAIT_MS 2000L

static const struct {
    const char *name;
    double unit;
} counts[MR_COUNTS] = {[MR_COUNT_RECORDS] = {"incoming_records_total", 1},
                       [MR_COUNT_BYTES] = {"incoming_bytes_total", 1},
                       [MR_COUNT_THROTTLED] = {"write_provisioned_throughput_exceeded_total", 1},
                       [MR_COUNT_AGE_MS] = {"iterator_age_seconds", 1000}};

/* NAME{stream_name="STREAM",shard_id="shardId-NUMBER"} VALUE */
static bool parse_line(const char *line, const char *stream, enum mr_count count,
                       mr_shard_id *shard, uint64_t *value)
{
    char head[LINE_BYTES], *end;
    int size = snprintf(head, sizeof head, "kinesis_%s{stream_name=\"%s\",shard_id=\"shardId-",
                        counts[count].name, stream);
    double number;

    if (size >= LINE_BYTES || strncmp(line, head, (size_t)size) != 0)
        return false;
    *shard = (mr_shard_id)strtoul(line + size, &end, 10);
    if (end == line + size || strncmp(end, "\"} ", 3) != 0)
        return false;
    number = strtod(end + 3, NULL) * counts[count].unit;
    if (!(number >= 0 && number < 0x1p63))
        return false;
    *value = (uint64_t)number;
    return true;
}

void mr_counts_parse(mr_bytes page, const char *stream,
                     void (*found)(void *context, mr_shard_id shard, enum mr_count count,
                                   uint64_t value),
                     void *context)
{
    const char *at = page.data, *end = at + page.size;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((newline ? newline : end) - at);
        char line[LINE_BYTES];
        mr_shard_id shard;
        uint64_t value;

        if (size < sizeof line && *at != '#') {
            memcpy(line, at, size);
            line[size] = 0;
            for (enum mr_count count = 0; count < MR_COUNTS; count++)
                if (parse_line(line, stream, count, &shard, &value))
                    found(context, shard, count, value);
        }
        at += size + (newline != NULL);
    }
}

/* ---- from a server ------------------------------------------------------------------------ */

static size_t take(void *bytes, size_t size, size_t count, void *context)
{
    struct mr_pack *page = context;

    if (page->size + size * count > PAGE_BYTES_MAX)
        return 0;
    mr_pack_bytes(page, (mr_bytes){bytes, size * count});
    return size * count;
}

bool mr_counts_fetch(const char *endpoint, struct mr_pack *page)
{
    CURL *curl = curl_easy_init();
    char url[400];
    long code = 0;
    bool is_there;

    if (!curl)
        return false;
    snprintf(url, sizeof url, "%s/metrics", endpoint);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, WAIT_MS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, page);
    is_there = curl_easy_perform(curl) == CURLE_OK &&
               curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code) == CURLE_OK && code == 200;
    curl_easy_cleanup(curl);
    return is_there;
}
