/* SPDX-License-Identifier: MIT */
/*
 * Writes proxy auto-config files: a condition for each pattern, in the words of JavaScript as old
 * as the interpreters that systems have for it (ECMAScript 3). What comes from outside stands in
 * strings: patterns, and the proxy's host, which may be what a client says in Host. Both are of
 * letters that need no escape there; whatever else came would be escaped.
 */
#include "pac.h"

#include "destinations.h"
#include "http_target.h"
#include "mem.h"
#include "sized.h"
#include "url.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

enum {
    V4_PREFIX = 96,
    PROXY_MAX = WST__AUTHORITY_MAX + 8,       /* "HTTPS HOST:PORT", with its terminator */
    TEXT_MAX = WST_PAC_MAX - PROXY_MAX - 128, /* the rest of the file, but for its first lines */
};

struct wst_pac {
    const wst_allocator_t *allocator;
    char proxy[PROXY_MAX]; /* "": as the client says */
    char text[TEXT_MAX];   /* the file behind its head */
    size_t len;
    bool full;
};

/* What conditions call. Numbers of an address are those of IPv6, eight of 16 bits. */
static const char functions[] =
    "// The eight numbers of an IP address, of IPv4 those of ::ffff:0:0/96; null: it is a name.\n"
    "function addressOf(text) {\n"
    "    var v4 = /^(|[0-9a-f:]*:)(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})\\.(\\d{1,3})$/.exec(text);\n"
    "    if (v4)\n"
    "        text = (v4[1] || \"::ffff:\") + (v4[2] * 256 + +v4[3]).toString(16) + \":\" +\n"
    "            (v4[4] * 256 + +v4[5]).toString(16);\n"
    "    if (!/^[0-9a-f]{0,4}(:[0-9a-f]{0,4}){2,8}$/.test(text))\n"
    "        return null;\n"
    "    var halves = text.split(\"::\");\n"
    "    var numbers = halves[0] ? halves[0].split(\":\") : [];\n"
    "    var rest = halves[1] ? halves[1].split(\":\") : [];\n"
    "    while (halves.length == 2 && numbers.length + rest.length < 8)\n"
    "        numbers.push(\"0\");\n"
    "    numbers = numbers.concat(rest);\n"
    "    for (var i = 0; i < numbers.length; i++)\n"
    "        numbers[i] = parseInt(numbers[i], 16);\n"
    "    return halves.length < 3 && numbers.length == 8 ? numbers : null;\n"
    "}\n"
    "\n"
    "function isV4(address) {\n"
    "    return address.slice(0, 6).join() == \"0,0,0,0,0,65535\";\n"
    "}\n"
    "\n"
    "// No IPv6 network contains an IPv4 address.\n"
    "function within(address, network, bits) {\n"
    "    var base = addressOf(network);\n"
    "    if (!address || isV4(address) != isV4(base))\n"
    "        return false;\n"
    "    bits += isV4(base) ? 96 : 0;\n"
    "    for (var i = 0; i < 8; i++, bits -= 16) {\n"
    "        var behind = bits >= 16 ? 0 : bits > 0 ? 16 - bits : 16;\n"
    "        if (address[i] >> behind != base[i] >> behind)\n"
    "            return false;\n"
    "    }\n"
    "    return true;\n"
    "}\n"
    "\n"
    "function portOf(url) {\n"
    "    var parts = "
    "/^([^:]+):\\/\\/([^\\/?#]*@)?(\\[[^\\]]*\\]|[^:\\/?#]*)(:(\\d+))?/.exec(url);\n"
    "    var known = {http: 80, ws: 80, https: 443, wss: 443, ftp: 21};\n"
    "    return !parts ? 0 : +parts[5] || known[parts[1].toLowerCase()] || 0;\n"
    "}\n"
    "\n"
    "function FindProxyForURL(url, host) {\n"
    "    var name = host.toLowerCase().replace(/^\\[|\\]$/g, \"\").replace(/\\.$/, \"\");\n"
    "    var address = addressOf(name), port = portOf(url);\n";

static const char not_ascii[] = "not ASCII: browsers ask for such a name as xn--...";

static const char end[] = "    return \"DIRECT\";\n"
                          "}\n";

/* Writing ------------------------------------------------------------------------------------ */

static void put_code(wst_pac_t *p, const char *fmt, ...) WST_PRINTF(2, 3);
static void put_code(wst_pac_t *p, const char *fmt, ...) {
    size_t room = sizeof(p->text) - p->len;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(p->text + p->len, room, fmt, args);
    va_end(args);
    p->full = p->full || n < 0 || (size_t)n >= room;
    if (!p->full)
        p->len += (size_t)n;
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-_.*:", c) != NULL);
}

static void put_string(wst_pac_t *p, const char *text) {
    put_code(p, "\"");
    for (; *text != '\0'; text++)
        put_code(p, is_plain(*text) ? "%c" : "\\x%02x", (unsigned char)*text);
    put_code(p, "\"");
}

/* A name is compared, a pattern of names matched by a function that all browsers have. */
static void put_name(wst_pac_t *p, const char *name) {
    bool all = strcmp(name, "*") == 0, pattern = strchr(name, '*') != NULL;
    if (all) {
        put_code(p, "true");
        return;
    }
    put_code(p, pattern ? "!address && shExpMatch(name, " : "name == ");
    put_string(p, name);
    if (pattern)
        put_code(p, ")");
}

static void put_network(wst_pac_t *p, const wst__destination_t *d) {
    char address[WST__IP_TEXT];
    wst__ip_text(address, &d->network);
    put_code(p, "within(address, ");
    put_string(p, address);
    put_code(p, ", %u)", d->prefix - (wst__ip_is_v4(&d->network) ? V4_PREFIX : 0));
}

