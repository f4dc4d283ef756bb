/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SERVER_H
#define WST_LIB_SERVER_H
/*
 * The inside of a server: a node assembled of
 *
 *     successor    takes the connections that a successor hands back      (successor.c)
 *     addresses    the listeners                                          (addresses.c)
 *     arrivals     connections whose PROXY header or TLS handshake is     (arrival.c)
 *                  not done, or whose protocol is not known yet
 *     connections  of HTTP: clients, agents' upgrades, monitors           (connection.c)
 *     predecessor  to which connections are handed back                   (predecessor.c)
 *     ports        addresses that lead to one destination each            (port.c)
 *     socks        connections of SOCKS clients                           (lib/ingress)
 *     ingress      the flows that clients ask for                         (lib/ingress)
 *     agents       accepted uplinks                                       (agent_session.c)
 */
#include "http_client.h"
#include "ingress.h"
#include "introduction.h"
#include "trusted.h"
#include "node.h"
#include "passing.h"
#include "socks.h"
#include "table.h"
#include "uplink.h"

#include <wstunnel/server.h>
#include <wstunnel/tls.h>

/* Arrivals whose handshakes wait for their turn, or are under way. */
typedef struct wst__lane {
    wst_server_t *server;
    wst__list_t queue, later; /* later: those of sources that have many */
    wst__list_t shaking;
    size_t under_way;        /* length of `shaking` */
    wst__deadline_t overdue; /* of the handshake that makes room for the next one */
} wst__lane_t;

/* A server's tag begins the names of its sessions, unlike those of other servers. A predecessor
 * tells its own, and those of its predecessors, as far as they are known. */
enum { WST__TAG_LEN = 4, WST__TAGS_MAX = 8 };

/* Of what a server and its successor tell each other: successor.c. */
enum { WST__SUCCESSION_VERSION = 1 };

struct wst_server {
    wst__node_t node;
    wst_server_callbacks_t callbacks;
    void *user_data;
    wst_server_limits_t limits; /* complete: defaults filled in */
    wst_http_limits_t http;     /* likewise */
    wst_tls_config_t *tls;      /* NULL: no TLS */
    bool allow_open, allow_origin, no_resume;
    wst__trusted_t *trust; /* proxies that tell their clients' addresses */
    bool forgery_logged;
    char *path;
    char pseudonym[32]; /* in Via: identifies this server */
    wst_pac_t *pac;     /* NULL: none */
    const wst__uplink_kind_t *kind;
    wst_ingress_t ingress;
    wst__seats_t seats; /* of the connections of clients, agents and monitors */
    wst__refusals_t refusals;
    bool leaving;     /* it is to drain, now or after a delay */
    bool handed_over; /* its addresses are a successor's */
    wst__deadline_t leave;
    wst_close_cb close_cb;

    struct {
        wst__part_t part;
        wst__list_t list;
        size_t apart; /* of them, those that serve no clients */
        bool limit_logged;
        wst__deadline_t look; /* while draining with an address: whether it is still needed */
    } addresses;

    struct {
        wst__part_t part;
        wst__passing_t *passing; /* NULL: nothing can come */
        int theirs;              /* the successor's end; -1: it has that itself, or there is none */
    } successor;

    struct {
        wst__part_t part;
        wst__passing_t *passing; /* NULL: it is gone, or there was none */
        int fd;                  /* that one's */
        wst__ticket_t awaited;   /* of the node's work: its end */
        uint8_t tags[WST__TAGS_MAX][WST__TAG_LEN];
        size_t tag_count;
        wst__list_t handbacks;
    } predecessor;

    struct {
        wst__part_t part;
        wst__list_t all;
        wst__lane_t lanes[2]; /* [true]: at addresses that serve clients */
        wst__defer_t turns;
        uint64_t failures;
    } arrivals;

