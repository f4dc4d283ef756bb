/* SPDX-License-Identifier: MIT */
#include "access_rig.h"

#include <stdio.h>

void access_rig_open(access_rig_t *r, const wst_access_options_t *options) {
    memset(r, 0, sizeof(*r));
    test_env_open(&r->env);
    wst_access_error_t error = {.why = "?"};
    if (wst_access_new(&r->access, r->env.ctx, options, &error) != 0)
        fail_msg("%s[%zu].%s: %s", error.list, error.index, error.member, error.why);
}

void access_rig_close(access_rig_t *r) {
    wst_access_free(r->access);
    test_env_close(&r->env);
}

void access_rig_reload(access_rig_t *r, const wst_access_options_t *options) {
    wst_access_t *other;
    assert_int_equal(wst_access_new(&other, r->env.ctx, options, NULL), 0);
    wst_access_free(r->access);
    r->access = other;
}

static void on_answer(const wst__answer_t *answer, void *user_data) {
    access_asking_t *a = user_data;
    access_rig_t *r = a->rig;
    a->answers++;
    r->kind = answer->kind;
    r->status = answer->status;
    a->status = answer->kind == WST__UNANSWERED ? -1 : answer->status;
    assert_int_equal(answer->kind == WST__ALLOWED, a->status == 0);
    snprintf(r->reason, sizeof(r->reason), "%s", answer->reason != NULL ? answer->reason : "");
    snprintf(r->fields, sizeof(r->fields), "%s", answer->fields != NULL ? answer->fields : "");
    snprintf(r->error, sizeof(r->error), "%s", answer->error != NULL ? answer->error : "");
    snprintf(r->user, sizeof(r->user), "%s", answer->user);
    snprintf(r->tenant, sizeof(r->tenant), "%s", answer->tenant);
    r->labels[0] = '\0';
    for (const char *const *l = answer->labels; l != NULL && *l != NULL; l++)
        snprintf(r->labels + strlen(r->labels), sizeof(r->labels) - strlen(r->labels), "%s ", *l);
}

typedef void (*question_t)(wst_access_t *access, wst_server_t *server, wst_request_t *request);

static void ask_as(access_rig_t *r, access_asking_t *a, wst__ask_t options, question_t question) {
    a->rig = r;
    options.timeout_ms = a->timeout_ms;
    options.on_answer = on_answer;
    options.user_data = a;
    assert_int_equal(wst__request_new(&a->request, r->env.ctx, &options), 0);
    r->env.loop.time += r->late_ms; /* until the loop looks at the clock again */
    test_alloc_fail(r->fail ? 1 : 0);
    question(r->access, NULL, a->request);
}

static void ask(access_rig_t *r, access_asking_t *a, const char *peer, const char *line,
                const char *fields, question_t question) {
    size_t scanned = 0;
    int len = snprintf(a->text, sizeof(a->text), "%s HTTP/1.1\r\n%s\r\n", line, fields);
    assert_int_equal(wst_http_parse_request(&a->head, a->text, (size_t)len, &scanned, NULL), len);
    ask_as(r, a, (wst__ask_t){.head = &a->head, .peer = peer, .tls = r->tls}, question);
}

int access_rig_answer(access_asking_t *a) {
    test_env_until_count(&a->rig->env, &a->answers, 1);
    assert_int_equal(a->answers, 1);
    return a->status;
}

void access_rig_leave(access_asking_t *a) {
    wst__request_cancel(a->request);
}

void access_rig_ask_flow(access_rig_t *r, access_asking_t *a, const char *user,
                         const char *tenant) {
    ask_as(r, a, (wst__ask_t){.authenticated = user != NULL, .user = user, .tenant = tenant},
           wst_access_client_request);
}

int access_rig_flow(access_rig_t *r, const char *user, const char *tenant) {
    access_asking_t a = {.rig = r};
    access_rig_ask_flow(r, &a, user, tenant);
    return access_rig_answer(&a);
}

void access_rig_ask_client(access_rig_t *r, access_asking_t *a, const char *peer, const char *line,
                           const char *fields) {
    ask(r, a, peer, line, fields, wst_access_client_request);
}

static int ask_with(access_rig_t *r, const char *peer, const char *user, const char *password,
                    question_t question) {
    static wst_auth_basic_t login;
    snprintf(login.user, sizeof(login.user), "%s", user != NULL ? user : "");
    snprintf(login.password, sizeof(login.password), "%s", user != NULL ? password : "");
    access_asking_t a = {.rig = r};
    const wst__ask_t options = {.login = user != NULL ? &login : NULL, .peer = peer, .tls = r->tls};
    ask_as(r, &a, options, question);
    return access_rig_answer(&a);
}

int access_rig_login(access_rig_t *r, const char *peer, const char *user, const char *password) {
    return ask_with(r, peer, user, password, wst_access_client_login);
}

int access_rig_headless(access_rig_t *r, const char *peer, const char *user, const char *password) {
    return ask_with(r, peer, user, password, wst_access_client_request);
}

int access_rig_client(access_rig_t *r, const char *peer, const char *line, const char *fields) {
    access_asking_t a = {.rig = r};
    access_rig_ask_client(r, &a, peer, line, fields);
    return access_rig_answer(&a);
}

int access_rig_agent(access_rig_t *r, const char *peer, const char *fields) {
    access_asking_t a = {.rig = r};
    ask(r, &a, peer, "GET /websocket", fields, wst_access_agent_request);
    return access_rig_answer(&a);
}

wst__offer_t access_rig_offer(const access_rig_t *r, wst__hash_t hash) {
    static char text[4096];
    static wst_http_head_t head;
    size_t scanned = 0;
    wst__offer_t offer;
    int len = snprintf(text, sizeof(text), "HTTP/1.1 407 No\r\n%s\r\n", r->fields);
    assert_int_equal(wst_http_parse_response(&head, text, (size_t)len, &scanned, NULL), len);
    wst__offer_read(&offer, &head, "Proxy-Authenticate");
    assert_int_equal(offer.kind, WST__OFFER_DIGEST);
    if (offer.hash != hash)
        offer.hash = hash; /* the nonce is the same one */
    return offer;
}

const char *access_rig_credentials(const wst__offer_t *offer, const access_login_t *login) {
    static char field[2048];
    char value[1024];
    const wst__offer_answer_t answer = {.user = login->user,
                                        .password = login->password,
                                        .method = login->method,
                                        .uri = login->uri,
                                        .cnonce = {7},
                                        .nc = login->nc};
    assert_true(wst__offer_answer(value, sizeof(value), offer, &answer) > 0);
    snprintf(field, sizeof(field), "Proxy-Authorization: %s\r\n", value);
    return field;
}

const char *access_rig_basic(const char *user, const char *password) {
    static const wst__offer_t offer = {.kind = WST__OFFER_BASIC};
    return access_rig_credentials(&offer, &(access_login_t){.user = user, .password = password});
}
