/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_BODY_H
#define WST_LIB_HTTP_BODY_H
/* What a forwarder needs of bodies beyond the public interface. */
#include <wstunnel/http_body.h>

/*
 * As wst_http_body_walk, for who passes a body on: leaves out the trailer fields that may only
 * stand in a head (RFC 9110 section 6.5.1). Takes bytes up to one of those, up to its end, or all,
 * and says which of them to pass on: first `held`, the beginning of a name that came with earlier
 * bytes and could not be judged then (valid until the next call), then `run`, a part of `buf`;
 * either may be empty. Call again for the rest. `forbidden_trailer` is set only within a field that
 * is left out.
 */
WST_MUST_CHECK int wst__http_body_filter(wst_http_body_t *body, const char *buf, size_t len,
                                         wst_str_t *held, wst_str_t *run);

#endif
