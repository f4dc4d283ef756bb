/* SPDX-License-Identifier: MIT */
/*
 * The uplinks of agents, from the upgrade request to their end. One that is up joins the set of
 * agents (remote.h), and leaves it when it is down.
 */
#include "server.h"

#include "glob.h"
#include "hijack.h"
#include "ws_handshake.h"

#include <stdio.h>
#include <string.h>

struct wst__agent_session {
    wst__list_t node;
    wst_server_t *server;
    wst__uplink_t *uplink;
    wst__member_t member;
    char peer[96];
    char name[128]; /* that it must have, or a pattern; "": any */
    char tenant[WST__TENANT_MAX + 1];
    uint8_t credential[WST__CREDENTIAL_LEN];
    wst__defer_t defer; /* its end, if that is not valid any more */
};

static wst__agent_session_t *session_of(wst__list_t *node) {
    return WST__CONTAINER(node, wst__agent_session_t, node);
}

/* The uplink --------------------------------------------------------------------------------- */

/* Whom to refuse before anybody counts on it; the reason is for the agent's log. */
static int refuse_hello(wst__agent_session_t *a, const wst_hello_t *hello, const char *reason) {
    wst_server_t *s = a->server;
    char name[WST_NAME_MAX + 1];
    snprintf(name, sizeof(name), "%.*s", (int)hello->name.len,
             hello->name.len > 0 ? hello->name.ptr : "");
    wst__log(s->ctx, WST_LOG_WARN, "agent at %s refused: %s", a->peer, reason);
    a->uplink->ops->end(a->uplink, 1008, reason, false);
    const wst_refusal_info_t info = {.client = a->peer,
                                     .user = a->name,
                                     .tenant = a->tenant,
                                     .destination = "",
                                     .agent = name,
                                     .address = "",
                                     .error = "http_request_denied",
                                     .reason = reason,
                                     .detail = ""};
    if (s->options.callbacks.on_agent_refused != NULL)
        s->options.callbacks.on_agent_refused(s, &info, s->options.user_data);
    return 0;
}

/* Who has an agent's credentials can take its place, or stand beside it. That it comes from another
 * address may be an agent that has moved, or a twin; somebody should know. */
static void warn_if_elsewhere(const wst__agent_session_t *a, const wst__member_t *replaced,
                              bool is_new) {
    const char *name = wst_remote_name(a->member.remote);
    bool moved = replaced != NULL && !wst__same_host(replaced->uplink->peer, a->peer);
    const wst__member_t *other =
        moved ? replaced : wst__remotes_elsewhere(&a->server->remotes, &a->member, is_new);
    if (other != NULL)
        wst__log(a->server->ctx, WST_LOG_WARN, "agent %s at %s %s %s", name, a->peer,
                 moved    ? "takes over from the one at"
                 : is_new ? "has the name and the credentials of the one at"
                          : "adds to the sessions of the one at",
                 other->uplink->peer);
}

/* "berlin (0f3a9c21)"; without an instance only the name. */
typedef struct label {
    char text[WST_NAME_MAX + 16];
} label_t;

static label_t label_of(const wst_remote_t *remote) {
    const char *name = wst_remote_name(remote), *instance = wst_remote_instance(remote);
    bool has_instance = strspn(instance, "0") < strlen(instance);
    label_t label;
    snprintf(label.text, sizeof(label.text), has_instance ? "%s (%.8s)" : "%s", name, instance);
    return label;
}

/* Uplinks that are used up come all the time: that is nobody's news. */
static void log_up(const wst__agent_session_t *a, const wst__member_t *replaced, bool is_new) {
    bool is_news = is_new || !a->uplink->renews;
    wst__log(a->server->ctx, is_news ? WST_LOG_INFO : WST_LOG_DEBUG, "agent %s %s from %s",
             label_of(a->member.remote).text,
             is_new             ? "up"
             : replaced != NULL ? "reconnected"
                                : "has one more session",
             a->peer);
    if (is_news)
        warn_if_elsewhere(a, replaced, is_new);
}

static int on_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    wst__agent_session_t *a = user_data;
    wst_server_t *s = a->server;
    if (hello->name.len == 0)
        return refuse_hello(a, hello, "an agent needs a name");
    if (a->name[0] != '\0' && !wst__glob(a->name, hello->name))
        return refuse_hello(a, hello, "these credentials are those of an agent of another name");
    wst__member_t *replaced;
    bool is_new;
    int status = wst__remotes_join(&s->remotes, &a->member, uplink, hello, a->tenant, NULL,
                                   &replaced, &is_new);
    if (status == WST_EREPLACED)
        return refuse_hello(a, hello,
                            "this agent has a connection with that epoch or a higher one");
    if (status != 0)
        return status;
    if (s->draining)
        uplink->ops->goaway(uplink);
    wst_remote_t *remote = a->member.remote;
    log_up(a, replaced, is_new);
    wst__dials_wake(s);
    /* What ran through it is lost at once, rather than when its peer, gone most likely, answers. */
    if (replaced != NULL)
        replaced->uplink->ops->end(replaced->uplink, 1000, "replaced", true);
    if (is_new && s->options.callbacks.on_agent_up != NULL)
        s->options.callbacks.on_agent_up(s, remote, s->options.user_data);
    return 0;
}

