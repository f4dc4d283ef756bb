/* SPDX-License-Identifier: MIT */
/* The agents of a server as a whole: memory of suspended sessions, draining, closing, review. */
#include "agent_session.h"

#include <string.h>

/* Memory of suspended sessions --------------------------------------------------------------- */

static size_t pinned(const wst__agent_session_t *a) {
    return a->uplink->ops->resume->pinned(a->uplink);
}

size_t wst__agents_suspended_bytes(const wst_server_t *s) {
    size_t bytes = 0;
    WST__LIST_EACH(const wst__agent_session_t, a, &s->agents.waiting, wait_node)
        bytes += pinned(a);
    return bytes;
}

/* The session to end for lack of memory; NULL: suspended ones hold at most half of it. */
static wst__agent_session_t *find_longest(const wst_server_t *s) {
    if (wst__agents_suspended_bytes(s) <= s->node.ctx->budget.limit / 2)
        return NULL;
    WST__LIST_EACH(wst__agent_session_t, a, &s->agents.waiting, wait_node)
        if (pinned(a) > 0)
            return a;
    return NULL;
}

static void end_longest(wst__defer_t *defer) {
    wst_server_t *s = WST__CONTAINER(defer, wst_server_t, agents.room);
    wst__agent_session_t *a = find_longest(s);
    if (a == NULL)
        return;
    wst_ctx_log(s->node.ctx, WST_LOG_WARN,
                "memory is needed: the suspended session of agent %s ends, with %zu streams",
                a->member.remote != NULL ? wst__agent_label_of(a->member.remote).text : a->peer,
                a->uplink->ops->load(a->uplink));
    a->uplink->ops->end(a->uplink, 1013, "no memory", true);
}

bool wst__agents_make_room(wst_server_t *s) {
    bool ends = !wst__list_empty(&s->agents.room.node) || find_longest(s) != NULL;
    if (ends)
        wst__defer(s->node.ctx, &s->agents.room, end_longest);
    return ends;
}

/* The way back ------------------------------------------------------------------------------- */

/* A session that cannot be resumed has no name. */
bool wst__agents_may_return(const wst_server_t *s) {
    bool pending = wst__ingress_pending(&s->ingress) > 0;
    if (wst__predecessor_lives(s))
        return true;
    WST__LIST_EACH(const wst__agent_session_t, a, &s->agents.list, node) {
        const wst__uplink_ops_t *ops = a->uplink->ops;
        if (a->named && (pending || ops->load(a->uplink) > 0) &&
            ops->resume->sid(a->uplink) != NULL)
            return true;
    }
    return false;
}

void wst__agents_end_waiting(wst_server_t *s) {
    wst__predecessor_await_no_more(s);
    WST__LIST_EACH(wst__agent_session_t, a, &s->agents.waiting, wait_node)
        a->uplink->ops->end(a->uplink, 1001, "server is shutting down", true);
}

void wst__agents_goaway(wst_server_t *s) {
    WST__LIST_EACH(wst__agent_session_t, a, &s->agents.list, node) {
        if (a->member.remote != NULL) /* else on_uplink_up sends the goaway */
            a->uplink->ops->goaway(a->uplink);
    }
}

/* The part ----------------------------------------------------------------------------------- */

static void drain_agents(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, agents.part);
    if (!wst__addresses_let_return(s))
        wst__agents_end_waiting(s);
    wst__agents_goaway(s);
}

static void close_agents(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, agents.part);
    wst__defer_cancel(&s->agents.room);
    WST__LIST_EACH(wst__agent_session_t, a, &s->agents.list, node)
        a->uplink->ops->end(a->uplink, 1001, "server is shutting down", false);
}

void wst__agents_init(wst_server_t *s, uint32_t tag) {
    s->agents.round_trips.size = sizeof(s->agents.round_trips);
    s->agents.part = (wst__part_t){.drain = drain_agents, .close = close_agents};
    memcpy(s->agents.tag, &tag, sizeof(s->agents.tag));
    wst__list_init(&s->agents.list);
    wst__list_init(&s->agents.waiting);
    wst__defer_init(&s->agents.room);
    wst__table_init(&s->agents.names, &s->node.ctx->allocator);
    wst__node_add(&s->node, &s->agents.part);
}

void wst_server_review_agents(wst_server_t *s,
                              bool (*is_valid)(const wst_admission_t *admission, void *user_data),
                              void *user_data) {
    WST__LIST_EACH(wst__agent_session_t, a, &s->agents.list, node) {
        const wst_remote_t *remote = a->member.remote;
        const wst_admission_t admission = {.size = sizeof(admission),
                                           .name = remote != NULL ? wst_remote_name(remote) : NULL,
                                           .tenant = a->tenant,
                                           .credential = a->credential};
        if (!is_valid(&admission, user_data))
            wst__agent_session_revoke(a, "its credentials are not valid any more");
    }
}

void wst_server_end_agent(wst_server_t *s, const wst_remote_t *agent) {
    WST__LIST_EACH(wst__agent_session_t, a, &s->agents.list, node) {
        if (a->member.remote != agent)
            continue;
        a->ended = true;
        wst__agent_session_revoke(a, "it was disconnected by the server's administrator");
    }
}
