/* SPDX-License-Identifier: MIT */
/*
 * The addresses that a server listens on, and the bounds of their connections (seat.h). The opener
 * of an address names the callback that takes its connections; wst_server_listen opens addresses of
 * HTTP.
 */
#include "server.h"

#include "listener.h"

#include <stdio.h>

/* Memory for connections without an admitted request: a part of the context's, or at least so much.
 */
enum { SEATS_MEMORY = 2, SEATS_MEMORY_MIN = 1024 * 1024 };

enum { LOOK_MS = 1000 }; /* from one look to the next whether addresses are still needed */

struct wst__address {
    wst__list_t node;
    wst_server_t *server;
    wst_listener_t *listener;
    wst__address_cb on_connection;
    void *owner;
    unsigned roles; /* of HTTP; 0: another protocol */
    bool paused;
    bool left; /* to a successor of the process: accepts no more */
    wst__ticket_t hold;
};

/* Listening ---------------------------------------------------------------------------------- */

const char *wst__source_of(const wst_server_t *s, const char *peer) {
    return wst__trusted_has_peer(s->trust, peer) ? NULL : peer;
}

static int take_seat(wst__seat_t *seat, wst_server_t *s, const wst_stream_t *stream,
                     unsigned roles) {
    return wst__seat_take(seat, &s->seats, wst__serves_clients(roles),
                          wst__source_of(s, wst_stream_peer(stream)));
}

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    wst__address_t *a = user_data;
    wst_server_t *s = a->server;
    wst__seat_t seat = {0};
    (void)listener;
    int status = take_seat(&seat, s, stream, a->roles);
    if (status == 0) {
        a->on_connection(a, stream, &seat, a->owner);
        wst__seat_give_back(&seat); /* if it was not taken */
        return;
    }
    char peer[96];
    snprintf(peer, sizeof(peer), "%s", wst_stream_peer(stream));
    wst_stream_close(stream, NULL);
    wst__ingress_turn_away(&s->ingress, peer, status);
}

static void on_listener_closed(void *user_data) {
    wst__address_t *a = user_data;
    wst__ticket_t hold = {0};
    wst__ticket_hand_on(&a->hold, &hold);
    wst__free(&a->server->node.ctx->allocator, a);
    wst__ticket_give_back(&hold);
}

void wst__address_close(wst__address_t *a) {
    wst_server_t *s = a->server;
    wst__list_remove(&a->node);
    wst_listener_close(a->listener, on_listener_closed);
    if (!wst__serves_clients(a->roles)) {
        s->addresses.apart--;
        wst__addresses_update(s);
    }
}

int wst__address_descriptor(const wst__address_t *a) {
    return wst_listener_descriptor(a->listener);
}

const char *wst__address_text(const wst__address_t *a) {
    return wst_listener_address(a->listener);
}

int wst__address_open(wst__address_t **out, wst_server_t *s,
                      const wst__address_options_t *options) {
    if (wst__server_is_draining(s))
        return WST_ESTATE;
    wst_ctx_t *ctx = s->node.ctx;
    wst__address_t *a = wst__zalloc(&ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->server = s;
    a->roles = options->roles;
    a->on_connection = options->on_connection;
    a->owner = options->owner;
    wst__list_init(&a->node);
    const wst_listener_options_t listener = {
        .size = sizeof(listener), .address = options->text, .on_accept = on_accept, .user_data = a};
    int status = wst_listener_new(&a->listener, ctx, &listener);
    if (status != 0) {
        wst__free(&ctx->allocator, a);
        return status;
    }
    wst__ticket_take(&a->hold, &s->node.holds);
    wst__list_append(&s->addresses.list, &a->node);
    s->addresses.apart += !wst__serves_clients(a->roles);
    wst__addresses_update(s);
    if (!options->open && !wst_listener_is_local(a->listener)) {
        wst__address_close(a);
        return WST_EINSECURE;
    }
    *out = a;
    return 0;
}

/* Draining and closing ----------------------------------------------------------------------- */

static void close_addresses(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, addresses.part);
    wst__deadline_clear(&s->node.ctx->deadlines, &s->addresses.look);
    WST__LIST_EACH_SAFE(wst__address_t, a, &s->addresses.list, node)
        wst__address_close(a);
}

void wst__addresses_close_last(wst_server_t *s) {
    close_addresses(&s->addresses.part);
    wst__successor_leave(s);
    wst__agents_end_waiting(s);
}

