/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SESSION_H
#define WST_LIB_SESSION_H
/*
 * The multiplexer: many streams over one carrier of ordered whole messages (lib/PROTOCOL.md). No
 * socket, no clock: messages go in by wst__session_recv and are pulled out by wst__session_next
 * when the carrier can take some; time is an argument, in microseconds, and deadlines lie in a
 * heap that the owner drives.
 *
 * Control of a stream is state, not queued messages: flags that say what the peer must still be
 * told. So control needs no memory, coalesces, and goes out ahead of data. Data goes out by deficit
 * round robin over the streams that may send some.
 *
 * Every byte has an absolute offset in its direction. A sender keeps the bytes that the peer has
 * not acknowledged, so the session survives its carrier: detach, attach another one, and both sides
 * restate their streams.
 *
 * Except on_wakeup and on_change, callbacks run only from wst__session_recv,
 * wst__session_stream_deliver, wst__session_suspend, wst__session_drop_streams and the deadlines.
 * They may call all functions here except wst__session_free, wst__session_recv and
 * wst__session_attach.
 */
#include "bufq.h"
#include "budget.h"
#include "deadline.h"
#include "greeting.h"

typedef struct wst__session wst__session_t;
typedef struct wst__session_stream wst__session_stream_t;

typedef struct wst__session_callbacks {
    /* The peer opens a stream: accept or refuse it, now or later. NULL: WST_EDENIED for all. */
    void (*on_open)(wst__session_t *s, wst__session_stream_t *st, wst_str_t dest, void *user_data);

    /* Our open succeeded, or failed (the stream is dead then; close it). */
    void (*on_opened)(wst__session_stream_t *st, wst_str_t address, void *stream_data);
    void (*on_failed)(wst__session_stream_t *st, int reason, wst_str_t text, void *stream_data);

    void (*on_data)(wst__session_stream_t *st, wst_slice_t data, void *stream_data); /* lent */
    void (*on_end)(wst__session_stream_t *st, void *stream_data);
    void (*on_drain)(wst__session_stream_t *st, void *stream_data);    /* it has room again */
    void (*on_shutdown)(wst__session_stream_t *st, void *stream_data); /* our end has arrived */

    /* The peer reset the stream, or the stream was lost: it is dead; close it. */
    void (*on_reset)(wst__session_stream_t *st, int reason, wst_str_t text, void *stream_data);

    /* The peer accepts no new streams; those that it will not serve have failed already. */
    void (*on_goaway)(wst__session_t *s, int reason, void *user_data);

    /* The peer has ended the session for good; nothing more is sent or received. Once; drop the
     * streams. `text` is for people and lent. May be NULL. */
    void (*on_bye)(wst__session_t *s, int reason, wst_str_t text, void *user_data);

    /* A deadline passed: WST_ETIMEOUT (nothing received for too long). */
    void (*on_dead)(wst__session_t *s, int error, void *user_data);

    /* There is something to send again: pull soon. Runs inside any call, so it may only take
     * note. */
    void (*on_wakeup)(wst__session_t *s, void *user_data);

    /* The results of can_open, stream_count and is_suspect may have changed. Runs inside any call,
     * so it may only take note. May be NULL. */
    void (*on_change)(wst__session_t *s, void *user_data);

    /* A pong has arrived, `rtt_us` after its ping was sent. Returns whether the carrier's transport
     * has lost packets since the last one. May call wst__session_rate and wst__session_least_rtt_us
     * only. May be NULL: no loss is known. */
    bool (*on_round)(wst__session_t *s, uint64_t rtt_us, void *user_data);
} wst__session_callbacks_t;

typedef struct wst__session_options {
    wst__pool_t *pool;
    wst__budget_t *budget; /* each stream reserves wst__session_stream_cost(), and may borrow */
    wst__deadlines_t *deadlines;
    bool client;               /* we open odd ids; else even ones */
    wst_hello_t hello;         /* as in greetings, completed here, too; the name is not used */
    uint64_t ping_interval_ms; /* 0: 15000 */
    uint64_t dead_after_ms;    /* 0: 45000: without any byte received */
    uint64_t window_max;       /* 0: 96 MiB: bound of the windows of streams, both ways */
    wst__session_callbacks_t callbacks;
    void *user_data;
} wst__session_options_t;

