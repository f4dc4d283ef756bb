/* SPDX-License-Identifier: MIT */
/* Dials through a fake proxy (proxy_world.h). */
#include "proxy_world.h"

#include <stdio.h>
#include <wstunnel/error.h>

void proxy_world_cancel(proxy_world_t *w) {
    wst_proxy_dial_t *dial = w->dial;
    w->dial = NULL;
    if (dial != NULL)
        wst_proxy_dial_cancel(dial);
}

static void on_gone(wst_request_t *request, void *user_data) {
    proxy_world_t *w = user_data;
    assert_ptr_equal(request, w->question);
    w->question = NULL;
    w->gone++;
}

static void on_challenge(wst_request_t *request, void *user_data) {
    proxy_world_t *w = user_data;
    assert_false(w->in_call);
    w->asked++;
    const wst_http_header_t *field =
        wst_http_header(wst_request_head(request), "Proxy-Authenticate", NULL);
    assert_non_null(field);
    snprintf(w->question_text, sizeof(w->question_text), "%s|%s|%d|%.*s",
             strcmp(wst_request_peer(request), w->proxy.address) == 0 ? "the proxy" : "",
             wst_request_destination(request), wst_request_head(request)->status,
             (int)field->value.len, field->value.ptr);
    char fields[64];
    snprintf(fields, sizeof(fields), "Proxy-Authorization: NTLM leg%zu\r\n", w->asked);
    if (w->cancel_when_asked)
        proxy_world_cancel(w);
    else if (w->answer == PROXY_ALLOW)
        wst_request_allow(request);
    else if (w->answer == PROXY_ALLOW_WITH)
        wst_request_allow_with(request, fields);
    else if (w->answer == PROXY_DENY)
        wst_request_deny(request, 407, "no ticket", NULL);
    else if (w->answer == PROXY_MISFIT)
        wst_request_choose(request, NULL);
    else {
        w->question = request;
        wst_request_on_gone(request, on_gone, w);
    }
}

static void on_dialled(int status, wst_stream_t *stream, const wst_proxy_failure_t *failure,
                       void *user_data) {
    proxy_world_t *w = user_data;
    assert_false(w->in_call);
    assert_non_null(w->dial);
    w->dial = NULL;
    w->done++;
    w->status = status;
    assert_true((status == 0) == (stream != NULL) && (status == 0) == (failure == NULL));
    if (status == 0) {
        sockets_own(&w->owner, stream);
        wst_stream_read_start(stream, 0);
        return;
    }
    w->http_status = failure->http_status;
    snprintf(w->detail, sizeof(w->detail), "%s", failure->detail);
    assert_true(status < 0 && strlen(failure->detail) > 0);
    assert_null(strstr(failure->detail, "s3cret"));
}

void proxy_world_open(proxy_world_t *w, const char *scheme) {
    memset(w, 0, sizeof(*w));
    test_env_open(&w->env);
    assert_non_null(w->env.ctx);
    fake_proxy_open(&w->proxy, &w->env);
    w->scheme = scheme;
    w->secure = strncmp(scheme, "https:", 6) == 0;
    if (!w->secure)
        return;
    tls_setup_open(&w->tls, w->proxy.ctx, w->env.ctx);
    w->proxy.tls = w->tls.server;
}

void proxy_world_close(proxy_world_t *w) {
    proxy_world_cancel(w);
    if (w->owner.stream != NULL && w->owner.closed == 0)
        sockets_close_owned(&w->owner);
    if (w->secure)
        tls_setup_close(&w->tls);
    fake_proxy_close(&w->proxy, &w->env);
    test_env_close(&w->env);
    if (w->owner.stream != NULL)
        assert_int_equal(w->owner.closed, 1);
}

int proxy_world_try(proxy_world_t *w) {
    char url[200];
    snprintf(url, sizeof(url), "%s%s", w->scheme, w->proxy.address);
    const wst_proxy_dial_options_t options = {
        .size = sizeof(options),
        .proxy = &(const wst_proxy_options_t){.size = sizeof(wst_proxy_options_t),
                                              .url = url,
                                              .credentials = w->credentials,
                                              .tls = w->secure ? w->tls.client : NULL,
                                              .fields = w->fields,
                                              .on_challenge = w->asks ? on_challenge : NULL,
                                              .user_data = w},
        .host = w->host != NULL ? w->host : "dest.test",
        .port = 443,
        .timeout_ms = w->timeout_ms};
    w->in_call = true;
    int status = wst_proxy_dial(&w->dial, w->env.ctx, &options, NULL, on_dialled, w);
    w->in_call = false;
    return status;
}

void proxy_world_dial(proxy_world_t *w) {
    assert_int_equal(proxy_world_try(w), 0);
}

void proxy_world_finish(proxy_world_t *w) {
    test_env_until_count(&w->env, &w->done, 1);
}

void proxy_world_heard(const proxy_world_t *w, const char *text) {
    if (strstr(w->proxy.heard, text) == NULL)
        fail_msg("the proxy has not heard \"%s\" but \"%s\"", text, w->proxy.heard);
}

void proxy_world_use(proxy_world_t *w, const char *early) {
    proxy_world_finish(w);
    if (w->status != 0)
        fail_msg("%s: %s", wst_err_name(w->status), w->detail);
    size_t len = strlen(early);
    assert_int_equal(sockets_write(w->owner.stream, "hello", 5), 0);
    test_env_until_count(&w->env, &w->owner.received, len + 5);
    assert_int_equal(w->owner.received, len + 5);
    assert_memory_equal(w->owner.first, early, len);
    assert_memory_equal(w->owner.first + len, "hello", 5);
}

void proxy_world_script(proxy_world_t *w, const fake_proxy_turn_t *turns, size_t count) {
    memcpy(w->proxy.turns, turns, count * sizeof(*turns));
}
