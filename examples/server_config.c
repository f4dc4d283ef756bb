/* SPDX-License-Identifier: MIT */
/* The configuration of the server (server_config.h). */
#include "server_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

enum { DAY_MS = 86400000, USER_FILE_MAX = 1024, USER_NAME_MAX = 127, PLACE_MAX = 256 };

/* A number of "limits", of the library's options. */
#define LIMIT(member, low, high)                                                                   \
    {                                                                                              \
        .name = #member, .kind = CONFIG_NUMBER,                                                    \
        .offset = offsetof(server_config_t, options.member),                                       \
        .size = sizeof(((server_config_t *)NULL)->options.member), .min = (low), .max = (high),    \
        .fixed = true                                                                              \
    }

static const config_field_t limit_members[] = {
    LIMIT(max_connections, 1, 1000000),
    LIMIT(max_pending, 1, 1000000),
    LIMIT(max_agent_streams, 1, 1000000),
    LIMIT(max_agent_sessions, 1, 1000000),
    LIMIT(max_handshakes, 1, 1000000),
    LIMIT(stream_window, 1024, 1 << 30),
    LIMIT(tls_timeout_ms, 1, DAY_MS),
    LIMIT(head_timeout_ms, 1, DAY_MS),
    LIMIT(decision_timeout_ms, 1, DAY_MS),
    LIMIT(hello_timeout_ms, 1, DAY_MS),
    LIMIT(dial_timeout_ms, 1, DAY_MS),
    LIMIT(half_closed_timeout_ms, 1, DAY_MS),
    LIMIT(ping_interval_ms, 1, DAY_MS),
    LIMIT(dead_after_ms, 1, DAY_MS),
    LIMIT(drain_timeout_ms, 1, DAY_MS),
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

/* -- Who ------------------------------------------------------------------------------------- */

static const config_field_t user_members[] = {
    {.name = "name",
     .kind = CONFIG_TEXT,
     .offset = offsetof(server_user_t, name),
     .max = USER_NAME_MAX},
    {.name = "password",
     .kind = CONFIG_SECRET,
     .offset = offsetof(server_user_t, password),
     .max = CONFIG_SECRET_MAX},
    {.name = "password_file",
     .kind = CONFIG_TEXT,
     .offset = offsetof(server_user_t, password_file)},
};
static const config_fields_t user_fields = {user_members,
                                            sizeof(user_members) / sizeof(user_members[0])};

static const config_field_t agent_members[] = {
    {.name = "name",
     .kind = CONFIG_TEXT,
     .offset = offsetof(server_agent_t, name),
     .max = WST_NAME_MAX},
    {.name = "token",
     .kind = CONFIG_SECRET,
     .offset = offsetof(server_agent_t, token),
     .max = CONFIG_SECRET_MAX},
    {.name = "token_file", .kind = CONFIG_TEXT, .offset = offsetof(server_agent_t, token_file)},
};
static const config_fields_t agent_fields = {agent_members,
                                             sizeof(agent_members) / sizeof(agent_members[0])};

/* A secret given as itself or by a file, not both. */
static void resolve_secret(config_t *c, const config_node_t *node, const char *name,
                           const char **secret, const char *file) {
    char file_name[32];
    snprintf(file_name, sizeof(file_name), "%s_file", name);
    const config_node_t member = config_member(node, file_name);
    if (*secret != NULL && file != NULL)
        config_wrong(c, node, "only one of \"%s\" and \"%s\" may be there", name, file_name);
    else if (file != NULL)
        *secret = config_read_secret(c, &member, NULL, file);
}

static void check_user(config_t *c, const config_node_t *node, void *target) {
    server_user_t *user = target;
    if (user->name == NULL)
        config_wrong(c, node, "\"name\" is needed");
    if (user->password == NULL && user->password_file == NULL)
        config_wrong(c, node, "\"password\" or \"password_file\" is needed");
    resolve_secret(c, node, "password", &user->password, user->password_file);
}

static void check_agent(config_t *c, const config_node_t *node, void *target) {
    server_agent_t *agent = target;
    if (agent->name == NULL)
        config_wrong(c, node, "\"name\" is needed");
    if (agent->token == NULL && agent->token_file == NULL)
        config_wrong(c, node, "\"token\" or \"token_file\" is needed");
    resolve_secret(c, node, "token", &agent->token, agent->token_file);
}

static void read_users(config_t *c, const config_node_t *node, void *target) {
    server_config_t *config = target;
    config->users = config_read_array(c, node, &user_fields, sizeof(*config->users),
                                      &config->user_count, check_user);
}

static void read_agents(config_t *c, const config_node_t *node, void *target) {
    server_config_t *config = target;
    config->agents = config_read_array(c, node, &agent_fields, sizeof(*config->agents),
                                       &config->agent_count, check_agent);
}

/* An array with room for `more` members behind its `count` ones of `size` bytes. NULL: no memory.
 */
static void *extend(config_t *c, const void *array, size_t size, size_t count, size_t more) {
    char *grown = config_alloc(c, (count + more) * size);
    if (grown != NULL && count > 0)
        memcpy(grown, array, count * size);
    return grown;
}

/* "NAME:PASSWORD". False: it is not. */
static bool add_user(server_config_t *config, const char *line) {
    const char *colon = strchr(line, ':');
    size_t name = colon != NULL ? (size_t)(colon - line) : 0;
    if (name == 0 || name > USER_NAME_MAX || colon[1] == '\0' ||
        strlen(colon + 1) > CONFIG_SECRET_MAX)
        return false;
    server_user_t *user = &config->users[config->user_count++];
    user->name = config_copy(&config->config, line, name);
    user->password = config_copy(&config->config, colon + 1, strlen(colon + 1));
    return true;
}

/* A line without its end: 1; behind the last: 0; too long: -1. */
static int read_line(FILE *file, char *line, size_t size) {
    if (fgets(line, (int)size, file) == NULL)
        return 0;
    size_t len = strcspn(line, "\n");
    bool whole = line[len] == '\n' || feof(file);
    line[strcspn(line, "\r\n")] = '\0';
    return whole ? 1 : -1;
}

/* Users in the form of one NAME:PASSWORD a line. */
static void read_user_file(server_config_t *config, const char *path) {
    config_t *c = &config->config;
    server_user_t *users =
        extend(c, config->users, sizeof(*users), config->user_count, USER_FILE_MAX);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        config_fault(c, path, "cannot open it: %s", strerror(errno));
    char line[USER_NAME_MAX + CONFIG_SECRET_MAX + 8], place[PLACE_MAX];
    size_t before = config->user_count;
    bool ok = file != NULL && users != NULL;
    config->users = users != NULL ? users : config->users;
    for (unsigned number = 1; ok; number++) {
        int got = read_line(file, line, sizeof(line));
        if (got == 0)
            break;
        ok = got > 0 && (line[0] == '\0' || line[0] == '#' ||
                         (config->user_count < before + USER_FILE_MAX && add_user(config, line)));
        snprintf(place, sizeof(place), "%s:%u", path, number);
        if (!ok)
            config_fault(c, place,
                         "not NAME:PASSWORD (of at most %d and %d bytes), or more than "
                         "%d users",
                         USER_NAME_MAX, CONFIG_SECRET_MAX, USER_FILE_MAX);
    }
    if (ok && config->user_count == before)
        config_fault(c, path, "no users in it");
    config_wipe(line, sizeof(line));
    if (file != NULL)
        fclose(file);
}

/* The token that any agent may present. */
static void add_common_agent(server_config_t *config) {
    config_t *c = &config->config;
    const char *token = config->agent_token;
    if (config->agent_token_file != NULL)
        token = config_read_secret(c, NULL, "agent_token_file", config->agent_token_file);
    server_agent_t *agents = extend(c, config->agents, sizeof(*agents), config->agent_count, 1);
    if (token == NULL || agents == NULL)
        return;
    agents[config->agent_count++] = (server_agent_t){.name = "*", .token = token};
    config->agents = agents;
}

/* -- Where ------------------------------------------------------------------------------------- */

/* "ADDR[,ROLE...]" */
static void add_listener(server_config_t *config, const char *text) {
    static const struct {
        const char *name;
        unsigned role;
    } roles[] = {{"connect", WST_ROLE_CONNECT},
                 {"agents", WST_ROLE_AGENTS},
                 {"health", WST_ROLE_HEALTH},
                 {"tls", WST_LISTEN_TLS},
                 {"plain", WST_LISTEN_PLAIN}};
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
            config_fault(c, "listen", "unknown role '%s' (connect, agents, health, tls, plain)",
                         word);
    }
    if ((listener->roles & WST_LISTEN_TLS) != 0 && config->certs == NULL)
        config_fault(c, "listen", "tls needs cert and key");
}

