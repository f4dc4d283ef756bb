/* SPDX-License-Identifier: MIT */
/* Keeps an agent connected to its server (slot.h). */
#include "slot_internal.h"

#include "session.h"

enum { AGE_JITTER = 10 }; /* a connection lives up to this part of its age less */

static void look_at_uplinks(wst__defer_t *defer);
static void renew(wst__deadline_t *deadline, uint64_t now_ms);

void wst__slot_look_later(wst__slot_t *s) {
    wst__defer(wst__slot_ctx(s), &s->defer, look_at_uplinks);
}

/* Telling ------------------------------------------------------------------------------------ */

wst_agent_failure_t wst__slot_failure_of(int error, int http_status, const char *detail) {
    return (wst_agent_failure_t){.size = sizeof(wst_agent_failure_t),
                                 .error = error,
                                 .http_status = http_status,
                                 .detail = detail[0] != '\0' ? detail : wst_strerror(error)};
}

void wst__slot_tell_up(wst__slot_uplink_t *u) {
    const wst__slot_t *s = u->slot;
    bool was_shown = u->shown;
    u->shown = !u->uplink->renews;
    if (!was_shown)
        s->o->on_connection(u->conn, NULL, s->o->user_data);
}

static void tell_conn_gone(wst__slot_t *s, uint32_t conn, const wst_agent_failure_t *failure) {
    if (s->o->node->state == WST__NODE_CLOSING)
        return;
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node)
        u->shown = u->shown && u->conn != conn;
    s->o->on_connection(conn, failure, s->o->user_data);
}

void wst__slot_tell_end(const wst__slot_uplink_t *u, const wst_agent_failure_t *failure) {
    if (u->shown)
        tell_conn_gone(u->slot, u->conn, failure);
}

void wst__slot_tell_down(wst__slot_t *s, uint32_t conn, const wst_agent_failure_t *failure) {
    tell_conn_gone(s, conn, failure);
    s->o->on_down(failure, s->o->user_data);
}

void wst__slot_renew_later(wst__slot_t *s, uint64_t delay_ms) {
    if (s->o->max_age_ms != 0 && !s->renew.set)
        wst__deadline_in(wst__slot_ctx(s), &s->renew, delay_ms, renew);
}

/* Whether the slot needs a connection: always, but while draining only to resume. */
static bool is_running(const wst__slot_t *s) {
    return !wst__slot_drains(s) ||
           (s->o->node->state != WST__NODE_CLOSING && wst__slot_waiting(s) != NULL);
}

/* Whether no attempt is under way, nor due for want of an uplink. */
static bool is_idle(const wst__slot_t *s) {
    return s->phase == WST__SLOT_UP ||
           (s->phase == WST__SLOT_WAITING && wst__slot_stranded(s) != NULL);
}

/* An uplink has a connection: from now on its age counts. At random, so that agents that came at
 * the same time do not come again at the same time. */
static void begin_age(wst__slot_t *s, wst__slot_uplink_t *u) {
    uint64_t age_ms = s->o->max_age_ms, random = 0;
    u->up_since_ms = wst__now(wst__slot_ctx(s));
    if (age_ms == 0)
        return;
    (void)wst__random(wst__slot_ctx(s), &random, sizeof(random));
    wst__deadline_in(wst__slot_ctx(s), &s->renew, age_ms - random % (age_ms / AGE_JITTER + 1),
                     renew);
}

/* While draining no attempt follows: the slot is up as long as an uplink is ready. */
static void update_is_up(wst__slot_t *s) {
    s->is_up = wst__slot_count_ready(s) > 0;
}

/* Callbacks of the uplinks ------------------------------------------------------------------- */

static void log_lost(const wst__slot_t *s, size_t streams, const char *why) {
    if (streams == 0)
        wst_ctx_log(wst__slot_ctx(s), WST_LOG_INFO, "server %s: %s; no stream was open", s->label,
                    why);
    else
        wst_ctx_log(wst__slot_ctx(s), WST_LOG_WARN, "server %s: %s: %zu stream%s lost", s->label,
                    why, streams, streams == 1 ? " is" : "s are");
}

