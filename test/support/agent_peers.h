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

typedef enum agent_raw_manner {
    AGENT_RAW_SILENT,  /* accepts, and that is all */
    AGENT_RAW_RESET,   /* as soon as the connection is there */
    AGENT_RAW_END,     /* likewise, in order */
    AGENT_RAW_ANSWER,  /* raw.answer to the upgrade request; then nothing */
    AGENT_RAW_UPGRADE, /* a WebSocket; raw.says is sent when it is open */
} agent_raw_manner_t;

/* What follows the answer, or the agent's hello. */
typedef enum agent_raw_sequel {
    AGENT_RAW_STAY,
    AGENT_RAW_THEN_END,
    AGENT_RAW_THEN_RESET
} agent_raw_sequel_t;

typedef struct agent_raw {
    agent_world_t *w;
    wst_listener_t *listener;
    agent_raw_manner_t manner;
    agent_raw_sequel_t sequel;
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
    struct conn *open;   /* all with an open WebSocket, the newest first */
    int over_error;
    size_t listener_closed;
} agent_raw_t;

extern const char agent_raw_hello[]; /* of a server that takes streams */

/* Listens at w->address, or at any that w->address becomes; closes everything. */
void agent_raw_open(agent_world_t *w, agent_raw_t *raw);
void agent_raw_free(agent_raw_t *raw);
void agent_raw_stop_listening(agent_raw_t *raw);

void agent_raw_say(agent_raw_t *raw, const char *text);
/* Ends the last WebSocket, in order or not. */
void agent_raw_leave(agent_raw_t *raw, agent_raw_sequel_t how);
/* Resets so many of the connections with an open WebSocket. */
void agent_raw_cut(agent_raw_t *raw, size_t count);
/* Waits until this has been heard. */
void agent_raw_expect(agent_raw_t *raw, const char *text);

/* -- A destination -- */

typedef struct agent_place {
    agent_world_t *w;
    wst_listener_t *listener;
    char address[64];
    sockets_owner_t owners[4]; /* connections in the order of their coming; reading */
    size_t count;
    size_t listener_closed;
} agent_place_t;

void agent_place_open(agent_world_t *w, agent_place_t *place);
void agent_place_free(agent_place_t *place);

/* -- A tunnel, from the server's end -- */

typedef struct agent_tunnel {
    agent_world_t *w;
    wst_server_dial_t *dial;
    sockets_owner_t owner; /* reading; stream NULL: not open */
    int status;
    size_t done;
    bool closing;
} agent_tunnel_t;

void agent_tunnel_start(agent_world_t *w, agent_tunnel_t *t, const char *destination);
/* And waits for the outcome, which must be that. */
void agent_tunnel_open(agent_world_t *w, agent_tunnel_t *t, const char *destination, int status);
/* Cancels or resets, whatever there is; does not wait. */
void agent_tunnel_close(agent_tunnel_t *t);
void agent_tunnel_free(agent_tunnel_t *t);

#endif
