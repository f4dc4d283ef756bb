/* SPDX-License-Identifier: MIT */
/* The front end for SOCKS5 clients (socks.h). */
#include "socks.h"

#include "early.h"
#include "linger.h"
#include "socks5_server.h"
#include "socks5_wire.h"

#include <stdio.h>
#include <wstunnel/tls.h>

static const wst_str_t nothing = {NULL, 0};

typedef struct client {
    wst__list_t node;
    wst__socks_front_t *front;
    wst_stream_t *stream; /* NULL: handed to the flow */
    char peer[96];
    enum { READING, ASKING, CONNECTING, LEAVING, CLOSING } state;
    wst__socks5_server_t socks;
    wst__early_t early;
    bool ended; /* the client sends no more */

    /* The client's identity. */
    bool logging_in; /* the client has sent credentials */
    bool authenticated;
    char user[WST__USER_MAX + 1], tenant[WST__TENANT_MAX + 1];

    wst_request_t *request; /* ASKING */
    wst_flow_t *flow;       /* CONNECTING; or of a refusal being reported */
    wst_str_t last_word;    /* written when that refusal has been reported */
    wst__linger_t linger;
    uint64_t left_ms; /* of the time for the client's messages */
    wst__deadline_t deadline;
    wst__defer_t defer;
    wst__seat_t connection;
    wst__ticket_t hold;
    wst__ticket_t busy; /* from the greeting on: the node's drain waits for the client */
} client_t;

static wst_ctx_t *ctx_of_client(const client_t *c) {
    return c->front->ingress->ctx;
}

static bool has_said_nothing(const client_t *c) {
    return c->socks.phase == WST__SOCKS5_IN_GREETING && c->socks.in_len == 0;
}

/* The end ------------------------------------------------------------------------------------ */

static void free_client(client_t *c) {
    const wst_allocator_t *a = &ctx_of_client(c)->allocator;
    wst__ticket_t hold = {0};
    wst__list_remove(&c->node);
    wst__seat_give_back(&c->connection);
    wst__ticket_give_back(&c->busy);
    wst__ticket_hand_on(&c->hold, &hold);
    wst__socks5_server_wipe(&c->socks);
    wst__free(a, c);
    wst__ticket_give_back(&hold);
}

static void on_stream_closed(void *user_data) {
    free_client(user_data);
}

static void free_later(wst__defer_t *defer) {
    free_client(WST__CONTAINER(defer, client_t, defer));
}

/* Cancels the client's question and flow, and closes its connection unless that belongs to a flow:
 * a reset unless it has been shut down. */
static void close_client(client_t *c) {
    if (c->state == CLOSING)
        return;
    c->state = CLOSING;
    if (c->request != NULL)
        wst__request_cancel(c->request);
    if (c->flow != NULL)
        wst_flow_cancel(c->flow);
    c->request = NULL;
    c->flow = NULL;
    wst__deadline_clear(&ctx_of_client(c)->deadlines, &c->deadline);
    wst__linger_stop(&c->linger);
    wst__early_free(&c->early);
    if (c->stream == NULL) {
        wst__defer(ctx_of_client(c), &c->defer, free_later);
        return;
    }
    wst_stream_set_callbacks(c->stream, NULL, c);
    wst_stream_close(c->stream, on_stream_closed);
}

static void on_lingered(wst__linger_t *linger, int error) {
    (void)error;
    close_client(WST__CONTAINER(linger, client_t, linger));
}

/* Writes to the client. False: the write failed and the client is closed. */
static bool say(client_t *c, wst_str_t text) {
    const wst_slice_t slice = wst_slice_static(text.ptr, text.len);
    bool said = text.len == 0 || wst_stream_write(c->stream, &slice, 1) >= 0;
    if (!said)
        close_client(c);
    return said;
}

/* Writes the last answer and closes once the client can have read it. */
static void dismiss(client_t *c, wst_str_t text) {
    if (!say(c, text))
        return;
    c->state = LEAVING;
    wst__deadline_clear(&ctx_of_client(c)->deadlines, &c->deadline);
    wst__early_free(&c->early);
    wst__socks5_server_wipe(&c->socks);
    if (!wst__ticket_is_taken(&c->busy))
        wst__ticket_take(&c->busy, &c->front->ingress->node->busy);
    if (wst__linger_start(&c->linger, ctx_of_client(c), c->stream, c->ended, on_lingered) < 0)
        close_client(c);
}

