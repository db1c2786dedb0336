/* dump.c -- what the store holds, as JSON, for whoever wants to look instead of guess.
 *
 * Owns:    nothing.
 * Thread:  control
 * Used by: control/admin_pages.c.
 * Not here: the workers' tables (proxy/). */
#include "store/keys.h"
#include "store/state.h"

#define RECORDS_MOST 10000

static const char *word(bool yes)
{
    return yes ? "true" : "false";
}

static void add_number(struct buf *json, const char *name, uint64_t n)
{
    buf_printf(json, ",\"%s\":%llu", name, (unsigned long long)n);
}

void store_dump(struct store *s, struct buf *json)
{
    const struct store_status *t = &s->status;

    buf_printf(json, "{\"up\":%s,\"ever_synced\":%s,\"suspect\":%s,\"regressed\":%s", word(t->up),
               word(t->ever_synced), word(t->suspect), word(t->regressed));
    buf_printf(json, ",\"writer_up\":%s", word(redis_link_is_up(s->writer)));
    buf_printf(json, ",\"stale\":%s,\"evicts\":%s", word(t->stale), word(t->evicts));
    add_number(json, "switches", t->switches);
    add_number(json, "reconnects", t->reconnects);
    add_number(json, "rounds", t->rounds);
    add_number(json, "reads", t->reads);
    add_number(json, "pushes", t->pushes);
    add_number(json, "lookups", t->lookups);
    add_number(json, "lookups_refused", t->lookups_refused);
    add_number(json, "lookups_waiting", s->lookups.waiting.count);
    add_number(json, "bad_records_seen", t->bad_records_seen);
    add_number(json, "records_evicted", t->records_evicted);
    add_number(json, "records_good", t->records_good);
    add_number(json, "records_bad", t->records_bad);
    add_number(json, "records_absent", t->records_absent);
    add_number(json, "cache_bytes", t->cache_bytes);
    add_number(json, "queued_pushed", s->sync.queued[QUEUE_PUSHED]);
    add_number(json, "queued_wanted", s->sync.queued[QUEUE_WANTED]);
    add_number(json, "queued_verify", s->sync.queued[QUEUE_VERIFY]);
    add_number(json, "barrier_tokens", s->barrier.count);
    add_number(json, "barrier_owed", s->barrier.owed[0] + s->barrier.owed[1]);
    add_number(json, "queued_scan", s->sync.queued[QUEUE_SCAN]);
    add_number(json, "known_names", s->names.count);
    add_number(json, "known_names_unseen", s->names.unseen);
    add_number(json, "known_names_bytes", names_bytes(&s->names));
    add_number(json, "missing_hosts", s->verify.missing_hosts);
    add_number(json, "known_hosts", s->verify.known_hosts);
    buf_add_text(json, "}");
}

static const char *state_of(const struct store *s, const struct record *r)
{
    if (!r->known)
        return "unknown";
    if (r->missing)
        return "missing";
    return record_is_fresh(&s->mirror, r) ? "fresh" : "suspect";
}

static void add_record(struct store *s, const struct record *r, struct str key, struct buf *json)
{
    uint64_t now = loop_now_ms(s->loop);
    struct buf sentence = { 0 };

    buf_add_text(json, "{\"key\":");
    buf_add_json(json, key);
    buf_printf(json, ",\"state\":\"%s\",\"present\":%s,\"bad\":%s,\"has_good\":%s", state_of(s, r),
               word(r->present), word(r->bad), word(r->has_good));
    if (r->has_slot)
        buf_printf(json, ",\"slot\":%u,\"generation\":%u", r->ref.slot, r->ref.generation);
    buf_printf(json, ",\"references\":%u,\"bytes\":%zu", r->reference_count, r->bytes);
    if (r->expires_ms != 0)
        add_number(json, "expires_in_ms", r->expires_ms > now ? r->expires_ms - now : 0);
    if (r->error != NULL) {
        record_error_say(r->error, &sentence);
        buf_add_text(json, ",\"error\":");
        buf_add_json(json, str_slice(sentence.ptr, sentence.len));
        buf_free(&sentence);
    }
    buf_add_text(json, "}");
}

void store_dump_records(struct store *s, struct str prefix, struct buf *json)
{
    struct buf key = { 0 };
    struct record *r;
    size_t left = RECORDS_MOST;

    buf_add_text(json, "[");
    for (unsigned f = 0; f < FAMILIES; f++)
        for (size_t at = 0; left > 0 && (r = map_next(&s->mirror.maps[f], &at)) != NULL;) {
            buf_clear(&key);
            keys_add(&key, s->prefix, (enum family)f, record_name(r));
            if (!str_starts_with(str_slice(key.ptr, key.len), prefix))
                continue;
            if (left-- < RECORDS_MOST)
                buf_add_text(json, ",");
            add_record(s, r, str_slice(key.ptr, key.len), json);
        }
    buf_add_text(json, "]");
    buf_free(&key);
}
