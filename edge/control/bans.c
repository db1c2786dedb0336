/* bans.c -- from usher:ban: keys to one set of ranges for the workers.
 *
 * Owns:    what is known of each key; the call to Redis that is under way.
 * Thread:  control
 * Used by: control.c.
 * Not here: looking an address up (base/cidr_set.c); who is looked up (proxy/client_address.c);
 *           writing the keys (cli/ban.c). */
#include "control/bans.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

#define FAMILY "ban:"
#define TEXT_MOST 64     /* bytes of a range; what is longer is none */
#define DIRTY_MOST 10000 /* keys waiting to be read; more: all are gone over */
#define ASK_MOST 60      /* keys in one call */
#define AGAIN_MS 250     /* Redis is away, or may have lost keys */
#define BUILD_SHARE 10   /* building takes at most one part in so many */
#define STEP_KEYS                                                                                  \
    "1000" /* of Redis, in one step of the walk: less than a millisecond of its time */
#define STEPS_AT_ONCE 16
#define KEEP_MS 1000 /* bans are written down once in such a time */
#define PAUSE_MS 16
#define NO_KEY (-2) /* PTTL's words */
#define NO_END (-1)

struct ban {
    struct cidr range;
    bool wrong;        /* its key is no range */
    uint32_t walk;     /* the last one that has seen it */
    uint64_t until_ms; /* on the loop's clock; 0: without end */
    uint64_t hash;
    size_t len;
    char text[];
};

struct dirty {
    struct list node;
    size_t len;
    char text[];
};

/* Keys are given as arguments: what is named as a key, an edge would need the right to write. */
static const char keys_script[] = "local ends = {}\n"
                                  "for i = 1, #ARGV do ends[i] = redis.call('PTTL', ARGV[i]) end\n"
                                  "return ends\n";

/* What is found under the pattern, each with its end, behind the cursor for the next step. */
static const char walk_script[] =
    "local step = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])\n"
    "local found = { step[1] }\n"
    "for _, key in ipairs(step[2]) do\n"
    "  found[#found + 1] = key\n"
    "  found[#found + 1] = redis.call('PTTL', key)\n"
    "end\n"
    "return found\n";

static bool has_text(const void *value, struct str key)
{
    const struct ban *ban = value;

    return str_equals(str_slice(ban->text, ban->len), key);
}

/* --- what is known --- */

static void note_change(struct bans *b)
{
    b->changed = true;
    loop_at_turn_end(b->loop, &b->go);
}

static void count(struct bans *b, const struct ban *ban, int by)
{
    if (ban->wrong)
        b->wrong += (uint64_t)by;
    else
        b->in_force += (uint64_t)by;
}

static void forget(struct bans *b, struct ban *ban)
{
    map_remove(&b->by_text, ban->hash, ban);
    count(b, ban, -1);
    if (!ban->wrong)
        note_change(b);
    free(ban);
}

/* Forgets those of which `is_over` says so. */
static void sweep(struct bans *b, bool (*is_over)(const struct bans *b, const struct ban *ban))
{
    struct ban **over = check_alloc((b->by_text.count + 1) * sizeof(struct ban *)), *ban;
    size_t found = 0;

    for (size_t at = 0; (ban = map_next(&b->by_text, &at)) != NULL;)
        if (is_over(b, ban))
            over[found++] = ban;
    for (size_t i = 0; i < found; i++)
        forget(b, over[i]);
    free(over);
}

static bool has_ended(const struct bans *b, const struct ban *ban)
{
    return ban->until_ms != 0 && ban->until_ms <= loop_now_ms(b->loop);
}

static bool is_unseen(const struct bans *b, const struct ban *ban)
{
    return ban->walk != b->walk;
}

static struct ban *add(struct bans *b, struct str text, uint64_t hash)
{
    struct ban *ban;
    const char *expected;
    char shown[80];

    if (b->by_text.count >= BANS_MOST) {
        if (!b->full)
            log_line(LOG_WARN, "bans_left_out", "reason=\"there are more than %d\"", BANS_MOST);
        b->full = true;
        return NULL;
    }
    ban = check_alloc(sizeof(*ban) + text.len + 1);
    memcpy(ban->text, text.ptr, text.len);
    ban->len = text.len;
    ban->hash = hash;
    ban->wrong = !cidr_parse(text, &ban->range, &expected);
    if (ban->wrong)
        log_line(LOG_WARN, "ban_wrong", "key=%s expected=\"%s\"",
                 log_quote(text, shown, sizeof(shown)), expected);
    map_add(&b->by_text, hash, ban);
    count(b, ban, 1);
    b->grew = b->grew || !ban->wrong;
    return ban;
}

