/* SPDX-License-Identifier: MIT */
/*
 * Connections whose protocol is not known yet, until they become connections of HTTP or SOCKS. The
 * first byte tells the protocol. It is put back, so that the next owner reads from the beginning.
 *
 *     UNHEARD --a handshake record--> WAITING --its turn--> SHAKING --done--> UNHEARD
 *        |  \--any other byte-----------------> handed on
 *        \--no byte, or the end--> LEAVING --> gone
 *
 * Where only one protocol is offered, with TLS or within it, no byte is awaited.
 *
 * The number of concurrent handshakes is bounded, for each holds buffers. Further connections wait
 * in the order they came, unread; meanwhile a handshake ends after a quarter of its time. Only a
 * few begin in one turn of the loop, for each keeps it busy for some milliseconds. One deadline
 * covers all phases; within TLS the first byte has another one.
 */
#include "server.h"

#include <stdio.h>

enum { STARTS_PER_TURN = 4 };

typedef struct arrival {
    wst__list_t node; /* among all */
    wst__list_t turn; /* WAITING: in `queue`; SHAKING: in `shaking` */
    wst_server_t *server;
    enum { UNHEARD, WAITING, SHAKING, LEAVING } phase;
    unsigned roles;
    bool secure;                    /* the handshake is done */
    wst_stream_t *stream;           /* NULL in SHAKING */
    wst_tls_handshake_t *handshake; /* SHAKING: owns the stream */
    char peer[96];
    uint64_t started_ms; /* SHAKING */
    wst__ticket_t hold, connection;
    wst__deadline_t deadline; /* not in SHAKING, which has its own */
} arrival_t;

static void give_turns(wst_server_t *s);

/* Life --------------------------------------------------------------------------------------- */

/* Gives up the arrival's handshake or its place in the queue. */
static void leave_turn(arrival_t *a) {
    if (a->phase == SHAKING)
        a->server->arrivals.under_way--;
    wst__list_remove(&a->turn);
}

/* Frees the arrival, whose stream was handed on or closed, and starts the next in line. */
static void free_arrival(arrival_t *a) {
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

static void drop_arrival(arrival_t *a) {
    if (a->handshake != NULL)
        wst_tls_handshake_cancel(a->handshake);
    else if (a->stream != NULL)
        wst_stream_close(a->stream, NULL);
    free_arrival(a);
}

/* Whether the first byte must tell HTTP from SOCKS. */
static bool is_mixed(unsigned roles) {
    return (roles & WST_ROLE_SOCKS) != 0 && (roles & WST_ROLE_ALL) != 0;
}

/* A connection without TLS where TLS is required goes to HTTP, which refuses it. Takes the stream
 * on success. 0 or an error. */
static int hand_on(wst_server_t *s, wst_stream_t *stream, unsigned roles, bool socks) {
    bool refused = (roles & WST_LISTEN_PLAIN) == 0 && wst_stream_tls(stream) == NULL;
    return socks && !refused ? wst__socks_accept(&s->socks, stream)
                             : wst__conn_new(s, stream, roles);
}

/* Makes the arrival a connection of HTTP or SOCKS. */
static void become_connection(arrival_t *a, bool socks) {
    wst_server_t *s = a->server;
    wst_stream_t *stream = a->stream;
    unsigned roles = a->roles;
    wst__ticket_t hold = {0};
    wst__ticket_take(&hold, &s->node.holds);
    a->stream = NULL;
    free_arrival(a);
    wst_stream_set_callbacks(stream, NULL, NULL);
    if (hand_on(s, stream, roles, socks) != 0)
        wst_stream_close(stream, NULL);
    wst__ticket_give_back(&hold);
}

/* Awaits the first byte. */
static void hear(arrival_t *a, uint64_t timeout_ms);

/* Handshakes --------------------------------------------------------------------------------- */

static void fail_handshake(arrival_t *a, const char *detail) {
    wst_server_t *s = a->server;
    s->arrivals.failures++;
    wst_ctx_log(s->node.ctx, WST_LOG_INFO, "connection from %s: TLS: %s", a->peer, detail);
    drop_arrival(a);
}

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
    fail_handshake(a, detail);
}

