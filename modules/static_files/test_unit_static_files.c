/* test_unit_static_files.c -- dates, versions, ranges, types and paths; and what settings are refused. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "modules/static_files/conditions.h"
#include "modules/static_files/places.h"
#include "modules/static_files/types.h"
#include "settings.h"
#include "unit/modules/judged.h"

static struct usher_text t(const char *text)
{
    return usher_text(text);
}

Test(static_files, dates_of_all_three_forms)
{
    char text[STATIC_FILES_DATE];

    static_files_date(784111777, text);
    cr_expect_str_eq(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    cr_expect_eq(static_files_read_date(t("Sun, 06 Nov 1994 08:49:37 GMT")), 784111777);
    cr_expect_eq(static_files_read_date(t("Sunday, 06-Nov-94 08:49:37 GMT")), 784111777);
    cr_expect_eq(static_files_read_date(t("Sun Nov  6 08:49:37 1994")), 784111777);
    cr_expect_eq(static_files_read_date(t("Sun, 06 Nov 1994 08:49:37 GMT; x")), -1);
    cr_expect_eq(static_files_read_date(t("yesterday")), -1);
    cr_expect_eq(static_files_read_date(t("")), -1);
    cr_expect_eq(static_files_read_date(
                     t("Sun, 06 Nov 1994 08:49:37 GMT                                   ")),
                 -1);
}

Test(static_files, tags_are_found_in_lists)
{
    static const char *const with[] = { "\"a-1\"", "*", " \"x\", \"a-1\"", "\"x\",\"a-1\" ,\"y\"",
                                        "\"p,q\", \"a-1\"" };
    static const char *const without[] = { "",         "\"x\"",     "a-1",   "\"a-1",
                                           "\"a-1x\"", "x \"a-1\"", "W/a-1", "\"a-1 \"" };
    struct usher_text tag = t("\"a-1\"");

    for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
        cr_expect(static_files_tag_in(t(with[i]), tag, true), "%s", with[i]);
        cr_expect(static_files_tag_in(t(with[i]), tag, false), "%s", with[i]);
    }
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
        cr_expect_not(static_files_tag_in(t(without[i]), tag, true), "%s", without[i]);
    cr_expect(static_files_tag_in(t("\"x\", W/\"a-1\""), tag, true));
    cr_expect_not(static_files_tag_in(t("\"x\", W/\"a-1\""), tag, false));
}

static void expect_range(const char *range, uint64_t size, int kind, uint64_t from, uint64_t bytes)
{
    uint64_t f = 0, b = 0;
    int is = static_files_read_range(t(range), size, &f, &b);

    cr_expect_eq(is, kind, "%s of %llu: %d", range, (unsigned long long)size, is);
    if (kind == STATIC_FILES_PART)
        cr_expect(f == from && b == bytes, "%s: %llu, %llu", range, (unsigned long long)f,
                  (unsigned long long)b);
}

Test(static_files, ranges)
{
    static const char *const whole[] = { "bytes=0-1,3-4",
                                         "bytes=",
                                         "bytes=-",
                                         "bytes=5-4",
                                         "bytes=a-b",
                                         "bytes=1-2x",
                                         "bytes=1",
                                         "lines=1-2",
                                         "bytes 1-2",
                                         "bytes=--1",
                                         "bytes=0-99999999999999999999999",
                                         "bytes=99999999999999999999999-",
                                         "" };

    expect_range("bytes=0-0", 10, STATIC_FILES_PART, 0, 1);
    expect_range("bytes=2-5", 10, STATIC_FILES_PART, 2, 4);
    expect_range("Bytes=2-", 10, STATIC_FILES_PART, 2, 8);
    expect_range("bytes=2-99", 10, STATIC_FILES_PART, 2, 8);
    expect_range("bytes=-3", 10, STATIC_FILES_PART, 7, 3);
    expect_range("bytes=-99", 10, STATIC_FILES_PART, 0, 10);
    expect_range(" bytes= 9-9 ", 10, STATIC_FILES_PART, 9, 1);
    expect_range("bytes=10-", 10, STATIC_FILES_OUTSIDE, 0, 0);
    expect_range("bytes=-0", 10, STATIC_FILES_OUTSIDE, 0, 0);
    expect_range("bytes=0-", 0, STATIC_FILES_OUTSIDE, 0, 0);
    expect_range("bytes=-5", 0, STATIC_FILES_OUTSIDE, 0, 0);
    for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
        expect_range(whole[i], 10, STATIC_FILES_WHOLE, 0, 0);
}

Test(static_files, a_range_holds_for_one_version)
{
    cr_expect(static_files_same_version(t("\"a\""), t("\"a\""), 784111777));
    cr_expect_not(static_files_same_version(t("W/\"a\""), t("\"a\""), 784111777));
    cr_expect_not(static_files_same_version(t("\"b\""), t("\"a\""), 784111777));
    cr_expect(static_files_same_version(t("Sun, 06 Nov 1994 08:49:37 GMT"), t("\"a\""), 784111777));
    cr_expect_not(
        static_files_same_version(t("Sun, 06 Nov 1994 08:49:37 GMT"), t("\"a\""), 784111776));
    cr_expect_not(static_files_same_version(t("nonsense"), t("\"a\""), 784111777));
}

static const char *type_of(const char *path)
{
    return static_files_type(static_files_extension(t(path)));
}

Test(static_files, types_by_extension)
{
    cr_expect_str_eq(type_of("a/b.html"), "text/html; charset=utf-8");
    cr_expect_str_eq(type_of("a.min.JS"), "text/javascript; charset=utf-8");
    cr_expect_str_eq(type_of("7z/x.7z"), "application/x-7z-compressed");
    cr_expect_str_eq(type_of("x.zst"), "application/zstd");
    cr_expect_str_eq(type_of("x.woff"), "font/woff");
    cr_expect_str_eq(type_of("x.woff2"), "font/woff2");
    cr_expect_str_eq(type_of("x.ts"), "video/mp2t");
    cr_expect_null(type_of("a.html/b"));
    cr_expect_null(type_of("html"));
    cr_expect_null(type_of("a."));
    cr_expect_null(type_of("a.htmlx"));
    cr_expect_null(type_of("a.zzz"));
    cr_expect_null(type_of(""));
}

static void expect_path(const char *url, bool dotfiles, const char *path)
{
    char to[STATIC_FILES_PATH_MAX];
    bool good = static_files_path(t(url), dotfiles, to);

    if (path == NULL)
        cr_expect_not(good, "%s: %s", url, to);
    else
        cr_expect(good && strcmp(to, path) == 0, "%s: %s", url, good ? to : "refused");
}

Test(static_files, paths)
{
    char *long_one = malloc(STATIC_FILES_PATH_MAX + 2);

    expect_path("/", false, ".");
    expect_path("", false, ".");
    expect_path("/a/b.txt", false, "a/b.txt");
    expect_path("/a/", false, "a/");
    expect_path("//a", false, "a");
    expect_path("/a%20b%e4", false, "a b\xe4");
    expect_path("/a%2fb", false, NULL);
    expect_path("/a%00b", false, NULL);
    expect_path("/a%", false, NULL);
    expect_path("/a%zz", false, NULL);
    expect_path("/../a", false, NULL);
    expect_path("/a/..", true, NULL);
    expect_path("/a/%2e%2e/b", true, NULL);
    expect_path("/a/./b", true, NULL);
    expect_path("/.git/config", false, NULL);
    expect_path("/a/.env", false, NULL);
    expect_path("/a/%2eenv", false, NULL);
    expect_path("/a/.env", true, "a/.env");
    expect_path("/.well-known/x", false, ".well-known/x");
    expect_path("/.well-known/.x", false, NULL);
    expect_path("/a/.well-known/x", false, NULL);
    memset(long_one, 'a', STATIC_FILES_PATH_MAX + 1);
    long_one[0] = '/';
    long_one[STATIC_FILES_PATH_MAX + 1] = '\0';
    expect_path(long_one, false, NULL);
    free(long_one);
}

Test(static_files, what_an_operator_allows_may_be_a_folder_for_each_tenant)
{
    char to[STATIC_FILES_PATH_MAX];

    cr_assert(static_files_allowed("/srv/www", t("acme"), to));
    cr_expect_str_eq(to, "/srv/www");
    cr_assert(static_files_allowed("/srv/$tenant/www/$tenant", t("acme"), to));
    cr_expect_str_eq(to, "/srv/acme/www/acme");
    cr_expect_not(static_files_allowed("/srv/$tenant", (struct usher_text){ NULL, 0 }, to));
    cr_expect_not(static_files_allowed("/srv/$tenant", t(".."), to));
    cr_expect_not(static_files_allowed("/srv/$tenant", t("a/../.."), to));
    cr_expect_not(static_files_allowed("", t("acme"), to));
}

/* A folder with a file `inside`, a pipe, and links within and out; its path in `to`. */
static int begin_folder(char to[64])
{
    int dir, fd;

    snprintf(to, 64, "/tmp/usher-unit-XXXXXX");
    cr_assert_not_null(mkdtemp(to));
    dir = open(to, O_PATH | O_DIRECTORY);
    cr_assert_eq(mkdirat(dir, "root", 0700), 0);
    fd = openat(dir, "secret", O_CREAT | O_WRONLY, 0600);
    close(fd);
    fd = openat(dir, "root/inside", O_CREAT | O_WRONLY, 0600);
    close(fd);
    cr_assert_eq(mkfifoat(dir, "root/pipe", 0600), 0);
    cr_assert_eq(symlinkat("inside", dir, "root/within"), 0);
    cr_assert_eq(symlinkat("../secret", dir, "root/out"), 0);
    cr_assert_eq(symlinkat("/etc/passwd", dir, "root/far"), 0);
    cr_assert_eq(symlinkat("/proc/self/root/etc/passwd", dir, "root/magic"), 0);
    return dir;
}

