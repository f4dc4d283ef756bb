/* SPDX-License-Identifier: MIT */
/*
 * What comes in at an address where it is not known yet what is spoken, until it is a connection of
 * HTTP or SOCKS. The first byte tells; it is put back, so that whoever comes next reads from the
 * beginning.
 *
 *     UNHEARD --a handshake record--> WAITING --its turn--> SHAKING --done--> UNHEARD
 *        |  \--any other byte-----------------> handed on
 *        \--no byte, or the end--> LEAVING --> gone
 *
 * Where there is one protocol only, with TLS or within it, no byte is waited for.
 *
 * Only so many handshakes run at a time, for each one holds buffers. The others wait in the order
 * they came, unread; meanwhile a handshake that has run for a quarter of the time has had its turn.
 * Few begin in one turn of the loop, for each keeps it busy for some milliseconds. One deadline
 * covers it all; within TLS there is another one for the first byte.
 */
#include "server.h"

#include <stdio.h>

enum { STARTS_PER_TURN = 4 };

typedef struct arrival {
    wst__list_t node; /* among all */
    wst__list_t turn; /* WAITING: in the queue; SHAKING: among those that have theirs */
    wst_server_t *server;
    enum { UNHEARD, WAITING, SHAKING, LEAVING } phase;
    unsigned roles;
    bool secure;                    /* the handshake is done */
    wst_stream_t *stream;           /* but for SHAKING */
    wst_tls_handshake_t *handshake; /* SHAKING: has the stream */
    char peer[96];
    uint64_t started_ms; /* SHAKING */
    wst__ticket_t hold, connection;
    wst__deadline_t deadline; /* not in SHAKING, which has its own */
} arrival_t;

static void give_turns(wst_server_t *s);

/* Life --------------------------------------------------------------------------------------- */

/* Gives up its handshake, or its place among those that wait for one. */
static void leave_turn(arrival_t *a) {
    if (a->phase == SHAKING)
        a->server->arrivals.under_way--;
    wst__list_remove(&a->turn);
}

/* Frees the arrival, whose stream was handed on or closed, and starts the next in line. */
static void forget(arrival_t *a) {
    wst_server_t *s = a->server;
    wst__ticket_t hold = {0};
    leave_turn(a);
    wst__list_remove(&a->node);
    wst__deadline_clear(&s->node.ctx->deadlines, &a->deadline);
    wst__ticket_give_back(&a->connection);
    wst__ticket_hand_on(&a->hold, &hold);
    wst__free(&s->node.ctx->allocator, a);
    give_turns(s);
    wst__ticket_give_back(&hold);
}

static void drop(arrival_t *a) {
    if (a->handshake != NULL)
        wst_tls_handshake_cancel(a->handshake);
    else if (a->stream != NULL)
        wst_stream_close(a->stream, NULL);
    forget(a);
}

/* Whether the first byte must tell HTTP from SOCKS. */
static bool is_mixed(unsigned roles) {
    return (roles & WST_ROLE_SOCKS) != 0 && (roles & WST_ROLE_ALL) != 0;
}

/* Without TLS where TLS alone is spoken, whoever speaks HTTP says so. Takes the stream on success.
 * 0 or an error. */
static int hand_on(wst_server_t *s, wst_stream_t *stream, unsigned roles, bool socks) {
    bool refused = (roles & WST_LISTEN_PLAIN) == 0 && wst_stream_tls(stream) == NULL;
    return socks && !refused ? wst__socks_accept(&s->socks, stream)
                             : wst__conn_new(s, stream, roles);
}

/* It is a connection of HTTP or SOCKS now. */
static void become_connection(arrival_t *a, bool socks) {
    wst_server_t *s = a->server;
    wst_stream_t *stream = a->stream;
    unsigned roles = a->roles;
    wst__ticket_t hold = {0};
    wst__ticket_take(&hold, &s->node.holds);
    a->stream = NULL;
    forget(a);
    wst_stream_set_callbacks(stream, NULL, NULL);
    if (hand_on(s, stream, roles, socks) != 0)
        wst_stream_close(stream, NULL);
    wst__ticket_give_back(&hold);
}

