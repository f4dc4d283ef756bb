/* SPDX-License-Identifier: MIT */
/* A server whose questions an access object answers: who reaches which agent, and what. The users
 * are in a list and, in a second run of the same tests, in a data base that is asked in another
 * thread. */
#include "server_world.h"

#include <stdio.h>
#include <string.h>

#define OK11 "HTTP/1.1 200 Connection established\r\n\r\n"

/* Their passwords are "x". */
#define ALICE        "YWxpY2U6eA=="         /* alice */
#define ALICE_BERLIN "YWxpY2UrYmVybGluOng=" /* alice+berlin */
#define ALICE_PARIS  "YWxpY2UrcGFyaXM6eA==" /* alice+paris */
#define BOB          "Ym9iOng="             /* bob */
#define BOB_BERLIN   "Ym9iK2Jlcmxpbjp4"     /* bob+berlin */
#define BOB_PARIS    "Ym9iK3BhcmlzOng="     /* bob+paris */

#define BEARER(token) "Authorization: Bearer " token "\r\n"

static const wst_access_user_t users[] = {
    {.size = sizeof(wst_access_user_t), .name = "alice", .password = "x"},
    {.size = sizeof(wst_access_user_t), .name = "bob", .password = "x", .tenant = "acme"}};

/* SHA-256 of "t-berlin", "t-paris", "t-acme". */
static const char *const t_berlin[] = {
    "bdbdd0b29057641e2383def192095799463363c5a3413b649e63495ee0497636", NULL};
static const char *const t_paris[] = {
    "9f4a9563b2aa663211752f21640b426a1c061598eb8e1280f4d4377f24869059", NULL};
static const char *const t_acme[] = {
    "628f8a8c6724695c472f7bf1a6a4a6db2ae502e5744f228f86a07e57ecc3f808", NULL};
static const char *const lab[] = {"lab", NULL};

static const wst_access_agent_t all_agents[] = {
    {.size = sizeof(wst_access_agent_t),
     .name = "berlin",
     .tokens_sha256 = t_berlin,
     .labels = lab},
    {.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = t_paris},
    {.size = sizeof(wst_access_agent_t), .name = "*", .tokens_sha256 = t_acme, .tenant = "acme"}};

/* The same, but that paris has the label and berlin has not. */
static const wst_access_agent_t labelled[] = {
    {.size = sizeof(wst_access_agent_t), .name = "berlin", .tokens_sha256 = t_berlin},
    {.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = t_paris, .labels = lab},
    {.size = sizeof(wst_access_agent_t), .name = "*", .tokens_sha256 = t_acme, .tenant = "acme"}};

typedef struct setting {
    server_world_t w;
    server_agent_t berlin, paris, acme; /* acme's is a "berlin" too, and the instance is the same */
    const wst_rule_t *rules;
    size_t rule_count;
    bool deny_by_default;
    wst_access_options_t options;
} setting_t;

/* The data base ------------------------------------------------------------------------------ */

static bool has_data_base;

typedef struct job {
    uv_work_t work;
    wst_access_lookup_t *lookup;
} job_t;

static void on_work(uv_work_t *work) {
    (void)work;
}

static void on_worked(uv_work_t *work, int status) {
    job_t *job = work->data;
    const wst_access_user_t *found = NULL;
    assert_int_equal(status, 0);
    for (size_t i = 0; i < 2; i++)
        if (strcmp(users[i].name, wst_access_lookup_name(job->lookup)) == 0)
            found = &users[i];
    wst_access_lookup_answer(job->lookup, found);
    free(job);
}

static void on_user(wst_access_t *access, wst_access_lookup_t *lookup, void *user_data) {
    setting_t *s = user_data;
    job_t *job = calloc(1, sizeof(*job));
    assert_ptr_equal(access, s->w.access);
    job->work.data = job;
    job->lookup = lookup;
    assert_int_equal(uv_queue_work(&s->w.env.loop, &job->work, on_work, on_worked), 0);
}

static int use_data_base(void **state) {
    (void)state;
    has_data_base = true;
    return 0;
}

/* The setting -------------------------------------------------------------------------------- */

static wst_access_t *new_access(setting_t *s) {
    wst_access_t *access;
    const wst_rules_options_t rules = {.size = sizeof(rules),
                                       .rules = s->rules,
                                       .count = s->rule_count,
                                       .deny_by_default = s->deny_by_default,
                                       .allocator = &test_allocator};
    assert_int_equal(wst_rules_new(&s->options.rules, &rules, NULL), 0);
    assert_int_equal(wst_access_new(&access, s->w.env.ctx, &s->options, NULL), 0);
    return access;
}

