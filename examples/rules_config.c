/* SPDX-License-Identifier: MIT */
/* Rules in a configuration (rules_config.h): read here, checked by wst_rules_new(). */
#include "rules_config.h"

#include <string.h>

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

/* Checks a list by making rules of it. 0; WST_EINVAL and the faulty pattern; WST_ENOMEM. */
static int check_list(const wst_rule_t *list, size_t count, wst_rules_error_t *error) {
    const wst_rules_options_t options = {.size = sizeof(options), .rules = list, .count = count};
    wst_rules_t *made = NULL;
    int status = wst_rules_new(&made, &options, error);
    wst_rules_free(made);
    return status;
}

void rules_config_read(config_t *c, const config_node_t *node, bool with_names,
                       rules_config_t *out) {
    size_t before = c->error_count, count;
    rule_t *rules = config_read_array(c, node, with_names ? &named : &nameless, sizeof(*rules),
                                      &count, check_rule);
    wst_rule_t *list = config_alloc(c, (count + 1) * sizeof(*list));
    if (list == NULL || c->error_count > before)
        return;
    for (size_t i = 0; i < count; i++)
        list[i] =
            (wst_rule_t){.size = sizeof(wst_rule_t),
                         .allow = rules[i].allow != NULL,
                         .users = rules[i].users,
                         .agents = rules[i].agents,
                         .destinations = rules[i].allow != NULL ? rules[i].allow : rules[i].deny};
    wst_rules_error_t error;
    int status = check_list(list, count, &error);
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
    if (status != 0)
        return;
    out->list = list;
    out->count = count;
    out->given = out->deny_by_default = true;
}

/* The command line --------------------------------------------------------------------------- */

static bool is_rule(const config_field_t *field) {
    return strcmp(field->name, "allow") == 0 || strcmp(field->name, "deny") == 0;
}

/* A rule of one pattern. False: a fault, which has been noted. */
static bool make_line_rule(config_t *c, wst_rule_t *out, bool allow, const char *pattern) {
    const char **destinations = config_alloc(c, 2 * sizeof(*destinations));
    wst_rules_error_t error;
    if (destinations == NULL)
        return false;
    destinations[0] = pattern;
    *out = (wst_rule_t){.size = sizeof(wst_rule_t), .allow = allow, .destinations = destinations};
    int status = check_list(out, 1, &error);
    if (status != 0)
        config_fault(c, allow ? "--allow" : "--deny", "'%s': %s", pattern,
                     status == WST_EINVAL ? error.why : wst_strerror(status));
    return status == 0;
}

void rules_config_add_line(config_t *c, const options_t *options, rules_config_t *rules) {
    size_t count = 0;
    bool denies = rules->deny_by_default;
    wst_rule_t *list = config_alloc(c, (options->count + rules->count + 1) * sizeof(*list));
    for (size_t i = 0; i < options->count && list != NULL; i++) {
        const config_field_t *field = options->given[i].field;
        bool allow = strcmp(field->name, "allow") == 0;
        if (is_rule(field) && make_line_rule(c, &list[count], allow, options->given[i].text))
            count++;
        denies = denies || allow;
    }
    if (count == 0)
        return;
    if (rules->count > 0)
        memcpy(list + count, rules->list, rules->count * sizeof(*list));
    rules->list = list;
    rules->count += count;
    rules->given = true;
    rules->deny_by_default = denies;
}

wst_rules_t *rules_config_make(config_t *c, const rules_config_t *rules) {
    const wst_rules_options_t options = {.size = sizeof(options),
                                         .rules = rules->list,
                                         .count = rules->count,
                                         .deny_by_default = rules->deny_by_default,
                                         .nat64 = (const char *const *)rules->nat64};
    wst_rules_t *out = NULL;
    wst_rules_error_t error;
    if (!rules->given && rules->nat64 == NULL)
        return NULL;
    int status = wst_rules_new(&out, &options, &error);
    if (status == WST_EINVAL) /* the patterns have been checked before */
        config_fault(c, "nat64", "'%s': %s", error.pattern, error.why);
    else if (status != 0)
        config_fault(c, "rules", "%s", wst_strerror(status));
    return out;
}
