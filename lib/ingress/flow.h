/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_FLOW_H
#define WST_LIB_FLOW_H
/*
 * The inside of a flow (wstunnel/flow.h): the client, its destination, the agent and the outcome.
 * One struct serves from the first question to the last byte, and has one state:
 *
 *     NEW -> ASKING -> CHOOSING <-> OPENING -> REACHED -> RELAYING -> DONE
 *                         ^                       |
 *                         +--the kept connection was stale
 *
 * flow.c makes, asks, refuses and frees a flow; flow_open.c chooses an uplink and opens the stream;
 * flow_relay.c joins the streams, counts and reports.
 */
#include "ingress.h"
#include "ip.h"
#include "origin.h"
#include "refusal.h"
#include "request.h"
#include "traceparent.h"
#include "uplink.h"

#include <wstunnel/pump.h>

enum {
    WST__TRIES_MAX = 8,
    WST__EARLY_SENT_MAX = 4096 /* bytes that go ahead of the agent's answer */
};

typedef enum wst__flow_state {
    WST__FLOW_NEW,
    WST__FLOW_ASKING,   /* the embedder is asked about the client */
    WST__FLOW_CHOOSING, /* the embedder is asked for an agent, or the flow waits for an uplink */
    WST__FLOW_OPENING,  /* the far side is asked for the stream */
    WST__FLOW_REACHED,  /* the stream is open; the embedder is asked, or the front may take it */
    WST__FLOW_RELAYING,
    WST__FLOW_DONE
} wst__flow_state_t;

/* The search for an uplink. It is freed when a flow begins to relay that cannot search again, since
 * idle tunnels keep their flows. */
typedef struct wst__search {
    wst_flow_t *flow;
    wst__list_t wait_node;        /* CHOOSING: of ingress.waiting */
    wst__dial_turn_t turn;        /* CHOOSING: the flow waits for it, too; OPENING: held */
    wst__deadline_t deadline;     /* of the agent's answer */
    wst__opening_t *opening;      /* OPENING */
    wst__origin_t *kept;          /* used if its agent is chosen; NULL: none */
    char agent[WST_NAME_MAX + 1]; /* asked last, ... */
    uint32_t conn;                /* ... in the session with this number */
    uint64_t timeout_ms;
    uint64_t only;                  /* serial of the required agent; 0: any */
    const char *name;               /* of the required agent; NULL: any */
    const char **labels;            /* that the agent must have, NULL-terminated; NULL: none */
    uint64_t chosen;                /* serial of the agent that the embedder chose; 0: none, ... */
    char *networks;                 /* ... and the addresses that it may try; NULL: all */
    bool may_send_early;            /* wst_request_allow_early, with that choice */
    uint64_t tried[WST__TRIES_MAX]; /* serials of the uplinks (members) tried */
    size_t tries;
    uint64_t crowded; /* serial of the last agent at which the user has its share; 0: none */
    int last_error;   /* of the last failed try; 0: none */
    int choice_error; /* why wst_server_best_agent() found no agent; else 0 */
    int waits_for;    /* the cause of refusal if the wait for an uplink lasts too long */
    bool awaited;     /* with choice_error: a new uplink is expected */
    uint64_t wakes;   /* wst_ingress.wakes at that time: if changed, an uplink has come up since */
} wst__search_t;

/* The search begins anew, with the same conditions. */
static inline void wst__search_begin(wst__search_t *search) {
    search->tries = 0;
    search->last_error = 0;
    search->crowded = 0;
}

struct wst_flow {
    wst__list_t node; /* of ingress.flows */
    wst_ingress_t *ingress;
    wst__flow_state_t state;
    const wst_flow_callbacks_t *callbacks;
    /* Whether the client has left. Then the flow asks and reports nothing more, and the front is
     * about to cancel it. May be NULL. */
    bool (*is_gone)(const wst_flow_t *flow, void *user_data);
    /* For a front that keeps connections to origins: once the user is known, hands over a kept one
     * that can replace a new one. False: none. May be NULL. */
    bool (*spare)(wst_flow_t *flow, wst__origin_t *out, void *user_data);
    /* The first bytes for the destination, as far as the front has them by now; lent until
     * on_established. Up to WST__EARLY_SENT_MAX go ahead of the agent's answer (`early_sent`), and
     * so before the self check (self.h): the front leaves out what this node must not get. NULL:
     * none go ahead. */
    wst_slice_t (*early)(const wst_flow_t *flow, void *user_data);
    /* For a front that moves the bytes and counts them in the flow: the flow has been revoked. End
     * it by wst__flow_over. May be NULL. */
    void (*on_revoked)(wst_flow_t *flow, void *user_data);
    void *user_data;

