/* SPDX-License-Identifier: MIT */
/*
 * Challenges and credentials (http_auth.h). Commas separate challenges and also the parameters of a
 * challenge: a token behind a comma is the name of a parameter if "=" follows, else the scheme of
 * the next challenge.
 */
#include "http_auth.h"

#include "http_text.h"

#include <string.h>
#include <wstunnel/error.h>

static void advance(wst_str_t *rest, size_t n) {
    rest->ptr += n;
    rest->len -= n;
}

static bool starts_with(wst_str_t text, char c) {
    return text.len > 0 && text.ptr[0] == c;
}

static void skip_space(wst_str_t *rest) {
    while (starts_with(*rest, ' ') || starts_with(*rest, '\t'))
        advance(rest, 1);
}

/* Skips to the next element of a list, in which some may be empty. */
static void skip_commas(wst_str_t *rest) {
    for (skip_space(rest); starts_with(*rest, ','); skip_space(rest))
        advance(rest, 1);
}

/* Whether an element ends here. */
static bool at_end(wst_str_t rest) {
    skip_space(&rest);
    return rest.len == 0 || rest.ptr[0] == ',';
}

static wst_str_t take_token(wst_str_t *rest) {
    wst_str_t token = {rest->ptr, 0};
    while (token.len < rest->len && wst__is_tchar(rest->ptr[token.len]))
        token.len++;
    advance(rest, token.len);
    return token;
}

static bool is_token68(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~+/", c) != NULL);
}

/* False, and takes nothing, if `rest` does not start with a token68 or names a parameter. */
static bool take_token68(wst_str_t *rest, wst_str_t *out) {
    wst_str_t text = *rest;
    while (text.len > 0 && is_token68(text.ptr[0]))
        advance(&text, 1);
    if (text.ptr == rest->ptr)
        return false;
    while (starts_with(text, '='))
        advance(&text, 1);
    if (!at_end(text))
        return false;
    *out = (wst_str_t){rest->ptr, (size_t)(text.ptr - rest->ptr)};
    *rest = text;
    return true;
}

/* Takes a quoted-string (RFC 9110 section 5.6.4); `out` is the text between the quotes. */
static bool take_quoted(wst_str_t *rest, wst_str_t *out) {
    size_t n = 1;
    while (n < rest->len && rest->ptr[n] != '"')
        n += rest->ptr[n] == '\\' ? 2 : 1;
    if (n >= rest->len)
        return false;
    *out = (wst_str_t){rest->ptr + 1, n - 1};
    advance(rest, n + 1);
    return true;
}

typedef struct param {
    wst_str_t name, value;
    bool quoted;
} param_t;

/* 1; 0, and takes nothing, if no parameter follows; WST_EHTTP if it is malformed. */
static int take_param(wst_str_t *rest, param_t *out) {
    wst_str_t text = *rest;
    out->name = take_token(&text);
    skip_space(&text);
    if (out->name.len == 0 || !starts_with(text, '='))
        return 0;
    advance(&text, 1);
    skip_space(&text);
    out->quoted = starts_with(text, '"');
    if (!out->quoted)
        out->value = take_token(&text);
    if (out->quoted ? !take_quoted(&text, &out->value) : out->value.len == 0)
        return WST_EHTTP;
    if (!at_end(text))
        return WST_EHTTP;
    *rest = text;
    return 1;
}

/* Takes all parameters that follow, as one text. 0 or WST_EHTTP. */
static int take_params(wst_str_t *rest, wst_str_t *out) {
    wst_str_t text = *rest;
    param_t ignored;
    int status;
    out->ptr = text.ptr;
    if (!at_end(text) && take_param(&text, &ignored) != 1)
        return WST_EHTTP; /* neither a parameter nor a comma behind the scheme */
    do {
        *rest = text;
        skip_commas(&text);
        status = take_param(&text, &ignored);
    } while (status == 1);
    out->len = (size_t)(rest->ptr - out->ptr);
    return status;
}

int wst__auth_next(wst_str_t *rest, wst__auth_t *out) {
    skip_commas(rest);
    if (rest->len == 0)
        return 0;
    *out = (wst__auth_t){.scheme = take_token(rest)};
    if (out->scheme.len == 0)
        return WST_EHTTP;
    if (rest->len == 0 || rest->ptr[0] == ',')
        return 1;
    if (!starts_with(*rest, ' '))
        return WST_EHTTP;
    skip_space(rest);
    if (take_token68(rest, &out->token68))
        return 1;
    return take_params(rest, &out->params) == 0 ? 1 : WST_EHTTP;
}

int wst__auth_read(wst__auth_t *out, wst_str_t value) {
    wst__auth_t second;
    if (wst__auth_next(&value, out) != 1)
        return WST_EHTTP;
    return wst__auth_next(&value, &second) == 0 ? 0 : WST_EHTTP;
}

/* As wst__auth_param. */
static int find_param(const wst__auth_t *auth, const char *name, param_t *out) {
    wst_str_t rest = auth->params;
    param_t param;
    int found = 0;
    for (skip_commas(&rest); rest.len > 0; skip_commas(&rest)) {
        if (take_param(&rest, &param) != 1)
            return WST_EHTTP;
        if (!wst_str_ieq(param.name, name))
            continue;
        if (found != 0)
            return WST_EHTTP;
        *out = param;
        found = 1;
    }
    return found;
}

int wst__auth_param(const wst__auth_t *auth, const char *name, wst_str_t *value) {
    param_t param;
    int status = find_param(auth, name, &param);
    if (status == 1)
        *value = param.value;
    return status;
}

int wst__auth_param_copy(const wst__auth_t *auth, const char *name, char *out, size_t size) {
    param_t param = {.value = {0}};
    size_t len = 0;
    int status = find_param(auth, name, &param);
    for (size_t i = 0; i < param.value.len; i++) {
        if (param.quoted && param.value.ptr[i] == '\\')
            i++; /* take_quoted ensured that a character follows */
        if (len + 1 >= size)
            return WST_EHTTP;
        out[len++] = param.value.ptr[i];
    }
    out[len] = '\0';
    return status;
}

bool wst__auth_text(wst_str_t *out, const wst_http_head_t *head, const char *field,
                    const char *scheme) {
    const wst_http_header_t *h = wst_http_header(head, field, NULL);
    size_t len = strlen(scheme);
    if (h == NULL || wst_http_header(head, field, h) != NULL || h->value.len <= len ||
        h->value.ptr[len] != ' ' || !wst_str_ieq((wst_str_t){h->value.ptr, len}, scheme))
        return false;
    *out = (wst_str_t){h->value.ptr + len, h->value.len - len};
    skip_space(out);
    return true;
}