static void start_handshake(arrival_t *a) {
    wst_server_t *s = a->server;
    uint64_t now_ms = wst__now(s->node.ctx);
    const wst_tls_handshake_options_t options = {
        .size = sizeof(options),
        .config = s->tls,
        .timeout_ms = a->deadline.at_ms > now_ms ? a->deadline.at_ms - now_ms : 1};
    wst__list_remove(&a->turn);
    int status = wst_tls_handshake(&a->handshake, a->stream, &options, on_handshake, a);
    if (status != 0) {
        fail_handshake(a, wst_strerror(status));
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
    fail_handshake(first_of(&s->arrivals.shaking), "too slow while others wait");
}

static void start_some(wst__defer_t *defer) {
    wst_server_t *s = WST__CONTAINER(defer, wst_server_t, arrivals.turns);
    arrival_t *next;
    for (int n = 0; n < STARTS_PER_TURN && s->arrivals.under_way < s->limits.max_handshakes &&
                    (next = first_of(&s->arrivals.queue)) != NULL;
         n++)
        start_handshake(next);
    give_turns(s);
}

/* Starts waiting handshakes, from the loop, or sets the time when the oldest must end. Call after
 * every change of `queue` or `shaking`. */
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

static void on_arrival_deadline(wst__deadline_t *deadline, uint64_t now_ms);

/* The peer sent nothing, so we send nothing. An orderly end, as nothing has gone wrong. */
static void shut_down_arrival(arrival_t *a) {
    a->phase = LEAVING;
    wst__deadline_in(a->server->node.ctx, &a->deadline, a->server->limits.tls_timeout_ms,
                     on_arrival_deadline);
    if (wst_stream_shutdown(a->stream) < 0)
        drop_arrival(a);
}

static void on_arrival_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    arrival_t *a = WST__CONTAINER(deadline, arrival_t, deadline);
    if (a->phase == UNHEARD)
        shut_down_arrival(a);
    else if (a->phase == LEAVING)
        drop_arrival(a);
    else
        fail_handshake(a, "too many handshakes before it");
}

static void on_arrival_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    arrival_t *a = user_data;
    wst__spoken_t spoken = wst__spoken_of(data.data[0]);
    wst_stream_read_stop(stream);
    if (wst_stream_unread(stream, wst_slice_ref(data)) != 0) {
        drop_arrival(a);
    } else if (spoken == WST__SPEAKS_TLS && !a->secure && (a->roles & WST_LISTEN_TLS) != 0) {
        a->phase = WAITING;
        wst__list_append(&a->server->arrivals.queue, &a->turn);
        give_turns(a->server);
    } else {
        bool is_socks = spoken == WST__SPEAKS_SOCKS5 || spoken == WST__SPEAKS_SOCKS4;
        become_connection(a, (a->roles & WST_ROLE_SOCKS) != 0 && (is_socks || !is_mixed(a->roles)));
    }
}

static void on_arrival_end(wst_stream_t *stream, void *user_data) {
    arrival_t *a = user_data;
    (void)stream;
    if (a->phase == UNHEARD)
        shut_down_arrival(a);
}

static void on_arrival_shutdown(wst_stream_t *stream, void *user_data) {
    (void)stream;
    drop_arrival(user_data);
}

static void on_arrival_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    (void)error;
    drop_arrival(user_data);
}

static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                 .on_read = on_arrival_read,
                                                 .on_end = on_arrival_end,
                                                 .on_shutdown = on_arrival_shutdown,
                                                 .on_error = on_arrival_error};

static void hear(arrival_t *a, uint64_t timeout_ms) {
    wst_server_t *s = a->server;
    a->phase = UNHEARD;
    wst__deadline_in(s->node.ctx, &a->deadline, timeout_ms, on_arrival_deadline);
    wst_stream_set_callbacks(a->stream, &callbacks, a);
    wst_stream_read_start(a->stream, s->http.head_max);
}

/* The part ----------------------------------------------------------------------------------- */

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

/* Ends the connections that have sent nothing. */
static void drain_arrivals(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, arrivals.part);
    WST__LIST_EACH_SAFE(arrival_t, a, &s->arrivals.all, node) {
        if (a->phase == UNHEARD)
            shut_down_arrival(a);
    }
}

static void close_arrivals(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, arrivals.part);
    wst__list_t *node;
    wst__defer_cancel(&s->arrivals.turns);
    while ((node = wst__list_first(&s->arrivals.all)) != NULL)
        drop_arrival(WST__CONTAINER(node, arrival_t, node));
}

void wst__arrivals_init(wst_server_t *s) {
    s->arrivals.part = (wst__part_t){.drain = drain_arrivals, .close = close_arrivals};
    wst__list_init(&s->arrivals.all);
    wst__list_init(&s->arrivals.queue);
    wst__list_init(&s->arrivals.shaking);
    wst__defer_init(&s->arrivals.turns);
    wst__node_add(&s->node, &s->arrivals.part);
}
