/* SPDX-License-Identifier: MIT */
/* Keeps an agent connected to its server (slot.h). */
#include "slot.h"
#include "request.h"

#include <wstunnel/websocket.h>

/* An uplink of the slot. */
typedef struct slot_uplink {
    wst__list_t node;
    wst__slot_t *slot;
    wst__uplink_t *uplink;
    enum {
        OPENING, /* made by the current attempt */
        READY,   /* up, and can take a stream */
        SPENT,   /* used up by its only stream */
        LEAVING, /* drained, and ending */
        CLOSING
    } state;
    uint64_t up_since_ms;
    wst__ticket_t hold; /* of the node */
    wst__ticket_t busy; /* of the node; while READY or LEAVING */
} slot_uplink_t;

static void attempt(wst__deadline_t *deadline, uint64_t now_ms);

static wst_ctx_t *slot_ctx(const wst__slot_t *s) {
    return s->o->node->ctx;
}

static size_t count_ready(const wst__slot_t *s) {
    size_t n = 0;
    WST__LIST_EACH(const slot_uplink_t, u, &s->uplinks, node)
        n += u->state == READY;
    return n;
}

/* on_uplink_closed frees the memory later, from the loop. */
static void close_uplink(slot_uplink_t *u) {
    if (u->state == CLOSING)
        return;
    u->state = CLOSING;
    wst__ticket_give_back(&u->busy);
    u->uplink->ops->close(u->uplink);
}

/* Trying and failing ------------------------------------------------------------------------- */

/* Full jitter: a random time up to the bound, so that agents do not all reconnect at once. */
static uint64_t backoff_ms(wst__slot_t *s) {
    uint64_t bound = s->o->backoff_min_ms, random = 0;
    for (unsigned i = 0; i < s->failures && bound < s->o->backoff_max_ms; i++)
        bound = bound <= UINT64_MAX / 2 ? bound * 2 : UINT64_MAX;
    if (bound > s->o->backoff_max_ms)
        bound = s->o->backoff_max_ms;
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

/* An attempt failed or an uplink was lost: reports it and tries again later. */
static void fail_slot(wst__slot_t *s, int error, int http_status, const char *detail) {
    forget_credentials(s);
    s->is_up = false;
    if (s->failures < 64) /* enough to reach any bound */
        s->failures++;
    const bool refused = error == WST_EPROXYAUTH ||
                         (error != WST_EPROXY && (http_status == 401 || http_status == 403));
    const wst_agent_failure_t failure = {.size = sizeof(failure),
                                         .error = error,
                                         .http_status = http_status,
                                         .refused = refused,
                                         .detail = detail[0] != '\0' ? detail : wst_strerror(error),
                                         .retry_in_ms =
                                             refused ? s->o->backoff_max_ms : backoff_ms(s)};
    attempt_in(s, failure.retry_in_ms);
    wst_ctx_log(slot_ctx(s), WST_LOG_WARN, "server %s: %s; next attempt in %llu ms",
                s->o->endpoint->authority, failure.detail, (unsigned long long)failure.retry_in_ms);
    s->o->on_down(&failure, s->o->user_data);
}

static bool is_running(const wst__slot_t *s) {
    return s->o->node->state == WST__NODE_RUNNING;
}

/* Rests if the slot has all the uplinks wanted, else begins the next attempt. */
static void rest(wst__slot_t *s) {
    s->phase = WST__SLOT_UP;
    if (count_ready(s) < s->wanted)
        attempt_in(s, 0);
}

/* While draining no attempt follows: the slot is up as long as an uplink is ready. */
static void update_is_up(wst__slot_t *s) {
    s->is_up = count_ready(s) > 0;
}

/* Callbacks of the uplinks ------------------------------------------------------------------- */

static int on_uplink_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    (void)hello;
    slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    u->state = READY;
    u->up_since_ms = wst__now(slot_ctx(s));
    wst__ticket_take(&u->busy, &s->o->node->busy);
    s->wanted = uplink->renews ? s->o->spare : 1;
    rest(s);
    if (s->is_up)
        return 0;
    s->is_up = true;
    wst_ctx_log(slot_ctx(s), WST_LOG_INFO, "connected to %s as %.*s", s->o->endpoint->authority,
                (int)s->o->uplink.hello.name.len, s->o->uplink.hello.name.ptr);
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

/* An uplink was lost. In phases other than UP, an attempt that will replace it is under way. */
static void lost(wst__slot_t *s, const slot_uplink_t *u, int error, int http_status,
                 const char *detail) {
    if (wst__now(slot_ctx(s)) - u->up_since_ms >= s->o->backoff_max_ms)
        s->failures = 0;
    if (s->phase == WST__SLOT_UP)
        fail_slot(s, error, http_status, detail);
}

static void on_uplink_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                           void *user_data) {
    (void)uplink;
    slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    bool was_opening = u->state == OPENING, was_ready = u->state == READY;
    if (error == 0)
        error = WST_EWSCLOSED;
    close_uplink(u);
    if (!is_running(s))
        update_is_up(s);
    else if (was_opening)
        fail_slot(s, error, http_status, detail);
    else if (was_ready)
        lost(s, u, error, http_status, detail);
}

