/* SPDX-License-Identifier: MIT */
/*
 * Connections whose protocol is not known yet, until they become connections of HTTP or SOCKS. The
 * first byte tells the protocol. It is put back, so that the next owner reads from the beginning.
 * Where proxies connect, their PROXY header comes first.
 *
 *     HEADER --the whole header--> UNHEARD
 *        \--no byte, or the end--> LEAVING --> gone
 *
 *     UNHEARD --a handshake record--> WAITING --its turn--> SHAKING --done--> UNHEARD
 *        |  \--any other byte-----------------> handed on
 *        \--no byte, or the end--> LEAVING --> gone
 *
 * Where only one protocol is offered, with TLS or within it, no byte is awaited.
 *
 * The number of concurrent handshakes is bounded, for each holds buffers. Further connections wait
 * unread, in the order they came, but those of a source with many behind all others; meanwhile a
 * handshake ends after a quarter of its time. Those at addresses that serve no clients wait in a
 * lane of their own. Only a few begin in one turn of the loop, for each keeps it busy for some
 * milliseconds. One deadline covers all phases, the PROXY header included; within TLS the first
 * byte has another one.
 */
#include "server.h"

#include "proxy_header.h"
#include "stream.h"

#include <stdio.h>

enum {
    STARTS_PER_TURN = 4,
    WHY_MAX = 256,
    MANY = 16 /* of a source: more handshakes than this part of all */
};

typedef struct arrival {
    wst__list_t node; /* among all */
    wst__list_t turn; /* WAITING: in `queue`; SHAKING: in `shaking` */
    wst_server_t *server;
    enum { HEADER, UNHEARD, WAITING, SHAKING, LEAVING } phase;
    unsigned roles;
    wst__proxy_header_t header;     /* HEADER */
    bool secure;                    /* the handshake is done */
    wst_stream_t *stream;           /* NULL in SHAKING */
    wst_tls_handshake_t *handshake; /* SHAKING: owns the stream */
    char peer[96];
    uint64_t started_ms; /* SHAKING */
    wst__seat_t connection;
    wst__ticket_t hold;
    wst__deadline_t deadline; /* not in SHAKING, which has its own */
} arrival_t;

static void give_turns(wst_server_t *s);

/* Life --------------------------------------------------------------------------------------- */

static wst__lane_t *lane_of(const arrival_t *a) {
    return &a->server->arrivals.lanes[wst__serves_clients(a->roles)];
}

/* Gives up the arrival's handshake or its place in the queue. */
static void leave_turn(arrival_t *a) {
    wst__seat_shaken(&a->connection);
    if (a->phase == SHAKING)
        lane_of(a)->under_way--;
    wst__list_remove(&a->turn);
}

