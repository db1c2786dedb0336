/* digest.c -- digests, HMACs, public-key signatures and base64, by mbedTLS.
 *
 * Owns:    nothing.
 * Thread:  any
 * Used by: proxy/module_calls.c; chains being compiled.
 * Not here: TLS (tls_client.c). */
#include "net/digest.h"

#include <mbedtls/asn1write.h>
#include <mbedtls/base64.h>
#include <mbedtls/ecdsa.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <stdlib.h>

#define PEM_MAX 16384
#define BASE64_BLOCK 64 /* letters at a time */

enum { HMAC, RSA, ECDSA };

/* In the order of enum usher_signature. */
static const struct signature_row {
    int how;
    mbedtls_md_type_t md;
    size_t half; /* ECDSA: bytes of r, and of s */
} rows[] = {
    { HMAC, MBEDTLS_MD_SHA256, 0 },   { HMAC, MBEDTLS_MD_SHA384, 0 },
    { HMAC, MBEDTLS_MD_SHA512, 0 },   { RSA, MBEDTLS_MD_SHA256, 0 },
    { RSA, MBEDTLS_MD_SHA384, 0 },    { RSA, MBEDTLS_MD_SHA512, 0 },
    { ECDSA, MBEDTLS_MD_SHA256, 32 }, { ECDSA, MBEDTLS_MD_SHA384, 48 },
};

static const unsigned char *octets(struct str s)
{
    return (const unsigned char *)(s.ptr != NULL ? s.ptr : "");
}

size_t digest_of(unsigned kind, struct str bytes, uint8_t to[64])
{
    static const mbedtls_md_type_t kinds[] = { MBEDTLS_MD_SHA1, MBEDTLS_MD_SHA256,
                                               MBEDTLS_MD_SHA384, MBEDTLS_MD_SHA512 };
    const mbedtls_md_info_t *md;

    if (kind >= sizeof(kinds) / sizeof(kinds[0]))
        return 0;
    md = mbedtls_md_info_from_type(kinds[kind]);
    if (md == NULL || mbedtls_md(md, octets(bytes), bytes.len, to) != 0)
        return 0;
    return mbedtls_md_get_size(md);
}

bool digest_equal(struct str a, struct str b)
{
    volatile unsigned char differs = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        differs |= (unsigned char)(a.ptr[i] ^ b.ptr[i]);
    return differs == 0;
}

static bool verify_hmac(const mbedtls_md_info_t *md, struct str key, struct str bytes,
                        struct str signature)
{
    unsigned char made[MBEDTLS_MD_MAX_SIZE];

    if (mbedtls_md_hmac(md, octets(key), key.len, octets(bytes), bytes.len, made) != 0)
        return false;
    return digest_equal(str_slice((char *)made, mbedtls_md_get_size(md)), signature);
}

/* PEM has to end with a NUL for the library, DER must not. */
static bool read_key(mbedtls_pk_context *pk, struct str key)
{
    unsigned char *copy;
    bool pem = key.len > 5 && memcmp(key.ptr, "-----", 5) == 0, good;

    if (key.len == 0 || key.len > PEM_MAX)
        return false;
    copy = malloc(key.len + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, key.ptr, key.len);
    copy[key.len] = '\0';
    good = mbedtls_pk_parse_public_key(pk, copy, key.len + (pem ? 1 : 0)) == 0;
    free(copy);
    return good;
}

