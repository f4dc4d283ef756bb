/* SPDX-License-Identifier: MIT */
/* Access control in the server's configuration (access_config.h). It is read here and checked by
 * wst_access_new(), whose errors are reported with their place in the configuration. */
#include "access_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { USER_FILE_MAX = 1024, USER_NAME_MAX = 127, PLACE_MAX = 256 };

/* Copies an array of `count` elements and adds room for `more`. NULL: no memory. */
static void *extend(config_t *c, const void *array, size_t size, size_t count, size_t more) {
    char *grown = config_alloc(c, (count + more) * size);
    if (grown != NULL && count > 0)
        memcpy(grown, array, count * size);
    return grown;
}

/* Users -------------------------------------------------------------------------------------- */

typedef struct user {
    wst_access_user_t user;
    const char *password_file;
} user_t;

static const config_field_t user_members[] = {
    {.name = "name", .kind = CONFIG_TEXT, .offset = offsetof(user_t, user.name)},
    {.name = "password",
     .kind = CONFIG_SECRET,
     .offset = offsetof(user_t, user.password),
     .max = CONFIG_SECRET_MAX},
    {.name = "password_file", .kind = CONFIG_TEXT, .offset = offsetof(user_t, password_file)},
    {.name = "ha1_sha256", .kind = CONFIG_SECRET, .offset = offsetof(user_t, user.ha1_sha256)},
    {.name = "ha1_md5", .kind = CONFIG_SECRET, .offset = offsetof(user_t, user.ha1_md5)},
    {.name = "certificate", .kind = CONFIG_TEXT, .offset = offsetof(user_t, user.certificate)},
    {.name = "tenant", .kind = CONFIG_TEXT, .offset = offsetof(user_t, user.tenant)},
};
static const config_fields_t user_fields = {user_members,
                                            sizeof(user_members) / sizeof(user_members[0])};

static void check_user(config_t *c, const config_node_t *node, void *target) {
    user_t *user = target;
    user->user.size = sizeof(user->user);
    config_resolve_secret(c, node, "password", &user->user.password, user->password_file);
}

void access_config_read_users(config_t *c, const config_node_t *node, access_config_t *access) {
    size_t count;
    config_refuse_empty(c, node);
    const user_t *users =
        config_read_array(c, node, &user_fields, sizeof(*users), &count, check_user);
    access->users = config_alloc(c, (count + 1) * sizeof(*access->users));
    for (size_t i = 0; i < count && access->users != NULL; i++)
        access->users[i] = users[i].user;
    access->options.user_count = access->file_users = count;
}

/* What a line of `wstunnel-server passwd` has in place of a password: a hash for Digest and Basic.
 */
static const char hash_mark[] = "{ha1-sha256}";

/* Reads "NAME:PASSWORD" or "NAME:{ha1-sha256}HASH". False: malformed. */
static bool read_user_line(config_t *c, wst_access_user_t *user, const char *line) {
    const char *colon = strchr(line, ':');
    size_t name = colon != NULL ? (size_t)(colon - line) : 0;
    if (name == 0 || name > USER_NAME_MAX || colon[1] == '\0' ||
        strlen(colon + 1) > CONFIG_SECRET_MAX)
        return false;
    const char *secret = colon + 1;
    bool hashed = strncmp(secret, hash_mark, strlen(hash_mark)) == 0;
    if (hashed)
        secret += strlen(hash_mark);
    user->name = config_copy(c, line, name);
    *(hashed ? &user->ha1_sha256 : &user->password) = config_copy(c, secret, strlen(secret));
    return true;
}

/* Reads a line, without its end. 1; 0 after the last one; -1: too long, or with a zero byte. */
static int read_line(FILE *file, char *line, size_t size) {
    size_t len = 0;
    int c;
    while ((c = getc(file)) != EOF && c != '\n') {
        if (c == '\0' || len + 1 == size)
            return -1;
        line[len++] = (char)c;
    }
    line[len] = '\0';
    line[strcspn(line, "\r")] = '\0';
    return len > 0 || c != EOF ? 1 : 0;
}

