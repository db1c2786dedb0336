/* static_files.c -- answers with files of a folder.
 *
 *     usher serve --module-option static_files.root=/srv/www
 *     redis-cli HSET usher:tenant:acme modules 'static_files(root=acme)'
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conditions.h"
#include "places.h"
#include "types.h"
#include "usher_module.h"

#define NOT_FOUND "not found\n"
#define TEXT_PLAIN "text/plain; charset=utf-8"
#define YEARS_MS ((int64_t)10 * 365 * 24 * 3600 * 1000)

enum { ROOT, FOLDER, STRIP, INDEX, MISSING, FALLTHROUGH, DOTFILES, MAX_AGE, TYPE, ROWS };

static const struct usher_setting settings[ROWS] = {
    [ROOT] = { .name = "root",
               .type = USHER_TYPE_TEXT,
               .flags = USHER_REQUIRED,
               .least = 1,
               .most = 1024,
               .meaning = "the folder that no request leads out of, below the edge's own "
                          "--module-option static_files.root" },
    [FOLDER] = { .name = "folder",
                 .type = USHER_TYPE_TEXT,
                 .least = 1,
                 .most = 512,
                 .meaning = "a folder or link below root, looked up anew for each request, such as "
                            "current" },
    [STRIP] = { .name = "strip",
                .type = USHER_TYPE_TEXT,
                .least = 1,
                .most = 512,
                .meaning = "what is taken off the path's beginning, such as /assets" },
    [INDEX] = { .name = "index",
                .type = USHER_TYPE_TEXT,
                .flags = USHER_MANY,
                .standard = "index.html",
                .least = 1,
                .most = 128,
                .meaning = "the file that stands for a folder" },
    [MISSING] = { .name = "missing",
                  .type = USHER_TYPE_TEXT,
                  .least = 1,
                  .most = 512,
                  .meaning =
                      "the file that is sent, with 200, where there is no such file, such as "
                      "/index.html" },
    [FALLTHROUGH] = { .name = "fallthrough",
                      .type = USHER_TYPE_SWITCH,
                      .standard = "off",
                      .meaning = "what is no file here goes on to the endpoint" },
    [DOTFILES] = { .name = "dotfiles",
                   .type = USHER_TYPE_SWITCH,
                   .standard = "off",
                   .meaning = "names that begin with a dot are files as others are" },
    [MAX_AGE] = { .name = "max_age",
                  .type = USHER_TYPE_TIME,
                  .most = YEARS_MS,
                  .meaning = "Cache-Control: max-age" },
    [TYPE] = { .name = "type",
               .type = USHER_TYPE_PAIR,
               .flags = USHER_MANY,
               .meaning = "the media type of an extension, as in type glb=model/gltf-binary" },
};

struct static_files {
    int dir;                    /* the root's */
    const char *allowed, *root; /* where it was */
    struct usher_text folder, strip;
    const char *missing; /* NULL: none */
    const struct usher_given *indexes, *types;
    struct usher_text cache_control; /* ptr NULL: none */
    bool fallthrough, dotfiles;
};

static struct usher_text text_of(const char *ptr)
{
    return usher_text(ptr);
}

/* --- settings --- */

static struct usher_text first(const struct usher_given *given)
{
    return given->count > 0 ? given->values[0].text : (struct usher_text){ NULL, 0 };
}

static char *kept(struct usher_compile *c, const char *bytes, size_t len)
{
    char *copy = usher_keep(c, len + 1);

    memcpy(copy, bytes, len);
    return copy;
}

/* `/srv/www/acme` below /srv/www is `acme`; NULL: it is not below. */
static const char *relative(const char *allowed, const char *root)
{
    size_t len = strlen(allowed);

    if (root[0] != '/')
        return root;
    while (len > 0 && allowed[len - 1] == '/')
        len--;
    if (strncmp(root, allowed, len) != 0 || (root[len] != '/' && root[len] != '\0'))
        return NULL;
    root += len;
    while (*root == '/')
        root++;
    return *root != '\0' ? root : ".";
}