/* r and s behind one another (RFC 7518 3.4), as the library wants them: a SEQUENCE of two INTEGERs. */
static size_t sequence_of(struct str signature, size_t half, unsigned char *to, size_t room,
                          unsigned char **from)
{
    unsigned char *at = to + room;
    mbedtls_mpi n;
    size_t len = 0;
    bool good = true;

    for (unsigned i = 2; i-- > 0;) {
        int wrote;

        mbedtls_mpi_init(&n);
        good = good && mbedtls_mpi_read_binary(&n, octets(signature) + i * half, half) == 0;
        wrote = good ? mbedtls_asn1_write_mpi(&at, to, &n) : -1;
        mbedtls_mpi_free(&n);
        good = good && wrote > 0;
        len += good ? (size_t)wrote : 0;
    }
    if (good) {
        len += (size_t)mbedtls_asn1_write_len(&at, to, len);
        len += (size_t)mbedtls_asn1_write_tag(&at, to,
                                              MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE);
    }
    *from = at;
    return good ? len : 0;
}

static bool verify_public(const struct signature_row *row, struct str key, struct str bytes,
                          struct str signature)
{
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(row->md);
    unsigned char digest[MBEDTLS_MD_MAX_SIZE], room[160], *at = (unsigned char *)octets(signature);
    size_t len = signature.len;
    mbedtls_pk_context pk;
    bool good;

    mbedtls_pk_init(&pk);
    good = read_key(&pk, key) &&
           mbedtls_pk_can_do(&pk, row->how == RSA ? MBEDTLS_PK_RSA : MBEDTLS_PK_ECDSA) &&
           mbedtls_md(md, octets(bytes), bytes.len, digest) == 0;
    if (good && row->how == ECDSA) {
        good = signature.len == 2 * row->half && mbedtls_pk_get_bitlen(&pk) == row->half * 8;
        len = good ? sequence_of(signature, row->half, room, sizeof(room), &at) : 0;
        good = len > 0;
    }
    good = good && mbedtls_pk_verify(&pk, row->md, digest, mbedtls_md_get_size(md), at, len) == 0;
    mbedtls_pk_free(&pk);
    return good;
}

bool digest_verify(unsigned kind, struct str key, struct str bytes, struct str signature)
{
    const struct signature_row *row;

    if (kind >= sizeof(rows) / sizeof(rows[0]))
        return false;
    row = &rows[kind];
    return row->how == HMAC ? verify_hmac(mbedtls_md_info_from_type(row->md), key, bytes, signature)
                            : verify_public(row, key, bytes, signature);
}

/* --- base64 --- */

/* In the standard alphabet; 0: in neither the one nor the other. */
static unsigned char standard_letter(char c, bool url)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return (unsigned char)c;
    if (url)
        return c == '-' ? '+' : c == '_' ? '/' : 0;
    return c == '+' || c == '/' ? (unsigned char)c : 0;
}

/* The library passes over spaces: it is given letters alone. It also passes over bits that say nothing at the end, where a
 * block is not whole: so what came is written again. */
static bool decode_block(struct str text, bool url, uint8_t *to, size_t room, size_t *len)
{
    unsigned char letters[BASE64_BLOCK], again[BASE64_BLOCK + 1];
    size_t count = 0, wrote;

    while (count < text.len) {
        letters[count] = standard_letter(text.ptr[count], url);
        if (letters[count++] == 0)
            return false;
    }
    while (count % 4 != 0)
        letters[count++] = '=';
    if (mbedtls_base64_decode(to, room, len, letters, count) != 0)
        return false;
    return text.len % 4 == 0 ||
           (mbedtls_base64_encode(again, sizeof(again), &wrote, to, *len) == 0 && wrote == count &&
            memcmp(again, letters, count) == 0);
}

size_t base64_decode(struct str text, bool url, uint8_t *to, size_t room)
{
    size_t all = 0, len, step;

    if (!url) {
        if (text.len % 4 != 0)
            return SIZE_MAX;
        for (unsigned i = 0; i < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; i++)
            text.len--;
    }
    for (size_t at = 0; at < text.len; at += step, all += len) {
        step = text.len - at < BASE64_BLOCK ? text.len - at : BASE64_BLOCK;
        if (!decode_block(str_slice(text.ptr + at, step), url, to + all, room - all, &len))
            return SIZE_MAX;
    }
    return all;
}
