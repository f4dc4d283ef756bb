/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HIJACK_H
#define WST_LIB_HIJACK_H
/* Hijacks for a server, beyond the public interface. */
#include "budget.h"

#include <wstunnel/hijack.h>

/* Lets the memory of incomplete heads count in a budget, which must last as long as anything is
 * reserved in it by the hijack, or the hijack reads. Without room on_done gets WST_EMEMORY. */
void wst__hijack_set_budget(wst_hijack_t *hijack, wst__budget_t *budget);

/*
 * Sets a function for a connection that begins with a control character, as TLS and SOCKS do: it
 * says what to answer, in their terms; static. Empty: it is refused as malformed HTTP. on_done
 * follows in both cases.
 */
void wst__hijack_set_stranger(wst_hijack_t *hijack,
                              wst_str_t (*on_stranger)(wst_hijack_t *hijack, uint8_t first,
                                                       void *user_data));

/*
 * Watches the connection while the request waits for its answer, instead of reading nothing: if the
 * client resets it, or ends it without a byte behind the head, the request is over and on_done
 * follows. Received bytes are kept, up to a bound (early.h), and put back by wst_hijack_take, as is
 * an end behind them.
 */
void wst__hijack_watch(wst_hijack_t *hijack);

/* The head of the request that waits for an answer, as it was received, with the empty line. */
wst_str_t wst__hijack_head_text(const wst_hijack_t *hijack);

/* How to continue with a connection that comes back. */
typedef enum wst__return {
    WST__RETURN_UNANSWERED, /* the request still waits for wst_hijack_respond, which then closes */
    WST__RETURN_NEXT,       /* the owner of the connection has answered: the next one */
    WST__RETURN_FINISHED    /* answered, and the last one: shut down, drain, on_done */
} wst__return_t;

/*
 * Takes back the connection that wst_hijack_take handed over, with its unread
 * bytes put back. If the hijack has been closed since, the connection is closed, too.
 */
void wst__hijack_return(wst_hijack_t *hijack, wst_stream_t *connection, wst__return_t how);

/* Replaces the name of the connection's peer, see wst__stream_set_peer. */
int wst__hijack_set_peer(wst_hijack_t *hijack, const char *peer);

/*
 * Accepts no further request: if none has begun, ends the connection as soon as all answers are on
 * their way; on_done follows. Does nothing and returns false if one has begun.
 */
bool wst__hijack_retire(wst_hijack_t *hijack);

#endif