    /* The client. */
    const char *peer;          /* in `texts`, like destination and search->name */
    char *names;               /* user and tenant; NULL: both are empty */
    const char *user, *tenant; /* in `names` */
    bool authenticated, unasked;
    const wst_http_head_t *head;
    const wst_auth_basic_t *login; /* of a client without a head; set by its front, borrowed too */
    const struct wst_tls_info *tls;

    /* Its request. */
    const char *destination;
    const wst__trace_t *trace; /* that it says it belongs to, in `texts`; NULL: none */
    uint64_t asked_ms;

    /* The agent. */
    wst__search_t *search; /* NULL: over */
    const char *agent; /* the agent asked last: in the search, or, once it is reached, in `route` */
    uint64_t agent_serial; /* its serial */
    const char *address;   /* the address reached, in `route`; or "" */
    char *route;           /* agent and address; NULL: none has been reached */

    /* Work under way. */
    wst_request_t *request;
    wst_stream_t *stream; /* REACHED: the destination's; RELAYING: if taken, until it closes */
    bool reused;          /* the destination's stream was kept: it may have gone stale */
    bool established;     /* REACHED: the front may take the stream */
    bool telling;         /* DONE: on_stream_close is running */
    bool cancelled;       /* on_stream_close has cancelled the flow */
    char *revoked;        /* why the flow may not go on; NULL: it may */
    wst_pump_t *pump;
    wst__defer_t defer;

    /* The outcome. */
    uint64_t id, opened_ms, closed_ms, bytes_to_agent, bytes_to_client;
    int status;
    uint32_t early_sent; /* bytes of the client that went ahead of the agent's answer */
    const char *ended_by;
    const wst__refusal_text_t *refusal_text; /* while on_refused runs */

    wst__ticket_t hold, busy; /* of the node's tallies */
    wst__claim_t claim;       /* of the user's account */
    wst__seat_t connection;   /* the client's, handed on by a front */
    char texts[];             /* destination, peer, agent's name, trace; of exact size, since idle
                                 tunnels keep them */
};

/* The front's connection will relay: hands its seat to the flow. It needs no memory of the seat any
 * more. */
static inline void wst__flow_take_seat(wst_flow_t *flow, wst__seat_t *seat) {
    wst__seat_admit(seat);
    wst__seat_hand_on(seat, &flow->connection);
}

/* -- flow.c ---------------------------------------------------------------------------------- */

/* Checks the options of a flow. 0, and the destination in canonical form; WST_EINVAL: there is no
 * destination, or a text is too long; WST_EDEST: the destination is malformed. */
int wst__flow_check(const wst_flow_options_t *options, char destination[WST_DEST_MAX + 1]);

/* Makes a flow in state NEW. Does not check the options (wst__flow_check). 0 or WST_ENOMEM. */
int wst__flow_new(wst_flow_t **out, wst_ingress_t *ingress, const wst_flow_options_t *options,
                  const wst_flow_callbacks_t *callbacks, void *user_data);

/* Asks the embedder about the client, or dials if it need not be asked. The flow may be freed on
 * return. */
void wst__flow_start(wst_flow_t *flow);

/* The client is allowed: chooses an agent and opens the stream; the flow may be freed on return.
 * Later questions show `head` and `tls`. May be called once more after wst__flow_over, if no byte
 * of a response has arrived. */
void wst__flow_dial(wst_flow_t *flow, const wst_http_head_t *head, const struct wst_tls_info *tls);

/* Refuses the flow for a cause, a code of error.h or refusal.h, and tells its owner, who frees it,
 * unless the client has left. `detail`: more about the cause for people, or empty. */
void wst__flow_refuse(wst_flow_t *flow, int cause, wst_str_t detail);
void wst__flow_refuse_as(wst_flow_t *flow, const wst__refusal_t *refusal, int code);

/* Refuses the flow for a verdict of wst__answer_verdict other than 0. For WST_EDENIED the refusal
 * is the embedder's answer. */