/* Frees the arrival, whose stream was handed on or closed, and starts the next in line. */
static void free_arrival(arrival_t *a) {
    wst_server_t *s = a->server;
    wst__ticket_t hold = {0};
    leave_turn(a);
    wst__list_remove(&a->node);
    wst__deadline_clear(&s->node.ctx->deadlines, &a->deadline);
    wst__seat_give_back(&a->connection);
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

/* The connection takes too much: as wst__seat_take. */
static void turn_away(arrival_t *a, int status) {
    wst_server_t *s = a->server;
    char peer[96];
    snprintf(peer, sizeof(peer), "%s", a->peer);
    drop_arrival(a);
    wst__ingress_turn_away(&s->ingress, peer, status);
}

/* Whether the first byte must tell HTTP from SOCKS. */
static bool is_mixed(unsigned roles) {
    return (roles & WST_ROLE_SOCKS) != 0 && (roles & WST_ROLE_ALL) != 0;
}

/* A connection without TLS where TLS is required goes to HTTP, which refuses it. An operator's goes
 * to the embedder, who bounds their number. Takes the stream and its seat on success. 0 or an
 * error. */
static int hand_on(wst_server_t *s, wst_stream_t *stream, wst__seat_t *seat, unsigned roles,
                   bool socks) {
    bool refused = (roles & WST_LISTEN_PLAIN) == 0 && wst_stream_tls(stream) == NULL;
    if ((roles & WST_ROLE_ADMIN) != 0 && !refused) {
        s->callbacks.on_admin_connection(s, stream, s->user_data);
        return 0;
    }
    return socks && !refused ? wst__socks_accept(&s->socks, stream, seat)
                             : wst__conn_new(s, stream, seat, roles, NULL);
}

/* Makes the arrival a connection of HTTP or SOCKS. */
static void become_connection(arrival_t *a, bool socks) {
    wst_server_t *s = a->server;
    wst_stream_t *stream = a->stream;
    unsigned roles = a->roles;
    wst__seat_t seat = {0};
    wst__ticket_t hold = {0};
    wst__ticket_take(&hold, &s->node.holds);
    wst__seat_shaken(&a->connection);
    wst__seat_hand_on(&a->connection, &seat);
    a->stream = NULL;
    free_arrival(a);
    wst_stream_set_callbacks(stream, NULL, NULL);
    if (hand_on(s, stream, &seat, roles, socks) != 0)
        wst_stream_close(stream, NULL);
    wst__seat_give_back(&seat);
    wst__ticket_give_back(&hold);
}

/* Awaits the first byte. The deadline is set. */
static void hear(arrival_t *a);
static void on_arrival_deadline(wst__deadline_t *deadline, uint64_t now_ms);

/* Handshakes --------------------------------------------------------------------------------- */

/* `error`: of RFC 9209, as for requests. */
static void fail_arrival(arrival_t *a, int code, const char *error, const char *why) {
    wst_server_t *s = a->server;
    char peer[96], reason[WHY_MAX];
    snprintf(peer, sizeof(peer), "%s", a->peer);
    snprintf(reason, sizeof(reason), "%s", why);
    drop_arrival(a);
    wst__ingress_tell_closed(&s->ingress, peer, code, error, reason, false);
}

static void fail_handshake(arrival_t *a, const char *detail) {
    char why[WHY_MAX];
    snprintf(why, sizeof(why), "TLS: %s", detail);
    a->server->arrivals.failures++;
    fail_arrival(a, WST_ETLS, "tls_protocol_error", why);
}

static void fail_header(arrival_t *a, const char *why) {
    fail_arrival(a, WST_EPROTO, "http_protocol_error", why);
}

static void secured(arrival_t *a) {
    wst_server_t *s = a->server;
    a->secure = true;
    if (!is_mixed(a->roles)) {
        become_connection(a, (a->roles & WST_ROLE_SOCKS) != 0);
        return;
    }
    leave_turn(a);
    wst__deadline_in(s->node.ctx, &a->deadline, s->limits.head_timeout_ms, on_arrival_deadline);
    hear(a);
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
    if (!wst__seat_reserve(&a->connection, WST__SEAT_TLS_MEMORY)) {
        turn_away(a, WST_EMEMORY);
        return;
    }
    int status = wst_tls_handshake(&a->handshake, a->stream, &options, on_handshake, a);
    if (status != 0) {
        fail_handshake(a, wst_strerror(status));
        return;
    }
    a->stream = NULL;
    a->phase = SHAKING;
    a->started_ms = now_ms;
    wst__list_append(&lane_of(a)->shaking, &a->turn);
    lane_of(a)->under_way++;
    wst__deadline_clear(&s->node.ctx->deadlines, &a->deadline);
}

static arrival_t *first_of(const wst__list_t *turns) {
    wst__list_t *turn = wst__list_first(turns);
    return turn != NULL ? WST__CONTAINER(turn, arrival_t, turn) : NULL;
}

size_t wst__arrivals_shaking(const wst_server_t *s) {
    return s->arrivals.lanes[0].under_way + s->arrivals.lanes[1].under_way;
}

/* Whether a handshake of the lane may begin: that of clients leaves a spare part to the other. */
static bool has_room(const wst_server_t *s, const wst__lane_t *lane) {
    size_t max = s->limits.max_handshakes;
    bool leaves = lane == &s->arrivals.lanes[true] && s->addresses.apart > 0;
    return wst__arrivals_shaking(s) < max &&
           lane->under_way < max - (leaves ? wst__budget_spare(max) : 0);
}

/* Who waits in the lane, and is to be the next. NULL: nobody. */
static arrival_t *first_in_lane(const wst__lane_t *lane) {
    arrival_t *first = first_of(&lane->queue);
    return first != NULL ? first : first_of(&lane->later);
}

bool wst__arrivals_wait(const wst_server_t *s, unsigned roles) {
    return (roles & WST_LISTEN_TLS) != 0 &&
           first_in_lane(&s->arrivals.lanes[wst__serves_clients(roles)]) != NULL;
}

/* Those of a source that has many wait behind all others. */
static void wait_in_lane(arrival_t *a) {
    bool many = wst__seat_shake(&a->connection) > a->server->limits.max_handshakes / MANY + 1;
    wst__lane_t *lane = lane_of(a);
    a->phase = WAITING;
    wst__list_append(many ? &lane->later : &lane->queue, &a->turn);
    give_turns(a->server);
}

/* Whose handshake is to begin next: of the lane with the fewest. NULL: none may. */
static arrival_t *next_in_line(const wst_server_t *s) {
    const wst__lane_t *best = NULL;
    for (int i = 0; i < 2; i++) {
        const wst__lane_t *lane = &s->arrivals.lanes[i];
        if (first_in_lane(lane) != NULL && has_room(s, lane) &&
            (best == NULL || lane->under_way < best->under_way))
            best = lane;
    }
    return best != NULL ? first_in_lane(best) : NULL;
}

/* Whose handshake has to make room for those who wait in the lane: the oldest there, or of the
 * other lane, which then has all. */
static arrival_t *oldest_for(const wst_server_t *s, const wst__lane_t *lane) {
    arrival_t *oldest = first_of(&lane->shaking);
    return oldest != NULL ? oldest
                          : first_of(&s->arrivals.lanes[lane == s->arrivals.lanes].shaking);
}

static void on_overdue(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst__lane_t *lane = WST__CONTAINER(deadline, wst__lane_t, overdue);
    fail_handshake(oldest_for(lane->server, lane), "too slow while others wait");
}

static void start_some(wst__defer_t *defer) {
    wst_server_t *s = WST__CONTAINER(defer, wst_server_t, arrivals.turns);
    arrival_t *next;
    for (int n = 0; n < STARTS_PER_TURN && (next = next_in_line(s)) != NULL; n++)
        start_handshake(next);
    give_turns(s);
}

/* Starts waiting handshakes, from the loop, or sets the time when the oldest must end. Call after
 * every change of a lane. */
static void give_turns(wst_server_t *s) {
    for (int i = 0; i < 2; i++) {
        wst__lane_t *lane = &s->arrivals.lanes[i];
        wst__deadline_clear(&s->node.ctx->deadlines, &lane->overdue);
        if (s->node.state == WST__NODE_CLOSING || first_in_lane(lane) == NULL)
            continue;
        if (has_room(s, lane))
            wst__defer(s->node.ctx, &s->arrivals.turns, start_some);
        else
            wst__deadline_set(&s->node.ctx->deadlines, &lane->overdue,
                              oldest_for(s, lane)->started_ms + s->limits.tls_timeout_ms / 4,
                              on_overdue);
    }
}

/* The first byte ----------------------------------------------------------------------------- */

/* Whether the peer has sent nothing at all, or nothing behind its PROXY header. */
static bool is_unheard(const arrival_t *a) {
    return a->phase == UNHEARD || (a->phase == HEADER && a->header.kept_len == 0);
}

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
    if (is_unheard(a))
        shut_down_arrival(a);
    else if (a->phase == HEADER)
        fail_header(a, "the PROXY header did not come in time");
    else if (a->phase == LEAVING)
        drop_arrival(a);
    else
        fail_handshake(a, "too many handshakes before it");
}

