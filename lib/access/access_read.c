/* SPDX-License-Identifier: MIT */
/* Checks the options of an access object and keeps copies of them. */
#include "access.h"
#include "defaults.h"
#include "glob.h"
#include "sized.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LOOKUPS = 1024 };

typedef struct reader {
    wst_access_t *access;
    wst_access_error_t *error;
    const char *list; /* "users", ...; "": the options themselves */
    size_t index;     /* of the list's element that is being read */
} reader_t;

static int wrong(const reader_t *r, const char *member, const char *item, const char *why) {
    *r->error = (wst_access_error_t){
        .list = r->list, .index = r->index, .member = member, .item = item, .why = why};
    return WST_EINVAL;
}

/* Copies the list's current element into `ours`, of `size` bytes. */
static int read_element(const reader_t *r, void *ours, size_t size, const void *list) {
    return wst__sized_read_at(ours, size, list, r->index) == 0
               ? 0
               : wrong(r, "size", NULL, "not set, or a member is unknown here");
}

/* Texts -------------------------------------------------------------------------------------- */

/* Copies a text for the life of the object; NULL becomes "". */
static int keep_text(const reader_t *r, const char **out, const char *text) {
    size_t len = text != NULL ? strlen(text) : 0;
    char *copy = wst__access_keep(r->access, len + 1);
    if (copy == NULL)
        return WST_ENOMEM;
    if (len > 0)
        memcpy(copy, text, len);
    *out = copy;
    return 0;
}

static size_t count_of(const char *const *list) {
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

static int keep_list(const reader_t *r, const char *const **out, const char *member,
                     const char *const *list) {
    size_t count = count_of(list);
    const char **copy = wst__access_keep(r->access, (count + 1) * sizeof(*copy));
    if (copy == NULL)
        return WST_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (list[i][0] == '\0' || strlen(list[i]) > WST__ACCESS_NAME_MAX ||
            !wst__access_is_text(list[i]))
            return wrong(r, member, list[i], "not 1 to 127 bytes without control characters");
        if (keep_text(r, &copy[i], list[i]) != 0)
            return WST_ENOMEM;
    }
    *out = copy;
    return 0;
}

static int read_tenant(const reader_t *r, const char **out, const char *tenant) {
    const char *flaw = wst__access_tenant_flaw(tenant);
    return flaw != NULL ? wrong(r, "tenant", NULL, flaw) : keep_text(r, out, tenant);
}

static int read_certificate(const reader_t *r, const char **out, const char *pattern) {
    const char *flaw = wst__access_certificate_flaw(pattern);
    if (flaw != NULL)
        return wrong(r, "certificate", NULL, flaw);
    return pattern != NULL ? keep_text(r, out, pattern) : 0;
}

/* Users -------------------------------------------------------------------------------------- */

/* The password itself is kept only if clients select agents: hashes do not cover "user+agent". */
static int read_user(const reader_t *r, wst__access_user_t *u, const wst_access_user_t *given) {
    const char *member, *flaw = wst__access_user_flaw(given, &member);
    if (flaw != NULL)
        return wrong(r, member, NULL, flaw);
    if (given->password == NULL && given->ha1_sha256 == NULL && given->ha1_md5 == NULL &&
        given->certificate == NULL)
        return wrong(r, "password", NULL, "neither it, nor its hashes, nor a certificate");
    u->index = r->index;
    int status = keep_text(r, &u->name, given->name);
    if (status == 0)
        status = read_tenant(r, &u->tenant, given->tenant);
    if (status == 0)
        status = read_certificate(r, &u->certificate, given->certificate);
    if (status == 0)
        status = wst__access_hash_user(u, r->access->realm, given);
    if (status == 0 && given->password != NULL && r->access->selects)
        status = keep_text(r, &u->password, given->password);
    return status;
}

