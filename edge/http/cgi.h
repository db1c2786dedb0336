/* cgi.h -- requests and responses in the words of CGI/1.1 (RFC 3875), as FastCGI carries them. */
#ifndef HTTP_CGI_H
#define HTTP_CGI_H

#include "base/address.h"
#include "http/fastcgi.h"

/* Which script a path means, by its text alone: the edge does not see the responder's files. */
struct cgi_scripts {
    struct str root;  /* absolute, in normal form, "" for / : nothing that is run lies elsewhere */
    struct str index; /* below it, without the first '/': runs what does not end in ".php" */
    bool path_info;   /* what stands behind the first ".php/" is PATH_INFO */
};

struct cgi_script {
    struct str name;      /* begins with '/' */
    struct str path_info; /* len 0: none */
};

/* `path`: as an endpoint gets it. `scratch` holds path.len + scripts->index.len + 2 and keeps the result.
 * false: a path that could mean another file to the responder than it does here, since it
 * holds an encoded '/', a '\', a control octet, or dot segments. */
bool cgi_script_of(struct str path, const struct cgi_scripts *scripts, char *scratch,
                   struct cgi_script *script);
/* Does a segment of the path, as the client wrote it, mean ".." by escapes? No client that means well
 * writes that. */
bool cgi_climbs(struct str path);

struct cgi_request {
    const struct cgi_scripts *scripts;
    struct cgi_script script;
    struct str method;
    struct str path, query; /* as the client sent them; query.ptr NULL: none */
    unsigned minor;         /* of HTTP/1 */
    bool https;
    struct str server_name;
    struct str client_ip;
    const struct address *client, *server; /* server NULL: not known */
    /* The head that an HTTP endpoint would get: a first line, fields, an empty line. */
    struct str head;
};

/* All parameters but CONTENT_LENGTH. Fields that would be taken for another parameter (a name with
 * '_', Proxy) and those that belong to one connection stay behind. */
void cgi_params(struct fastcgi_writer *w, const struct cgi_request *r);
void cgi_param_length(struct fastcgi_writer *w, uint64_t bytes);

/* --- responses --- */

/* Where the head ends, empty line and all; 0: not yet. What is before `from` was looked at. */
size_t cgi_head_end(struct str bytes, size_t from);

/* The most that cgi_to_http adds to a head of so many bytes. */
#define CGI_HTTP_ROOM(bytes) (2 * (bytes) + 64)

/* Writes the head as that of HTTP/1.1, for a parser that reads it as strictly as any other: Status
 * becomes the first line, a Location without one is a 302. Returns the length; 0: it is no head. */
size_t cgi_to_http(struct str head, char *to);

#endif