static void on_first_byte(arrival_t *a, wst_slice_t data) {
    wst_stream_t *stream = a->stream;
    wst__spoken_t spoken = wst__spoken_of(data.data[0]);
    wst_stream_read_stop(stream);
    if (wst_stream_unread(stream, wst_slice_ref(data)) != 0) {
        drop_arrival(a);
    } else if (spoken == WST__SPEAKS_TLS && !a->secure && (a->roles & WST_LISTEN_TLS) != 0) {
        wait_in_lane(a);
    } else {
        bool is_socks = spoken == WST__SPEAKS_SOCKS5 || spoken == WST__SPEAKS_SOCKS4;
        become_connection(a, (a->roles & WST_ROLE_SOCKS) != 0 && (is_socks || !is_mixed(a->roles)));
    }
}

/* The PROXY header --------------------------------------------------------------------------- */

/* Whether the first byte decides, of a connection without TLS so far. */
static bool needs_first_byte(unsigned roles) {
    return (roles & WST_LISTEN_TLS) != 0 || is_mixed(roles);
}

/* Takes the client's address in place of the proxy's. 0, or an error as wst__seat_take. */
static int take_source(arrival_t *a) {
    const wst__proxy_header_t *h = &a->header;
    char client[WST__IP_PEER];
    if (!h->has_source || !wst__claim_counts(&h->source))
        return 0;
    wst__ip_to_peer(client, &h->source, h->source_port);
    wst_ctx_log(a->server->node.ctx, WST_LOG_DEBUG, "connection from %s: for client %s", a->peer,
                client);
    snprintf(a->peer, sizeof(a->peer), "%s", client);
    int status = wst__stream_set_peer(a->stream, client);
    return status == 0 ? wst__seat_move(&a->connection, wst__source_of(a->server, client)) : status;
}

