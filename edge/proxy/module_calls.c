/* module_calls.c -- what modules ask of the edge: struct usher_host, function by function.
 *
 * Owns:    nothing; what is made for a module lies in its exchange's memory.
 * Thread:  its worker.
 * Used by: modules, through the table at the end.
 * Not here: bodies and replies (module_reply.c, module_body.c); what takes time (module_wait.c). */
#include "proxy/module_calls.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/path.h"
#include "http/framing.h"
#include "http/parser.h"
#include "net/digest.h"
#include "proxy/match.h"
#include "proxy/worker_state.h"

#define LOG_LINES_PER_SECOND 50
#define SERVICE_BY_SLOT ((uint64_t)1 << 32)
#define NO_TEXT ((struct usher_text){ NULL, 0 })

static struct usher_text text_of(struct str s)
{
    return (struct usher_text){ s.ptr, s.len };
}

static struct str str_of(struct usher_text t)
{
    return str_slice(t.ptr, t.len);
}

static const struct chain_link *link_of(const struct module_run *run)
{
    return run->turns[run->at].link;
}

/* --- the request --- */

static struct usher_text method(struct usher_exchange *o)
{
    return text_of(parser_method_name(run_of(o)->x->request.method));
}

static struct usher_text path(struct usher_exchange *o)
{
    const struct exchange *x = run_of(o)->x;

    return text_of(run_of(o)->path_changed ? x->path_sent : x->path);
}

static struct usher_text raw_path(struct usher_exchange *o)
{
    return text_of(run_of(o)->x->target.path);
}

static struct usher_text query(struct usher_exchange *o)
{
    const struct module_run *run = run_of(o);

    return text_of(run->query_changed ? run->query_sent : run->x->target.query);
}

static struct usher_text host_name(struct usher_exchange *o)
{
    const struct exchange *x = run_of(o)->x;

    return (struct usher_text){ x->target.host, x->target.host_len };
}

static struct usher_text authority(struct usher_exchange *o)
{
    return text_of(run_of(o)->x->target.authority);
}

static struct usher_text scheme(struct usher_exchange *o)
{
    (void)o;
    return text_of(STR("http"));
}

static struct usher_text client_ip(struct usher_exchange *o)
{
    struct exchange *x = run_of(o)->x;

    return text_of(x->client->client_ip(x->session));
}

static struct usher_text tenant(struct usher_exchange *o)
{
    const struct exchange *x = run_of(o)->x;

    return x->tenant != NULL ? usher_text(x->tenant->id) : NO_TEXT;
}

static struct usher_text route(struct usher_exchange *o)
{
    const struct exchange *x = run_of(o)->x;

    return x->route != NULL ? text_of(x->route->name) : NO_TEXT;
}

static struct usher_text service(struct usher_exchange *o)
{
    const struct exchange *x = run_of(o)->x;

    return x->service != NULL ? usher_text(x->service->name) : NO_TEXT;
}

static struct usher_text request_id(struct usher_exchange *o)
{
    struct module_run *run = run_of(o);

    if (run->id[0] == '\0')
        snprintf(run->id, sizeof(run->id), "%016llx%016llx",
                 (unsigned long long)random_next(&run->x->w->random),
                 (unsigned long long)random_next(&run->x->w->random));
    return (struct usher_text){ run->id, sizeof(run->id) - 1 };
}

