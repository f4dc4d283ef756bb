/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TALK_INTERNAL_H
#define WST_LIB_TALK_INTERNAL_H
/* What talk.c (messages, life) and talk_stream.c (the stream) share. */
#include "bufq.h"
#include "codec_talk.h"
#include "talk.h"
#include "websocket.h"

#include <assert.h>

enum { WST__TALK_MAGIC = 0x5753544b };

typedef enum {
    WST__TALK_OPENING,
    WST__TALK_WAITING,
    WST__TALK_ASKED,
    WST__TALK_STREAM,
    WST__TALK_ENDING, /* the closing handshake runs, and nobody is to be told */
    WST__TALK_CLOSING
} wst__talk_phase_t;

struct wst__talk {
    uint32_t magic;
    wst_ctx_t *ctx;
    wst__talk_options_t o;
    wst_websocket_t *ws;
    wst__talk_phase_t phase;
    bool client;          /* the agent */
    wst_chunk_t *message; /* that comes in, so far */
    size_t message_len;
    bool waiting; /* a send has answered WST_WAIT */

    /* ASKED: who wants to know. */
    wst__opened_cb callback;
    void (*on_gone)(wst__talk_t *talk, int reason, void *user_data);
    void *asker;
    char dest[64]; /* for people, may be cut */

    /* STREAM */
    wst_stream_t *stream;
    wst__bufq_t unread;   /* what came while the reader was paused */
    bool heard;           /* there was data */
    bool close_begun;     /* by our shutdown */
    bool shutdown_wanted; /* and not told yet to be done */
    bool over;            /* the WebSocket is of no more use */
    bool ended;           /* the peer ended it, in order */
    int error;            /* still to be told */
    bool stream_closed;   /* by its owner */
    wst__defer_t defer;   /* delivers what waits, or ends the stream */
};

/* talk.c: queues a message. 0; WST_ESTATE: it is closing; WST_ENOMEM. */
int wst__talk_send(wst__talk_t *talk, const wst_message_t *message);
/* Closes the WebSocket. Then on_closed runs, and the talk is gone unless somebody has its stream.
 */
void wst__talk_drop(wst__talk_t *talk);
void wst__talk_destroy(wst__talk_t *talk);

/* talk_stream.c */
int wst__talk_become_stream(wst__talk_t *talk);
/* Bytes, lent. 0 or WST_ENOMEM. */
int wst__talk_stream_data(wst__talk_t *talk, wst_slice_t data);
/* The WebSocket is over. */
void wst__talk_stream_over(wst__talk_t *talk, int error);
/* It is broken: the owner is told now; or from the loop. */
void wst__talk_stream_fail(wst__talk_t *talk, int error);
void wst__talk_stream_fail_later(wst__talk_t *talk, int error);

#endif
