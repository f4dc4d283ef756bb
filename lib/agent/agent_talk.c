/* SPDX-License-Identifier: MIT */
/*
 * The agent in the talk's protocol (talk.h): it keeps some connections that wait for the server to
 * name a destination. They are made one after the other by the attempts of agent.c.
 *
 *     CONNECTING --open--> SPARE --handshake--> USED (agent_stream.c) --> gone
 *         \--fails           \--fails: backoff, and again
 *
 * The talk's own server knows one connection, the newest, and looks it up at each step of opening
 * a tunnel: a new one in the middle of that would break it. So if one is all that is to wait, it is
 * not replaced until the tunnel is settled: bytes of the client have come, or SETTLE_MS have passed
 * since our answer, or the connection is gone.
 */
#include "agent.h"

enum { SETTLE_MS = 200 };

typedef struct talk_conn {
    wst__list_t node;
    wst_agent_t *agent;
    wst__talk_t *talk;
    enum { CONNECTING, SPARE, USED } phase;
    uint64_t open_since_ms;
    bool settling;
    wst__deadline_t settle;
} talk_conn_t;

static talk_conn_t *conn_of(wst__list_t *node) {
    return WST__CONTAINER(node, talk_conn_t, node);
}

/* Begins the next attempt, if another connection is needed and nothing is under way. */
static void refill(wst_agent_t *a) {
    if (a->closing || a->draining || a->phase != WST__AGENT_WAITING || a->retry.set)
        return;
    if (a->o.spare_connections == 1 && a->settling_count > 0)
        return;
    if (a->spare_count < a->o.spare_connections)
        wst__agent_attempt_in(a, 0);
}

static void settled(talk_conn_t *c) {
    if (!c->settling)
        return;
    c->settling = false;
    wst__deadline_clear(&c->agent->ctx->deadlines, &c->settle);
    c->agent->settling_count--;
    refill(c->agent);
}

static void on_settled(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    settled(WST__CONTAINER(deadline, talk_conn_t, settle));
}

void wst__agent_talk_settled(wst__talk_t *talk) {
    settled(wst__talk_user_data(talk));
}

static void answered(wst__talk_t *talk) {
    talk_conn_t *c = wst__talk_user_data(talk);
    if (c->settling)
        wst__deadline_in(c->agent->ctx, &c->settle, SETTLE_MS, on_settled);
}

int wst__agent_talk_accept(wst__talk_t *talk, wst_stream_t **stream) {
    answered(talk);
    return wst__talk_accept(talk, stream);
}

void wst__agent_talk_refuse(wst__talk_t *talk, const char *why) {
    answered(talk);
    wst__talk_end(talk, 1011, why);
}

static void on_open(wst__talk_t *talk, void *user_data) {
    (void)talk;
    talk_conn_t *c = user_data;
    wst_agent_t *a = c->agent;
    c->phase = SPARE;
    c->open_since_ms = wst__now(a->ctx);
    a->spare_count++;
    a->phase = WST__AGENT_WAITING;
    refill(a);
    if (a->up_told)
        return;
    a->up_told = true;
    wst__log(a->ctx, WST_LOG_INFO, "connected to %s as %s", a->endpoint.authority, a->name);
    if (a->o.callbacks.on_up != NULL)
        a->o.callbacks.on_up(a, a->o.user_data);
}

static void on_handshake(wst__talk_t *talk, wst_str_t dest, void *user_data) {
    talk_conn_t *c = user_data;
    wst_agent_t *a = c->agent;
    c->phase = USED;
    a->spare_count--;
    a->failures = 0;
    c->settling = true;
    a->settling_count++;
    refill(a);
    wst__agent_on_talk(a, talk, dest);
}

static void on_data(wst__talk_t *talk, void *user_data) {
    (void)talk;
    settled(user_data);
}

static void on_down(wst__talk_t *talk, int error, const char *detail, void *user_data) {
    talk_conn_t *c = user_data;
    wst_agent_t *a = c->agent;
    bool spare = c->phase == SPARE;
    c->phase = USED;
    if (spare) {
        a->spare_count--;
        if (wst__now(a->ctx) - c->open_since_ms >= a->o.backoff_max_ms)
            a->failures = 0;
        if (a->phase != WST__AGENT_WAITING || a->retry.set)
            return; /* the next attempt is on its way */
    }
    int http_status =
        error == WST_EREJECTED ? wst_websocket_http_status(wst__talk_websocket(talk)) : 0;
    wst__agent_fail(a, error, http_status, detail);
}

static void on_closed(void *user_data) {
    talk_conn_t *c = user_data;
    wst_agent_t *a = c->agent;
    settled(c);
    wst__list_remove(&c->node);
    wst__free(&a->ctx->allocator, c);
    wst__agent_uplink_gone(a);
}

int wst__agent_talk_connect(wst_agent_t *a, wst_stream_t *stream,
                            const wst_websocket_options_t *websocket) {
    talk_conn_t *c = wst__zalloc(&a->ctx->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->agent = a;
    const wst__talk_options_t options = {.close_timeout_ms = a->o.half_closed_timeout_ms,
                                         .on_open = on_open,
                                         .on_handshake = on_handshake,
                                         .on_data = on_data,
                                         .on_down = on_down,
                                         .on_closed = on_closed,
                                         .user_data = c};
    int status = wst__talk_connect(&c->talk, a->ctx, stream, websocket, &options);
    if (status != 0) {
        wst__free(&a->ctx->allocator, c);
        return status;
    }
    wst__list_init(&c->node);
    wst__list_append(&a->talks, &c->node);
    a->uplinks++;
    return 0;
}

void wst__agent_talks_end(wst_agent_t *a) {
    for (wst__list_t *node = wst__list_first(&a->talks); node != NULL;
         node = wst__list_next(&a->talks, node)) {
        talk_conn_t *c = conn_of(node);
        if (c->phase != USED)
            wst__talk_end(c->talk, 1001, "drained");
        c->phase = USED;
    }
    a->spare_count = 0;
    a->up_told = false;
}

void wst__agent_talks_close(wst_agent_t *a) {
    for (wst__list_t *node = wst__list_first(&a->talks); node != NULL;
         node = wst__list_next(&a->talks, node))
        wst__talk_close(conn_of(node)->talk);
    a->spare_count = 0;
    a->up_told = false;
}