/* The server's hello: which uplink its connection is for. */
static wst__uplink_t *on_uplink_claim(wst__uplink_t *uplink, const wst_hello_t *hello,
                                      void *user_data) {
    const wst__slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    wst__slot_uplink_t *old = wst__slot_claimed(s);
    if (hello->resumed)
        return old != NULL ? old->uplink : NULL;
    bool leaves =
        old != NULL && (old->state == WST__UPLINK_LEAVING || old->state == WST__UPLINK_STRANDED);
    if (leaves || u->conn != s->conn) { /* the attempt was for a server that leaves */
        bool is_taken = leaves && old->state == WST__UPLINK_LEAVING; /* the conn */
        if (leaves)
            wst__slot_give_up_left(s, old);
        if (is_taken || wst__slot_drains(s) || wst__slot_count_ready(s) >= s->wanted)
            uplink->ops->end(uplink, 1001, "drained", false);
        return NULL;
    }
    if (old == NULL)
        return NULL;
    wst_agent_failure_t failure =
        wst__slot_failure_of(WST_ELOST, 0, "the server does not know the session any more");
    log_lost(s, old->uplink->ops->load(old->uplink), failure.detail);
    s->is_up = false;
    wst__slot_close_uplink(old);
    if (wst__slot_drains(s))
        uplink->ops->end(uplink, 1001, "drained", false);
    wst__slot_tell_down(s, old->conn, &failure);
    return NULL;
}

static void on_uplink_suspended(wst__uplink_t *uplink, int error, const char *detail,
                                uint64_t grace_ms, void *user_data) {
    wst__slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    uint64_t held_ms = wst__now(wst__slot_ctx(s)) - u->up_since_ms;
    size_t streams = uplink->ops->load(uplink);
    wst_agent_failure_t failure =
        wst__slot_failure_of(error != 0 ? error : WST_EWSCLOSED, 0, detail);
    if (u->state == WST__UPLINK_LEAVING && streams == 0) {
        wst__slot_close_uplink(u);
        wst__slot_on_left(u, failure.error, detail);
        wst__slot_tell_end(u, &failure);
        return;
    }
    if (u->state == WST__UPLINK_LEAVING) {
        wst__slot_strand(u, grace_ms, failure);
        return;
    }
    u->state = WST__UPLINK_SUSPENDED;
    u->lost_ms = wst__now(wst__slot_ctx(s));
    u->grace_ms = grace_ms;
    s->is_up = false;
    wst__deadline_clear(&wst__slot_ctx(s)->deadlines, &s->probe);
    if (held_ms >= WST__SLOT_STEADY_MS)
        s->failures = 0;
    failure.suspended = true;
    const char *wait = streams == 1 ? "stream waits" : "streams wait";
    if (is_idle(s)) {
        failure.retry_in_ms = held_ms >= WST__SLOT_STEADY_MS ? 0 : wst__slot_backoff_ms(s);
        wst__slot_count_failure(s);
        wst__slot_attempt_in(s, failure.retry_in_ms);
        wst_ctx_log(wst__slot_ctx(s), WST_LOG_WARN,
                    "connection to %s lost (%zu %s): %s; next attempt in %llu ms", s->label,
                    streams, wait, failure.detail, (unsigned long long)failure.retry_in_ms);
    } else { /* it may be what the attempt under way has replaced */
        wst_ctx_log(wst__slot_ctx(s), WST_LOG_INFO,
                    "connection to %s lost (%zu %s): %s; another one is on its way", s->label,
                    streams, wait, failure.detail);
    }
    wst__slot_tell_end(u, &failure);
    s->o->on_suspended(&failure, streams, s->o->user_data);
}

static void on_uplink_resumed(wst__uplink_t *uplink, wst__uplink_t *from, uint64_t outage_ms,
                              void *user_data) {
    wst__slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    wst__slot_close_uplink(from->user_data);
    s->probing = false;
    if (wst__slot_drains(s))
        uplink->ops->goaway(uplink);
    wst__slot_look_later(s);
    if (u->state != WST__UPLINK_READY && u->state != WST__UPLINK_SUSPENDED) {
        wst__slot_on_left_resumed(u, outage_ms);
        return;
    }
    u->state = WST__UPLINK_READY;
    begin_age(s, u);
    s->is_up = true;
    wst__slot_rest(s);
    wst_ctx_log(wst__slot_ctx(s), WST_LOG_INFO, "%s%sresumed after %.1f s",
                s->o->several ? s->label : "", s->o->several ? " " : "", (double)outage_ms / 1000);
    wst__slot_tell_up(u);
    s->o->on_resumed(outage_ms, s->o->user_data);
}

static int on_uplink_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    (void)hello;
    wst__slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    u->state = WST__UPLINK_READY;
    if (u->conn != s->conn)
        wst__slot_use_conn(s, u->conn);
    begin_age(s, u);
    wst__ticket_take(&u->busy, &s->o->node->busy);
    s->wanted = uplink->renews ? s->o->spare : 1;
    s->probing = false;
    wst__slot_rest(s);
    wst__slot_look_later(s);
    if (s->is_up) {
        if (!uplink->renews)
            wst__slot_tell_up(u);
        return 0;
    }
    s->is_up = true;
    wst_ctx_log(wst__slot_ctx(s), WST_LOG_INFO, "connected to %s as %.*s", s->label,
                (int)s->o->uplink.hello.name.len, s->o->uplink.hello.name.ptr);
    wst__slot_tell_up(u);
    s->o->on_up(s->o->user_data);
    return 0;
}

