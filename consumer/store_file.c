/*
 * store_file.c - leases in an SQLite file, shared by processes: one row a lease, in columns that a
 * person can read and correct. Every change is a transaction of one statement, durable when it
 * returns; a row changes only if its counter is the expected one.
 */
#include "lease.h"

#include "base/fail.h"
#include "base/memory.h"

#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <string.h>

#define BUSY_MS 5000 /* for other processes to finish their statement */

struct file_store {
    mr_lease_store store; /* first */
    pthread_mutex_t lock; /* of the connection and all below */
    sqlite3 *database;
    char *path, *stream, *application;
    sqlite3_stmt *list, *get, *create, *update, *remove;
};

static struct file_store *file_of(mr_lease_store *store)
{
    return (struct file_store *)(void *)store;
}

static mr_status fail(sqlite3 *database, const char *path, mr_error *error)
{
    int code = database ? sqlite3_errcode(database) : SQLITE_NOMEM;
    const char *text = database ? sqlite3_errmsg(database) : "no memory";

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mr_fail(error, MR_BUSY, "%.120s is locked by another process", path);
    case SQLITE_FULL:
        return mr_fail(error, MR_NO_SPACE, "%.120s: %s", path, text);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return mr_fail(error, MR_CORRUPT, "%.120s is no lease file, or damaged: %s", path, text);
    default:
        return mr_fail(error, MR_IO, "%.120s: %s", path, text);
    }
}

/* ---- rows --------------------------------------------------------------------------------- */

#define COLUMNS                                                                                    \
    "shard, owner, counter, checkpoint, sub_sequence, handing, switches, began_ms, parent, "       \
    "adjacent_parent, child, other_child, first_key, last_key"
enum column {
    SHARD,
    OWNER,
    COUNTER,
    CHECKPOINT,
    SUB_SEQUENCE,
    HANDING,
    SWITCHES,
    BEGAN_MS,
    PARENT,
    ADJACENT_PARENT,
    CHILD,
    OTHER_CHILD,
    FIRST_KEY,
    LAST_KEY,
};

static const char schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "CREATE TABLE IF NOT EXISTS leases ("
    "application TEXT NOT NULL, stream TEXT NOT NULL, shard TEXT NOT NULL,"
    "owner TEXT, counter INTEGER NOT NULL, checkpoint TEXT NOT NULL,"
    "sub_sequence INTEGER NOT NULL, handing TEXT, switches INTEGER NOT NULL,"
    "began_ms INTEGER NOT NULL, parent TEXT, adjacent_parent TEXT, child TEXT, other_child TEXT,"
    "first_key TEXT, last_key TEXT,"
    "PRIMARY KEY (application, stream, shard)) WITHOUT ROWID;";

static const char *text_at(sqlite3_stmt *row, enum column column)
{
    return (const char *)sqlite3_column_text(row, (int)column); /* NULL is NULL */
}

static bool read_name(sqlite3_stmt *row, enum column column, char name[MR_WORKER_BYTES_MAX + 1])
{
    const char *text = text_at(row, column);

    if (text && strlen(text) > MR_WORKER_BYTES_MAX)
        return false;
    strcpy(name, text ? text : "");
    return true;
}

static bool read_shard(sqlite3_stmt *row, enum column column, mr_shard_id *shard)
{
    const char *text = text_at(row, column);

    *shard = MR_NO_SHARD;
    return !text || !mr_shard_parse(text, shard, NULL);
}

static bool read_count(sqlite3_stmt *row, enum column column, uint64_t *count)
{
    int64_t value = sqlite3_column_int64(row, (int)column);

    *count = (uint64_t)value;
    return sqlite3_column_type(row, (int)column) == SQLITE_INTEGER && value >= 0;
}

