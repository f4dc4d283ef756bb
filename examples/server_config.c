/* SPDX-License-Identifier: MIT */
/* The configuration of the server (server_config.h). */
#include "server_config.h"

#include <string.h>

#include "log.h"
#include "sockets.h"

enum { DAY_MS = 86400000 };

/* A member of "limits" that sets the library's limit of the same name. */
#define LIMIT(member, low, high)                                                                   \
    {                                                                                              \
        .name = #member, .kind = CONFIG_NUMBER,                                                    \
        .offset = offsetof(server_config_t, limits.member),                                        \
        .size = sizeof(((server_config_t *)NULL)->limits.member), .min = (low), .max = (high)      \
    }

static const config_field_t limit_members[] = {
    LIMIT(max_connections, 1, 1000000),
    LIMIT(max_pending, 1, 1000000),
    LIMIT(max_agent_streams, 1, 1000000),
    LIMIT(max_agent_sessions, 1, 1000000),
    LIMIT(max_handshakes, 1, 1000000),
    LIMIT(max_streams, 1, 1000000),
    LIMIT(max_user_streams, 1, 1000000),
    LIMIT(max_tenant_streams, 1, 1000000),
    LIMIT(max_user_memory, 1 << 16, (uint64_t)1 << 40),
    LIMIT(max_tenant_memory, 1 << 16, (uint64_t)1 << 40),
    LIMIT(max_agent_memory, 1 << 16, (uint64_t)1 << 40),
    LIMIT(stream_window, 1024, 1 << 30),
    LIMIT(stream_window_max, 1024, 1 << 30),
    LIMIT(tls_timeout_ms, 1, DAY_MS),
    LIMIT(head_timeout_ms, 1, DAY_MS),
    LIMIT(decision_timeout_ms, 1, DAY_MS),
    LIMIT(hello_timeout_ms, 1, DAY_MS),
    LIMIT(dial_timeout_ms, 1, DAY_MS),
    LIMIT(half_closed_timeout_ms, 1, DAY_MS),
    LIMIT(ping_interval_ms, 1, DAY_MS),
    LIMIT(dead_after_ms, 1, DAY_MS),
    LIMIT(drain_timeout_ms, 1, DAY_MS),
    LIMIT(drain_delay_ms, 1, DAY_MS),
    LIMIT(resume_grace_ms, 1, DAY_MS),
    {.name = "max_failures",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(server_config_t, access.options.max_failures),
     .size = sizeof(size_t),
     .min = 1,
     .max = 1000000},
    {.name = "failure_window_ms",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(server_config_t, access.options.failure_window_ms),
     .size = sizeof(uint64_t),
     .min = 1000,
     .max = DAY_MS},
    {.name = "memory_budget",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(server_config_t, memory_budget),
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

/* Access control and ports ------------------------------------------------------------------- */

static void read_users(config_t *c, const config_node_t *node, void *target) {
    access_config_read_users(c, node, &((server_config_t *)target)->access);
}

static void read_agents(config_t *c, const config_node_t *node, void *target) {
    access_config_read_agents(c, node, &((server_config_t *)target)->access);
}

static void read_rules(config_t *c, const config_node_t *node, void *target) {
    access_config_read_rules(c, node, &((server_config_t *)target)->access);
}

static void read_routes(config_t *c, const config_node_t *node, void *target) {
    access_config_read_routes(c, node, &((server_config_t *)target)->access);
}

static void read_ports(config_t *c, const config_node_t *node, void *target) {
    port_config_read(c, node, &((server_config_t *)target)->ports);
}

static void read_admins(config_t *c, const config_node_t *node, void *target) {
    admin_config_read(c, node, &((server_config_t *)target)->admins);
}

/* Adds agents, users and ports that are not members of the configuration file. */
static void add_others(server_config_t *config) {
    config_t *c = &config->config;
    const char *token = config->agent_token;
    if (config->agent_token_file != NULL)
        token = config_read_secret(c, NULL, "agent_token_file", config->agent_token_file);
    if (token != NULL)
        access_config_add_token(c, &config->access, token);
    if (config->user_file != NULL)
        access_config_add_user_file(c, &config->access, config->user_file);
    port_config_add(c, &config->ports, (const char *const *)config->port);
}

int server_config_make_access(server_config_t *config, wst_ctx_t *ctx, wst_access_t **out) {
    config->config.file = config->file;
    int status = access_config_make(&config->config, &config->access, ctx, out);
    config->config.file = NULL;
    return status;
}

int server_config_make_pac(server_config_t *config, wst_pac_t **out) {
    config_t *c = &config->config;
    const wst_pac_options_t *options = &config->pac;
    wst_pac_error_t error;
    *out = NULL;
    if (options->destinations == NULL)
        return 0;
    int status = wst_pac_new(out, options, &error);
    if (status == 0)
        return 0;
    config->config.file = config->file;
    if (status != WST_EINVAL)
        config_fault(c, "pac", "%s", wst_strerror(status));
    else if (error.text == NULL)
        config_fault(c, "pac", "%s", error.why);
    else
        config_fault(c, error.text == options->proxy ? "pac_proxy" : "pac", "'%s': %s", error.text,
                     error.why);
    config->config.file = NULL;
    return status;
}

/* Addresses and TLS -------------------------------------------------------------------------- */

/* Reads "ADDR[,ROLE...]". */
static void add_listener(server_config_t *config, const char *text) {
    static const struct {
        const char *name;
        unsigned role;
    } roles[] = {{"connect", WST_ROLE_CONNECT}, {"agents", WST_ROLE_AGENTS},
                 {"health", WST_ROLE_HEALTH},   {"socks", WST_ROLE_SOCKS},
                 {"admin", WST_ROLE_ADMIN},     {"tls", WST_LISTEN_TLS},
                 {"plain", WST_LISTEN_PLAIN},   {"proxy", WST_LISTEN_PROXY}};
    enum { ROLES = sizeof(roles) / sizeof(roles[0]) };
    config_t *c = &config->config;
    server_listener_t *listener = &config->listeners[config->listener_count++];
    char *rest, *copy = config_copy(c, text, strlen(text));
    if (copy == NULL)
        return;
    listener->address = strtok_r(copy, ",", &rest);
    if (listener->address == NULL)
        config_fault(c, "listen", "needs an address");
    for (const char *word = copy != NULL ? strtok_r(NULL, ",", &rest) : NULL; word != NULL;
         word = strtok_r(NULL, ",", &rest)) {
        size_t i = 0;
        while (i < ROLES && strcmp(word, roles[i].name) != 0)
            i++;
        if (i < ROLES)
            listener->roles |= roles[i].role;
        else
            config_fault(c, "listen",
                         "unknown role '%s' (connect, agents, health, socks, admin, tls, plain, "
                         "proxy)",
                         word);
    }
    if ((listener->roles & WST_ROLE_ADMIN) != 0 &&
        (listener->roles & (WST_ROLE_ALL | WST_ROLE_SOCKS)) != 0)
        config_fault(c, "listen", "admin needs an address of its own");
    if ((listener->roles & WST_LISTEN_TLS) != 0 && config->certs == NULL)
        config_fault(c, "listen", "tls needs cert and key");
    if ((listener->roles & WST_LISTEN_PROXY) != 0 && config->trust == NULL)
        config_fault(c, "listen", "proxy needs trust");
}

static void add_list(server_config_t *config, const char *const *text) {
    for (; *text != NULL; text++) {
        if (config->listener_count == SERVER_LISTENERS_MAX) {
            config_fault(&config->config, "listen", "more than %d addresses", SERVER_LISTENERS_MAX);
            return;
        }
        add_listener(config, *text);
    }
}

/* Sockets that were passed come beside the addresses, or in place of the default. */
static void add_listeners(server_config_t *config) {
    static const char *const fallback[] = {"127.0.0.1:8080", NULL};
    const char *error;
    const char *const *passed = sockets_passed(&error);
    if (error != NULL)
        config_fault(&config->config, NULL, "%s", error);
    add_list(config, passed);
    if (passed[0] != NULL && config->limits.drain_delay_ms == 0)
        config->limits.drain_delay_ms = SERVER_HANDOVER_MS;
    if (config->listen != NULL)
        add_list(config, (const char *const *)config->listen);
    else if (passed[0] == NULL)
        add_list(config, fallback);
}

/* Pairs certificates with keys, and decides whether clients must show a certificate. */
static void check_tls(server_config_t *config) {
    config_t *c = &config->config;
    config->pair_count = config_count(config->certs);
    if (config->pair_count != config_count(config->keys)) {
        config_fault(c, "cert", "each one needs a key");
        return;
    }
    if (config->pair_count > SERVER_PAIRS_MAX) {
        config_fault(c, "cert", "more than %d", SERVER_PAIRS_MAX);
        return;
    }
    for (size_t i = 0; i < config->pair_count; i++)
        config->pairs[i] =
            (wst_tls_file_pair_t){sizeof(wst_tls_file_pair_t), config->certs[i], config->keys[i]};
    if (config->client_cert < 0)
        config->client_cert =
            config->client_ca != NULL ? WST_TLS_CLIENT_REQUIRED : WST_TLS_CLIENT_NONE;
    if (config->client_cert != WST_TLS_CLIENT_NONE && config->client_ca == NULL)
        config_fault(c, "client_cert", "needs client_ca");
    if (config->client_ca != NULL && config->pair_count == 0)
        config_fault(c, "client_ca", "needs cert and key");
}

/* Whether every client and agent must show a certificate, which is authentication enough. */
static bool needs_certificate(const server_config_t *config) {
    bool plain = false;
    for (size_t i = 0; i < config->listener_count; i++)
        plain = plain || (config->listeners[i].roles & WST_LISTEN_PLAIN) != 0;
    return config->client_cert == WST_TLS_CLIENT_REQUIRED && !plain;
}

/* The whole configuration -------------------------------------------------------------------- */

static const config_field_t members[] = {
    {.name = "listen",
     .kind = CONFIG_LIST,
     .offset = offsetof(server_config_t, listen),
     .fixed = true},
    {.name = "trust",
     .kind = CONFIG_LIST,
     .offset = offsetof(server_config_t, trust),
     .fixed = true},
    {.name = "cert", .kind = CONFIG_LIST, .offset = offsetof(server_config_t, certs)},
    {.name = "key", .kind = CONFIG_LIST, .offset = offsetof(server_config_t, keys)},
    {.name = "client_ca",
     .kind = CONFIG_TEXT,
     .offset = offsetof(server_config_t, client_ca),
     .fixed = true},
    {.name = "client_cert",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(server_config_t, client_cert),
     .choices = "none|optional|required",
     .fixed = true},
    {.name = "path",
     .kind = CONFIG_TEXT,
     .offset = offsetof(server_config_t, options.path),
     .fixed = true},
    {.name = "protocol",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(server_config_t, protocol),
     .choices = "wstunnel|talk",
     .fixed = true},
    {.name = "agent_token_file",
     .kind = CONFIG_TEXT,
     .offset = offsetof(server_config_t, agent_token_file)},
    {.name = "agent_token",
     .kind = CONFIG_SECRET,
     .offset = offsetof(server_config_t, agent_token),
     .max = CONFIG_SECRET_MAX,
     .variable = "WSTUNNEL_AGENT_TOKEN"},
    {.name = "user_file", .kind = CONFIG_TEXT, .offset = offsetof(server_config_t, user_file)},
    {.name = "insecure_open",
     .kind = CONFIG_FLAG,
     .offset = offsetof(server_config_t, options.allow_open),
     .fixed = true},
    {.name = "log_level",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(server_config_t, log_level),
     .choices = LOG_LEVELS},
    {.name = "log_format",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(server_config_t, log_format),
     .choices = LOG_FORMATS},
    {.name = "users", .kind = CONFIG_OTHER, .read = read_users},
    {.name = "agents", .kind = CONFIG_OTHER, .read = read_agents},
    {.name = "rules", .kind = CONFIG_OTHER, .read = read_rules},
    {.name = "routes", .kind = CONFIG_OTHER, .read = read_routes},
    {.name = "nat64",
     .kind = CONFIG_LIST,
     .offset = offsetof(server_config_t, access.rules.nat64),
     .file_only = true},
    {.name = "kick",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(server_config_t, kick),
     .choices = "none|users|all"},
    {.name = "resume_grace",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(server_config_t, resume_grace),
     .size = sizeof(uint64_t),
     .max = DAY_MS / 1000,
     .line_only = true},
    {.name = "no_resume",
     .kind = CONFIG_FLAG,
     .offset = offsetof(server_config_t, options.no_resume),
     .file_only = true,
     .fixed = true},
    {.name = "pac",
     .kind = CONFIG_LIST,
     .offset = offsetof(server_config_t, pac.destinations),
     .file_only = true},
    {.name = "pac_proxy",
     .kind = CONFIG_TEXT,
     .offset = offsetof(server_config_t, pac.proxy),
     .file_only = true},
    {.name = "ports", .kind = CONFIG_OTHER, .read = read_ports},
    {.name = "admins", .kind = CONFIG_OTHER, .read = read_admins},
    {.name = "port",
     .kind = CONFIG_LIST,
     .offset = offsetof(server_config_t, port),
     .line_only = true},
    {.name = "realm",
     .kind = CONFIG_TEXT,
     .offset = offsetof(server_config_t, access.options.realm),
     .file_only = true},
    {.name = "no_basic",
     .kind = CONFIG_FLAG,
     .offset = offsetof(server_config_t, access.options.no_basic),
     .file_only = true},
    {.name = "user_selects_agent",
     .kind = CONFIG_FLAG,
     .offset = offsetof(server_config_t, access.options.user_selects_agent),
     .file_only = true},
    {.name = "limits", .kind = CONFIG_OTHER, .read = read_limits},
};
const config_fields_t server_config_fields = {members, sizeof(members) / sizeof(members[0])};

bool server_config_read(server_config_t *config, const options_t *options) {
    config_t *c = &config->config;
    *config = (server_config_t){.log_level = WST_LOG_INFO,
                                .client_cert = -1,
                                .kick = KICK_USERS,
                                .resume_grace = UINT64_MAX,
                                .options.size = sizeof(config->options),
                                .limits.size = sizeof(config->limits),
                                .pac.size = sizeof(config->pac),
                                .access.options.size = sizeof(config->access.options)};
    config->file = options->config_file;
    options_read(c, options, &server_config_fields, config);
    options_pick_secret(c, options, "agent_token", &config->agent_token, &config->agent_token_file,
                        "WSTUNNEL_AGENT_TOKEN");
    add_others(config);
    add_listeners(config);
    check_tls(config);
    if (config->pac.proxy != NULL && config->pac.destinations == NULL)
        config_fault(c, "pac_proxy", "needs pac");
    port_config_check(c, &config->ports, &config->access, config->file);
    config->certified = needs_certificate(config);
    config->open_to_operators =
        config->options.allow_open; /* a client's certificate is no account */
    config->options.allow_open = config->options.allow_open || config->certified;
    config->options.protocol = (wst_protocol_t)config->protocol;
    if (config->resume_grace == 0)
        config->options.no_resume = true;
    else if (config->resume_grace != UINT64_MAX)
        config->limits.resume_grace_ms = config->resume_grace * 1000;
    config->options.trust = (const char *const *)config->trust;
    return c->error_count == 0;
}

void server_config_free(server_config_t *config) {
    config_free(&config->config);
    *config = (server_config_t){0};
}

bool server_config_same_pairs(const server_config_t *a, const server_config_t *b) {
    bool same = a->pair_count == b->pair_count;
    for (size_t i = 0; i < a->pair_count && same; i++)
        same = strcmp(a->pairs[i].chain, b->pairs[i].chain) == 0 &&
               strcmp(a->pairs[i].key, b->pairs[i].key) == 0;
    return same;
}

void server_config_compare(char *out, size_t size, const server_config_t *old,
                           const server_config_t *now) {
    out[0] = '\0';
    config_compare(out, size, &server_config_fields, old, now);
    config_compare(out, size, &limits, old, now);
}