static void on_uplink_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                               void *user_data) {
    (void)uplink;
    const wst__slot_uplink_t *u = user_data;
    wst__egress_take(u->slot->o->egress, incoming, dest);
}

static void on_uplink_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    (void)uplink;
    wst__slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    if (reason != 0) {
        wst_ctx_log(wst__slot_ctx(s), WST_LOG_INFO, "the server takes no more streams: %s",
                    wst_strerror(reason));
        u->told = true;
        wst__slot_look_later(s);
        return;
    }
    if (u->state != WST__UPLINK_READY)
        return;
    u->state = WST__UPLINK_SPENT;
    wst__ticket_give_back(&u->busy);
    s->failures = 0;
    if (!is_running(s))
        update_is_up(s);
    else if (s->phase == WST__SLOT_UP)
        wst__slot_rest(s);
}

/* An uplink was lost. An attempt that is under way will replace it. */
static void lost(wst__slot_t *s, const wst__slot_uplink_t *u, int error, int http_status,
                 const char *detail) {
    if (wst__now(wst__slot_ctx(s)) - u->up_since_ms >= s->o->backoff_max_ms)
        s->failures = 0;
    if (is_idle(s))
        wst__slot_fail(s, error, http_status, detail);
}

/* A suspended uplink is over; attempts go on. */
static void give_up_session(const wst__slot_uplink_t *u, int error, const char *detail) {
    wst__slot_t *s = u->slot;
    wst_agent_failure_t failure = wst__slot_failure_of(error, 0, detail);
    wst_ctx_log(wst__slot_ctx(s), WST_LOG_WARN, "server %s: could not be reached in time: %s",
                s->label, failure.detail);
    wst__slot_tell_down(s, u->conn, &failure);
}

static void on_uplink_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                           void *user_data) {
    (void)uplink;
    wst__slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    bool was_opening = u->state == WST__UPLINK_OPENING, was_ready = u->state == WST__UPLINK_READY,
         was_suspended = u->state == WST__UPLINK_SUSPENDED,
         was_leaving = u->state == WST__UPLINK_LEAVING || u->state == WST__UPLINK_STRANDED ||
                       u->state == WST__UPLINK_ENDING;
    if (error == 0)
        error = WST_EWSCLOSED;
    wst__slot_close_uplink(u);
    if (!is_running(s)) {
        wst__slot_stop_attempts(s);
        update_is_up(s);
    } else if (was_opening) {
        wst__slot_fail(s, error, http_status, detail);
    } else if (was_ready) {
        lost(s, u, error, http_status, detail);
    } else if (was_suspended) {
        give_up_session(u, error, detail);
    } else if (was_leaving) {
        wst__slot_on_left(u, error, detail);
    }
    const wst_agent_failure_t failure = wst__slot_failure_of(error, http_status, detail);
    wst__slot_tell_end(u, &failure);
}

static void on_uplink_closed(void *user_data) {
    wst__slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    wst__ticket_give_back(&u->hold);
    wst__list_remove(&u->node);
    wst__free(&wst__slot_ctx(s)->allocator, u);
    if (s->retired && s->o->on_gone != NULL)
        s->o->on_gone(s->o->user_data);
}

/* Draining ----------------------------------------------------------------------------------- */

static void end_if_idle(wst__slot_uplink_t *u) {
    if (u->uplink->ops->load(u->uplink) > 0)
        return;
    u->state = WST__UPLINK_ENDING;
    u->uplink->ops->end(u->uplink, 1001, "drained", false);
}

/* Ends the uplinks that have no stream left. */
static void end_idle_uplinks(wst__slot_t *s) {
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == WST__UPLINK_READY || u->state == WST__UPLINK_LEAVING) {
            end_if_idle(u);
        } else if ((u->state == WST__UPLINK_SUSPENDED || u->state == WST__UPLINK_STRANDED) &&
                   u->uplink->ops->load(u->uplink) == 0) {
            wst__slot_close_uplink(u);
        }
    }
    if (wst__slot_waiting(s) == NULL)
        wst__slot_stop_attempts(s);
    update_is_up(s);
}

/* Suspect connections ------------------------------------------------------------------------ */

static void probe(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__slot_t *s = WST__CONTAINER(deadline, wst__slot_t, probe);
    bool begins = s->phase == WST__SLOT_UP;
    wst__slot_reconnect(s);
    s->probing = begins && s->phase != WST__SLOT_UP;
}

/* A connection that does not answer gets another one beside it; if it answers before that has
 * come far, the attempt is not needed. */