    struct {
        wst__part_t part;
        wst__list_t list;
        wst__client_options_t options[2]; /* [true]: at addresses for operators, of those that
                                             speak no TLS there */
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
        wst__table_t names;              /* of sessions that can be resumed */
        uint8_t tag[WST__TAG_LEN];       /* random bits, public */
        size_t suspended;                /* sessions without a connection */
        wst__list_t waiting;             /* these, the longest suspended first */
        wst__defer_t room;               /* ends one of them */
        uint64_t turned_down;            /* since the start: agents that were not admitted */
        wst_histogram_t round_trips;     /* of their pings */
        uint64_t resumed, refused, lost; /* since the start: sessions resumed; claims that were not
                                            granted; suspended sessions that ended */
    } agents;
};

static inline bool wst__server_is_draining(const wst_server_t *s) {
    return s->node.state != WST__NODE_RUNNING;
}

/* -- addresses.c ----------------------------------------------------------------------------- */

/* An address that the server listens on. Closing the server closes it; draining, too, but for
 * monitors, and for the way back of agents (wst__addresses_let_return). */
typedef struct wst__address wst__address_t;

/* The address has accepted a connection. The callback takes the stream, and the seat on success. */
typedef void (*wst__address_cb)(wst__address_t *address, wst_stream_t *stream, wst__seat_t *seat,
                                void *owner);

typedef struct wst__address_options {
    const char *text; /* as in wst_listener_options */
    bool open;        /* other machines may reach it */
    unsigned roles;   /* of HTTP; 0: another protocol */
    wst__address_cb on_connection;
    void *owner;
} wst__address_options_t;

void wst__addresses_init(wst_server_t *s, uint64_t seed);

/* Listens. 0; WST_EINSECURE; WST_ESTATE: draining or closed; else as wst_listener_new. */
int wst__address_open(wst__address_t **out, wst_server_t *s, const wst__address_options_t *options);

/* Closes the address, without a callback. Do not call once the server drains or closes. */
void wst__address_close(wst__address_t *address);

/* The address as text, with the real port. */
const char *wst__address_text(const wst__address_t *address);

/* Its listening socket. */
int wst__address_descriptor(const wst__address_t *address);

/* The n-th of all addresses; NULL behind the last. */
const char *wst__addresses_nth(const wst_server_t *s, size_t n);

/* Whether agents that come have to wait: an address of theirs takes no connections for now, or
 * handshakes wait there for their turn. */
bool wst__addresses_hold_agents(const wst_server_t *s);

/* Whether an agent whose connection is lost can come back. While the server drains, agents can at
 * the addresses whose only role they are, and by a successor: both stay open as long as there are
 * streams to come back to. */
bool wst__addresses_let_return(const wst_server_t *s);

/* The drain is over: closes the addresses that it has left, and ends the sessions that wait. */
void wst__addresses_close_last(wst_server_t *s);

/* Leaves the inherited sockets to a successor of the process, as far as a drain closes them. */
void wst__addresses_leave_inherited(wst_server_t *s);

/* Leaves all to a successor of the process. */
void wst__addresses_hand_over(wst_server_t *s);

/* Applies changed limits. */
void wst__addresses_update(wst_server_t *s);

/* Whether an address of these roles serves clients. The others, for agents and monitors alone, may
 * take connections and descriptors that the former leave to them. */
static inline bool wst__serves_clients(unsigned roles) {
    return roles == 0 || (roles & (WST_ROLE_CONNECT | WST_ROLE_SOCKS)) != 0;
}

/* Whether agents are all that an address of these roles serves. */
static inline bool wst__serves_agents_alone(unsigned roles) {
    return (roles & (WST_ROLE_ALL | WST_ROLE_SOCKS)) == WST_ROLE_AGENTS;
}

static inline bool wst__serves_health_alone(unsigned roles) {
    return (roles & (WST_ROLE_ALL | WST_ROLE_SOCKS)) == WST_ROLE_HEALTH;
}

/* Whose share a connection counts in, for seat.h: NULL if its peer, a trusted proxy, brings those
 * of many. */
const char *wst__source_of(const wst_server_t *s, const char *peer);

/* -- arrival.c ------------------------------------------------------------------------------- */

void wst__arrivals_init(wst_server_t *s);

/* Whether handshakes wait for their turn at addresses of these roles. */
bool wst__arrivals_wait(const wst_server_t *s, unsigned roles);

/* TLS handshakes under way. */
size_t wst__arrivals_shaking(const wst_server_t *s);

