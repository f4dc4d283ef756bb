/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HEAD_WRITER_H
#define WST_LIB_HEAD_WRITER_H
/*
 * Writes an HTTP/1.1 head into a buffer of fixed size. No text can break the head: a
 * control character in a value, or a head that outgrows the buffer, makes the writer fail, which
 * wst__head_end() reports.
 */
#include <wstunnel/common.h>

typedef struct wst__head_writer {
    char *buf;
    size_t cap, len;
    size_t elements; /* of the current list, written so far */
    int status;      /* 0, WST_EHEADBIG or WST_EINVAL */
} wst__head_writer_t;

void wst__head_init(wst__head_writer_t *w, char *buf, size_t cap);

/* "HTTP/1.1 200 OK"; the minor version is that of the request. */
void wst__head_response(wst__head_writer_t *w, int minor_version, int status, const char *reason);

/* "GET /path HTTP/1.1" */
void wst__head_request(wst__head_writer_t *w, const char *method, const char *target);

/* "Name: value", the value formatted. */
void wst__head_field(wst__head_writer_t *w, const char *name, const char *fmt, ...)
    WST_PRINTF(3, 4);

/* The same with parts of a parsed head. */
void wst__head_copy_response(wst__head_writer_t *w, int minor_version, int status,
                             wst_str_t reason);
/* The target is `root` and `rest` together. */
void wst__head_copy_request(wst__head_writer_t *w, wst_str_t method, const char *root,
                            wst_str_t rest);
void wst__head_copy_field(wst__head_writer_t *w, wst_str_t name, wst_str_t value);

/* "Name: one, two", element by element: start, any number of elements, end. Skips
 * empty elements. */
void wst__head_list(wst__head_writer_t *w, const char *name);
void wst__head_element(wst__head_writer_t *w, wst_str_t element);
void wst__head_list_end(wst__head_writer_t *w);

/* Fields given as complete lines, "Name: value\r\n" each; NULL: none. */
void wst__head_lines(wst__head_writer_t *w, const char *lines);

/* The empty line, and `body_len` bytes of body. Returns the length written, or an error. */
int wst__head_end(wst__head_writer_t *w, const char *body, size_t body_len);

#endif
