/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_TEXT_H
#define WST_LIB_HTTP_TEXT_H
/* The small pieces of HTTP's grammar (RFC 9110 section 5.6) that parsers and writers share. */
#include <wstunnel/common.h>

/* Whether the byte may be part of a token: a method, a field name, a coding. */
bool wst__is_tchar(char c);

/* Whether the text is a token: one tchar or more. */
bool wst__is_token(wst_str_t text);

/* Whether the byte is a control character; HTAB is one too. */
bool wst__is_ctl(char c);

/* Whether all bytes are decimal digits; true for an empty text. */
bool wst__is_digits(wst_str_t text);

/* Whether two texts are equal, ignoring ASCII case. */
bool wst__same_text(wst_str_t a, wst_str_t b);

/* The text without spaces and tabs at either end. */
wst_str_t wst__trim(wst_str_t text);

/*
 * Takes the next element off a comma-separated list, trimmed; it may be empty. Start with the whole
 * value in *rest; false at the end. An empty value has one, empty element.
 */
bool wst__http_list_next(wst_str_t *rest, wst_str_t *element);

#endif