/* Returns the number of users, or -1 if the file is malformed, which has been noted. */
static int read_user_lines(config_t *c, FILE *file, const char *path, wst_access_user_t *users) {
    char line[USER_NAME_MAX + CONFIG_SECRET_MAX + 8], place[PLACE_MAX];
    int count = 0, got;
    for (unsigned number = 1; (got = read_line(file, line, sizeof(line))) != 0; number++) {
        if (got > 0 && (line[0] == '\0' || line[0] == '#'))
            continue;
        if (got < 0 || count == USER_FILE_MAX || !read_user_line(c, &users[count], line)) {
            snprintf(place, sizeof(place), "%s:%u", path, number);
            config_fault(c, place,
                         "not NAME:PASSWORD (of at most %d and %d bytes), or more than %d users",
                         USER_NAME_MAX, CONFIG_SECRET_MAX, USER_FILE_MAX);
            count = -1;
            break;
        }
        users[count++].size = sizeof(*users);
    }
    config_wipe(line, sizeof(line));
    if (ferror(file)) {
        config_fault(c, path, "cannot read it: %s", strerror(errno));
        return -1;
    }
    if (count == 0)
        config_fault(c, path, "no users in it");
    return count;
}

void access_config_add_user_file(config_t *c, access_config_t *access, const char *path) {
    size_t before = access->options.user_count;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        config_fault(c, path, "cannot open it: %s", strerror(errno));
        return;
    }
    config_note_secret_file(c, path);
    wst_access_user_t *users = extend(c, access->users, sizeof(*users), before, USER_FILE_MAX);
    int count = users != NULL ? read_user_lines(c, file, path, users + before) : -1;
    fclose(file);
    if (count > 0) {
        access->users = users;
        access->options.user_count = before + (size_t)count;
    }
}

/* Agents ------------------------------------------------------------------------------------- */

typedef struct agent {
    wst_access_agent_t agent;
    const char *token, *token_file;
} agent_t;

static const config_field_t agent_members[] = {
    {.name = "name", .kind = CONFIG_TEXT, .offset = offsetof(agent_t, agent.name)},
    {.name = "token",
     .kind = CONFIG_SECRET,
     .offset = offsetof(agent_t, token),
     .max = CONFIG_SECRET_MAX},
    {.name = "token_file", .kind = CONFIG_TEXT, .offset = offsetof(agent_t, token_file)},
    {.name = "tokens_sha256",
     .kind = CONFIG_LIST,
     .offset = offsetof(agent_t, agent.tokens_sha256)},
    {.name = "certificate", .kind = CONFIG_TEXT, .offset = offsetof(agent_t, agent.certificate)},
    {.name = "tenant", .kind = CONFIG_TEXT, .offset = offsetof(agent_t, agent.tenant)},
    {.name = "labels", .kind = CONFIG_LIST, .offset = offsetof(agent_t, agent.labels)},
};
static const config_fields_t agent_fields = {agent_members,
                                             sizeof(agent_members) / sizeof(agent_members[0])};

/* Returns the hashes with the token's hash appended. NULL: an error, which has been noted. */
static const char *const *add_hash(config_t *c, const char *const *hashes, const char *token) {
    size_t count = config_count(hashes);
    const char **all = extend(c, hashes, sizeof(*all), count, 2);
    char *hash = config_alloc(c, WST_AUTH_HASH_MAX);
    if (all == NULL || hash == NULL)
        return NULL;
    int status = wst_auth_sha256(hash, token);
    if (status != 0)
        config_fault(c, NULL, "cannot hash a token: %s", wst_strerror(status));
    all[count] = hash;
    return all;
}

static void check_agent(config_t *c, const config_node_t *node, void *target) {
    agent_t *agent = target;
    agent->agent.size = sizeof(agent->agent);
    config_resolve_secret(c, node, "token", &agent->token, agent->token_file);
    const config_node_t member =
        config_member(node, agent->token_file != NULL ? "token_file" : "token");
    if (agent->token != NULL && !config_is_token(agent->token))
        config_wrong(c, &member, "%s", CONFIG_TOKEN_FAULT);
    else if (agent->token != NULL)
        agent->agent.tokens_sha256 = add_hash(c, agent->agent.tokens_sha256, agent->token);
}

