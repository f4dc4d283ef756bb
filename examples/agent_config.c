/* SPDX-License-Identifier: MIT */
/* The configuration of the agent (agent_config.h). */
#include "agent_config.h"

#include <string.h>

#include "log.h"
#include "rules_config.h"

enum { DAY_MS = 86400000 };

/* A number of "limits", of the library's options. */
#define LIMIT(member, low, high)                                                                   \
    {                                                                                              \
        .name = #member, .kind = CONFIG_NUMBER,                                                    \
        .offset = offsetof(agent_config_t, options.member),                                        \
        .size = sizeof(((agent_config_t *)NULL)->options.member), .min = (low), .max = (high),     \
        .fixed = true                                                                              \
    }

static const config_field_t limit_members[] = {
    LIMIT(max_streams, 1, 1000000),
    LIMIT(max_pending, 1, 1000000),
    LIMIT(stream_window, 1024, 1 << 30),
    LIMIT(dial_timeout_ms, 1, DAY_MS),
    LIMIT(connect_timeout_ms, 1, DAY_MS),
    LIMIT(half_closed_timeout_ms, 1, DAY_MS),
    LIMIT(ping_interval_ms, 1, DAY_MS),
    LIMIT(dead_after_ms, 1, DAY_MS),
    LIMIT(backoff_min_ms, 1, DAY_MS),
    LIMIT(backoff_max_ms, 1, DAY_MS),
    LIMIT(drain_timeout_ms, 1, DAY_MS),
    {.name = "memory_budget",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(agent_config_t, memory_budget),
     .size = sizeof(size_t),
     .min = 1 << 20,
     .max = (uint64_t)1 << 40,
     .fixed = true},
};
static const config_fields_t limits = {limit_members,
                                       sizeof(limit_members) / sizeof(limit_members[0])};

static void read_limits(config_t *c, const config_node_t *node, void *target) {
    config_read_object(c, node, &limits, target);
}

static void read_rules(config_t *c, const config_node_t *node, void *target) {
    agent_config_t *config = target;
    config->rules = rules_config_read(c, node, false);
}

static const config_field_t members[] = {
    {.name = "url",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, options.url),
     .file_only = true, /* on the command line it is no option */
     .fixed = true},
    {.name = "name",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, options.name),
     .max = WST_NAME_MAX,
     .fixed = true},
    {.name = "token_file", .kind = CONFIG_TEXT, .offset = offsetof(agent_config_t, token_file)},
    {.name = "token",
     .kind = CONFIG_SECRET,
     .offset = offsetof(agent_config_t, token),
     .max = CONFIG_SECRET_MAX,
     .variable = "WSTUNNEL_TOKEN"},
    {.name = "encoding",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(agent_config_t, encoding),
     .choices = "binary|json",
     .fixed = true},
    {.name = "protocol",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(agent_config_t, protocol),
     .choices = "wstunnel|talk",
     .fixed = true},
    {.name = "spare_connections",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(agent_config_t, options.spare_connections),
     .size = sizeof(size_t),
     .min = 1,
     .max = 1000,
     .fixed = true},
    {.name = "exit_on_refusal",
     .kind = CONFIG_FLAG,
     .offset = offsetof(agent_config_t, exit_on_refusal)},
    {.name = "log_level",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(agent_config_t, log_level),
     .choices = LOG_LEVELS},
    {.name = "log_format",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(agent_config_t, log_format),
     .choices = LOG_FORMATS},
    {.name = "rules", .kind = CONFIG_OTHER, .read = read_rules},
    {.name = "limits", .kind = CONFIG_OTHER, .read = read_limits},
};
const config_fields_t agent_config_fields = {members, sizeof(members) / sizeof(members[0])};

static bool is_name(const char *text) {
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                             "0123456789._-")] == '\0';
}

bool agent_config_read(agent_config_t *config, const options_t *options) {
    *config = (agent_config_t){.log_level = WST_LOG_INFO};
    options_read(&config->config, options, &agent_config_fields, config);
    if (options->argument != NULL)
        config->options.url =
            config_copy(&config->config, options->argument, strlen(options->argument));
    else if (config->options.url == NULL)
        config_fault(&config->config, NULL, "a URL is needed: ws://HOST[:PORT][/PATH]");
    if (config->options.name != NULL && !is_name(config->options.name))
        config_fault(&config->config, "name", "must be of A-Z a-z 0-9 . _ -");
    options_pick_secret(&config->config, options, "token", &config->token, &config->token_file,
                        "WSTUNNEL_TOKEN");
    config->options.encoding = (wst_encoding_t)config->encoding;
    config->options.protocol = (wst_protocol_t)config->protocol;
    config->options.rules = config->rules;
    return config->config.error_count == 0;
}

void agent_config_free(agent_config_t *config) {
    wst_rules_free(config->rules);
    config_free(&config->config);
    *config = (agent_config_t){0};
}

const char *agent_config_token(config_t *c, const agent_config_t *config) {
    if (config->token != NULL || config->token_file == NULL)
        return config->token;
    return config_read_secret(c, NULL, "token_file", config->token_file);
}

void agent_config_compare(char *out, size_t size, const agent_config_t *old,
                          const agent_config_t *now) {
    out[0] = '\0';
    config_compare(out, size, &agent_config_fields, old, now);
    config_compare(out, size, &limits, old, now);
}
