/* library.h -- the version of hiredis, which only store/ knows. */
#ifndef STORE_LIBRARY_H
#define STORE_LIBRARY_H

const char *store_library_version(void);

#endif
