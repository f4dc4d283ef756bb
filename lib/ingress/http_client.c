/* SPDX-License-Identifier: MIT */
/* A client's HTTP connection (http_client.h): its lifetime and its answers. */
#include "http_client.h"

#include "hijack.h"

#include <wstunnel/tls.h>

#include <stdio.h>
#include <string.h>

/* Life --------------------------------------------------------------------------------------- */

static void on_hijack_closed(void *user_data) {
    wst__client_t *c = user_data;
    wst__ticket_t hold = {0};
    wst__seat_give_back(&c->connection);
    wst__ticket_give_back(&c->last_word);
    wst__ticket_hand_on(&c->hold, &hold);
    c->options->on_closed(c);
    wst__ticket_give_back(&hold);
}

void wst__client_close(wst__client_t *c) {
    if (c->closing)
        return;
    c->closing = true;
    c->options->on_close(c);
    if (c->exchange != NULL)
        wst__exchange_close(c->exchange);
    if (c->flow != NULL)
        wst_flow_cancel(c->flow);
    c->flow = NULL;
    wst__client_drop_early(c);
    wst__kept_drop(c);
    wst_hijack_close(c->hijack, on_hijack_closed);
}

void wst__client_leave(wst__client_t *c) {
    if (!wst__ticket_is_taken(&c->last_word))
        wst__ticket_take(&c->last_word, &c->ingress->node->busy);
}

void wst__client_drain(wst__client_t *c) {
    if (c->served && !c->closing && wst__hijack_retire(c->hijack))
        wst__client_leave(c);
}

/* The last answer has been sent, or the client has left, perhaps while its request was pending. */
static void on_done(wst_hijack_t *hijack, int status, void *user_data) {
    wst__client_t *c = user_data;
    (void)hijack;
    wst__client_close(c);
    if (status == WST_EMEMORY)
        wst__ingress_turn_away(c->ingress, c->peer, status);
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    wst__client_t *c = user_data;
    (void)hijack;
    c->options->on_request(c, head);
}

static wst_str_t on_stranger(wst_hijack_t *hijack, uint8_t first, void *user_data) {
    wst__client_t *c = user_data;
    (void)hijack;
    return c->options->on_stranger(c, first);
}

int wst__client_init(wst__client_t *c, wst_ingress_t *ingress, wst_stream_t *stream,
                     wst__seat_t *seat, const wst__client_options_t *options) {
    *c = (wst__client_t){.ingress = ingress, .options = options, .tls = wst_stream_tls(stream)};
    snprintf(c->peer, sizeof(c->peer), "%s", wst_stream_peer(stream));
    const wst_hijack_options_t hijack = {.size = sizeof(hijack),
                                         .limits = &options->limits,
                                         .head_timeout_ms = options->head_timeout_ms,
                                         .on_request = on_request,
                                         .on_done = on_done,
                                         .user_data = c,
                                         .fields = options->fields};
    int status = wst_hijack_new(&c->hijack, ingress->ctx, stream, &hijack);
    if (status != 0)
        return status;
    wst__seat_hand_on(seat, &c->connection);
    wst__hijack_set_budget(c->hijack, wst__seat_budget(&c->connection));
    wst__hijack_set_stranger(c->hijack, on_stranger);
    wst__ticket_take(&c->hold, &ingress->node->holds);
    return 0;
}

/* Answers ------------------------------------------------------------------------------------ */

void wst__client_respond(wst__client_t *c, const wst_response_t *response) {
    int status = wst_hijack_respond(c->hijack, response);
    if (status == WST_EINVAL) { /* the embedder's header fields are malformed */
        const wst_response_t plain = {
            .size = sizeof(plain), .status = 500, .reason = "Malformed answer"};
        wst_ctx_log(c->ingress->ctx, WST_LOG_ERROR, "answer to %s: malformed header fields",
                    c->peer);
        status = wst_hijack_respond(c->hijack, &plain);
    }
    if (status != 0)
        wst__client_close(c);
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

static void respond_text(wst__client_t *c, int http_status, const wst__refusal_text_t *text,
                         const char *fields) {
    const wst_allocator_t *a = &c->ingress->ctx->allocator;
    char *all = join_fields(a, text->fields, fields);
    if (all == NULL) {
        wst__client_close(c);
        return;
    }
    /* A refusal closes the connection, since bytes behind a CONNECT may have been meant for the
     * tunnel. After a 407 clients need it kept; the hijack keeps it if no bytes have followed. */
    const wst_response_t response = {.size = sizeof(response),
                                     .status = http_status,
                                     .reason = text->reason,
                                     .fields = all,
                                     .body = text->body,
                                     .keep_alive = http_status == 407};
    wst__client_respond(c, &response);
    wst__free(a, all);
}

void wst__client_respond_refusal(wst__client_t *c, const wst__refusal_t *refusal) {
    wst__refusal_text_t text;
    wst__refusal_write(&text, refusal, (wst_str_t){NULL, 0});
    respond_text(c, refusal->status, &text, "");
}

void wst__client_on_refused(wst_flow_t *flow, const wst_refusal_info_t *info, void *client) {
    wst__client_t *c = client;
    c->flow = NULL;
    respond_text(c, info->http_status, flow->refusal_text, info->fields);
}

static bool is_gone(const wst_flow_t *flow, void *user_data) {
    const wst__client_t *c = user_data;
    (void)flow;
    return wst_hijack_request(c->hijack) == NULL; /* on_done follows */
}

/* Flows -------------------------------------------------------------------------------------- */

wst_flow_t *wst__client_flow(wst__client_t *c, const char *destination,
                             const wst_flow_callbacks_t *callbacks) {
    const wst_flow_options_t options = {.size = sizeof(options),
                                        .destination = destination,
                                        .peer = c->peer,
                                        .tls = c->tls,
                                        .head = wst_hijack_request(c->hijack)};
    if (wst__flow_new(&c->flow, c->ingress, &options, callbacks, c) != 0) {
        const wst__refusal_t refusal = wst__refusal_of(WST_ENOMEM);
        c->flow = NULL;
        wst__client_respond_refusal(c, &refusal);
        return NULL;
    }
    c->flow->is_gone = is_gone;
    return c->flow;
}

void wst__client_refuse(wst__client_t *c, const char *destination, const wst__refusal_t *refusal,
                        int code) {
    static const wst_flow_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                   .on_refused = wst__client_on_refused};
    wst_flow_t *flow = wst__client_flow(c, destination, &callbacks);
    if (flow != NULL)
        wst__flow_refuse_as(flow, refusal, code);
}
