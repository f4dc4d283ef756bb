/* SPDX-License-Identifier: MIT */
/* Keeps an agent connected to its server (slot.h). */
#include "slot.h"

#include "defaults.h"
#include "request.h"
#include "session.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/websocket.h>

enum {
    LEAVING_MAX = 4,  /* uplinks whose server leaves; a further one is not replaced yet */
    GRACE_TRIES = 8,  /* attempts that a suspended uplink gets at least */
    STEADY_MS = 1000, /* after so long on a connection the first attempt to resume begins at once */
    AGE_JITTER = 10   /* a connection lives up to this part of its age less */
};

/* An uplink of the slot. */
typedef struct slot_uplink {
    wst__list_t node;
    wst__slot_t *slot;
    wst__uplink_t *uplink;
    enum {
        OPENING,   /* made by the current attempt */
        READY,     /* up, and can take a stream */
        SUSPENDED, /* its connection is lost */
        SPENT,     /* used up by its only stream */
        LEAVING,   /* its server leaves, and ends it when its streams have ended */
        STRANDED,  /* its server leaves, and its connection is lost */
        ENDING,    /* drained */
        CLOSING
    } state;
    uint32_t conn;
    bool shown;     /* on_connection has told that it is up, and nothing since */
    bool told;      /* the server takes no more streams */
    bool elsewhere; /* LEAVING: the way does not lead to its server any more */
    uint64_t up_since_ms;
    uint64_t grace_ms;  /* SUSPENDED, STRANDED: how long the server keeps it */
    wst__ticket_t hold; /* of the node */
    wst__ticket_t busy; /* of the node; in the states READY to ENDING, but SPENT */
} slot_uplink_t;

static void attempt(wst__deadline_t *deadline, uint64_t now_ms);
static void look_at_uplinks(wst__defer_t *defer);
static void renew(wst__deadline_t *deadline, uint64_t now_ms);

static wst_ctx_t *slot_ctx(const wst__slot_t *s) {
    return s->o->node->ctx;
}

static void use_conn(wst__slot_t *s, uint32_t n) {
    const char *address = s->o->address;
    char conn[32] = "";
    s->conn = n;
    if (s->o->several)
        snprintf(conn, sizeof(conn), " (connection %u)", s->conn);
    snprintf(s->label, sizeof(s->label), "%s%s%s%s", s->o->endpoint->authority,
             address != NULL ? " at " : "", address != NULL ? address : "", conn);
}

/* Takes a `conn` that no uplink of the agent has had. */
static void take_conn(wst__slot_t *s) {
    use_conn(s, (*s->o->next_conn)++);
}

static size_t count_in(const wst__slot_t *s, int state) {
    size_t n = 0;
    WST__LIST_EACH(const slot_uplink_t, u, &s->uplinks, node)
        n += (int)u->state == state;
    return n;
}

static size_t count_ready(const wst__slot_t *s) {
    return count_in(s, READY);
}

static bool can_resume(const slot_uplink_t *u) {
    const wst__uplink_resume_ops_t *ops = u->uplink->ops->resume;
    return ops != NULL && ops->sid(u->uplink) != NULL;
}

/* The uplink, other than those whose servers leave, that an attempt's connection can continue, or
 * NULL. */
static slot_uplink_t *resumable(const wst__slot_t *s) {
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node)
        if ((u->state == READY || u->state == SUSPENDED) && can_resume(u))
            return u;
    return NULL;
}

static slot_uplink_t *suspended(const wst__slot_t *s) {
    slot_uplink_t *u = resumable(s);
    return u != NULL && u->state == SUSPENDED ? u : NULL;
}

/* Whether the server of the uplink leaves, and its streams need another connection to end. */
static bool is_stranded(const slot_uplink_t *u) {
    const wst__uplink_ops_t *ops = u->uplink->ops;
    bool needs = u->state == LEAVING && !u->elsewhere && ops->is_suspect(u->uplink) &&
                 ops->load(u->uplink) > 0;
    return (u->state == STRANDED || needs) && can_resume(u);
}

static slot_uplink_t *stranded(const wst__slot_t *s) {
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node)
        if (is_stranded(u))
            return u;
    return NULL;
}

/* The uplink whose streams wait for a connection, or NULL. */
static slot_uplink_t *waiting(const wst__slot_t *s) {
    slot_uplink_t *u = suspended(s);
    return u != NULL ? u : stranded(s);
}

/* The uplink that the next attempt is to continue, or NULL. One whose server leaves comes before
 * one that only is to have a better connection. */