/* The first byte is to come. */
static void hear(arrival_t *a, uint64_t timeout_ms);

/* Handshakes --------------------------------------------------------------------------------- */

static void failed(arrival_t *a, const char *detail) {
    wst_server_t *s = a->server;
    s->arrivals.failures++;
    wst_ctx_log(s->node.ctx, WST_LOG_INFO, "connection from %s: TLS: %s", a->peer, detail);
    drop(a);
}

/* Its handshake is done. */
static void secured(arrival_t *a) {
    wst_server_t *s = a->server;
    a->secure = true;
    if (!is_mixed(a->roles)) {
        become_connection(a, (a->roles & WST_ROLE_SOCKS) != 0);
        return;
    }
    leave_turn(a);
    hear(a, s->limits.head_timeout_ms);
    give_turns(s);
}

static void on_handshake(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    arrival_t *a = user_data;
    a->handshake = NULL;
    if (status == 0) {
        const wst_tls_info_t *info = wst_stream_tls(stream);
        wst_ctx_log(a->server->node.ctx, WST_LOG_DEBUG, "connection from %s: %s, %s%s", a->peer,
                    info->version, info->cipher_suite, info->resumed ? ", resumed" : "");
        a->stream = stream;
        secured(a);
        return;
    }
    failed(a, detail);
}

static void start(arrival_t *a) {
    wst_server_t *s = a->server;
    uint64_t now_ms = wst__now(s->node.ctx);
    const wst_tls_handshake_options_t options = {
        .size = sizeof(options),
        .config = s->tls,
        .timeout_ms = a->deadline.at_ms > now_ms ? a->deadline.at_ms - now_ms : 1};
    wst__list_remove(&a->turn);
    int status = wst_tls_handshake(&a->handshake, a->stream, &options, on_handshake, a);
    if (status != 0) {
        failed(a, wst_strerror(status));
        return;
    }
    a->stream = NULL;
    a->phase = SHAKING;
    a->started_ms = now_ms;
    wst__list_append(&s->arrivals.shaking, &a->turn);
    s->arrivals.under_way++;
    wst__deadline_clear(&s->node.ctx->deadlines, &a->deadline);
}

static arrival_t *first_of(const wst__list_t *turns) {
    wst__list_t *turn = wst__list_first(turns);
    return turn != NULL ? WST__CONTAINER(turn, arrival_t, turn) : NULL;
}

static void on_overdue(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_server_t *s = WST__CONTAINER(deadline, wst_server_t, arrivals.overdue);
    failed(first_of(&s->arrivals.shaking), "too slow while others wait");
}

static void start_some(wst__defer_t *defer) {
    wst_server_t *s = WST__CONTAINER(defer, wst_server_t, arrivals.turns);
    arrival_t *next;
    for (int n = 0; n < STARTS_PER_TURN && s->arrivals.under_way < s->limits.max_handshakes &&
                    (next = first_of(&s->arrivals.queue)) != NULL;
         n++)
        start(next);
    give_turns(s);
}

/* To those who wait, from the loop; or if there is none, sees to it that there will be. After
 * every change of who waits and who has one. */
static void give_turns(wst_server_t *s) {
    wst__deadline_clear(&s->node.ctx->deadlines, &s->arrivals.overdue);
    if (s->node.state == WST__NODE_CLOSING || wst__list_empty(&s->arrivals.queue))
        return;
    if (s->arrivals.under_way < s->limits.max_handshakes)
        wst__defer(s->node.ctx, &s->arrivals.turns, start_some);
    else
        wst__deadline_set(&s->node.ctx->deadlines, &s->arrivals.overdue,
                          first_of(&s->arrivals.shaking)->started_ms + s->limits.tls_timeout_ms / 4,
                          on_overdue);
}

/* The first byte ----------------------------------------------------------------------------- */

static void on_deadline(wst__deadline_t *deadline, uint64_t now_ms);