/* `end`: as PTTL says it. */
static void take(struct bans *b, struct str text, long long end)
{
    uint64_t hash = map_hash(text), until_ms = 0;
    struct ban *ban = map_find(&b->by_text, hash, text);

    if (end == NO_KEY) {
        if (ban != NULL)
            forget(b, ban);
        return;
    }
    if (text.len > TEXT_MOST || (ban == NULL && (ban = add(b, text, hash)) == NULL))
        return;
    ban->walk = b->walk;
    if (end != NO_END)
        until_ms = loop_now_ms(b->loop) + (end > 0 ? (uint64_t)end : 0) + 1;
    ban->until_ms = until_ms;
    if (!ban->wrong)
        note_change(b);
}

/* --- to the workers --- */

static void on_ending(struct timer *t)
{
    note_change(LIST_ITEM(t, struct bans, ending));
}

/* When the first of them ends, the next set is built. */
static void await_ending(struct bans *b)
{
    uint64_t now = loop_now_ms(b->loop), first = 0;
    const struct ban *ban;

    for (size_t at = 0; (ban = map_next(&b->by_text, &at)) != NULL;)
        if (ban->until_ms != 0 && (first == 0 || ban->until_ms < first))
            first = ban->until_ms;
    timer_stop(&b->ending);
    if (first != 0)
        timer_set(b->loop, &b->ending, first > now ? first - now : 1);
}

static struct cidr_set *build(const struct bans *b)
{
    struct cidr *ranges = check_alloc((b->in_force + 1) * sizeof(*ranges));
    struct cidr_set *set;
    const struct ban *ban;
    size_t found = 0;

    for (size_t at = 0; (ban = map_next(&b->by_text, &at)) != NULL;)
        if (!ban->wrong)
            ranges[found++] = ban->range;
    CHECK(found == b->in_force);
    set = cidr_set_new(ranges, found);
    free(ranges);
    return set;
}

static void publish(struct bans *b)
{
    uint64_t began = clock_now_ms();
    struct banned *banned = NULL;

    sweep(b, has_ended);
    b->changed = false;
    await_ending(b);
    if (b->by_text.count < BANS_MOST)
        b->full = false;
    if (b->in_force > 0)
        banned = banned_new(build(b), b->grew, b->workers);
    if (banned != NULL || b->published)
        b->events.publish(b->events.owner, banned);
    b->published = banned != NULL;
    b->grew = false;
    b->keep_due = b->kept;
    if (b->kept && !timer_is_set(&b->keeping))
        timer_set(b->loop, &b->keeping, KEEP_MS);
    b->next_build_ms = loop_now_ms(b->loop) + (clock_now_ms() - began) * BUILD_SHARE;
}

static void look_in(struct bans *b, struct timer *t, uint64_t ms)
{
    if (!timer_is_set(t))
        timer_set(b->loop, t, ms);
}

static void publish_in_time(struct bans *b)
{
    uint64_t now = loop_now_ms(b->loop);

    if (!b->changed)
        return;
    if (b->next_build_ms > now)
        look_in(b, &b->pace, b->next_build_ms - now);
    else
        publish(b);
}

/* --- in the state folder --- */

static void write_all(const struct bans *b, struct buf *to)
{
    uint64_t now = loop_now_ms(b->loop), wall = clock_wall_ms();
    const struct ban *ban;

    for (size_t at = 0; (ban = map_next(&b->by_text, &at)) != NULL;) {
        uint64_t left = ban->until_ms > now ? ban->until_ms - now : 0;

        if (!ban->wrong && (ban->until_ms == 0 || left > 0))
            buf_printf(to, STR_FMT " %llu\n", (int)ban->len, ban->text,
                       (unsigned long long)(ban->until_ms == 0 ? 0 : wall + left));
    }
}

static void on_keeping(struct timer *t)
{
    struct bans *b = LIST_ITEM(t, struct bans, keeping);
    struct buf text = { 0 };

    write_all(b, &text);
    if (bans_file_write(&b->file, b->loop, &text))
        b->keep_due = false;
    else
        timer_set(b->loop, &b->keeping, KEEP_MS);
    buf_free(&text);
}

static void take_kept(void *owner, struct str range, uint64_t ends_wall_ms)
{
    struct bans *b = owner;
    uint64_t wall = clock_wall_ms();

    if (ends_wall_ms == 0)
        take(b, range, NO_END);
    else if (ends_wall_ms > wall)
        take(b, range, (long long)(ends_wall_ms - wall));
}

/* --- from Redis --- */