static void dismiss_for(client_t *c, wst_str_t text, const char *why) {
    wst_ctx_log(ctx_of_client(c), WST_LOG_INFO, "client %s: SOCKS: %s", c->peer, why);
    dismiss(c, text);
}

/* The client has ended, or its time is over, before its messages are complete. */
static void give_up(client_t *c, const char *why) {
    if (has_said_nothing(c))
        dismiss(c, nothing);
    else
        dismiss_for(c, wst__socks5_server_give_up(&c->socks), why);
}

/* Time --------------------------------------------------------------------------------------- */

static void on_client_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    give_up(WST__CONTAINER(deadline, client_t, deadline), "no complete request in time");
}

/* The client's time runs while its message is awaited. */
static void await_message(client_t *c) {
    c->state = READING;
    if (!c->deadline.set)
        wst__deadline_in(ctx_of_client(c), &c->deadline, c->left_ms, on_client_deadline);
}

static void stop_clock(client_t *c) {
    uint64_t now_ms = wst__now(ctx_of_client(c)), at_ms = c->deadline.at_ms;
    c->left_ms = at_ms > now_ms ? at_ms - now_ms : 1;
    wst__deadline_clear(&ctx_of_client(c)->deadlines, &c->deadline);
}

/* Flows -------------------------------------------------------------------------------------- */

static void relay(client_t *c, wst_flow_t *flow) {
    wst_stream_t *stream = c->stream;
    c->flow = NULL;
    c->stream = NULL;
    wst_stream_set_callbacks(stream, NULL, NULL);
    wst__flow_take_seat(flow, &c->connection);
    close_client(c);
    wst__flow_relay(flow, stream);
}

static void on_socks_established(wst_flow_t *flow, void *user_data) {
    client_t *c = user_data;
    wst_stream_read_stop(c->stream);
    if (wst__early_put_back(&c->early, c->stream) != 0)
        wst__flow_refuse(flow, WST_ENOMEM, nothing);
    else if (say(c, wst__socks5_server_reply(&c->socks, wst__socks5_reply_of(0))))
        relay(c, flow);
}

static void on_socks_refused(wst_flow_t *flow, const wst_refusal_info_t *info, void *user_data) {
    client_t *c = user_data;
    (void)flow;
    c->flow = NULL;
    dismiss(c, wst__socks5_server_reply(&c->socks, wst__socks5_reply_of(info->code)));
}

/* NULL: no memory. */
static wst_flow_t *new_flow(client_t *c, const char *destination,
                            const wst_flow_callbacks_t *callbacks) {
    const wst_flow_options_t options = {.size = sizeof(options),
                                        .destination = destination,
                                        .peer = c->peer,
                                        .authenticated = c->authenticated,
                                        .user = c->user,
                                        .tenant = c->tenant,
                                        .tls = wst_stream_tls(c->stream)};
    if (wst__flow_new(&c->flow, c->front->ingress, &options, callbacks, c) != 0)
        c->flow = NULL;
    return c->flow;
}

static void connect_flow(client_t *c) {
    static const wst_flow_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                   .on_established = on_socks_established,
                                                   .on_refused = on_socks_refused};
    stop_clock(c);
    c->state = CONNECTING;
    if (c->ended && c->early.kept.len == 0) { /* the client has gone; no bytes follow the request */
        close_client(c);
        return;
    }
    if (new_flow(c, c->socks.destination, &callbacks) == NULL) {
        dismiss(c, wst__socks5_server_reply(&c->socks, wst__socks5_reply_of(WST_ENOMEM)));
        return;
    }
    c->flow->login = c->logging_in ? &c->socks.login : NULL;
    wst__flow_start(c->flow);
}

/* Refusals before there is a flow ------------------------------------------------------------ */

/* Each refusal gets a flow of its own, so that it is reported like all others. */

static void on_dismissed(wst_flow_t *flow, const wst_refusal_info_t *info, void *user_data) {
    client_t *c = user_data;
    (void)flow, (void)info;
    c->flow = NULL;
    dismiss(c, c->last_word);
}

static const wst_flow_callbacks_t dismissal = {.size = sizeof(dismissal),
                                               .on_refused = on_dismissed};

static void refuse_client(client_t *c, const char *destination, const wst__refusal_t *refusal,
                          int code, wst_str_t last_word) {
    c->last_word = last_word;
    if (new_flow(c, destination, &dismissal) != NULL)
        wst__flow_refuse_as(c->flow, refusal, code);
    else
        dismiss(c, last_word);
}

