/* q_php.c -- PHP without a web server between: php-fpm of this machine.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: make test.
 * Not here: what a responder could do wrong (q_fastcgi.c). */
#include "harness/php.h"
#include "harness/scene.h"

#include <stdio.h>

static struct php php;

static void begin(struct scene *s, unsigned children, const char *options)
{
    scene_start(s, .workers = 2, .without_edge = true);
    php_start(&php, s->dir, children);
    s->options.flags[0] = "--unix-endpoints";
    s->options.flags[1] = s->dir;
    scene_edge_start(s);
    scene_redis(s, "SET usher:host:a.test 'fcgi://%s root=%s %s'", php.at, php.root, options);
    scene_live(s);
}

static void end(struct scene *s)
{
    php_stop(&php);
    scene_end(s);
}

SCENARIO(php, a_script_sees_its_request)
{
    static struct scene s;
    struct response got;
    struct client *c;

    begin(&s, 2, "");
    php_script(&php, "index.php",
               "<?php foreach (['SCRIPT_FILENAME','SCRIPT_NAME','PHP_SELF','REQUEST_URI',"
               "'QUERY_STRING','DOCUMENT_ROOT','REQUEST_METHOD','CONTENT_LENGTH','CONTENT_TYPE',"
               "'PATH_INFO','HTTP_PROXY','REMOTE_ADDR'] as $n) "
               "echo $n,'=',$_SERVER[$n] ?? '-',\"\\n\"; print_r($_POST); print_r($_GET);");
    c = scene_open(&s);
    client_send(c, "POST /some/page?x=1 HTTP/1.1\r\nHost: a.test\r\nProxy: evil\r\nContent-Type: "
                   "application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\nkey=val");
    got = client_read(c);
    expect_status(got, 200);
    cr_assert(has(got.text, kept_format("SCRIPT_FILENAME=%s/index.php\n", php.root)), "%s",
              got.text);
    cr_assert(has(got.text, "SCRIPT_NAME=/index.php\nPHP_SELF=/index.php\n"));
    cr_assert(has(got.text, "REQUEST_URI=/some/page?x=1\nQUERY_STRING=x=1\n"));
    cr_assert(has(got.text, "REQUEST_METHOD=POST\nCONTENT_LENGTH=7\n"));
    cr_assert(has(got.text, "PATH_INFO=-\nHTTP_PROXY=-\nREMOTE_ADDR=127.0.0.1\n"));
    cr_assert(has(got.text, "[key] => val"));
    cr_assert(has(got.text, "[x] => 1"));
    end(&s);
}

SCENARIO(php, scripts_and_what_is_none)
{
    static struct scene s;
    struct response got;

    begin(&s, 2, "path_info");
    php_script(&php, "index.php", "<?php echo 'front';");
    php_script(&php, "sub/one.php", "<?php echo 'one ', $_SERVER['PATH_INFO'] ?? '-';");
    php_script(&php, "go.php", "<?php header('Location: /there');");
    php_script(&php, "gone.php", "<?php http_response_code(410); echo 'gone';");
    expect_get(&s, "a.test", "/", 200, "front");
    expect_get(&s, "a.test", "/a/b", 200, "front");
    expect_get(&s, "a.test", "/sub/one.php", 200, "one -");
    expect_get(&s, "a.test", "/sub/one.php/more/of%20it", 200, "one /more/of it");
    expect_get(&s, "a.test", "/gone.php", 410, "gone");
    got = scene_get(&s, "a.test", "/go.php");
    expect_status(got, 302);
    cr_assert_str_eq(response_field(&got, "Location"), "/there");
    expect_get(&s, "a.test", "/none.php", 404, NULL);
    cr_assert(eventually(
        scene_logged(&s, "endpoint_says host=\"a.test\" says=\"Primary script unknown\"") == 1,
        AWAIT_MS));
    end(&s);
}

SCENARIO(php, large_bodies_both_ways)
{
    enum { BYTES = 1 << 20 };
    static char body[BYTES];
    static struct scene s;
    struct response got;
    struct client *c;

    begin(&s, 2, "");
    php_script(&php, "index.php",
               "<?php $b = file_get_contents('php://input'); echo $b, $b, $b, $b;");
    pattern_fill(body, BYTES, 0);
    c = scene_open(&s);
    client_sendf(c, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: %d\r\n\r\n", BYTES);
    cr_assert(client_send_bytes(c, body, BYTES));
    got = client_read(c);
    expect_status(got, 200);
    cr_assert_eq(got.body.bytes, 4 * BYTES);
    cr_assert(got.body.whole);
    cr_assert_eq(memcmp(got.text, body, BODY_KEPT - 1), 0);
    client_send(c, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    cr_assert_str_eq(client_read(c).text, "abcdeabcdeabcdeabcde");
    end(&s);
}

/* Two processes, as many kept connections as each worker likes: whoever kept them would starve the rest. */
SCENARIO(php, few_processes_serve_many_clients)
{
    static struct scene s;
    struct client *c[8];

    begin(&s, 2, "");
    php_script(&php, "index.php", "<?php usleep(20000); echo 'done';");
    for (unsigned i = 0; i < 8; i++)
        c[i] = scene_open(&s);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 8; i++)
            client_send(c[i], "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
        for (unsigned i = 0; i < 8; i++)
            cr_assert_str_eq(client_read(c[i]).text, "done");
    }
    end(&s);
}

SCENARIO(php, kept_connections_serve_on_until_it_ends)
{
    static struct scene s;

    begin(&s, 4, "keep");
    php_script(&php, "index.php", "<?php echo getmypid();");
    for (unsigned i = 0; i < 20; i++)
        expect_get(&s, "a.test", "/", 200, NULL);
    cr_assert_gt(scene_metric(&s, "usher_upstream_reuses_total"), 0);
    php_stop(&php);
    await_fault(&s, "a.test", "connect_failed");
    scene_end(&s);
}