static void drop_dirty(struct list *dirty)
{
    struct list *node;

    while ((node = list_take_first(dirty)) != NULL)
        free(LIST_ITEM(node, struct dirty, node));
}

/* People must mend that at Redis. Said once, until something is answered again. */
static void log_refusal(struct bans *b, const char *error)
{
    char text[200];

    if (!b->refusal_logged)
        log_line(LOG_WARN, "bans_refused", "reason=%s",
                 log_quote(str_from(error), text, sizeof(text)));
    b->refusal_logged = true;
}

/* False: what was asked for is to be asked for again. */
static bool is_answered(struct bans *b, const struct call_answer *a)
{
    b->call = NULL;
    loop_at_turn_end(b->loop, &b->go);
    if (a->error != NULL)
        log_refusal(b, a->error);
    else if (!a->away)
        b->refusal_logged = false;
    return !a->away;
}

static void on_keys(void *owner, const struct call_answer *a)
{
    struct bans *b = owner;
    struct list *node;
    size_t i = 0;

    if (!is_answered(b, a)) {
        list_move_all(&b->asked, &b->dirty);
        list_move_all(&b->dirty, &b->asked);
        look_in(b, &b->again, AGAIN_MS);
        return;
    }
    while ((node = list_take_first(&b->asked)) != NULL) {
        struct dirty *d = LIST_ITEM(node, struct dirty, node);

        b->dirty_count--;
        if (i < a->count && a->values[i].kind == CALL_NUMBER)
            take(b, str_slice(d->text, d->len), a->values[i].number);
        i++;
        free(d);
    }
}

static void read_keys(struct bans *b)
{
    struct str words[3 + ASK_MOST] = { STR("EVAL"), str_slice(keys_script, sizeof(keys_script) - 1),
                                       STR("0") };
    struct buf keys[ASK_MOST] = { { 0 } };
    unsigned n = 0;

    while (n < ASK_MOST && !list_is_empty(&b->dirty)) {
        struct dirty *d = LIST_ITEM(list_take_first(&b->dirty), struct dirty, node);

        list_append(&b->asked, &d->node);
        buf_add_str(&keys[n], store_prefix(b->store));
        buf_add_text(&keys[n], FAMILY);
        buf_add(&keys[n], d->text, d->len);
        words[3 + n] = str_slice(keys[n].ptr, keys[n].len);
        n++;
    }
    b->call = store_call(b->store, 3 + n, words, on_keys, b);
    for (unsigned i = 0; i < n; i++)
        buf_free(&keys[i]);
    if (b->call == NULL)
        on_keys(b, &(struct call_answer){ .away = true });
}

static void end_walk(struct bans *b)
{
    b->walking = false;
    b->sweep_due = true;
}

static void on_walked(void *owner, const struct call_answer *a)
{
    struct bans *b = owner;
    size_t front = store_prefix(b->store).len + sizeof(FAMILY) - 1;

    if (!is_answered(b, a)) {
        b->walking = false;
        b->walk_due = true;
        look_in(b, &b->again, AGAIN_MS);
        return;
    }
    if (a->count == 0 || a->values[0].kind != CALL_TEXT) { /* refused: what is known stays */
        b->walking = false;
        return;
    }
    for (size_t i = 1; i + 1 < a->count; i += 2) {
        struct str key = a->values[i].text;

        if (a->values[i].kind == CALL_TEXT && a->values[i + 1].kind == CALL_NUMBER &&
            key.len > front)
            take(b, str_slice(key.ptr + front, key.len - front), a->values[i + 1].number);
    }
    buf_clear(&b->cursor);
    buf_add_str(&b->cursor, a->values[0].text);
    if (str_equals(a->values[0].text, STR("0")))
        end_walk(b);
    else if (++b->steps % STEPS_AT_ONCE == 0) /* others want something of Redis, too */
        look_in(b, &b->again, PAUSE_MS);
}

/* The walk's pattern: characters of the prefix that a pattern reads otherwise stand for themselves. */
static void add_pattern(struct buf *to, struct str prefix)
{
    for (size_t i = 0; i < prefix.len; i++) {
        if (memchr("*?[]\\^", prefix.ptr[i], 6) != NULL)
            buf_add_text(to, "\\");
        buf_add(to, &prefix.ptr[i], 1);
    }
    buf_add_text(to, FAMILY "*");
}

