/* access_line.h -- what is written down of one exchange: its access-log line, its fault line. */
#ifndef PROXY_ACCESS_LINE_H
#define PROXY_ACCESS_LINE_H

struct exchange;
struct tunnel;
struct worker;

void access_line_write(struct exchange *x); /* nothing when the access log is off */
/* A tunnel's line is written when it ends; what its exchange knows of it is kept until then. */
void access_line_keep(struct exchange *x, struct tunnel *t);
void access_line_write_tunnel(struct worker *w, const struct tunnel *t);
void access_line_fault(struct exchange *x); /* bounded per second */
void access_line_flush(struct worker *w);   /* hands the turn's lines to the writer */

#endif