static slot_uplink_t *to_continue(const wst__slot_t *s) {
    slot_uplink_t *u = resumable(s), *left = stranded(s);
    bool needs = u != NULL && (u->state == SUSPENDED || u->uplink->ops->is_suspect(u->uplink));
    return left == NULL || needs ? u : left;
}

/* The uplink that the attempt is to continue; NULL: none, or it is over by now. */
static slot_uplink_t *claimed(const wst__slot_t *s) {
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node)
        if (s->claims && u->state != CLOSING && can_resume(u) &&
            memcmp(u->uplink->ops->resume->sid(u->uplink), s->sid, sizeof(s->sid)) == 0)
            return u;
    return NULL;
}

/* on_uplink_closed frees the memory later, from the loop. */
static void close_uplink(slot_uplink_t *u) {
    if (u->state == CLOSING)
        return;
    u->state = CLOSING;
    wst__ticket_give_back(&u->busy);
    u->uplink->ops->close(u->uplink);
}

/* Later, from the loop: an uplink has changed. */
static void look_later(wst__slot_t *s) {
    wst__defer(slot_ctx(s), &s->defer, look_at_uplinks);
}

/* Trying and failing ------------------------------------------------------------------------- */

/* Full jitter: a random time up to the bound, so that agents do not all reconnect at once. */
static uint64_t backoff_ms(wst__slot_t *s) {
    const slot_uplink_t *u = waiting(s);
    uint64_t most = s->o->backoff_max_ms, bound = s->o->backoff_min_ms, random = 0;
    if (u != NULL && u->state != LEAVING && u->grace_ms / GRACE_TRIES < most)
        most = u->grace_ms / GRACE_TRIES + 1;
    for (unsigned i = 0; i < s->failures && bound < most; i++)
        bound = bound <= UINT64_MAX / 2 ? bound * 2 : UINT64_MAX;
    if (bound > most)
        bound = most;
    if (wst__random(slot_ctx(s), &random, sizeof(random)) != 0)
        return bound;
    return random % bound;
}

static void attempt_in(wst__slot_t *s, uint64_t delay_ms) {
    s->phase = WST__SLOT_WAITING;
    wst__deadline_in(slot_ctx(s), &s->retry, delay_ms, attempt);
}

static void forget_credentials(wst__slot_t *s) {
    wst__free_secret(&slot_ctx(s)->allocator, s->fields);
    s->fields = NULL;
}

static void count_failure(wst__slot_t *s) {
    if (s->failures < 64) /* enough to reach any bound */
        s->failures++;
}

static wst_agent_failure_t failure_of(int error, int http_status, const char *detail) {
    return (wst_agent_failure_t){.size = sizeof(wst_agent_failure_t),
                                 .error = error,
                                 .http_status = http_status,
                                 .detail = detail[0] != '\0' ? detail : wst_strerror(error)};
}

/* Whether on_connection has told that a connection of this `conn` is up, and one is. There may be
 * two: to a server that leaves, and to the one that an attempt to continue its session has led to.
 */
static bool conn_is_up(const wst__slot_t *s, uint32_t conn) {
    WST__LIST_EACH(const slot_uplink_t, u, &s->uplinks, node)
        if (u->conn == conn && u->shown &&
            (u->state == READY || u->state == LEAVING || u->state == ENDING))
            return true;
    return false;
}

/* The uplink has a connection. The end of those that a stream uses up is not told. */
static void tell_up(slot_uplink_t *u) {
    const wst__slot_t *s = u->slot;
    bool is_up = conn_is_up(s, u->conn);
    u->shown = !u->uplink->renews;
    if (!is_up)
        s->o->on_connection(u->conn, NULL, s->o->user_data);
}

static void tell_conn_gone(wst__slot_t *s, uint32_t conn, const wst_agent_failure_t *failure) {
    if (conn_is_up(s, conn) || s->o->node->state == WST__NODE_CLOSING)
        return;
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node)
        u->shown = u->shown && u->conn != conn;
    s->o->on_connection(conn, failure, s->o->user_data);
}

/* The uplink's connection is lost or over, which on_down or on_suspended may have told. */
static void tell_end(const slot_uplink_t *u, const wst_agent_failure_t *failure) {
    if (u->shown)
        tell_conn_gone(u->slot, u->conn, failure);
}

static void tell_down(wst__slot_t *s, uint32_t conn, const wst_agent_failure_t *failure) {
    tell_conn_gone(s, conn, failure);
    s->o->on_down(failure, s->o->user_data);
}

