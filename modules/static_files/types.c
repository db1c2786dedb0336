/* types.c -- the well-known extensions; settings may say others. */
#include "types.h"

#include <string.h>
#include <strings.h>

#define TEXT "; charset=utf-8"

/* Sorted by extension. */
static const char *const types[][2] = {
    { "7z", "application/x-7z-compressed" },
    { "aac", "audio/aac" },
    { "apng", "image/apng" },
    { "atom", "application/atom+xml" },
    { "avif", "image/avif" },
    { "bmp", "image/bmp" },
    { "br", "application/x-brotli" },
    { "bz2", "application/x-bzip2" },
    { "css", "text/css" TEXT },
    { "csv", "text/csv" TEXT },
    { "deb", "application/vnd.debian.binary-package" },
    { "doc", "application/msword" },
    { "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
    { "eot", "application/vnd.ms-fontobject" },
    { "epub", "application/epub+zip" },
    { "flac", "audio/flac" },
    { "geojson", "application/geo+json" },
    { "gif", "image/gif" },
    { "gz", "application/gzip" },
    { "htm", "text/html" TEXT },
    { "html", "text/html" TEXT },
    { "ico", "image/vnd.microsoft.icon" },
    { "ics", "text/calendar" TEXT },
    { "jar", "application/java-archive" },
    { "jpeg", "image/jpeg" },
    { "jpg", "image/jpeg" },
    { "js", "text/javascript" TEXT },
    { "json", "application/json" },
    { "jsonld", "application/ld+json" },
    { "jxl", "image/jxl" },
    { "log", "text/plain" TEXT },
    { "m3u8", "application/vnd.apple.mpegurl" },
    { "m4a", "audio/mp4" },
    { "m4v", "video/mp4" },
    { "map", "application/json" },
    { "md", "text/markdown" TEXT },
    { "mjs", "text/javascript" TEXT },
    { "mkv", "video/matroska" },
    { "mov", "video/quicktime" },
    { "mp3", "audio/mpeg" },
    { "mp4", "video/mp4" },
    { "mpd", "application/dash+xml" },
    { "odt", "application/vnd.oasis.opendocument.text" },
    { "oga", "audio/ogg" },
    { "ogg", "audio/ogg" },
    { "ogv", "video/ogg" },
    { "opus", "audio/ogg" },
    { "otf", "font/otf" },
    { "pdf", "application/pdf" },
    { "png", "image/png" },
    { "ppt", "application/vnd.ms-powerpoint" },
    { "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
    { "rss", "application/rss+xml" },
    { "rtf", "application/rtf" },
    { "svg", "image/svg+xml" },
    { "tar", "application/x-tar" },
    { "tif", "image/tiff" },
    { "tiff", "image/tiff" },
    { "ts", "video/mp2t" },
    { "ttf", "font/ttf" },
    { "txt", "text/plain" TEXT },
    { "vtt", "text/vtt" TEXT },
    { "wasm", "application/wasm" },
    { "wav", "audio/wav" },
    { "weba", "audio/webm" },
    { "webm", "video/webm" },
    { "webmanifest", "application/manifest+json" },
    { "webp", "image/webp" },
    { "woff", "font/woff" },
    { "woff2", "font/woff2" },
    { "xhtml", "application/xhtml+xml" },
    { "xls", "application/vnd.ms-excel" },
    { "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
    { "xml", "application/xml" },
    { "xz", "application/x-xz" },
    { "yaml", "application/yaml" },
    { "yml", "application/yaml" },
    { "zip", "application/zip" },
    { "zst", "application/zstd" },
};

#define TYPES (sizeof(types) / sizeof(types[0]))

struct usher_text static_files_extension(struct usher_text path)
{
    for (size_t at = path.len; at > 0 && path.ptr[at - 1] != '/'; at--)
        if (path.ptr[at - 1] == '.')
            return (struct usher_text){ path.ptr + at, path.len - at };
    return (struct usher_text){ "", 0 };
}

bool static_files_same_extension(struct usher_text a, struct usher_text b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

static int compare(struct usher_text extension, const char *name)
{
    int order = strncasecmp(extension.ptr, name, extension.len);

    return order != 0 || name[extension.len] == '\0' ? order : -1;
}

const char *static_files_type(struct usher_text extension)
{
    size_t least = 0, most = TYPES;

    while (least < most) {
        size_t middle = (least + most) / 2;
        int order = compare(extension, types[middle][0]);

        if (order == 0)
            return types[middle][1];
        if (order < 0)
            most = middle;
        else
            least = middle + 1;
    }
    return NULL;
}
