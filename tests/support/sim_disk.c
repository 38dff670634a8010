#include "support/sim_disk.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "base/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { SECTOR_BYTES = 512, DIRECT_BYTES = 4096, NAME_BYTES = 72, ROOT = 0, NOBODY = -1 };

/* A change of a file that no sync has made durable. */
struct change {
    bool is_resize;
    uint64_t at;    /* write: a multiple of SECTOR_BYTES; resize: the size before */
    uint64_t bytes; /* write: a multiple of SECTOR_BYTES; resize: the size after */
    size_t data_at; /* write: the sectors as they were then, in node.data */
};

struct name {
    char text[NAME_BYTES];
    int node;
};
struct names {
    struct name *list;
    size_t count, capacity;
};

/* A change of a directory that no sync_directory has made durable: `from` goes (unless empty), `to`
 * names the node (unless empty). */
struct name_change {
    char from[NAME_BYTES], to[NAME_BYTES];
    int node;
};

struct node {
    bool is_directory;
    int open_count, link_count; /* link_count: visible names */
    bool locked;

    /* A file. Both images have room for capacity bytes and are 0 behind their size. */
    uint8_t *durable, *visible;
    uint64_t durable_bytes, visible_bytes, capacity;
    struct change *changes;
    size_t change_count, change_capacity;
    uint8_t *data;
    size_t data_bytes, data_capacity;
    bool direct;  /* the changes went past the page cache */
    bool differs; /* the images differ outside of the changes: a failed sync */

    /* A directory. */
    struct names durable_names, visible_names;
    struct name_change *name_changes;
    size_t name_change_count, name_change_capacity;
};

struct sim_file {
    struct mr_file base;
    int node; /* NOBODY: dead */
    bool is_writable, is_direct, holds_lock;
    struct sim_file *next;
    char *path;
};

struct sim_disk {
    struct mr_fs fs;
    pthread_mutex_t mutex; /* recursive: the watcher copies the disk */
    struct mr_random random;
    struct node **nodes;
    int node_count, node_capacity;
    struct sim_file *files;
    unsigned garbage_percent;
    bool is_buffered;

    uint64_t calls[16];
    void (*before)(void *context);
    void *before_context;
    uint64_t stop_in; /* 0: never */
    bool is_stopped;
    unsigned fault_calls;
    uint64_t fault_in; /* 0: none */
    int fault_errno;
    bool fault_lasting;
    uint64_t failed;
    uint64_t budget;
};

/* ---- nodes -------------------------------------------------------------------------------- */

static int node_new(struct sim_disk *disk, bool is_directory)
{
    int index = 0;

    while (index < disk->node_count && disk->nodes[index])
        index++;
    if (index == disk->node_count) {
        mr_grow(disk->nodes, disk->node_count, disk->node_capacity);
        disk->node_count++;
    }
    disk->nodes[index] = mr_new(struct node);
    disk->nodes[index]->is_directory = is_directory;
    return index;
}

static void node_free(struct node *node)
{
    if (!node)
        return;
    mr_free(node->durable);
    mr_free(node->visible);
    mr_free(node->changes);
    mr_free(node->data);
    mr_free(node->durable_names.list);
    mr_free(node->visible_names.list);
    mr_free(node->name_changes);
    mr_free(node);
}

static void *copied(const void *from, size_t used, size_t all)
{
    void *to = all ? mr_alloc(all) : NULL;

    if (used)
        memcpy(to, from, used);
    return to;
}

static struct node *node_copy(const struct node *from)
{
    struct node *node = copied(from, sizeof *from, sizeof *from);
    uint64_t used =
        from->visible_bytes > from->durable_bytes ? from->visible_bytes : from->durable_bytes;

    for (size_t i = 0; i < from->change_count; i++) {
        const struct change *change = &from->changes[i];
        uint64_t end = change->is_resize ? change->bytes : change->at + change->bytes;
        used = used > end ? used : end;
    }
    used = (used + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
    if (used > from->capacity)
        used = from->capacity;
    node->capacity = used;
    node->open_count = 0;
    node->locked = false;
    node->durable = copied(from->durable, (size_t)used, (size_t)used);
    node->visible = copied(from->visible, (size_t)used, (size_t)used);
    node->changes = copied(from->changes, from->change_count * sizeof *node->changes,
                           from->change_capacity * sizeof *node->changes);
    node->data = copied(from->data, from->data_bytes, from->data_capacity);
    node->durable_names.list =
        copied(from->durable_names.list, from->durable_names.count * sizeof(struct name),
               from->durable_names.capacity * sizeof(struct name));
    node->visible_names.list =
        copied(from->visible_names.list, from->visible_names.count * sizeof(struct name),
               from->visible_names.capacity * sizeof(struct name));
    node->name_changes =
        copied(from->name_changes, from->name_change_count * sizeof *node->name_changes,
               from->name_change_capacity * sizeof *node->name_changes);
    return node;
}

/* ---- names -------------------------------------------------------------------------------- */

static struct name *names_find(const struct names *names, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i].text, text) == 0)
            return &names->list[i];
    return NULL;
}