/* If the attempt that is over was to replace a connection because of its age, another one will. */
static void renew_later(wst__slot_t *s, uint64_t delay_ms) {
    if (s->o->max_age_ms != 0 && !s->renew.set)
        wst__deadline_in(slot_ctx(s), &s->renew, delay_ms, renew);
}

/* An attempt failed or an uplink was lost: reports it and tries again later. An attempt beside a
 * connection that is still there is only tried again. */
static void fail_slot(wst__slot_t *s, int error, int http_status, const char *detail) {
    forget_credentials(s);
    s->probing = false;
    count_failure(s);
    wst_agent_failure_t failure = failure_of(error, http_status, detail);
    failure.refused = error == WST_EPROXYAUTH ||
                      (error != WST_EPROXY && (http_status == 401 || http_status == 403));
    failure.retry_in_ms = failure.refused ? s->o->backoff_max_ms : backoff_ms(s);
    failure.suspended = suspended(s) != NULL;
    if (count_ready(s) >= s->wanted) {
        wst_ctx_log(slot_ctx(s), WST_LOG_INFO, "server %s: no better connection: %s", s->label,
                    failure.detail);
        s->phase = WST__SLOT_UP;
        if (stranded(s) != NULL)
            attempt_in(s, failure.retry_in_ms);
        renew_later(s, failure.retry_in_ms);
        look_later(s);
        return;
    }
    s->is_up = s->is_up && count_in(s, LEAVING) > 0;
    attempt_in(s, failure.retry_in_ms);
    wst_ctx_log(slot_ctx(s), WST_LOG_WARN, "server %s: %s; next attempt in %llu ms", s->label,
                failure.detail, (unsigned long long)failure.retry_in_ms);
    if (!s->is_up)
        tell_down(s, s->conn, &failure);
}

/* Whether the slot takes no new streams any more. */
static bool drains(const wst__slot_t *s) {
    return s->retired || s->o->node->state != WST__NODE_RUNNING;
}

/* Whether the slot needs a connection: always, but while draining only to resume. */
static bool is_running(const wst__slot_t *s) {
    return !drains(s) || (s->o->node->state != WST__NODE_CLOSING && waiting(s) != NULL);
}

/* Whether no attempt is under way, nor due for want of an uplink. */
static bool is_idle(const wst__slot_t *s) {
    return s->phase == WST__SLOT_UP || (s->phase == WST__SLOT_WAITING && stranded(s) != NULL);
}

/* An uplink has a connection: from now on its age counts. At random, so that agents that came at
 * the same time do not come again at the same time. */
static void begin_age(wst__slot_t *s, slot_uplink_t *u) {
    uint64_t age_ms = s->o->max_age_ms, random = 0;
    u->up_since_ms = wst__now(slot_ctx(s));
    if (age_ms == 0)
        return;
    (void)wst__random(slot_ctx(s), &random, sizeof(random));
    wst__deadline_in(slot_ctx(s), &s->renew, age_ms - random % (age_ms / AGE_JITTER + 1), renew);
}

/* Whether the slot has something to attempt. */
static bool needs_attempt(const wst__slot_t *s) {
    return waiting(s) != NULL || (!drains(s) && count_ready(s) < s->wanted);
}

/* Rests if the slot has all the uplinks wanted, else begins the next attempt. */
static void rest(wst__slot_t *s) {
    s->phase = WST__SLOT_UP;
    if (needs_attempt(s))
        attempt_in(s, 0);
}

/* While draining no attempt follows: the slot is up as long as an uplink is ready. */
static void update_is_up(wst__slot_t *s) {
    s->is_up = count_ready(s) > 0;
}

/* Cancels an attempt that has no uplink yet. */
static void cancel_attempt(wst__slot_t *s) {
    wst__deadline_clear(&slot_ctx(s)->deadlines, &s->retry);
    wst__deadline_clear(&slot_ctx(s)->deadlines, &s->probe);
    s->probing = false;
    if (s->question != NULL)
        wst__request_cancel(s->question);
    if (s->reach != NULL)
        wst__reach_cancel(s->reach);
    forget_credentials(s);
    s->question = NULL;
    s->reach = NULL;
    s->phase = WST__SLOT_WAITING;
}

/* The slot needs no connection any more. */
static void stop_attempts(wst__slot_t *s) {
    cancel_attempt(s);
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == OPENING)
            close_uplink(u);
    }
}

/* Servers that leave ------------------------------------------------------------------------- */