static void add_listeners(server_config_t *config) {
    static const char *const fallback[] = {"127.0.0.1:8080", NULL};
    const char *const *text =
        config->listen != NULL ? (const char *const *)config->listen : fallback;
    for (; *text != NULL; text++) {
        if (config->listener_count == SERVER_LISTENERS_MAX) {
            config_fault(&config->config, "listen", "more than %d addresses", SERVER_LISTENERS_MAX);
            return;
        }
        add_listener(config, *text);
    }
}

static size_t count_of(const char **list) {
    size_t count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

/* Certificates with their keys, and what clients have to show. */
static void check_tls(server_config_t *config) {
    config_t *c = &config->config;
    config->pair_count = count_of(config->certs);
    if (config->pair_count != count_of(config->keys)) {
        config_fault(c, "cert", "each one needs a key");
        return;
    }
    if (config->pair_count > SERVER_PAIRS_MAX) {
        config_fault(c, "cert", "more than %d", SERVER_PAIRS_MAX);
        return;
    }
    for (size_t i = 0; i < config->pair_count; i++)
        config->pairs[i] = (wst_tls_file_pair_t){config->certs[i], config->keys[i]};
    if (config->client_cert < 0)
        config->client_cert =
            config->client_ca != NULL ? WST_TLS_CLIENT_REQUIRED : WST_TLS_CLIENT_NONE;
    if (config->client_cert != WST_TLS_CLIENT_NONE && config->client_ca == NULL)
        config_fault(c, "client_cert", "needs client_ca");
    if (config->client_ca != NULL && config->pair_count == 0)
        config_fault(c, "client_ca", "needs cert and key");
}

/* Nobody comes in without a certificate: that is authentication. */
static bool needs_certificate(const server_config_t *config) {
    bool plain = false;
    for (size_t i = 0; i < config->listener_count; i++)
        plain = plain || (config->listeners[i].roles & WST_LISTEN_PLAIN) != 0;
    return config->client_cert == WST_TLS_CLIENT_REQUIRED && !plain;
}

/* -- All of it --------------------------------------------------------------------------------- */

static const config_field_t members[] = {
    {.name = "listen",
     .kind = CONFIG_LIST,
     .offset = offsetof(server_config_t, listen),
     .fixed = true},
    {.name = "cert",
     .kind = CONFIG_LIST,
     .offset = offsetof(server_config_t, certs),
     .fixed = true},
    {.name = "key", .kind = CONFIG_LIST, .offset = offsetof(server_config_t, keys), .fixed = true},
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
    {.name = "limits", .kind = CONFIG_OTHER, .read = read_limits},
};
const config_fields_t server_config_fields = {members, sizeof(members) / sizeof(members[0])};

bool server_config_read(server_config_t *config, const options_t *options) {
    config_t *c = &config->config;
    *config = (server_config_t){.log_level = WST_LOG_INFO, .client_cert = -1};
    options_read(c, options, &server_config_fields, config);
    options_pick_secret(c, options, "agent_token", &config->agent_token, &config->agent_token_file,
                        "WSTUNNEL_AGENT_TOKEN");
    if (config->user_file != NULL)
        read_user_file(config, config->user_file);
    if (config->agent_token != NULL || config->agent_token_file != NULL)
        add_common_agent(config);
    add_listeners(config);
    check_tls(config);
    config->options.allow_open = config->options.allow_open || needs_certificate(config);
    config->options.protocol = (wst_protocol_t)config->protocol;
    return c->error_count == 0;
}

void server_config_free(server_config_t *config) {
    config_free(&config->config);
    *config = (server_config_t){0};
}

void server_config_compare(char *out, size_t size, const server_config_t *old,
                           const server_config_t *now) {
    out[0] = '\0';
    config_compare(out, size, &server_config_fields, old, now);
    config_compare(out, size, &limits, old, now);
}