/* Nothing was said to us, so we say nothing either; in order, as nothing has gone wrong. */
static void leave(arrival_t *a) {
    a->phase = LEAVING;
    wst__deadline_in(a->server->node.ctx, &a->deadline, a->server->limits.tls_timeout_ms,
                     on_deadline);
    if (wst_stream_shutdown(a->stream) < 0)
        drop(a);
}

static void on_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    arrival_t *a = WST__CONTAINER(deadline, arrival_t, deadline);
    if (a->phase == UNHEARD)
        leave(a);
    else if (a->phase == LEAVING)
        drop(a);
    else
        failed(a, "too many handshakes before it");
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    arrival_t *a = user_data;
    wst__spoken_t spoken = wst__spoken_of(data.data[0]);
    wst_stream_read_stop(stream);
    if (wst_stream_unread(stream, wst_slice_ref(data)) != 0) {
        drop(a);
    } else if (spoken == WST__SPEAKS_TLS && !a->secure && (a->roles & WST_LISTEN_TLS) != 0) {
        a->phase = WAITING;
        wst__list_append(&a->server->arrivals.queue, &a->turn);
        give_turns(a->server);
    } else {
        bool is_socks = spoken == WST__SPEAKS_SOCKS5 || spoken == WST__SPEAKS_SOCKS4;
        become_connection(a, (a->roles & WST_ROLE_SOCKS) != 0 && (is_socks || !is_mixed(a->roles)));
    }
}

static void on_end(wst_stream_t *stream, void *user_data) {
    arrival_t *a = user_data;
    (void)stream;
    if (a->phase == UNHEARD)
        leave(a);
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    (void)stream;
    drop(user_data);
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    (void)error;
    drop(user_data);
}

static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                 .on_read = on_read,
                                                 .on_end = on_end,
                                                 .on_shutdown = on_shutdown,
                                                 .on_error = on_error};

static void hear(arrival_t *a, uint64_t timeout_ms) {
    wst_server_t *s = a->server;
    a->phase = UNHEARD;
    wst__deadline_in(s->node.ctx, &a->deadline, timeout_ms, on_deadline);
    wst_stream_set_callbacks(a->stream, &callbacks, a);
    wst_stream_read_start(a->stream, s->http.head_max);
}

/* All of them -------------------------------------------------------------------------------- */

int wst__server_receive(wst_server_t *s, wst_stream_t *stream, unsigned roles) {
    bool tls = (roles & WST_LISTEN_TLS) != 0;
    if (!tls && !is_mixed(roles))
        return hand_on(s, stream, roles, (roles & WST_ROLE_SOCKS) != 0);
    wst_ctx_t *ctx = s->node.ctx;
    arrival_t *a = wst__zalloc(&ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->server = s;
    a->stream = stream;
    a->roles = roles;
    snprintf(a->peer, sizeof(a->peer), "%s", wst_stream_peer(stream));
    wst__list_init(&a->node);
    wst__list_init(&a->turn);
    wst__list_append(&s->arrivals.all, &a->node);
    wst__ticket_take(&a->hold, &s->node.holds);
    wst__ticket_take(&a->connection, &s->connections);
    hear(a, tls ? s->limits.tls_timeout_ms : s->limits.head_timeout_ms);
    return 0;
}

/* Those who have said nothing are let go. */
static void drain(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, arrivals.part);
    WST__LIST_EACH_SAFE(arrival_t, a, &s->arrivals.all, node) {
        if (a->phase == UNHEARD)
            leave(a);
    }
}

static void close_all(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, arrivals.part);
    wst__list_t *node;
    wst__defer_cancel(&s->arrivals.turns);
    while ((node = wst__list_first(&s->arrivals.all)) != NULL)
        drop(WST__CONTAINER(node, arrival_t, node));
}

void wst__arrivals_init(wst_server_t *s) {
    s->arrivals.part = (wst__part_t){.drain = drain, .close = close_all};
    wst__list_init(&s->arrivals.all);
    wst__list_init(&s->arrivals.queue);
    wst__list_init(&s->arrivals.shaking);
    wst__defer_init(&s->arrivals.turns);
    wst__node_add(&s->node, &s->arrivals.part);
}
