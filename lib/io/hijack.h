/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HIJACK_H
#define WST_LIB_HIJACK_H
/* What a server needs of a hijack beyond the public interface. */
#include <wstunnel/hijack.h>

/* Most bytes kept that come in behind the head while a request is watched. */
enum { WST__WATCH_MAX = 32768 };

/*
 * Watches the connection while the request waits for its answer, instead of reading nothing: if the
 * client resets it, or ends it without a byte behind the head, the request is over and on_done
 * follows. What comes in is kept (then no more is read) and is put back by wst_hijack_take, as is
 * an end behind it.
 */
void wst__hijack_watch(wst_hijack_t *hijack);

/* What is to be done with a connection that comes back. */
typedef enum wst__return {
    WST__RETURN_UNANSWERED, /* the request still waits for wst_hijack_respond, which then closes */
    WST__RETURN_NEXT,       /* it has been answered by whoever had the connection: the next one */
    WST__RETURN_FINISHED    /* it has been answered, and that was all: shut down, drain, on_done */
} wst__return_t;

/*
 * Takes back the connection that wst_hijack_take handed over, with what was not read of it put
 * back. If the hijack has been closed since, the connection is closed too.
 */
void wst__hijack_return(wst_hijack_t *hijack, wst_stream_t *connection, wst__return_t how);

/*
 * There shall be no further request: if none has begun, ends the connection as soon as all that was
 * said is on its way, and on_done follows. False: one has begun, nothing is done.
 */
bool wst__hijack_retire(wst_hijack_t *hijack);

#endif