static void on_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    const wst__agent_session_t *a = user_data;
    (void)uplink;
    if (a->member.remote != NULL)
        wst__log(a->server->ctx, WST_LOG_INFO, "agent %s takes no more streams: %s",
                 wst_remote_name(a->member.remote), wst_strerror(reason));
}

static void on_closed(void *user_data) {
    wst__agent_session_t *a = user_data;
    wst_server_t *s = a->server;
    wst__list_remove(&a->node);
    wst__defer_cancel(&a->defer);
    s->session_count--;
    wst__free(&s->ctx->allocator, a);
    wst__server_uncount_connection(s);
    wst__server_release(s);
}

static void on_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                    void *user_data) {
    wst__agent_session_t *a = user_data;
    (void)http_status; /* a client's */
    wst_server_t *s = a->server;
    wst_remote_t *gone = wst__remotes_leave(&s->remotes, &a->member);
    wst__defer_cancel(&a->defer); /* there is nothing left to end */
    uplink->ops->close(uplink);
    if (gone == NULL)
        return;
    wst__log(s->ctx, WST_LOG_INFO, "agent %s down: %s", label_of(gone).text, detail);
    if (!s->closing && s->options.callbacks.on_agent_down != NULL)
        s->options.callbacks.on_agent_down(s, gone, error, detail, s->options.user_data);
    wst__remote_free(gone);
}

/* All of them -------------------------------------------------------------------------------- */

void wst__agents_goaway(wst_server_t *s) {
    for (wst__list_t *node = wst__list_first(&s->sessions); node != NULL;
         node = wst__list_next(&s->sessions, node)) {
        wst__uplink_t *uplink = session_of(node)->uplink;
        uplink->ops->goaway(uplink);
    }
    wst__dials_wake(s); /* there is nothing to wait for any more */
}

void wst__agents_close(wst_server_t *s) {
    for (wst__list_t *node = wst__list_first(&s->sessions); node != NULL;
         node = wst__list_next(&s->sessions, node)) {
        wst__uplink_t *uplink = session_of(node)->uplink;
        uplink->ops->end(uplink, 1001, "server is shutting down", false);
    }
}

static void revoke(wst__defer_t *defer) {
    static const char reason[] = "its credentials are not valid any more";
    wst__agent_session_t *a = WST__CONTAINER(defer, wst__agent_session_t, defer);
    wst__log(a->server->ctx, WST_LOG_WARN, "agent at %s: %s", a->peer, reason);
    a->uplink->ops->end(a->uplink, 1008, reason, true);
}

void wst_server_review_agents(wst_server_t *s, wst_admission_cb is_valid, void *user_data) {
    for (wst__list_t *node = wst__list_first(&s->sessions); node != NULL;
         node = wst__list_next(&s->sessions, node)) {
        wst__agent_session_t *a = session_of(node);
        const wst_remote_t *remote = a->member.remote;
        const wst_admission_t admission = {remote != NULL ? wst_remote_name(remote) : NULL,
                                           a->tenant, a->credential};
        if (!is_valid(&admission, user_data))
            wst__defer(s->ctx, &a->defer, revoke);
    }
}

/* The upgrade -------------------------------------------------------------------------------- */

static void refuse(wst__conn_t *c, const wst__refusal_t *refusal, const char *fields,
                   const char *body) {
    wst_server_t *s = c->server;
    wst__log(s->ctx, WST_LOG_INFO, "agent at %s refused: %d %s", c->peer, refusal->status,
             refusal->reason);
    const wst_response_t response = {
        .status = refusal->status, .reason = refusal->reason, .fields = fields, .body = body};
    wst__conn_respond(c, &response);
    const wst_refusal_info_t info = {.client = c->peer,
                                     .user = c->user,
                                     .tenant = c->tenant,
                                     .destination = "",
                                     .agent = "",
                                     .address = "",
                                     .http_status = refusal->status,
                                     .error = refusal->error,
                                     .reason = refusal->reason,
                                     .detail = ""};
    if (s->options.callbacks.on_agent_refused != NULL)
        s->options.callbacks.on_agent_refused(s, &info, s->options.user_data);
}

static void refuse_request(wst__conn_t *c, int status, const char *reason, const char *fields,
                           const char *body) {
    const wst__refusal_t refusal = {
        .status = status, .reason = reason, .error = "http_request_error"};
    refuse(c, &refusal, fields, body);
}

static void refuse_error(wst__conn_t *c, int error) {
    const wst__refusal_t refusal = wst__refusal_of(error);
    refuse(c, &refusal, refusal.retry ? "Retry-After: 5\r\n" : NULL, NULL);
}

static void on_change(wst__uplink_t *uplink, void *user_data) {
    wst__agent_session_t *a = user_data;
    (void)uplink;
    wst__remotes_changed(&a->server->remotes, &a->member);
}