enum {
    WST__SEND_LEAST = 4096,    /* unacknowledged bytes that a sender may keep without a loan */
    WST__ACK_EVERY = 16384,    /* a receiver acknowledges at the latest after so many bytes */
    WST__CONFIRM_MS = 10,      /* the first end of a stream is confirmed after so long at most, */
    WST__CONFIRM_LEAST = 4096, /* and at once with more bytes to acknowledge than that */
    WST__SUSPECT_MS = 2000,    /* see wst__session_is_suspect */
    WST__PONGS_MAX = 16,       /* pongs that may wait; beyond: WST_EFLOOD */
    WST__REFUSALS_MAX = 256    /* refused opens that may wait for their answer: WST_EFLOOD */
};

/* Memory that a stream with that first window may pin without loans. */
size_t wst__session_stream_cost(size_t window);

/* Makes a session; attach it to start. 0, WST_ENOMEM or WST_EINVAL (hello out of range). */
int wst__session_new(wst__session_t **out, const wst__session_options_t *options);

/* Frees the session and its streams without telling their owners (wst__session_drop_streams tells
 * them). Dead streams must have been closed. */
void wst__session_free(wst__session_t *s);

/*
 * Attaches a carrier, the first or a new one, after the hellos on it (greeting.h): `peer` is the
 * peer's hello. Messages that let streams continue go out. 0; WST_ENOMEM; WST_EPROTO: the peer's
 * max_frame, initial_credit, yields or early differ from the first carrier's; WST_ELOST: the peer
 * has said bye; or the session's error (except WST_ETIMEOUT, which ended the old carrier only).
 * After an error the session is unchanged, detached.
 */
int wst__session_attach(wst__session_t *s, uint64_t now_us, wst_encoding_t encoding,
                        const wst_hello_t *peer);

/* The carrier has ended. Streams stay as they are; no deadline runs. */
void wst__session_detach(wst__session_t *s);

/*
 * The carrier has ended and another may replace it: detaches. Our opens without an answer fail with
 * WST_ELOST, by on_failed, since they can be tried elsewhere; the peer drops what it knows of them
 * once the next carrier is attached. Those that early bytes have followed wait on, since the peer
 * may have delivered these. All other streams stay, the peer's unanswered opens too, with what they
 * have reserved; loans that they do not need while nothing moves are given back.
 */
void wst__session_suspend(wst__session_t *s);

/* Detaches and fails all streams with `reason`, by on_failed or on_reset. */
void wst__session_drop_streams(wst__session_t *s, int reason);

/*
 * Takes a piece of a message; the slice is lent. 0, or an error after which the session can only
 * be detached or freed (the carrier closes with the fitting code): WST_EPROTO, WST_EMSGBIG,
 * WST_EFLOOD, WST_ENOMEM. See wst__session_error_detail.
 */
int wst__session_recv(wst__session_t *s, uint64_t now_us, bool text, wst_slice_t piece, bool fin);

/* The next message: 1; 0: none now (on_wakeup will tell); WST_ENOMEM: nothing has changed. */
int wst__session_next(wst__session_t *s, uint64_t now_us, wst__outgoing_t *out);

/* Refuses new streams of the peer from now on, and sends goaway. Open streams continue, and we may
 * still open some. */
void wst__session_goaway(wst__session_t *s, int reason);

/*
 * Ends the session for good: bye is the next message, whatever else waits, and the last one, behind
 * an error too. What the peer still says is ignored. Streams stay until wst__session_drop_streams,
 * which also detaches: call that when the bye is out. `reason` as in goaway; `text` is for people,
 * cleaned and cut to WST_ERROR_TEXT_MAX bytes, or NULL. The first call counts. Without a carrier
 * bye waits for the next one, and each new carrier repeats it, since it may have been lost.
 */
void wst__session_bye(wst__session_t *s, int reason, const char *text);

/* Whether a stream can be opened now: 0 or the error of wst__session_open. */
int wst__session_can_open(const wst__session_t *s);

size_t wst__session_stream_count(const wst__session_t *s); /* not finished yet */
size_t wst__session_pinned(const wst__session_t *s);       /* bytes of the budget, loans included */
uint64_t wst__session_rtt_us(const wst__session_t *s);     /* of the last ping; 0: not known */
uint64_t wst__session_least_rtt_us(const wst__session_t *s); /* without our queue; 0: not known */