static void end_folder(const char *path, int dir)
{
    static const char *const names[] = { "secret",   "root/inside", "root/pipe", "root/within",
                                         "root/out", "root/far",    "root/magic" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlinkat(dir, names[i], 0);
    unlinkat(dir, "root", AT_REMOVEDIR);
    close(dir);
    rmdir(path);
}

Test(static_files, no_path_and_no_link_leads_out)
{
    static const char *const outside[] = { "../secret", "/etc/passwd", "out", "far",
                                           "magic",     "pipe",        "no",  "inside/x" };
    char path[64];
    struct stat st;
    int dir = begin_folder(path), root = static_files_open_root(path, "root"), fd;

    cr_assert_geq(root, 0);
    cr_assert_eq(static_files_open(root, "inside", &fd, &st), STATIC_FILES_FILE);
    close(fd);
    cr_assert_eq(static_files_open(root, "within", &fd, &st), STATIC_FILES_FILE);
    close(fd);
    cr_expect_eq(static_files_open(root, ".", &fd, &st), STATIC_FILES_FOLDER);
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
        cr_expect_eq(static_files_open(root, outside[i], &fd, &st), STATIC_FILES_NONE, "%s",
                     outside[i]);
    close(root);
    cr_expect_eq(static_files_open_root(path, ".."), -1);
    cr_expect_eq(static_files_open_root(path, "root/../../x"), -1);
    cr_expect_eq(static_files_open_root(path, "/etc"), -1);
    cr_expect_eq(static_files_open_root(path, "secret"), -1);
    end_folder(path, dir);
}

Test(static_files, without_leave_of_the_operator_there_are_no_files)
{
    expect_refused("static_files(root=/etc)", "whose operator has not said where any may be");
    expect_refused("static_files", "setting root of static_files to be said");
    expect_refused("static_files(root=a strip=x)", "the beginning of a path");
    expect_refused("static_files(root=a index=a/b)", "a file's name, without /");
    expect_refused("static_files(root=a type x=)", "an extension and a media type");
    expect_refused("static_files(root=a max_age=5)", "setting max_age");
}
