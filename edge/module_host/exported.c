/* exported.c -- what a module exports, looked at before anything of it runs.
 *
 * Nothing behind abi_major, abi_minor and size is read before these are known to fit.
 *
 * Owns:    nothing.
 * Thread:  control, at start.
 * Used by: registry.c.
 * Not here: files (loader.c); what Redis says of a module (chain.c). */
#include "module_host/exported.h"

#include <string.h>

#include "base/str.h"
#include "module_host/registry.h"
#include "module_host/values.h"

#define NAME_MOST 31
/* Of ABI 1.0: no module's struct is shorter. */
#define SIZE_1_0 (offsetof(struct usher_module, on_done) + sizeof(void (*)(void)))
#define SETTING_1_0 (offsetof(struct usher_setting, meaning) + sizeof(const char *))
#define METRIC_1_0 (offsetof(struct usher_metric, help) + sizeof(const char *))

static bool has_abi(const struct usher_module *m, const char *from, struct buf *why)
{
    if (m->abi_major != USHER_ABI_MAJOR) {
        buf_printf(
            why,
            "%s: is built against ABI %u.%u, and this edge has ABI %u.%u: modules of another "
            "major version do not fit",
            from, m->abi_major, m->abi_minor, USHER_ABI_MAJOR, USHER_ABI_MINOR);
        return false;
    }
    if (m->abi_minor > USHER_ABI_MINOR) {
        buf_printf(
            why,
            "%s: is built against ABI %u.%u, and this edge has ABI %u.%u, which is older: it "
            "may lack what the module calls",
            from, m->abi_major, m->abi_minor, USHER_ABI_MAJOR, USHER_ABI_MINOR);
        return false;
    }
    return true;
}

/* Exactly ours when it is of our minor version; else from 1.0's on. */
static bool is_size(size_t size, size_t least, size_t ours, bool exactly)
{
    return exactly ? size == ours : size >= least && size <= ours;
}

static bool has_sizes(const struct usher_module *m, const char *from, struct buf *why)
{
    bool same = m->abi_minor == USHER_ABI_MINOR;
    const char *what = "struct usher_module";
    size_t is = m->size, ours = sizeof(*m);

    if (is_size(is, SIZE_1_0, ours, same)) {
        what = "struct usher_setting";
        is = m->setting_size;
        ours = sizeof(struct usher_setting);
        if (m->setting_count == 0 || is_size(is, SETTING_1_0, ours, same)) {
            what = "struct usher_metric";
            is = m->metric_size;
            ours = sizeof(struct usher_metric);
            if (m->metric_count == 0 || is_size(is, METRIC_1_0, ours, same))
                return true;
        }
    }
    buf_printf(
        why,
        "%s: its %s has %zu bytes, and that of ABI %u.%u, which it names, has %zu: it was not "
        "built with usher_module.h as it is",
        from, what, is, m->abi_major, m->abi_minor, ours);
    return false;
}

static bool is_word(const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;

    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= '0' && text[i] <= '9') ||
              text[i] == '_'))
            return false;
    return len > 0 && len <= NAME_MOST;
}

