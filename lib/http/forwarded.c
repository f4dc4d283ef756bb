/* SPDX-License-Identifier: MIT */
/*
 * Reads Forwarded (RFC 7239 section 4) and X-Forwarded-For, which has no specification: a list of
 * addresses, with a port or without (forwarded.h).
 *
 * A proxy that appends to one of the fields passes the other one on as the client has written it.
 * So if both are there they must name the same client, or else neither counts.
 *
 * A list is read from the left, although the rightmost hops decide: `client` is the answer for the
 * elements so far.
 */
#include "forwarded.h"

#include "http_text.h"

#include <string.h>

static const char standard[] = "Forwarded", common[] = "X-Forwarded-For";
static const char prefix[] = "X-Forwarded-";

bool wst__forwarded_any(const wst_http_head_t *head) {
    for (size_t i = 0; i < head->header_count; i++) {
        wst_str_t name = head->headers[i].name;
        wst_str_t start = {name.ptr, name.len < strlen(prefix) ? name.len : strlen(prefix)};
        if (wst_str_ieq(name, standard) || wst_str_ieq(start, prefix))
            return true;
    }
    return false;
}

/* Addresses ---------------------------------------------------------------------------------- */

/* A port; one that is obfuscated (section 6.3) counts as not told. */
static bool read_port(uint16_t *out, wst_str_t text) {
    unsigned value = 0;
    *out = 0;
    if (text.len > 1 && text.ptr[0] == '_')
        return true;
    if (text.len == 0 || text.len > 5 || !wst__is_digits(text))
        return false;
    for (size_t i = 0; i < text.len; i++)
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    *out = (uint16_t)value;
    return value <= UINT16_MAX;
}

/* Reads a node (section 6): an address with or without a port. X-Forwarded-For has IPv6 addresses
 * without brackets, too. False: anything else, such as "unknown". */
static bool read_node(wst__forwarded_client_t *out, wst_str_t text, bool bare) {
    const char *end = text.ptr + text.len;
    wst_str_t host = text;
    out->port = 0;
    if (text.len > 0 && text.ptr[0] == '[') {
        const char *close = memchr(text.ptr, ']', text.len);
        if (close == NULL)
            return false;
        host = (wst_str_t){text.ptr + 1, (size_t)(close - text.ptr) - 1};
        if (memchr(host.ptr, ':', host.len) == NULL)
            return false;
        text = (wst_str_t){close + 1, (size_t)(end - close) - 1};
    } else {
        const char *colon = memchr(text.ptr, ':', text.len);
        bool six = colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon) - 1) != NULL;
        if (six && !bare)
            return false;
        host.len = colon != NULL && !six ? (size_t)(colon - text.ptr) : text.len;
        text = (wst_str_t){host.ptr + host.len, text.len - host.len};
    }
    if (memchr(host.ptr, '%', host.len) != NULL || !wst__ip_parse(&out->ip, host.ptr, host.len))
        return false;
    return text.len == 0 ||
           (text.ptr[0] == ':' && read_port(&out->port, (wst_str_t){text.ptr + 1, text.len - 1}));
}

/* Lists -------------------------------------------------------------------------------------- */

typedef struct walk {
    const wst__trusted_t *trusted;
    bool any; /* `client` is set */
    wst__forwarded_client_t client;
} walk_t;

/* `node` NULL: a hop that tells no address. */
static void pass(walk_t *w, const wst__forwarded_client_t *node) {
    if (node == NULL) {
        w->any = false;
    } else if (!w->any || !wst__trusted_has(w->trusted, &node->ip)) {
        w->client = *node;
        w->any = true;
    }
}

/* Cuts the text before a separator that is not within a quoted string. */
static wst_str_t take_part(wst_str_t *rest, char separator) {
    size_t len = 0;
    bool quoted = false;
    for (; len < rest->len && (quoted || rest->ptr[len] != separator); len++) {
        if (rest->ptr[len] == '"')
            quoted = !quoted;
        else if (quoted && rest->ptr[len] == '\\' && len + 1 < rest->len)
            len++;
    }
    wst_str_t part = {rest->ptr, len};
    size_t taken = len < rest->len ? len + 1 : len;
    *rest = (wst_str_t){rest->ptr + taken, rest->len - taken};
    return wst__trim(part);
}

/* The text of a token or quoted string. One with an escape is refused: no address has any, and a
 * client could hide the beginning of what a proxy appends. */
static bool read_value(wst_str_t *value) {
    if (value->len >= 2 && value->ptr[0] == '"' && value->ptr[value->len - 1] == '"')
        *value = (wst_str_t){value->ptr + 1, value->len - 2};
    else if (!wst__is_token(*value))
        return false;
    return memchr(value->ptr, '"', value->len) == NULL &&
           memchr(value->ptr, '\\', value->len) == NULL;
}

/* Takes an element's "for" parameter (section 5.2). False: it has none that tells an address, or is
 * malformed. */
static bool read_element(wst__forwarded_client_t *out, wst_str_t element) {
    bool found = false;
    while (element.len > 0) {
        wst_str_t value = take_part(&element, ';');
        wst_str_t name = take_part(&value, '=');
        if (name.len == 0 && value.len == 0)
            continue;
        if (!wst__is_token(name) || !read_value(&value))
            return false;
        if (!wst_str_ieq(name, "for"))
            continue;
        if (found || !read_node(out, value, false))
            return false;
        found = true;
    }
    return found;
}

static void walk_standard(walk_t *w, wst_str_t rest) {
    while (rest.len > 0) {
        wst__forwarded_client_t node;
        wst_str_t element = take_part(&rest, ',');
        if (element.len > 0)
            pass(w, read_element(&node, element) ? &node : NULL);
    }
}

static void walk_common(walk_t *w, wst_str_t rest) {
    wst_str_t element;
    while (wst__http_list_next(&rest, &element)) {
        wst__forwarded_client_t node;
        if (element.len > 0)
            pass(w, read_node(&node, element, true) ? &node : NULL);
    }
}

/* Whether there is such a field. */
static bool walk_fields(walk_t *w, const wst_http_head_t *head, const char *name,
                        void (*walk)(walk_t *w, wst_str_t value)) {
    const wst_http_header_t *field = NULL;
    bool any = false;
    while ((field = wst_http_header(head, name, field)) != NULL) {
        walk(w, field->value);
        any = true;
    }
    return any;
}

static bool same_client(const walk_t *a, const walk_t *b) {
    if (!a->any || !b->any)
        return a->any == b->any;
    return memcmp(&a->client.ip, &b->client.ip, sizeof(a->client.ip)) == 0;
}

wst__forwarded_t wst__forwarded_client(wst__forwarded_client_t *out, const wst_http_head_t *head,
                                       const wst__trusted_t *trusted) {
    walk_t first = {.trusted = trusted}, second = first;
    bool has_first = walk_fields(&first, head, standard, walk_standard);
    bool has_second = walk_fields(&second, head, common, walk_common);
    const walk_t *only = has_first ? &first : &second;
    if (has_first && has_second && !same_client(&first, &second))
        return WST__FORWARDED_CONTRADICTORY;
    *out = only->client;
    return only->any ? WST__FORWARDED_FOUND : WST__FORWARDED_NONE;
}
