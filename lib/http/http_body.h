/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_BODY_H
#define WST_LIB_HTTP_BODY_H
/* Bodies for a forwarder, beyond the public interface. */
#include <wstunnel/http_body.h>

enum { WST__CHUNK_LINE_MAX = 2 * sizeof(size_t) + 2 };

/* What ends each chunk, and what ends the body behind the last one (RFC 9112 section 7.1). */
#define WST__CHUNK_END  "\r\n"
#define WST__CHUNKS_END "0\r\n\r\n"

/* Writes the line before a chunk of `len` bytes, which is not 0, as that would end the body.
 * Returns the line's length. */
size_t wst__http_chunk_line(char line[WST__CHUNK_LINE_MAX], size_t len);

/*
 * As wst_http_body_walk, for forwarding a body: drops the trailer fields that are allowed in a head
 * only (RFC 9110 section 6.5.1). Takes bytes up to such a field, up to its end, or all, and gives
 * those to pass on: first `held`, the beginning of a name that came with earlier bytes and was
 * undecided then (valid until the next call), then `run`, a part of `buf`; either may be empty.
 * Call again for the rest. `forbidden_trailer` is set only within a dropped field.
 */
WST_MUST_CHECK int wst__http_body_filter(wst_http_body_t *body, const char *buf, size_t len,
                                         wst_str_t *held, wst_str_t *run);

#endif