/* Nobody has a reason to come back. */
static void close_way_back(wst_server_t *s) {
    WST__LIST_EACH_SAFE(wst__address_t, a, &s->addresses.list, node)
        if (wst__serves_agents_alone(a->roles))
            wst__address_close(a);
    wst__successor_leave(s);
    wst__agents_end_waiting(s);
}

/* A successor of the process may wait for the address, so it closes before the drain ends if nobody
 * has a reason to come back. */
static void look(wst__deadline_t *deadline, uint64_t now_ms) {
    wst_server_t *s = WST__CONTAINER(deadline, wst_server_t, addresses.look);
    if (wst__agents_may_return(s))
        wst__deadline_set(&s->node.ctx->deadlines, deadline, now_ms + LOOK_MS, look);
    else
        close_way_back(s);
}

/* Monitors are told until the end that the server lives and takes nobody. */
static bool outlasts(const wst__address_t *a, bool return_needed) {
    return !a->left && (wst__serves_health_alone(a->roles) ||
                        (return_needed && wst__serves_agents_alone(a->roles)));
}

static void drain_addresses(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, addresses.part);
    bool needed = wst__agents_may_return(s);
    WST__LIST_EACH_SAFE(wst__address_t, a, &s->addresses.list, node) {
        if (outlasts(a, needed))
            wst_ctx_log(s->node.ctx, WST_LOG_INFO, "%s stays open for %s", wst__address_text(a),
                        wst__serves_health_alone(a->roles) ? "monitors" : "agents that come back");
        else
            wst__address_close(a);
    }
    if (wst__addresses_let_return(s))
        wst__deadline_in(s->node.ctx, &s->addresses.look, LOOK_MS, look);
}

bool wst__addresses_let_return(const wst_server_t *s) {
    if (!wst__server_is_draining(s) || wst__successor_lets_return(s))
        return true;
    WST__LIST_EACH(const wst__address_t, a, &s->addresses.list, node)
        if (wst__serves_agents_alone(a->roles))
            return true;
    return false;
}

/* Succession --------------------------------------------------------------------------------- */

void wst__addresses_leave_inherited(wst_server_t *s) {
    WST__LIST_EACH(wst__address_t, a, &s->addresses.list, node)
        if (wst__listener_is_inherited(a->listener) && !outlasts(a, true))
            a->left = true;
    wst__addresses_update(s);
}

void wst__addresses_hand_over(wst_server_t *s) {
    WST__LIST_EACH(wst__address_t, a, &s->addresses.list, node) {
        wst__listener_share(a->listener);
        a->left = true;
    }
    wst__addresses_update(s);
}

int wst_server_descriptor(const wst_server_t *s, size_t n) {
    WST__LIST_EACH(const wst__address_t, a, &s->addresses.list, node) {
        if (a->roles != 0 && n-- == 0)
            return wst__address_descriptor(a);
    }
    return -1;
}

/* HTTP --------------------------------------------------------------------------------------- */

static void on_http(wst__address_t *a, wst_stream_t *stream, wst__seat_t *seat, void *owner) {
    if (wst__server_receive(owner, stream, seat, a->roles) != 0)
        wst_stream_close(stream, NULL);
}

/* Fills in the default roles and the default of TLS or plain. 0 or WST_EINVAL. */
static int complete_roles(const wst_server_t *s, unsigned *roles) {
    unsigned spoken = *roles & (WST_LISTEN_TLS | WST_LISTEN_PLAIN);
    bool proxy = (*roles & WST_LISTEN_PROXY) != 0;
    if (((spoken & WST_LISTEN_TLS) != 0 && s->tls == NULL) ||
        (proxy && wst__trusted_is_empty(s->trust)))
        return WST_EINVAL;
    const unsigned others = WST_ROLE_ALL | WST_ROLE_SOCKS;
    bool admin = (*roles & WST_ROLE_ADMIN) != 0;
    if (admin && ((*roles & others) != 0 || s->callbacks.on_admin_connection == NULL))
        return WST_EINVAL;
    if (!admin && (*roles & others) == 0)
        *roles |= WST_ROLE_ALL;
    if (spoken == 0)
        *roles |= s->tls != NULL ? WST_LISTEN_TLS : WST_LISTEN_PLAIN;
    return 0;
}

/* Whether one of the roles is open to everybody. */
static bool is_open(const wst_server_t *s, unsigned roles) {
    const wst_server_callbacks_t *cb = &s->callbacks;
    return ((roles & (WST_ROLE_CONNECT | WST_ROLE_SOCKS)) != 0 && cb->on_client_request == NULL) ||
           ((roles & WST_ROLE_AGENTS) != 0 && cb->on_agent_request == NULL);
}

