/* SPDX-License-Identifier: MIT */
/*
 * One HTTP connection of a server: what is asked decides who it is, a client (CONNECT), an agent
 * (the upgrade) or a monitor. What each address offers is told by its roles; what it does not offer
 * is answered here.
 */
#include "server.h"

#include "hijack.h"

#include <stdio.h>
#include <string.h>

/* Life --------------------------------------------------------------------------------------- */

static void on_hijack_closed(void *user_data) {
    wst__conn_t *c = user_data;
    wst_server_t *s = c->server;
    wst__list_remove(&c->node);
    if (c->counted)
        wst__server_uncount_connection(s);
    if (c->leaving)
        s->leaving--;
    wst__free(&s->ctx->allocator, c);
    wst__server_check_drained(s);
    wst__server_release(s);
}

void wst__conn_close(wst__conn_t *c) {
    if (c->closing)
        return;
    c->closing = true;
    if (c->request != NULL)
        wst__request_cancel(c->request);
    if (c->dial != NULL)
        wst_server_dial_cancel(c->dial);
    c->request = NULL;
    c->dial = NULL;
    if (c->exchange != NULL)
        wst__exchange_close(c->exchange);
    wst__origin_drop(c);
    wst_hijack_close(c->hijack, on_hijack_closed);
}

void wst__conn_leave(wst__conn_t *c) {
    c->leaving = true;
    c->server->leaving++;
}

void wst__conn_drain(wst__conn_t *c) {
    if (c->served && !c->closing && wst__hijack_retire(c->hijack))
        wst__conn_leave(c);
}

/* Answered and sent, or the client went away, also while its request was pending. */
static void on_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)hijack;
    (void)status;
    wst__conn_close(user_data);
}

/* Answers ------------------------------------------------------------------------------------ */

void wst__conn_respond(wst__conn_t *c, const wst_response_t *response) {
    int status = wst_hijack_respond(c->hijack, response);
    if (status == WST_EINVAL) { /* the embedder's header fields are none */
        const wst_response_t plain = {.status = 500, .reason = "Malformed answer"};
        wst__log(c->server->ctx, WST_LOG_ERROR, "answer to %s: malformed header fields", c->peer);
        status = wst_hijack_respond(c->hijack, &plain);
    }
    if (status != 0)
        wst__conn_close(c);
}

/* Our fields and those of the embedder. NULL: no memory. */
static char *join_fields(const wst_allocator_t *a, const char *ours, const char *theirs) {
    size_t len = strlen(ours), more = strlen(theirs);
    char *fields = wst__alloc(a, len + more + 1);
    if (fields == NULL)
        return NULL;
    memcpy(fields, ours, len);
    memcpy(fields + len, theirs, more + 1);
    return fields;
}

static void respond_refusal(wst__conn_t *c, const wst__refusal_t *refusal,
                            const wst__refusal_text_t *text, const char *fields) {
    const wst_allocator_t *a = &c->server->ctx->allocator;
    char *all = join_fields(a, text->fields, fields != NULL ? fields : "");
    if (all == NULL) {
        wst__conn_close(c);
        return;
    }
    /* A rejected CONNECT closes the connection: what follows it was meant for the tunnel, or may
     * have been. For 407 clients need it kept; the hijack does so if nothing has followed. */
    const wst_response_t response = {.status = refusal->status,
                                     .reason = text->reason,
                                     .fields = all,
                                     .body = text->body,
                                     .keep_alive = refusal->status == 407};
    wst__conn_respond(c, &response);
    wst__free(a, all);
}

void wst__conn_refuse(wst__conn_t *c, const wst__refusal_t *refusal, wst_str_t detail,
                      const char *fields) {
    wst_server_t *s = c->server;
    if (wst_hijack_request(c->hijack) == NULL)
        return; /* the client has just gone: on_done follows */
    wst__refusal_text_t text;
    wst__refusal_write(&text, refusal, detail);
    wst__log(s->ctx, WST_LOG_INFO, "client %s: %s refused: %d %s", c->peer, c->destination,
             refusal->status, text.reason);
    char more[WST__DETAIL_MAX + 1];
    snprintf(more, sizeof(more), "%.*s", (int)detail.len, detail.len > 0 ? detail.ptr : "");
    respond_refusal(c, refusal, &text, fields);
    const wst_refusal_info_t info = {.client = c->peer,
                                     .user = c->user,
                                     .tenant = c->tenant,
                                     .destination = c->destination,
                                     .agent = c->agent,
                                     .address = c->address,
                                     .http_status = refusal->status,
                                     .error = refusal->error,
                                     .reason = text.reason,
                                     .detail = more};
    if (s->options.callbacks.on_refused != NULL)
        s->options.callbacks.on_refused(s, &info, s->options.user_data);
}

void wst__conn_refuse_error(wst__conn_t *c, int error) {
    const wst__refusal_t refusal = wst__refusal_of(error);
    wst__conn_refuse(c, &refusal, (wst_str_t){NULL, 0}, NULL);
}

bool wst__conn_ask(wst__conn_t *c,
                   void (*callback)(wst_server_t *s, wst_request_t *request, void *user_data),
                   wst__answer_cb on_answer) {
    wst_server_t *s = c->server;
    const wst__ask_t ask = {.head = wst_hijack_request(c->hijack),
                            .destination = c->destination,
                            .peer = c->peer,
                            .tls = c->tls,
                            .timeout_ms = s->options.decision_timeout_ms,
                            .on_answer = on_answer,
                            .user_data = c};
    if (wst__request_new(&c->request, s->ctx, &ask) != 0)
        return false;
    callback(s, c->request, s->options.user_data);
    return true;
}

