/* SPDX-License-Identifier: MIT */
/* Uplinks of a slot whose server leaves: their streams go on until they end (slot_internal.h). */
#include "slot_internal.h"

enum { LEAVING_MAX = 4 }; /* uplinks whose server leaves; a further one is not replaced yet */

/* The next attempt has another `conn`: the way may lead to the same server, which would take it for
 * one in place of this uplink. */
static void let_leave(wst__slot_t *s, wst__slot_uplink_t *u) {
    u->state = WST__UPLINK_LEAVING;
    wst__slot_take_conn(s);
    s->failures = 0;
    s->probing = false;
    wst__deadline_clear(&wst__slot_ctx(s)->deadlines, &s->probe);
    if (s->phase == WST__SLOT_UP)
        wst__slot_rest(s);
}

void wst__slot_look_for_leaving(wst__slot_t *s) {
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == WST__UPLINK_READY && u->told && s->phase != WST__SLOT_CONNECTING &&
            wst__slot_count_in(s, WST__UPLINK_LEAVING) +
                    wst__slot_count_in(s, WST__UPLINK_STRANDED) <
                LEAVING_MAX)
            let_leave(s, u);
    }
}

/* The connection to a server that leaves is gone. The next attempt comes soon, unless one is under
 * way, or none is needed. An agent without a connection is told to be down. */
static void hurry(const wst__slot_uplink_t *u, wst_agent_failure_t failure) {
    wst__slot_t *s = u->slot;
    s->failures = 0;
    wst__slot_look_later(s);
    if (s->phase != WST__SLOT_WAITING && s->phase != WST__SLOT_UP)
        return;
    if (!wst__slot_needs_attempt(s)) {
        wst__slot_cancel_attempt(s);
        s->phase = WST__SLOT_UP;
        wst__slot_renew_later(s, failure.retry_in_ms);
        return;
    }
    wst__slot_attempt_in(s, failure.retry_in_ms);
    if (!s->is_up || wst__slot_count_ready(s) + wst__slot_count_in(s, WST__UPLINK_LEAVING) > 0)
        return;
    s->is_up = false;
    wst__slot_tell_down(s, u->conn, &failure);
}

void wst__slot_on_left(const wst__slot_uplink_t *u, int error, const char *detail) {
    wst__slot_t *s = u->slot;
    wst_agent_failure_t failure = wst__slot_failure_of(error, 0, detail);
    wst_ctx_log(wst__slot_ctx(s), WST_LOG_INFO, "server %s has left: %s", s->o->endpoint->authority,
                detail);
    s->failures = 0;
    failure.retry_in_ms = wst__slot_backoff_ms(s);
    hurry(u, failure);
}

void wst__slot_strand(wst__slot_uplink_t *u, uint64_t grace_ms, wst_agent_failure_t failure) {
    wst__slot_t *s = u->slot;
    u->state = WST__UPLINK_STRANDED;
    u->lost_ms = wst__now(wst__slot_ctx(s));
    u->grace_ms = grace_ms;
    s->failures = 0;
    failure.retry_in_ms = wst__now(wst__slot_ctx(s)) - u->up_since_ms >= WST__SLOT_STEADY_MS
                              ? 0
                              : wst__slot_backoff_ms(s);
    wst_ctx_log(wst__slot_ctx(s), WST_LOG_WARN,
                "connection to %s, which leaves, lost (%zu streams wait): %s",
                s->o->endpoint->authority, u->uplink->ops->load(u->uplink), failure.detail);
    hurry(u, failure);
    wst__slot_tell_end(u, &failure);
}

void wst__slot_give_up_left(wst__slot_t *s, wst__slot_uplink_t *left) {
    bool lost = left->state == WST__UPLINK_STRANDED;
    left->elsewhere = true;
    wst_ctx_log(
        wst__slot_ctx(s), lost ? WST_LOG_WARN : WST_LOG_INFO,
        "server %s: the way leads to another server than the one that leaves: %zu streams %s",
        s->o->endpoint->authority, left->uplink->ops->load(left->uplink),
        lost ? "are lost" : "keep their connection");
    if (lost)
        wst__slot_close_uplink(left);
}

void wst__slot_on_left_resumed(wst__slot_uplink_t *u, uint64_t outage_ms) {
    wst__slot_t *s = u->slot;
    u->state = WST__UPLINK_LEAVING;
    u->up_since_ms = wst__now(wst__slot_ctx(s));
    wst__slot_rest(s);
    wst_ctx_log(wst__slot_ctx(s), WST_LOG_INFO, "%s, which leaves, resumed after %.1f s",
                s->o->endpoint->authority, (double)outage_ms / 1000);
    bool was_down = !s->is_up && !wst__slot_drains(s);
    if (was_down)
        s->is_up = true;
    wst__slot_tell_up(u);
    if (was_down)
        s->o->on_up(s->o->user_data);
}