/* Bytes a second that the carrier has moved at best lately; after losses too high, by as much as
 * they delay a pong; 0: not known. */
uint64_t wst__session_rate(const wst__session_t *s);

/* Bytes of data, both ways, that this carrier has moved lately: in the last ping interval and since
 * then. Those that have been sent count once the peer has confirmed them. */
uint64_t wst__session_moved(const wst__session_t *s);

/* Whether the peer's account of its streams, by which a new carrier begins, is not complete. */
bool wst__session_awaits_account(const wst__session_t *s);

/* Whether a ping is unanswered and the peer has been silent for WST__SUSPECT_MS. */
bool wst__session_is_suspect(const wst__session_t *s, uint64_t now_us);

/* After an error: its cause, for people. Never NULL. */
const char *wst__session_error_detail(const wst__session_t *s);

/*
 * Opens a stream; the answer comes by on_opened or on_failed. Bytes may be written meanwhile: they
 * go out early if the peer takes such, else they wait until the stream is open. `budget`: of the
 * opener, in which the stream counts, too, until it is gone; NULL: none. 0; WST_ESTATE (detached,
 * dead, bye); WST_EGOAWAY; WST_ENOAGENT (the peer takes no streams: its max_streams is 0);
 * WST_ELIMIT (the peer's max_streams are open); WST_EMEMORY (a budget); WST_EDEST; WST_ENOMEM.
 */
int wst__session_open(wst__session_t *s, wst__session_stream_t **out, const char *dest,
                      wst__budget_t *budget, void *stream_data);

/* Has the peer try only addresses that these networks allow, if it knows how to. Right after
 * wst__session_open, once; copied. 0 or WST_ENOMEM. */
int wst__session_stream_set_networks(wst__session_stream_t *st, const char *networks);

/* Whether the peer takes bytes of the stream before it answers, and obeys its networks, if any. */
bool wst__session_stream_takes_early(const wst__session_stream_t *st);

/* Whether the peer may have delivered early bytes: they went out, and have not been refused. */
bool wst__session_stream_early_delivered(const wst__session_stream_t *st);

/* In on_open: the networks that the peer has given, or empty. */
wst_str_t wst__session_asked_networks(const wst__session_t *s);

/*
 * Streams. A stream belongs to its owner until wst__session_stream_close, also when it is dead;
 * calls on a dead one do nothing (write: WST_ESTATE).
 */
void wst__session_stream_set_data(wst__session_stream_t *st, void *stream_data);
uint64_t wst__session_stream_id(const wst__session_stream_t *st);

/* The destination, of a stream that this side has asked for, until on_opened has returned; else "".
 */
const char *wst__session_stream_dest(const wst__session_stream_t *st);

/* Answers an open of the peer. `address`: the address reached; any other text, such as "", is not
 * told. Bytes that have come early wait for wst__session_stream_deliver. After a refusal only close
 * is allowed. */
void wst__session_stream_accept(wst__session_stream_t *st, const char *address);
void wst__session_stream_refuse(wst__session_stream_t *st, int reason, const char *text);

/* Takes one reference of the slice. 0, WST_WAIT (on_drain follows), WST_ESTATE, WST_ENOMEM. */
int wst__session_stream_write(wst__session_stream_t *st, wst_slice_t data);

/* Bytes that fit now within the stream's bound. */
size_t wst__session_stream_room(const wst__session_stream_t *st);

/* Ends our direction. 0, or WST_ESTATE. on_shutdown follows when the peer has received all. */
int wst__session_stream_shutdown(wst__session_stream_t *st);

/* Starts or stops on_data and on_end. Starting delivers nothing by itself: call deliver. */
void wst__session_stream_read(wst__session_stream_t *st, bool wanted);
void wst__session_stream_deliver(wst__session_stream_t *st);

/*
 * The owner lets go. With `reset_reason` 0, the peer is still told that its end has been received,
 * and a stream that is not done in both directions is reset with WST_ECANCELLED. Else the stream is
 * reset with that reason.
 */
void wst__session_stream_close(wst__session_stream_t *st, int reset_reason);

#endif
