/* SPDX-License-Identifier: MIT */
#include "own.h"

#include <string.h>
#include <uv.h>
#include <wstunnel/http.h>

bool wst__own_read(wst__ip_t *ip, uint16_t *port, const char *text) {
    wst_authority_t a;
    if (wst_parse_authority(&a, (wst_str_t){text, strlen(text)}, NULL) != 0 ||
        !wst__ip_parse(ip, a.host.ptr, a.host.len))
        return false;
    *port = a.port;
    return true;
}

static bool is_same(const wst__ip_t *a, const wst__ip_t *b) {
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool wst__own_is_here(const wst__ip_t *ip) {
    uv_interface_address_t *all;
    int count;
    if (wst__ip_is_loopback(ip))
        return true;
    if (uv_interface_addresses(&all, &count) != 0)
        return true;
    bool found = false;
    for (int i = 0; i < count && !found; i++) {
        char text[WST__IP_TEXT] = "";
        wst__ip_t own;
        (void)uv_ip_name((const struct sockaddr *)&all[i].address, text, sizeof(text));
        found = wst__ip_parse(&own, text, strlen(text)) && is_same(&own, ip);
    }
    uv_free_interface_addresses(all, count);
    return found;
}

bool wst__own_leads_to(const char *listens, const wst__ip_t *ip, uint16_t port) {
    wst__ip_t own;
    uint16_t own_port;
    if (!wst__own_read(&own, &own_port, listens) || own_port != port)
        return false;
    return wst__ip_is_unspecified(&own) ? wst__own_is_here(ip) : is_same(&own, ip);
}
