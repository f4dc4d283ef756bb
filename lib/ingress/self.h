/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SELF_H
#define WST_LIB_SELF_H
#include "ingress.h"

/* Whether this node listens on that address and port, as reached by the agent that connects from
 * `agent_peer`. */
bool wst__ingress_is_self(const wst_ingress_t *ingress, const char *address, uint16_t port,
                          const char *agent_peer);

/* Whether this node listens on that port, at whatever address. */
bool wst__ingress_owns_port(const wst_ingress_t *ingress, uint16_t port);

#endif