static void names_apply(struct names *names, const struct name_change *change)
{
    struct name *from = change->from[0] ? names_find(names, change->from) : NULL;
    struct name *to;

    if (from)
        *from = names->list[--names->count];
    if (!change->to[0])
        return;
    to = names_find(names, change->to);
    if (!to) {
        mr_grow(names->list, names->count, names->capacity);
        to = &names->list[names->count++];
        memcpy(to->text, change->to, sizeof to->text);
    }
    to->node = change->node;
}

static void names_set(struct names *to, const struct names *from)
{
    if (to->capacity < from->count) {
        to->capacity = from->count;
        to->list = mr_resize(to->list, to->capacity * sizeof *to->list);
    }
    if (from->count)
        memcpy(to->list, from->list, from->count * sizeof *to->list);
    to->count = from->count;
}

/* The directory that holds path, and path's last part; NOBODY if there is no such directory. */
static int parent_of(const struct sim_disk *disk, const char *path, char last[NAME_BYTES])
{
    int node = ROOT;

    last[0] = 0;
    for (;;) {
        size_t length;
        struct name *name;

        while (*path == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == 0)))
            path++;
        length = strcspn(path, "/");
        if (length == 0)
            return node;
        if (last[0]) {
            name = names_find(&disk->nodes[node]->visible_names, last);
            if (!name || !disk->nodes[name->node]->is_directory)
                return NOBODY;
            node = name->node;
        }
        mr_check(length < NAME_BYTES);
        memcpy(last, path, length);
        last[length] = 0;
        path += length;
    }
}

static int find(const struct sim_disk *disk, const char *path)
{
    char last[NAME_BYTES];
    int parent = parent_of(disk, path, last);
    struct name *name;

    if (parent == NOBODY || !last[0])
        return parent; /* the root has no name */
    name = names_find(&disk->nodes[parent]->visible_names, last);
    return name ? name->node : NOBODY;
}

static void change_names(struct sim_disk *disk, int parent, const char *from, const char *to,
                         int target)
{
    struct node *directory = disk->nodes[parent];
    struct name *replaced = to ? names_find(&directory->visible_names, to) : NULL;
    struct name *gone = from ? names_find(&directory->visible_names, from) : NULL;
    struct name_change *change;

    mr_grow(directory->name_changes, directory->name_change_count, directory->name_change_capacity);
    change = &directory->name_changes[directory->name_change_count++];
    memset(change, 0, sizeof *change);
    if (from)
        snprintf(change->from, sizeof change->from, "%s", from);
    if (to)
        snprintf(change->to, sizeof change->to, "%s", to);
    change->node = target;
    if (replaced)
        disk->nodes[replaced->node]->link_count--;
    if (gone)
        disk->nodes[gone->node]->link_count--;
    if (to)
        disk->nodes[target]->link_count++;
    names_apply(&directory->visible_names, change);
}

/* ---- contents ----------------------------------------------------------------------------- */

static void make_room(struct node *node, uint64_t bytes)
{
    uint64_t capacity = node->capacity ? node->capacity : SECTOR_BYTES;

    if (bytes <= node->capacity)
        return;
    while (capacity < bytes)
        capacity *= 2;
    node->durable = mr_resize(node->durable, (size_t)capacity);
    node->visible = mr_resize(node->visible, (size_t)capacity);
    memset(node->durable + node->capacity, 0, (size_t)(capacity - node->capacity));
    memset(node->visible + node->capacity, 0, (size_t)(capacity - node->capacity));
    node->capacity = capacity;
}

static struct change *change_new(struct node *node)
{
    mr_grow(node->changes, node->change_count, node->change_capacity);
    memset(&node->changes[node->change_count], 0, sizeof *node->changes);
    return &node->changes[node->change_count++];
}

static void resize(struct node *node, uint64_t bytes)
{
    struct change *change = change_new(node);

    *change = (struct change){.is_resize = true, .at = node->visible_bytes, .bytes = bytes};
    make_room(node, bytes);
    if (bytes < node->visible_bytes)
        memset(node->visible + bytes, 0, (size_t)(node->visible_bytes - bytes));
    node->visible_bytes = bytes;
}

