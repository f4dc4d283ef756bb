/* SPDX-License-Identifier: MIT */
/*
 * The agents of a server: from the upgrade request to the end of the uplink. An uplink joins the
 * set of agents (remote.h) when its agent has said hello, and leaves the set when it is down.
 */
#include "server.h"

#include "glob.h"
#include "hijack.h"
#include "labels.h"
#include "ws_handshake.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* One accepted uplink. */
typedef struct session {
    wst__list_t node;
    wst_server_t *server;
    wst__uplink_t *uplink;
    wst__member_t member;
    char peer[96];
    char name[WST__USER_MAX + 1]; /* the required name, or a pattern; "": any */
    char tenant[WST__TENANT_MAX + 1];
    const char **labels; /* NULL-terminated; NULL: no labels */
    uint8_t credential[WST__CREDENTIAL_LEN];
    wst__defer_t defer;                    /* runs revoke_session */
    wst__ticket_t hold, connection, place; /* place: among the sessions */
} session_t;

static session_t *session_of_member(const wst__member_t *member) {
    return WST__CONTAINER(member, session_t, member);
}

/* Refusals ----------------------------------------------------------------------------------- */

static void tell_refused(wst_server_t *s, const wst_refusal_info_t *info) {
    if (s->callbacks.on_agent_refused != NULL)
        s->callbacks.on_agent_refused(s, info, s->user_data);
}

/* Refuses a session before it joins the set; `reason` goes to the agent's log. */
static int refuse_hello(session_t *a, const wst_hello_t *hello, const char *reason) {
    wst_server_t *s = a->server;
    char name[WST_NAME_MAX + 1];
    snprintf(name, sizeof(name), "%.*s", (int)hello->name.len,
             hello->name.len > 0 ? hello->name.ptr : "");
    wst_ctx_log(s->node.ctx, WST_LOG_WARN, "agent at %s refused: %s", a->peer, reason);
    a->uplink->ops->end(a->uplink, 1008, reason, false);
    const wst_refusal_info_t info = {.size = sizeof(info),
                                     .client = a->peer,
                                     .user = a->name,
                                     .tenant = a->tenant,
                                     .destination = "",
                                     .agent = name,
                                     .address = "",
                                     .code = WST_EDENIED,
                                     .error = "http_request_denied",
                                     .reason = reason,
                                     .detail = "",
                                     .fields = ""};
    tell_refused(s, &info);
    return 0;
}

static void refuse_agent(wst__conn_t *c, const wst__refusal_t *refusal, int code,
                         const wst__answer_t *answer, const char *fields, const char *body) {
    wst_server_t *s = c->server;
    wst_ctx_log(s->node.ctx, WST_LOG_INFO, "agent at %s refused: %d %s", c->client.peer,
                refusal->status, refusal->reason);
    const wst_response_t response = {.size = sizeof(response),
                                     .status = refusal->status,
                                     .reason = refusal->reason,
                                     .fields = fields,
                                     .body = body};
    wst__client_respond(&c->client, &response);
    const wst_refusal_info_t info = {.size = sizeof(info),
                                     .client = c->client.peer,
                                     .user = answer != NULL ? answer->user : "",
                                     .tenant = answer != NULL ? answer->tenant : "",
                                     .destination = "",
                                     .agent = "",
                                     .address = "",
                                     .http_status = refusal->status,
                                     .code = code,
                                     .retry = refusal->retry,
                                     .error = refusal->error,
                                     .reason = refusal->reason,
                                     .detail = "",
                                     .fields = fields != NULL ? fields : ""};
    tell_refused(s, &info);
}

static void refuse_request(wst__conn_t *c, int status, const char *reason, const char *fields,
                           const char *body) {
    const wst__refusal_t refusal = {
        .status = status, .reason = reason, .error = "http_request_error"};
    refuse_agent(c, &refusal, WST_EHTTP, NULL, fields, body);
}

static void refuse_error(wst__conn_t *c, int error, const wst__answer_t *answer) {
    const wst__refusal_t refusal = wst__refusal_of(error);
    refuse_agent(c, &refusal, wst__refusal_code(error), answer,
                 refusal.retry ? "Retry-After: 5\r\n" : NULL, NULL);
}