/* The next attempt has another `conn`: the way may lead to the same server, which would take it for
 * one in place of this uplink. */
static void let_leave(wst__slot_t *s, slot_uplink_t *u) {
    u->state = LEAVING;
    take_conn(s);
    s->failures = 0;
    s->probing = false;
    wst__deadline_clear(&slot_ctx(s)->deadlines, &s->probe);
    if (s->phase == WST__SLOT_UP)
        rest(s);
}

/* Replaces uplinks whose server leaves before they are gone. The server ends them: it may still
 * open streams for clients that it has accepted before. What connects now may continue one, or
 * has its `conn`: that is awaited. */
static void look_for_leaving(wst__slot_t *s) {
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == READY && u->told && s->phase != WST__SLOT_CONNECTING &&
            count_in(s, LEAVING) + count_in(s, STRANDED) < LEAVING_MAX)
            let_leave(s, u);
    }
}

/* The connection to a server that leaves is gone. The next attempt comes soon, unless one is under
 * way, or none is needed. An agent without a connection is told to be down. */
static void hurry(const slot_uplink_t *u, wst_agent_failure_t failure) {
    wst__slot_t *s = u->slot;
    s->failures = 0;
    look_later(s);
    if (s->phase != WST__SLOT_WAITING && s->phase != WST__SLOT_UP)
        return;
    if (!needs_attempt(s)) {
        cancel_attempt(s);
        s->phase = WST__SLOT_UP;
        renew_later(s, failure.retry_in_ms);
        return;
    }
    attempt_in(s, failure.retry_in_ms);
    if (!s->is_up || count_ready(s) + count_in(s, LEAVING) > 0)
        return;
    s->is_up = false;
    tell_down(s, u->conn, &failure);
}

/* An uplink whose server leaves is over, and with it that server, perhaps. What comes in its place
 * is soon there. */
static void on_left(const slot_uplink_t *u, int error, const char *detail) {
    wst__slot_t *s = u->slot;
    wst_agent_failure_t failure = failure_of(error, 0, detail);
    wst_ctx_log(slot_ctx(s), WST_LOG_INFO, "server %s has left: %s", s->o->endpoint->authority,
                detail);
    s->failures = 0;
    failure.retry_in_ms = backoff_ms(s);
    hurry(u, failure);
}

/* The connection of an uplink whose server leaves is lost. As long as that is there, the streams
 * can go on with another connection. */
static void strand(slot_uplink_t *u, uint64_t grace_ms, wst_agent_failure_t failure) {
    wst__slot_t *s = u->slot;
    u->state = STRANDED;
    u->grace_ms = grace_ms;
    s->failures = 0;
    failure.retry_in_ms = wst__now(slot_ctx(s)) - u->up_since_ms >= STEADY_MS ? 0 : backoff_ms(s);
    wst_ctx_log(slot_ctx(s), WST_LOG_WARN,
                "connection to %s, which leaves, lost (%zu streams wait): %s",
                s->o->endpoint->authority, u->uplink->ops->load(u->uplink), failure.detail);
    hurry(u, failure);
    tell_end(u, &failure);
}

/* The server reached does not know the session of an uplink whose server leaves. If that keeps its
 * connection, the next attempt has another conn: a later one to continue it, which may be led here
 * again, would otherwise replace here what has its conn. */
static void give_up_left(wst__slot_t *s, slot_uplink_t *left) {
    bool lost = left->state == STRANDED;
    left->elsewhere = true;
    wst_ctx_log(
        slot_ctx(s), lost ? WST_LOG_WARN : WST_LOG_INFO,
        "server %s: the way leads to another server than the one that leaves: %zu streams %s",
        s->o->endpoint->authority, left->uplink->ops->load(left->uplink),
        lost ? "are lost" : "keep their connection");
    if (lost)
        close_uplink(left);
}

/* Callbacks of the uplinks ------------------------------------------------------------------- */

