/* SPDX-License-Identifier: MIT */
/* A slot makes an uplink, or fails to, and tries again (slot_internal.h). */
#include "slot_internal.h"

#include "request.h"
#include "session.h"

#include <string.h>
#include <wstunnel/websocket.h>

enum { GRACE_TRIES = 8 }; /* attempts that a suspended uplink gets at least */

static void attempt(wst__deadline_t *deadline, uint64_t now_ms);

uint64_t wst__slot_backoff_ms(wst__slot_t *s) {
    const wst__slot_uplink_t *u = wst__slot_waiting(s);
    uint64_t most = s->o->backoff_max_ms, bound = s->o->backoff_min_ms, random = 0;
    if (u != NULL && u->state != WST__UPLINK_LEAVING && u->grace_ms / GRACE_TRIES < most)
        most = u->grace_ms / GRACE_TRIES + 1;
    for (unsigned i = 0; i < s->failures && bound < most; i++)
        bound = bound <= UINT64_MAX / 2 ? bound * 2 : UINT64_MAX;
    if (bound > most)
        bound = most;
    if (wst__random(wst__slot_ctx(s), &random, sizeof(random)) != 0)
        return bound;
    return random % bound;
}

void wst__slot_attempt_in(wst__slot_t *s, uint64_t delay_ms) {
    s->phase = WST__SLOT_WAITING;
    wst__deadline_in(wst__slot_ctx(s), &s->retry, delay_ms, attempt);
}

static void forget_credentials(wst__slot_t *s) {
    wst__free_secret(&wst__slot_ctx(s)->allocator, s->fields);
    s->fields = NULL;
}

void wst__slot_count_failure(wst__slot_t *s) {
    if (s->failures < 64) /* enough to reach any bound */
        s->failures++;
}

void wst__slot_fail(wst__slot_t *s, int error, int http_status, const char *detail) {
    forget_credentials(s);
    s->probing = false;
    wst__slot_count_failure(s);
    wst_agent_failure_t failure = wst__slot_failure_of(error, http_status, detail);
    failure.refused = error == WST_EPROXYAUTH ||
                      (error != WST_EPROXY && (http_status == 401 || http_status == 403));
    failure.retry_in_ms = failure.refused ? s->o->backoff_max_ms : wst__slot_backoff_ms(s);
    failure.suspended = wst__slot_suspended(s) != NULL;
    if (wst__slot_count_ready(s) >= s->wanted) {
        wst_ctx_log(wst__slot_ctx(s), WST_LOG_INFO, "server %s: no better connection: %s", s->label,
                    failure.detail);
        s->phase = WST__SLOT_UP;
        if (wst__slot_stranded(s) != NULL)
            wst__slot_attempt_in(s, failure.retry_in_ms);
        wst__slot_renew_later(s, failure.retry_in_ms);
        wst__slot_look_later(s);
        return;
    }
    s->is_up = s->is_up && wst__slot_count_in(s, WST__UPLINK_LEAVING) > 0;
    wst__slot_attempt_in(s, failure.retry_in_ms);
    wst_ctx_log(wst__slot_ctx(s), WST_LOG_WARN, "server %s: %s; next attempt in %llu ms", s->label,
                failure.detail, (unsigned long long)failure.retry_in_ms);
    if (!s->is_up)
        wst__slot_tell_down(s, s->conn, &failure);
}

bool wst__slot_needs_attempt(const wst__slot_t *s) {
    return wst__slot_waiting(s) != NULL ||
           (!wst__slot_drains(s) && wst__slot_count_ready(s) < s->wanted);
}

void wst__slot_rest(wst__slot_t *s) {
    s->phase = WST__SLOT_UP;
    if (wst__slot_needs_attempt(s))
        wst__slot_attempt_in(s, 0);
}

void wst__slot_cancel_attempt(wst__slot_t *s) {
    wst__deadline_clear(&wst__slot_ctx(s)->deadlines, &s->retry);
    wst__deadline_clear(&wst__slot_ctx(s)->deadlines, &s->probe);
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

void wst__slot_stop_attempts(wst__slot_t *s) {
    wst__slot_cancel_attempt(s);
    WST__LIST_EACH(wst__slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == WST__UPLINK_OPENING)
            wst__slot_close_uplink(u);
    }
}

