/* disk.c -- the disk copy's file: SQLite, with checks of our own that no damaged octet gets past.
 *
 * A row's checksum is over its key, deadline and value. One more row holds how many rows there are
 * and the sum of their checksums, in the same transactions: a row that is hidden or comes twice is
 * found by the walk. The walk also sees that keys ascend, which is what finding one of them relies
 * on (in a table without rowid the tree holds the rows themselves).
 *
 * Owns:    one connection and its statements.
 * Thread:  any (a connection belongs to one): those of copy_writer.c and copy_reader.c, and control.
 * Used by: copy.c.
 * Not here: when something is written (copy.c), what values say (recall.c). */
#include "store/disk.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/checksum.h"

#define VERSION 1
#define BUSY_MS 2000
#define ROW_MAX (64 << 20)
#define FACTS_BYTES 25 /* version, rows, sum, complete; the prefix follows */

#define ROWS_SQL                                                                                   \
    "CREATE TABLE rows(key BLOB PRIMARY KEY,deadline INTEGER NOT NULL,sum INTEGER NOT NULL,"       \
    "value BLOB NOT NULL) WITHOUT ROWID"
#define FACTS_SQL                                                                                  \
    "CREATE TABLE facts(id INTEGER PRIMARY KEY,sum INTEGER NOT NULL,value BLOB NOT NULL)"

enum statement { GET, PUT, DELETE, AFTER, PUT_FACTS, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [GET] = "SELECT key,deadline,sum,value FROM rows WHERE key=?1",
    [PUT] = "INSERT OR REPLACE INTO rows(key,deadline,sum,value) VALUES(?1,?2,?3,?4)",
    [DELETE] = "DELETE FROM rows WHERE key=?1",
    [AFTER] = "SELECT key,deadline,sum,value FROM rows WHERE key>?1 ORDER BY key LIMIT ?2",
    [PUT_FACTS] = "INSERT OR REPLACE INTO facts(id,sum,value) VALUES(1,?1,?2)",
};

struct disk {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    struct buf prefix, scratch;
    uint64_t rows, sum; /* as of the last commit and what has been done since */
    uint64_t kept_rows, kept_sum;
    bool complete, kept_complete;
    char reason[200];
};

/* --- results --- */

static enum disk_result failed(struct disk *d, enum disk_result result, const char *reason)
{
    snprintf(d->reason, sizeof(d->reason), "%s", reason);
    return result;
}

static enum disk_result result_of(struct disk *d, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return DISK_DONE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_SCHEMA:
    case SQLITE_ERROR: /* a table or a column that is not there */
    case SQLITE_MISMATCH:
    case SQLITE_READONLY: /* the folder is ours to write in: the file claims to be what it is not */
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_RANGE:
        return failed(d, DISK_DAMAGED, d->db ? sqlite3_errmsg(d->db) : "not a data base");
    default:
        return failed(d, DISK_FAILED, d->db ? sqlite3_errmsg(d->db) : sqlite3_errstr(code));
    }
}

static enum disk_result run(struct disk *d, const char *sql)
{
    return result_of(d, sqlite3_exec(d->db, sql, NULL, NULL, NULL));
}

const char *disk_reason(const struct disk *d)
{
    return d->reason;
}

/* --- opening --- */

static void path_of(const char *dir, const char *suffix, char *to, size_t size)
{
    snprintf(to, size, "%s/" DISK_FILE_NAME "%s", dir, suffix);
}

struct disk *disk_open(const char *dir, struct str prefix)
{
    struct disk *d = check_alloc(sizeof(*d));
    char path[4200];
    int fd;

    buf_add_str(&d->prefix, prefix);
    path_of(dir, "", path, sizeof(path));
    /* Nobody else reads it. One that exists is not opened here: to close it again would end the locks
     * that other connections of this process hold on it (fcntl), and another process, which then
     * takes itself for the last that has it open, would take the log away. */
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    if (sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        failed(d, DISK_FAILED, d->db ? sqlite3_errmsg(d->db) : "no memory");
        sqlite3_close(d->db);
        d->db = NULL;
        return d;
    }
    sqlite3_busy_timeout(d->db, BUSY_MS);
    sqlite3_limit(d->db, SQLITE_LIMIT_LENGTH, ROW_MAX); /* a damaged length asks for no more */
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return d;
}