/* The server's hello: which uplink its connection is for. */
static wst__uplink_t *on_uplink_claim(wst__uplink_t *uplink, const wst_hello_t *hello,
                                      void *user_data) {
    const slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    slot_uplink_t *old = claimed(s);
    if (hello->resumed)
        return old != NULL ? old->uplink : NULL;
    bool leaves = old != NULL && (old->state == LEAVING || old->state == STRANDED);
    if (leaves || u->conn != s->conn) { /* the attempt was for a server that leaves */
        bool is_taken = leaves && old->state == LEAVING; /* the conn */
        if (leaves)
            give_up_left(s, old);
        if (is_taken || drains(s) || count_ready(s) >= s->wanted)
            uplink->ops->end(uplink, 1001, "drained", false);
        return NULL;
    }
    if (old == NULL)
        return NULL;
    wst_agent_failure_t failure =
        failure_of(WST_ELOST, 0, "the server does not know the session any more");
    size_t streams = old->uplink->ops->load(old->uplink);
    wst_ctx_log(slot_ctx(s), WST_LOG_WARN, "server %s: %s: %zu stream%s lost", s->label,
                failure.detail, streams, streams == 1 ? " is" : "s are");
    s->is_up = false;
    close_uplink(old);
    if (drains(s))
        uplink->ops->end(uplink, 1001, "drained", false);
    tell_down(s, old->conn, &failure);
    return NULL;
}

static void on_uplink_suspended(wst__uplink_t *uplink, int error, const char *detail,
                                uint64_t grace_ms, void *user_data) {
    slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    uint64_t held_ms = wst__now(slot_ctx(s)) - u->up_since_ms;
    size_t streams = uplink->ops->load(uplink);
    wst_agent_failure_t failure = failure_of(error != 0 ? error : WST_EWSCLOSED, 0, detail);
    if (u->state == LEAVING && streams == 0) {
        close_uplink(u);
        on_left(u, failure.error, detail);
        tell_end(u, &failure);
        return;
    }
    if (u->state == LEAVING) {
        strand(u, grace_ms, failure);
        return;
    }
    u->state = SUSPENDED;
    u->grace_ms = grace_ms;
    s->is_up = false;
    wst__deadline_clear(&slot_ctx(s)->deadlines, &s->probe);
    if (held_ms >= STEADY_MS)
        s->failures = 0;
    failure.suspended = true;
    const char *wait = streams == 1 ? "stream waits" : "streams wait";
    if (is_idle(s)) {
        failure.retry_in_ms = held_ms >= STEADY_MS ? 0 : backoff_ms(s);
        count_failure(s);
        attempt_in(s, failure.retry_in_ms);
        wst_ctx_log(slot_ctx(s), WST_LOG_WARN,
                    "connection to %s lost (%zu %s): %s; next attempt in %llu ms", s->label,
                    streams, wait, failure.detail, (unsigned long long)failure.retry_in_ms);
    } else { /* it may be what the attempt under way has replaced */
        wst_ctx_log(slot_ctx(s), WST_LOG_INFO,
                    "connection to %s lost (%zu %s): %s; another one is on its way", s->label,
                    streams, wait, failure.detail);
    }
    tell_end(u, &failure);
    s->o->on_suspended(&failure, streams, s->o->user_data);
}

/* The server, which leaves, may open further streams for clients that it has accepted before. */
static void on_left_resumed(slot_uplink_t *u, uint64_t outage_ms) {
    wst__slot_t *s = u->slot;
    u->state = LEAVING;
    u->up_since_ms = wst__now(slot_ctx(s));
    rest(s);
    wst_ctx_log(slot_ctx(s), WST_LOG_INFO, "%s, which leaves, resumed after %.1f s",
                s->o->endpoint->authority, (double)outage_ms / 1000);
    bool was_down = !s->is_up && !drains(s);
    if (was_down)
        s->is_up = true;
    tell_up(u);
    if (was_down)
        s->o->on_up(s->o->user_data);
}

static void on_uplink_resumed(wst__uplink_t *uplink, wst__uplink_t *from, uint64_t outage_ms,
                              void *user_data) {
    slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    close_uplink(from->user_data);
    s->probing = false;
    if (drains(s))
        uplink->ops->goaway(uplink);
    look_later(s);
    if (u->state != READY && u->state != SUSPENDED) {
        on_left_resumed(u, outage_ms);
        return;
    }
    u->state = READY;
    begin_age(s, u);
    s->is_up = true;
    rest(s);
    wst_ctx_log(slot_ctx(s), WST_LOG_INFO, "%s%sresumed after %.1f s",
                s->o->several ? s->label : "", s->o->several ? " " : "", (double)outage_ms / 1000);
    tell_up(u);
    s->o->on_resumed(outage_ms, s->o->user_data);
}

