/* SPDX-License-Identifier: MIT */
/* URLs of proxies (RFC 3986), as people write them into options and environment variables. */
#include "proxy_url.h"
#include "http_text.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

static const struct scheme {
    const char *name;
    wst__proxy_kind_t kind;
    uint16_t port;
} schemes[] = {{"http", WST__PROXY_HTTP, 80},
               {"https", WST__PROXY_HTTPS, 443},
               {"socks5", WST__PROXY_SOCKS5, 1080},
               {"socks5h", WST__PROXY_SOCKS5, 1080}};

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Copies part of a credential, percent-decoded if `encoded`. NULL or an error text. */
static const char *copy_credential(char out[WST__PROXY_CREDENTIAL_MAX], wst_str_t text,
                                   bool encoded) {
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && encoded) {
            int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;
            if (low < 0)
                return "% without two hexadecimal digits in the user or password";
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (wst__is_ctl(c))
            return "control character in the user or password";
        if (len == WST__PROXY_CREDENTIAL_MAX - 1)
            return "user or password longer than 255 bytes";
        out[len++] = c;
    }
    out[len] = '\0';
    return NULL;
}

/* Reads "user[:password]". NULL or an error text. */
static const char *read_credentials(wst__proxy_url_t *u, wst_str_t text, bool encoded) {
    const char *colon = text.len > 0 ? memchr(text.ptr, ':', text.len) : NULL;
    wst_str_t user = {text.ptr, colon != NULL ? (size_t)(colon - text.ptr) : text.len};
    wst_str_t password = {"", 0};
    if (colon != NULL)
        password = (wst_str_t){colon + 1, text.len - user.len - 1};
    const char *wrong = copy_credential(u->user, user, encoded);
    if (wrong == NULL)
        wrong = copy_credential(u->password, password, encoded);
    if (wrong != NULL)
        return wrong;
    u->has_credentials = true;
    if (u->kind != WST__PROXY_SOCKS5)
        return strchr(u->user, ':') == NULL ? NULL : "colon in the user name"; /* RFC 7617 */
    if (u->user[0] == '\0' || u->password[0] == '\0')                          /* RFC 1929 */
        return "SOCKS5 has neither empty user names nor empty passwords";
    return NULL;
}

/* Splits off the scheme. NULL or an error text. */
static const char *read_scheme(const struct scheme **scheme, const char **rest, const char *url) {
    const char *mark = strstr(url, "://");
    *scheme = &schemes[0];
    *rest = url;
    if (mark == NULL)
        return NULL;
    *rest = mark + 3;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        *scheme = &schemes[i];
        if (wst_str_ieq((wst_str_t){url, (size_t)(mark - url)}, schemes[i].name))
            return NULL;
    }
    return "the scheme must be http, https, socks5 or socks5h";
}

static const char *parse(wst__proxy_url_t *u, const char *url, const char *credentials) {
    const struct scheme *scheme;
    const char *rest, *wrong = read_scheme(&scheme, &rest, url);
    if (wrong != NULL)
        return wrong;
    u->kind = scheme->kind;
    /* Up to the last @, since people write passwords unencoded, also with a / or ? in them. */
    const char *at = strrchr(rest, '@');
    wst_str_t userinfo = {rest, at != NULL ? (size_t)(at - rest) : 0};
    if (at != NULL)
        rest = at + 1;
    wst_str_t authority = {rest, strcspn(rest, "/?#")};
    const char *path = rest + authority.len;
    if (path[0] != '\0' && strcmp(path, "/") != 0)
        return "the URL of a proxy has no path";
    wst_authority_t a;
    if (wst__url_authority(&a, authority, scheme->port, &wrong) != 0)
        return wrong;
    snprintf(u->host, sizeof(u->host), "%.*s", (int)a.host.len, a.host.ptr);
    u->port = a.port;
    snprintf(u->name, sizeof(u->name), a.ipv6 ? "[%s]:%u" : "%s:%u", u->host, u->port);
    if (credentials != NULL) {
        if (strchr(credentials, ':') == NULL)
            return "the credentials are not user:password";
        return read_credentials(u, (wst_str_t){credentials, strlen(credentials)}, false);
    }
    return at != NULL ? read_credentials(u, userinfo, true) : NULL;
}

int wst__proxy_url_parse(wst__proxy_url_t *out, const char *url, const char *credentials,
                         const char **why) {
    wst__proxy_url_t u = {0};
    const char *wrong = parse(&u, url, credentials);
    if (wrong != NULL) {
        *why = wrong;
        return WST_EINVAL;
    }
    *out = u;
    return 0;
}