/* The uplink --------------------------------------------------------------------------------- */

/* Ends the streams at once: the peer, most likely gone, would answer late or never. */
static void replace_session(const wst__member_t *old) {
    wst__uplink_t *uplink = session_of_member(old)->uplink;
    uplink->ops->end(uplink, 1000, "replaced", true);
}

/* Anyone with an agent's credentials can replace it or join it. A new address may be harmless, so
 * warn only. */
static void warn_if_elsewhere(const session_t *a, const wst__member_t *replaced, bool is_new) {
    const char *name = wst_remote_name(a->member.remote);
    bool moved = replaced != NULL && !wst__same_host(replaced->uplink->peer, a->peer);
    const wst__member_t *other =
        moved ? replaced : wst__remotes_elsewhere(&a->server->ingress.remotes, &a->member, is_new);
    if (other != NULL)
        wst_ctx_log(a->server->node.ctx, WST_LOG_WARN, "agent %s at %s %s %s", name, a->peer,
                    moved    ? "takes over from the one at"
                    : is_new ? "has the name and the credentials of the one at"
                             : "adds to the sessions of the one at",
                    other->uplink->peer);
}

/* "berlin (0f3a9c21)"; only the name if the agent told no instance. */
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

static void log_up(const session_t *a, bool is_new, bool replaces) {
    const wst_remote_t *remote = a->member.remote;
    /* A further session is routine for an agent that renews its connections. */
    wst_log_level_t level = is_new || !a->uplink->renews ? WST_LOG_INFO : WST_LOG_DEBUG;
    wst_ctx_log(a->server->node.ctx, level, "agent %s %s from %s", label_of(remote).text,
                is_new     ? "up"
                : replaces ? "reconnected"
                           : "has one more session",
                a->peer);
}

static int on_uplink_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    session_t *a = user_data;
    wst_server_t *s = a->server;
    if (hello->name.len == 0)
        return refuse_hello(a, hello, "an agent needs a name");
    if (a->name[0] != '\0' && !wst__glob(a->name, hello->name))
        return refuse_hello(a, hello, "these credentials are those of an agent of another name");
    wst__member_t *replaced;
    bool is_new;
    int status = wst__remotes_join(&s->ingress.remotes, &a->member, uplink, hello, a->tenant,
                                   a->labels, &replaced, &is_new);
    if (status == WST_EREPLACED)
        return refuse_hello(a, hello,
                            "this agent has a connection with that epoch or a higher one");
    if (status != 0)
        return status;
    if (wst__server_is_draining(s))
        uplink->ops->goaway(uplink);
    wst_remote_t *remote = a->member.remote;
    log_up(a, is_new, replaced != NULL);
    warn_if_elsewhere(a, replaced, is_new);
    if (replaced != NULL)
        replace_session(replaced);
    wst__ingress_wake(&s->ingress);
    if (is_new && s->callbacks.on_agent_up != NULL)
        s->callbacks.on_agent_up(s, remote, s->user_data);
    return 0;
}

static void on_uplink_change(wst__uplink_t *uplink, void *user_data) {
    session_t *a = user_data;
    (void)uplink;
    wst__remotes_changed(&a->server->ingress.remotes, &a->member);
}

static void on_uplink_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    const session_t *a = user_data;
    (void)uplink;
    if (reason != 0 && a->member.remote != NULL)
        wst_ctx_log(a->server->node.ctx, WST_LOG_INFO, "agent %s takes no more streams: %s",
                    wst_remote_name(a->member.remote), wst_strerror(reason));
}

/* Takes the session out of the set, with the agent if that was its last session. */
static void leave_agents(session_t *a, int error, const char *detail) {
    wst_server_t *s = a->server;
    wst_remote_t *gone = wst__remotes_leave(&s->ingress.remotes, &a->member);
    if (gone == NULL)
        return;
    const wst_agent_down_info_t info = {.size = sizeof(info), .error = error, .detail = detail};
    wst_ctx_log(s->node.ctx, WST_LOG_INFO, "agent %s down: %s", label_of(gone).text, detail);
    if (s->node.state != WST__NODE_CLOSING && s->callbacks.on_agent_down != NULL)
        s->callbacks.on_agent_down(s, gone, &info, s->user_data);
    wst__remote_free(gone);
}