static const wst__uplink_callbacks_t callbacks = {.on_up = on_up,
                                                  .on_change = on_change,
                                                  .on_goaway = on_goaway,
                                                  .on_down = on_down,
                                                  .on_closed = on_closed};

static int accept_uplink(wst__agent_session_t *a, wst_hijack_t *hijack) {
    const wst_server_options_t *o = &a->server->options;
    const wst__uplink_options_t options = {
        .callbacks = &callbacks,
        .user_data = a,
        .name = a->name,
        .hello = {.initial_credit = o->stream_window}, /* no streams: we take none */
        .window_max = o->stream_window_max,
        .hello_timeout_ms = o->hello_timeout_ms,
        .ping_interval_ms = o->ping_interval_ms,
        .dead_after_ms = o->dead_after_ms,
        .half_closed_timeout_ms = o->half_closed_timeout_ms};
    return a->server->kind->accept(&a->uplink, a->server->ctx, hijack, &options);
}

static int session_new(wst__conn_t *c) {
    wst_server_t *s = c->server;
    wst__agent_session_t *a = wst__zalloc(&s->ctx->allocator, sizeof(*a));
    int status = WST_ENOMEM;
    if (a != NULL) {
        a->server = s;
        snprintf(a->peer, sizeof(a->peer), "%s", c->peer);
        snprintf(a->name, sizeof(a->name), "%s", c->user);
        snprintf(a->tenant, sizeof(a->tenant), "%s", c->tenant);
        memcpy(a->credential, c->credential, sizeof(a->credential));
        wst__list_init(&a->node);
        wst__defer_init(&a->defer);
        status = accept_uplink(a, c->hijack);
    }
    if (status != 0)
        wst__free(&s->ctx->allocator, a);
    else
        wst__list_append(&s->sessions, &a->node);
    return status;
}

static void accept_agent(wst__conn_t *c) {
    wst_server_t *s = c->server;
    if (s->draining || s->session_count >= s->options.max_agent_sessions) {
        refuse_error(c, s->draining ? WST__DRAINING : WST__TOO_MANY_AGENTS);
        return;
    }
    int status = session_new(c);
    if (status != 0) {
        if (wst_hijack_request(c->hijack) != NULL)
            refuse_error(c, status);
        else if (status != WST_EHANDSHAKE) /* that has been answered */
            wst__conn_close(c);
        return;
    }
    s->session_count++;
    wst__server_hold(s);
    c->counted = false;
    wst__conn_close(c);
}

static void on_answer(const wst__answer_t *answer, void *user_data) {
    wst__conn_t *c = user_data;
    c->request = NULL;
    wst__conn_identify(c, answer);
    int verdict = wst__server_verdict(answer, WST__ALLOWED);
    if (wst_hijack_request(c->hijack) == NULL)
        return; /* it has just gone: on_done follows */
    if (verdict == 0) {
        accept_agent(c);
    } else if (verdict == WST_EDENIED) {
        wst__refusal_t denied = wst__refusal_denied(answer->status, answer->reason);
        wst__refusal_text_t text;
        wst__refusal_write(&text, &denied, (wst_str_t){NULL, 0});
        denied.reason = text.reason;
        refuse(c, &denied, answer->fields, text.body);
    } else {
        refuse_error(c, verdict);
    }
}

void wst__agent_request(wst__conn_t *c, const wst_http_head_t *head) {
    wst_server_t *s = c->server;
    bool wants_ours = s->kind->subprotocols != NULL;
    const wst__uplink_kind_t *ours = wst__uplink_kind(WST_PROTOCOL_WSTUNNEL);
    bool offers_ours = wst__ws_choose_protocol(head, ours->subprotocols) != NULL;
    if (!wst__ws_is_upgrade(head)) {
        refuse_request(c, 426, "Upgrade Required", "Upgrade: websocket\r\n",
                       "Agents connect here, by WebSocket.\n");
    } else if (!s->options.allow_origin && wst_http_header(head, "Origin", NULL) != NULL) {
        /* Any web page may open a WebSocket to this machine and pose as an agent. */
        refuse_request(c, 403, "Origin not allowed", NULL,
                       "Agents do not connect from web pages.\n");
    } else if (!wants_ours && offers_ours) {
        refuse_request(c, 400, "Another protocol is spoken here", NULL,
                       "Agents of this server use the option --protocol talk.\n");
    } else if (wants_ours && !offers_ours) {
        refuse_request(c, 400, "No subprotocol of ours", NULL,
                       "Offer one of these by Sec-WebSocket-Protocol: wstunnel.v1.bin, "
                       "wstunnel.v1.json\n");
    } else {
        wst__hijack_watch(c->hijack);
        if (s->options.callbacks.on_agent_request == NULL)
            accept_agent(c);
        else if (!wst__conn_ask(c, s->options.callbacks.on_agent_request, on_answer))
            refuse_error(c, WST_ENOMEM);
    }
}
