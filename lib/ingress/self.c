/* SPDX-License-Identifier: MIT */
/*
 * The self check: a client must not reach the node's own addresses through the node, since they may
 * trust connections from this machine. A loopback address reached by an agent is ours only if the
 * agent runs on this machine.
 */
#include "self.h"

#include "ip.h"

#include <string.h>

typedef struct place {
    wst__ip_t ip;
    uint16_t port;
} place_t;

/* Parses an address as listeners and streams write it. False: not an IP address. */
static bool read_place(place_t *out, const char *text) {
    wst_authority_t a;
    if (wst_parse_authority(&a, (wst_str_t){text, strlen(text)}, NULL) != 0 ||
        !wst__ip_parse(&out->ip, a.host.ptr, a.host.len))
        return false;
    out->port = a.port;
    return true;
}

/* Whether an interface of this machine has the address. Fails closed: if the interfaces cannot be
 * listed, the address is treated as ours. */
static bool is_here(const wst__ip_t *ip) {
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
        found = wst__ip_parse(&own, text, strlen(text)) &&
                memcmp(own.bytes, ip->bytes, sizeof(ip->bytes)) == 0;
    }
    uv_free_interface_addresses(all, count);
    return found;
}

static bool runs_here(const char *agent_peer) {
    place_t agent;
    return strncmp(agent_peer, "unix:", 5) == 0 ||
           (read_place(&agent, agent_peer) && is_here(&agent.ip));
}

/* Whether an address of this node leads to that one. */
static bool is_own(const wst_ingress_t *ingress, const wst__ip_t *reached, uint16_t port,
                   const char *agent_peer) {
    const char *listens;
    for (size_t n = 0; (listens = ingress->hooks->address(ingress->owner, n)) != NULL; n++) {
        place_t own;
        if (!read_place(&own, listens) || own.port != port)
            continue;
        bool same = wst__ip_is_unspecified(&own.ip)
                        ? is_here(reached)
                        : memcmp(own.ip.bytes, reached->bytes, sizeof(own.ip.bytes)) == 0;
        if (same && (!wst__ip_is_loopback(reached) || runs_here(agent_peer)))
            return true;
    }
    return false;
}

bool wst__ingress_is_self(const wst_ingress_t *ingress, const char *address, uint16_t port,
                          const char *agent_peer) {
    wst__ip_t reached, targets[WST__IP_TARGETS];
    if (!wst__ip_parse(&reached, address, strlen(address)))
        return false;
    size_t count = wst__ip_targets(targets, &reached, NULL, 0);
    for (size_t i = 0; i < count; i++)
        if (is_own(ingress, &targets[i], port, agent_peer))
            return true;
    return false;
}