static void on_uplink_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                           void *user_data) {
    session_t *a = user_data;
    (void)http_status;
    wst__defer_cancel(&a->defer); /* the session has already ended */
    leave_agents(a, error, detail);
    uplink->ops->close(uplink);
}

static void free_session(session_t *a) {
    const wst_allocator_t *al = &a->server->node.ctx->allocator;
    wst__ticket_t hold = {0};
    wst__list_remove(&a->node);
    wst__defer_cancel(&a->defer);
    wst__ticket_give_back(&a->place);
    wst__ticket_give_back(&a->connection);
    wst__ticket_hand_on(&a->hold, &hold);
    wst__free(al, a->labels);
    wst__free(al, a);
    wst__ticket_give_back(&hold);
}

static void on_uplink_closed(void *user_data) {
    session_t *a = user_data;
    assert(a->member.remote == NULL); /* on_uplink_down has run */
    free_session(a);
}

static const wst__uplink_callbacks_t uplink_callbacks = {.on_up = on_uplink_up,
                                                         .on_change = on_uplink_change,
                                                         .on_goaway = on_uplink_goaway,
                                                         .on_down = on_uplink_down,
                                                         .on_closed = on_uplink_closed};

/* Admission ---------------------------------------------------------------------------------- */

static wst__uplink_options_t uplink_options(session_t *a) {
    const wst_server_limits_t *limits = &a->server->limits;
    return (wst__uplink_options_t){.callbacks = &uplink_callbacks,
                                   .user_data = a,
                                   .hello = {.initial_credit = limits->stream_window},
                                   .name = a->name,
                                   .window_max = limits->stream_window_max,
                                   .hello_timeout_ms = limits->hello_timeout_ms,
                                   .ping_interval_ms = limits->ping_interval_ms,
                                   .dead_after_ms = limits->dead_after_ms,
                                   .half_closed_timeout_ms = limits->half_closed_timeout_ms};
}

