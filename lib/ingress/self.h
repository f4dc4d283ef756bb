/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SELF_H
#define WST_LIB_SELF_H
#include "ingress.h"

/* Whether that address and port, reached by the agent at `agent_peer`, is one that this node
 * listens on. */
bool wst__ingress_is_self(const wst_ingress_t *ingress, const char *address, uint16_t port,
                          const char *agent_peer);

#endif