static void refuse_socks_request(client_t *c) {
    char reason[WST__PHRASE_MAX + 1];
    snprintf(reason, sizeof(reason), "Bad Request: %s", c->socks.why);
    const wst__refusal_t refusal = {.status = 400, .reason = reason, .error = "http_request_error"};
    const char *destination = c->socks.destination;
    refuse_client(c, destination[0] != '\0' ? destination : "?", &refusal, WST_EDEST,
                  c->socks.answer);
}

/* The refusal of a login, in the client's current phase. */
static wst_str_t login_refusal(client_t *c) {
    return c->logging_in ? wst__socks5_server_login(&c->socks, false)
                         : wst__socks5_server_choose(&c->socks, WST__SOCKS5_METHOD_REFUSED);
}

static void refuse_login(client_t *c, int status, const char *reason) {
    const wst__refusal_t refusal = wst__refusal_denied(status, reason);
    refuse_client(c, "", &refusal, WST_EDENIED, login_refusal(c));
}

static void deny_login(client_t *c, int verdict, const wst__answer_t *answer) {
    c->last_word = login_refusal(c);
    if (new_flow(c, "", &dismissal) != NULL)
        wst__flow_deny(c->flow, verdict, answer);
    else
        dismiss(c, c->last_word);
}

/* Logging in --------------------------------------------------------------------------------- */

static void advance(client_t *c);

static void choose_method(client_t *c, uint8_t method) {
    if (say(c, wst__socks5_server_choose(&c->socks, method)))
        await_message(c);
}

/* The client is allowed: chooses a method, that without a login if the client offers it. */
static void let_in(client_t *c) {
    if (c->socks.offers_none)
        choose_method(c, WST__SOCKS5_METHOD_NONE);
    else if (c->socks.offers_login)
        choose_method(c, WST__SOCKS5_METHOD_LOGIN);
    else
        refuse_login(c, 407, "No method of authentication in common");
}

static void accept_login(client_t *c) {
    if (say(c, wst__socks5_server_login(&c->socks, true)))
        await_message(c);
}

static void keep_identity(client_t *c, const wst__answer_t *answer) {
    c->authenticated = true;
    snprintf(c->user, sizeof(c->user), "%s", answer->user);
    snprintf(c->tenant, sizeof(c->tenant), "%s", answer->tenant);
}

static void on_answer(const wst__answer_t *answer, void *user_data) {
    client_t *c = user_data;
    int verdict = wst__answer_verdict(answer, WST__ALLOWED);
    bool must_log_in = verdict == WST_EDENIED && answer->status == 407;
    c->request = NULL;
    if (verdict == 0)
        keep_identity(c, answer);
    if (verdict == 0 && c->logging_in)
        accept_login(c);
    else if (verdict == 0)
        let_in(c);
    else if (must_log_in && !c->logging_in && c->socks.offers_login)
        choose_method(c, WST__SOCKS5_METHOD_LOGIN);
    else
        deny_login(c, verdict, answer);
    advance(c);
}

static bool is_asked_about(const client_t *c) {
    const wst_ingress_t *ingress = c->front->ingress;
    return ingress->hooks->wants(ingress->owner, WST__ASK_LOGIN);
}

static void ask_about_login(client_t *c) {
    wst_ingress_t *ingress = c->front->ingress;
    const wst__ask_t question = {.login = c->logging_in ? &c->socks.login : NULL,
                                 .peer = c->peer,
                                 .tls = wst_stream_tls(c->stream),
                                 .timeout_ms = ingress->limits.decision_timeout_ms,
                                 .on_answer = on_answer,
                                 .user_data = c};
    stop_clock(c);
    c->state = ASKING;
    if (wst__request_new(&c->request, ingress->ctx, &question) == 0)
        ingress->hooks->ask(ingress->owner, WST__ASK_LOGIN, c->request);
    else
        dismiss(c, login_refusal(c));
}

static void on_greeting(client_t *c) {
    wst__ticket_take(&c->busy, &c->front->ingress->node->busy);
    if (is_asked_about(c))
        ask_about_login(c);
    else
        let_in(c);
}

static void on_socks_credentials(client_t *c) {
    c->logging_in = true;
    if (!c->socks.login_whole)
        refuse_login(c, 407, "Malformed credentials");
    else if (is_asked_about(c))
        ask_about_login(c);
    else
        accept_login(c);
}

/* Input -------------------------------------------------------------------------------------- */