void wst__flow_deny(wst_flow_t *flow, int verdict, const wst__answer_t *answer);

/* Asks the embedder a question about the flow. Refuses the flow if there is no memory. The answer
 * may come in here, and the flow may be freed on return. */
void wst__flow_ask(wst_flow_t *flow, wst__question_t question, wst__answer_cb on_answer);

/* The flow lacks memory. True: some is about to be given back, and `again` runs in the next turn.
 * False: none is, or a quota stands in the way. */
bool wst__flow_await_room(wst_flow_t *flow, void (*again)(wst__defer_t *defer));

/* Whether the client has left: the front is about to cancel the flow. */
bool wst__flow_is_gone(const wst_flow_t *flow);

/* Whether the embedder wants to be asked this question about the flow. */
bool wst__flow_wants(const wst_flow_t *flow, wst__question_t question);

/* Takes the kept connection's stream out of the flow; NULL: there is none. */
wst_stream_t *wst__flow_take_kept(wst_flow_t *flow);

/* Ends the search for good: cancels what waits in it, and frees it. Harmless if it is over. */
void wst__flow_drop_search(wst_flow_t *flow);

/* Frees the flow, after taking it out of all lists and tallies. */
void wst__flow_free(wst_flow_t *flow);

/* Before bytes flow: cancels the question, open or wait, and closes the flow's streams. */
void wst__flow_stop(wst_flow_t *flow);

/* -- flow_open.c ----------------------------------------------------------------------------- */

/* Chooses an uplink and opens the stream; ends in wst__flow_establish or a refusal, which may come
 * in here: the flow may be freed on return. */
void wst__flow_choose(wst_flow_t *flow);

/* The client has sent something: sends bytes of `early` ahead of the agent's answer, as far as the
 * agent takes them. Harmless at any time before on_established. */
void wst__flow_send_early(wst_flow_t *flow);

/* Gives the flow's place at the agent back. If `unanswered`, and if the agent may look up a name
 * for the flow, it is kept for a while (late_place.h). */
void wst__flow_leave_agent(wst_flow_t *flow, bool unanswered);

/* Of ingress.turns: it is the flow's turn to have an agent open its stream. */
void wst__flow_on_turn(wst__dial_turn_t *turn);

/* A wst_flow.revoked for which there was no memory. */
extern char wst__flow_no_reason[];

/* -- flow_walk.c ----------------------------------------------------------------------------- */

/* The flow is about to be freed: walks that would visit it next go on. */
void wst__flow_leave_walks(const wst_flow_t *flow);

/* -- flow_relay.c ---------------------------------------------------------------------------- */

/* The destination is reached and allowed: runs on_established. */
void wst__flow_establish(wst_flow_t *flow);

/* As wst_flow_relay, for a front that no longer refers to the flow: always takes the stream; on
 * failure resets it and cancels the flow. */
void wst__flow_relay(wst_flow_t *flow, wst_stream_t *client);

/* Hands over the stream, paused, to a front that moves the bytes itself and counts them in the
 * flow. */
wst_stream_t *wst__flow_release(wst_flow_t *flow);

/* The bytes relayed so far. */
void wst__flow_count(const wst_flow_t *flow, uint64_t *to_agent, uint64_t *to_client);

/* Counts and reports that bytes begin to flow; wst__flow_over: that they have ended. Then relay
 * again by wst__flow_join, dial again by wst__flow_dial, refuse, or cancel. */
void wst__flow_begin(wst_flow_t *flow);
void wst__flow_over(wst_flow_t *flow, int status, const char *ended_by);

/* Pumps between two streams, which are taken on success; 0 or WST_ENOMEM. */
int wst__flow_join(wst_flow_t *flow, wst_stream_t *client, wst_stream_t *destination);

/* Refuses or ends the flow, since the ingress closes. The front is told later, from the loop. */
void wst__flow_abort(wst_flow_t *flow);

/* Whether the embedder has allowed the flow, which has not ended. */
bool wst__flow_is_allowed(const wst_flow_t *flow);

/* The same, or no question is asked about it: whether wst__flow_revoke can end it. */
bool wst__flow_may_end(const wst_flow_t *flow);

/* Refuses or ends the flow, since the embedder allows it no longer. The front is told later, from
 * the loop. `why` is copied. */
void wst__flow_revoke(wst_flow_t *flow, const char *why);

#endif