static void finalize(struct disk *d)
{
    for (unsigned i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(d->statements[i]);
        d->statements[i] = NULL;
    }
}

void disk_close(struct disk *d)
{
    finalize(d);
    sqlite3_close(d->db);
    buf_free(&d->prefix);
    buf_free(&d->scratch);
    free(d);
}

bool disk_erase(const char *dir)
{
    static const char *const suffixes[] = { "-wal", "-shm", "-journal", "" };
    char path[4200];

    for (unsigned i = 0; i < 4; i++) {
        path_of(dir, suffixes[i], path, sizeof(path));
        unlink(path);
    }
    return access(path, F_OK) != 0;
}

static enum disk_result tune(struct disk *d)
{
    return run(d, "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA journal_mode=WAL;"
                  "PRAGMA synchronous=NORMAL; PRAGMA cache_size=-8192;"
                  "PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=4194304;"
                  "PRAGMA temp_store=MEMORY");
}

static enum disk_result prepare_statements(struct disk *d)
{
    enum disk_result result = DISK_DONE;

    for (unsigned i = 0; i < STATEMENTS && result == DISK_DONE; i++)
        if (d->statements[i] == NULL)
            result = result_of(d, sqlite3_prepare_v3(d->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                                     &d->statements[i], NULL));
    return result;
}

enum disk_result disk_prepare(struct disk *d)
{
    enum disk_result result;

    if (d->db == NULL)
        return DISK_FAILED;
    result = tune(d);
    return result == DISK_DONE ? prepare_statements(d) : result;
}

/* --- checksums --- */

static void add_number(struct buf *b, uint64_t n)
{
    unsigned char bytes[8];

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(n >> (8 * i));
    buf_add(b, bytes, sizeof(bytes));
}

static uint64_t number_at(const char *from)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < 8; i++)
        n |= (uint64_t)(unsigned char)from[i] << (8 * i);
    return n;
}

static uint64_t sum_of(struct disk *d, struct str key, uint64_t deadline_ms, struct str value)
{
    struct buf *b = &d->scratch;

    buf_clear(b);
    add_number(b, key.len);
    add_number(b, deadline_ms);
    buf_add_str(b, key);
    buf_add_str(b, value);
    return checksum(str_slice(b->ptr, b->len));
}

static size_t write_key(enum family family, struct str name, char to[DISK_KEY_MAX])
{
    struct str word = str_from(family_word(family));

    CHECK(word.len + 1 + name.len <= DISK_KEY_MAX);
    memcpy(to, word.ptr, word.len);
    to[word.len] = ':';
    if (name.len > 0)
        memcpy(to + word.len + 1, name.ptr, name.len);
    return word.len + 1 + name.len;
}

static bool read_key(struct str key, enum family *family, struct str *name)
{
    for (unsigned f = 0; f < FAMILIES; f++) {
        struct str word = str_from(family_word((enum family)f));

        if (key.len <= word.len || !str_starts_with(key, word) || key.ptr[word.len] != ':')
            continue;
        *family = (enum family)f;
        *name = str_slice(key.ptr + word.len + 1, key.len - word.len - 1);
        return true;
    }
    return false;
}

static struct str blob_of(sqlite3_stmt *t, int column)
{
    const char *bytes = sqlite3_column_blob(t, column);
    int len = sqlite3_column_bytes(t, column);

    return str_slice(bytes ? bytes : "", bytes && len > 0 ? (size_t)len : 0);
}

static bool is_blob(sqlite3_stmt *t, int column)
{
    return sqlite3_column_type(t, column) == SQLITE_BLOB;
}

/* The row that `t` stands at; false: it is not as it was written. */
static bool read_row(struct disk *d, sqlite3_stmt *t, struct disk_row *row, struct str *key,
                     uint64_t *sum)
{
    if (!is_blob(t, 0) || !is_blob(t, 3))
        return false;
    *key = blob_of(t, 0);
    row->deadline_ms = (uint64_t)sqlite3_column_int64(t, 1);
    *sum = (uint64_t)sqlite3_column_int64(t, 2);
    row->value = blob_of(t, 3);
    return key->len <= DISK_KEY_MAX && read_key(*key, &row->family, &row->name) &&
           sum_of(d, *key, row->deadline_ms, row->value) == *sum;
}

