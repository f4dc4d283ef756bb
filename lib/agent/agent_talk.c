/* SPDX-License-Identifier: MIT */
/*
 * The agent in the talk's protocol: it keeps some uplinks that wait for the server to name a
 * destination. They are made one after the other by the attempts of agent.c.
 *
 *     CONNECTING --up--> SPARE --goaway--> USED (the egress has it) --> gone
 *         \--fails           \--fails: backoff, and again
 */
#include "agent.h"

typedef struct talk_conn {
    wst__list_t node;
    wst_agent_t *agent;
    wst__uplink_t *uplink;
    enum { CONNECTING, SPARE, USED } phase;
    uint64_t up_since_ms;
} talk_conn_t;

static talk_conn_t *conn_of(wst__list_t *node) {
    return WST__CONTAINER(node, talk_conn_t, node);
}

/* Begins the next attempt, if another connection is needed and nothing is under way. */
static void refill(wst_agent_t *a) {
    if (a->node.state != WST__NODE_RUNNING || a->phase != WST__AGENT_WAITING || a->retry.set)
        return;
    if (a->spare_count < a->o.spare_connections)
        wst__agent_attempt_in(a, 0);
}

static int on_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    (void)uplink;
    (void)hello;
    talk_conn_t *c = user_data;
    wst_agent_t *a = c->agent;
    c->phase = SPARE;
    c->up_since_ms = wst__now(a->node.ctx);
    a->spare_count++;
    a->phase = WST__AGENT_WAITING;
    refill(a);
    if (a->up_told)
        return 0;
    a->up_told = true;
    wst__log(a->node.ctx, WST_LOG_INFO, "connected to %s as %s", a->endpoint.authority, a->name);
    if (a->o.callbacks.on_up != NULL)
        a->o.callbacks.on_up(a, a->o.user_data);
    return 0;
}

static void on_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                        void *user_data) {
    (void)uplink;
    wst_agent_t *a = ((talk_conn_t *)user_data)->agent;
    a->failures = 0;
    wst__egress_take(&a->egress, incoming, dest);
}

/* It has been used, and may be replaced. */
static void on_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    (void)uplink;
    (void)reason;
    talk_conn_t *c = user_data;
    if (c->phase != SPARE)
        return;
    c->phase = USED;
    c->agent->spare_count--;
    refill(c->agent);
}

static void lost(talk_conn_t *c, int error, int http_status, const char *detail) {
    wst_agent_t *a = c->agent;
    bool spare = c->phase == SPARE;
    c->phase = USED;
    if (spare) {
        a->spare_count--;
        if (wst__now(a->node.ctx) - c->up_since_ms >= a->o.backoff_max_ms)
            a->failures = 0;
        if (a->phase != WST__AGENT_WAITING || a->retry.set)
            return; /* the next attempt is on its way */
    }
    wst__agent_fail(a, error != 0 ? error : WST_EWSCLOSED, http_status, detail);
}

static void on_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                    void *user_data) {
    talk_conn_t *c = user_data;
    uplink->ops->close(uplink);
    if (c->phase != USED)
        lost(c, error, http_status, detail);
}

static void on_closed(void *user_data) {
    talk_conn_t *c = user_data;
    wst_agent_t *a = c->agent;
    wst__list_remove(&c->node);
    wst__free(&a->node.ctx->allocator, c);
    wst__agent_uplink_gone(a);
}

static const wst__uplink_callbacks_t callbacks = {.on_up = on_up,
                                                  .on_incoming = on_incoming,
                                                  .on_goaway = on_goaway,
                                                  .on_down = on_down,
                                                  .on_closed = on_closed};

int wst__agent_talk_connect(wst_agent_t *a, wst_stream_t *stream,
                            const wst_websocket_options_t *websocket) {
    talk_conn_t *c = wst__zalloc(&a->node.ctx->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->agent = a;
    const wst__uplink_options_t options = {.callbacks = &callbacks,
                                           .user_data = c,
                                           .single = a->o.spare_connections == 1,
                                           .half_closed_timeout_ms = a->o.half_closed_timeout_ms};
    int status = a->kind->connect(&c->uplink, a->node.ctx, stream, websocket, &options);
    if (status != 0) {
        wst__free(&a->node.ctx->allocator, c);
        return status;
    }
    wst__list_init(&c->node);
    wst__list_append(&a->talks, &c->node);
    wst__agent_uplink_made(a);
    return 0;
}

void wst__agent_talks_end(wst_agent_t *a) {
    for (wst__list_t *node = wst__list_first(&a->talks); node != NULL;
         node = wst__list_next(&a->talks, node)) {
        talk_conn_t *c = conn_of(node);
        if (c->phase != USED)
            c->uplink->ops->goaway(c->uplink);
        c->phase = USED;
    }
    a->spare_count = 0;
    a->up_told = false;
}

void wst__agent_talks_close(wst_agent_t *a) {
    for (wst__list_t *node = wst__list_first(&a->talks); node != NULL;
         node = wst__list_next(&a->talks, node)) {
        talk_conn_t *c = conn_of(node);
        c->phase = USED;
        c->uplink->ops->close(c->uplink);
    }
    a->spare_count = 0;
    a->up_told = false;
}