bool wst__slot_may_replace(const wst__slot_t *s) {
    if (wst__slot_resumable(s) != NULL)
        return true;
    WST__LIST_EACH(const wst__slot_uplink_t, u, &s->uplinks, node) {
        const wst__uplink_ops_t *ops = u->uplink->ops;
        if (u->state == WST__UPLINK_READY && (ops->resume == NULL || ops->load(u->uplink) > 0))
            return false;
    }
    return true;
}

static int connect_uplink(wst__slot_uplink_t *u, wst_stream_t *stream, const char *fields) {
    const wst__slot_t *s = u->slot;
    const wst_websocket_options_t websocket = {.size = sizeof(websocket),
                                               .open_timeout_ms = s->o->timeout_ms,
                                               .host = s->o->upgrade->host,
                                               .path = s->o->upgrade->path,
                                               .fields = fields};
    wst__uplink_options_t options = s->o->uplink;
    options.callbacks = &wst__slot_callbacks;
    options.user_data = u;
    options.hello.conn = u->conn;
    options.hello.epoch = s->epoch;
    return s->o->kind->connect(&u->uplink, wst__slot_ctx(s), stream, &websocket, &options);
}

/* What the upgrade request says about a session; NULL: nothing. Sets the conn of the attempt. Of
 * several whose servers leave another one has its turn next time. */
static const wst__resume_field_t *make_claim(wst__slot_t *s, uint32_t *conn,
                                             wst__resume_field_t *out) {
    wst__slot_uplink_t *u = wst__slot_to_continue(s);
    s->claims = u != NULL && u->uplink->ops->resume->claim(u->uplink, s->epoch, out) == 0;
    *conn = s->claims ? u->conn : s->conn;
    if (!s->claims)
        *out = (wst__resume_field_t){.kind = WST__RESUME_NEW};
    else
        memcpy(s->sid, out->sid, sizeof(s->sid));
    if (s->claims && wst__slot_is_stranded(u)) {
        wst__list_remove(&u->node);
        wst__list_append(&s->uplinks, &u->node);
    }
    return s->o->uplink.resumes ? out : NULL;
}

/* Makes an uplink from the stream, which it takes on success. */
static int add_uplink(wst__slot_t *s, wst_stream_t *stream) {
    const wst_allocator_t *al = &wst__slot_ctx(s)->allocator;
    wst__slot_uplink_t *u = wst__zalloc(al, sizeof(*u));
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
    return !wst__slot_needs_attempt(s) && !wst__slot_may_replace(s);
}

static void on_reached(wst_stream_t *stream, const wst__reach_failure_t *failure, void *user_data) {
    wst__slot_t *s = user_data;
    s->reach = NULL;
    if (stream == NULL) {
        wst__slot_fail(s, failure->error, failure->http_status, failure->detail);
        return;
    }
    if (is_settled(s)) {
        wst_stream_close(stream, NULL);
        wst__slot_cancel_attempt(s);
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
    wst__slot_fail(s, status, 0,
                   status == WST_EINVAL ? "the fields given are not complete lines" : "");
}

static void reach(wst__slot_t *s) {
    s->phase = WST__SLOT_DIALLING;
    int status =
        wst__reach(&s->reach, s->o->endpoint, s->o->address, s->o->timeout_ms, on_reached, s);
    if (status != 0)
        wst__slot_fail(s, status, 0, "");
}

static void on_credentials_answer(const wst__answer_t *answer, void *user_data) {
    wst__slot_t *s = user_data;
    s->question = NULL;
    if (answer->stream != NULL) /* an answer of the wrong kind */
        wst_stream_close(answer->stream, NULL);
    if (answer->kind == WST__UNANSWERED) {
        wst__slot_fail(s, WST_ETIMEOUT, 0, "no credentials in time");
        return;
    }
    if (answer->kind != WST__ALLOWED) {
        wst__slot_fail(s, WST_ECANCELLED, 0,
                       answer->reason != NULL ? answer->reason : "no credentials");
        return;
    }
    s->fields = wst__strdup(&wst__slot_ctx(s)->allocator, answer->fields);
    if (answer->fields != NULL && s->fields == NULL)
        wst__slot_fail(s, WST_ENOMEM, 0, "");
    else
        reach(s);
}

static void ask_credentials(wst__slot_t *s) {
    s->phase = WST__SLOT_ASKING;
    const wst__ask_t question = {.peer = s->o->endpoint->authority,
                                 .timeout_ms = s->o->timeout_ms,
                                 .on_answer = on_credentials_answer,
                                 .user_data = s};
    int status = wst__request_new(&s->question, wst__slot_ctx(s), &question);
    if (status != 0)
        wst__slot_fail(s, status, 0, "");
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
