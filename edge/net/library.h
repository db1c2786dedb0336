/* library.h -- the versions of the libraries that only net/ knows. */
#ifndef NET_LIBRARY_H
#define NET_LIBRARY_H

const char *library_libuv_version(void);
const char *library_mbedtls_version(void);

#endif