static int on_uplink_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    (void)hello;
    slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    u->state = READY;
    if (u->conn != s->conn)
        use_conn(s, u->conn);
    begin_age(s, u);
    wst__ticket_take(&u->busy, &s->o->node->busy);
    s->wanted = uplink->renews ? s->o->spare : 1;
    s->probing = false;
    rest(s);
    look_later(s);
    if (s->is_up) {
        if (!uplink->renews)
            tell_up(u);
        return 0;
    }
    s->is_up = true;
    wst_ctx_log(slot_ctx(s), WST_LOG_INFO, "connected to %s as %.*s", s->label,
                (int)s->o->uplink.hello.name.len, s->o->uplink.hello.name.ptr);
    tell_up(u);
    s->o->on_up(s->o->user_data);
    return 0;
}

static void on_uplink_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                               void *user_data) {
    (void)uplink;
    const slot_uplink_t *u = user_data;
    wst__egress_take(u->slot->o->egress, incoming, dest);
}

static void on_uplink_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    (void)uplink;
    slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    if (reason != 0) {
        wst_ctx_log(slot_ctx(s), WST_LOG_INFO, "the server takes no more streams: %s",
                    wst_strerror(reason));
        u->told = true;
        look_later(s);
        return;
    }
    if (u->state != READY)
        return;
    u->state = SPENT;
    wst__ticket_give_back(&u->busy);
    s->failures = 0;
    if (!is_running(s))
        update_is_up(s);
    else if (s->phase == WST__SLOT_UP)
        rest(s);
}

/* An uplink was lost. An attempt that is under way will replace it. */
static void lost(wst__slot_t *s, const slot_uplink_t *u, int error, int http_status,
                 const char *detail) {
    if (wst__now(slot_ctx(s)) - u->up_since_ms >= s->o->backoff_max_ms)
        s->failures = 0;
    if (is_idle(s))
        fail_slot(s, error, http_status, detail);
}

/* A suspended uplink is over; attempts go on. */
static void give_up_session(const slot_uplink_t *u, int error, const char *detail) {
    wst__slot_t *s = u->slot;
    wst_agent_failure_t failure = failure_of(error, 0, detail);
    wst_ctx_log(slot_ctx(s), WST_LOG_WARN, "server %s: could not be reached in time: %s", s->label,
                failure.detail);
    tell_down(s, u->conn, &failure);
}

static void on_uplink_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                           void *user_data) {
    (void)uplink;
    slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    bool was_opening = u->state == OPENING, was_ready = u->state == READY,
         was_suspended = u->state == SUSPENDED,
         was_leaving = u->state == LEAVING || u->state == STRANDED || u->state == ENDING;
    if (error == 0)
        error = WST_EWSCLOSED;
    close_uplink(u);
    if (!is_running(s)) {
        stop_attempts(s);
        update_is_up(s);
    } else if (was_opening) {
        fail_slot(s, error, http_status, detail);
    } else if (was_ready) {
        lost(s, u, error, http_status, detail);
    } else if (was_suspended) {
        give_up_session(u, error, detail);
    } else if (was_leaving) {
        on_left(u, error, detail);
    }
    const wst_agent_failure_t failure = failure_of(error, http_status, detail);
    tell_end(u, &failure);
}

static void on_uplink_closed(void *user_data) {
    slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    wst__ticket_give_back(&u->hold);
    wst__list_remove(&u->node);
    wst__free(&slot_ctx(s)->allocator, u);
    if (s->retired && s->o->on_gone != NULL)
        s->o->on_gone(s->o->user_data);
}

/* Draining ----------------------------------------------------------------------------------- */

static void end_if_idle(slot_uplink_t *u) {
    if (u->uplink->ops->load(u->uplink) > 0)
        return;
    u->state = ENDING;
    u->uplink->ops->end(u->uplink, 1001, "drained", false);
}

/* Ends the uplinks that have no stream left. */
static void end_idle_uplinks(wst__slot_t *s) {
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == READY || u->state == LEAVING) {
            end_if_idle(u);
        } else if ((u->state == SUSPENDED || u->state == STRANDED) &&
                   u->uplink->ops->load(u->uplink) == 0) {
            close_uplink(u);
        }
    }
    if (waiting(s) == NULL)
        stop_attempts(s);
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
    const slot_uplink_t *u = resumable(s);
    bool suspect = u != NULL && u->state == READY && u->uplink->ops->is_suspect(u->uplink);
    if (s->phase == WST__SLOT_UP && stranded(s) != NULL)
        rest(s);
    if (suspect && is_idle(s) && !s->probe.set) {
        uint64_t more =
            s->o->probe_after_ms > WST__SUSPECT_MS ? s->o->probe_after_ms - WST__SUSPECT_MS : 0;
        wst__deadline_in(slot_ctx(s), &s->probe, more, probe);
    } else if (!suspect && u != NULL && u->state == READY) {
        wst__deadline_clear(&slot_ctx(s)->deadlines, &s->probe);
        if (s->probing && s->phase != WST__SLOT_CONNECTING && s->phase != WST__SLOT_UP) {
            cancel_attempt(s);
            rest(s);
        }
    }
}