/* --- the facts --- */

static enum disk_result put_facts(struct disk *d)
{
    sqlite3_stmt *t = d->statements[PUT_FACTS];
    struct buf value = { 0 };
    int code;

    add_number(&value, VERSION);
    add_number(&value, d->rows);
    add_number(&value, d->sum);
    buf_add(&value, d->complete ? "\1" : "\0", 1);
    buf_add_str(&value, str_slice(d->prefix.ptr, d->prefix.len));
    sqlite3_bind_int64(t, 1, (sqlite3_int64)checksum(str_slice(value.ptr, value.len)));
    sqlite3_bind_blob(t, 2, value.ptr, (int)value.len, SQLITE_STATIC);
    code = sqlite3_step(t);
    sqlite3_reset(t);
    sqlite3_clear_bindings(t);
    buf_free(&value);
    return result_of(d, code);
}

static enum disk_result take_facts(struct disk *d, sqlite3_stmt *t)
{
    struct str value = blob_of(t, 1), prefix;

    if (!is_blob(t, 1) || checksum(value) != (uint64_t)sqlite3_column_int64(t, 0) ||
        value.len < FACTS_BYTES)
        return failed(d, DISK_DAMAGED, "its facts are not as they were written");
    prefix = str_slice(value.ptr + FACTS_BYTES, value.len - FACTS_BYTES);
    if (number_at(value.ptr) != VERSION)
        return failed(d, DISK_DAMAGED, "it is of another version");
    if (!str_equals(prefix, str_slice(d->prefix.ptr, d->prefix.len)))
        return failed(d, DISK_DAMAGED, "it is of another --prefix");
    d->rows = number_at(value.ptr + 8);
    d->sum = number_at(value.ptr + 16);
    d->complete = value.ptr[24] == 1;
    return DISK_DONE;
}

static enum disk_result read_facts(struct disk *d)
{
    enum disk_result result;
    sqlite3_stmt *t;
    int code = sqlite3_prepare_v2(d->db, "SELECT sum,value FROM facts", -1, &t, NULL);

    if (code != SQLITE_OK)
        return result_of(d, code);
    code = sqlite3_step(t);
    result = code == SQLITE_ROW    ? take_facts(d, t)
             : code == SQLITE_DONE ? failed(d, DISK_DAMAGED, "its facts are missing")
                                   : result_of(d, code);
    if (result == DISK_DONE && sqlite3_step(t) == SQLITE_ROW)
        result = failed(d, DISK_DAMAGED, "it has facts twice");
    sqlite3_finalize(t);
    return result;
}

/* --- the check --- */

/* Are the tables those that we make, word for word? DISK_NONE: there are none. */
static enum disk_result check_tables(struct disk *d)
{
    sqlite3_stmt *t;
    unsigned rows = 0, facts = 0, all = 0;
    int code = sqlite3_prepare_v2(d->db, "SELECT sql FROM sqlite_master", -1, &t, NULL);

    if (code != SQLITE_OK)
        return result_of(d, code);
    while ((code = sqlite3_step(t)) == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(t, 0);

        all++;
        rows += sql != NULL && strcmp(sql, ROWS_SQL) == 0;
        facts += sql != NULL && strcmp(sql, FACTS_SQL) == 0;
    }
    sqlite3_finalize(t);
    if (code != SQLITE_DONE)
        return result_of(d, code);
    if (all == 0)
        return DISK_NONE;
    return rows == 1 && facts == 1 && all == 2 ? DISK_DONE
                                               : failed(d, DISK_DAMAGED, "its tables are not ours");
}

static enum disk_result make_tables(struct disk *d)
{
    enum disk_result result = tune(d);

    if (result == DISK_DONE)
        result = run(d, "BEGIN IMMEDIATE;" ROWS_SQL ";" FACTS_SQL);
    if (result == DISK_DONE)
        result = prepare_statements(d);
    if (result == DISK_DONE)
        result = put_facts(d);
    if (result == DISK_DONE)
        result = run(d, "COMMIT");
    if (!sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    return result;
}

static enum disk_result check_rows(struct disk *d, disk_row_fn seen, void *owner)
{
    sqlite3_stmt *t;
    uint64_t rows = 0, all = 0, sum;
    struct buf before = { 0 };
    struct disk_row row;
    struct str key;
    bool right = true;
    int code = sqlite3_prepare_v2(d->db, "SELECT key,deadline,sum,value FROM rows ORDER BY key", -1,
                                  &t, NULL);