int wst_server_listen(wst_server_t *s, const char *address, unsigned roles) {
    wst__address_t *a;
    int status = complete_roles(s, &roles);
    bool open = s->allow_open || !is_open(s, roles);
    if (status == 0 && !open && (roles & WST_LISTEN_PROXY) != 0)
        status = WST_EINSECURE; /* others reach the proxy, and so the address */
    const wst__address_options_t options = {
        .text = address, .open = open, .roles = roles, .on_connection = on_http, .owner = s};
    return status == 0 ? wst__address_open(&a, s, &options) : status;
}

const char *wst_server_address(const wst_server_t *s, size_t n) {
    WST__LIST_EACH(const wst__address_t, a, &s->addresses.list, node) {
        if (a->roles != 0 && n-- == 0)
            return wst__address_text(a);
    }
    return NULL;
}

const char *wst__addresses_nth(const wst_server_t *s, size_t n) {
    WST__LIST_EACH(const wst__address_t, a, &s->addresses.list, node) {
        if (n-- == 0)
            return wst__address_text(a);
    }
    return NULL;
}

int wst_server_adopt(wst_server_t *s, wst_stream_t *connection, unsigned roles) {
    if (wst__server_is_draining(s))
        return WST_ESTATE;
    wst__seat_t seat = {0};
    int status = complete_roles(s, &roles);
    if (status == 0)
        status = take_seat(&seat, s, connection, roles);
    if (status == 0)
        status = wst__server_receive(s, connection, &seat, roles);
    wst__seat_give_back(&seat);
    return status;
}

/* The bounds on connections ------------------------------------------------------------------ */

static void log_full(wst_server_t *s) {
    if (!s->addresses.limit_logged)
        wst_ctx_log(s->node.ctx, WST_LOG_WARN, "%zu connections: further ones wait%s (said once)",
                    wst__seats_count(&s->seats),
                    s->addresses.apart > 0 ? ", but those of agents and monitors at addresses of "
                                             "their own"
                                           : "");
    s->addresses.limit_logged = true;
}

/* Where there is no place for connections, further ones wait in the kernel. */
static void pause_or_resume(wst_server_t *s) {
    bool full[2] = {wst__seats_are_full(&s->seats, false), wst__seats_are_full(&s->seats, true)};
    if (full[1])
        log_full(s);
    WST__LIST_EACH(wst__address_t, a, &s->addresses.list, node) {
        bool pause = a->left || full[wst__serves_clients(a->roles)];
        if (pause && !a->paused)
            wst_listener_pause(a->listener);
        else if (!pause && a->paused)
            wst_listener_resume(a->listener);
        a->paused = pause;
    }
}

bool wst__addresses_hold_agents(const wst_server_t *s) {
    WST__LIST_EACH(const wst__address_t, a, &s->addresses.list, node)
        if ((a->roles & WST_ROLE_AGENTS) != 0 && !a->left &&
            (a->paused || wst__arrivals_wait(s, a->roles)))
            return true;
    return false;
}

static void on_seats(wst__seats_t *seats) {
    pause_or_resume(WST__CONTAINER(seats, wst_server_t, seats));
}

/* A part of the memory budget beside it: streams cannot take what new connections need. */
static size_t memory_for_seats(const wst_server_t *s) {
    size_t memory = s->node.ctx->budget.limit / SEATS_MEMORY;
    return memory > SEATS_MEMORY_MIN ? memory : SEATS_MEMORY_MIN;
}

void wst__addresses_update(wst_server_t *s) {
    bool spare = s->addresses.apart > 0;
    wst__seats_set_limits(&s->seats, s->limits.max_connections, memory_for_seats(s), spare);
    WST__LIST_EACH(const wst__address_t, a, &s->addresses.list, node)
        wst__listener_leave_spare(a->listener, spare && wst__serves_clients(a->roles));
    pause_or_resume(s);
}

void wst__addresses_init(wst_server_t *s, uint64_t seed) {
    wst__seats_init(&s->seats, &s->node.ctx->allocator, seed);
    s->seats.changed = on_seats;
    s->addresses.part = (wst__part_t){.drain = drain_addresses, .close = close_addresses};
    wst__list_init(&s->addresses.list);
    wst__node_add(&s->node, &s->addresses.part);
    wst__addresses_update(s);
}
