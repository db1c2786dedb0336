/* tls_client.h -- our side of TLS over a descriptor that somebody else owns and watches.
 *
 * Never waits: whoever holds the descriptor calls again when it is ready. On a blocking descriptor
 * the calls wait as the descriptor does. */
#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_client;

struct tls_client_options {
    const char *ca, *cert, *key; /* PEM files; "" = the system's, none, in the file of `cert` */
    bool verify;                 /* that a CA signed for the name, and that it has not run out */
    const char *name;            /* a name, or an IP address, that the certificate must be for */
};

#define TLS_CLIENT_ERROR_SIZE 128

/* Reads the files anew, so that renewed ones are used. NULL: `error` names the file and says why.
 * `fd` is neither owned nor closed. */
struct tls_client *tls_client_open(int fd, const struct tls_client_options *o,
                                   char error[TLS_CLIENT_ERROR_SIZE]);
void tls_client_free(struct tls_client *t); /* says goodbye if that does not block */

/* The handshake is done on the way, by either. How many bytes; 0: not now, see
 * tls_client_waits_to_read; -1: over, tls_client_error says why. */
ssize_t tls_client_read(struct tls_client *t, char *to, size_t size);
/* After 0 call again with the same bytes in front. */
ssize_t tls_client_write(struct tls_client *t, const char *bytes, size_t len);

/* Nothing can be written before something was read: the handshake waits for the other side. */
bool tls_client_waits_to_read(const struct tls_client *t);
/* Bytes that are here, decrypted or whole, and need no readiness of the descriptor. */
bool tls_client_has_unread(const struct tls_client *t);
const char *tls_client_error(const struct tls_client *t);

#endif