    if (code != SQLITE_OK)
        return result_of(d, code);
    while (right && (code = sqlite3_step(t)) == SQLITE_ROW) {
        right = read_row(d, t, &row, &key, &sum);
        if (right && rows > 0) {
            size_t least = key.len < before.len ? key.len : before.len;
            int order = memcmp(before.ptr, key.ptr, least);

            right = order < 0 || (order == 0 && before.len < key.len);
        }
        if (!right)
            break;
        buf_clear(&before);
        buf_add_str(&before, key);
        rows++;
        all += sum;
        if (seen != NULL)
            seen(owner, &row);
    }
    sqlite3_finalize(t);
    buf_free(&before);
    if (!right)
        return failed(d, DISK_DAMAGED, "a row is not as it was written");
    if (code != SQLITE_DONE)
        return result_of(d, code);
    return rows == d->rows && all == d->sum ? DISK_DONE
                                            : failed(d, DISK_DAMAGED, "rows are missing");
}

/* Also what no walk sees: pages used twice, which a later write would destroy. */
static enum disk_result check_pages(struct disk *d)
{
    sqlite3_stmt *t;
    const char *text;
    bool right;
    int code = sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &t, NULL);

    if (code != SQLITE_OK)
        return result_of(d, code);
    code = sqlite3_step(t);
    text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(t, 0) : NULL;
    right = text != NULL && strcmp(text, "ok") == 0;
    sqlite3_finalize(t);
    if (code != SQLITE_ROW)
        return result_of(d, code);
    return right ? DISK_DONE : failed(d, DISK_DAMAGED, "its pages are not in order");
}

enum disk_result disk_check(struct disk *d, disk_row_fn seen, void *owner, struct disk_facts *facts)
{
    enum disk_result result;

    *facts = (struct disk_facts){ 0 };
    if (d->db == NULL)
        return DISK_FAILED;
    result = check_tables(d);
    if (result == DISK_NONE)
        result = make_tables(d);
    else if (result == DISK_DONE)
        result = disk_prepare(d);
    if (result == DISK_DONE)
        result = read_facts(d);
    if (result == DISK_DONE)
        result = run(d, "BEGIN IMMEDIATE; ROLLBACK"); /* may it be written? */
    if (result == DISK_DONE)
        result = check_pages(d);
    if (result == DISK_DONE)
        result = check_rows(d, seen, owner);
    facts->rows = d->rows;
    facts->complete = d->complete;
    return result;
}

/* --- reading --- */

/* At the row of that key; result DISK_NONE: there is none. Ends with sqlite3_reset. */
static enum disk_result find(struct disk *d, struct str key, struct disk_row *row, uint64_t *sum)
{
    sqlite3_stmt *t = d->statements[GET];
    struct str found;
    int code;

    sqlite3_bind_blob(t, 1, key.ptr, (int)key.len, SQLITE_STATIC);
    code = sqlite3_step(t);
    if (code == SQLITE_DONE)
        return DISK_NONE;
    if (code != SQLITE_ROW)
        return result_of(d, code);
    return read_row(d, t, row, &found, sum) && str_equals(found, key)
               ? DISK_DONE
               : failed(d, DISK_DAMAGED, "a row is not as it was written");
}

enum disk_result disk_get(struct disk *d, enum family family, struct str name, struct buf *value,
                          uint64_t *deadline_ms)
{
    char key[DISK_KEY_MAX];
    struct disk_row row;
    uint64_t sum;
    enum disk_result result = find(d, str_slice(key, write_key(family, name, key)), &row, &sum);

    if (result == DISK_DONE) {
        buf_add_str(value, row.value);
        *deadline_ms = row.deadline_ms;
    }
    sqlite3_reset(d->statements[GET]);
    return result;
}

