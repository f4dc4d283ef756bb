/* SPDX-License-Identifier: MIT */
/*
 * Comparing and cutting borrowed text, as HTTP's grammar needs it. Independent of the locale: only
 * ASCII letters have case.
 */
#include "http_text.h"

#include <string.h>
#include <wstunnel/http.h>

static char fold_case(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool wst_str_eq(wst_str_t a, const char *b) {
    return strlen(b) == a.len && (a.len == 0 || memcmp(a.ptr, b, a.len) == 0);
}

bool wst__same_text(wst_str_t a, wst_str_t b) {
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (fold_case(a.ptr[i]) != fold_case(b.ptr[i]))
            return false;
    }
    return true;
}

bool wst_str_ieq(wst_str_t a, const char *b) {
    return wst__same_text(a, (wst_str_t){b, strlen(b)});
}

bool wst__is_tchar(char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool wst__is_token(wst_str_t text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!wst__is_tchar(text.ptr[i]))
            return false;
    }
    return text.len > 0;
}

bool wst__is_ctl(char c) {
    return (unsigned char)c < ' ' || c == 0x7f;
}

bool wst__is_digits(wst_str_t text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return true;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t';
}

wst_str_t wst__trim(wst_str_t text) {
    while (text.len > 0 && is_space(text.ptr[0])) {
        text.ptr++;
        text.len--;
    }
    while (text.len > 0 && is_space(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

bool wst__http_list_next(wst_str_t *rest, wst_str_t *element) {
    if (rest->ptr == NULL)
        return false;
    const char *comma = rest->len > 0 ? memchr(rest->ptr, ',', rest->len) : NULL;
    if (comma == NULL) {
        *element = wst__trim(*rest);
        *rest = (wst_str_t){0};
        return true;
    }
    size_t len = (size_t)(comma - rest->ptr);
    *element = wst__trim((wst_str_t){rest->ptr, len});
    *rest = (wst_str_t){comma + 1, rest->len - len - 1};
    return true;
}
