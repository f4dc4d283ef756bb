/* SPDX-License-Identifier: MIT */
#ifndef TEST_TALK_RIG_H
#define TEST_TALK_RIG_H
/*
 * Tunnels of the talk's protocol at the ends of the rig of websocket_rig.h: with each other, with a
 * plain WebSocket that says what the test wants, or over a scripted stream. As there no callback
 * may run from inside a call to the library, and none but on_closed after an end.
 */
#include "sockets.h"
#include "websocket_rig.h"

#include "talk.h"

typedef enum talk_policy { TALK_ACCEPT, TALK_HOLD, TALK_REFUSE } talk_policy_t;

typedef struct talk_side {
    websocket_rig_t *rig;
    bool client;
    wst_hijack_t *hijack;
    wst__talk_t *talk;     /* NULL: gone */
    talk_policy_t policy;  /* of the agent */
    const char *ask_early; /* server: asks for that in on_open */
    uint64_t patience_ms;  /* close_timeout_ms */
    int open_status;       /* of connect or upgrade */

    int opens, handshakes, downs, gones, answers, closed; /* calls */
    int error, gone_reason, status;
    char dest[300], detail[300], text[300];
    bool ended;            /* by the test */
    sockets_owner_t owner; /* of the stream; stream NULL: there is none */
} talk_side_t;

/* Ends of the rig's two streams, which must be there. */
void talk_connect(websocket_rig_t *rig, talk_side_t *side);
void talk_serve(websocket_rig_t *rig, talk_side_t *side);
/* All of it: both ends, joined by sockets and open; and with a stream, reading or not. */
void talk_start(websocket_rig_t *rig, talk_side_t *agent, talk_side_t *server);
void talk_start_stream(websocket_rig_t *rig, talk_side_t *agent, talk_side_t *server, bool reading);

int talk_ask(talk_side_t *server, const char *dest);
int talk_accept(talk_side_t *agent);
void talk_end(talk_side_t *side, int code, const char *reason);
void talk_close(talk_side_t *side);

/* Runs the loop until it is so many; fails after 10 s. */
void talk_until(websocket_rig_t *rig, const size_t *counter, size_t n);

/* Closes what there is, and the rig, of which nothing may be left. */
void talk_free(websocket_rig_t *rig, talk_side_t *agent, talk_side_t *server);

#endif