static void write_visible(struct node *node, const void *from, size_t bytes, uint64_t offset)
{
    uint64_t start = offset / SECTOR_BYTES * SECTOR_BYTES;
    uint64_t end = (offset + bytes + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
    struct change *change;

    if (bytes == 0)
        return;
    make_room(node, end);
    if (offset + bytes > node->visible_bytes)
        resize(node, offset + bytes);
    memcpy(node->visible + offset, from, bytes);
    change = change_new(node);
    *change = (struct change){.at = start, .bytes = end - start, .data_at = node->data_bytes};
    while (node->data_capacity < node->data_bytes + change->bytes) {
        node->data_capacity = node->data_capacity ? node->data_capacity * 2 : 16 * SECTOR_BYTES;
        node->data = mr_resize(node->data, node->data_capacity);
    }
    memcpy(node->data + node->data_bytes, node->visible + start, (size_t)change->bytes);
    node->data_bytes += (size_t)change->bytes;
}

static void forget_changes(struct node *node)
{
    node->change_count = 0;
    node->data_bytes = 0;
    node->direct = false;
}

static void sync_node(struct node *node)
{
    for (size_t i = 0; i < node->change_count; i++) {
        const struct change *change = &node->changes[i];
        uint64_t at = change->is_resize ? change->bytes : change->at;
        uint64_t end = change->is_resize ? change->at : change->at + change->bytes;
        if (at < end)
            memcpy(node->durable + at, node->visible + at, (size_t)(end - at));
    }
    node->durable_bytes = node->visible_bytes;
    forget_changes(node);
}

static void fill_random(struct sim_disk *disk, uint8_t *sector)
{
    for (size_t i = 0; i < SECTOR_BYTES; i += 8) {
        uint64_t word = mr_random_next(&disk->random);
        memcpy(sector + i, &word, 8);
    }
}

/* keep_of_8 of 8 sectors reach the disk. */
static void tear_write(struct sim_disk *disk, struct node *node, const struct change *change,
                       unsigned keep_of_8)
{
    for (uint64_t at = 0; at < change->bytes; at += SECTOR_BYTES) {
        uint8_t *sector = node->durable + change->at + at;
        if (mr_random_below(&disk->random, 8) < keep_of_8)
            memcpy(sector, node->data + change->data_at + at, SECTOR_BYTES);
        else if (disk->garbage_percent &&
                 mr_random_below(&disk->random, 100) < disk->garbage_percent)
            fill_random(disk, sector);
    }
}

/* Decides what of the changes reached the disk; the visible image is as it was. */
static void tear(struct sim_disk *disk, struct node *node)
{
    static const unsigned keep_of_8[] = {0, 1, 4, 7, 8};
    unsigned keep = keep_of_8[mr_random_below(&disk->random, 5)];
    size_t resize_count = 0;
    uint64_t kept, size = node->durable_bytes, high = 0;

    for (size_t i = 0; i < node->change_count; i++)
        resize_count += node->changes[i].is_resize;
    kept = mr_random_below(&disk->random, resize_count + 1);
    if (mr_random_below(&disk->random, 2))
        kept = resize_count;
    for (size_t i = 0; i < node->change_count; i++) {
        const struct change *change = &node->changes[i];
        uint64_t end = change->is_resize ? change->bytes : change->at + change->bytes;
        if (high < end)
            high = end;
        if (!change->is_resize) {
            tear_write(disk, node, change, keep);
        } else if (kept > 0) {
            kept--;
            if (change->bytes < size)
                memset(node->durable + change->bytes, 0, (size_t)(size - change->bytes));
            size = change->bytes;
        }
    }
    if (size < high)
        memset(node->durable + size, 0, (size_t)(high - size));
    node->durable_bytes = size;
}

/* Some of it is on the disk. The page cache keeps showing all, or what the disk has; either way the
 * pages count as clean. Past the page cache there is only the disk's truth. */
static void fail_sync(struct sim_disk *disk, struct node *node)
{
    bool drops = node->direct || mr_random_below(&disk->random, 2);

    tear(disk, node);
    if (drops && node->visible_bytes)
        memcpy(node->visible, node->durable, (size_t)node->visible_bytes);
    node->differs = true;
    forget_changes(node);
}

/* ---- crash -------------------------------------------------------------------------------- */

static void cut_file(struct sim_disk *disk, struct node *node)
{
    uint64_t visible_bytes = node->visible_bytes;

    if (node->change_count == 0 && !node->differs)
        return;
    tear(disk, node);
    if (node->differs) {
        uint64_t all = visible_bytes > node->durable_bytes ? visible_bytes : node->durable_bytes;
        if (all)
            memcpy(node->visible, node->durable, (size_t)all);
    }
    for (size_t i = 0; i < node->change_count; i++) {
        const struct change *change = &node->changes[i];
        uint64_t at = change->at < change->bytes ? change->at : change->bytes;
        uint64_t end = change->at < change->bytes ? change->bytes : change->at;
        if (!change->is_resize) {
            at = change->at;
            end = change->at + change->bytes;
        }
        if (at < end)
            memcpy(node->visible + at, node->durable + at, (size_t)(end - at));
    }
    node->visible_bytes = node->durable_bytes;
    node->differs = false;
    forget_changes(node);
}

static void cut_directory(struct sim_disk *disk, struct node *node)
{
    size_t kept = node->name_change_count;

    if (mr_random_below(&disk->random, 2))
        kept = mr_random_below(&disk->random, node->name_change_count + 1);
    for (size_t i = 0; i < kept; i++)
        names_apply(&node->durable_names, &node->name_changes[i]);
    if (node->name_change_count)
        names_set(&node->visible_names, &node->durable_names);
    node->name_change_count = 0;
}

static void mark(struct sim_disk *disk, int index, bool *seen);

static void mark_names(struct sim_disk *disk, const struct names *names, bool *seen)
{
    for (size_t i = 0; i < names->count; i++)
        mark(disk, names->list[i].node, seen);
}

static void mark(struct sim_disk *disk, int index, bool *seen)
{
    struct node *node = disk->nodes[index];

    if (seen[index])
        return;
    seen[index] = true;
    if (!node->is_directory)
        return;
    mark_names(disk, &node->visible_names, seen);
    mark_names(disk, &node->durable_names, seen);
    for (size_t i = 0; i < node->name_change_count; i++)
        mark(disk, node->name_changes[i].node, seen);
}

static void sweep(struct sim_disk *disk)
{
    bool *seen = mr_alloc_zero((size_t)disk->node_count, sizeof *seen);

    mark(disk, ROOT, seen);
    for (int i = 0; i < disk->node_count; i++) {
        if (!seen[i]) {
            node_free(disk->nodes[i]);
            disk->nodes[i] = NULL;
        } else {
            disk->nodes[i]->link_count = 0;
            disk->nodes[i]->open_count = 0;
            disk->nodes[i]->locked = false;
        }
    }
    for (int i = 0; i < disk->node_count; i++) {
        struct names *names = seen[i] ? &disk->nodes[i]->visible_names : NULL;
        for (size_t j = 0; names && j < names->count; j++)
            disk->nodes[names->list[j].node]->link_count++;
    }
    mr_free(seen);
}

void sim_disk_crash(struct sim_disk *disk, enum sim_crash crash)
{
    pthread_mutex_lock(&disk->mutex);
    for (struct sim_file *file = disk->files; file; file = file->next)
        file->node = NOBODY;
    for (int i = 0; i < disk->node_count && crash == SIM_POWER_CUT; i++) {
        if (disk->nodes[i] && disk->nodes[i]->is_directory)
            cut_directory(disk, disk->nodes[i]);
        else if (disk->nodes[i])
            cut_file(disk, disk->nodes[i]);
    }
    sweep(disk);
    disk->is_stopped = false;
    disk->stop_in = 0;
    disk->fault_in = 0;
    disk->budget = UINT64_MAX;
    pthread_mutex_unlock(&disk->mutex);
}

/* ---- faults ------------------------------------------------------------------------------- */

/* What a call that an armed fault did not stop fails with otherwise. */
enum { STOPPED = EOWNERDEAD };

static mr_status refuse(mr_error *error, int os_errno, const char *what, const char *path)
{
    mr_status status = MR_IO;

    if (os_errno == ENOENT)
        status = MR_NOT_FOUND;
    else if (os_errno == EEXIST)
        status = MR_EXISTS;
    else if (os_errno == ENOSPC || os_errno == EDQUOT)
        status = MR_NO_SPACE;
    mr_fail(error, status, "cannot %s %s: %s (simulated)", what, path,
            os_errno == STOPPED ? "the process is stopped" : strerror(os_errno));
    if (error)
        error->os_errno = os_errno;
    return status;
}

/* Counts a call; 0, or the errno it has to fail with. */
static int begin(struct sim_disk *disk, enum sim_call call)
{
    disk->calls[__builtin_ctz((unsigned)call)]++;
    if (disk->is_stopped)
        return STOPPED;
    if ((unsigned)call & SIM_CHANGES) {
        if (disk->before)
            disk->before(disk->before_context);
        if (disk->stop_in && --disk->stop_in == 0) {
            disk->is_stopped = true;
            return STOPPED;
        }
    }
    if (!disk->fault_in || !((unsigned)call & disk->fault_calls))
        return 0;
    if (disk->fault_in > 1) {
        disk->fault_in--;
        return 0;
    }
    if (!disk->fault_lasting)
        disk->fault_in = 0;
    disk->failed++;
    return disk->fault_errno;
}

void sim_disk_fail(struct sim_disk *disk, unsigned calls, uint64_t number, int os_errno,
                   bool lasting)
{
    pthread_mutex_lock(&disk->mutex);
    disk->fault_calls = calls;
    disk->fault_in = number;
    disk->fault_errno = os_errno;
    disk->fault_lasting = lasting;
    pthread_mutex_unlock(&disk->mutex);
}

static uint64_t used_bytes(const struct sim_disk *disk)
{
    uint64_t used = 0;

    for (int i = 0; i < disk->node_count; i++)
        if (disk->nodes[i] && disk->nodes[i]->link_count + disk->nodes[i]->open_count > 0)
            used += disk->nodes[i]->visible_bytes;
    return used;
}

/* How far this file may grow. */
static uint64_t size_limit(const struct sim_disk *disk, const struct node *node)
{
    uint64_t others;

    if (disk->budget == UINT64_MAX)
        return UINT64_MAX;
    others = used_bytes(disk) - node->visible_bytes;
    return disk->budget > others ? disk->budget - others : 0;
}

/* ---- the table: files --------------------------------------------------------------------- */

static struct sim_disk *disk_of(struct mr_file *file)
{
    return (struct sim_disk *)file->fs;
}

static struct node *node_of(struct mr_file *base)
{
    const struct sim_file *file = (struct sim_file *)base;
    return file->node == NOBODY ? NULL : disk_of(base)->nodes[file->node];
}

/* Begins a call on an open file; on MR_OK the disk is locked and *node is set. */
static mr_status enter(struct mr_file *base, enum sim_call call, const char *what,
                       struct node **node, int *failure, mr_error *error)
{
    struct sim_disk *disk = disk_of(base);
    const struct sim_file *file = (struct sim_file *)base;

    pthread_mutex_lock(&disk->mutex);
    *node = node_of(base);
    *failure = *node ? begin(disk, call) : STOPPED;
    mr_check(!*node || file->is_writable || !((unsigned)call & SIM_CHANGES) || call == SIM_SYNC);
    if (*failure == 0 || (*failure != STOPPED && (call == SIM_WRITE || call == SIM_SYNC)))
        return MR_OK; /* these fail in their own way */
    pthread_mutex_unlock(&disk->mutex);
    return refuse(error, *failure, what, file->path);
}

static mr_status leave(struct mr_file *base, int failure, const char *what, mr_error *error)
{
    pthread_mutex_unlock(&disk_of(base)->mutex);
    return failure == 0 ? MR_OK : refuse(error, failure, what, ((struct sim_file *)base)->path);
}

static void check_aligned(const struct mr_file *base, const void *buffer, size_t size,
                          uint64_t offset)
{
    mr_check(!((const struct sim_file *)base)->is_direct ||
             ((uintptr_t)buffer | size | offset) % DIRECT_BYTES == 0);
}

static struct sim_file *file_new(struct sim_disk *disk, const char *path, int node)
{
    struct sim_file *file = mr_new(struct sim_file);

    file->base.fs = &disk->fs;
    file->node = node;
    file->path = mr_copy_text(path);
    file->next = disk->files;
    disk->files = file;
    disk->nodes[node]->open_count++;
    return file;
}

static mr_status open_or_create(struct sim_disk *disk, const char *path, unsigned flags, int *node,
                                mr_error *error)
{
    char last[NAME_BYTES];
    int parent = parent_of(disk, path, last);
    int found = find(disk, path);
    bool creates = found == NOBODY && (flags & MR_FS_CREATE);
    const char *what = creates ? "create" : "open";
    int failure = begin(disk, creates ? SIM_CREATE : SIM_OPEN);

    if (failure == 0 && parent == NOBODY)
        failure = ENOENT;
    else if (failure == 0 && found == NOBODY && !creates)
        failure = ENOENT;
    else if (failure == 0 && found != NOBODY && (flags & MR_FS_CREATE) && (flags & MR_FS_EXCLUSIVE))
        failure = EEXIST;
    else if (failure == 0 && found != NOBODY && disk->nodes[found]->is_directory)
        failure = EISDIR;
    if (failure != 0)
        return refuse(error, failure, what, path);
    if (creates) {
        found = node_new(disk, false);
        change_names(disk, parent, NULL, last, found);
    }
    *node = found;
    return MR_OK;
}

static mr_status sim_open(struct mr_fs *fs, const char *path, unsigned flags, struct mr_file **out,
                          mr_error *error)
{
    struct sim_disk *disk = (struct sim_disk *)fs;
    struct sim_file *file;
    mr_status status;
    int node;

    pthread_mutex_lock(&disk->mutex);
    status = open_or_create(disk, path, flags, &node, error);
    if (status == MR_OK) {
        file = file_new(disk, path, node);
        file->is_writable = flags & MR_FS_WRITE;
        file->is_direct = flags & MR_FS_DIRECT;
        *out = &file->base;
    }
    pthread_mutex_unlock(&disk->mutex);
    return status;
}

static mr_status sim_lock(struct mr_fs *fs, const char *path, struct mr_file **out, mr_error *error)
{
    struct sim_disk *disk = (struct sim_disk *)fs;
    struct sim_file *file;
    mr_status status;
    int node;

    pthread_mutex_lock(&disk->mutex);
    status = open_or_create(disk, path, MR_FS_CREATE, &node, error);
    if (status == MR_OK && disk->nodes[node]->locked)
        status = mr_fail(error, MR_LOCKED, "%s is open in this process already (simulated)", path);
    if (status == MR_OK) {
        file = file_new(disk, path, node);
        file->holds_lock = true;
        disk->nodes[node]->locked = true;
        *out = &file->base;
    }
    pthread_mutex_unlock(&disk->mutex);
    return status;
}

static void sim_close(struct mr_file *base)
{
    struct sim_file *file = (struct sim_file *)base, **link;
    struct sim_disk *disk;
    struct node *node;

    if (!file)
        return;
    disk = disk_of(base);
    pthread_mutex_lock(&disk->mutex);
    for (link = &disk->files; *link != file; link = &(*link)->next)
        mr_check(*link);
    *link = file->next;
    node = node_of(base);
    if (node) {
        node->open_count--;
        if (file->holds_lock)
            node->locked = false;
    }
    pthread_mutex_unlock(&disk->mutex);
    mr_free(file->path);
    mr_free(file);
}

static mr_status sim_read(struct mr_file *base, void *buffer, size_t size, uint64_t offset,
                          size_t *got, mr_error *error)
{
    struct node *node;
    int failure;
    mr_status status;
    uint64_t left;

    check_aligned(base, buffer, size, offset);
    status = enter(base, SIM_READ, "read", &node, &failure, error);
    if (status != MR_OK)
        return status;
    left = offset < node->visible_bytes ? node->visible_bytes - offset : 0;
    *got = size < left ? size : (size_t)left;
    if (*got)
        memcpy(buffer, node->visible + offset, *got);
    return leave(base, 0, "read", error);
}

static void write_some(struct sim_disk *disk, struct node *node, const uint8_t *from, size_t size,
                       uint64_t offset)
{
    for (size_t at = 0; at < size;) {
        size_t step = SECTOR_BYTES - (size_t)((offset + at) % SECTOR_BYTES);
        if (step > size - at)
            step = size - at;
        if (mr_random_below(&disk->random, 2))
            write_visible(node, from + at, step, offset + at);
        at += step;
    }
}

static mr_status sim_write(struct mr_file *base, const void *buffer, size_t size, uint64_t offset,
                           mr_error *error)
{
    struct sim_disk *disk = disk_of(base);
    struct node *node;
    mr_status status;
    uint64_t limit;
    int failure;

    check_aligned(base, buffer, size, offset);
    status = enter(base, SIM_WRITE, "write", &node, &failure, error);
    if (status != MR_OK)
        return status;
    if (((const struct sim_file *)base)->is_direct && !disk->is_buffered)
        node->direct = true;
    limit = size_limit(disk, node);
    if (failure != 0) {
        write_some(disk, node, buffer, size, offset);
    } else if (offset + size > limit && offset + size > node->visible_bytes) {
        failure = ENOSPC;
        if (offset < limit)
            write_visible(node, buffer, (size_t)(limit - offset), offset);
    } else {
        write_visible(node, buffer, size, offset);
    }
    return leave(base, failure, "write", error);
}

static mr_status sim_sync(struct mr_file *base, mr_error *error)
{
    struct sim_disk *disk = disk_of(base);
    struct node *node;
    int failure;
    mr_status status = enter(base, SIM_SYNC, "sync", &node, &failure, error);

    if (status != MR_OK)
        return status;
    if (failure == 0)
        sync_node(node);
    else
        fail_sync(disk, node);
    return leave(base, failure, "sync", error);
}

static mr_status sim_size(struct mr_file *base, uint64_t *size, mr_error *error)
{
    struct node *node;
    int failure;
    mr_status status = enter(base, SIM_SIZE, "look at", &node, &failure, error);

    if (status != MR_OK)
        return status;
    *size = node->visible_bytes;
    return leave(base, 0, "look at", error);
}

static mr_status sim_truncate(struct mr_file *base, uint64_t size, mr_error *error)
{
    struct node *node;
    int failure;
    mr_status status = enter(base, SIM_TRUNCATE, "resize", &node, &failure, error);

    if (status != MR_OK)
        return status;
    if (size != node->visible_bytes)
        resize(node, size); /* growing makes a hole: no space is used, as far as we look */
    return leave(base, 0, "resize", error);
}

static mr_status sim_reserve(struct mr_file *base, uint64_t size, mr_error *error)
{
    struct node *node;
    int failure;
    mr_status status = enter(base, SIM_RESERVE, "reserve space for", &node, &failure, error);

    if (status != MR_OK)
        return status;
    if (size > node->visible_bytes) {
        if (size > size_limit(disk_of(base), node))
            failure = ENOSPC;
        else
            resize(node, size);
    }
    return leave(base, failure, "reserve space for", error);
}

/* ---- the table: names --------------------------------------------------------------------- */

static mr_status sim_rename(struct mr_fs *fs, const char *from, const char *to, mr_error *error)
{
    struct sim_disk *disk = (struct sim_disk *)fs;
    char from_last[NAME_BYTES], to_last[NAME_BYTES];
    int parent, node, failure;

    pthread_mutex_lock(&disk->mutex);
    failure = begin(disk, SIM_RENAME);
    parent = parent_of(disk, from, from_last);
    node = find(disk, from);
    if (failure == 0 && node == NOBODY)
        failure = ENOENT;
    if (failure == 0) {
        mr_check(parent_of(disk, to, to_last) == parent); /* else two directories change */
        if (strcmp(from_last, to_last) != 0)
            change_names(disk, parent, from_last, to_last, node);
    }
    pthread_mutex_unlock(&disk->mutex);
    return failure == 0 ? MR_OK : refuse(error, failure, "rename", from);
}

static mr_status remove_name(struct mr_fs *fs, const char *path, bool is_directory, mr_error *error)
{
    struct sim_disk *disk = (struct sim_disk *)fs;
    char last[NAME_BYTES];
    int parent, node, failure;

    pthread_mutex_lock(&disk->mutex);
    failure = begin(disk, SIM_REMOVE);
    parent = parent_of(disk, path, last);
    node = find(disk, path);
    if (failure == 0 && node == NOBODY)
        failure = ENOENT;
    else if (failure == 0 && disk->nodes[node]->is_directory != is_directory)
        failure = is_directory ? ENOTDIR : EISDIR;
    else if (failure == 0 && disk->nodes[node]->visible_names.count > 0)
        failure = ENOTEMPTY;
    if (failure == 0)
        change_names(disk, parent, last, NULL, node);
    pthread_mutex_unlock(&disk->mutex);
    return failure == 0 ? MR_OK : refuse(error, failure, "remove", path);
}

static mr_status sim_remove(struct mr_fs *fs, const char *path, mr_error *error)
{
    return remove_name(fs, path, false, error);
}

static mr_status sim_remove_directory(struct mr_fs *fs, const char *path, mr_error *error)
{
    return remove_name(fs, path, true, error);
}

static mr_status sim_make_directory(struct mr_fs *fs, const char *path, mr_error *error)
{
    struct sim_disk *disk = (struct sim_disk *)fs;
    char last[NAME_BYTES];
    int parent, failure;

    pthread_mutex_lock(&disk->mutex);
    failure = begin(disk, SIM_MAKE_DIRECTORY);
    parent = parent_of(disk, path, last);
    if (failure == 0 && parent == NOBODY)
        failure = ENOENT;
    else if (failure == 0 && find(disk, path) != NOBODY)
        failure = EEXIST;
    if (failure == 0)
        change_names(disk, parent, NULL, last, node_new(disk, true));
    pthread_mutex_unlock(&disk->mutex);
    return failure == 0 ? MR_OK : refuse(error, failure, "create", path);
}

static mr_status sim_sync_directory(struct mr_fs *fs, const char *path, mr_error *error)
{
    struct sim_disk *disk = (struct sim_disk *)fs;
    struct node *node = NULL;
    int found, failure;
    size_t kept;

    pthread_mutex_lock(&disk->mutex);
    failure = begin(disk, SIM_SYNC_DIRECTORY);
    found = find(disk, path);
    if (failure == 0 && (found == NOBODY || !disk->nodes[found]->is_directory))
        failure = ENOENT;
    if (failure != STOPPED && found != NOBODY)
        node = disk->nodes[found];
    if (node && node->name_change_count) {
        kept = node->name_change_count;
        if (failure != 0)
            kept = mr_random_below(&disk->random, kept + 1);
        for (size_t i = 0; i < kept; i++)
            names_apply(&node->durable_names, &node->name_changes[i]);
        node->name_change_count -= kept;
        memmove(node->name_changes, node->name_changes + kept,
                node->name_change_count * sizeof *node->name_changes);
    }
    pthread_mutex_unlock(&disk->mutex);
    return failure == 0 ? MR_OK : refuse(error, failure, "sync", path);
}

static mr_status sim_list(struct mr_fs *fs, const char *path,
                          bool (*visit)(void *context, const char *name), void *context,
                          mr_error *error)
{
    struct sim_disk *disk = (struct sim_disk *)fs;
    struct names names = {0};
    int found, failure;

    pthread_mutex_lock(&disk->mutex);
    failure = begin(disk, SIM_LIST);
    found = find(disk, path);
    if (failure == 0 && (found == NOBODY || !disk->nodes[found]->is_directory))
        failure = ENOENT;
    if (failure == 0)
        names_set(&names, &disk->nodes[found]->visible_names); /* visit may change them */
    pthread_mutex_unlock(&disk->mutex);
    for (size_t i = 0; i < names.count && visit(context, names.list[i].text); i++)
        ;
    mr_free(names.list);
    return failure == 0 ? MR_OK : refuse(error, failure, "list", path);
}

/* ---- the disk ----------------------------------------------------------------------------- */

/* Images come and go thousands of times a second: malloc shall keep their memory. */
static void keep_memory(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

static struct sim_disk *disk_new(uint64_t seed)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct sim_disk *disk = mr_new(struct sim_disk);
    pthread_mutexattr_t attributes;

    pthread_once(&once, keep_memory);
    disk->fs = (struct mr_fs){
        .open = sim_open,
        .close = sim_close,
        .read = sim_read,
        .write = sim_write,
        .sync = sim_sync,
        .size = sim_size,
        .truncate = sim_truncate,
        .reserve = sim_reserve,
        .rename = sim_rename,
        .remove = sim_remove,
        .make_directory = sim_make_directory,
        .remove_directory = sim_remove_directory,
        .sync_directory = sim_sync_directory,
        .list = sim_list,
        .lock = sim_lock,
    };
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&disk->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    disk->random = mr_random_of(seed);
    disk->budget = UINT64_MAX;
    return disk;
}

struct sim_disk *sim_disk_new(uint64_t seed)
{
    struct sim_disk *disk = disk_new(seed);

    mr_check(node_new(disk, true) == ROOT);
    return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
    if (!disk)
        return;
    mr_check(!disk->files); /* every open file was closed */
    for (int i = 0; i < disk->node_count; i++)
        node_free(disk->nodes[i]);
    mr_free(disk->nodes);
    pthread_mutex_destroy(&disk->mutex);
    mr_free(disk);
}

struct mr_fs *sim_disk_fs(struct sim_disk *disk)
{
    return &disk->fs;
}

struct sim_disk *sim_disk_copy(struct sim_disk *disk, uint64_t seed)
{
    struct sim_disk *copy = disk_new(seed);

    pthread_mutex_lock(&disk->mutex);
    copy->garbage_percent = disk->garbage_percent;
    copy->is_buffered = disk->is_buffered;
    copy->node_count = copy->node_capacity = disk->node_count;
    copy->nodes = mr_alloc_zero((size_t)disk->node_count, sizeof *copy->nodes);
    for (int i = 0; i < disk->node_count; i++) {
        if (disk->nodes[i])
            copy->nodes[i] = node_copy(disk->nodes[i]);
    }
    pthread_mutex_unlock(&disk->mutex);
    sweep(copy);
    return copy;
}

void sim_disk_garbage(struct sim_disk *disk, unsigned percent)
{
    disk->garbage_percent = percent;
}

void sim_disk_refuse_direct(struct sim_disk *disk)
{
    disk->is_buffered = true;
}

uint64_t sim_disk_failed(const struct sim_disk *disk)
{
    return disk->failed;
}

void sim_disk_stop(struct sim_disk *disk, uint64_t number)
{
    disk->stop_in = number;
}

bool sim_disk_stopped(const struct sim_disk *disk)
{
    return disk->is_stopped;
}

void sim_disk_budget(struct sim_disk *disk, uint64_t bytes)
{
    pthread_mutex_lock(&disk->mutex);
    disk->budget = bytes;
    pthread_mutex_unlock(&disk->mutex);
}

uint64_t sim_disk_used(const struct sim_disk *disk)
{
    return used_bytes(disk);
}

uint64_t sim_disk_calls(const struct sim_disk *disk, unsigned calls)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < sizeof disk->calls / sizeof disk->calls[0]; i++)
        if (calls & 1u << i)
            count += disk->calls[i];
    return count;
}

void sim_disk_watch(struct sim_disk *disk, void (*before)(void *context), void *context)
{
    disk->before = before;
    disk->before_context = context;
}

void sim_disk_flip(struct sim_disk *disk, const char *path, uint64_t offset, uint8_t mask)
{
    int found = find(disk, path);
    struct node *node = found == NOBODY ? NULL : disk->nodes[found];

    mr_check(node && offset < node->visible_bytes);
    node->visible[offset] ^= mask;
    node->durable[offset] ^= mask;
}

uint64_t sim_each_fault(bool (*body)(void *context, uint64_t number), void *context)
{
    uint64_t number = 1;

    while (body(context, number))
        number++;
    return number - 1;
}
