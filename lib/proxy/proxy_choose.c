/* SPDX-License-Identifier: MIT */
/*
 * Chooses a proxy by the environment. no_proxy has no specification: this follows the common rules
 * of curl, Go and Python and, where these differ, the rule that reaches more destinations directly.
 * A name covers its subdomains, with a dot in front or without.
 */
#include "http_text.h"
#include "ip.h"
#include "url.h"

#include <string.h>
#include <wstunnel/proxy_choose.h>

enum { V4_PREFIX = 96 };

/* The destination of the connection. */
typedef struct target {
    wst_str_t host; /* without a final dot */
    bool is_ip;
    wst__ip_t ip;
    uint16_t port;
} target_t;

static wst_str_t without_dot(wst_str_t name) {
    if (name.len > 0 && name.ptr[name.len - 1] == '.')
        name.len--;
    return name;
}

/* Whether the host is the domain or a subdomain. */
static bool within_domain(wst_str_t host, wst_str_t domain) {
    if (domain.len == 0 || host.len < domain.len)
        return false;
    wst_str_t tail = {host.ptr + host.len - domain.len, domain.len};
    return wst__same_text(tail, domain) && (host.len == domain.len || tail.ptr[-1] == '.');
}

static bool is_here(const target_t *t) {
    if (t->is_ip)
        return wst__ip_is_loopback(&t->ip);
    return within_domain(t->host, (wst_str_t){"localhost", 9}); /* RFC 6761 section 6.3 */
}

/* Reads a text that is a decimal number of at most `max`. */
static bool read_number(unsigned *out, wst_str_t text, unsigned max) {
    unsigned value = 0;
    if (text.len == 0 || text.len > 5 || !wst__is_digits(text))
        return false;
    for (size_t i = 0; i < text.len; i++)
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    *out = value;
    return value <= max;
}

/* "ADDRESS/BITS" */
static bool in_network(const target_t *t, wst_str_t address, wst_str_t bits) {
    wst__ip_t network;
    unsigned prefix;
    if (!t->is_ip || !wst__ip_parse(&network, address.ptr, address.len) ||
        wst__ip_is_v4(&network) != wst__ip_is_v4(&t->ip))
        return false;
    bool v4 = wst__ip_is_v4(&network);
    return read_number(&prefix, bits, v4 ? 32 : 128) &&
           wst__ip_within(&t->ip, &network, prefix + (v4 ? V4_PREFIX : 0));
}

/* Takes a port off the end, if there is one; a colon of an IPv6 address without brackets does not
 * start a port. Returns whether the target's port is that port, or any. */
static bool take_port(wst_str_t *text, uint16_t port) {
    size_t at = text->len;
    while (at > 0 && text->ptr[at - 1] != ':' && text->ptr[at - 1] != ']')
        at--;
    if (at == 0 || text->ptr[at - 1] == ']' ||
        (text->ptr[0] != '[' && memchr(text->ptr, ':', at - 1) != NULL))
        return true;
    unsigned number;
    bool same =
        read_number(&number, (wst_str_t){text->ptr + at, text->len - at}, 65535) && number == port;
    text->len = at - 1;
    return same;
}

/* Whether an element of no_proxy covers the target. */
static bool covers(wst_str_t text, const target_t *t) {
    if (wst_str_eq(text, "*"))
        return true;
    const char *slash = memchr(text.ptr, '/', text.len);
    if (slash != NULL)
        return in_network(t, (wst_str_t){text.ptr, (size_t)(slash - text.ptr)},
                          (wst_str_t){slash + 1, (size_t)(text.ptr + text.len - slash) - 1});
    if (!take_port(&text, t->port) || text.len == 0)
        return false;
    if (t->is_ip) {
        wst__ip_t ip;
        if (text.len >= 2 && text.ptr[0] == '[' && text.ptr[text.len - 1] == ']')
            text = (wst_str_t){text.ptr + 1, text.len - 2};
        return wst__ip_parse(&ip, text.ptr, text.len) && wst__ip_within(&ip, &t->ip, 128);
    }
    if (text.len >= 2 && text.ptr[0] == '*' && text.ptr[1] == '.')
        text = (wst_str_t){text.ptr + 1, text.len - 1};
    if (text.ptr[0] == '.')
        text = (wst_str_t){text.ptr + 1, text.len - 1};
    return within_domain(t->host, without_dot(text));
}

static bool excepted(const char *list, const target_t *t) {
    static const char separators[] = ", \t\r\n";
    while (list != NULL && *(list += strspn(list, separators)) != '\0') {
        wst_str_t element = {list, strcspn(list, separators)};
        if (covers(element, t))
            return true;
        list += element.len;
    }
    return false;
}

static bool is_set(const char *value) {
    return value != NULL && value[0] != '\0';
}

const char *wst_proxy_choose(const wst_proxy_env_t *env, const char *url) {
    wst__url_t u;
    const char *why;
    if (wst__url_parse(&u, url, &why) != 0)
        return NULL;
    const char *proxy = u.tls ? env->https_proxy : env->http_proxy;
    if (!is_set(proxy))
        proxy = env->all_proxy;
    target_t t = {.host = without_dot(u.host), .port = u.port};
    t.is_ip = wst__ip_parse(&t.ip, t.host.ptr, t.host.len);
    if (!is_set(proxy) || is_here(&t) || excepted(env->no_proxy, &t))
        return NULL;
    return proxy;
}
