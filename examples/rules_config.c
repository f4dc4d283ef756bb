/* SPDX-License-Identifier: MIT */
/* Rules in a configuration (rules_config.h): read here, checked by wst_rules_new(). */
#include "rules_config.h"

#include <stdlib.h>

typedef struct rule {
    const char **allow, **deny, **users, **agents;
} rule_t;

static const config_field_t members[] = {
    {.name = "allow", .kind = CONFIG_LIST, .offset = offsetof(rule_t, allow)},
    {.name = "deny", .kind = CONFIG_LIST, .offset = offsetof(rule_t, deny)},
    {.name = "users", .kind = CONFIG_LIST, .offset = offsetof(rule_t, users)},
    {.name = "agents", .kind = CONFIG_LIST, .offset = offsetof(rule_t, agents)},
};
static const config_fields_t named = {members, 4}, nameless = {members, 2};

static void check_rule(config_t *c, const config_node_t *node, void *target) {
    const rule_t *rule = target;
    if ((rule->allow != NULL) == (rule->deny != NULL))
        config_wrong(c, node, "either \"allow\" or \"deny\" is needed");
}

/* The name of the rule's list that holds the pattern, found by its pointer: all are copies. */
static const char *list_with(const rule_t *rule, const char *pattern) {
    const char *const names[] = {"allow", "deny", "users", "agents"};
    const char *const *const lists[] = {rule->allow, rule->deny, rule->users, rule->agents};
    for (size_t i = 0; i < 4; i++)
        for (size_t n = 0; lists[i] != NULL && lists[i][n] != NULL; n++)
            if (lists[i][n] == pattern)
                return names[i];
    return "";
}

wst_rules_t *rules_config_read(config_t *c, const config_node_t *node, bool with_names) {
    size_t before = c->error_count, count;
    rule_t *rules = config_read_array(c, node, with_names ? &named : &nameless, sizeof(*rules),
                                      &count, check_rule);
    wst_rule_t *list = config_alloc(c, (count + 1) * sizeof(*list));
    if (list == NULL || c->error_count > before)
        return NULL;
    for (size_t i = 0; i < count; i++)
        list[i] =
            (wst_rule_t){.size = sizeof(wst_rule_t),
                         .allow = rules[i].allow != NULL,
                         .users = rules[i].users,
                         .agents = rules[i].agents,
                         .destinations = rules[i].allow != NULL ? rules[i].allow : rules[i].deny};
    const wst_rules_options_t options = {
        .size = sizeof(options), .rules = list, .count = count, .deny_by_default = true};
    wst_rules_t *out = NULL;
    wst_rules_error_t error;
    int status = wst_rules_new(&out, &options, &error);
    if (status == WST_EINVAL) {
        const config_node_t item = {.parent = node,
                                    .value = cJSON_GetArrayItem(node->value, (int)error.rule),
                                    .index = error.rule};
        const config_node_t member =
            config_member(&item, list_with(&rules[error.rule], error.pattern));
        config_wrong(c, &member, "'%s': %s", error.pattern, error.why);
    } else if (status != 0) {
        config_wrong(c, node, "%s", wst_strerror(status));
    }
    return out;
}
