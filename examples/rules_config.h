/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_RULES_CONFIG_H
#define EXAMPLES_RULES_CONFIG_H
/*
 * "rules" in a configuration: [{"allow": "*.intranet:443"}, {"deny": ["10.0.0.0/8", "*:25"]}, ...].
 * The first rule that matches decides; a destination that no rule matches is denied.
 */
#include "config.h"

/* Reads rules; `with_names`: they may have "users" and "agents". The caller frees them. NULL: an
 * error, which has been noted. */
wst_rules_t *rules_config_read(config_t *c, const config_node_t *node, bool with_names);

#endif