static void start_agent(setting_t *s, server_agent_t *a, const char *name, const char *fields) {
    size_t ups = s->w.ups;
    server_agent_init(&s->w, a, name, 1);
    a->fields = fields;
    a->address = "192.0.2.7";
    server_agent_start(a);
    test_env_until_count(&s->w.env, &s->w.ups, ups + 1);
    test_env_until_count(&s->w.env, &a->up, 1);
}

static setting_t *setting_new(void) {
    setting_t *s = calloc(1, sizeof(*s));
    server_world_init(&s->w);
    s->w.clients = s->w.agents = s->w.choice = s->w.reached = SERVER_ACCESS;
    s->options = (wst_access_options_t){.size = sizeof(wst_access_options_t),
                                        .users = users,
                                        .user_count = 2,
                                        .agents = all_agents,
                                        .agent_count = 3,
                                        .user_selects_agent = true};
    if (has_data_base) {
        s->options.user_count = 0;
        s->options.on_user = on_user;
        s->options.user_data = s;
    }
    return s;
}

static void setting_open(setting_t *s) {
    s->w.access = new_access(s);
    server_world_start(&s->w);
    start_agent(s, &s->berlin, "berlin", BEARER("t-berlin"));
    start_agent(s, &s->paris, "paris", BEARER("t-paris"));
    start_agent(s, &s->acme, "berlin", BEARER("t-acme"));
}

static void setting_free(setting_t *s) {
    server_agent_close(&s->berlin);
    server_agent_close(&s->paris);
    server_agent_close(&s->acme);
    server_world_free(&s->w);
    free(s);
}

static void request(server_client_t *c, const char *basic, const char *destination) {
    char text[256];
    snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1\r\nProxy-Authorization: Basic %s\r\n\r\n",
             destination, basic);
    server_client_say(c, text);
}

typedef struct awaited {
    const char *got, *text;
} awaited_t;

static bool has_text(void *arg) {
    const awaited_t *a = arg;
    return strstr(a->got, a->text) != NULL;
}

/* Runs the loop until what has come in contains a text. */
static void until_got(setting_t *s, const char *got, const char *text) {
    awaited_t a = {got, text};
    test_env_until(&s->w.env, has_text, &a);
}

/* It is served, by that agent, while the connection stays. */
static void expect_served(setting_t *s, server_client_t *c, const char *basic,
                          const char *destination, const server_agent_t *agent) {
    size_t asked = agent->asked;
    server_client_open(&s->w, c);
    request(c, basic, destination);
    server_client_expect(c, OK11);
    assert_int_equal(agent->asked, asked + 1);
}

static void expect_served_once(setting_t *s, const char *basic, const char *destination,
                               const server_agent_t *agent) {
    server_client_t c;
    size_t closes = s->w.closes;
    expect_served(s, &c, basic, destination, agent);
    server_client_close(&c);
    test_env_until_count(&s->w.env, &s->w.closes, closes + 1);
}

/* What a client is told. */
static const char *refusal(int status, const char *reason, const char *error) {
    static char answer[1024];
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 %d %s\r\nProxy-Status: libwstunnel; error=%s; details=\"%s\"\r\n%s"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n%s\n",
             status, reason, error, reason, status == 503 ? "Retry-After: 5\r\n" : "",
             strlen(reason) + 1, reason);
    return answer;
}

/* It is refused, after so many agents have been asked. */
static void expect_refused_after(setting_t *s, size_t agents, const char *basic,
                                 const char *destination, const char *answer) {
    size_t asked = s->berlin.asked + s->paris.asked + s->acme.asked;
    server_client_t c;
    server_client_open(&s->w, &c);
    request(&c, basic, destination);
    server_client_expect(&c, answer);
    server_client_expect_end(&c);
    server_client_close(&c);
    assert_int_equal(s->berlin.asked + s->paris.asked + s->acme.asked, asked + agents);
}

static void expect_refused(setting_t *s, const char *basic, const char *destination, int status,
                           const char *reason, const char *error) {
    expect_refused_after(s, 0, basic, destination, refusal(status, reason, error));
}