/* NULL, or what is wrong with the row. */
static const char *read_row(sqlite3_stmt *row, mr_lease *lease)
{
    const char *checkpoint = text_at(row, CHECKPOINT), *first = text_at(row, FIRST_KEY),
               *last = text_at(row, LAST_KEY), *shard = text_at(row, SHARD);
    uint64_t sub_sequence;

    *lease = mr_lease_of(MR_NO_SHARD, MR_MARK_TRIM_HORIZON);
    if (!shard || mr_shard_parse(shard, &lease->shard, NULL))
        return "its shard is none";
    if (!read_name(row, OWNER, lease->owner) || !read_name(row, HANDING, lease->handing))
        return "its owner has more than 127 bytes";
    if (!read_count(row, COUNTER, &lease->counter) || !read_count(row, SWITCHES, &lease->switches))
        return "its counter or its switches are no number";
    if (!read_count(row, SUB_SEQUENCE, &sub_sequence) || !checkpoint ||
        mr_mark_parse(checkpoint, sub_sequence, &lease->checkpoint, NULL))
        return "its checkpoint is no sequence number, TRIM_HORIZON, LATEST, AT_TIMESTAMP, "
               "SHARD_END";
    lease->began_ms = sqlite3_column_int64(row, BEGAN_MS);
    if (!read_shard(row, PARENT, &lease->parents[0]) ||
        !read_shard(row, ADJACENT_PARENT, &lease->parents[1]) ||
        !read_shard(row, CHILD, &lease->children[0]) ||
        !read_shard(row, OTHER_CHILD, &lease->children[1]))
        return "its parents or children are no shards";
    lease->has_range = first && last;
    if (lease->has_range && (mr_hash_key_parse(first, &lease->first_key, NULL) ||
                             mr_hash_key_parse(last, &lease->last_key, NULL)))
        return "its range is none";
    return NULL;
}

/* ---- statements --------------------------------------------------------------------------- */

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    if (text && text[0])
        sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
    else
        sqlite3_bind_null(statement, at);
}

static void bind_shard(sqlite3_stmt *statement, int at, mr_shard_id shard)
{
    char text[MR_SHARD_TEXT_BYTES] = "";

    if (shard != MR_NO_SHARD)
        mr_shard_format(shard, text);
    bind_text(statement, at, text);
}

static void bind_key(sqlite3_stmt *statement, int at, bool is_there, mr_hash_key key)
{
    char text[MR_HASH_KEY_TEXT_BYTES] = "";

    if (is_there)
        mr_hash_key_format(key, text);
    bind_text(statement, at, text);
}

/* The first three parameters name the row, or the first two all rows of the application. */
static void bind_place(struct file_store *file, sqlite3_stmt *statement)
{
    bind_text(statement, 1, file->application);
    bind_text(statement, 2, file->stream);
}

/* The columns from `first` on; `shard` stands elsewhere. */
static void bind_lease(sqlite3_stmt *statement, int first, const mr_lease *lease)
{
    char text[MR_MARK_TEXT_BYTES];
    int before = first - OWNER;

    mr_mark_format(&lease->checkpoint, text);
    bind_text(statement, before + OWNER, lease->owner);
    sqlite3_bind_int64(statement, before + COUNTER, (int64_t)lease->counter);
    bind_text(statement, before + CHECKPOINT, text);
    sqlite3_bind_int64(statement, before + SUB_SEQUENCE, (int64_t)lease->checkpoint.sub_sequence);
    bind_text(statement, before + HANDING, lease->handing);
    sqlite3_bind_int64(statement, before + SWITCHES, (int64_t)lease->switches);
    sqlite3_bind_int64(statement, before + BEGAN_MS, lease->began_ms);
    bind_shard(statement, before + PARENT, lease->parents[0]);
    bind_shard(statement, before + ADJACENT_PARENT, lease->parents[1]);
    bind_shard(statement, before + CHILD, lease->children[0]);
    bind_shard(statement, before + OTHER_CHILD, lease->children[1]);
    bind_key(statement, before + FIRST_KEY, lease->has_range, lease->first_key);
    bind_key(statement, before + LAST_KEY, lease->has_range, lease->last_key);
}

static void finish(sqlite3_stmt *statement)
{
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
}

/* Runs a change; *changed says of how many rows. */
static mr_status run(struct file_store *file, sqlite3_stmt *statement, int *changed,
                     mr_error *error)
{
    mr_status status = MR_OK;

    if (sqlite3_step(statement) != SQLITE_DONE)
        status = fail(file->database, file->path, error);
    *changed = sqlite3_changes(file->database);
    finish(statement);
    return status;
}

/* ---- the store ---------------------------------------------------------------------------- */

