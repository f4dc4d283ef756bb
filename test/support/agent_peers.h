/* SPDX-License-Identifier: MIT */
#ifndef TEST_AGENT_PEERS_H
#define TEST_AGENT_PEERS_H
/* What an agent has to do with: a server that does what it is told, well or badly; destinations;
 * tunnels through a real server. */
#include "agent_world.h"
#include "sockets.h"

#include <wstunnel/listener.h>
#include <wstunnel/websocket.h>

/* -- A server of raw bytes or messages -- */

typedef enum manner {
    SILENT,  /* accepts, and that is all */
    RESET,   /* as soon as the connection is there */
    END,     /* likewise, in order */
    ANSWER,  /* raw.answer to the upgrade request; then nothing */
    UPGRADE, /* a WebSocket; raw.says is sent when it is open */
} manner_t;

/* What follows the answer, or the agent's hello. */
typedef enum sequel { STAY, THEN_END, THEN_RESET } sequel_t;

typedef struct raw {
    agent_world_t *w;
    wst_listener_t *listener;
    manner_t manner;
    sequel_t sequel;
    const char *answer;
    const char *const *protocols; /* NULL: both of ours */
    const char *says[4];          /* text messages; NULL: no more */

    size_t accepted, heads, opens, hellos, overs;
    size_t live;      /* connections */
    char head[1024];  /* the last upgrade request */
    char hello[512];  /* the last one of the agent */
    char heard[4096]; /* text messages behind it, a line each */
    size_t heard_len, binaries;
    wst_websocket_t *ws; /* the last one that is open */
    struct conn *last;   /* its connection */
    int over_error;
    size_t listener_closed;
} raw_t;

extern const char raw_hello[]; /* of a server that takes streams */

/* Listens at w->address, or at any that w->address becomes; closes everything. */
void raw_open(agent_world_t *w, raw_t *raw);
void raw_free(raw_t *raw);
void raw_stop_listening(raw_t *raw);

void raw_say(raw_t *raw, const char *text);
/* Ends the last WebSocket, in order or not. */
void raw_leave(raw_t *raw, sequel_t how);
/* Waits until this has been heard. */
void raw_expect(raw_t *raw, const char *text);

/* -- A destination -- */

typedef struct place {
    agent_world_t *w;
    wst_listener_t *listener;
    char address[64];
    sockets_owner_t owners[4]; /* connections in the order of their coming; reading */
    size_t count;
    size_t listener_closed;
} place_t;

void place_open(agent_world_t *w, place_t *place);
void place_free(place_t *place);

/* -- A tunnel, from the server's end -- */

typedef struct tunnel {
    agent_world_t *w;
    wst_server_dial_t *dial;
    sockets_owner_t owner; /* reading; stream NULL: not open */
    int status;
    size_t done;
    bool closing;
} tunnel_t;

void tunnel_start(agent_world_t *w, tunnel_t *t, const char *destination);
/* And waits for the outcome, which must be that. */
void tunnel_open(agent_world_t *w, tunnel_t *t, const char *destination, int status);
/* Cancels or resets, whatever there is; does not wait. */
void tunnel_close(tunnel_t *t);
void tunnel_free(tunnel_t *t);

#endif
