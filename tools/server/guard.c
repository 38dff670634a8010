#include "server/guard.h"

#include "base/fail.h"
#include "base/memory.h"
#include "server/part.h"
#include "server/roster.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)4 << 20)
#define SERVICE "kinesis"

struct mr_guard {
    char *path, *account_id, *region;
    struct mr_clock *clock;
    pthread_mutex_t lock;
    struct mr_roster *roster;
};

/* ---- the file ----------------------------------------------------------------------------- */

static mr_status fail_file(const char *path, mr_error *error)
{
    mr_status status =
        mr_fail(error, errno == ENOENT ? MR_NOT_FOUND : MR_IO, "%s: %s", path, strerror(errno));

    if (error)
        error->os_errno = errno;
    return status;
}

static mr_status check_file(const char *path, int fd, mr_error *error)
{
    struct stat status;

    if (fstat(fd, &status))
        return fail_file(path, error);
    if (S_ISREG(status.st_mode) && status.st_mode & (S_IRWXG | S_IRWXO))
        return mr_fail(error, MR_DENIED,
                       "%s holds secrets and others may read it: chmod 600 makes it yours alone",
                       path);
    return MR_OK;
}

static mr_status read_open_file(const char *path, int fd, uint8_t *bytes, size_t *size,
                                mr_error *error)
{
    mr_status status = check_file(path, fd, error);
    ssize_t got = 1;

    for (*size = 0; !status && got > 0 && *size <= FILE_BYTES_MAX; *size += (size_t)got) {
        do
            got = read(fd, bytes + *size, FILE_BYTES_MAX + 1 - *size);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return fail_file(path, error);
        if (*size + (size_t)got > FILE_BYTES_MAX)
            return mr_fail(error, MR_LIMIT, "%s is over %zu bytes", path, FILE_BYTES_MAX);
    }
    return status;
}

