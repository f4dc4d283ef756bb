/* SPDX-License-Identifier: MIT */
/*
 * The addresses that a server listens on, and the limit of connections. The opener of an address
 * names the callback that takes its connections; wst_server_listen opens addresses of HTTP.
 */
#include "server.h"

#include <wstunnel/listener.h>

struct wst__address {
    wst__list_t node;
    wst_server_t *server;
    wst_listener_t *listener;
    wst__address_cb on_connection;
    void *owner;
    unsigned roles; /* of HTTP; 0: another protocol */
    wst__ticket_t hold;
};

/* Listening ---------------------------------------------------------------------------------- */

static void on_accept(wst_listener_t *listener, wst_stream_t *stream, void *user_data) {
    wst__address_t *a = user_data;
    (void)listener;
    a->on_connection(a, stream, a->owner);
}

static void on_listener_closed(void *user_data) {
    wst__address_t *a = user_data;
    wst__ticket_t hold = {0};
    wst__ticket_hand_on(&a->hold, &hold);
    wst__free(&a->server->node.ctx->allocator, a);
    wst__ticket_give_back(&hold);
}

void wst__address_close(wst__address_t *a) {
    wst__list_remove(&a->node);
    wst_listener_close(a->listener, on_listener_closed);
}

static void close_addresses(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, addresses.part);
    WST__LIST_EACH_SAFE(wst__address_t, a, &s->addresses.list, node)
        wst__address_close(a);
}

const char *wst__address_text(const wst__address_t *a) {
    return wst_listener_address(a->listener);
}

int wst__address_open(wst__address_t **out, wst_server_t *s, const char *text, bool open,
                      wst__address_cb on_connection, void *owner) {
    if (wst__server_is_draining(s))
        return WST_ESTATE;
    wst_ctx_t *ctx = s->node.ctx;
    wst__address_t *a = wst__zalloc(&ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->server = s;
    a->on_connection = on_connection;
    a->owner = owner;
    wst__list_init(&a->node);
    const wst_listener_options_t options = {
        .size = sizeof(options), .address = text, .on_accept = on_accept, .user_data = a};
    int status = wst_listener_new(&a->listener, ctx, &options);
    if (status != 0) {
        wst__free(&ctx->allocator, a);
        return status;
    }
    wst__ticket_take(&a->hold, &s->node.holds);
    wst__list_append(&s->addresses.list, &a->node);
    if (!open && !wst_listener_is_local(a->listener)) {
        wst__address_close(a);
        return WST_EINSECURE;
    }
    if (s->addresses.paused)
        wst_listener_pause(a->listener);
    *out = a;
    return 0;
}

/* HTTP --------------------------------------------------------------------------------------- */

static void on_http(wst__address_t *a, wst_stream_t *stream, void *owner) {
    if (wst__server_receive(owner, stream, a->roles) != 0)
        wst_stream_close(stream, NULL);
}

/* Fills in the default roles and the default of TLS or plain. 0 or WST_EINVAL. */
static int complete_roles(const wst_server_t *s, unsigned *roles) {
    unsigned spoken = *roles & (WST_LISTEN_TLS | WST_LISTEN_PLAIN);
    if ((spoken & WST_LISTEN_TLS) != 0 && s->tls == NULL)
        return WST_EINVAL;
    if ((*roles & (WST_ROLE_ALL | WST_ROLE_SOCKS)) == 0)
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
    if (status == 0)
        status = wst__address_open(&a, s, address, s->allow_open || !is_open(s, roles), on_http, s);
    if (status == 0)
        a->roles = roles;
    return status;
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
    if (s->connections.count >= s->limits.max_connections)
        return WST_ELIMIT;
    int status = complete_roles(s, &roles);
    return status == 0 ? wst__server_receive(s, connection, roles) : status;
}

/* The bound on connections ------------------------------------------------------------------- */

void wst__addresses_update(wst_server_t *s) {
    bool full = s->connections.count >= s->limits.max_connections;
    if (full == s->addresses.paused)
        return;
    s->addresses.paused = full;
    if (full && !s->addresses.limit_logged) {
        s->addresses.limit_logged = true;
        wst_ctx_log(s->node.ctx, WST_LOG_WARN, "%zu connections: further ones wait (said once)",
                    s->connections.count);
    }
    WST__LIST_EACH(wst__address_t, a, &s->addresses.list, node) {
        if (full) /* further clients wait in the kernel */
            wst_listener_pause(a->listener);
        else
            wst_listener_resume(a->listener);
    }
}

static void on_connections(wst__tally_t *connections) {
    wst__addresses_update(WST__CONTAINER(connections, wst_server_t, connections));
}

void wst__addresses_init(wst_server_t *s) {
    s->connections.changed = on_connections;
    s->addresses.part = (wst__part_t){.drain = close_addresses, .close = close_addresses};
    wst__list_init(&s->addresses.list);
    wst__node_add(&s->node, &s->addresses.part);
}
