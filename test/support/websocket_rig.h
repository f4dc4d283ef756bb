/* SPDX-License-Identifier: MIT */
#ifndef TEST_WEBSOCKET_RIG_H
#define TEST_WEBSOCKET_RIG_H
/*
 * Two WebSockets, a client and a server, in one loop: over scripted streams (fake_stream.h), or
 * joined by a pair of sockets. Each records what it is told and can do something in each callback.
 *
 * The rig checks the rules that hold for all callbacks: none runs from inside a call to the library
 * (websocket_rig_call marks those), none runs within another, and after a close only close_cb does.
 */
#include "fake_stream.h"
#include "support.h"

#include "ctx.h"
#include <wstunnel/websocket.h>

typedef enum websocket_event {
    WEBSOCKET_NEVER,
    WEBSOCKET_OPEN,
    WEBSOCKET_MESSAGE,
    WEBSOCKET_DRAIN,
    WEBSOCKET_OVER
} websocket_event_t;

typedef struct websocket_rig websocket_rig_t;
typedef struct websocket_side websocket_side_t;

struct websocket_side {
    websocket_rig_t *rig;
    fake_stream_t fake; /* what it runs over, if that is scripted */
    bool is_fake;
    wst_stream_t *stream; /* not taken yet */
    wst_hijack_t *hijack;
    bool hijack_done;
    int accept_status;
    wst_websocket_t *ws;
    wst_websocket_options_t options; /* may be changed before it is made */

    int opens, messages, texts, pieces, drains, overs, closed; /* calls */
    char protocol[64];
    uint8_t *received; /* payload of all messages */
    size_t received_len, received_size;
    int error, http_status; /* in on_over */
    char detail[256];

    websocket_event_t close_in; /* closes itself in the first callback of this kind */
    void (*act)(websocket_side_t *side, websocket_event_t event); /* NULL, or called in each */
    void *data;
    bool closing;
};

struct websocket_rig {
    uv_loop_t loop;
    uv_timer_t watchdog;
    wst_ctx_t *ctx;
    websocket_side_t client, server;
    int busy;
};

/* False if there was no memory. */
bool websocket_rig_init(websocket_rig_t *rig);

/* Closes what there is; afterwards nothing may be left. */
void websocket_rig_free(websocket_rig_t *rig);

/* Around calls of the library outside of callbacks. */
void websocket_rig_call(websocket_rig_t *rig);
void websocket_rig_called(websocket_rig_t *rig);

void websocket_rig_turns(websocket_rig_t *rig, int n);
/* Runs the loop until the counter has come to `n`; fails after 10 s. */
void websocket_rig_until(websocket_rig_t *rig, const int *counter, int n);
/* Lets that much time pass for deadlines. */
void websocket_rig_pass(websocket_rig_t *rig, uint64_t ms);

/* A stream for a side: scripted, or the end of a connected socket. False: no memory. */
bool websocket_side_fake(websocket_side_t *side);
bool websocket_side_open(websocket_side_t *side, int fd, bool is_unix);
/* Both joined by Unix sockets, or by TCP. */
bool websocket_rig_join(websocket_rig_t *rig, bool tcp);

/* Starts a side on its stream; the server waits for the upgrade request. The result of the call. */
int websocket_rig_connect(websocket_rig_t *rig);
int websocket_rig_serve(websocket_rig_t *rig);
/* All of that: two open WebSockets, joined. */
void websocket_rig_start(websocket_rig_t *rig, bool tcp);

void websocket_side_close(websocket_side_t *side);

/* Sends a copy. */
int websocket_side_send(websocket_side_t *side, bool text, const void *data, size_t len);

/* Scripted: what the other end says. The answer to the client's request has the right accept value
 * in the place of "@" in `head`. */
void websocket_side_script(websocket_side_t *side, const void *data, size_t len);
size_t websocket_side_answer(const websocket_side_t *client, const char *head, char *out,
                             size_t cap);

/* A frame by hand; masked ones have the key 0, which changes nothing. Returns its length. */
size_t websocket_rig_frame(uint8_t *out, int opcode, bool fin, bool masked, const void *payload,
                           size_t len);

#endif
