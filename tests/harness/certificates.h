/* certificates.h -- a certificate authority of one scene, and what it has signed. */
#ifndef HARNESS_CERTIFICATES_H
#define HARNESS_CERTIFICATES_H

#include "harness/scene.h"

/* Makes DIR/ca.pem and DIR/ca.key. */
void certificates_authority(const char *dir);
/* Makes DIR/NAME.pem and DIR/NAME.key, signed by DIR's authority. `names`: "DNS:a,IP:127.0.0.1". */
void certificates_sign(const char *dir, const char *name, const char *names);

#endif