static void on_uplink_closed(void *user_data) {
    slot_uplink_t *u = user_data;
    wst__ticket_give_back(&u->hold);
    wst__list_remove(&u->node);
    wst__free(&slot_ctx(u->slot)->allocator, u);
}

/* Draining ----------------------------------------------------------------------------------- */

/* Ends the uplinks that have no stream left. */
static void end_idle_uplinks(wst__slot_t *s) {
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == READY && u->uplink->ops->load(u->uplink) == 0) {
            u->state = LEAVING;
            u->uplink->ops->end(u->uplink, 1001, "drained", false);
        }
    }
    update_is_up(s);
}

static void end_idle_uplinks_later(wst__defer_t *defer) {
    end_idle_uplinks(WST__CONTAINER(defer, wst__slot_t, defer));
}

static void on_uplink_change(wst__uplink_t *uplink, void *user_data) {
    (void)uplink;
    const slot_uplink_t *u = user_data;
    wst__slot_t *s = u->slot;
    if (!is_running(s) && s->o->node->state != WST__NODE_CLOSING)
        wst__defer(slot_ctx(s), &s->defer, end_idle_uplinks_later);
}

/* Cancels an attempt that has no uplink yet. */
static void cancel_attempt(wst__slot_t *s) {
    wst__deadline_clear(&slot_ctx(s)->deadlines, &s->retry);
    if (s->question != NULL)
        wst__request_cancel(s->question);
    if (s->reach != NULL)
        wst__reach_cancel(s->reach);
    forget_credentials(s);
    s->question = NULL;
    s->reach = NULL;
    s->phase = WST__SLOT_WAITING;
}

static void drain_slot(wst__part_t *part) {
    wst__slot_t *s = WST__CONTAINER(part, wst__slot_t, part);
    cancel_attempt(s);
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node) {
        if (u->state == OPENING)
            close_uplink(u);
        else if (u->state == READY)
            u->uplink->ops->goaway(u->uplink);
    }
    end_idle_uplinks(s);
}

static void close_slot(wst__part_t *part) {
    wst__slot_t *s = WST__CONTAINER(part, wst__slot_t, part);
    cancel_attempt(s);
    wst__defer_cancel(&s->defer);
    s->is_up = false;
    WST__LIST_EACH(slot_uplink_t, u, &s->uplinks, node)
        close_uplink(u);
}

/* An attempt --------------------------------------------------------------------------------- */

static const wst__uplink_callbacks_t callbacks = {
    .on_up = on_uplink_up,
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
    options.hello.conn = s->index;
    options.hello.epoch = s->epoch;
    return s->o->kind->connect(&u->uplink, slot_ctx(s), stream, &websocket, &options);
}

/* Makes an uplink from the stream, which it takes on success. */
static int add_uplink(wst__slot_t *s, wst_stream_t *stream) {
    const wst_allocator_t *al = &slot_ctx(s)->allocator;
    slot_uplink_t *u = wst__zalloc(al, sizeof(*u));
    char *fields = wst__upgrade_fields(s->o->upgrade, s->fields);
    int status = WST_ENOMEM;
    if (u != NULL && fields != NULL) {
        u->slot = s;
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

static void on_reached(wst_stream_t *stream, const wst__reach_failure_t *failure, void *user_data) {
    wst__slot_t *s = user_data;
    s->reach = NULL;
    if (stream == NULL) {
        fail_slot(s, failure->error, failure->http_status, failure->detail);
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
    int status = wst__reach(&s->reach, s->o->endpoint, s->o->timeout_ms, on_reached, s);
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

void wst__slot_init(wst__slot_t *s, const wst__slot_options_t *options, uint32_t index) {
    *s = (wst__slot_t){.part = {.drain = drain_slot, .close = close_slot},
                       .o = options,
                       .index = index,
                       .wanted = 1};
    wst__list_init(&s->uplinks);
    wst__defer_init(&s->defer);
    wst__node_add(options->node, &s->part);
    attempt_in(s, 0);
}
