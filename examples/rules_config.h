/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_RULES_CONFIG_H
#define EXAMPLES_RULES_CONFIG_H
/*
 * "rules" in a configuration: [{"allow": "*.intranet:443"}, {"deny": ["10.0.0.0/8", "*:25"]}, ...].
 * The first rule that matches decides; a destination that no rule matches is denied. The options
 * --allow and --deny of a command line are rules that come first.
 */
#include "options.h"

/* Rules as they were read, in memory of the configuration. A zeroed one has none. */
typedef struct rules_config {
    wst_rule_t *list;
    size_t count;
    bool given;           /* even if there are none: then all is denied */
    bool deny_by_default; /* a destination that no rule matches */
    const char **nat64;   /* prefixes of the network; NULL: none */
} rules_config_t;

/* Reads and checks rules; `with_names`: they may have "users" and "agents". Faults are noted. */
void rules_config_read(config_t *c, const config_node_t *node, bool with_names,
                       rules_config_t *rules);

/* Puts the options --allow and --deny before the rules, in their order. If the command line only
 * denies and there are no other rules, it leaves the rest allowed. Faults are noted. */
void rules_config_add_line(config_t *c, const options_t *options, rules_config_t *rules);

/* Makes the rules; the caller frees them. NULL: neither rules nor prefixes are given, or an error,
 * which has been noted. */
wst_rules_t *rules_config_make(config_t *c, const rules_config_t *rules);

#endif
