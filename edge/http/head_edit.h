/* head_edit.h -- changes to the fields of a head that has been read. */
#ifndef HTTP_HEAD_EDIT_H
#define HTTP_HEAD_EDIT_H

#include "http/head.h"

/* Where the bytes of a head go that is changed: a copy with room behind it, in memory of the
 * owner's. What the head's fields pointed to before stays as it is. */
struct head_text {
    void *(*alloc)(void *owner, size_t bytes); /* NULL: no memory */
    void *owner;
    char *ptr; /* NULL: no copy yet */
    size_t len, room;
    size_t most; /* bytes of the head and all that is added */
    unsigned most_fields;
};

/* The head stands in the owner's memory from now on. */
bool head_edit_own(struct head *h, struct head_text *t);
/* One field more, at the end; it stays even if Connection names it. False: too many, too large, or no
 * memory. */
bool head_edit_add(struct head *h, struct head_text *t, struct str name, struct str value);
/* All fields of that name, in any case. */
void head_edit_remove(struct head *h, struct str name);
/* After the fields were changed by hand: finds those that have an id again. */
void head_edit_recount(struct head *h);

/* RFC 9110 5.1, 5.5: a token; and no control characters, nor white space at the ends. */
bool head_edit_name_is_right(struct str name);
bool head_edit_value_is_right(struct str value);
/* Is it ours, or the connection's, to say? Such fields are not to be changed. */
bool head_edit_is_ours(struct str name, bool response);

#endif