static void take_event(client_t *c, int event) {
    switch (event) {
    case WST__SOCKS5_MORE:
        break;
    case WST__SOCKS5_GREETED:
        on_greeting(c);
        break;
    case WST__SOCKS5_CREDENTIALS:
        on_socks_credentials(c);
        break;
    case WST__SOCKS5_REQUEST:
        connect_flow(c);
        break;
    case WST_EDEST:
        refuse_socks_request(c);
        break;
    default:
        dismiss_for(c, c->socks.answer, c->socks.why);
        break;
    }
}

/* Handles the early bytes as long as a message is expected, then reads the stream. */
static void advance(client_t *c) {
    size_t used;
    while (c->state == READING && c->early.kept.len > 0) {
        const wst_slice_t kept = c->early.kept;
        int event = wst__socks5_server_feed(&c->socks, kept.data, kept.len, &used);
        wst__early_consume(&c->early, used);
        take_event(c, event);
    }
    if (c->state == READING && c->ended)
        give_up(c, "it ended before its request was complete");
    else if (c->state < LEAVING && c->early.kept.len < WST__EARLY_MAX)
        wst_stream_read_start(c->stream, WST__EARLY_MAX - c->early.kept.len);
}

/* False: no memory; the client is closed. */
static bool keep(client_t *c, wst_slice_t data) {
    bool kept = data.len == 0 || wst__early_keep(&c->early, c->stream, data) == 0;
    if (!kept)
        close_client(c);
    return kept;
}

static bool is_socks(uint8_t first) {
    return first == WST__SOCKS4_VERSION || first == WST__SOCKS5_VERSION;
}

static void on_socks_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    client_t *c = user_data;
    size_t used = 0;
    int event = WST__SOCKS5_MORE;
    if (c->state == READING && has_said_nothing(c) && !is_socks(data.data[0])) {
        dismiss(c, c->front->on_stranger(c->front, stream, data.data[0]));
        return;
    }
    if (c->state == READING)
        event = wst__socks5_server_feed(&c->socks, data.data, data.len, &used);
    if (!keep(c, (wst_slice_t){data.chunk, data.data + used, data.len - used}))
        return;
    take_event(c, event);
    advance(c);
}

static void on_socks_end(wst_stream_t *stream, void *user_data) {
    client_t *c = user_data;
    (void)stream;
    c->ended = true;
    if (c->state == READING)
        advance(c);
    else if (c->early.kept.len == 0)
        close_client(c);
}

static void on_socks_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream, (void)error;
    close_client(user_data);
}

/* The part of the node ----------------------------------------------------------------------- */

int wst__socks_accept(wst__socks_front_t *front, wst_stream_t *stream, wst__seat_t *seat) {
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_socks_read,
                                                     .on_end = on_socks_end,
                                                     .on_error = on_socks_error};
    wst_ctx_t *ctx = front->ingress->ctx;
    client_t *c = wst__zalloc(&ctx->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->front = front;
    c->stream = stream;
    c->left_ms = front->head_timeout_ms;
    snprintf(c->peer, sizeof(c->peer), "%s", wst_stream_peer(stream));
    wst__defer_init(&c->defer);
    wst__list_init(&c->node);
    wst__list_append(&front->clients, &c->node);
    wst__ticket_take(&c->hold, &front->ingress->node->holds);
    wst__seat_hand_on(seat, &c->connection);
    wst_stream_set_callbacks(stream, &callbacks, c);
    wst_stream_read_start(stream, WST__EARLY_MAX);
    await_message(c);
    return 0;
}

/* Ends the clients that have sent nothing. */
static void drain_clients(wst__part_t *part) {
    const wst__socks_front_t *front = WST__CONTAINER(part, wst__socks_front_t, part);
    WST__LIST_EACH(client_t, c, &front->clients, node) {
        if (c->state == READING && has_said_nothing(c)) {
            wst_stream_read_stop(c->stream);
            c->ended = true; /* further input does not matter */
            dismiss(c, nothing);
        }
    }
}

static void close_clients(wst__part_t *part) {
    const wst__socks_front_t *front = WST__CONTAINER(part, wst__socks_front_t, part);
    WST__LIST_EACH(client_t, c, &front->clients, node)
        close_client(c);
}

void wst__socks_init(wst__socks_front_t *front, wst__node_t *node, wst_ingress_t *ingress) {
    *front = (wst__socks_front_t){.part = {.drain = drain_clients, .close = close_clients},
                                  .ingress = ingress};
    wst__list_init(&front->clients);
    wst__node_add(node, &front->part);
}
