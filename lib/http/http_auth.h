/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_AUTH_H
#define WST_LIB_HTTP_AUTH_H
/*
 * The grammar of HTTP authentication (RFC 9110 section 11): challenges (WWW-Authenticate,
 * Proxy-Authenticate) and credentials (Authorization, Proxy-Authorization). Text is borrowed from
 * the field's value.
 */
#include <wstunnel/http.h>

/* A challenge, or credentials: a scheme with a token68 or with parameters. */
typedef struct wst__auth {
    wst_str_t scheme;  /* as sent; case does not matter */
    wst_str_t token68; /* .ptr NULL: none */
    wst_str_t params;  /* list of parameters; may be empty */
} wst__auth_t;

/*
 * Takes the next challenge off a field's value, a list; start with the value in *rest. 1: *out is
 * filled in; 0: no more; WST_EHTTP: the rest is malformed.
 */
int wst__auth_next(wst_str_t *rest, wst__auth_t *out);

/* Reads a value that is exactly one challenge or credentials. 0 or WST_EHTTP. */
int wst__auth_read(wst__auth_t *out, wst_str_t value);

/*
 * The value of a parameter, raw: without its quotes but with its escapes. 1: found; 0: not found;
 * WST_EHTTP: found twice (section 11.2).
 */
int wst__auth_param(const wst__auth_t *auth, const char *name, wst_str_t *value);

/*
 * The same with escapes resolved, copied into `size` bytes and terminated; "" if not found.
 * WST_EHTTP also if it is too long.
 */
int wst__auth_param_copy(const wst__auth_t *auth, const char *name, char *out, size_t size);

/*
 * The raw text behind the scheme in a field's credentials: an invented token is not always a
 * token68. False unless the field occurs exactly once, with that scheme.
 */
bool wst__auth_text(wst_str_t *out, const wst_http_head_t *head, const char *field,
                    const char *scheme);

#endif
