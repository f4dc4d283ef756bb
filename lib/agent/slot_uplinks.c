/* SPDX-License-Identifier: MIT */
/* Which uplinks a slot has, and what they need (slot_internal.h). */
#include "slot_internal.h"

#include <stdio.h>
#include <string.h>

wst_ctx_t *wst__slot_ctx(const wst__slot_t *s) {
    return s->o->node->ctx;
}

void wst__slot_use_conn(wst__slot_t *s, uint32_t n) {
    const char *address = s->o->address;
    char conn[32] = "";
    s->conn = n;
    if (s->o->several)
        snprintf(conn, sizeof(conn), " (connection %u)", s->conn);
    snprintf(s->label, sizeof(s->label), "%s%s%s%s", s->o->endpoint->authority,
             address != NULL ? " at " : "", address != NULL ? address : "", conn);
}

void wst__slot_take_conn(wst__slot_t *s) {
    wst__slot_use_conn(s, (*s->o->next_conn)++);
}

size_t wst__slot_count_in(const wst__slot_t *s, int state) {
    size_t n = 0;
    WST__LIST_EACH(const wst__slot_uplink_t, u, &s->uplinks, node)
        n += (int)u->state == state;
    return n;
}

size_t wst__slot_count_ready(const wst__slot_t *s) {
    return wst__slot_count_in(s, WST__UPLINK_READY);
}

static bool can_resume(const wst__slot_uplink_t *u) {
    const wst__uplink_resume_ops_t *ops = u->uplink->ops->resume;
    return ops != NULL && ops->sid(u->uplink) != NULL;
}

wst__slot_uplink_t *wst__slot_resumable(const wst__slot_t *s) {
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node)
        if ((u->state == WST__UPLINK_READY || u->state == WST__UPLINK_SUSPENDED) && can_resume(u))
            return u;
    return NULL;
}

wst__slot_uplink_t *wst__slot_suspended(const wst__slot_t *s) {
    wst__slot_uplink_t *u = wst__slot_resumable(s);
    return u != NULL && u->state == WST__UPLINK_SUSPENDED ? u : NULL;
}

bool wst__slot_is_stranded(const wst__slot_uplink_t *u) {
    const wst__uplink_ops_t *ops = u->uplink->ops;
    bool needs = u->state == WST__UPLINK_LEAVING && !u->elsewhere && ops->is_suspect(u->uplink) &&
                 ops->load(u->uplink) > 0;
    return (u->state == WST__UPLINK_STRANDED || needs) && can_resume(u);
}

wst__slot_uplink_t *wst__slot_stranded(const wst__slot_t *s) {
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node)
        if (wst__slot_is_stranded(u))
            return u;
    return NULL;
}

wst__slot_uplink_t *wst__slot_waiting(const wst__slot_t *s) {
    wst__slot_uplink_t *u = wst__slot_suspended(s);
    return u != NULL ? u : wst__slot_stranded(s);
}

wst__slot_uplink_t *wst__slot_to_continue(const wst__slot_t *s) {
    wst__slot_uplink_t *u = wst__slot_resumable(s), *left = wst__slot_stranded(s);
    bool needs =
        u != NULL && (u->state == WST__UPLINK_SUSPENDED || u->uplink->ops->is_suspect(u->uplink));
    return left == NULL || needs ? u : left;
}

wst__slot_uplink_t *wst__slot_claimed(const wst__slot_t *s) {
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node)
        if (s->claims && u->state != WST__UPLINK_CLOSING && can_resume(u) &&
            memcmp(u->uplink->ops->resume->sid(u->uplink), s->sid, sizeof(s->sid)) == 0)
            return u;
    return NULL;
}

void wst__slot_close_uplink(wst__slot_uplink_t *u) {
    if (u->state == WST__UPLINK_CLOSING)
        return;
    u->state = WST__UPLINK_CLOSING;
    wst__ticket_give_back(&u->busy);
    u->uplink->ops->close(u->uplink);
}

bool wst__slot_drains(const wst__slot_t *s) {
    return s->retired || s->o->node->state != WST__NODE_RUNNING;
}