/* Denied for what an agent has reached. */
static void expect_denied_there(setting_t *s, const char *basic, const char *reason,
                                const char *error) {
    expect_refused_after(s, 1, basic, "host:22", refusal(403, reason, error));
}

static void expect_no_agent(setting_t *s, const char *basic) {
    expect_refused(s, basic, "host:22", 503, "No agent available", "destination_unavailable");
}

/* Each tenant has a "berlin"; a client gets its own tenant's only, however it asks. */
static void test_tenants(void **state) {
    (void)state;
    static const char *const everything[] = {"*", "label:*", NULL};
    static const char *const paris[] = {"paris", NULL};
    static const char *const alice[] = {"alice", NULL};
    static const wst_rule_t rules[] = {
        {.size = sizeof(wst_rule_t), .allow = true, .agents = everything}};
    static const wst_access_route_t routes[] = {
        {.size = sizeof(wst_access_route_t), .users = alice, .agents = everything},
        {.size = sizeof(wst_access_route_t), .agents = paris}};
    setting_t *s = setting_new();
    s->rules = rules;
    s->rule_count = 1;
    setting_open(s);
    server_client_t busy[3];
    for (int i = 0; i < 3; i++) /* so bob's is the busiest of all */
        expect_served(s, &busy[i], BOB, "host:22", &s->acme);
    expect_served_once(s, BOB_BERLIN, "host:22", &s->acme);
    expect_served_once(s, ALICE_BERLIN, "host:22", &s->berlin);
    expect_no_agent(s, BOB_PARIS);
    wst_access_free(s->w.access);
    s->options.routes = routes;
    s->options.route_count = 2;
    s->w.access = new_access(s);
    expect_no_agent(s, BOB); /* routed to paris, which is not his */
    expect_no_agent(s, BOB_PARIS);
    expect_no_agent(s, BOB_BERLIN);
    server_agent_close(&s->berlin);
    server_agent_close(&s->paris);
    test_env_until_count(&s->w.env, &s->w.downs, 2);
    expect_no_agent(s, ALICE); /* though all are named, and there is one of acme's */
    expect_no_agent(s, ALICE_BERLIN);
    for (int i = 0; i < 3; i++)
        server_client_close(&busy[i]);
    start_agent(s, &s->berlin, "berlin", BEARER("t-berlin"));
    start_agent(s, &s->paris, "paris", BEARER("t-paris"));
    setting_free(s);
}

/* An agent's token is good for its name, and its tenant, only. */
static void test_agents(void **state) {
    (void)state;
    setting_t *s = setting_new();
    setting_open(s);
    server_agent_t posing;
    server_agent_init(&s->w, &posing, "paris", 9);
    posing.fields = BEARER("t-berlin");
    server_agent_start(&posing);
    test_env_until_count(&s->w.env, &posing.down, 1);
    assert_non_null(strstr(posing.detail, "credentials are those of an agent of another name"));
    server_agent_close(&posing);
    /* One that may have any name takes none of another tenant's clients. */
    start_agent(s, &posing, "paris", BEARER("t-acme"));
    assert_string_equal(wst_remote_tenant(s->w.last_up), "acme");
    expect_served_once(s, ALICE_PARIS, "host:22", &s->paris);
    expect_served_once(s, BOB_PARIS, "host:22", &posing);
    server_agent_close(&posing);
    setting_free(s);
}

static void test_selection(void **state) {
    (void)state;
    server_client_t busy[2];
    setting_t *s = setting_new();
    setting_open(s);
    expect_served(s, &busy[0], ALICE_BERLIN, "host:22", &s->berlin);
    expect_served(s, &busy[1], ALICE_BERLIN, "host:22", &s->berlin);
    server_world_assert_notice(&s->w, "open 2 alice host:22 berlin\n");
    expect_served_once(s, ALICE, "host:22", &s->paris); /* the one with fewer streams */
    expect_served_once(s, ALICE_PARIS, "host:22", &s->paris);
    server_agent_close(&s->paris);
    test_env_until_count(&s->w.env, &s->w.downs, 1);
    expect_no_agent(s, ALICE_PARIS);
    expect_served_once(s, ALICE, "host:22", &s->berlin);
    server_client_close(&busy[0]);
    server_client_close(&busy[1]);
    start_agent(s, &s->paris, "paris", BEARER("t-paris"));
    setting_free(s);
}

