/* SPDX-License-Identifier: MIT */
/*
 * Chooses the agent that serves a client, and checks the address that the agent has reached. An
 * agent's labels are those of the entry that covers its name; no two entries of a tenant cover the
 * same name.
 */
#include "access.h"
#include "glob.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_MAX = 255 };

/* Rules -------------------------------------------------------------------------------------- */

/* A client's request as a query of rules, which points to `host`. */
typedef struct question {
    wst_rules_query_t query;
    char host[HOST_MAX + 1];
} question_t;

/* False: the destination is malformed, which the flow has ruled out before. */
static bool read_question(question_t *q, const wst_request_t *request) {
    const char *destination = wst_request_destination(request);
    wst_authority_t a;
    if (wst_parse_authority(&a, (wst_str_t){destination, strlen(destination)}, NULL) != 0)
        return false;
    snprintf(q->host, sizeof(q->host), "%.*s", (int)a.host.len, a.host.ptr);
    q->query = (wst_rules_query_t){.size = sizeof(wst_rules_query_t),
                                   .user = wst_request_user(request),
                                   .host = q->host,
                                   .port = a.port};
    return true;
}

/* Denies with the kind of rule as reason. `reached`: a reached address is denied, not a name. */
static void deny(wst_request_t *request, wst_rules_verdict_t verdict, bool reached) {
    char text[64];
    switch (verdict.reason) {
    case WST_RULES_RULE:
        snprintf(text, sizeof(text), "Denied by rule %zu of the server", verdict.rule + 1);
        break;
    case WST_RULES_DEFAULT:
        snprintf(text, sizeof(text), "No rule of the server allows it");
        break;
    default:
        snprintf(text, sizeof(text), "Denied: a guarded address");
        reached = true;
        break;
    }
    wst_request_deny_with(request,
                          &(wst_request_denial_t){.size = sizeof(wst_request_denial_t),
                                                  .status = 403,
                                                  .error = reached ? "destination_ip_prohibited"
                                                                   : "http_request_denied",
                                                  .reason = text});
}

/* Choosing ----------------------------------------------------------------------------------- */

/* The entry that covers the agent's name; NULL: no entry does (any more). Without any entries every
 * agent may serve, and has no labels. */
static const wst__access_agent_t *entry_of(const wst_access_t *access, const wst_remote_t *remote) {
    static const wst__access_agent_t anybody;
    const char *name = wst_remote_name(remote), *tenant = wst_remote_tenant(remote);
    const wst__access_agent_t key = {.name = name, .tenant = tenant};
    if (access->agent_count == 0)
        return &anybody;
    const wst__access_agent_t *found =
        bsearch(&key, access->agents, access->named_count, sizeof(key), wst__access_compare_agents);
    for (size_t i = access->named_count; i < access->agent_count && found == NULL; i++) {
        const wst__access_agent_t *agent = &access->agents[i];
        if (strcmp(agent->tenant, tenant) == 0 &&
            wst__glob(agent->name, (wst_str_t){name, strlen(name)}))
            found = agent;
    }
    return found;
}

static const char label[] = "label:";

/* Whether a list of patterns (names, or labels after "label:") matches an agent. */
static bool is_listed(const char *const *list, const char *name, const char *const *labels) {
    for (; *list != NULL; list++) {
        if (strncmp(*list, label, strlen(label)) != 0) {
            if (wst__glob(*list, (wst_str_t){name, strlen(name)}))
                return true;
            continue;
        }
        for (const char *const *l = labels; l != NULL && *l != NULL; l++) {
            if (wst__glob(*list + strlen(label), (wst_str_t){*l, strlen(*l)}))
                return true;
        }
    }
    return false;
}

/* The list's only element, if that is a plain name, not a pattern or label; else NULL. `list` may
 * be NULL. */
static const char *single_name(const char *const *list) {
    bool is_name = list != NULL && list[0] != NULL && list[1] == NULL &&
                   strchr(list[0], '*') == NULL && strncmp(list[0], label, strlen(label)) != 0;
    return is_name ? list[0] : NULL;
}

/* Which agents may serve a request. */
typedef struct choice {
    const wst_access_t *access;
    question_t question;
    const char *const *route;    /* patterns of names and labels; NULL: any agent */
    const char *wanted;          /* name of the agent that the client selects; NULL: any */
    size_t denied;               /* agents that only a rule excludes, ... */
    wst_rules_verdict_t verdict; /* ... and the verdict on the last of them */
} choice_t;

static bool admits(const wst_remote_t *remote, void *user_data) {
    choice_t *c = user_data;
    const wst__access_agent_t *entry = entry_of(c->access, remote);
    const char *name = wst_remote_name(remote);
    if (entry == NULL || (c->wanted != NULL && strcmp(c->wanted, name) != 0) ||
        (c->route != NULL && !is_listed(c->route, name, entry->labels)))
        return false;
    wst_rules_query_t query = c->question.query;
    query.agent = name;
    query.labels = entry->labels;
    wst_rules_verdict_t verdict = wst_rules_decide(c->access->rules, &query);
    if (!verdict.allow) {
        c->denied++;
        c->verdict = verdict;
    }
    return verdict.allow;
}

/* Name of the agent that the client selects by "user+agent"; NULL: none. Points into `claimed`. */
static const char *wanted_agent(const wst_access_t *access, const wst_request_t *request,
                                char claimed[WST_AUTH_MAX]) {
    const char *user = wst_request_user(request);
    size_t len = strlen(user);
    if (!access->selects || !wst_access_has_users(access) ||
        !wst__access_claimed(request, claimed) || strncmp(claimed, user, len) != 0 ||
        claimed[len] != '+')
        return NULL;
    return claimed + len + 1;
}

void wst_access_choose(wst_access_t *access, wst_server_t *server, wst_request_t *request) {
    choice_t c = {.access = access};
    char claimed[WST_AUTH_MAX];
    if (!read_question(&c.question, request)) {
        wst_request_deny(request, 400, NULL, NULL);
        return;
    }
    const wst_rules_query_t *query = &c.question.query;
    wst_rules_verdict_t verdict = wst_rules_decide(access->rules, query);
    if (!verdict.allow) {
        deny(request, verdict, false);
        return;
    }
    if (access->routes != NULL) {
        verdict = wst_rules_decide(access->routes, query);
        if (verdict.reason == WST_RULES_RULE)
            c.route = access->route_agents[verdict.rule];
    }
    c.wanted = wanted_agent(access, request, claimed);
    const char *name = c.wanted != NULL ? c.wanted : single_name(c.route);
    wst_remote_t *best = name != NULL ? wst_server_best_named(server, request, name, admits, &c)
                                      : wst_server_best_agent(server, request, admits, &c);
    if (best == NULL && c.denied > 0)
        deny(request, c.verdict, false);
    else
        wst_request_choose(request, best);
}

void wst_access_reached(wst_access_t *access, wst_server_t *server, wst_request_t *request) {
    (void)server;
    question_t q;
    const wst_remote_t *remote = wst_request_remote(request);
    if (!read_question(&q, request)) {
        wst_request_deny(request, 400, NULL, NULL);
        return;
    }
    const wst__access_agent_t *entry = remote != NULL ? entry_of(access, remote) : NULL;
    q.query.agent = remote != NULL ? wst_remote_name(remote) : "";
    q.query.labels = entry != NULL ? entry->labels : NULL;
    q.query.address = wst_request_address(request);
    wst_rules_verdict_t verdict = wst_rules_decide(access->rules, &q.query);
    if (verdict.allow)
        wst_request_allow(request);
    else
        deny(request, verdict, q.query.address[0] != '\0');
}