enum disk_result disk_walk(struct disk *d, struct buf *cursor, size_t most, disk_row_fn seen,
                           void *owner)
{
    sqlite3_stmt *t = d->statements[AFTER];
    enum disk_result result = DISK_DONE;
    struct buf last = { 0 };
    struct disk_row row;
    struct str key;
    uint64_t sum;
    size_t count = 0;
    int code;

    sqlite3_bind_blob(t, 1, cursor->ptr ? cursor->ptr : "", (int)cursor->len, SQLITE_STATIC);
    sqlite3_bind_int64(t, 2, (sqlite3_int64)most);
    while ((code = sqlite3_step(t)) == SQLITE_ROW && result == DISK_DONE) {
        if (!read_row(d, t, &row, &key, &sum)) {
            result = failed(d, DISK_DAMAGED, "a row is not as it was written");
            break;
        }
        buf_clear(&last);
        buf_add_str(&last, key);
        count++;
        seen(owner, &row);
    }
    if (result == DISK_DONE && code != SQLITE_ROW)
        result = result_of(d, code);
    sqlite3_reset(t);
    if (result == DISK_DONE && count < most)
        result = DISK_NONE;
    buf_clear(cursor);
    buf_add_str(cursor, str_slice(last.ptr ? last.ptr : "", last.len));
    buf_free(&last);
    return result;
}

/* --- writing --- */

enum disk_result disk_begin(struct disk *d)
{
    d->kept_rows = d->rows;
    d->kept_sum = d->sum;
    d->kept_complete = d->complete;
    return run(d, "BEGIN IMMEDIATE");
}

static enum disk_result step_once(struct disk *d, enum statement which)
{
    int code = sqlite3_step(d->statements[which]);

    sqlite3_reset(d->statements[which]);
    return result_of(d, code);
}

enum disk_result disk_put(struct disk *d, const struct disk_row *row)
{
    sqlite3_stmt *t = d->statements[PUT];
    char bytes[DISK_KEY_MAX];
    struct str key = str_slice(bytes, write_key(row->family, row->name, bytes));
    uint64_t sum = sum_of(d, key, row->deadline_ms, row->value), before = 0;
    struct disk_row was;
    enum disk_result found = find(d, key, &was, &before), result;

    sqlite3_reset(d->statements[GET]);
    if (found == DISK_DAMAGED || found == DISK_FAILED)
        return found;
    if (found == DISK_DONE && before == sum)
        return DISK_DONE;
    sqlite3_bind_blob(t, 1, key.ptr, (int)key.len, SQLITE_STATIC);
    sqlite3_bind_int64(t, 2, (sqlite3_int64)row->deadline_ms);
    sqlite3_bind_int64(t, 3, (sqlite3_int64)sum);
    sqlite3_bind_blob(t, 4, row->value.ptr, (int)row->value.len, SQLITE_STATIC);
    result = step_once(d, PUT);
    sqlite3_clear_bindings(t);
    if (result != DISK_DONE)
        return result;
    d->sum += sum - before;
    d->rows += found == DISK_NONE;
    return DISK_DONE;
}

enum disk_result disk_delete(struct disk *d, enum family family, struct str name)
{
    char bytes[DISK_KEY_MAX];
    struct str key = str_slice(bytes, write_key(family, name, bytes));
    struct disk_row was;
    uint64_t before = 0;
    enum disk_result found = find(d, key, &was, &before), result;

    sqlite3_reset(d->statements[GET]);
    if (found == DISK_NONE)
        return DISK_DONE;
    if (found != DISK_DONE)
        return found;
    sqlite3_bind_blob(d->statements[DELETE], 1, key.ptr, (int)key.len, SQLITE_STATIC);
    result = step_once(d, DELETE);
    if (result != DISK_DONE)
        return result;
    d->sum -= before;
    d->rows--;
    return DISK_DONE;
}

void disk_set_complete(struct disk *d, bool complete)
{
    d->complete = complete;
}

enum disk_result disk_commit(struct disk *d)
{
    enum disk_result result = put_facts(d);

    return result == DISK_DONE ? run(d, "COMMIT") : result;
}

void disk_roll_back(struct disk *d)
{
    if (d->db != NULL && !sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
    d->rows = d->kept_rows;
    d->sum = d->kept_sum;
    d->complete = d->kept_complete;
}

void disk_settle(struct disk *d)
{
    sqlite3_wal_checkpoint_v2(d->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}
