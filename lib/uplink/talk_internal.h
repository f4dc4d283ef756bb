/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TALK_INTERNAL_H
#define WST_LIB_TALK_INTERNAL_H
/* What talk.c (the uplink), talk_message.c (its messages) and talk_stream.c (its stream) share. */
#include "bufq.h"
#include "codec_talk.h"
#include "ctx.h"
#include "talk.h"
#include "websocket.h"

#include <assert.h>

enum { WST__TALK_MAGIC = 0x5753544b };

typedef enum {
    WST__TALK_OPENING,
    WST__TALK_WAITING,
    WST__TALK_ASKED,
    WST__TALK_STREAM,
    WST__TALK_ENDING, /* the closing handshake runs */
    WST__TALK_CLOSING /* the WebSocket is being closed, or gone */
} wst__talk_phase_t;

typedef struct wst__talk {
    wst__uplink_t base;
    uint32_t magic;
    size_t refs; /* of the owner, and of the stream's owner */
    wst_ctx_t *ctx;
    wst_websocket_t *ws; /* NULL: gone */
    wst__talk_phase_t phase;
    bool client; /* the agent */
    bool single;
    bool used;       /* its stream has been requested */
    bool spent_told; /* agent: on_goaway has reported the talk as spent */
    bool down;       /* on_down has run */
    bool closing;    /* by its owner */
    char peer[96];
    char name[WST_NAME_MAX + 1]; /* of the far side */
    uint64_t half_closed_timeout_ms;
    int error; /* ENDING: the breach that ended it, or 0 */
    char detail[160];
    wst__deadline_t settle;
    wst__defer_t later; /* on_closed */

    /* talk_message.c */
    wst_chunk_t *message; /* the part received so far */
    size_t message_len;
    bool waiting; /* a send returned WST_WAIT */

    /* ASKED: the asker has not been answered. */
    bool asking;
    wst__opening_t opening; /* server */
    wst__opened_cb callback;
    void *asker;
    wst__incoming_t incoming; /* agent */
    char dest[64];            /* for people, may be cut */

    /* STREAM: talk_stream.c */
    wst_stream_t *stream;
    wst__bufq_t unread;   /* data received while the reader was paused */
    bool heard;           /* data has arrived */
    bool close_begun;     /* by our shutdown */
    bool shutdown_wanted; /* and not reported as done yet */
    bool over;            /* the WebSocket is no longer usable */
    bool ended;           /* the peer ended the stream in order */
    int stream_error;     /* not reported yet */
    bool stream_closed;   /* by its owner */
    wst__defer_t defer;   /* delivers waiting data, or ends the stream */
} wst__talk_t;

/* talk.c */
void wst__talk_unref(wst__talk_t *talk);
/* The peer broke the protocol, or memory ran out: tells the peer, then ends the talk. */
void wst__talk_fail(wst__talk_t *talk, int error, const char *detail);
/* Closes the WebSocket at once. */
void wst__talk_drop(wst__talk_t *talk);
/* Handles a message that is not data. */
void wst__talk_handle(wst__talk_t *talk, const wst_message_t *message);
/* Agent: another uplink may be opened from now on. */
void wst__talk_spent(wst__talk_t *talk);

/* talk_message.c: queues a message. 0; WST_ESTATE: it is closing; WST_ENOMEM; WST_EINVAL. */
int wst__talk_send(wst__talk_t *talk, const wst_message_t *message);
/* Sends a handshake or completed at once. 0; WST_ELOST: it is closing; WST_ENOMEM;
 * WST_EINVAL. */
int wst__talk_send_control(wst__talk_t *talk, const wst_message_t *message);
/* Takes a piece of a received message. */
void wst__talk_receive(wst__talk_t *talk, wst_slice_t piece, bool fin);

/* talk_stream.c */
int wst__talk_become_stream(wst__talk_t *talk);
/* Delivers borrowed bytes. 0 or WST_ENOMEM. */
int wst__talk_stream_data(wst__talk_t *talk, wst_slice_t data);
/* The WebSocket is over. */
void wst__talk_stream_over(wst__talk_t *talk, int error);
/* The stream is broken: tells its owner now, or later from the loop. */
void wst__talk_stream_fail(wst__talk_t *talk, int error);
void wst__talk_stream_fail_later(wst__talk_t *talk, int error);
/* Reports an error kept for later now. */
void wst__talk_stream_lose(wst__talk_t *talk);
/* The owner has closed the stream, and the WebSocket is gone. */
void wst__talk_stream_gone(wst__talk_t *talk);

#endif
