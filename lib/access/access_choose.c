/* SPDX-License-Identifier: MIT */
/*
 * Chooses the agent that serves a client, and checks the address that the agent has reached, at
 * first and when the rules have changed. An agent's labels are those of the entry that covers its
 * name; no two entries of a tenant cover the same name.
 */
#include "access.h"
#include "glob.h"
#include "text.h"

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
static bool write_question(question_t *q, const char *destination, const char *user) {
    wst_authority_t a;
    if (wst_parse_authority(&a, (wst_str_t){destination, strlen(destination)}, NULL) != 0)
        return false;
    wst__text_copy(q->host, sizeof(q->host), a.host);
    q->query = (wst_rules_query_t){
        .size = sizeof(wst_rules_query_t), .user = user, .host = q->host, .port = a.port};
    return true;
}

static bool read_question(question_t *q, const wst_request_t *request) {
    return write_question(q, wst_request_destination(request), wst_request_user(request));
}

enum { DENIAL_TEXT = 64 };

/* Names the kind of rule that denies. */
static void write_denial(char out[DENIAL_TEXT], wst_rules_verdict_t verdict) {
    switch (verdict.reason) {
    case WST_RULES_RULE:
        snprintf(out, DENIAL_TEXT, "Denied by rule %zu of the server", verdict.rule + 1);
        break;
    case WST_RULES_DEFAULT:
        snprintf(out, DENIAL_TEXT, "No rule of the server allows it");
        break;
    default:
        snprintf(out, DENIAL_TEXT, "Denied: a guarded address");
        break;
    }
}

/* `reached`: a reached address is denied, not a name. */
static void deny(wst_request_t *request, wst_rules_verdict_t verdict, bool reached) {
    char text[DENIAL_TEXT];
    write_denial(text, verdict);
    reached = reached || (verdict.reason != WST_RULES_RULE && verdict.reason != WST_RULES_DEFAULT);
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
static const wst__access_agent_t *entry_of(const wst_access_t *access, const char *tenant,
                                           const char *name) {
    static const wst__access_agent_t anybody;
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
    const char *name = wst_remote_name(remote);
    const wst__access_agent_t *entry = entry_of(c->access, wst_remote_tenant(remote), name);
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

/* Has the agent deny addresses that the rules deny before it connects to them. Rules that are too
 * long for that are enforced by wst_access_reached() only. */
static void limit_addresses(const choice_t *c, wst_request_t *request, const wst_remote_t *remote) {
    char networks[WST_NETWORKS_MAX + 1];
    const char *name = wst_remote_name(remote);
    const wst__access_agent_t *entry = entry_of(c->access, wst_remote_tenant(remote), name);
    wst_rules_query_t query = c->question.query;
    query.agent = name;
    query.labels = entry != NULL ? entry->labels : NULL;
    int len = wst_rules_networks(c->access->rules, &query, networks, sizeof(networks));
    if (len > 0)
        wst_request_set_networks(request, networks);
    if (len >= 0 && wst_rules_networks_suffice(c->access->rules, query.host))
        wst_request_allow_early(request);
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
    if (best != NULL)
        limit_addresses(&c, request, best);
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
    const char *name = remote != NULL ? wst_remote_name(remote) : "";
    const wst__access_agent_t *entry =
        remote != NULL ? entry_of(access, wst_remote_tenant(remote), name) : NULL;
    q.query.agent = name;
    q.query.labels = entry != NULL ? entry->labels : NULL;
    q.query.address = wst_request_address(request);
    wst_rules_verdict_t verdict = wst_rules_decide(access->rules, &q.query);
    if (verdict.allow)
        wst_request_allow(request);
    else
        deny(request, verdict, q.query.address[0] != '\0');
}

/* Reviewing ---------------------------------------------------------------------------------- */

typedef struct review {
    const wst_access_t *access;
    unsigned which;
    char text[DENIAL_TEXT];
} review_t;

/* Whether the flow's user is not in the list, where nobody else could know it. */
static bool is_removed(const wst_access_t *access, const char *user) {
    return user[0] != '\0' && wst_access_has_users(access) && access->on_user == NULL &&
           wst__access_find_user(access, user) == NULL;
}

/* Whether a rule denies the flow; writes which. An agent serves its own tenant only, so that the
 * flow's tenant is the agent's. */
static bool is_denied(review_t *r, const wst_stream_info_t *info) {
    question_t q;
    if (!write_question(&q, info->destination, info->user))
        return false;
    bool relays = info->id != 0, chosen = info->agent[0] != '\0';
    const wst__access_agent_t *entry =
        chosen ? entry_of(r->access, info->tenant, info->agent) : NULL;
    q.query.agent = chosen ? info->agent : NULL;
    q.query.labels = entry != NULL ? entry->labels : NULL;
    q.query.address = relays || info->address[0] != '\0' ? info->address : NULL;
    wst_rules_verdict_t verdict = wst_rules_decide(r->access->rules, &q.query);
    write_denial(r->text, verdict);
    return !verdict.allow;
}

static const char *review(const wst_stream_info_t *info, void *user_data) {
    review_t *r = user_data;
    if ((r->which & WST_ACCESS_REVIEW_USERS) != 0 && is_removed(r->access, info->user))
        return "the user no longer exists";
    if ((r->which & WST_ACCESS_REVIEW_RULES) != 0 && is_denied(r, info))
        return r->text;
    return NULL;
}

void wst_access_review_flows(wst_access_t *access, wst_server_t *server, unsigned which) {
    review_t r = {.access = access, .which = which};
    wst_server_review_flows(server, review, &r);
}