static mr_status read_file(const struct mr_guard *guard, struct mr_roster **roster, mr_error *error)
{
    uint8_t *bytes;
    size_t size;
    mr_error inner;
    mr_status status;
    int fd = open(guard->path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_file(guard->path, error);
    bytes = mr_alloc(FILE_BYTES_MAX + 1);
    status = read_open_file(guard->path, fd, bytes, &size, error);
    close(fd);
    if (!status) {
        status = mr_roster_read(roster, (mr_bytes){bytes, size}, guard->account_id, &inner);
        if (status)
            mr_fail(error, status, "%s: %s", guard->path, inner.message);
        OPENSSL_cleanse(bytes, size);
    }
    mr_free(bytes);
    return status;
}

/* ---- open and close ----------------------------------------------------------------------- */

mr_status mr_guard_open(struct mr_guard **guard, const struct mr_guard_config *config,
                        mr_error *error)
{
    struct mr_guard *opened = mr_new(struct mr_guard);
    mr_status status;

    opened->path = mr_copy_text(config->path);
    opened->account_id = mr_copy_text(config->account_id);
    opened->region = config->region ? mr_copy_text(config->region) : NULL;
    opened->clock = config->clock ? config->clock : mr_clock_real();
    pthread_mutex_init(&opened->lock, NULL);
    status = read_file(opened, &opened->roster, error);
    if (status)
        mr_guard_close(opened);
    else
        *guard = opened;
    return status;
}

void mr_guard_close(struct mr_guard *guard)
{
    if (!guard)
        return;
    mr_roster_give(guard->roster);
    pthread_mutex_destroy(&guard->lock);
    mr_free(guard->path);
    mr_free(guard->account_id);
    mr_free(guard->region);
    mr_free(guard);
}

mr_status mr_guard_reload(struct mr_guard *guard, mr_error *error)
{
    struct mr_roster *roster, *before;
    mr_status status = read_file(guard, &roster, error);

    if (status)
        return status;
    pthread_mutex_lock(&guard->lock);
    before = guard->roster;
    guard->roster = roster;
    pthread_mutex_unlock(&guard->lock);
    mr_roster_give(before);
    return MR_OK;
}

/* ---- passes ------------------------------------------------------------------------------- */

static struct mr_roster *take_roster(struct mr_guard *guard)
{
    struct mr_roster *roster;

    pthread_mutex_lock(&guard->lock);
    roster = guard->roster;
    atomic_fetch_add(&roster->references, 1);
    pthread_mutex_unlock(&guard->lock);
    return roster;
}

static bool find_kept(struct mr_access_key *key, const struct mr_claim *claim,
                      struct mr_seal *found)
{
    bool is_kept = false;

    pthread_mutex_lock(&key->signing.lock);
    for (size_t i = 0; i < SIGNING_KEY_COUNT && !is_kept; i++) {
        const struct mr_signing_key *kept = &key->signing.items[i];

        is_kept = mr_part_is(claim->date, kept->date) && mr_part_is(claim->region, kept->region);
        if (is_kept)
            *found = kept->key;
    }
    pthread_mutex_unlock(&key->signing.lock);
    return is_kept;
}

/* Of a claim that was checked: its date and region have the sizes that they should have. */
static void find_signing_key(struct mr_access_key *key, const struct mr_claim *claim,
                             struct mr_seal *found)
{
    struct mr_signing_key made = {0};

    if (find_kept(key, claim, found))
        return;
    memcpy(made.date, claim->date.data, claim->date.size);
    memcpy(made.region, claim->region.data, claim->region.size);
    mr_sign_key(key->secret, made.date, made.region, SERVICE, &made.key);
    *found = made.key;
    pthread_mutex_lock(&key->signing.lock);
    key->signing.items[key->signing.next++ % SIGNING_KEY_COUNT] = made;
    pthread_mutex_unlock(&key->signing.lock);
    OPENSSL_cleanse(&made, sizeof made);
}

static bool refuse(struct mr_refusal *refusal, enum mr_exception type, const char *message)
{
    *refusal = (struct mr_refusal){type, {message, strlen(message)}};
    return false;
}

/* The key that a claim is about, if its token fits and it is still good. */
static struct mr_access_key *find_key(const struct mr_roster *roster, const struct mr_claim *claim,
                                      int64_t now_ms, struct mr_refusal *refusal)
{
    struct mr_access_key *key = mr_table_get(&roster->by_id, claim->key_id);

    if (!key || !mr_bytes_are_equal_secretly(key->token, claim->token)) {
        refuse(refusal, MR_EXCEPTION_UNRECOGNIZED_CLIENT,
               "The security token included in the request is invalid.");
        return NULL;
    }
    if (now_ms >= key->expires_ms) {
        refuse(refusal, MR_EXCEPTION_EXPIRED_TOKEN,
               "The security token included in the request is expired");
        return NULL;
    }
    return key;
}

static bool check(struct mr_guard *guard, struct mr_roster *roster,
                  const struct mr_request *request, struct mr_claim *claim, struct mr_arena *arena,
                  const struct mr_caller **caller, struct mr_refusal *refusal)
{
    int64_t now_ms = guard->clock->wall_ms(guard->clock);
    struct mr_access_key *key;
    struct mr_seal seal;
    bool is_it;

    if (!mr_claim_check(claim, request, guard->region, now_ms, arena, refusal))
        return false;
    key = find_key(roster, claim, now_ms, refusal);
    if (!key)
        return false;
    find_signing_key(key, claim, &seal);
    is_it = mr_claim_verify(claim, request, &seal, arena, refusal);
    OPENSSL_cleanse(&seal, sizeof seal);
    *caller = &key->user->caller;
    return is_it;
}

bool mr_guard_admit(struct mr_guard *guard, const struct mr_request *request,
                    struct mr_claim *claim, struct mr_arena *arena, struct mr_pass *pass,
                    struct mr_refusal *refusal)
{
    struct mr_roster *roster = take_roster(guard);
    const struct mr_caller *caller;

    if (check(guard, roster, request, claim, arena, &caller, refusal)) {
        *pass = (struct mr_pass){roster, caller};
        return true;
    }
    mr_roster_give(roster);
    *pass = (struct mr_pass){0};
    return false;
}

void mr_pass_end(struct mr_pass *pass)
{
    mr_roster_give(pass->roster);
    *pass = (struct mr_pass){0};
}
