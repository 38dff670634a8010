#include "server/admin.h"

#include "base/memory.h"
#include "gen/amount.h"
#include "json_line.h"
#include "server/part.h"
#include "when.h"

#include <stdio.h>
#include <string.h>

#define BODY_BYTES_MAX 65536
#define FORWARD_BYTES_MAX 31

/* ---- who asks ----------------------------------------------------------------------------- */

static bool begins(mr_bytes text, const char *with)
{
    return text.size >= strlen(with) && strncasecmp(text.data, with, strlen(with)) == 0;
}

static bool is_loopback(mr_bytes address)
{
    return begins(address, "127.") || begins(address, "[::1]") || begins(address, "[::ffff:127.");
}

/* Else a page of another name, which resolves to this machine, could ask. */
static bool names_this_machine(mr_bytes host)
{
    return is_loopback(host) || mr_part_is_in_any_case(host, mr_part_of("localhost")) ||
           begins(host, "localhost:");
}

bool mr_request_is_local(const struct mr_request *request)
{
    static const char *const proxies[] = {"origin", "forwarded", "x-forwarded-for", "via"};

    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
        if (mr_request_field(request, proxies[i]).data)
            return false;
    return is_loopback(mr_part_of(request->peer)) && names_this_machine(request->host);
}

/* ---- answers ------------------------------------------------------------------------------ */

static unsigned fail(struct mr_pack *answer, unsigned status, const char *text)
{
    struct mr_json_line line = MR_JSON_LINE;

    mr_json_open(&line, '{');
    mr_json_name(&line, "error");
    mr_json_text(&line, text);
    mr_json_close(&line, '}');
    mr_pack_u8(&line.pack, '\n');
    mr_pack_bytes(answer, (mr_bytes){line.pack.data, line.pack.size});
    mr_pack_fini(&line.pack);
    return status;
}

static void write_rule(struct mr_json_line *line, const struct mr_fault_rule *rule)
{
    mr_json_open(line, '{');
    mr_json_name(line, "rule");
    mr_json_text(line, rule->text);
    mr_json_name(line, "seen");
    mr_json_count(line, rule->seen_count);
    mr_json_name(line, "hit");
    mr_json_count(line, rule->hit_count);
    mr_json_close(line, '}');
    mr_pack_u8(&line->pack, '\n');
    line->comma = false;
}

static unsigned list_faults(const struct mr_admin *admin, struct mr_pack *answer)
{
    struct mr_fault_rule *rules = mr_alloc_zero(MR_FAULT_COUNT_MAX, sizeof *rules);
    size_t count = mr_faults_list(admin->faults, rules);
    struct mr_json_line line = MR_JSON_LINE;

    for (size_t i = 0; i < count; i++)
        write_rule(&line, &rules[i]);
    mr_pack_bytes(answer, (mr_bytes){line.pack.data, line.pack.size});
    mr_pack_fini(&line.pack);
    mr_free(rules);
    return 200;
}

static unsigned set_faults(const struct mr_admin *admin, mr_bytes body, struct mr_pack *answer)
{
    mr_error error;

    if (mr_faults_set(admin->faults, body, &error))
        return fail(answer, 400, error.message);
    return list_faults(admin, answer);
}

static unsigned tell_clock(const struct mr_admin *admin, struct mr_pack *answer)
{
    struct mr_clock *clock = &admin->warp->clock, *real = mr_clock_real();
    int64_t now_ms = clock->wall_ms(clock), ahead_ms = now_ms - real->wall_ms(real);
    struct mr_json_line line = MR_JSON_LINE;
    char time[MR_TIME_TEXT_BYTES];

    mr_time_format(now_ms, time);
    mr_json_open(&line, '{');
    mr_json_name(&line, "time");
    mr_json_text(&line, time);
    mr_json_name(&line, "rate");
    mr_json_count(&line, clock->rate);
    mr_json_name(&line, "ahead_ms");
    mr_json_count(&line, ahead_ms > 0 ? (uint64_t)ahead_ms : 0);
    mr_json_close(&line, '}');
    mr_pack_u8(&line.pack, '\n');
    mr_pack_bytes(answer, (mr_bytes){line.pack.data, line.pack.size});
    mr_pack_fini(&line.pack);
    return 200;
}

static unsigned move_clock(const struct mr_admin *admin, mr_bytes body, struct mr_pack *answer)
{
    char text[FORWARD_BYTES_MAX + 1] = "";
    double seconds;

    while (body.size > 0 && strchr("\r\n", ((const char *)body.data)[body.size - 1]))
        body.size--;
    if (body.size <= FORWARD_BYTES_MAX)
        snprintf(text, sizeof text, "%.*s", (int)body.size, (const char *)body.data);
    if (text[0] != '+' || !mr_span_parse(text + 1, &seconds) ||
        seconds * 1000 > (double)MR_WARP_JUMPS_MS_MAX ||
        !mr_warp_jump(admin->warp, (int64_t)(seconds * 1000)))
        return fail(answer, 400,
                    "the clock is set ahead only, by +90s, +5m, +24h or +7d, 50 years at most");
    if (admin->service)
        mr_service_local_hurry(admin->service);
    return tell_clock(admin, answer);
}

unsigned mr_admin_answer(const struct mr_admin *admin, const struct mr_request *request,
                         struct mr_pack *answer)
{
    bool reads = mr_part_is(request->method, "GET"),
         writes = mr_part_is(request->method, "POST") || mr_part_is(request->method, "PUT"),
         removes = mr_part_is(request->method, "DELETE");
    bool is_faults = mr_part_is(request->path, "/admin/faults");

    if (!mr_request_is_local(request))
        return fail(answer, 403, "this is for programs on the server's own machine");
    if (!is_faults && !mr_part_is(request->path, "/admin/clock"))
        return fail(answer, 404, "there are /admin/faults and /admin/clock");
    if (request->body.size > BODY_BYTES_MAX)
        return fail(answer, 413, "that is too much");
    if (is_faults && reads)
        return list_faults(admin, answer);
    if (is_faults && (writes || removes))
        return set_faults(admin, writes ? request->body : (mr_bytes){0}, answer);
    if (!is_faults && reads)
        return tell_clock(admin, answer);
    if (!is_faults && writes)
        return move_clock(admin, request->body, answer);
    return fail(answer, 405, "use GET, POST, or DELETE for faults");
}
