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
    access_rig_t *r = user_data;
    r->answers++;
    r->kind = answer->kind;
    r->status = answer->status;
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

static int ask_as(access_rig_t *r, const wst__ask_t *options, question_t question) {
    size_t answers = r->answers;
    wst_request_t *request;
    assert_int_equal(wst__request_new(&request, r->env.ctx, options), 0);
    r->env.loop.time += r->late_ms; /* until the loop looks at the clock again */
    test_alloc_fail(r->fail ? 1 : 0);
    question(r->access, NULL, request);
    test_env_until_count(&r->env, &r->answers, answers + 1);
    assert_int_equal(r->kind, r->status == 0 ? WST__ALLOWED : WST__DENIED);
    return r->status;
}

static int ask(access_rig_t *r, const char *peer, const char *line, const char *fields,
               question_t question) {
    static char text[16384];
    static wst_http_head_t head;
    size_t scanned = 0;
    int len = snprintf(text, sizeof(text), "%s HTTP/1.1\r\n%s\r\n", line, fields);
    assert_int_equal(wst_http_parse_request(&head, text, (size_t)len, &scanned, NULL), len);
    const wst__ask_t options = {
        .head = &head, .peer = peer, .tls = r->tls, .on_answer = on_answer, .user_data = r};
    return ask_as(r, &options, question);
}

int access_rig_flow(access_rig_t *r, const char *user, const char *tenant) {
    const wst__ask_t options = {.authenticated = user != NULL,
                                .user = user,
                                .tenant = tenant,
                                .on_answer = on_answer,
                                .user_data = r};
    return ask_as(r, &options, wst_access_client_request);
}

int access_rig_client(access_rig_t *r, const char *peer, const char *line, const char *fields) {
    return ask(r, peer, line, fields, wst_access_client_request);
}

int access_rig_agent(access_rig_t *r, const char *peer, const char *fields) {
    return ask(r, peer, "GET /websocket", fields, wst_access_agent_request);
}
