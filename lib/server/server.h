/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SERVER_H
#define WST_LIB_SERVER_H
/*
 * The inside of a server: a node assembled of
 *
 *     addresses    the listeners                                          (addresses.c)
 *     arrivals     connections whose TLS handshake is not done, or        (arrival.c)
 *                  whose protocol is not known yet
 *     connections  of HTTP: clients, agents' upgrades, monitors           (connection.c)
 *     ports        addresses that lead to one destination each            (port.c)
 *     socks        connections of SOCKS clients                           (lib/ingress)
 *     ingress      the flows that clients ask for                         (lib/ingress)
 *     agents       accepted uplinks                                       (agents.c)
 */
#include "http_client.h"
#include "ingress.h"
#include "node.h"
#include "socks.h"
#include "uplink.h"

#include <wstunnel/server.h>
#include <wstunnel/tls.h>

struct wst_server {
    wst__node_t node;
    wst_server_callbacks_t callbacks;
    void *user_data;
    wst_server_limits_t limits; /* complete: defaults filled in */
    wst_http_limits_t http;     /* likewise */
    wst_tls_config_t *tls;      /* NULL: no TLS */
    bool allow_open, allow_origin;
    char *path;
    char pseudonym[32]; /* in Via: identifies this server */
    const wst__uplink_kind_t *kind;
    wst_ingress_t ingress;
    wst__tally_t connections; /* of clients, agents and monitors */
    wst_close_cb close_cb;

    struct {
        wst__part_t part;
        wst__list_t list;
        bool paused; /* at the limit of connections */
        bool limit_logged;
    } addresses;

    struct {
        wst__part_t part;
        wst__list_t all, queue, shaking;
        size_t under_way; /* length of `shaking` */
        wst__defer_t turns;
        wst__deadline_t overdue; /* of the oldest handshake */
        uint64_t failures;
    } arrivals;

    struct {
        wst__part_t part;
        wst__list_t list;
        wst__client_options_t options;
    } conns;

    wst__socks_front_t socks;

    struct {
        wst__part_t part;
        wst__list_t list;
    } ports;

    struct {
        wst__part_t part;
        wst__list_t list;
        wst__tally_t sessions;
    } agents;
};

static inline bool wst__server_is_draining(const wst_server_t *s) {
    return s->node.state != WST__NODE_RUNNING;
}

/* -- addresses.c ----------------------------------------------------------------------------- */

/* An address that the server listens on. Draining or closing the server closes it. */
typedef struct wst__address wst__address_t;

/* The address has accepted a connection. The callback takes the stream. */
typedef void (*wst__address_cb)(wst__address_t *address, wst_stream_t *stream, void *owner);

void wst__addresses_init(wst_server_t *s);

/* Listens (as in wst_listener_options). Other machines may reach the address only if it is to be
 * `open`. 0; WST_EINSECURE; WST_ESTATE: draining or closed; else as wst_listener_new. */
int wst__address_open(wst__address_t **out, wst_server_t *s, const char *text, bool open,
                      wst__address_cb on_connection, void *owner);

/* Closes the address, without a callback. Do not call once the server drains or closes. */
void wst__address_close(wst__address_t *address);

/* The address as text, with the real port. */
const char *wst__address_text(const wst__address_t *address);

/* The n-th of all addresses; NULL behind the last. */
const char *wst__addresses_nth(const wst_server_t *s, size_t n);

/* Accepts only below the limit of connections. Call when the count or the limit has changed. */
void wst__addresses_update(wst_server_t *s);

/* -- arrival.c ------------------------------------------------------------------------------- */

void wst__arrivals_init(wst_server_t *s);

/* Receives a connection. Takes the stream on success. 0 or an error. */
int wst__server_receive(wst_server_t *s, wst_stream_t *stream, unsigned roles);

/* -- connection.c ---------------------------------------------------------------------------- */

typedef struct wst__conn {
    wst__list_t node;
    wst_server_t *server;
    wst__client_t client;
    unsigned roles;
    wst_request_t *request; /* about an agent that connects; NULL: no question */
} wst__conn_t;

void wst__conns_init(wst_server_t *s);

/* Applies changed limits. */
void wst__conns_update(wst_server_t *s);

/* Takes the stream on success. 0 or an error. */
int wst__conn_new(wst_server_t *s, wst_stream_t *stream, unsigned roles);

/* -- port.c ---------------------------------------------------------------------------------- */

void wst__ports_init(wst_server_t *s);

/* -- spoken.c -------------------------------------------------------------------------------- */

/* The protocol of a connection, by its first byte. */
typedef enum wst__spoken {
    WST__SPEAKS_HTTP, /* any other byte */
    WST__SPEAKS_TLS,
    WST__SPEAKS_SOCKS4,
    WST__SPEAKS_SOCKS5
} wst__spoken_t;

wst__spoken_t wst__spoken_of(uint8_t first);

/*
 * Logs that a connection speaks a protocol that its address does not take. Returns the answer in
 * that protocol; static.
 * @param stream  the connection, or its TLS session
 */
wst_str_t wst__spoken_refuse(wst_server_t *s, const wst_stream_t *stream, unsigned roles,
                             wst__spoken_t spoken);

/* -- agents.c -------------------------------------------------------------------------------- */

void wst__agents_init(wst_server_t *s);

/* Handles an upgrade request at the agents' path. */
void wst__agent_request(wst__conn_t *c, const wst_http_head_t *head);

#endif