static bool open_root(struct usher_compile *c, struct static_files *s, struct usher_text said)
{
    const char *option = usher_option(c, "root"), *below;
    char allowed[STATIC_FILES_PATH_MAX], expected[200];

    if (option == NULL || option[0] == '\0')
        return usher_refuse(c, ROOT, 0,
                            "no files on this edge, whose operator has not said where any may be: "
                            "--module-option static_files.root=DIR");
    if (!static_files_allowed(option, usher_compile_tenant(c), allowed))
        return usher_refuse(
            c, ROOT, 0, "a tenant's: this edge has a folder for each, and the name of one must do");
    s->root = kept(c, said.ptr, said.len);
    below = relative(allowed, s->root);
    snprintf(expected, sizeof(expected), "a folder below %.120s, such as acme", allowed);
    if (below == NULL || strlen(s->root) != said.len)
        return usher_refuse(c, ROOT, 0, expected);
    s->allowed = kept(c, allowed, strlen(allowed));
    s->root = below;
    s->dir = static_files_open_root(s->allowed, s->root);
    if (s->dir >= 0)
        return true;
    if (errno == EXDEV)
        return usher_refuse(c, ROOT, 0, expected);
    snprintf(expected, sizeof(expected), "a folder that is there below %.120s (%s)", allowed,
             strerror(errno));
    return usher_refuse(c, ROOT, 0, expected);
}

static struct usher_text without_slashes(struct usher_text t)
{
    while (t.len > 0 && t.ptr[0] == '/') {
        t.ptr++;
        t.len--;
    }
    while (t.len > 0 && t.ptr[t.len - 1] == '/')
        t.len--;
    return t;
}

