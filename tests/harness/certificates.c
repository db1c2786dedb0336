/* certificates.c -- made by openssl's command line when a test needs them: none is kept.
 *
 * Owns:    nothing.
 * Thread:  the test's.
 * Used by: tests.
 * Not here: TLS. */
#include "harness/certificates.h"

#include <stdio.h>

static void run(const char *const argv[])
{
    char *out, *err;

    cr_assert_eq(process_run(argv, NULL, &out, &err), 0, "openssl: %s%s", out, err);
}

void certificates_authority(const char *dir)
{
    run((const char *[]){ "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                          "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                          "/CN=authority", "-keyout", kept_format("%s/ca.key", dir), "-out",
                          kept_format("%s/ca.pem", dir), NULL });
}

void certificates_sign(const char *dir, const char *name, const char *names)
{
    const char *request = kept_format("%s/%s.csr", dir, name);
    const char *more = kept_format("%s/%s.ext", dir, name);
    FILE *f = fopen(more, "w");

    fprintf(f, "subjectAltName=%s\n", names);
    fclose(f);
    run((const char *[]){ "openssl", "req", "-newkey", "ec", "-pkeyopt",
                          "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                          kept_format("/CN=%s", name), "-keyout",
                          kept_format("%s/%s.key", dir, name), "-out", request, NULL });
    run((const char *[]){ "openssl", "x509", "-req", "-in", request, "-CA",
                          kept_format("%s/ca.pem", dir), "-CAkey", kept_format("%s/ca.key", dir),
                          "-CAcreateserial", "-days", "2", "-extfile", more, "-out",
                          kept_format("%s/%s.pem", dir, name), NULL });
}
