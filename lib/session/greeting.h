/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_GREETING_H
#define WST_LIB_GREETING_H
/*
 * The two hellos that begin a carrier: ours goes out at once, or behind the peer's if it is to name
 * the session; the peer's must be the first message in. It decides which session the carrier
 * serves, so the session takes over behind it (wst__session_attach).
 *
 * No socket and no clock: the carrier gives up a peer that sends no hello in time.
 */
#include "outgoing.h"

typedef struct wst__greeting {
    wst__pool_t *pool;
    wst_encoding_t encoding;
    wst_hello_t ours, peer; /* the peer's is complete once received */
    char our_name[WST_NAME_MAX], peer_name[WST_NAME_MAX];
    bool held; /* ours waits for wst__greeting_name_session */
    bool said, heard;
    wst_decoder_t *decoder;
    int error;
    const char *detail; /* after an error: its cause, for people */
} wst__greeting_t;

/*
 * Completes a hello of ours: version, features, and the defaults of max_frame and initial_credit
 * where they are 0. max_streams has no default: with 0 the peer may open none. Returns 0, or
 * WST_EINVAL: a number or the name is out of range.
 */
int wst__hello_complete(wst_hello_t *hello);

/* Copies our hello and completes it. 0 or WST_EINVAL. There is nothing to free before `begin`. */
int wst__greeting_init(wst__greeting_t *greeting, wst__pool_t *pool, const wst_hello_t *ours);

/* The carrier is open. 0 or WST_ENOMEM. */
int wst__greeting_begin(wst__greeting_t *greeting, wst_encoding_t encoding);

/* Our hello waits, if it is to name the session that the peer's hello asks for. Before the first
 * wst__greeting_next. */
void wst__greeting_hold(wst__greeting_t *greeting);

/* Our hello, which was held, may go out. `session`: NULL, or with the members about the session; of
 * one that goes on also max_frame and initial_credit, which must be those it began with. */
void wst__greeting_name_session(wst__greeting_t *greeting, const wst_hello_t *session);

/* Our hello: 1, once, then 0; also 0 while it is held. WST_ENOMEM: nothing has changed. */
int wst__greeting_next(wst__greeting_t *greeting, wst__outgoing_t *out);

/*
 * Takes a piece of a message. 1: the peer's hello is complete, and later messages are not the
 * greeting's; 0: needs more; WST_EPROTO, WST_EMSGBIG or WST_ENOMEM, for good (`detail`).
 */
int wst__greeting_recv(wst__greeting_t *greeting, bool text, wst_slice_t piece, bool fin);

/* Wipes the peer's secret, once it has been copied. */
void wst__greeting_forget_secret(wst__greeting_t *greeting);

/* Frees what `begin` made; the hellos stay. Harmless before `begin` and if called twice. */
void wst__greeting_end(wst__greeting_t *greeting);

#endif
