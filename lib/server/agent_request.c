/* SPDX-License-Identifier: MIT */
/* Upgrade requests of agents: whether they are in order and allowed. */
#include "agent_session.h"

#include "forwarded.h"
#include "hijack.h"
#include "ws_handshake.h"

/* Refusals ----------------------------------------------------------------------------------- */

static void refuse_agent(wst__conn_t *c, const wst__refusal_t *refusal, int code,
                         const wst__answer_t *answer, const char *fields, const char *body) {
    wst_server_t *s = c->server;
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
                                     .fields = fields != NULL ? fields : "",
                                     .claimed_user = answer != NULL ? answer->claimed_user : "",
                                     .cause = answer != NULL ? answer->cause : "",
                                     .trace_id = "",
                                     .span_id = ""};
    wst__agent_tell_refused(s, &info);
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

/* Admission ---------------------------------------------------------------------------------- */

/* What the upgrade request says about a session. False: it is malformed, or said twice. */
static bool read_claim(const wst_server_t *s, const wst_http_head_t *head,
                       wst__resume_field_t *out) {
    const wst_http_header_t *field = wst_http_header(head, WST__RESUME_FIELD, NULL);
    *out = (wst__resume_field_t){.kind = WST__RESUME_NONE};
    if (field == NULL)
        return true;
    if (wst_http_header(head, WST__RESUME_FIELD, field) != NULL ||
        !wst__resume_field_read(out, field->value))
        return false;
    if (s->no_resume)
        out->kind = WST__RESUME_NONE;
    return true;
}

/* Whether the agent claims a session of ours, which has a place already. */
static bool continues(const wst__conn_t *c) {
    return c->claim.kind == WST__RESUME_OLD &&
           wst__agent_session_find(c->server, c->claim.sid) != NULL;
}

const char *wst__agent_no_new(const wst__conn_t *c) {
    const wst_server_t *s = c->server;
    if (wst__server_is_draining(s) || c->introduction != NULL)
        return "server is shutting down";
    return s->agents.sessions.count >= s->limits.max_agent_sessions ? "too many agents" : NULL;
}

void wst__agent_accept(wst__conn_t *c, const wst__answer_t *answer) {
    bool leaves = wst__server_is_draining(c->server) || c->introduction != NULL;
    if (wst__agent_no_new(c) != NULL && !continues(c)) {
        refuse_error(c, leaves ? WST__DRAINING : WST__TOO_MANY_AGENTS, answer);
        return;
    }
    int status = wst__agent_session_new(c, answer);
    if (status == 0)
        wst__client_close(&c->client);
    else if (wst_hijack_request(c->client.hijack) != NULL)
        refuse_error(c, status, answer);
    else if (status != WST_EHANDSHAKE) /* already answered */
        wst__client_close(&c->client);
}

/* The agent may have come for a session of the predecessor. For want of memory or descriptors it
 * comes again. */
static void admit(wst__conn_t *c, const wst__answer_t *answer) {
    int status = wst__predecessor_ask(c, answer);
    if (status == WST_ESTATE)
        wst__agent_accept(c, answer);
    else if (status != 0)
        refuse_error(c, WST_EMEMORY, answer);
}

static void on_answer(const wst__answer_t *answer, void *user_data) {
    wst__conn_t *c = user_data;
    c->request = NULL;
    int verdict = wst__answer_verdict(answer, WST__ALLOWED);
    if (wst_hijack_request(c->client.hijack) == NULL)
        return; /* the agent has just left: on_done follows */
    if (verdict == 0) {
        admit(c, answer);
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
    } else if (s->callbacks.on_agent_request == NULL && !s->allow_open &&
               wst__forwarded_any(head)) {
        /* By the proxy anybody may have come, not only agents on this machine. */
        refuse_error(c, WST__BY_PROXY, NULL);
    } else if (!wants_ours && offers_ours) {
        refuse_request(c, 400, "Another protocol is spoken here", NULL,
                       "Agents of this server use the option --protocol talk.\n");
    } else if (wants_ours && !offers_ours) {
        refuse_request(c, 400, "No subprotocol of ours", NULL,
                       "Offer one of these by Sec-WebSocket-Protocol: wstunnel.v1.bin, "
                       "wstunnel.v1.json\n");
    } else if (!read_claim(s, head, &c->claim)) {
        refuse_request(c, 400, "Malformed " WST__RESUME_FIELD, NULL, NULL);
    } else {
        wst__hijack_watch(c->client.hijack);
        if (c->introduction != NULL)
            admit(c, &c->introduction->answer);
        else if (s->callbacks.on_agent_request == NULL)
            admit(c, NULL);
        else
            ask_about_agent(c, head);
    }
}
