/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_ACCESS_CONFIG_H
#define EXAMPLES_ACCESS_CONFIG_H
/* Access control in the server's configuration: users, agents, rules, routes. */
#include "config.h"

typedef struct access_config {
    wst_access_options_t options; /* its lists are those here */
    wst_access_user_t *users;
    wst_access_agent_t *agents;
    size_t file_users, file_agents; /* how many of them are of the configuration file */
    wst_rules_t *rules;             /* until access_config_make() has succeeded */
} access_config_t;

/* Readers of the members "users", "agents", "rules" and "routes". */
void access_config_read_users(config_t *c, const config_node_t *node, access_config_t *access);
void access_config_read_agents(config_t *c, const config_node_t *node, access_config_t *access);
void access_config_read_rules(config_t *c, const config_node_t *node, access_config_t *access);
void access_config_read_routes(config_t *c, const config_node_t *node, access_config_t *access);

/* Behind those of the configuration file: users of a file of one NAME:PASSWORD a line, and all
 * agents that present a token. */
void access_config_add_user_file(config_t *c, access_config_t *access, const char *path);
void access_config_add_token(config_t *c, access_config_t *access, const char *token);

/* Makes an access object of it. 0 or an error, which has been noted. */
int access_config_make(config_t *c, access_config_t *access, wst_ctx_t *ctx, wst_access_t **out);

void access_config_free(access_config_t *access);

#endif