void wst__conn_identify(wst__conn_t *c, const wst__answer_t *answer) {
    snprintf(c->user, sizeof(c->user), "%s", answer->user);
    snprintf(c->tenant, sizeof(c->tenant), "%s", answer->tenant);
    memcpy(c->credential, answer->credential, sizeof(c->credential));
}

/* Requests ----------------------------------------------------------------------------------- */

static void respond(wst__conn_t *c, int status, const char *reason, const char *fields,
                    const char *body) {
    const wst_response_t response = {
        .status = status, .reason = reason, .fields = fields, .body = body};
    wst__conn_respond(c, &response);
}

static void bad_request(wst__conn_t *c, const wst_http_head_t *head, const char *why) {
    char reason[WST__PHRASE_MAX + 1];
    snprintf(reason, sizeof(reason), "Bad Request: %s", why);
    const wst__refusal_t refusal = {.status = 400, .reason = reason, .error = "http_request_error"};
    if (wst_str_eq(head->method, "CONNECT")) {
        snprintf(c->destination, sizeof(c->destination), "%.*s", (int)head->target.len,
                 head->target.ptr);
        wst__conn_refuse(c, &refusal, (wst_str_t){NULL, 0}, NULL);
        return;
    }
    wst__refusal_text_t text;
    wst__refusal_write(&text, &refusal, (wst_str_t){NULL, 0});
    respond_refusal(c, &refusal, &text, NULL);
}

/* A monitor's question; it may come back on the same connection. */
static void respond_health(wst__conn_t *c, bool well, const char *body) {
    const wst_response_t response = {.status = well ? 200 : 503,
                                     .reason = well ? "OK" : "Service Unavailable",
                                     .fields = "Cache-Control: no-store\r\n",
                                     .body = body,
                                     .keep_alive = true};
    wst__conn_respond(c, &response);
}

static void ready(wst__conn_t *c) {
    wst_server_t *s = c->server;
    wst_remote_t *r = wst__remotes_next(&s->remotes, NULL);
    while (r != NULL && !wst_remote_is_ready(r))
        r = wst__remotes_next(&s->remotes, r);
    if (s->draining)
        respond_health(c, false, "shutting down\n");
    else
        respond_health(c, r != NULL, r != NULL ? "ready\n" : "no agent available\n");
}

static bool is_read_method(const wst_http_head_t *head) {
    return wst_str_eq(head->method, "GET") || wst_str_eq(head->method, "HEAD");
}

static void serve_path(wst__conn_t *c, const wst_http_head_t *head, wst_str_t path) {
    const char *query = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;
    if (query != NULL)
        path.len = (size_t)(query - path.ptr);
    bool health = wst_str_eq(path, "/healthz") && (c->roles & WST_ROLE_HEALTH) != 0;
    bool readiness = wst_str_eq(path, "/readyz") && (c->roles & WST_ROLE_HEALTH) != 0;
    bool agents = wst_str_eq(path, c->server->path) && (c->roles & WST_ROLE_AGENTS) != 0;
    if ((health || readiness) && !is_read_method(head))
        respond(c, 405, "Method Not Allowed", "Allow: GET, HEAD\r\n", NULL);
    else if (health)
        respond_health(c, true, "ok\n");
    else if (readiness)
        ready(c);
    else if (agents && !wst_str_eq(head->method, "GET"))
        respond(c, 405, "Method Not Allowed", "Allow: GET\r\n", NULL);
    else if (agents)
        wst__agent_request(c, head);
    else
        respond(c, 404, "Not Found", NULL, "Nothing is served here.\n");
}

/* A connection that should have begun with a handshake. */
static bool speaks_plain_to_tls(const wst__conn_t *c) {
    return c->tls == NULL && (c->roles & (WST_LISTEN_TLS | WST_LISTEN_PLAIN)) == WST_LISTEN_TLS;
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    wst__conn_t *c = user_data;
    (void)hijack;
    c->destination[0] = '\0';
    c->address[0] = '\0';
    c->agent[0] = '\0';
    c->asked_ms = wst__now(c->server->ctx);
    wst_http_target_t target;
    const char *why = "";
    if (speaks_plain_to_tls(c))
        bad_request(c, head, "this address speaks TLS (https://, wss://)");
    else if (wst_http_parse_target(&target, head, &why) != 0)
        bad_request(c, head, why);
    else if (target.form == WST_HTTP_AUTHORITY)
        wst__connect_request(c, head, &target.authority);
    else if (target.form == WST_HTTP_ABSOLUTE && (c->roles & WST_ROLE_CONNECT) != 0)
        wst__forward_http(c, head, &target);
    else if (target.form == WST_HTTP_ASTERISK)
        respond(c, 405, "Method Not Allowed", "Allow: CONNECT, GET\r\n", NULL);
    else
        serve_path(c, head, target.path);
}

int wst__conn_new(wst_server_t *s, wst_stream_t *stream, unsigned roles) {
    wst__conn_t *c = wst__zalloc(&s->ctx->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->server = s;
    c->roles = roles;
    c->tls = wst_stream_tls(stream);
    snprintf(c->peer, sizeof(c->peer), "%s", wst_stream_peer(stream));
    const wst_hijack_options_t options = {.limits = s->options.http,
                                          .head_timeout_ms = s->options.head_timeout_ms,
                                          .on_request = on_request,
                                          .on_done = on_done,
                                          .user_data = c};
    int status = wst_hijack_new(&c->hijack, s->ctx, stream, &options);
    if (status != 0) {
        wst__free(&s->ctx->allocator, c);
        return status;
    }
    wst__list_init(&c->node);
    wst__list_append(&s->conns, &c->node);
    c->counted = true;
    wst__server_hold(s);
    wst__server_count_connection(s);
    return 0;
}