static void test_routes(void **state) {
    (void)state;
    static const char *const intranet[] = {"*.intranet", "10.0.0.0/8", NULL};
    static const char *const alice[] = {"alice", NULL};
    static const char *const by_label[] = {"label:l*", NULL};
    static const char *const paris[] = {"paris", NULL};
    static const char *const nobody[] = {"none", NULL};
    static const wst_access_route_t routes[] = {
        {.size = sizeof(wst_access_route_t),
         .users = alice,
         .destinations = intranet,
         .agents = by_label},
        {.size = sizeof(wst_access_route_t),
         .users = alice,
         .destinations = nobody,
         .agents = nobody},
        {.size = sizeof(wst_access_route_t), .users = alice, .agents = paris}};
    setting_t *s = setting_new();
    s->options.routes = routes;
    s->options.route_count = 3;
    setting_open(s);
    for (int i = 0; i < 2; i++) {
        server_client_t busy;
        expect_served(s, &busy, ALICE, "a.intranet:22", &s->berlin);
        expect_served_once(s, ALICE, "10.1.2.3:22", &s->berlin);
        expect_served_once(s, ALICE, "host:22", &s->paris);
        expect_served_once(s, BOB, "host:22", &s->acme); /* no route: any of the tenant's */
        server_client_close(&busy);
    }
    expect_refused(s, ALICE_PARIS, "a.intranet:22", 503, "No agent available",
                   "destination_unavailable");
    expect_refused(s, ALICE, "none:22", 503, "No agent available", "destination_unavailable");
    setting_free(s);
}

static void test_rules(void **state) {
    (void)state;
    static const char *const secret[] = {"secret", NULL};
    static const char *const berlin[] = {"berlin", NULL};
    static const char *const alice[] = {"alice", NULL};
    static const char *const reached[] = {"192.0.2.7", "192.0.2.8:22", NULL};
    static const char *const any_host[] = {"*:22", NULL};
    static const char *const label[] = {"label:la*", NULL};
    static const char *const by_label[] = {"*.lab", "192.0.2.10", NULL};
    static const wst_rule_t rules[] = {
        {.size = sizeof(wst_rule_t), .destinations = secret},
        {.size = sizeof(wst_rule_t), .users = alice, .agents = berlin},
        {.size = sizeof(wst_rule_t), .users = alice, .destinations = reached},
        {.size = sizeof(wst_rule_t), .agents = label, .destinations = by_label},
        {.size = sizeof(wst_rule_t), .allow = true, .destinations = any_host}};
    setting_t *s = setting_new();
    s->rules = rules;
    s->rule_count = 5;
    s->deny_by_default = true;
    setting_open(s);
    expect_refused(s, BOB, "secret:22", 403, "Denied by rule 1 of the server",
                   "http_request_denied");
    expect_refused(s, BOB, "host:23", 403, "No rule of the server allows it",
                   "http_request_denied");
    expect_refused(s, ALICE_BERLIN, "host:22", 403, "Denied by rule 2 of the server",
                   "http_request_denied");
    expect_refused(s, BOB, "169.254.169.254:22", 403, "Denied: a guarded address",
                   "destination_ip_prohibited");
    /* What the name leads to is denied, and the destination gets nothing. */
    size_t broken = s->paris.stream_broken;
    expect_denied_there(s, ALICE, "Denied by rule 3 of the server", "destination_ip_prohibited");
    test_env_until_count(&s->w.env, &s->paris.stream_broken, broken + 1);
    s->paris.address = "192.0.2.9";
    expect_served_once(s, ALICE, "host:22", &s->paris);
    s->paris.address = "::ffff:192.0.2.8";
    expect_denied_there(s, ALICE, "Denied by rule 3 of the server", "destination_ip_prohibited");
    s->paris.address = "fe80::1";
    expect_denied_there(s, ALICE, "Denied: a guarded address", "destination_ip_prohibited");
    s->paris.address = "no address";
    expect_denied_there(s, ALICE, "Denied by rule 3 of the server", "http_request_denied");
    assert_int_equal(s->berlin.asked, 0);
    /* What is said of an agent by its label, before and after the address is known. */
    s->options.agents = labelled;
    wst_access_free(s->w.access);
    s->w.access = new_access(s);
    expect_refused(s, ALICE_PARIS, "a.lab:22", 403, "Denied by rule 4 of the server",
                   "http_request_denied");
    s->paris.address = "192.0.2.10";
    expect_denied_there(s, ALICE_PARIS, "Denied by rule 4 of the server",
                        "destination_ip_prohibited");
    setting_free(s);
}

