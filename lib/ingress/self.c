/* SPDX-License-Identifier: MIT */
/*
 * The self check: a client must not reach the node's own addresses through the node, since they may
 * trust connections from this machine. A loopback address reached by an agent is ours only if the
 * agent runs on this machine.
 */
#include "self.h"

#include "own.h"

#include <string.h>

static bool runs_here(const char *agent_peer) {
    wst__ip_t agent;
    return strncmp(agent_peer, "unix:", 5) == 0 ||
           (wst__ip_of_peer(&agent, agent_peer) && wst__own_is_here(&agent));
}

/* Whether an address of this node leads to that one. */
static bool is_own(const wst_ingress_t *ingress, const wst__ip_t *reached, uint16_t port,
                   const char *agent_peer) {
    const char *listens;
    for (size_t n = 0; (listens = ingress->hooks->address(ingress->owner, n)) != NULL; n++)
        if (wst__own_leads_to(listens, reached, port) &&
            (!wst__ip_is_loopback(reached) || runs_here(agent_peer)))
            return true;
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

bool wst__ingress_owns_port(const wst_ingress_t *ingress, uint16_t port) {
    const char *listens;
    wst__ip_t own;
    uint16_t own_port;
    for (size_t n = 0; (listens = ingress->hooks->address(ingress->owner, n)) != NULL; n++)
        if (wst__own_read(&own, &own_port, listens) && own_port == port)
            return true;
    return false;
}
