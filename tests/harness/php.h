/* php.h -- php-fpm of this machine, as a process of the test's own. */
#ifndef HARNESS_PHP_H
#define HARNESS_PHP_H

#include "harness/process.h"

struct php {
    struct process process;
    char root[128]; /* where scripts lie */
    char at[128];   /* "unix:/..." */
};

/* With so many processes, in a folder of its own below `dir`. Returns when it accepts. */
void php_start(struct php *p, const char *dir, unsigned children);
void php_script(struct php *p, const char *name, const char *text); /* "index.php", "a/b.php" */
void php_stop(struct php *p);

#endif