static int hex_value(char c)
{
    char low = str_lower(c);

    return c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* The next character of a query's part, as forms write it: + is a space. Moves *part behind it. */
static char next_decoded(struct str *part)
{
    char c = part->ptr[0];
    size_t taken = 1;

    if (c == '%' && part->len > 2 && hex_value(part->ptr[1]) >= 0 && hex_value(part->ptr[2]) >= 0) {
        c = (char)(hex_value(part->ptr[1]) * 16 + hex_value(part->ptr[2]));
        taken = 3;
    } else if (c == '+') {
        c = ' ';
    }
    *part = str_slice(part->ptr + taken, part->len - taken);
    return c;
}

static struct str decoded(struct module_run *run, struct str part)
{
    char *to = modules_alloc(run, part.len + 1);
    size_t len = 0;

    while (to != NULL && part.len > 0)
        to[len++] = next_decoded(&part);
    return str_slice(to, len);
}

/* Takes no memory: a query has many parts, and who wrote it may want memory to be short. */
static bool decodes_to(struct str part, struct str wanted)
{
    size_t at = 0;

    while (part.len > 0)
        if (at == wanted.len || next_decoded(&part) != wanted.ptr[at++])
            return false;
    return at == wanted.len;
}

static struct usher_text parameter(struct usher_exchange *o, struct usher_text name, uint32_t nth)
{
    struct module_run *run = run_of(o);
    struct str rest = str_of(query(o)), part, key;

    if (rest.ptr == NULL)
        return NO_TEXT;
    while (str_split(&rest, '&', &part)) {
        struct str value = part;

        if (!str_split(&value, '=', &key))
            continue;
        if (!decodes_to(key, str_of(name)) || nth-- > 0)
            continue;
        return text_of(value.ptr != NULL ? decoded(run, value) : STR(""));
    }
    return NO_TEXT;
}

static struct usher_text cookie(struct usher_exchange *o, struct usher_text name)
{
    const struct head *h = &run_of(o)->x->request;

    for (unsigned i = 0; i < h->count; i++) {
        struct str rest = head_value(h, &h->fields[i]), part, key;

        if (!str_equals_nocase(head_name(h, &h->fields[i]), STR("cookie")))
            continue;
        while (str_split(&rest, ';', &part)) {
            struct str value = str_trim(part);

            if (str_split(&value, '=', &key) && value.ptr != NULL &&
                str_equals(str_trim(key), str_of(name)))
                return text_of(str_trim(value));
        }
    }
    return NO_TEXT;
}

static const struct usher_tls *tls(struct usher_exchange *o)
{
    (void)o;
    return NULL;
}

/* --- heads --- */

/* A response's head stands where it was read, which lasts as long as the read: before a module gets to
 * see any of it, it is copied. */
static struct head *head_of(struct module_run *run, enum usher_side side)
{
    if (side == USHER_REQUEST)
        return &run->x->request;
    if (!run->has_response || !head_edit_own(&run->x->response, &run->response_text))
        return NULL;
    return &run->x->response;
}

static struct usher_text header(struct usher_exchange *o, enum usher_side side,
                                struct usher_text name, uint32_t nth)
{
    const struct head *h = head_of(run_of(o), side);

    for (unsigned i = 0; h != NULL && i < h->count; i++)
        if (str_equals_nocase(head_name(h, &h->fields[i]), str_of(name)) && nth-- == 0)
            return text_of(head_value(h, &h->fields[i]));
    return NO_TEXT;
}

static bool header_at(struct usher_exchange *o, enum usher_side side, uint32_t index,
                      struct usher_pair *field)
{
    const struct head *h = head_of(run_of(o), side);

    if (h == NULL || index >= h->count)
        return false;
    field->name = text_of(head_name(h, &h->fields[index]));
    field->value = text_of(head_value(h, &h->fields[index]));
    return true;
}

/* The head that this hook may change now; NULL: none. */
static struct head *head_to_change(struct module_run *run, enum usher_side side,
                                   struct usher_text name)
{
    if (head_edit_is_ours(str_of(name), side == USHER_RESPONSE))
        return NULL;
    if (side == USHER_REQUEST) {
        run->rules_request = true;
        return run->hook == HOOK_REQUEST || run->hook == HOOK_UPSTREAM ? head_of(run, side) : NULL;
    }
    return run->hook == HOOK_REQUEST || run->hook == HOOK_RESPONSE ? head_of(run, side) : NULL;
}

static bool add_field(struct module_run *run, enum usher_side side, struct head *h, struct str name,
                      struct str value)
{
    return head_edit_name_is_right(name) && head_edit_value_is_right(value) &&
           head_edit_add(h, side == USHER_REQUEST ? &run->request_text : &run->response_text, name,
                         value);
}

static bool header_add(struct usher_exchange *o, enum usher_side side, struct usher_text name,
                       struct usher_text value)
{
    struct module_run *run = run_of(o);
    struct head *h = head_to_change(run, side, name);

    return h != NULL && add_field(run, side, h, str_of(name), str_of(value));
}

static bool header_remove(struct usher_exchange *o, enum usher_side side, struct usher_text name)
{
    struct head *h = head_to_change(run_of(o), side, name);

    if (h == NULL)
        return false;
    head_edit_remove(h, str_of(name));
    return true;
}

static bool has_field(const struct head *h, struct str name)
{
    for (unsigned i = 0; i < h->count; i++)
        if (str_equals_nocase(head_name(h, &h->fields[i]), name))
            return true;
    return false;
}

/* Added first, so that the old one stays where it cannot be. */
static bool header_set(struct usher_exchange *o, enum usher_side side, struct usher_text name,
                       struct usher_text value)
{
    struct module_run *run = run_of(o);
    struct head *h = head_to_change(run, side, name);
    bool replaces = h != NULL && has_field(h, str_of(name));
    struct field added;

    if (h == NULL || !add_field(run, side, h, str_of(name), str_of(value)))
        return false;
    if (!replaces)
        return true;
    added = h->fields[h->count - 1];
    head_edit_remove(h, str_of(name));
    h->fields[h->count++] = added;
    h->known[added.id] = h->count;
    return true;
}

static uint32_t status(struct usher_exchange *o)
{
    const struct module_run *run = run_of(o);

    return run->x->status != 0 ? run->x->status : run->has_response ? run->x->response.status : 0;
}

static bool status_set(struct usher_exchange *o, uint32_t code)
{
    struct module_run *run = run_of(o);

    if (run->hook != HOOK_RESPONSE || code > 599 || framing_is_empty(code) ||
        framing_is_empty(run->x->response.status))
        return false;
    run->x->response.status = (uint16_t)code;
    run->x->response.target_len = 0; /* the phrase was the other status's */
    return true;
}

static enum usher_source source(struct usher_exchange *o)
{
    return run_of(o)->source;
}

static struct usher_text fault_name(struct usher_exchange *o)
{
    const struct exchange *x = run_of(o)->x;

    return x->fault != FAULT_NONE ? usher_text(fault_row(x->fault)->name) : NO_TEXT;
}

/* --- where to --- */

bool module_service_slot(const struct module_run *run, uint64_t handle, uint32_t *slot)
{
    const struct chain_link *link = link_of(run);

    if (handle >= SERVICE_BY_SLOT) {
        *slot = (uint32_t)handle;
        return handle == module_own_service(run);
    }
    if (handle == 0 || handle > link->service_count)
        return false;
    *slot = link->service_slots[handle - 1];
    return true;
}

uint64_t module_own_service(const struct module_run *run)
{
    const struct service *s = run->x->service;

    return s != NULL ? SERVICE_BY_SLOT | s->object.ref.slot : 0;
}

static uint64_t own_service(struct usher_exchange *o)
{
    return module_own_service(run_of(o));
}

static bool choose_service(struct usher_exchange *o, uint64_t handle)
{
    struct module_run *run = run_of(o);
    uint32_t slot;

    if (run->hook != HOOK_REQUEST || !module_service_slot(run, handle, &slot))
        return false;
    return match_choose(run->x, slot) == FAULT_NONE;
}

static bool may_rewrite(const struct module_run *run)
{
    return run->hook == HOOK_REQUEST || run->hook == HOOK_UPSTREAM;
}

bool module_text_is_visible(struct usher_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if ((unsigned char)t.ptr[i] <= ' ' || t.ptr[i] == 0x7f || t.ptr[i] == '#')
            return false;
    return true;
}

static bool rewrite_path(struct usher_exchange *o, struct usher_text to)
{
    struct module_run *run = run_of(o);
    struct usher_text kept;

    if (!may_rewrite(run) || to.len == 0 || to.ptr[0] != '/' || !module_text_is_visible(to) ||
        memchr(to.ptr, '?', to.len) != NULL || to.len > run->x->w->settings->max_url_bytes)
        return false;
    kept = usher_copy(o, to);
    if (kept.ptr == NULL)
        return false;
    run->x->path_sent = str_of(kept);
    run->path_changed = true;
    return true;
}

static bool rewrite_query(struct usher_exchange *o, struct usher_text to)
{
    struct module_run *run = run_of(o);
    struct usher_text kept = { NULL, 0 };

    if (!may_rewrite(run) || !module_text_is_visible(to) ||
        to.len > run->x->w->settings->max_url_bytes)
        return false;
    if (to.ptr != NULL && (kept = usher_copy(o, to)).ptr == NULL)
        return false;
    run->query_sent = str_of(kept);
    run->query_changed = true;
    return true;
}

static bool rewrite_host(struct usher_exchange *o, struct usher_text to)
{
    struct module_run *run = run_of(o);
    char normal[TARGET_HOST_MAX + 1];
    struct usher_text kept;

    if (!may_rewrite(run) || !module_text_is_visible(to) ||
        target_normal_host(str_of(to), normal) == 0)
        return false;
    kept = usher_copy(o, to);
    run->host_sent = str_of(kept);
    return kept.ptr != NULL;
}

/* --- memory, time, words --- */

static void *alloc(struct usher_exchange *o, size_t bytes)
{
    return modules_alloc(run_of(o), bytes);
}

static void **state(struct usher_exchange *o)
{
    return &run_of(o)->turns[run_of(o)->at].state;
}

static uint64_t now_ms(struct usher_exchange *o)
{
    return loop_now_ms(&run_of(o)->x->w->loop);
}

static uint64_t wall_ms(struct usher_exchange *o)
{
    (void)o;
    return clock_wall_ms();
}

static uint64_t random_number(struct usher_exchange *o)
{
    return random_next(&run_of(o)->x->w->random);
}

static void log_sentence(struct usher_exchange *o, enum usher_level level, const char *sentence)
{
    static const enum log_level levels[] = { [USHER_LOG_DEBUG] = LOG_DEBUG,
                                             [USHER_LOG_NOTICE] = LOG_INFO,
                                             [USHER_LOG_WARN] = LOG_WARN,
                                             [USHER_LOG_ERROR] = LOG_ERROR };
    struct module_run *run = run_of(o);
    struct worker *w = run->x->w;
    uint64_t second = loop_now_ms(&w->loop) / 1000;
    char quoted[400];

    if ((unsigned)level > USHER_LOG_ERROR || !log_wants(levels[level]))
        return;
    if (second != w->module_log_second) {
        w->module_log_second = second;
        w->module_log_lines = 0;
    }
    if (++w->module_log_lines > LOG_LINES_PER_SECOND)
        return;
    log_line(levels[level], "module", "module=%s tenant=%s id=%s says=%s",
             link_of(run)->row->module.name, run->x->tenant ? run->x->tenant->id : "-",
             request_id(o).ptr, log_quote(str_from(sentence), quoted, sizeof(quoted)));
}

static void count(struct usher_exchange *o, uint32_t metric, int64_t by)
{
    struct module_run *run = run_of(o);
    const struct module_row *row = link_of(run)->row;

    if (metric >= row->module.metric_count || metric >= MODULE_METRICS_MAX)
        return;
    if (by > 0 || row->module.metrics[metric].kind == USHER_GAUGE)
        counter_add(&run->x->w->modules.boards[row->index].metrics[metric], (uint64_t)by);
}

static size_t digest(enum usher_digest kind, struct usher_text bytes, uint8_t to[64])
{
    return digest_of((unsigned)kind, str_of(bytes), to);
}

static bool verify(enum usher_signature kind, struct usher_text key, struct usher_text bytes,
                   struct usher_text signature)
{
    return digest_verify((unsigned)kind, str_of(key), str_of(bytes), str_of(signature));
}

static bool equal(struct usher_text a, struct usher_text b)
{
    return digest_equal(str_of(a), str_of(b));
}

static size_t decode_base64(struct usher_text text, bool url, void *to, size_t room)
{
    return base64_decode(str_of(text), url, to, room);
}

const struct usher_host modules_host = {
    .size = sizeof(struct usher_host),
    .abi_major = USHER_ABI_MAJOR,
    .abi_minor = USHER_ABI_MINOR,
    .method = method,
    .path = path,
    .raw_path = raw_path,
    .query = query,
    .host_name = host_name,
    .authority = authority,
    .scheme = scheme,
    .client_ip = client_ip,
    .tenant = tenant,
    .route = route,
    .service = service,
    .request_id = request_id,
    .parameter = parameter,
    .cookie = cookie,
    .tls = tls,
    .header = header,
    .header_at = header_at,
    .header_set = header_set,
    .header_add = header_add,
    .header_remove = header_remove,
    .status = status,
    .status_set = status_set,
    .source = source,
    .fault_name = fault_name,
    .choose_service = choose_service,
    .own_service = own_service,
    .rewrite_path = rewrite_path,
    .rewrite_query = rewrite_query,
    .rewrite_host = rewrite_host,
    .reply = module_reply,
    .reply_file = module_reply_file,
    .replace_body = module_replace_body,
    .fault = module_fault,
    .take_body = module_take_body,
    .send = module_send,
    .alloc = alloc,
    .state = state,
    .now_ms = now_ms,
    .clock_ms = wall_ms,
    .random = random_number,
    .log = log_sentence,
    .count = count,
    .wait_most = module_wait_most,
    .timer = module_timer,
    .ask = module_ask,
    .subrequest = module_subrequest,
    .job = module_job,
    .digest = digest,
    .verify = verify,
    .equal = equal,
    .decode_base64 = decode_base64,
};
