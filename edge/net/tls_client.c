/* tls_client.c -- a TLS session of ours, by mbedTLS.
 *
 * An address instead of a name is not sent as SNI (RFC 6066 3), so the library cannot check it while
 * it shakes hands: it is checked right after, before a byte of ours is sent.
 *
 * Owns:    the session, its certificates and key.
 * Thread:  one loop's, or a verb's.
 * Used by: store/redis_tls.c.
 * Not here: the descriptor and when it is ready. */
#include "net/tls_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/check.h"

#define SYSTEM_CA "/etc/ssl/certs/ca-certificates.crt"

struct tls_client {
    int fd;
    mbedtls_ssl_config config;
    mbedtls_ssl_context session;
    mbedtls_x509_crt ca, own;
    mbedtls_pk_context key;
    bool verify, shaken, has_read, over, waits_to_read;
    char address[INET6_ADDRSTRLEN]; /* to be checked by ourselves; "" = none */
    size_t unfinished;              /* of the last write */
    char error[TLS_CLIENT_ERROR_SIZE];
};

/* --- the descriptor --- */

static int send_bytes(void *owner, const unsigned char *bytes, size_t len)
{
    struct tls_client *t = owner;
    ssize_t n = send(t->fd, bytes, len, MSG_NOSIGNAL);

    if (n >= 0)
        return (int)n;
    return errno == EAGAIN || errno == EINTR ? MBEDTLS_ERR_SSL_WANT_WRITE
                                             : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int receive_bytes(void *owner, unsigned char *to, size_t size)
{
    struct tls_client *t = owner;
    ssize_t n = recv(t->fd, to, size, 0);

    if (n > 0)
        return (int)n;
    if (n == 0)
        return MBEDTLS_ERR_SSL_CONN_EOF;
    if (errno == EAGAIN || errno == EINTR)
        return MBEDTLS_ERR_SSL_WANT_READ;
    return MBEDTLS_ERR_SSL_CONN_EOF;
}

/* --- why not --- */

static const char *said_by_certificate(const struct tls_client *t)
{
    static const struct {
        uint32_t flag;
        const char *says;
    } rows[] = {
        { MBEDTLS_X509_BADCERT_NOT_TRUSTED, "its certificate is not signed by one of --redis-ca" },
        { MBEDTLS_X509_BADCERT_CN_MISMATCH, "its certificate is for another name" },
        { MBEDTLS_X509_BADCERT_EXPIRED, "its certificate has run out" },
        { MBEDTLS_X509_BADCERT_FUTURE, "its certificate is not valid yet" },
    };
    uint32_t flags = mbedtls_ssl_get_verify_result(&t->session);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (flags != UINT32_MAX && (flags & rows[i].flag) != 0)
            return rows[i].says;
    return "its certificate is not to be trusted";
}

static const char *said_by_alert(const struct tls_client *t)
{
    /* RFC 8446 6.2: what a server says about a client certificate that is missing or wrong */
    switch (t->session.MBEDTLS_PRIVATE(in_msg) != NULL ? t->session.MBEDTLS_PRIVATE(in_msg)[1]
                                                       : 0) {
    case MBEDTLS_SSL_ALERT_MSG_CERT_REQUIRED:
        return "it requires a client certificate (--redis-cert)";
    case MBEDTLS_SSL_ALERT_MSG_NO_CERT:
    case MBEDTLS_SSL_ALERT_MSG_BAD_CERT:
    case MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT:
    case MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED:
    case MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED:
    case MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN:
    case MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA:
    case MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED:
        return "it does not take our client certificate (--redis-cert)";
    case MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE:
        return "it refuses the handshake (no client certificate, or no cipher in common)";
    default:
        return "it ended the session with an alert";
    }
}

static ssize_t end(struct tls_client *t, int code)
{
    char text[100];

    t->over = true;
    if (code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED)
        snprintf(t->error, sizeof(t->error), "TLS: %s", said_by_certificate(t));
    else if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
        snprintf(t->error, sizeof(t->error), "TLS: %s", said_by_alert(t));
    else if (code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || code == MBEDTLS_ERR_SSL_CONN_EOF)
        snprintf(t->error, sizeof(t->error), "%s",
                 t->has_read ? "closed by Redis"
                 : t->shaken
                     ? "TLS: it closed behind the handshake, as those do that want a client "
                       "certificate (--redis-cert)"
                     : "TLS: it closed during the handshake");
    else if (code == MBEDTLS_ERR_SSL_INVALID_RECORD)
        snprintf(t->error, sizeof(t->error), "TLS: it does not speak TLS");
    else {
        mbedtls_strerror(code, text, sizeof(text));
        snprintf(t->error, sizeof(t->error), "TLS: %s", text);
    }
    return -1;
}

static bool complain(char *error, const char *what, const char *path, int code)
{
    char text[128];

    mbedtls_strerror(code, text, sizeof(text));
    snprintf(error, TLS_CLIENT_ERROR_SIZE, "%s %.50s: %.50s", what, path,
             code == MBEDTLS_ERR_X509_FILE_IO_ERROR || code == MBEDTLS_ERR_PK_FILE_IO_ERROR
                 ? strerror(errno)
                 : text);
    return false;
}

/* --- setting up --- */

static bool read_certificate(mbedtls_x509_crt *to, const char *what, const char *path, char *error)
{
    int code;

    errno = 0;
    code = mbedtls_x509_crt_parse_file(to, path);
    /* More than 0: so many in a bundle are of a kind unknown here, the others are taken. */
    if (code < 0 || to->version == 0)
        return complain(error, what, path, code < 0 ? code : MBEDTLS_ERR_X509_INVALID_FORMAT);
    return true;
}

static bool read_own(struct tls_client *t, const struct tls_client_options *o, char *error)
{
    const char *key = o->key[0] != '\0' ? o->key : o->cert;
    int code;

    if (o->cert[0] == '\0')
        return true;
    if (!read_certificate(&t->own, "--redis-cert", o->cert, error))
        return false;
    errno = 0;
    code = mbedtls_pk_parse_keyfile(&t->key, key, NULL, mbedtls_psa_get_random,
                                    MBEDTLS_PSA_RANDOM_STATE);
    if (code == 0)
        code = mbedtls_pk_check_pair(&t->own.pk, &t->key, mbedtls_psa_get_random,
                                     MBEDTLS_PSA_RANDOM_STATE);
    if (code == 0)
        code = mbedtls_ssl_conf_own_cert(&t->config, &t->own, &t->key);
    return code == 0 || complain(error, "--redis-key", key, code);
}

static bool is_address(const char *name)
{
    struct in6_addr a;

    return inet_pton(AF_INET, name, &a) == 1 || inet_pton(AF_INET6, name, &a) == 1;
}

static bool configure(struct tls_client *t, const struct tls_client_options *o, char *error)
{
    const char *ca = o->ca[0] != '\0' ? o->ca : SYSTEM_CA;

    if (psa_crypto_init() != PSA_SUCCESS ||
        mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        snprintf(error, TLS_CLIENT_ERROR_SIZE, "TLS: the library does not start");
        return false;
    }
    mbedtls_ssl_conf_rng(&t->config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_authmode(&t->config,
                              o->verify ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    if (o->verify && !read_certificate(&t->ca, "--redis-ca", ca, error))
        return false;
    if (o->verify)
        mbedtls_ssl_conf_ca_chain(&t->config, &t->ca, NULL);
    return read_own(t, o, error);
}

static bool set_up(struct tls_client *t, const struct tls_client_options *o, char *error)
{
    bool address = is_address(o->name);
    int code;

    if (!configure(t, o, error))
        return false;
    if (address && o->verify)
        snprintf(t->address, sizeof(t->address), "%s", o->name);
    code = mbedtls_ssl_setup(&t->session, &t->config);
    if (code == 0)
        code =
            mbedtls_ssl_set_hostname(&t->session, address || o->name[0] == '\0' ? NULL : o->name);
    if (code != 0)
        return complain(error, "TLS for", o->name, code);
    mbedtls_ssl_set_bio(&t->session, t, send_bytes, receive_bytes, NULL);
    return true;
}

struct tls_client *tls_client_open(int fd, const struct tls_client_options *o,
                                   char error[TLS_CLIENT_ERROR_SIZE])
{
    struct tls_client *t = check_alloc(sizeof(*t));

    t->fd = fd;
    t->verify = o->verify;
    mbedtls_ssl_config_init(&t->config);
    mbedtls_ssl_init(&t->session);
    mbedtls_x509_crt_init(&t->ca);
    mbedtls_x509_crt_init(&t->own);
    mbedtls_pk_init(&t->key);
    if (set_up(t, o, error))
        return t;
    t->over = true;
    tls_client_free(t);
    return NULL;
}

void tls_client_free(struct tls_client *t)
{
    if (t->shaken && !t->over)
        mbedtls_ssl_close_notify(&t->session);
    mbedtls_ssl_free(&t->session);
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->ca);
    mbedtls_x509_crt_free(&t->own);
    mbedtls_pk_free(&t->key);
    free(t);
}

/* --- bytes --- */

static bool address_fits(struct tls_client *t)
{
    /* The library keeps it as const, and checks it by a call that takes it as not const. */
    mbedtls_x509_crt *theirs =
        (mbedtls_x509_crt *)(uintptr_t)mbedtls_ssl_get_peer_cert(&t->session);
    uint32_t flags = 0;

    if (t->address[0] == '\0')
        return true;
    if (theirs != NULL &&
        mbedtls_x509_crt_verify(theirs, &t->ca, NULL, t->address, &flags, NULL, NULL) == 0)
        return true;
    snprintf(t->error, sizeof(t->error), "TLS: its certificate is not for %s", t->address);
    t->over = true;
    return false;
}

/* 1: the session stands; 0: not now; -1: over. */
static int shake(struct tls_client *t)
{
    int code;

    if (t->over)
        return -1;
    if (t->shaken)
        return 1;
    code = mbedtls_ssl_handshake(&t->session);
    t->waits_to_read = code == MBEDTLS_ERR_SSL_WANT_READ;
    if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE)
        return 0;
    if (code != 0)
        return (int)end(t, code);
    t->shaken = true;
    return address_fits(t) ? 1 : -1;
}

static bool is_for_later(int code)
{
    return code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE;
}

ssize_t tls_client_read(struct tls_client *t, char *to, size_t size)
{
    int code = shake(t);

    if (code <= 0)
        return code;
    do {
        code = mbedtls_ssl_read(&t->session, (unsigned char *)to, size);
    } while (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET);
    if (code > 0) {
        t->has_read = true;
        return code;
    }
    return is_for_later(code) ? 0 : end(t, code == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : code);
}

/* What the other side said before it closed tells more than that nothing can be written any more. */
static int last_word(struct tls_client *t, int code)
{
    unsigned char byte;
    int said = mbedtls_ssl_read(&t->session, &byte, 1);

    return said == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE ? said : code;
}

ssize_t tls_client_write(struct tls_client *t, const char *bytes, size_t len)
{
    int code = shake(t);

    if (code <= 0)
        return code;
    /* A record that is half sent is of this length, whatever was added to `bytes` meanwhile. */
    if (t->unfinished > 0)
        len = t->unfinished;
    code = mbedtls_ssl_write(&t->session, (const unsigned char *)bytes, len);
    t->unfinished = is_for_later(code) ? len : 0;
    if (code > 0)
        return code;
    return is_for_later(code) ? 0 : end(t, last_word(t, code));
}

bool tls_client_waits_to_read(const struct tls_client *t)
{
    return t->waits_to_read && !t->shaken && !t->over;
}

bool tls_client_has_unread(const struct tls_client *t)
{
    return t->shaken && !t->over && mbedtls_ssl_check_pending(&t->session) != 0;
}

const char *tls_client_error(const struct tls_client *t)
{
    return t->error[0] != '\0' ? t->error : "TLS: not now";
}