void access_config_read_agents(config_t *c, const config_node_t *node, access_config_t *access) {
    size_t count;
    config_refuse_empty(c, node);
    const agent_t *agents =
        config_read_array(c, node, &agent_fields, sizeof(*agents), &count, check_agent);
    access->agents = config_alloc(c, (count + 1) * sizeof(*access->agents));
    for (size_t i = 0; i < count && access->agents != NULL; i++)
        access->agents[i] = agents[i].agent;
    access->options.agent_count = access->file_agents = count;
}

void access_config_add_token(config_t *c, access_config_t *access, const char *token) {
    size_t count = access->options.agent_count;
    wst_access_agent_t *agents = extend(c, access->agents, sizeof(*agents), count, 1);
    if (!config_is_token(token))
        config_fault(c, "agent_token", "%s", CONFIG_TOKEN_FAULT);
    if (agents == NULL)
        return;
    agents[count] = (wst_access_agent_t){
        .size = sizeof(wst_access_agent_t), .name = "*", .tokens_sha256 = add_hash(c, NULL, token)};
    access->agents = agents;
    access->options.agent_count++;
}

/* Rules and routes --------------------------------------------------------------------------- */

void access_config_read_rules(config_t *c, const config_node_t *node, access_config_t *access) {
    rules_config_read(c, node, true, &access->rules);
}

static const config_field_t route_members[] = {
    {.name = "users", .kind = CONFIG_LIST, .offset = offsetof(wst_access_route_t, users)},
    {.name = "destinations",
     .kind = CONFIG_LIST,
     .offset = offsetof(wst_access_route_t, destinations)},
    {.name = "agents", .kind = CONFIG_LIST, .offset = offsetof(wst_access_route_t, agents)},
};
static const config_fields_t route_fields = {route_members,
                                             sizeof(route_members) / sizeof(route_members[0])};

static void check_route(config_t *c, const config_node_t *node, void *target) {
    (void)c, (void)node;
    ((wst_access_route_t *)target)->size = sizeof(wst_access_route_t);
}

void access_config_read_routes(config_t *c, const config_node_t *node, access_config_t *access) {
    access->options.routes = config_read_array(c, node, &route_fields, sizeof(wst_access_route_t),
                                               &access->options.route_count, check_route);
}

/* The access object -------------------------------------------------------------------------- */

/* Notes an error at its place: "users[2].password", or the option that the text came from. */
static void note_error(config_t *c, const access_config_t *access, const wst_access_error_t *e) {
    char place[PLACE_MAX];
    if (strcmp(e->list, "users") == 0 && e->index >= access->file_users)
        snprintf(place, sizeof(place), "user_file: user %s: %s", access->users[e->index].name,
                 e->member);
    else if (strcmp(e->list, "agents") == 0 && e->index >= access->file_agents)
        snprintf(place, sizeof(place), "agent_token: %s", e->member);
    else if (e->list[0] != '\0')
        snprintf(place, sizeof(place), "%s[%zu].%s", e->list, e->index, e->member);
    else
        snprintf(place, sizeof(place), "%s", e->member);
    /* A user may have written the token itself in place of its hash: do not print it. */
    bool secret = strcmp(e->member, "tokens_sha256") == 0;
    if (e->item != NULL && !secret)
        config_fault(c, place, "'%s': %s", e->item, e->why);
    else
        config_fault(c, place, "%s", e->why);
}

int access_config_make(config_t *c, access_config_t *access, wst_ctx_t *ctx, wst_access_t **out) {
    wst_access_error_t error;
    size_t before = c->error_count;
    access->options.users = access->users;
    access->options.agents = access->agents;
    wst_rules_t *rules = rules_config_make(c, &access->rules);
    if (c->error_count > before)
        return WST_EINVAL;
    access->options.rules = rules;
    int status = wst_access_new(out, ctx, &access->options, &error);
    access->options.rules = NULL;
    if (status == 0)
        return 0;
    wst_rules_free(rules);
    if (status == WST_EINVAL)
        note_error(c, access, &error);
    else
        config_fault(c, NULL, "%s", wst_strerror(status));
    return status;
}