static void look_at_uplinks(wst__defer_t *defer) {
    wst__slot_t *s = WST__CONTAINER(defer, wst__slot_t, defer);
    if (drains(s)) {
        end_idle_uplinks(s);
    } else {
        look_for_leaving(s);
        look_for_suspects(s);
    }
}

static void on_uplink_change(wst__uplink_t *uplink, void *user_data) {
    const slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    const wst__node_t *node = s->o->node;
    bool suspects = uplink->ops->is_suspect(uplink) || s->probe.set || s->probing;
    if (node->state != WST__NODE_CLOSING && (suspects || drains(s)))
        look_later(s);
}

/* Whether another connection may take the place of the present one: if that cannot be resumed, the
 * server ends its streams. */
static bool may_replace(const wst__slot_t *s) {
    if (resumable(s) != NULL)
        return true;
    WST__LIST_EACH(const slot_uplink_t, u, &s->uplinks, node) {
        const wst__uplink_ops_t *ops = u->uplink->ops;
        if (u->state == READY && (ops->resume == NULL || ops->load(u->uplink) > 0))
            return false;
    }
    return true;
}

void wst__slot_reconnect(wst__slot_t *s) {
    if (!is_running(s))
        return;
    s->probing = false; /* the attempt is wanted even if the connection answers */
    if (s->phase == WST__SLOT_WAITING || (s->phase == WST__SLOT_UP && may_replace(s)))
        attempt_in(s, 0);
}

/* Something on the way is known to cut connections that are older. */
static void renew(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__slot_t *s = WST__CONTAINER(deadline, wst__slot_t, renew);
    const slot_uplink_t *u = resumable(s);
    if (stranded(s) != NULL) /* the attempts are for that */
        wst__deadline_in(slot_ctx(s), &s->renew, STEADY_MS, renew);
    else if (u != NULL && u->state == READY)
        wst__slot_reconnect(s);
}

/* The part ----------------------------------------------------------------------------------- */

static void drain_slot(wst__part_t *part) {
    wst__slot_t *s = WST__CONTAINER(part, wst__slot_t, part);
    if (waiting(s) == NULL) /* else its streams need another connection */
        stop_attempts(s);
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == READY || u->state == LEAVING)
            u->uplink->ops->goaway(u->uplink);
    }
    end_idle_uplinks(s);
}

static void close_slot(wst__part_t *part) {
    wst__slot_t *s = WST__CONTAINER(part, wst__slot_t, part);
    cancel_attempt(s);
    wst__deadline_clear(&slot_ctx(s)->deadlines, &s->renew);
    wst__defer_cancel(&s->defer);
    s->is_up = false;
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node)
        close_uplink(u);
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

/* An attempt --------------------------------------------------------------------------------- */