/* What would end a header, or a path, in its middle. */
static bool is_clean(struct usher_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if ((unsigned char)t.ptr[i] < ' ' || t.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool compile(struct usher_compile *c, const struct usher_given *given, void **compiled)
{
    struct static_files *s = usher_keep(c, sizeof(*s));
    struct usher_text missing = without_slashes(first(&given[MISSING]));

    s->folder = without_slashes(first(&given[FOLDER]));
    s->strip = first(&given[STRIP]);
    while (s->strip.len > 0 && s->strip.ptr[s->strip.len - 1] == '/')
        s->strip.len--;
    if (given[STRIP].count > 0 && (s->strip.len == 0 || s->strip.ptr[0] != '/'))
        return usher_refuse(c, STRIP, 0, "the beginning of a path, such as /assets");
    for (uint32_t i = 0; i < given[INDEX].count; i++)
        if (memchr(given[INDEX].values[i].text.ptr, '/', given[INDEX].values[i].text.len) != NULL)
            return usher_refuse(c, INDEX, i, "a file's name, without /");
    for (uint32_t i = 0; i < given[TYPE].count; i++)
        if (given[TYPE].values[i].text.len == 0 || !is_clean(given[TYPE].values[i].text))
            return usher_refuse(c, TYPE, i, "an extension and a media type");
    if (missing.len > 0)
        s->missing = kept(c, missing.ptr, missing.len);
    s->indexes = &given[INDEX];
    s->types = &given[TYPE];
    s->fallthrough = given[FALLTHROUGH].values[0].number;
    s->dotfiles = given[DOTFILES].values[0].number;
    if (given[MAX_AGE].count > 0) {
        char *text = usher_keep(c, 40);

        snprintf(text, 40, "max-age=%lld", (long long)(given[MAX_AGE].values[0].number / 1000));
        s->cache_control = text_of(text);
    }
    *compiled = s;
    usher_anew(c);
    return open_root(c, s, given[ROOT].values[0].text);
}

static void drop(void *compiled)
{
    struct static_files *s = compiled;

    close(s->dir);
}

/* --- finding --- */

/* A file that was found, or might have been. */
struct place {
    char path[STATIC_FILES_PATH_MAX]; /* below the root */
    struct stat st;
    int fd;
};

static bool append(char *to, size_t *at, const char *bytes, size_t len)
{
    if (len >= STATIC_FILES_PATH_MAX - *at)
        return false;
    memcpy(to + *at, bytes, len);
    *at += len;
    to[*at] = '\0';
    return true;
}

/* path + "/" + name, below the folder when there is one. */
static bool join(const struct static_files *s, const char *path, struct usher_text name,
                 char to[STATIC_FILES_PATH_MAX])
{
    size_t at = 0;

    return (s->folder.len == 0 ||
            (append(to, &at, s->folder.ptr, s->folder.len) && append(to, &at, "/", 1))) &&
           append(to, &at, path, strlen(path)) &&
           (name.len == 0 || (append(to, &at, "/", 1) && append(to, &at, name.ptr, name.len)));
}

static enum static_files_found find_one(const struct static_files *s, int dir, const char *path,
                                        struct usher_text name, struct place *p)
{
    return join(s, path, name, p->path) ? static_files_open(dir, p->path, &p->fd, &p->st)
                                        : STATIC_FILES_NONE;
}

static enum static_files_found find_index(const struct static_files *s, int dir, const char *path,
                                          struct place *p)
{
    enum static_files_found found = STATIC_FILES_NONE;

    for (uint32_t i = 0; i < s->indexes->count && found == STATIC_FILES_NONE; i++) {
        found = find_one(s, dir, path, s->indexes->values[i].text, p);
        if (found == STATIC_FILES_FOLDER)
            found = STATIC_FILES_NONE;
    }
    return found;
}

static enum static_files_found find_in(const struct static_files *s, int dir, const char *path,
                                       struct place *p)
{
    struct usher_text none = { NULL, 0 };

    return strcmp(path, ".") == 0 || path[strlen(path) - 1] == '/'
               ? find_index(s, dir, path, p)
               : find_one(s, dir, path, none, p);
}

/* In the root as it was when the settings were compiled; or, if that folder is gone since, in the
 * one that stands in its place. */
static enum static_files_found find(const struct static_files *s, const char *path, struct place *p)
{
    enum static_files_found found = find_in(s, s->dir, path, p);
    struct stat root;
    int dir;

    if (found != STATIC_FILES_NONE || fstat(s->dir, &root) != 0 || root.st_nlink > 0)
        return found;
    dir = static_files_open_root(s->allowed, s->root);
    if (dir < 0)
        return STATIC_FILES_NONE;
    found = find_in(s, dir, path, p);
    close(dir);
    return found;
}

/* The URL's path below `strip`; false: it is not below. */
static bool strip(const struct static_files *s, struct usher_text *path)
{
    size_t len = s->strip.len;

    if (len == 0)
        return true;
    if (path->len < len || memcmp(path->ptr, s->strip.ptr, len) != 0 ||
        (path->len > len && path->ptr[len] != '/'))
        return false;
    path->ptr += len;
    path->len -= len;
    return true;
}

/* --- answering --- */

static bool say(struct usher_exchange *x, const char *name, struct usher_text value)
{
    return usher_header_add(x, USHER_RESPONSE, text_of(name), value);
}

static enum usher_result reply_text(struct usher_exchange *x, uint32_t status, const char *text)
{
    return usher_reply(x, status, text_of(TEXT_PLAIN), text_of(text));
}

static enum usher_result refuse_method(struct usher_exchange *x)
{
    enum usher_result result = reply_text(x, 405, "only GET and HEAD\n");

    return result == USHER_ANSWERED && say(x, "Allow", text_of("GET, HEAD")) ? result : USHER_FAULT;
}

static struct usher_text type_of(const struct static_files *s, const char *path)
{
    struct usher_text extension = static_files_extension(text_of(path));
    const char *known;

    for (uint32_t i = 0; i < s->types->count; i++)
        if (static_files_same_extension(s->types->values[i].name, extension))
            return s->types->values[i].text;
    known = static_files_type(extension);
    return text_of(known != NULL ? known : "application/octet-stream");
}

/* A file's version, as its headers say it. */
struct version {
    char tag[48], date[STATIC_FILES_DATE];
    int64_t modified;
};

/* Appends the number in hexadecimal digits. */
static char *put_hex(char *to, uint64_t number)
{
    int digits = 1;

    while (digits < 16 && number >> 4 * digits != 0)
        digits++;
    while (digits-- > 0)
        *to++ = "0123456789abcdef"[number >> 4 * digits & 15];
    return to;
}

static void version_of(const struct stat *st, struct version *v)
{
    char *at = v->tag;

    v->modified = st->st_mtim.tv_sec > 0 ? st->st_mtim.tv_sec : 0;
    *at++ = '"';
    at = put_hex(at, (uint64_t)v->modified * 1000000000 + (uint64_t)st->st_mtim.tv_nsec);
    *at++ = '-';
    at = put_hex(at, (uint64_t)st->st_size);
    memcpy(at, "\"", 2);
    static_files_date(v->modified, v->date);
}

static bool say_version(struct usher_exchange *x, const struct static_files *s,
                        const struct version *v)
{
    return say(x, "ETag", text_of(v->tag)) && say(x, "Last-Modified", text_of(v->date)) &&
           (s->cache_control.ptr == NULL || say(x, "Cache-Control", s->cache_control));
}

/* Does one of the fields of that name list the version? */
static bool lists(struct usher_exchange *x, const char *name, const struct version *v, bool weak)
{
    struct usher_text list;

    for (uint32_t i = 0; (list = usher_header(x, USHER_REQUEST, text_of(name), i)).ptr != NULL; i++)
        if (static_files_tag_in(list, text_of(v->tag), weak))
            return true;
    return false;
}

static struct usher_text request_header(struct usher_exchange *x, const char *name)
{
    return usher_header(x, USHER_REQUEST, text_of(name), 0);
}

/* RFC 9110 13.2.2: 200, or 304 or 412. */
static uint32_t status_of(struct usher_exchange *x, const struct version *v)
{
    struct usher_text since;

    if (request_header(x, "If-Match").ptr != NULL) {
        if (!lists(x, "If-Match", v, false))
            return 412;
    } else if ((since = request_header(x, "If-Unmodified-Since")).ptr != NULL) {
        int64_t date = static_files_read_date(since);

        if (date >= 0 && v->modified > date)
            return 412;
    }
    if (request_header(x, "If-None-Match").ptr != NULL)
        return lists(x, "If-None-Match", v, true) ? 304 : 200;
    since = request_header(x, "If-Modified-Since");
    return since.ptr != NULL && v->modified <= static_files_read_date(since) ? 304 : 200;
}

static enum static_files_range range_of(struct usher_exchange *x, const struct version *v,
                                        uint64_t size, uint64_t *from, uint64_t *bytes)
{
    struct usher_text range = request_header(x, "Range"), if_range = request_header(x, "If-Range");

    *from = 0;
    *bytes = size;
    if (range.ptr == NULL || usher_method(x).len != 3 ||
        usher_header(x, USHER_REQUEST, text_of("Range"), 1).ptr != NULL)
        return STATIC_FILES_WHOLE;
    if (if_range.ptr != NULL && !static_files_same_version(if_range, text_of(v->tag), v->modified))
        return STATIC_FILES_WHOLE;
    return static_files_read_range(range, size, from, bytes);
}

static enum usher_result reply_part(struct usher_exchange *x, const struct static_files *s,
                                    const struct place *p, const struct version *v)
{
    uint64_t size = (uint64_t)p->st.st_size, from, bytes;
    char content_range[80];
    enum static_files_range range = range_of(x, v, size, &from, &bytes);
    enum usher_result result;

    if (range == STATIC_FILES_OUTSIDE) {
        close(p->fd);
        snprintf(content_range, sizeof(content_range), "bytes */%llu", (unsigned long long)size);
        result = reply_text(x, 416, "no such range\n");
    } else {
        if (range == STATIC_FILES_PART)
            snprintf(content_range, sizeof(content_range), "bytes %llu-%llu/%llu",
                     (unsigned long long)from, (unsigned long long)(from + bytes - 1),
                     (unsigned long long)size);
        result = usher_reply_file(x, range == STATIC_FILES_PART ? 206 : 200, p->fd, from, bytes);
        if (result == USHER_ANSWERED && (!say(x, "Content-Type", type_of(s, p->path)) ||
                                         !say(x, "Accept-Ranges", text_of("bytes"))))
            return USHER_FAULT;
    }
    if (result != USHER_ANSWERED || !say_version(x, s, v) ||
        (range != STATIC_FILES_WHOLE && !say(x, "Content-Range", text_of(content_range))))
        return USHER_FAULT;
    return result;
}

static enum usher_result serve(struct usher_exchange *x, const struct static_files *s,
                               const struct place *p)
{
    struct usher_text none = { NULL, 0 };
    struct version v;
    uint32_t status;

    version_of(&p->st, &v);
    status = status_of(x, &v);
    if (status == 200)
        return reply_part(x, s, p, &v);
    close(p->fd);
    if (status == 412)
        return reply_text(x, 412, "it is another version\n");
    return usher_reply(x, status, none, none) == USHER_ANSWERED && say_version(x, s, &v)
               ? USHER_ANSWERED
               : USHER_FAULT;
}

/* Relative links in its index are meant to be below it. */
static enum usher_result redirect_to_folder(struct usher_exchange *x)
{
    struct usher_text path = usher_raw_path(x), query = usher_query(x);
    char *url = usher_alloc(x, path.len + query.len + 3);

    if (url == NULL)
        return USHER_FAULT;
    if (path.len > 1 && (path.ptr[1] == '/' || path.ptr[1] == '\\')) /* it would name a host */
        return reply_text(x, 404, NOT_FOUND);
    snprintf(url, path.len + query.len + 3, "%.*s/%s%.*s", (int)path.len, path.ptr,
             query.ptr != NULL ? "?" : "", (int)query.len, query.ptr != NULL ? query.ptr : "");
    return usher_redirect(x, 301, text_of(url));
}

static enum usher_result not_here(struct usher_exchange *x, const struct static_files *s)
{
    struct usher_text none = { NULL, 0 };
    struct place p;

    if (s->fallthrough)
        return USHER_GO_ON;
    if (s->missing != NULL && find_one(s, s->dir, s->missing, none, &p) == STATIC_FILES_FILE)
        return serve(x, s, &p);
    return reply_text(x, 404, NOT_FOUND);
}

/* A folder without a `/` behind it. */
static enum usher_result answer_folder(struct usher_exchange *x, const struct static_files *s,
                                       const char *path)
{
    struct place p;

    if (!s->fallthrough)
        return redirect_to_folder(x);
    if (find_index(s, s->dir, path, &p) != STATIC_FILES_FILE)
        return USHER_GO_ON;
    close(p.fd);
    return redirect_to_folder(x);
}

static enum usher_result answer_broken(struct usher_exchange *x)
{
    char sentence[160];

    snprintf(sentence, sizeof(sentence), "cannot open the file: %s", strerror(errno));
    usher_log(x, USHER_LOG_WARN, sentence);
    return USHER_FAULT;
}

static bool is_read(struct usher_text method)
{
    return (method.len == 3 && memcmp(method.ptr, "GET", 3) == 0) ||
           (method.len == 4 && memcmp(method.ptr, "HEAD", 4) == 0);
}

static enum usher_result on_request(struct usher_exchange *x, const void *compiled)
{
    const struct static_files *s = compiled;
    struct usher_text url = usher_path(x);
    char path[STATIC_FILES_PATH_MAX];
    struct place p;

    if (!is_read(usher_method(x)))
        return s->fallthrough ? USHER_GO_ON : refuse_method(x);
    if (!strip(s, &url) || !static_files_path(url, s->dotfiles, path))
        return not_here(x, s);
    if (url.len == 0) /* all of it was stripped */
        return answer_folder(x, s, path);
    switch (find(s, path, &p)) {
    case STATIC_FILES_FILE:
        return serve(x, s, &p);
    case STATIC_FILES_FOLDER:
        return answer_folder(x, s, path);
    case STATIC_FILES_NONE:
        return not_here(x, s);
    case STATIC_FILES_FORBIDDEN:
        return reply_text(x, 403, "forbidden\n");
    case STATIC_FILES_BROKEN:
        break;
    }
    return answer_broken(x);
}

USHER_MODULE(static_files) = {
    USHER_MODULE_ABI,
    .name = "static_files",
    .version = "1.0",
    .summary = "answers with files of a folder",
    USHER_SETTINGS(settings),
    .compile = compile,
    .drop = drop,
    .on_request = on_request,
};