/* An access object that comes in the middle of a request decides what is left to decide. */
static void test_reload(void **state) {
    (void)state;
    static const char *const host[] = {"host", NULL};
    static const wst_rule_t rules[] = {{.size = sizeof(wst_rule_t), .destinations = host}};
    setting_t *s = setting_new();
    setting_open(s);
    server_client_t c;
    s->acme.treatment = SERVER_AGENT_KEEP;
    server_client_open(&s->w, &c);
    request(&c, BOB, "host:22");
    test_env_until_count(&s->w.env, &s->acme.asked, 1);
    wst_access_free(s->w.access);
    s->rules = rules;
    s->rule_count = 1;
    s->options.agent_count = 2; /* without acme's */
    s->w.access = new_access(s);
    wst__incoming_t *kept = s->acme.incoming;
    s->acme.incoming = NULL;
    assert_int_equal(kept->ops->accept(kept, "192.0.2.7", &s->acme.stream), 0);
    server_client_expect(
        &c, refusal(403, "Denied by rule 1 of the server", "destination_ip_prohibited"));
    server_client_expect_end(&c);
    server_client_close(&c);
    expect_refused(s, BOB, "other:22", 503, "No agent available", "destination_unavailable");
    setting_free(s);
}

/* Sessions whose credentials have been withdrawn end, with all that runs through them. */
static void test_review(void **state) {
    (void)state;
    static const wst_access_agent_t others[] = {
        {.size = sizeof(wst_access_agent_t),
         .name = "berlin",
         .tokens_sha256 = t_paris}, /* another token */
        {.size = sizeof(wst_access_agent_t),
         .name = "paris",
         .tokens_sha256 = t_berlin}, /* likewise */
        {.size = sizeof(wst_access_agent_t),
         .name = "ber*",
         .tokens_sha256 = t_acme,
         .tenant = "acme"}, /* still right */
    };
    static const wst_access_agent_t moved[] = {
        /* to another tenant */
        {.size = sizeof(wst_access_agent_t),
         .name = "*",
         .tokens_sha256 = t_acme,
         .tenant = "globex"},
        {.size = sizeof(wst_access_agent_t), .name = "berlin", .tokens_sha256 = t_berlin},
        {.size = sizeof(wst_access_agent_t), .name = "paris", .tokens_sha256 = t_paris}};
    setting_t *s = setting_new();
    setting_open(s);
    server_client_t alice, bob;
    expect_served(s, &alice, ALICE_PARIS, "host:22", &s->paris);
    expect_served(s, &bob, BOB, "host:22", &s->acme);
    wst_access_review_agents(s->w.access, s->w.server); /* nothing has changed */
    wst_access_free(s->w.access);
    s->options.agents = others;
    s->w.access = new_access(s);
    /* Even one that does not answer when it is told. */
    wst_websocket_read_stop(server_agent_websocket(&s->berlin));
    wst_access_review_agents(s->w.access, s->w.server);
    assert_int_equal(s->w.closes, 0); /* all that comes of it comes later */
    expect_no_agent(s, ALICE);
    server_client_expect_reset(&alice);
    test_env_until_count(&s->w.env, &s->paris.down, 1);
    assert_int_equal(s->w.downs, 1);
    expect_no_agent(s, ALICE_BERLIN);
    wst_websocket_read_start(server_agent_websocket(&s->berlin));
    test_env_until_count(&s->w.env, &s->berlin.down, 1);
    assert_non_null(strstr(s->paris.detail, "1008 its credentials are not valid any more"));
    test_env_until_count(&s->w.env, &s->w.downs, 2);
    expect_no_agent(s, ALICE);
    server_client_say(&bob, "still there");
    server_agent_expect(&s->acme, "still there");
    s->options.agents = moved;
    wst_access_free(s->w.access);
    s->w.access = new_access(s);
    wst_access_review_agents(s->w.access, s->w.server);
    server_client_expect_reset(&bob);
    server_client_close(&alice);
    server_client_close(&bob);
    setting_free(s);
}

/* Flows of users that are gone, and flows that a rule denies now, end if that is asked for. Only
 * the list tells who is gone: a data base could know anyone. */
