/* SPDX-License-Identifier: MIT */
#ifndef TEST_TALK_RIG_H
#define TEST_TALK_RIG_H
/*
 * Uplinks of the talk's protocol at the ends of the rig of websocket_rig.h: with each other, with a
 * plain WebSocket that says what the test wants, or over a scripted stream. As there no callback
 * may run from inside a call to the library but on_change, and none but on_closed after a close.
 * One that is down is closed.
 */
#include "sockets.h"
#include "websocket_rig.h"

#include "talk.h"

typedef enum talk_policy { TALK_ACCEPT, TALK_HOLD, TALK_REFUSE } talk_policy_t;

typedef struct talk_side {
    websocket_rig_t *rig;
    bool client;
    bool single;
    const char *given_name; /* in the options */
    wst_hijack_t *hijack;
    wst__uplink_t *uplink; /* NULL: gone */
    wst__opening_t *open;
    wst__incoming_t *incoming; /* held */
    talk_policy_t policy;      /* of the agent */
    const char *ask_early;     /* server: asks for that in on_up */
    uint64_t patience_ms;      /* half_closed_timeout_ms */
    int open_status;           /* of connect or accept */

    int opens, handshakes, spents, downs, gones, answers, changes, closed; /* calls */
    int error, http_status, gone_reason, status;
    uint32_t conn;
    char name[65], dest[300], detail[300], text[300];
    bool closing;          /* by the test, or as it was down */
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
void talk_refuse(talk_side_t *agent, const char *text);
void talk_cancel(talk_side_t *server);
void talk_end(talk_side_t *side, int code, const char *reason);
void talk_close(talk_side_t *side);

/* Runs the loop until it is so many; fails after 10 s. */
void talk_until(websocket_rig_t *rig, const size_t *counter, size_t n);

/* Closes what there is, and the rig, of which nothing may be left. */
void talk_free(websocket_rig_t *rig, talk_side_t *agent, talk_side_t *server);

#endif
