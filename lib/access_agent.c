/* SPDX-License-Identifier: MIT */
/* Which agent it is that wants to connect. */
#include "access.h"
#include "http_auth.h"

/* Looks at all tokens, whichever it is. */
static const wst__access_agent_t *agent_by_token(const wst_access_t *access, wst_str_t token) {
    const wst__access_agent_t *found = NULL;
    uint8_t hash[32];
    if (wst__hash(WST__SHA256, hash, &token, 1) != 0)
        return NULL;
    for (size_t i = 0; i < access->agent_count; i++) {
        const wst__access_agent_t *agent = &access->agents[i];
        for (size_t k = 0; k < agent->token_count; k++) {
            if (wst__equal_constant_time(hash, sizeof(hash), agent->tokens[k], sizeof(hash)))
                found = agent;
        }
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

static void allow(wst_request_t *request, const wst__access_agent_t *agent) {
    wst_request_set_user(request, agent->name);
    wst_request_set_tenant(request, agent->tenant);
    wst_request_allow(request);
}

void wst_access_agent_request(wst_access_t *access, wst_server_t *server, wst_request_t *request) {
    (void)server;
    const char *peer = wst_request_peer(request);
    const wst__access_agent_t *agent = agent_by_certificate(access, request);
    wst_str_t token;
    wst__limiter_key_t key;
    bool counted = access->limiter != NULL && wst__limiter_key(access->limiter, &key, peer, NULL);
    if (agent == NULL && counted && wst__access_limited(access, request, &key))
        return;
    bool any = agent == NULL &&
               wst__auth_text(&token, wst_request_head(request), "Authorization", "Bearer");
    if (any)
        agent = agent_by_token(access, token);
    if (agent != NULL || access->agent_count == 0) {
        static const wst__access_agent_t anybody = {.name = "", .tenant = ""};
        allow(request, agent != NULL ? agent : &anybody);
        return;
    }
    if (any && counted)
        wst__access_failed(access, &key, peer);
    wst_request_deny(request, 401,
                     any ? "Unauthorized: this token is nobody's"
                         : "Unauthorized: no agent's token",
                     "WWW-Authenticate: Bearer\r\n");
}