static mr_status get_row(struct file_store *file, mr_shard_id shard, mr_lease *lease,
                         mr_error *error)
{
    const char *fault;
    mr_status status = MR_OK;

    bind_place(file, file->get);
    bind_shard(file->get, 3, shard);
    switch (sqlite3_step(file->get)) {
    case SQLITE_ROW:
        fault = read_row(file->get, lease);
        if (fault)
            status = mr_lease_damaged(shard, fault, error);
        break;
    case SQLITE_DONE:
        status = mr_lease_missing(shard, error);
        break;
    default:
        status = fail(file->database, file->path, error);
    }
    finish(file->get);
    return status;
}

/* Read whole before the first visit(), which runs without our lock. */
struct rows {
    struct row {
        mr_lease lease;
        const char *fault;
    } * items;
    size_t count, capacity;
};

static mr_status read_rows(struct file_store *file, struct rows *rows, mr_error *error)
{
    mr_status status = MR_OK;
    int code;

    bind_place(file, file->list);
    while ((code = sqlite3_step(file->list)) == SQLITE_ROW) {
        mr_grow(rows->items, rows->count, rows->capacity);
        rows->items[rows->count].fault = read_row(file->list, &rows->items[rows->count].lease);
        rows->count++;
    }
    if (code != SQLITE_DONE)
        status = fail(file->database, file->path, error);
    finish(file->list);
    return status;
}

static mr_status list(mr_lease_store *store, mr_lease_visit *visit, void *context, mr_error *error)
{
    struct file_store *file = file_of(store);
    struct rows rows = {0};
    mr_status status;

    pthread_mutex_lock(&file->lock);
    status = read_rows(file, &rows, error);
    pthread_mutex_unlock(&file->lock);
    for (size_t i = 0; !status && i < rows.count; i++)
        if (!visit(context, &rows.items[i].lease, rows.items[i].fault))
            break;
    mr_free(rows.items);
    return status;
}

static mr_status get(mr_lease_store *store, mr_shard_id shard, mr_lease *lease, mr_error *error)
{
    struct file_store *file = file_of(store);
    mr_status status;

    pthread_mutex_lock(&file->lock);
    status = get_row(file, shard, lease, error);
    pthread_mutex_unlock(&file->lock);
    return status;
}

static mr_status create(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    struct file_store *file = file_of(store);
    int changed;
    mr_status status;

    pthread_mutex_lock(&file->lock);
    bind_place(file, file->create);
    bind_shard(file->create, 3, lease->shard);
    bind_lease(file->create, 4, lease);
    status = run(file, file->create, &changed, error);
    if (!status && changed == 0)
        status = mr_lease_exists(lease->shard, error);
    pthread_mutex_unlock(&file->lock);
    return status;
}

/* Nothing was changed: why? */
static mr_status explain(struct file_store *file, const mr_lease *expected, mr_error *error)
{
    mr_lease found;
    mr_status status = get_row(file, expected->shard, &found, error);

    return status ? status
                  : mr_lease_conflict(expected->shard, found.counter, expected->counter, error);
}

static mr_status update(mr_lease_store *store, const mr_lease *from, const mr_lease *to,
                        mr_error *error)
{
    struct file_store *file = file_of(store);
    int changed;
    mr_status status;

    pthread_mutex_lock(&file->lock);
    bind_place(file, file->update);
    bind_shard(file->update, 3, from->shard);
    sqlite3_bind_int64(file->update, 4, (int64_t)from->counter);
    bind_lease(file->update, 5, to);
    status = run(file, file->update, &changed, error);
    if (!status && changed == 0)
        status = explain(file, from, error);
    pthread_mutex_unlock(&file->lock);
    return status;
}

static mr_status remove_lease(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    struct file_store *file = file_of(store);
    int changed;
    mr_status status;

    pthread_mutex_lock(&file->lock);
    bind_place(file, file->remove);
    bind_shard(file->remove, 3, lease->shard);
    sqlite3_bind_int64(file->remove, 4, (int64_t)lease->counter);
    status = run(file, file->remove, &changed, error);
    if (!status && changed == 0)
        status = explain(file, lease, error);
    pthread_mutex_unlock(&file->lock);
    return status;
}

