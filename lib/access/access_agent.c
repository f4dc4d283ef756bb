/* SPDX-License-Identifier: MIT */
/* Authentication of an agent. */
#include "access.h"
#include "glob.h"
#include "http_auth.h"

#include <string.h>

/* Bytes of a token that is not subject to limits, since nobody can guess it. So wrong tokens of
 * others at an agent's address do not keep the agent out. */
enum { UNGUESSABLE = 32 };

/* Whether the agent has a token with that hash. Compares all tokens, so that the time tells
 * nothing. */
static bool has_token(const wst__access_agent_t *agent, const uint8_t hash[32]) {
    bool found = false;
    for (size_t i = 0; i < agent->token_count; i++)
        found |= wst__equal_constant_time(hash, 32, agent->tokens[i], 32);
    return found;
}

/* Sets `hash` to the token's, and finds its agent. Compares all agents, so that the time does not
 * tell which one matches. */
static const wst__access_agent_t *agent_by_token(const wst_access_t *access, wst_str_t token,
                                                 uint8_t hash[32]) {
    const wst__access_agent_t *found = NULL;
    if (wst__hash(WST__SHA256, hash, &token, 1) != 0)
        return NULL;
    for (size_t i = 0; i < access->agent_count; i++) {
        if (has_token(&access->agents[i], hash))
            found = &access->agents[i];
    }
    return found;
}

static const wst__access_agent_t *agent_by_certificate(const wst_access_t *access,
                                                       const wst_request_t *request) {
    for (size_t i = 0; i < access->agent_count; i++) {
        const char *pattern = access->agents[i].certificate;
        if (pattern != NULL && wst__access_certificate(pattern, request))
            return &access->agents[i];
    }
    return NULL;
}

static void allow(wst_request_t *request, const wst__access_agent_t *agent,
                  const uint8_t credential[32]) {
    wst_request_set_user(request, agent->name);
    wst_request_set_tenant(request, agent->tenant);
    wst_request_set_labels(request, agent->labels);
    wst_request_set_credential(request, credential);
    wst_request_allow(request);
}

static void deny(wst_request_t *request, bool has_token) {
    wst_request_deny(request, 401,
                     has_token ? "Unauthorized: this token is nobody's"
                               : "Unauthorized: no agent's token",
                     "WWW-Authenticate: Bearer\r\n");
}

void wst_access_agent_request(wst_access_t *access, wst_server_t *server, wst_request_t *request) {
    static const wst__access_agent_t anybody = {.name = "", .tenant = ""};
    (void)server;
    const wst__access_agent_t *agent =
        access->agent_count > 0 ? agent_by_certificate(access, request) : &anybody;
    if (agent != NULL) {
        allow(request, agent, agent->certificate_hash);
        return;
    }
    wst_str_t token;
    uint8_t hash[32];
    bool any = wst__auth_text(&token, wst_request_head(request), "Authorization", "Bearer");
    agent = any ? agent_by_token(access, token, hash) : NULL;
    const wst__attempt_t attempt = wst__access_attempt(access->agent_attempts, request, NULL);
    bool unguessable = agent != NULL && token.len >= UNGUESSABLE;
    if (!unguessable &&
        wst__access_limited(access, access->agent_attempts, request, &attempt, NULL))
        return;
    if (any && !unguessable)
        wst__access_checked(access, access->agent_attempts, request, &attempt, agent == NULL);
    if (agent != NULL)
        allow(request, agent, hash);
    else
        deny(request, any);
}

/* Whether the credential that admitted a session is still valid. */
static bool is_valid(const wst_admission_t *admission, void *user_data) {
    const wst_access_t *access = user_data;
    for (size_t i = 0; i < access->agent_count; i++) {
        const wst__access_agent_t *agent = &access->agents[i];
        const char *name = admission->name;
        bool known = has_token(agent, admission->credential) ||
                     (agent->certificate != NULL &&
                      memcmp(agent->certificate_hash, admission->credential, 32) == 0);
        if (known && strcmp(agent->tenant, admission->tenant) == 0 &&
            (name == NULL || wst__glob(agent->name, (wst_str_t){name, strlen(name)})))
            return true;
    }
    return access->agent_count == 0;
}

void wst_access_review_agents(wst_access_t *access, wst_server_t *server) {
    wst_server_review_agents(server, is_valid, access);
}