/* `rest`: bytes behind the header. */
static void finish_header(arrival_t *a, wst_slice_t rest) {
    int status = take_source(a);
    wst_stream_read_stop(a->stream);
    if (status == 0 && rest.len > 0)
        status = wst_stream_unread(a->stream, wst_slice_ref(rest));
    if (status != 0)
        turn_away(a, status);
    else if (needs_first_byte(a->roles))
        hear(a);
    else
        become_connection(a, (a->roles & WST_ROLE_SOCKS) != 0);
}

static void on_header_bytes(arrival_t *a, wst_slice_t data) {
    size_t used;
    const char *why;
    int status = wst__proxy_header_read(&a->header, data.data, data.len, &used, &why);
    if (status < 0)
        fail_header(a, why);
    else if (status == 0)
        finish_header(a, (wst_slice_t){data.chunk, data.data + used, data.len - used});
}

/* Callbacks of the stream -------------------------------------------------------------------- */

static void on_arrival_end(wst_stream_t *stream, void *user_data) {
    arrival_t *a = user_data;
    (void)stream;
    if (is_unheard(a))
        shut_down_arrival(a);
    else if (a->phase == HEADER)
        fail_header(a, "ended within its PROXY header");
}

static void on_arrival_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    arrival_t *a = user_data;
    (void)stream;
    if (a->phase == HEADER)
        on_header_bytes(a, data);
    else
        on_first_byte(a, data);
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

static void listen_to(arrival_t *a) {
    wst_stream_set_callbacks(a->stream, &callbacks, a);
    wst_stream_read_start(a->stream, a->server->http.head_max);
}

static void hear(arrival_t *a) {
    a->phase = UNHEARD;
    listen_to(a);
}

/* The part ----------------------------------------------------------------------------------- */

/* Only a proxy that is trusted may tell its clients' addresses; without a header nobody is served.
 */
static void refuse_untrusted(wst_server_t *s, wst_stream_t *stream) {
    char peer[96];
    snprintf(peer, sizeof(peer), "%s", wst_stream_peer(stream));
    wst_stream_close(stream, NULL);
    wst__ingress_tell_closed(&s->ingress, peer, WST_EDENIED, "http_request_denied",
                             "not trusted to send a PROXY header", false);
}

int wst__server_receive(wst_server_t *s, wst_stream_t *stream, wst__seat_t *seat, unsigned roles) {
    bool tls = (roles & WST_LISTEN_TLS) != 0, proxy = (roles & WST_LISTEN_PROXY) != 0;
    if (proxy && !wst__trusted_has_peer(s->trust, wst_stream_peer(stream))) {
        refuse_untrusted(s, stream);
        return 0;
    }
    if (!proxy && !needs_first_byte(roles))
        return hand_on(s, stream, seat, roles, (roles & WST_ROLE_SOCKS) != 0);
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
    wst__seat_hand_on(seat, &a->connection);
    wst__deadline_in(ctx, &a->deadline, tls ? s->limits.tls_timeout_ms : s->limits.head_timeout_ms,
                     on_arrival_deadline);
    wst__proxy_header_init(&a->header);
    a->phase = proxy ? HEADER : UNHEARD;
    listen_to(a);
    return 0;
}

/* Ends the connections that have sent nothing, unless they may be of monitors, or of agents that
 * come back. */
static void drain_arrivals(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, arrivals.part);
    bool let_return = wst__addresses_let_return(s);
    WST__LIST_EACH_SAFE(arrival_t, a, &s->arrivals.all, node) {
        if (is_unheard(a) && !wst__serves_health_alone(a->roles) &&
            !(let_return && wst__serves_agents_alone(a->roles)))
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
    for (int i = 0; i < 2; i++) {
        s->arrivals.lanes[i].server = s;
        wst__list_init(&s->arrivals.lanes[i].queue);
        wst__list_init(&s->arrivals.lanes[i].later);
        wst__list_init(&s->arrivals.lanes[i].shaking);
    }
    wst__defer_init(&s->arrivals.turns);
    wst__node_add(&s->node, &s->arrivals.part);
}