/* ---- open and close ----------------------------------------------------------------------- */

static void close_store(mr_lease_store *store)
{
    struct file_store *file = file_of(store);

    sqlite3_finalize(file->list);
    sqlite3_finalize(file->get);
    sqlite3_finalize(file->create);
    sqlite3_finalize(file->update);
    sqlite3_finalize(file->remove);
    sqlite3_close(file->database);
    pthread_mutex_destroy(&file->lock);
    mr_free(file->path);
    mr_free(file->stream);
    mr_free(file->application);
    mr_free(file);
}

static mr_status open_database(const char *path, int flags, sqlite3 **database, mr_error *error)
{
    if (sqlite3_open_v2(path, database, flags | SQLITE_OPEN_FULLMUTEX, NULL))
        return fail(*database, path, error);
    sqlite3_busy_timeout(*database, BUSY_MS);
    return MR_OK;
}

static mr_status prepare(struct file_store *file, const char *text, sqlite3_stmt **statement,
                         mr_error *error)
{
    return sqlite3_prepare_v3(file->database, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL)
               ? fail(file->database, file->path, error)
               : MR_OK;
}

#define WHERE " WHERE application = ?1 AND stream = ?2"

static mr_status prepare_all(struct file_store *file, mr_error *error)
{
    mr_status status =
        prepare(file, "SELECT " COLUMNS " FROM leases" WHERE " ORDER BY shard", &file->list, error);

    if (!status)
        status = prepare(file, "SELECT " COLUMNS " FROM leases" WHERE " AND shard = ?3", &file->get,
                         error);
    if (!status)
        status = prepare(file,
                         "INSERT OR IGNORE INTO leases (application, stream, " COLUMNS ") VALUES "
                         "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                         &file->create, error);
    if (!status)
        status = prepare(file,
                         "UPDATE leases SET owner = ?5, counter = ?6, checkpoint = ?7, "
                         "sub_sequence = ?8, handing = ?9, switches = ?10, began_ms = ?11, "
                         "parent = ?12, adjacent_parent = ?13, child = ?14, other_child = ?15, "
                         "first_key = ?16, last_key = ?17" WHERE " AND shard = ?3 AND counter = ?4",
                         &file->update, error);
    if (!status)
        status = prepare(file, "DELETE FROM leases" WHERE " AND shard = ?3 AND counter = ?4",
                         &file->remove, error);
    return status;
}

mr_status mr_lease_store_file(mr_lease_store **store, const char *path, const char *stream,
                              const char *application, mr_error *error)
{
    struct file_store *file;
    mr_status status = mr_application_check(application, error);

    if (status)
        return status;
    file = mr_new(struct file_store);
    file->store = (mr_lease_store){list, get, create, update, remove_lease, close_store};
    pthread_mutex_init(&file->lock, NULL);
    file->path = mr_copy_text(path);
    file->stream = mr_copy_text(stream);
    file->application = mr_copy_text(application);
    status =
        open_database(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &file->database, error);
    if (!status && sqlite3_exec(file->database, schema, NULL, NULL, NULL))
        status = fail(file->database, path, error);
    if (!status)
        status = prepare_all(file, error);
    if (status)
        close_store(&file->store);
    else
        *store = &file->store;
    return status;
}

/* ---- applications ------------------------------------------------------------------------- */

mr_status mr_applications_file(const char *path, const char *stream,
                               bool (*visit)(void *context, const char *application), void *context,
                               mr_error *error)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    mr_status status = open_database(path, SQLITE_OPEN_READONLY, &database, error);
    int code;

    if (!status && sqlite3_prepare_v2(database,
                                      "SELECT DISTINCT application FROM leases WHERE stream = ?1 "
                                      "ORDER BY application",
                                      -1, &statement, NULL))
        status = fail(database, path, error);
    if (!status) {
        bind_text(statement, 1, stream);
        do
            code = sqlite3_step(statement);
        while (code == SQLITE_ROW &&
               visit(context, (const char *)sqlite3_column_text(statement, 0)));
        if (code != SQLITE_DONE && code != SQLITE_ROW)
            status = fail(database, path, error);
    }
    sqlite3_finalize(statement);
    sqlite3_close(database);
    return status;
}
