/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SLOT_INTERNAL_H
#define WST_LIB_SLOT_INTERNAL_H
/* Shared by the files of the slot: slot.c (what its uplinks and its owner do), slot_uplinks.c
 * (which uplinks there are), slot_attempt.c (making the next one), slot_leaving.c (servers that
 * leave), slot_describe.c (what is told of all that). */
#include "slot.h"

#include "defaults.h"

/* After so long on a connection the first attempt to resume begins at once. */
enum { WST__SLOT_STEADY_MS = 1000 };

/* An uplink of the slot. */
typedef struct wst__slot_uplink {
    wst__list_t node;
    wst__slot_t *slot;
    wst__uplink_t *uplink;
    enum {
        WST__UPLINK_OPENING,   /* made by the current attempt */
        WST__UPLINK_READY,     /* up, and can take a stream */
        WST__UPLINK_SUSPENDED, /* its connection is lost */
        WST__UPLINK_SPENT,     /* used up by its only stream */
        WST__UPLINK_LEAVING,   /* its server leaves, and ends it when its streams have ended */
        WST__UPLINK_STRANDED,  /* its server leaves, and its connection is lost */
        WST__UPLINK_ENDING,    /* drained */
        WST__UPLINK_CLOSING
    } state;
    uint32_t conn;
    bool shown;     /* on_connection has told that it is up, and nothing since */
    bool told;      /* the server takes no more streams */
    bool elsewhere; /* LEAVING: the way does not lead to its server any more */
    uint64_t up_since_ms;
    uint64_t lost_ms;   /* SUSPENDED, STRANDED: since when */
    uint64_t grace_ms;  /* SUSPENDED, STRANDED: how long the server keeps it */
    wst__ticket_t hold; /* of the node */
    wst__ticket_t busy; /* of the node; in the states READY to ENDING, but SPENT */
} wst__slot_uplink_t;

/* -- slot_uplinks.c -------------------------------------------------------------------------- */

wst_ctx_t *wst__slot_ctx(const wst__slot_t *s);

void wst__slot_use_conn(wst__slot_t *s, uint32_t n);

/* Takes a `conn` that no uplink of the agent has had. */
void wst__slot_take_conn(wst__slot_t *s);

size_t wst__slot_count_in(const wst__slot_t *s, int state);

size_t wst__slot_count_ready(const wst__slot_t *s);

/* The uplink, other than those whose servers leave, that an attempt's connection can continue, or
 * NULL. */
wst__slot_uplink_t *wst__slot_resumable(const wst__slot_t *s);

wst__slot_uplink_t *wst__slot_suspended(const wst__slot_t *s);

/* Whether the server of the uplink leaves, and its streams need another connection to end. */
bool wst__slot_is_stranded(const wst__slot_uplink_t *u);

wst__slot_uplink_t *wst__slot_stranded(const wst__slot_t *s);

/* The uplink whose streams wait for a connection, or NULL. */
wst__slot_uplink_t *wst__slot_waiting(const wst__slot_t *s);

/* The uplink that the next attempt is to continue, or NULL. One whose server leaves comes before
 * one that only is to have a better connection. */
wst__slot_uplink_t *wst__slot_to_continue(const wst__slot_t *s);

/* The uplink that the attempt is to continue; NULL: none, or it is over by now. */
wst__slot_uplink_t *wst__slot_claimed(const wst__slot_t *s);

/* on_uplink_closed frees the memory later, from the loop. */
void wst__slot_close_uplink(wst__slot_uplink_t *u);

/* Whether the slot takes no new streams any more. */
bool wst__slot_drains(const wst__slot_t *s);

/* -- slot_attempt.c -------------------------------------------------------------------------- */

/* Full jitter: a random time up to the bound, so that agents do not all reconnect at once. */
uint64_t wst__slot_backoff_ms(wst__slot_t *s);

void wst__slot_attempt_in(wst__slot_t *s, uint64_t delay_ms);

void wst__slot_count_failure(wst__slot_t *s);

/* An attempt failed or an uplink was lost: reports it and tries again later. An attempt beside a
 * connection that is still there is only tried again. */
void wst__slot_fail(wst__slot_t *s, int error, int http_status, const char *detail);

/* Whether the slot has something to attempt. */
bool wst__slot_needs_attempt(const wst__slot_t *s);

/* Rests if the slot has all the uplinks wanted, else begins the next attempt. */
void wst__slot_rest(wst__slot_t *s);

/* Cancels an attempt that has no uplink yet. */
void wst__slot_cancel_attempt(wst__slot_t *s);

/* The slot needs no connection any more. */
void wst__slot_stop_attempts(wst__slot_t *s);

/* Whether another connection may take the place of the present one: if that cannot be resumed, the
 * server ends its streams. */
bool wst__slot_may_replace(const wst__slot_t *s);

/* -- slot_leaving.c -------------------------------------------------------------------------- */

/* Replaces uplinks whose server leaves before they are gone. The server ends them: it may still
 * open streams for clients that it has accepted before. What connects now may continue one, or
 * has its `conn`: that is awaited. */
void wst__slot_look_for_leaving(wst__slot_t *s);

/* An uplink whose server leaves is over, and with it that server, perhaps. What comes in its place
 * is soon there. */
void wst__slot_on_left(const wst__slot_uplink_t *u, int error, const char *detail);

/* The connection of an uplink whose server leaves is lost. As long as that is there, the streams
 * can go on with another connection. */
void wst__slot_strand(wst__slot_uplink_t *u, uint64_t grace_ms, wst_agent_failure_t failure);

/* The server reached does not know the session of an uplink whose server leaves. If that keeps its
 * connection, the next attempt has another conn: a later one to continue it, which may be led here
 * again, would otherwise replace here what has its conn. */
void wst__slot_give_up_left(wst__slot_t *s, wst__slot_uplink_t *left);

/* The server, which leaves, may open further streams for clients that it has accepted before. */
void wst__slot_on_left_resumed(wst__slot_uplink_t *u, uint64_t outage_ms);

/* -- slot.c ---------------------------------------------------------------------------------- */

extern const wst__uplink_callbacks_t wst__slot_callbacks;

/* Later, from the loop: an uplink has changed. */
void wst__slot_look_later(wst__slot_t *s);

wst_agent_failure_t wst__slot_failure_of(int error, int http_status, const char *detail);

/* The uplink has a connection. The end of those that a stream uses up is not told. */
void wst__slot_tell_up(wst__slot_uplink_t *u);

/* The uplink's connection is lost or over, which on_down or on_suspended may have told. */
void wst__slot_tell_end(const wst__slot_uplink_t *u, const wst_agent_failure_t *failure);

void wst__slot_tell_down(wst__slot_t *s, uint32_t conn, const wst_agent_failure_t *failure);

/* If the attempt that is over was to replace a connection because of its age, another one will. */
void wst__slot_renew_later(wst__slot_t *s, uint64_t delay_ms);

#endif