/* Receives a connection. Takes the stream and its seat on success. 0 or an error. */
int wst__server_receive(wst_server_t *s, wst_stream_t *stream, wst__seat_t *seat, unsigned roles);

/* -- claims.c -------------------------------------------------------------------------------- */

/* Whether an address told by a proxy may stand for the connection's: any but a loopback address, by
 * which the client would be one of this machine. */
bool wst__claim_counts(const wst__ip_t *ip);

/*
 * The client of a request: the one that a trusted proxy names in the head, else the connection's
 * peer.
 * @param peer  the connection's
 */
void wst__claim_of_request(wst_server_t *s, char out[96], const char *peer,
                           const wst_http_head_t *head);

/* -- connection.c ---------------------------------------------------------------------------- */

/* A connection that is handed back (predecessor.c). */
typedef struct wst__handback wst__handback_t;

typedef struct wst__conn {
    wst__list_t node;
    wst_server_t *server;
    wst__client_t client;
    unsigned roles;
    wst_request_t *request;            /* about an agent that connects; NULL: no question */
    wst__resume_field_t claim;         /* what that agent says about a session */
    wst__introduction_t *introduction; /* by a successor, of an agent; NULL: of an address */
    wst__handback_t *handback;         /* the predecessor has not decided yet; NULL: no question */
} wst__conn_t;

void wst__conns_init(wst_server_t *s);

/* Applies changed limits. */
void wst__conns_update(wst_server_t *s);

/* Takes the stream, its seat and the introduction, if there is one, on success. 0 or an error. */
int wst__conn_new(wst_server_t *s, wst_stream_t *stream, wst__seat_t *seat, unsigned roles,
                  wst__introduction_t *introduction);

/* -- successor.c ----------------------------------------------------------------------------- */

void wst__successor_init(wst_server_t *s);

/* Whether agents can come back by a successor. */
bool wst__successor_lets_return(const wst_server_t *s);

/* Takes no more connections from a successor. */
void wst__successor_leave(wst_server_t *s);

/* -- predecessor.c --------------------------------------------------------------------------- */

void wst__predecessor_init(wst_server_t *s);

/* Whether agents may come for a session there. */
bool wst__predecessor_lives(const wst_server_t *s);

/* They cannot come to this server any more, so the drain does not wait for its end. */
void wst__predecessor_await_no_more(wst_server_t *s);

/*
 * Hands an agent's connection, which waits for an answer, back to the predecessor if its claim is
 * about a session there. `answer`: the agent is admitted; NULL: nobody was asked. 0: if the
 * predecessor does not take it, wst__agent_accept follows; WST_ESTATE: it is none of the
 * predecessor's; or the error.
 */
int wst__predecessor_ask(wst__conn_t *c, const wst__answer_t *answer);

/* Ends the question: the agent's connection is gone before the answer. */
void wst__handback_free(wst__handback_t *handback);

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

/* `tag`: random bits, public. */
void wst__agents_init(wst_server_t *s, uint32_t tag);

/* Bytes of memory that streams of suspended sessions hold. */
size_t wst__agents_suspended_bytes(const wst_server_t *s);

/* Whether an agent could come back to a session that has streams, or may get one of a client that
 * has been accepted; or to one of the predecessor's. */
bool wst__agents_may_return(const wst_server_t *s);

/* Asks the agents to connect elsewhere, too. Streams can still be opened through them. */
void wst__agents_goaway(wst_server_t *s);

/* Nobody can come back: ends the suspended sessions. */
void wst__agents_end_waiting(wst_server_t *s);

/* A client's stream lacks memory: if those of suspended sessions hold more than half of it, the
 * session that has been suspended for the longest time ends, from the loop. False: they do not. */
bool wst__agents_make_room(wst_server_t *s);

/* -- agent_request.c ------------------------------------------------------------------------- */

/* Handles an upgrade request at the agents' path. */
void wst__agent_request(wst__conn_t *c, const wst_http_head_t *head);

/* Makes a session of the request, or refuses it. `answer`: as of wst__predecessor_ask. */
void wst__agent_accept(wst__conn_t *c, const wst__answer_t *answer);

#endif
