#include "replay/report.h"

#include "figures.h"
#include "output.h"
#include "show.h"
#include "streams.h"

#define SHOWN_MAX 5

enum mr_exit mr_send_reach(struct mr_cli *cli, const char *stream, bool limits)
{
    struct mr_stream_info info;
    enum mr_exit code = mr_cli_reach(cli, false);

    if (code)
        return code;
    if (limits && !cli->place.engine)
        return mr_cli_misused(cli, "--limits are the server's: millrace serve --limits on");
    if (mr_streams_describe(&cli->place, stream, &info, &cli->error))
        return mr_cli_failed(cli, stream);
    if (limits)
        mr_engine_limit(cli->engine, &MR_LIMITS_KINESIS);
    return MR_EXIT_OK;
}

static double rate_of(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

static uint64_t lateness_us(const struct mr_sent *sent, double part)
{
    return mr_lateness_quantile_ns(&sent->lateness, part) / 1000;
}

static void say_throttled(const struct mr_sent *sent)
{
    char count[MR_FIGURE_BYTES], hottest_count[MR_FIGURE_BYTES], shard[MR_SHARD_TEXT_BYTES];
    size_t hottest = 0;

    if (sent->throttled_count == 0)
        return;
    for (size_t i = 1; i < sent->shard_count; i++)
        if (sent->shards[i].throttled_count > sent->shards[hottest].throttled_count)
            hottest = i;
    mr_shard_format((mr_shard_id)hottest, shard);
    mr_say("throttled %s times, %s of them by %s", mr_count_format(sent->throttled_count, count),
           mr_count_format(sent->shards[hottest].throttled_count, hottest_count), shard);
}

void mr_sent_say(const struct mr_sent *sent, double seconds)
{
    char stored[MR_FIGURE_BYTES], size[MR_FIGURE_BYTES], time[MR_FIGURE_BYTES],
        rate[MR_FIGURE_BYTES], byte_rate[MR_FIGURE_BYTES];

    mr_say("%s records (%s) stored durably in %s: %s records/s, %s/s",
           mr_count_format(sent->stored_count, stored), mr_size_format(sent->stored_bytes, size),
           mr_duration_format(seconds, time),
           mr_count_format((uint64_t)rate_of(sent->stored_count, seconds), rate),
           mr_size_format((uint64_t)rate_of(sent->stored_bytes, seconds), byte_rate));
    say_throttled(sent);
    if (sent->lateness.count > 0)
        mr_say("sent behind its moment: half by under %s, 99 %% under %s, all under %s",
               mr_duration_format((double)lateness_us(sent, 0.5) / 1e6, stored),
               mr_duration_format((double)lateness_us(sent, 0.99) / 1e6, size),
               mr_duration_format((double)lateness_us(sent, 1) / 1e6 + 1e-6, time));
}

static void show_shards(struct mr_json_line *line, const struct mr_sent *sent)
{
    mr_json_name(line, "shards");
    mr_json_open(line, '[');
    for (size_t i = 0; i < sent->shard_count; i++) {
        const struct mr_sent_shard *shard = &sent->shards[i];

        if (shard->stored_count == 0 && shard->throttled_count == 0)
            continue;
        mr_json_open(line, '{');
        mr_show_shard_id(line, "shard_id", (mr_shard_id)i);
        mr_json_name(line, "record_count");
        mr_json_count(line, shard->stored_count);
        mr_json_name(line, "record_bytes");
        mr_json_count(line, shard->stored_bytes);
        mr_json_name(line, "throttled_count");
        mr_json_count(line, shard->throttled_count);
        mr_json_name(line, "throttled_bytes");
        mr_json_count(line, shard->throttled_bytes);
        mr_json_close(line, '}');
    }
    mr_json_close(line, ']');
}

void mr_sent_show(struct mr_json_line *line, const struct mr_sent *sent, double seconds)
{
    mr_json_name(line, "stored_bytes");
    mr_json_count(line, sent->stored_bytes);
    mr_json_name(line, "throttled_count");
    mr_json_count(line, sent->throttled_count);
    mr_json_name(line, "seconds");
    mr_json_real(line, seconds);
    mr_json_name(line, "records_per_s");
    mr_json_real(line, rate_of(sent->stored_count, seconds));
    mr_json_name(line, "bytes_per_s");
    mr_json_real(line, rate_of(sent->stored_bytes, seconds));
    if (sent->lateness.count > 0) {
        mr_json_name(line, "late_p50_us");
        mr_json_count(line, lateness_us(sent, 0.5));
        mr_json_name(line, "late_p99_us");
        mr_json_count(line, lateness_us(sent, 0.99));
        mr_json_name(line, "late_max_us");
        mr_json_count(line, lateness_us(sent, 1));
    }
    show_shards(line, sent);
}

const char *mr_sent_note(const struct mr_sent *sent, double seconds, char note[MR_SENT_NOTE_BYTES])
{
    char count[MR_FIGURE_BYTES], rate[MR_FIGURE_BYTES], throttled[MR_FIGURE_BYTES];
    int size = snprintf(note, MR_SENT_NOTE_BYTES, "%s records, %s/s",
                        mr_count_format(sent->stored_count, count),
                        mr_count_format((uint64_t)rate_of(sent->stored_count, seconds), rate));

    if (sent->throttled_count > 0)
        snprintf(note + size, MR_SENT_NOTE_BYTES - (size_t)size, ", %s throttled",
                 mr_count_format(sent->throttled_count, throttled));
    return note;
}

void mr_refusal_say(struct mr_refusals *refusals, uint64_t line, const char *why)
{
    uint64_t count = atomic_fetch_add(&refusals->count, 1) + 1;

    if (count <= SHOWN_MAX)
        mr_say("line %llu: %s", (unsigned long long)line, why);
    else if (count == SHOWN_MAX + 1)
        mr_say("... further lines that are refused are only counted");
}