static void put_ports(wst_pac_t *p, const wst__destination_t *d) {
    for (size_t i = 0; i < d->port_count; i++) {
        unsigned first = d->ports[i].first, last = d->ports[i].last;
        put_code(p, i == 0 ? " && (" : " || ");
        if (first == last)
            put_code(p, "port == %u", first);
        else
            put_code(p, "port >= %u && port <= %u", first, last);
    }
    if (d->port_count > 0)
        put_code(p, ")");
}

static void put_destination(wst_pac_t *p, const wst__destination_t *d) {
    put_code(p, "    if (");
    if (d->name != NULL)
        put_name(p, d->name);
    else
        put_network(p, d);
    put_ports(p, d);
    put_code(p, ")\n        return proxy;\n");
}

static bool is_ascii(wst_str_t text) {
    size_t i = 0;
    while (i < text.len && (unsigned char)text.ptr[i] < 0x80)
        i++;
    return i == text.len;
}

/* The proxy ---------------------------------------------------------------------------------- */

/* Writes "HTTPS HOST:PORT", of a host with or without a port. NULL or an error text. */
static const char *write_proxy(char out[PROXY_MAX], bool tls, wst_str_t authority) {
    const char *why;
    wst_authority_t a;
    if (!is_ascii(authority))
        return not_ascii;
    if (wst__url_authority(&a, authority, tls ? 443 : 80, &why) != 0)
        return why;
    const char *kind = tls ? "HTTPS " : "PROXY ";
    snprintf(out, PROXY_MAX, "%s", kind);
    wst__authority_write(out + strlen(kind), PROXY_MAX - strlen(kind), &a);
    return NULL;
}

/* Reads the URL of a proxy, if one is given. NULL or an error text. */
static const char *read_proxy(wst_pac_t *p, const char *url) {
    static const char plain[] = "http://", secure[] = "https://";
    if (url == NULL)
        return NULL;
    bool tls = strncmp(url, secure, strlen(secure)) == 0;
    if (!tls && strncmp(url, plain, strlen(plain)) != 0)
        return "not a http:// or https:// URL";
    const char *authority = url + strlen(tls ? secure : plain);
    return write_proxy(p->proxy, tls, (wst_str_t){authority, strlen(authority)});
}

/* Interface ---------------------------------------------------------------------------------- */

static int refuse_pac(wst_pac_error_t *error, const char *text, const char *why) {
    *error = (wst_pac_error_t){text, why};
    return WST_EINVAL;
}

/* Makes rules of the patterns, which reads them. As wst_pac_new. */
static int read_patterns(wst_rules_t **out, const wst_pac_options_t *o, const wst_allocator_t *a,
                         wst_pac_error_t *error) {
    const char *const *list = o->destinations;
    if (list == NULL || list[0] == NULL)
        return refuse_pac(error, NULL, "no patterns");
    for (size_t i = 0; list[i] != NULL; i++)
        if (!is_ascii((wst_str_t){list[i], strlen(list[i])}))
            return refuse_pac(error, list[i], not_ascii);
    const wst_rule_t rule = {.size = sizeof(rule), .allow = true, .destinations = list};
    const wst_rules_options_t options = {
        .size = sizeof(options), .rules = &rule, .count = 1, .allocator = a};
    wst_rules_error_t wrong;
    int status = wst_rules_new(out, &options, &wrong);
    return status == WST_EINVAL ? refuse_pac(error, wrong.pattern, wrong.why) : status;
}

/* As wst_pac_new. */
static int fill_pac(wst_pac_t *p, const wst_pac_options_t *o, wst_pac_error_t *error) {
    wst_rules_t *rules;
    wst__destination_t d;
    const char *why = read_proxy(p, o->proxy);
    if (why != NULL)
        return refuse_pac(error, o->proxy, why);
    int status = read_patterns(&rules, o, p->allocator, error);
    if (status != 0)
        return status;
    put_code(p, "%s", functions);
    for (size_t i = 0; wst__rules_destination(rules, 0, i, &d); i++)
        put_destination(p, &d);
    put_code(p, "%s", end);
    wst_rules_free(rules);
    return p->full ? refuse_pac(error, NULL, "the file would be longer than 16 KiB") : 0;
}

int wst_pac_new(wst_pac_t **out, const wst_pac_options_t *given, wst_pac_error_t *error) {
    wst_pac_options_t options;
    wst_pac_error_t ignored;
    if (error == NULL)
        error = &ignored;
    if (wst__sized_read(&options, sizeof(options), given) != 0)
        return refuse_pac(error, NULL, "a struct's size is not set");
    const wst_allocator_t *a =
        options.allocator != NULL ? options.allocator : &wst__default_allocator;
    wst_pac_t *p = wst__zalloc(a, sizeof(*p));
    if (p == NULL)
        return WST_ENOMEM;
    p->allocator = a;
    int status = fill_pac(p, &options, error);
    if (status == 0)
        *out = p;
    else
        wst__free(a, p);
    return status;
}

void wst_pac_free(wst_pac_t *p) {
    if (p != NULL)
        wst__free(p->allocator, p);
}

int wst__pac_write(const wst_pac_t *p, bool tls, wst_str_t host, char out[WST_PAC_MAX]) {
    char asked[PROXY_MAX];
    const char *proxy = p->proxy;
    if (proxy[0] == '\0') {
        if (write_proxy(asked, tls, host) != NULL)
            return WST_EDEST;
        proxy = asked;
    }
    return snprintf(out, WST_PAC_MAX,
                    "// Which hosts are reached by the proxy; made by libwstunnel.\n"
                    "var proxy = \"%s\";\n\n%s",
                    proxy, p->text);
}
