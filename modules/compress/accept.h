/* accept.h -- what a client says of codings, and a response of its type. */
#ifndef COMPRESS_ACCEPT_H
#define COMPRESS_ACCEPT_H

#include "encoder.h"
#include "usher_module.h"

/* "zstd,br,gzip": the codings, the best first. False: another word, one twice, or none. */
bool compress_read_codings(struct usher_text list, enum compress_coding to[COMPRESS_CODINGS],
                           unsigned *count);

/* The client's favourite among `ours`, and among its favourites the first of them; NONE: none of ours is wanted, or less than
 * what is not compressed. `field`: Accept-Encoding, fields of one head joined by commas. */
enum compress_coding compress_choose(struct usher_text field, const enum compress_coding *ours,
                                     unsigned count);

/* Is the media type, without its parameters, one of text/(star),application/json? One star stands for any letters. */
bool compress_type_in(struct usher_text list, struct usher_text type);

/* Is `word` in a list such as "no-cache, no-transform", or "Origin, Accept-Encoding"? Parameters (=...) are passed over. */
bool compress_word_in(struct usher_text list, const char *word);

#endif