static void test_review_flows(void **state) {
    (void)state;
    static const char *const host[] = {"host:*", NULL};
    static const wst_rule_t no_host[] = {{.size = sizeof(wst_rule_t), .destinations = host}};
    setting_t *s = setting_new();
    setting_open(s);
    server_client_t alice, bob;
    expect_served(s, &alice, ALICE_PARIS, "host:22", &s->paris);
    expect_served(s, &bob, BOB, "host:22", &s->acme);
    wst_access_free(s->w.access);
    if (!has_data_base) {
        s->options.users = users + 1;
        s->options.user_count = 1;
    }
    s->rules = no_host;
    s->rule_count = 1;
    s->w.access = new_access(s);
    wst_access_review_flows(s->w.access, s->w.server, 0);
    server_client_say(&alice, "still here");
    server_agent_expect(&s->paris, "still here");

    wst_access_review_flows(s->w.access, s->w.server, WST_ACCESS_REVIEW_USERS);
    if (has_data_base) {
        server_client_say(&alice, "and here");
        server_agent_expect(&s->paris, "and here");
    } else {
        server_client_expect_reset(&alice);
    }
    server_client_say(&bob, "here, too");
    server_agent_expect(&s->acme, "here, too");

    wst_access_review_flows(s->w.access, s->w.server, WST_ACCESS_REVIEW_RULES);
    server_client_expect_reset(&bob);
    if (has_data_base)
        server_client_expect_reset(&alice);
    server_client_close(&alice);
    server_client_close(&bob);
    setting_free(s);
}

/* Agents that cannot take it are passed over; if none can, the client learns that. */
static void test_full(void **state) {
    (void)state;
    setting_t *s = setting_new();
    s->w.limits.max_agent_streams = 1;
    setting_open(s);
    server_client_t a, b;
    expect_served(s, &a, ALICE_BERLIN, "host:22", &s->berlin);
    expect_refused(s, ALICE_BERLIN, "host:22", 503, "Agent has too many streams",
                   "connection_limit_reached");
    expect_served(s, &b, ALICE, "host:22", &s->paris);
    expect_refused(s, ALICE, "host:22", 503, "Agent has too many streams",
                   "connection_limit_reached");
    server_client_close(&a);
    server_client_close(&b);
    setting_free(s);
}

/* One that refuses for want of room is not asked again; another one is. */
static void test_another_one(void **state) {
    (void)state;
    setting_t *s = setting_new();
    setting_open(s);
    s->berlin.treatment = SERVER_AGENT_REFUSE;
    s->berlin.reason = WST_ELIMIT;
    s->berlin.text = "full";
    for (size_t i = 1; i <= 3; i++)
        expect_served_once(s, ALICE, "host:22", &s->paris);
    assert_int_equal(s->berlin.asked, 3);
    s->paris.treatment = SERVER_AGENT_REFUSE;
    s->paris.reason = WST_ELIMIT;
    s->paris.text = "full";
    expect_refused_after(s, 2, ALICE, "host:22",
                         refusal(503, "Agent has too many streams", "connection_limit_reached"));
    assert_int_equal(s->berlin.asked, 4);
    setting_free(s);
}

/* A connection to an origin is used again, though that keeps its agent busier than the other one;
 * but not by another user, nor against the rules. */
static void test_kept_origin(void **state) {
    (void)state;
    static const char get[] = "GET http://host/ HTTP/1.1\r\nHost: host\r\n"
                              "Proxy-Authorization: Basic " ALICE "\r\n\r\n";
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    static const char *const host[] = {"192.0.2.7", NULL};
    static const wst_rule_t rules[] = {{.size = sizeof(wst_rule_t), .destinations = host}};
    const wst_slice_t slice = wst_slice_static(reply, strlen(reply));
    setting_t *s = setting_new();
    setting_open(s);
    server_client_t c;
    server_client_open(&s->w, &c);
    for (int i = 0; i < 3; i++) {
        server_client_say(&c, get);
        until_got(s, s->berlin.got, "\r\n\r\n");
        server_agent_expect(&s->berlin, "GET / HTTP/1.1\r\nHost: host\r\n");
        s->berlin.got[s->berlin.got_len = 0] = '\0';
        assert_true(wst_stream_write(s->berlin.stream, &slice, 1) >= 0);
        until_got(s, c.got, "\r\n\r\nx");
        server_client_expect(&c, "HTTP/1.1 200 OK\r\n");
        c.got[c.got_len = 0] = '\0';
    }
    assert_int_equal(s->berlin.asked, 1);
    assert_int_equal(s->paris.asked, 0);
    wst_access_free(s->w.access);
    s->rules = rules;
    s->rule_count = 1;
    s->w.access = new_access(s);
    server_client_say(&c, get);
    server_client_expect(&c, "HTTP/1.1 403 Denied by rule 1 of the server\r\n");
    server_client_close(&c);
    setting_free(s);
}