static void look_for_suspects(wst__slot_t *s) {
    const wst__slot_uplink_t *u = wst__slot_resumable(s);
    bool suspect =
        u != NULL && u->state == WST__UPLINK_READY && u->uplink->ops->is_suspect(u->uplink);
    if (s->phase == WST__SLOT_UP && wst__slot_stranded(s) != NULL)
        wst__slot_rest(s);
    if (suspect && is_idle(s) && !s->probe.set) {
        uint64_t more =
            s->o->probe_after_ms > WST__SUSPECT_MS ? s->o->probe_after_ms - WST__SUSPECT_MS : 0;
        wst__deadline_in(wst__slot_ctx(s), &s->probe, more, probe);
    } else if (!suspect && u != NULL && u->state == WST__UPLINK_READY) {
        wst__deadline_clear(&wst__slot_ctx(s)->deadlines, &s->probe);
        if (s->probing && s->phase != WST__SLOT_CONNECTING && s->phase != WST__SLOT_UP) {
            wst__slot_cancel_attempt(s);
            wst__slot_rest(s);
        }
    }
}

static void look_at_uplinks(wst__defer_t *defer) {
    wst__slot_t *s = WST__CONTAINER(defer, wst__slot_t, defer);
    if (wst__slot_drains(s)) {
        end_idle_uplinks(s);
    } else {
        wst__slot_look_for_leaving(s);
        look_for_suspects(s);
    }
}

static void on_uplink_change(wst__uplink_t *uplink, void *user_data) {
    const wst__slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    const wst__node_t *node = s->o->node;
    bool suspects = uplink->ops->is_suspect(uplink) || s->probe.set || s->probing;
    if (node->state != WST__NODE_CLOSING && (suspects || wst__slot_drains(s)))
        wst__slot_look_later(s);
}

void wst__slot_reconnect(wst__slot_t *s) {
    if (!is_running(s))
        return;
    s->probing = false; /* the attempt is wanted even if the connection answers */
    if (s->phase == WST__SLOT_WAITING || (s->phase == WST__SLOT_UP && wst__slot_may_replace(s)))
        wst__slot_attempt_in(s, 0);
}

/* Something on the way is known to cut connections that are older. */
static void renew(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__slot_t *s = WST__CONTAINER(deadline, wst__slot_t, renew);
    const wst__slot_uplink_t *u = wst__slot_resumable(s);
    if (wst__slot_stranded(s) != NULL) /* the attempts are for that */
        wst__deadline_in(wst__slot_ctx(s), &s->renew, WST__SLOT_STEADY_MS, renew);
    else if (u != NULL && u->state == WST__UPLINK_READY)
        wst__slot_reconnect(s);
}

const wst__uplink_callbacks_t wst__slot_callbacks = {
    .on_claim = on_uplink_claim,
    .on_up = on_uplink_up,
    .on_suspended = on_uplink_suspended,
    .on_resumed = on_uplink_resumed,
    .on_incoming = on_uplink_incoming,
    .on_change = on_uplink_change,
    .on_goaway = on_uplink_goaway,
    .on_down = on_uplink_down,
    .on_closed = on_uplink_closed,
};

/* The part ----------------------------------------------------------------------------------- */

static void drain_slot(wst__part_t *part) {
    wst__slot_t *s = WST__CONTAINER(part, wst__slot_t, part);
    if (wst__slot_waiting(s) == NULL) /* else its streams need another connection */
        wst__slot_stop_attempts(s);
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == WST__UPLINK_READY || u->state == WST__UPLINK_LEAVING)
            u->uplink->ops->goaway(u->uplink);
    }
    end_idle_uplinks(s);
}

static void close_slot(wst__part_t *part) {
    wst__slot_t *s = WST__CONTAINER(part, wst__slot_t, part);
    wst__slot_cancel_attempt(s);
    wst__deadline_clear(&wst__slot_ctx(s)->deadlines, &s->renew);
    wst__defer_cancel(&s->defer);
    s->is_up = false;
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node)
        wst__slot_close_uplink(u);
}

void wst__slot_retire(wst__slot_t *s) {
    s->retired = true;
    drain_slot(&s->part);
}

bool wst__slot_is_gone(const wst__slot_t *s) {
    return s->retired && wst__list_empty(&s->uplinks);
}

void wst__slot_remove(wst__slot_t *s) {
    close_slot(&s->part); /* an attempt may be under way */
    wst__node_remove(&s->part);
}

void wst__slot_init(wst__slot_t *s, const wst__slot_options_t *options) {
    *s = (wst__slot_t){
        .part = {.drain = drain_slot, .close = close_slot}, .o = options, .wanted = 1};
    wst__slot_take_conn(s);
    wst__list_init(&s->uplinks);
    wst__defer_init(&s->defer);
    wst__node_add(options->node, &s->part);
    wst__slot_attempt_in(s, 0);
}
