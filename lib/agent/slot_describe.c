/* SPDX-License-Identifier: MIT */
/* What a slot tells of its connections, when it is asked. */
#include "slot_internal.h"

static void describe_uplink(wst_agent_connection_status_t *out, const wst__slot_uplink_t *u) {
    static const char *const states[] = {
        [WST__UPLINK_READY] = "up",           [WST__UPLINK_SUSPENDED] = "suspended",
        [WST__UPLINK_SPENT] = "up",           [WST__UPLINK_LEAVING] = "leaving",
        [WST__UPLINK_STRANDED] = "suspended", [WST__UPLINK_ENDING] = "leaving"};
    const wst__uplink_t *uplink = u->uplink;
    uint64_t now = wst__now(wst__slot_ctx(u->slot));
    bool lost = u->state == WST__UPLINK_SUSPENDED || u->state == WST__UPLINK_STRANDED;
    out->conn = u->conn;
    out->state = states[u->state];
    out->streams = uplink->ops->load(uplink);
    out->rtt_ms = uplink->ops->rtt_ms(uplink);
    out->up_ms = lost ? 0 : now - u->up_since_ms;
    out->outage_ms = lost ? now - u->lost_ms : 0;
    out->bytes_to_destinations = uplink->received;
    out->bytes_to_server = uplink->sent;
}

static void describe_attempt(wst_agent_connection_status_t *out, const wst__slot_t *s) {
    uint64_t now = wst__now(wst__slot_ctx(s));
    bool waits = s->phase == WST__SLOT_WAITING;
    out->conn = s->conn;
    out->state = waits ? "waiting" : "connecting";
    out->retry_in_ms = waits && s->retry.set && s->retry.at_ms > now ? s->retry.at_ms - now : 0;
}

bool wst__slot_describe(const wst__slot_t *s, size_t *n, wst_agent_connection_status_t *out) {
    bool stays = wst__slot_drains(s);
    WST__LIST_EACH(const wst__slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == WST__UPLINK_OPENING || u->state == WST__UPLINK_CLOSING)
            continue;
        stays = stays || u->state == WST__UPLINK_READY || u->state == WST__UPLINK_SUSPENDED;
        if (*n == 0) {
            describe_uplink(out, u);
            return true;
        }
        --*n;
    }
    if (!stays && *n == 0) {
        describe_attempt(out, s);
        return true;
    }
    *n -= !stays;
    return false;
}