/* A client that is asked who it is may say so on the same connection. */
static void test_same_connection(void **state) {
    (void)state;
    setting_t *s = setting_new();
    setting_open(s);
    server_client_t c;
    server_client_open(&s->w, &c);
    for (int i = 0; i < 3; i++) {
        server_client_say(&c, "CONNECT host:22 HTTP/1.1\r\nHost: host:22\r\n\r\n");
        server_client_expect(&c, "HTTP/1.1 407 Proxy Authentication Required\r\n");
        until_got(s, c.got, "\r\n\r\nProxy Authentication Required\n");
        assert_non_null(strstr(c.got, "Proxy-Authenticate: Digest realm=\"wstunnel\", "));
        assert_non_null(strstr(c.got, "\r\nConnection: keep-alive\r\n"));
        c.got_len = 0;
    }
    request(&c, ALICE_PARIS, "host:22");
    server_client_expect(&c, OK11);
    server_client_close(&c);
    setting_free(s);
}

/* By SOCKS: the same users, agents and tenants, and the same choice by name. */
static void ask_by_socks(setting_t *s, server_client_t *c, const char *address, const char *name,
                         const char *password) {
    char login[64];
    int len = snprintf(login, sizeof(login), "\1%c%s%c%s", (int)strlen(name), name,
                       (int)strlen(password), password);
    server_client_open_at(&s->w, c, address);
    server_client_send(c, "\5\2\0\2", 4);
    server_client_send(c, login, (size_t)len);
    server_client_send(c, "\5\1\0\3\4host\0\26", 11);
}

static void test_socks(void **state) {
    (void)state;
    server_client_t c;
    setting_t *s = setting_new();
    s->w.logins = SERVER_ACCESS;
    s->w.headless = true;
    s->options.max_failures = 2;
    setting_open(s);
    assert_int_equal(wst_server_listen(s->w.server, "127.0.0.1:0", WST_ROLE_SOCKS), 0);
    const char *address = wst_server_address(s->w.server, 1);
    static const struct {
        const char *name, *notice;
    } rows[] = {{"alice+paris", " alice host:22 paris\n"},
                {"alice+paris", " alice host:22 paris\n"},
                {"alice+berlin", " alice host:22 berlin\n"},
                {"bob", " bob host:22 berlin\n"}};
    for (size_t i = 0; i < 4; i++) {
        ask_by_socks(s, &c, address, rows[i].name, "x");
        server_client_expect_bytes(&c, "\5\2\1\0\5\0\0\1\0\0\0\0\0\0", 14);
        server_world_assert_notice(&s->w, rows[i].notice);
        s->w.notices[0] = '\0';
        server_client_close(&c);
    }
    assert_int_equal(s->acme.asked, 1); /* bob's berlin is that of his tenant */
    ask_by_socks(s, &c, address, "bob+paris", "x");
    server_client_expect_bytes(&c, "\5\2\1\0\5\1\0\1\0\0\0\0\0\0", 14);
    server_client_close(&c);
    for (int i = 0; i < 3; i++) { /* and too many failures, then, whatever it says */
        ask_by_socks(s, &c, address, "bob", i < 2 ? "y" : "x");
        server_client_expect_bytes(&c, "\5\2\1\1", 4);
        server_client_expect_end(&c);
        server_client_close(&c);
    }
    server_world_assert_notice(&s->w, "refused  429 Too many failed attempts to authenticate\n");
    setting_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tenants),     cmocka_unit_test(test_agents),
        cmocka_unit_test(test_selection),   cmocka_unit_test(test_routes),
        cmocka_unit_test(test_rules),       cmocka_unit_test(test_reload),
        cmocka_unit_test(test_review),      cmocka_unit_test(test_review_flows),
        cmocka_unit_test(test_full),        cmocka_unit_test(test_another_one),
        cmocka_unit_test(test_kept_origin), cmocka_unit_test(test_same_connection),
        cmocka_unit_test(test_socks),
    };
    int failed = cmocka_run_group_tests_name("list", tests, NULL, NULL);
    return failed + cmocka_run_group_tests_name("data base", tests, use_data_base, NULL);
}
