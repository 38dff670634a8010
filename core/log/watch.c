/* watch.c - tells waiting readers that there is something new, from a thread of its own. */
#include "log/inside.h"

static void unlink_watcher(struct mr_log_watcher *watcher)
{
    *watcher->link = watcher->next;
    if (watcher->next)
        watcher->next->link = watcher->link;
    watcher->armed = false;
}

static bool has_news(struct mr_tail *tail, uint64_t from)
{
    bool has;

    pthread_mutex_lock(&tail->lock);
    has = tail->is_dropped || tail->tip_number >= from;
    pthread_mutex_unlock(&tail->lock);
    return has;
}

void mr_log_watch(struct mr_log *log, mr_log_id id, uint64_t from, struct mr_log_watcher *watcher)
{
    struct mr_tail *tail = mr_log_tail_hold(log, id);

    if (!tail) {
        watcher->ready(watcher);
        return;
    }
    pthread_mutex_lock(&log->bell_lock);
    watcher->next = tail->watchers;
    watcher->link = &tail->watchers;
    if (watcher->next)
        watcher->next->link = &watcher->next;
    tail->watchers = watcher;
    watcher->armed = true;
    atomic_store(&tail->is_watched, true);
    pthread_mutex_unlock(&log->bell_lock);

    /* The publisher looks at is_watched after it has moved the tip: one of us sees the other. */
    if (has_news(tail, from))
        mr_log_ring_tail(log, tail);
    mr_tail_release(tail);
}

void mr_log_unwatch(struct mr_log *log, struct mr_log_watcher *watcher)
{
    pthread_mutex_lock(&log->bell_lock);
    if (watcher->armed)
        unlink_watcher(watcher);
    while (log->calling == watcher && !pthread_equal(log->bell_thread_id, pthread_self()))
        pthread_cond_wait(&log->bell_idle, &log->bell_lock);
    pthread_mutex_unlock(&log->bell_lock);
}

void mr_log_ring_tail(struct mr_log *log, struct mr_tail *tail)
{
    bool wake = false;

    pthread_mutex_lock(&log->bell_lock);
    if (!tail->watchers) {
        atomic_store(&tail->is_watched, false);
    } else if (!tail->is_rung) {
        wake = !log->rung_first;
        tail->is_rung = true;
        tail->rung_next = log->rung_first;
        log->rung_first = mr_tail_hold(tail);
    }
    pthread_mutex_unlock(&log->bell_lock);
    if (wake)
        mr_log_poke(&log->bell_word);
}

void mr_log_ring(struct mr_log *log, mr_log_id id)
{
    struct mr_tail *tail = mr_log_tail_hold(log, id);

    if (tail)
        mr_log_ring_tail(log, tail);
    mr_tail_release(tail);
}

bool mr_log_call_watchers(struct mr_log *log)
{
    struct mr_log_watcher *watchers = NULL, *watcher;
    struct mr_tail *tail;

    pthread_mutex_lock(&log->bell_lock);
    tail = log->rung_first;
    if (tail) {
        log->bell_thread_id = pthread_self();
        log->rung_first = tail->rung_next;
        tail->is_rung = false;
        /* A list of our own: who watches again from ready() waits for the next ring. */
        watchers = tail->watchers;
        tail->watchers = NULL;
        if (watchers)
            watchers->link = &watchers;
        while ((watcher = watchers)) {
            unlink_watcher(watcher);
            log->calling = watcher;
            pthread_mutex_unlock(&log->bell_lock);
            watcher->ready(watcher);
            pthread_mutex_lock(&log->bell_lock);
            log->calling = NULL;
            pthread_cond_broadcast(&log->bell_idle);
        }
    }
    pthread_mutex_unlock(&log->bell_lock);
    mr_tail_release(tail);
    return tail != NULL;
}
