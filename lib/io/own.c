/* SPDX-License-Identifier: MIT */
#include "own.h"

#include "addr.h"

#include <string.h>
#include <uv.h>
#include <wstunnel/http.h>

#if !defined(_WIN32)
#include <ifaddrs.h>
#endif

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

static bool is_at(const wst__ip_t *ip, const struct sockaddr *address) {
    wst__ip_t own;
    uint16_t port;
    return address != NULL && wst__addr_ip(&own, &port, address) && is_same(&own, ip);
}

#if defined(_WIN32)
static bool has_interface(const wst__ip_t *ip) {
    uv_interface_address_t *all;
    int count;
    if (uv_interface_addresses(&all, &count) != 0)
        return true;
    bool found = false;
    for (int i = 0; i < count && !found; i++)
        found = is_at(ip, (const struct sockaddr *)&all[i].address);
    uv_free_interface_addresses(all, count);
    return found;
}
#else
/* libuv leaves out interfaces whose cable is unplugged, and their addresses still lead here. */
static bool has_interface(const wst__ip_t *ip) {
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return true;
    bool found = false;
    for (const struct ifaddrs *one = all; one != NULL && !found; one = one->ifa_next)
        found = is_at(ip, one->ifa_addr);
    freeifaddrs(all);
    return found;
}
#endif

bool wst__own_is_here(const wst__ip_t *ip) {
    return wst__ip_is_loopback(ip) || has_interface(ip);
}

bool wst__own_leads_to(const char *listens, const wst__ip_t *ip, uint16_t port) {
    wst__ip_t own;
    uint16_t own_port;
    if (!wst__own_read(&own, &own_port, listens) || own_port != port)
        return false;
    return wst__ip_is_unspecified(&own) ? wst__own_is_here(ip) : is_same(&own, ip);
}
