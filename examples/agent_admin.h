/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_AGENT_ADMIN_H
#define EXAMPLES_AGENT_ADMIN_H
/* Where the operators of wstunnel-agent are served. */
#include "operators.h"

typedef struct agent_admin {
    wst_admin_t *admin; /* NULL: operators are not served */
    wst_listener_t *listener;
} agent_admin_t;

/* Serves operators of the agent at the address, to which no stream leads. 0 or an error, which has
 * been logged; nothing is left open then. */
int agent_admin_open(agent_admin_t *a, wst_agent_t *agent, wst_ctx_t *ctx, const char *address,
                     const admin_config_t *admins);

/* Before the agent is closed. Does nothing if it is not open. */
void agent_admin_close(agent_admin_t *a);

#endif
