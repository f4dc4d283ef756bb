/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_ACCESS_CONFIG_H
#define EXAMPLES_ACCESS_CONFIG_H
/* Access control in the server's configuration: users, agents, rules, routes. */
#include "rules_config.h"

typedef struct access_config {
    wst_access_options_t options; /* access_config_make() sets users, agents, rules */
    wst_access_user_t *users;
    wst_access_agent_t *agents;
    size_t file_users, file_agents; /* how many come from the configuration file */
    rules_config_t rules;
} access_config_t;

/* Readers of the members "users", "agents", "rules" and "routes". */
void access_config_read_users(config_t *c, const config_node_t *node, access_config_t *access);
void access_config_read_agents(config_t *c, const config_node_t *node, access_config_t *access);
void access_config_read_rules(config_t *c, const config_node_t *node, access_config_t *access);
void access_config_read_routes(config_t *c, const config_node_t *node, access_config_t *access);

/* Append to the entries of the configuration file: the users of a file with one NAME:PASSWORD a
 * line; an entry for all agents that present a token. */
void access_config_add_user_file(config_t *c, access_config_t *access, const char *path);
void access_config_add_token(config_t *c, access_config_t *access, const char *token);

/* Makes an access object. 0 or an error, which has been noted in `c`. */
int access_config_make(config_t *c, access_config_t *access, wst_ctx_t *ctx, wst_access_t **out);

#endif
