#include "server/refusal.h"

#include <stdio.h>

#define SAY_MS 1000

static const struct {
    const char *name, *text;
    unsigned status;
} kinds[MR_REFUSAL_COUNT] = {[MR_REFUSAL_NONE] = {"NONE", "", 0},
#define X(name, status, text) [MR_REFUSAL_##name] = {#name, text, status},
                             MR_REFUSAL_MAP(X)
#undef X
};

unsigned mr_refusal_http_status(enum mr_refusal refusal)
{
    return kinds[refusal].status;
}

const char *mr_refusal_text(enum mr_refusal refusal)
{
    return kinds[refusal].text;
}

static void say(struct mr_refusals *refusals, enum mr_refusal refusal)
{
    char line[240];

    snprintf(line, sizeof line, "event=http_refused kind=%s count=%llu peer=\"%s\" reason=\"%s\"",
             kinds[refusal].name, (unsigned long long)refusals->kinds[refusal].count,
             refusals->kinds[refusal].peer, kinds[refusal].text);
    refusals->kinds[refusal].count = 0;
    if (refusals->diag)
        refusals->diag(refusals->context, line);
}

static void second_over(struct mr_timer *timer)
{
    struct mr_refusals *refusals =
        (struct mr_refusals *)((char *)timer - offsetof(struct mr_refusals, timer));
    uint64_t now_ms = mr_loop_now_ms(refusals->loop), next_ms = UINT64_MAX;

    for (enum mr_refusal kind = 0; kind < MR_REFUSAL_COUNT; kind++) {
        if (!refusals->kinds[kind].is_said)
            continue;
        if (now_ms >= refusals->kinds[kind].said_ms + SAY_MS) {
            refusals->kinds[kind].is_said = refusals->kinds[kind].count > 0;
            if (!refusals->kinds[kind].is_said)
                continue;
            say(refusals, kind);
            refusals->kinds[kind].said_ms = now_ms;
        }
        if (next_ms > refusals->kinds[kind].said_ms + SAY_MS)
            next_ms = refusals->kinds[kind].said_ms + SAY_MS;
    }
    if (next_ms != UINT64_MAX)
        mr_timer_set(refusals->loop, timer, next_ms);
}

void mr_refusals_init(struct mr_refusals *refusals, struct mr_loop *loop,
                      void (*diag)(void *context, const char *line), void *context)
{
    *refusals = (struct mr_refusals){
        .loop = loop, .diag = diag, .context = context, .timer.fire = second_over};
}

void mr_refusals_fini(struct mr_refusals *refusals)
{
    for (enum mr_refusal kind = 0; kind < MR_REFUSAL_COUNT; kind++)
        if (refusals->kinds[kind].count > 0)
            say(refusals, kind);
    mr_timer_clear(refusals->loop, &refusals->timer);
}

void mr_refusals_note(struct mr_refusals *refusals, enum mr_refusal refusal, const char *peer)
{
    snprintf(refusals->kinds[refusal].peer, sizeof refusals->kinds[refusal].peer, "%s", peer);
    refusals->kinds[refusal].count++;
    if (refusals->kinds[refusal].is_said)
        return;
    refusals->kinds[refusal].is_said = true;
    refusals->kinds[refusal].said_ms = mr_loop_now_ms(refusals->loop);
    say(refusals, refusal);
    if (!refusals->timer.place)
        mr_timer_set(refusals->loop, &refusals->timer, refusals->kinds[refusal].said_ms + SAY_MS);
}