static const wst__uplink_callbacks_t callbacks = {
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

static int connect_uplink(slot_uplink_t *u, wst_stream_t *stream, const char *fields) {
    const wst__slot_t *s = u->slot;
    const wst_websocket_options_t websocket = {.size = sizeof(websocket),
                                               .open_timeout_ms = s->o->timeout_ms,
                                               .host = s->o->upgrade->host,
                                               .path = s->o->upgrade->path,
                                               .fields = fields};
    wst__uplink_options_t options = s->o->uplink;
    options.callbacks = &callbacks;
    options.user_data = u;
    options.hello.conn = u->conn;
    options.hello.epoch = s->epoch;
    return s->o->kind->connect(&u->uplink, slot_ctx(s), stream, &websocket, &options);
}

/* What the upgrade request says about a session; NULL: nothing. Sets the conn of the attempt. Of
 * several whose servers leave another one has its turn next time. */
static const wst__resume_field_t *make_claim(wst__slot_t *s, uint32_t *conn,
                                             wst__resume_field_t *out) {
    slot_uplink_t *u = to_continue(s);
    s->claims = u != NULL && u->uplink->ops->resume->claim(u->uplink, s->epoch, out) == 0;
    *conn = s->claims ? u->conn : s->conn;
    if (!s->claims)
        *out = (wst__resume_field_t){.kind = WST__RESUME_NEW};
    else
        memcpy(s->sid, out->sid, sizeof(s->sid));
    if (s->claims && is_stranded(u)) {
        wst__list_remove(&u->node);
        wst__list_append(&s->uplinks, &u->node);
    }
    return s->o->uplink.resumes ? out : NULL;
}

/* Makes an uplink from the stream, which it takes on success. */
static int add_uplink(wst__slot_t *s, wst_stream_t *stream) {
    const wst_allocator_t *al = &slot_ctx(s)->allocator;
    slot_uplink_t *u = wst__zalloc(al, sizeof(*u));
    wst__resume_field_t claim;
    uint32_t conn;
    char *fields = wst__upgrade_fields(s->o->upgrade, s->fields, make_claim(s, &conn, &claim));
    int status = WST_ENOMEM;
    if (u != NULL && fields != NULL) {
        u->slot = s;
        u->conn = conn;
        status = connect_uplink(u, stream, fields);
    }
    wst__free_secret(al, fields);
    if (status != 0) {
        wst__free(al, u);
        return status;
    }
    wst__list_append(&s->uplinks, &u->node);
    wst__ticket_take(&u->hold, &s->o->node->holds);
    return 0;
}

/* Whether what the attempt was for has settled meanwhile, and it would do harm. */
static bool is_settled(const wst__slot_t *s) {
    return !needs_attempt(s) && !may_replace(s);
}

static void on_reached(wst_stream_t *stream, const wst__reach_failure_t *failure, void *user_data) {
    wst__slot_t *s = user_data;
    s->reach = NULL;
    if (stream == NULL) {
        fail_slot(s, failure->error, failure->http_status, failure->detail);
        return;
    }
    if (is_settled(s)) {
        wst_stream_close(stream, NULL);
        cancel_attempt(s);
        s->phase = WST__SLOT_UP;
        return;
    }
    s->phase = WST__SLOT_CONNECTING;
    int status = add_uplink(s, stream);
    if (status == 0) {
        forget_credentials(s);
        return;
    }
    wst_stream_close(stream, NULL);
    fail_slot(s, status, 0, status == WST_EINVAL ? "the fields given are not complete lines" : "");
}

static void reach(wst__slot_t *s) {
    s->phase = WST__SLOT_DIALLING;
    int status =
        wst__reach(&s->reach, s->o->endpoint, s->o->address, s->o->timeout_ms, on_reached, s);
    if (status != 0)
        fail_slot(s, status, 0, "");
}

static void on_credentials_answer(const wst__answer_t *answer, void *user_data) {
    wst__slot_t *s = user_data;
    s->question = NULL;
    if (answer->stream != NULL) /* an answer of the wrong kind */
        wst_stream_close(answer->stream, NULL);
    if (answer->kind == WST__UNANSWERED) {
        fail_slot(s, WST_ETIMEOUT, 0, "no credentials in time");
        return;
    }
    if (answer->kind != WST__ALLOWED) {
        fail_slot(s, WST_ECANCELLED, 0, answer->reason != NULL ? answer->reason : "no credentials");
        return;
    }
    s->fields = wst__strdup(&slot_ctx(s)->allocator, answer->fields);
    if (answer->fields != NULL && s->fields == NULL)
        fail_slot(s, WST_ENOMEM, 0, "");
    else
        reach(s);
}

static void ask_credentials(wst__slot_t *s) {
    s->phase = WST__SLOT_ASKING;
    const wst__ask_t question = {.peer = s->o->endpoint->authority,
                                 .timeout_ms = s->o->timeout_ms,
                                 .on_answer = on_credentials_answer,
                                 .user_data = s};
    int status = wst__request_new(&s->question, slot_ctx(s), &question);
    if (status != 0)
        fail_slot(s, status, 0, "");
    else
        s->o->on_credentials(s->question, s->o->user_data);
}

static void attempt(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__slot_t *s = WST__CONTAINER(deadline, wst__slot_t, retry);
    s->epoch++;
    if (s->o->on_credentials != NULL)
        ask_credentials(s);
    else
        reach(s);
}

void wst__slot_init(wst__slot_t *s, const wst__slot_options_t *options) {
    *s = (wst__slot_t){
        .part = {.drain = drain_slot, .close = close_slot}, .o = options, .wanted = 1};
    take_conn(s);
    wst__list_init(&s->uplinks);
    wst__defer_init(&s->defer);
    wst__node_add(options->node, &s->part);
    attempt_in(s, 0);
}