static int by_name(const void *a, const void *b) {
    const wst__access_user_t *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static int read_users(reader_t *r, const wst_access_options_t *o) {
    wst_access_t *access = r->access;
    r->list = "users";
    for (size_t i = 0; i < o->user_count; i++) {
        wst_access_user_t user;
        r->index = i;
        int status = read_element(r, &user, sizeof(user), o->users);
        if (status == 0)
            status = read_user(r, &access->users[i], &user);
        if (status != 0)
            return status;
        access->user_count++;
        for (int hash = WST__MD5; hash <= WST__SHA256; hash++)
            access->digest[hash] = access->digest[hash] || access->users[i].ha1[hash][0] != '\0';
    }
    if (access->user_count > 0)
        qsort(access->users, access->user_count, sizeof(*access->users), by_name);
    for (size_t i = 1; i < access->user_count; i++) {
        if (strcmp(access->users[i - 1].name, access->users[i].name) == 0) {
            r->index = access->users[i].index;
            return wrong(r, "name", NULL, "another user has this name");
        }
    }
    return 0;
}

/* The challenge offers the digests of look-ups, besides those of the users in the list. */
static int read_lookup(reader_t *r, const wst_access_options_t *o) {
    enum { ALL = WST_ACCESS_SHA256 | WST_ACCESS_MD5 };
    wst_access_t *access = r->access;
    unsigned digests = o->lookup_digests != 0 ? o->lookup_digests : ALL;
    r->list = "";
    r->index = 0;
    if ((digests & ~(unsigned)ALL) != 0)
        return wrong(r, "lookup_digests", NULL, "not values of wst_access_digest_t");
    access->on_user = o->on_user;
    access->user_data = o->user_data;
    access->max_lookups = o->max_lookups != 0 ? o->max_lookups : MAX_LOOKUPS;
    if (access->on_user != NULL) {
        access->digest[WST__SHA256] |= (digests & WST_ACCESS_SHA256) != 0;
        access->digest[WST__MD5] |= (digests & WST_ACCESS_MD5) != 0;
    }
    access->basic = access->basic && (access->digest[WST__MD5] || access->digest[WST__SHA256]);
    return 0;
}

/* Agents ------------------------------------------------------------------------------------- */

static bool is_agent_name(const char *name) {
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            strchr("._-*", c) == NULL)
            return false;
    }
    return len > 0 && len <= WST_NAME_MAX;
}

static int read_tokens(const reader_t *r, wst__access_agent_t *agent, const char *const *texts) {
    size_t count = count_of(texts);
    agent->tokens = wst__access_keep(r->access, (count + 1) * sizeof(*agent->tokens));
    if (agent->tokens == NULL)
        return WST_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        uint8_t *token = agent->tokens[i];
        if (!wst__hex_decode(token, 32, (wst_str_t){texts[i], strlen(texts[i])}))
            return wrong(r, "tokens_sha256", NULL, "not 64 hexadecimal digits");
        agent->token_count++;
    }
    return 0;
}

static int read_agent(const reader_t *r, wst__access_agent_t *agent,
                      const wst_access_agent_t *given) {
    if (given->name == NULL || !is_agent_name(given->name))
        return wrong(r, "name", NULL, "not 1 to 64 of letters, digits, '.', '_', '-' and '*'");
    if (count_of(given->tokens_sha256) == 0 && given->certificate == NULL)
        return wrong(r, "tokens_sha256", NULL, "neither a token nor a certificate");
    agent->index = r->index;
    int status = keep_text(r, &agent->name, given->name);
    if (status == 0)
        status = read_tenant(r, &agent->tenant, given->tenant);
    if (status == 0)
        status = read_certificate(r, &agent->certificate, given->certificate);
    if (status == 0 && agent->certificate != NULL) {
        const wst_str_t pattern = {agent->certificate, strlen(agent->certificate)};
        status = wst__hash(WST__SHA256, agent->certificate_hash, &pattern, 1);
    }
    if (status == 0)
        status = read_tokens(r, agent, given->tokens_sha256);
    if (status == 0)
        status = keep_list(r, &agent->labels, "labels", given->labels);
    return status;
}

int wst__access_compare_agents(const void *a, const void *b) {
    const wst__access_agent_t *x = a, *y = b;
    bool pattern = strchr(x->name, '*') != NULL, other = strchr(y->name, '*') != NULL;
    int order = pattern - other;
    if (order == 0)
        order = strcmp(x->tenant, y->tenant);
    return order != 0 ? order : strcmp(x->name, y->name);
}

static int same_name(reader_t *r, const wst__access_agent_t *a, const wst__access_agent_t *b) {
    r->index = a->index > b->index ? a->index : b->index;
    return wrong(r, "name", NULL, "another agent of this tenant may have the same name");
}

/* The agents are sorted: those with the same name are neighbours, patterns come last. */
static int check_names(reader_t *r) {
    const wst__access_agent_t *all = r->access->agents;
    size_t named = r->access->named_count;
    for (size_t i = 1; i < named; i++)
        if (wst__access_compare_agents(&all[i - 1], &all[i]) == 0)
            return same_name(r, &all[i - 1], &all[i]);
    for (size_t i = named; i < r->access->agent_count; i++)
        for (size_t n = 0; n < i; n++)
            if (strcmp(all[n].tenant, all[i].tenant) == 0 &&
                wst__globs_meet(all[n].name, all[i].name))
                return same_name(r, &all[n], &all[i]);
    return 0;
}

typedef struct owned_token {
    const uint8_t *token;
    size_t index; /* of its agent */
} owned_token_t;