/* What stands behind `modules` in a rule, or in place of a module. */
static bool is_taken(const char *name)
{
#define PART_condition false
#define PART_action false
#define PART_modifier true
#define FIELD(word, type, standard, range, meaning)                                                \
    if (PART_##type && strcmp(name, #word) == 0)                                                   \
        return true;
#include "schema/rule.def"
#undef FIELD
    return strcmp(name, "none") == 0;
}

static bool has_name(const struct usher_module *m, const char *from, struct buf *why)
{
    char shown[64];

    if (!is_word(m->name)) {
        str_printable(str_from(m->name != NULL ? m->name : ""), shown, sizeof(shown));
        buf_printf(why,
                   "%s: its name is \"%s\", and a module's name is 1 to %d of the letters a-z, the "
                   "digits and _",
                   from, shown, NAME_MOST);
        return false;
    }
    if (is_taken(m->name)) {
        buf_printf(why, "%s: its name is %s, which means something else behind `modules`", from,
                   m->name);
        return false;
    }
    if (m->version == NULL || m->summary == NULL) {
        buf_printf(why, "%s: module %s has no %s", from, m->name,
                   m->version == NULL ? "version" : "summary");
        return false;
    }
    return true;
}

static bool has_hooks(const struct usher_module *m, const char *from, struct buf *why)
{
    if (m->on_request == NULL && m->on_upstream == NULL && m->on_response == NULL &&
        m->on_body == NULL && m->on_done == NULL) {
        buf_printf(why,
                   "%s: module %s has no hook, and this edge calls on_request, on_upstream, "
                   "on_response, on_body and on_done: one of them must be there",
                   from, m->name);
        return false;
    }
    if (m->setting_count > 0 && m->compile == NULL) {
        buf_printf(
            why, "%s: module %s has settings and no hook `compile`, to which this edge gives them",
            from, m->name);
        return false;
    }
    return true;
}

/* NULL: nothing is wrong with it. */
static const char *find_wrong(const struct usher_setting *row, char expected[SETTING_EXPECTED])
{
    struct usher_value value;

    if (row->type > USHER_TYPE_SERVICE)
        return "is of a type that this edge does not know";
    if (row->meaning == NULL)
        return "has no meaning, which people are told";
    if (row->type == USHER_TYPE_WORD && (row->words == NULL || row->words[0] == '\0'))
        return "is a word, and names none that it may be";
    if (row->least > row->most)
        return "has a least that is more than its most";
    if ((row->flags & ~(USHER_REQUIRED | USHER_MANY)) != 0)
        return "has a flag that this edge does not know";
    if (row->standard != NULL && !setting_read(row, str_from(row->standard), &value, expected))
        return "has a standard that it could not be set to";
    return NULL;
}

static bool has_settings(const struct usher_module *m, const char *from, struct buf *why)
{
    char expected[SETTING_EXPECTED] = "";

    for (unsigned i = 0; i < m->setting_count; i++) {
        const struct usher_setting *row =
            (const void *)((const char *)m->settings + (size_t)i * m->setting_size);
        const char *wrong = NULL;

        if (!is_word(row->name)) {
            buf_printf(why, "%s: module %s: the name of setting %u is not of a-z, 0-9 and _", from,
                       m->name, i + 1);
            return false;
        }
        for (unsigned j = 0; j < i; j++) {
            const struct usher_setting *other =
                (const void *)((const char *)m->settings + (size_t)j * m->setting_size);

            if (strcmp(other->name, row->name) == 0)
                wrong = "is there twice";
        }
        wrong = wrong != NULL ? wrong : find_wrong(row, expected);
        if (wrong != NULL) {
            buf_printf(why, "%s: module %s: setting %s %s", from, m->name, row->name, wrong);
            if (expected[0] != '\0')
                buf_printf(why, ": expected %s", expected);
            return false;
        }
    }
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

static bool has_metrics(const struct usher_module *m, const char *from, struct buf *why)
{
    if (m->metric_count > MODULE_METRICS_MAX) {
        buf_printf(why, "%s: module %s has %u metrics, and this edge counts %d of each module",
                   from, m->name, m->metric_count, MODULE_METRICS_MAX);
        return false;
    }
    for (unsigned i = 0; i < m->metric_count; i++) {
        const struct usher_metric *row =
            (const void *)((const char *)m->metrics + (size_t)i * m->metric_size);
        const char *wrong = NULL;

        if (!is_word(row->name))
            wrong = "has no name of a-z, 0-9 and _";
        else if (row->kind != USHER_COUNTER && row->kind != USHER_GAUGE)
            wrong = "is of a kind that this edge does not know";
        else if ((row->kind == USHER_COUNTER) != ends_with(row->name, "_total"))
            wrong = "ends with _total though it is a gauge, or does not though it is a counter";
        else if (row->help == NULL)
            wrong = "has no help, which people are told";
        for (unsigned j = 0; j < i && wrong == NULL; j++) {
            const struct usher_metric *other =
                (const void *)((const char *)m->metrics + (size_t)j * m->metric_size);

            if (strcmp(other->name, row->name) == 0)
                wrong = "is there twice";
        }
        if (wrong != NULL) {
            buf_printf(why, "%s: module %s: metric %u %s", from, m->name, i + 1, wrong);
            return false;
        }
    }
    return true;
}

static bool has_tables(const struct usher_module *m, const char *from, struct buf *why)
{
    if ((m->setting_count > 0 && m->settings == NULL) ||
        (m->metric_count > 0 && m->metrics == NULL)) {
        buf_printf(why, "%s: module %s counts rows of a table that is not there", from, m->name);
        return false;
    }
    return has_settings(m, from, why) && has_metrics(m, from, why);
}

bool exported_is_right(const struct usher_module *m, const char *from, struct buf *why)
{
    return has_abi(m, from, why) && has_sizes(m, from, why) && has_name(m, from, why) &&
           has_hooks(m, from, why) && has_tables(m, from, why);
}
