/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_RULES_CONFIG_H
#define EXAMPLES_RULES_CONFIG_H
/*
 * "rules" in a configuration: [{"allow": "*.intranet:443"}, {"deny": ["10.0.0.0/8", "*:25"]}, ...].
 * The first one that matches decides; what none matches is denied.
 */
#include "config.h"

/* Reads them; `with_names`: they may say for which "users" and "agents". NULL if anything is wrong.
 * To be freed. */
wst_rules_t *rules_config_read(config_t *c, const config_node_t *node, bool with_names);

#endif