static int by_token(const void *a, const void *b) {
    const owned_token_t *x = a, *y = b;
    int order = memcmp(x->token, y->token, 32);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static int check_tokens(reader_t *r) {
    const wst_access_t *access = r->access;
    const wst_allocator_t *a = wst_ctx_allocator(access->ctx);
    size_t count = 0;
    for (size_t i = 0; i < access->agent_count; i++)
        count += access->agents[i].token_count;
    owned_token_t *all = wst__alloc(a, (count + 1) * sizeof(*all));
    if (all == NULL)
        return WST_ENOMEM;
    count = 0;
    for (size_t i = 0; i < access->agent_count; i++)
        for (size_t n = 0; n < access->agents[i].token_count; n++)
            all[count++] = (owned_token_t){access->agents[i].tokens[n], access->agents[i].index};
    qsort(all, count, sizeof(*all), by_token);
    int status = 0;
    for (size_t i = 1; i < count && status == 0; i++) {
        r->index = all[i].index;
        if (memcmp(all[i - 1].token, all[i].token, 32) == 0)
            status = wrong(r, "tokens_sha256", NULL, "this token is there already");
    }
    wst__free(a, all);
    return status;
}

static int read_agents(reader_t *r, const wst_access_options_t *o) {
    wst_access_t *access = r->access;
    r->list = "agents";
    for (size_t i = 0; i < o->agent_count; i++) {
        wst_access_agent_t agent;
        r->index = i;
        int status = read_element(r, &agent, sizeof(agent), o->agents);
        if (status == 0)
            status = read_agent(r, &access->agents[i], &agent);
        if (status != 0)
            return status;
        access->agent_count++;
        access->named_count += strchr(access->agents[i].name, '*') == NULL;
    }
    if (access->agent_count == 0)
        return 0;
    qsort(access->agents, access->agent_count, sizeof(*access->agents), wst__access_compare_agents);
    int status = check_names(r);
    return status == 0 ? check_tokens(r) : status;
}

/* Routes ------------------------------------------------------------------------------------- */

/* Makes routes into rules that deny. While an address is not known, such a rule matches a name by
 * its host patterns only, and guarded addresses are no exception. So the verdict names the first
 * route that applies. */
static int make_route_rules(reader_t *r, const wst_rule_t *rules, size_t count) {
    const wst_rules_options_t options = {.size = sizeof(options),
                                         .rules = rules,
                                         .count = count,
                                         .allocator = wst_ctx_allocator(r->access->ctx)};
    wst_rules_error_t error;
    int status = wst_rules_new(&r->access->routes, &options, &error);
    if (status == WST_EINVAL) {
        r->index = error.rule;
        wrong(r, "destinations", error.pattern, error.why);
    }
    return status;
}

/* Keeps a route's agents, and makes a rule of its users and destinations. */
static int read_route(reader_t *r, const wst_access_options_t *o, wst_rule_t *rule) {
    wst_access_route_t route;
    int status = read_element(r, &route, sizeof(route), o->routes);
    if (status != 0)
        return status;
    if (count_of(route.agents) == 0)
        return wrong(r, "agents", NULL, "no agent");
    *rule = (wst_rule_t){
        .size = sizeof(*rule), .users = route.users, .destinations = route.destinations};
    return keep_list(r, &r->access->route_agents[r->index], "agents", route.agents);
}

static int read_routes(reader_t *r, const wst_access_options_t *o) {
    const wst_allocator_t *a = wst_ctx_allocator(r->access->ctx);
    int status = 0;
    r->list = "routes";
    if (o->route_count == 0)
        return 0;
    wst_rule_t *rules = wst__zalloc(a, o->route_count * sizeof(*rules));
    if (rules == NULL)
        return WST_ENOMEM;
    for (r->index = 0; r->index < o->route_count && status == 0; r->index++)
        status = read_route(r, o, &rules[r->index]);
    if (status == 0)
        status = make_route_rules(r, rules, o->route_count);
    wst__free(a, rules);
    return status;
}

/* All options -------------------------------------------------------------------------------- */

static int read_realm(const reader_t *r, const char *realm) {
    size_t len = strlen(realm);
    bool fits = len > 0 && len <= WST__ACCESS_NAME_MAX;
    for (size_t i = 0; i < len; i++)
        fits = fits && realm[i] >= ' ' && realm[i] < 0x7f && strchr("\"\\", realm[i]) == NULL;
    if (!fits)
        return wrong(r, "realm", NULL, "not 1 to 127 printable characters without \" and \\");
    return keep_text(r, &r->access->realm, realm);
}

int wst__access_read(wst_access_t *access, const wst_access_options_t *o,
                     wst_access_error_t *error) {
    reader_t r = {.access = access, .error = error, .list = ""};
    access->basic = !o->no_basic;
    access->selects = o->user_selects_agent;
    access->users = wst__access_keep(access, (o->user_count + 1) * sizeof(*access->users));
    access->agents = wst__access_keep(access, (o->agent_count + 1) * sizeof(*access->agents));
    access->route_agents =
        wst__access_keep(access, (o->route_count + 1) * sizeof(*access->route_agents));
    if (access->users == NULL || access->agents == NULL || access->route_agents == NULL)
        return WST_ENOMEM;
    int status = read_realm(&r, o->realm != NULL ? o->realm : WST__REALM);
    if (status == 0)
        status = read_users(&r, o);
    if (status == 0)
        status = read_lookup(&r, o);
    if (status == 0)
        status = read_agents(&r, o);
    if (status == 0)
        status = read_routes(&r, o);
    return status;
}
