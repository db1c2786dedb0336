/* value.c -- values to bytes and back.
 *
 * One octet says what it is: 's', then the string; or 'h', then for each field the length of its
 * name (4 octets, least first), the name, and its value likewise.
 *
 * Owns:    nothing but the fields of a value it decoded.
 * Thread:  any (pure).
 * Used by: store/reading.c, store/history.c, store/recall.c.
 * Not here: what the fields mean (record.c). */
#include "routing/value.h"

#include <stdlib.h>

#include "base/check.h"

#define LENGTH_BYTES 4

static int by_name(const void *a, const void *b)
{
    const struct str *x = &((const struct value_field *)a)->name;
    const struct str *y = &((const struct value_field *)b)->name;
    size_t least = x->len < y->len ? x->len : y->len;
    int order = least > 0 ? memcmp(x->ptr, y->ptr, least) : 0;

    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void add_part(struct buf *to, struct str part)
{
    unsigned char length[LENGTH_BYTES];

    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        length[i] = (unsigned char)(part.len >> (8 * i));
    buf_add(to, length, sizeof(length));
    buf_add_str(to, part);
}

void value_encode(const struct value *v, struct buf *to)
{
    struct value_field *sorted;

    if (v->kind == VALUE_STRING) {
        buf_add_text(to, "s");
        buf_add_str(to, v->string);
        return;
    }
    CHECK(v->kind == VALUE_HASH);
    sorted = check_alloc((v->count + 1) * sizeof(*sorted));
    if (v->count > 0)
        memcpy(sorted, v->fields, v->count * sizeof(*sorted));
    qsort(sorted, v->count, sizeof(*sorted), by_name);
    buf_add_text(to, "h");
    for (size_t i = 0; i < v->count; i++) {
        add_part(to, sorted[i].name);
        add_part(to, sorted[i].value);
    }
    free(sorted);
}

/* --- as redis-cli takes it --- */

static bool is_plain(struct str word)
{
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];

        if (!(c >= '0' && c <= '9') && !(str_lower(c) >= 'a' && str_lower(c) <= 'z') &&
            (c == '\0' || strchr("_-.:/@%+=,*~[]{}()!?&", c) == NULL))
            return false;
    }
    return word.len > 0;
}

static void add_quoted(struct buf *to, char c)
{
    static const char plain[] = "\"\\\n\r\t\a\b", letters[] = "\"\\nrtab";
    const char *at = c != '\0' ? strchr(plain, c) : NULL;

    if (at != NULL)
        buf_printf(to, "\\%c", letters[at - plain]);
    else if (c < ' ' || c > '~')
        buf_printf(to, "\\x%02x", (unsigned char)c);
    else
        buf_add(to, &c, 1);
}

static void add_word(struct buf *to, struct str word)
{
    if (to->len > 0)
        buf_add_text(to, " ");
    if (is_plain(word)) {
        buf_add_str(to, word);
        return;
    }
    buf_add_text(to, "\"");
    for (size_t i = 0; i < word.len; i++)
        add_quoted(to, word.ptr[i]);
    buf_add_text(to, "\"");
}

void value_say(const struct value *v, struct buf *to)
{
    if (v->kind == VALUE_STRING)
        add_word(to, v->string);
    for (size_t i = 0; v->kind == VALUE_HASH && i < v->count; i++) {
        add_word(to, v->fields[i].name);
        add_word(to, v->fields[i].value);
    }
}

/* --- back --- */

static bool take_part(struct str *rest, struct str *part)
{
    size_t len = 0;

    if (rest->len < LENGTH_BYTES)
        return false;
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        len |= (size_t)(unsigned char)rest->ptr[i] << (8 * i);
    if (len > rest->len - LENGTH_BYTES)
        return false;
    *part = str_slice(rest->ptr + LENGTH_BYTES, len);
    *rest = str_slice(part->ptr + len, rest->len - LENGTH_BYTES - len);
    return true;
}

static bool decode_hash(struct str rest, struct value *v)
{
    struct value_field *fields = NULL;
    size_t room = 0;

    while (rest.len > 0) {
        if (v->count == room) {
            room = room ? room * 2 : 8;
            fields = check_realloc(fields, room * sizeof(*fields));
            v->fields = fields;
        }
        if (!take_part(&rest, &fields[v->count].name) || !take_part(&rest, &fields[v->count].value))
            return false;
        v->count++;
    }
    return true;
}

bool value_decode(struct str bytes, struct value *v)
{
    *v = (struct value){ .kind = VALUE_ABSENT };
    if (bytes.len == 0)
        return false;
    if (bytes.ptr[0] == 's') {
        v->kind = VALUE_STRING;
        v->string = str_slice(bytes.ptr + 1, bytes.len - 1);
        return true;
    }
    if (bytes.ptr[0] != 'h')
        return false;
    v->kind = VALUE_HASH;
    memcpy(v->type, "hash", 5);
    return decode_hash(str_slice(bytes.ptr + 1, bytes.len - 1), v);
}

void value_free(struct value *v)
{
    free((void *)v->fields);
    *v = (struct value){ .kind = VALUE_ABSENT };
}