static void read_step(struct bans *b)
{
    struct buf pattern = { 0 };

    if (!b->walking) {
        b->walking = true;
        b->walk_due = false;
        b->walk++;
        buf_clear(&b->cursor);
        buf_add_text(&b->cursor, "0");
    }
    add_pattern(&pattern, store_prefix(b->store));
    b->call =
        store_call(b->store, 6,
                   (struct str[]){ STR("EVAL"), str_slice(walk_script, sizeof(walk_script) - 1),
                                   STR("0"), str_slice(b->cursor.ptr, b->cursor.len),
                                   str_slice(pattern.ptr, pattern.len), STR(STEP_KEYS) },
                   on_walked, b);
    buf_free(&pattern);
    if (b->call == NULL)
        on_walked(b, &(struct call_answer){ .away = true });
}

static void read_on(struct bans *b)
{
    if (b->call != NULL || timer_is_set(&b->again))
        return;
    if (b->dirty_count > 0)
        read_keys(b);
    else if (b->walk_due || b->walking)
        read_step(b);
}

/* What a walk has not seen is gone; but if Redis has lost its data, bans are held like records are. */
static void sweep_in_time(struct bans *b)
{
    const struct store_status *status = store_status(b->store);

    if (!b->sweep_due || b->walking || b->walk_due)
        return;
    if (status->suspect || status->regressed) {
        look_in(b, &b->pace, AGAIN_MS);
        return;
    }
    b->sweep_due = false;
    sweep(b, is_unseen);
}

static void on_go(struct turn_end *end)
{
    struct bans *b = LIST_ITEM(end, struct bans, go);

    if (b->closing)
        return;
    read_on(b);
    sweep_in_time(b);
    publish_in_time(b);
    if (bans_are_settled(b))
        b->events.settled(b->events.owner);
}

static void on_again(struct timer *t)
{
    struct bans *b = LIST_ITEM(t, struct bans, again);

    loop_at_turn_end(b->loop, &b->go);
}

static void on_pace(struct timer *t)
{
    struct bans *b = LIST_ITEM(t, struct bans, pace);

    loop_at_turn_end(b->loop, &b->go);
}

/* --- what others call --- */

void bans_open(struct bans *b, struct loop *l, unsigned workers, const struct bans_events *e)
{
    *b = (struct bans){ .loop = l, .workers = workers, .events = *e };
    map_init(&b->by_text, has_text);
    list_init(&b->dirty);
    list_init(&b->asked);
    turn_end_init(&b->go, on_go);
    timer_init(&b->again, on_again);
    timer_init(&b->pace, on_pace);
    timer_init(&b->ending, on_ending);
    timer_init(&b->keeping, on_keeping);
}

void bans_use(struct bans *b, struct store *store, const char *state_dir)
{
    b->store = store;
    b->kept = bans_file_init(&b->file, state_dir);
    if (b->kept)
        bans_file_read(&b->file, take_kept, b);
}

void bans_changed(struct bans *b, struct str key)
{
    size_t front = sizeof(FAMILY) - 1;
    struct dirty *d;

    if (key.len > 0 && !str_starts_with(key, STR(FAMILY)))
        return;
    loop_at_turn_end(b->loop, &b->go);
    if (key.len == 0 || b->dirty_count >= DIRTY_MOST) {
        b->walking = false; /* another one begins */
        b->walk_due = true;
        return;
    }
    if (key.len - front > TEXT_MOST)
        return;
    d = check_alloc(sizeof(*d) + key.len - front);
    d->len = key.len - front;
    memcpy(d->text, key.ptr + front, d->len);
    list_append(&b->dirty, &d->node);
    b->dirty_count++;
}

const char *bans_find(const struct bans *b, const struct address *a)
{
    const struct ban *ban;

    for (size_t at = 0; (ban = map_next(&b->by_text, &at)) != NULL;)
        if (!ban->wrong && cidr_holds(&ban->range, a))
            return ban->text; /* check_alloc has put a NUL behind it */
    return NULL;
}

bool bans_are_settled(const struct bans *b)
{
    return b->dirty_count == 0 && b->call == NULL && !b->walk_due && !b->walking && !b->changed;
}

void bans_close(struct bans *b)
{
    b->closing = true;
    if (b->call != NULL)
        store_call_cancel(b->call);
    b->call = NULL;
    timer_stop(&b->again);
    timer_stop(&b->pace);
    timer_stop(&b->ending);
    timer_stop(&b->keeping);
    turn_end_cancel(&b->go);
    if (b->keep_due) {
        struct buf text = { 0 };

        write_all(b, &text);
        bans_file_write_now(&b->file, &text);
        buf_free(&text);
    }
}

void bans_free(struct bans *b)
{
    struct ban *ban;

    for (size_t at = 0; (ban = map_next(&b->by_text, &at)) != NULL;)
        free(ban);
    map_free(&b->by_text);
    drop_dirty(&b->dirty);
    drop_dirty(&b->asked);
    buf_free(&b->cursor);
    bans_file_free(&b->file);
}