/* `answer`: the embedder's, about the agent; NULL: the embedder was not asked. */
static int session_new(wst__conn_t *c, const wst__answer_t *answer) {
    wst_server_t *s = c->server;
    wst_ctx_t *ctx = s->node.ctx;
    session_t *a = wst__zalloc(&ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->server = s;
    wst__list_init(&a->node);
    wst__defer_init(&a->defer);
    snprintf(a->peer, sizeof(a->peer), "%s", c->client.peer);
    int status = 0;
    if (answer != NULL) {
        snprintf(a->name, sizeof(a->name), "%s", answer->user);
        snprintf(a->tenant, sizeof(a->tenant), "%s", answer->tenant);
        memcpy(a->credential, answer->credential, sizeof(a->credential));
        status = wst__labels_copy(&ctx->allocator, &a->labels, answer->labels);
    }
    const wst__uplink_options_t options = uplink_options(a);
    if (status == 0)
        status = s->kind->accept(&a->uplink, ctx, c->client.hijack, &options);
    if (status != 0) {
        free_session(a);
        return status;
    }
    wst__list_append(&s->agents.list, &a->node);
    wst__ticket_take(&a->hold, &s->node.holds);
    wst__ticket_take(&a->place, &s->agents.sessions);
    wst__ticket_hand_on(&c->client.connection, &a->connection);
    return 0;
}

static void accept_agent(wst__conn_t *c, const wst__answer_t *answer) {
    wst_server_t *s = c->server;
    bool draining = wst__server_is_draining(s);
    if (draining || s->agents.sessions.count >= s->limits.max_agent_sessions) {
        refuse_error(c, draining ? WST__DRAINING : WST__TOO_MANY_AGENTS, answer);
        return;
    }
    int status = session_new(c, answer);
    if (status == 0)
        wst__client_close(&c->client);
    else if (wst_hijack_request(c->client.hijack) != NULL)
        refuse_error(c, status, answer);
    else if (status != WST_EHANDSHAKE) /* already answered */
        wst__client_close(&c->client);
}

static void on_answer(const wst__answer_t *answer, void *user_data) {
    wst__conn_t *c = user_data;
    c->request = NULL;
    int verdict = wst__answer_verdict(answer, WST__ALLOWED);
    if (wst_hijack_request(c->client.hijack) == NULL)
        return; /* the agent has just left: on_done follows */
    if (verdict == 0) {
        accept_agent(c, answer);
    } else if (verdict == WST_EDENIED) {
        wst__refusal_t denied = wst__refusal_denied(answer->status, answer->reason);
        wst__refusal_text_t text;
        wst__refusal_write(&text, &denied, (wst_str_t){NULL, 0});
        denied.reason = text.reason;
        refuse_agent(c, &denied, WST_EDENIED, answer, answer->fields, text.body);
    } else {
        refuse_error(c, verdict, answer);
    }
}

static void ask_about_agent(wst__conn_t *c, const wst_http_head_t *head) {
    wst_server_t *s = c->server;
    const wst__ask_t question = {.head = head,
                                 .peer = c->client.peer,
                                 .tls = c->client.tls,
                                 .timeout_ms = s->limits.decision_timeout_ms,
                                 .on_answer = on_answer,
                                 .user_data = c};
    if (wst__request_new(&c->request, s->node.ctx, &question) != 0)
        refuse_error(c, WST_ENOMEM, NULL);
    else
        s->callbacks.on_agent_request(s, c->request, s->user_data);
}

void wst__agent_request(wst__conn_t *c, const wst_http_head_t *head) {
    wst_server_t *s = c->server;
    const wst__uplink_kind_t *ours = wst__uplink_kind(WST_PROTOCOL_WSTUNNEL);
    bool offers_ours = wst__ws_choose_protocol(head, ours->subprotocols) != NULL;
    bool wants_ours = s->kind->subprotocols != NULL;
    if (!wst__ws_is_upgrade(head)) {
        refuse_request(c, 426, "Upgrade Required", "Upgrade: websocket\r\n",
                       "Agents connect here, by WebSocket.\n");
    } else if (!s->allow_origin && wst_http_header(head, "Origin", NULL) != NULL) {
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
        wst__hijack_watch(c->client.hijack);
        if (s->callbacks.on_agent_request == NULL)
            accept_agent(c, NULL);
        else
            ask_about_agent(c, head);
    }
}

/* The part ----------------------------------------------------------------------------------- */

static void drain_agents(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, agents.part);
    WST__LIST_EACH(session_t, a, &s->agents.list, node)
        if (a->member.remote != NULL) /* else on_uplink_up sends the goaway */
            a->uplink->ops->goaway(a->uplink);
}

static void close_agents(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, agents.part);
    WST__LIST_EACH(session_t, a, &s->agents.list, node)
        a->uplink->ops->end(a->uplink, 1001, "server is shutting down", false);
}

void wst__agents_init(wst_server_t *s) {
    s->agents.part = (wst__part_t){.drain = drain_agents, .close = close_agents};
    wst__list_init(&s->agents.list);
    wst__node_add(&s->node, &s->agents.part);
}

static void revoke_session(wst__defer_t *defer) {
    static const char reason[] = "its credentials are not valid any more";
    session_t *a = WST__CONTAINER(defer, session_t, defer);
    wst_ctx_log(a->server->node.ctx, WST_LOG_WARN, "agent at %s: %s", a->peer, reason);
    a->uplink->ops->end(a->uplink, 1008, reason, true);
}

void wst_server_review_agents(wst_server_t *s,
                              bool (*is_valid)(const wst_admission_t *admission, void *user_data),
                              void *user_data) {
    WST__LIST_EACH(session_t, a, &s->agents.list, node) {
        const wst_remote_t *remote = a->member.remote;
        const wst_admission_t admission = {.size = sizeof(admission),
                                           .name = remote != NULL ? wst_remote_name(remote) : NULL,
                                           .tenant = a->tenant,
                                           .credential = a->credential};
        if (!is_valid(&admission, user_data))
            wst__defer(s->node.ctx, &a->defer, revoke_session);
    }
}
