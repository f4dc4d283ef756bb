/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_FLOW_H
#define WST_LIB_FLOW_H
/*
 * The inside of a flow (wstunnel/flow.h): who asks, for what, through whom, what came of it. One
 * struct from the question to the last byte, and one state:
 *
 *     NEW -> ASKING -> CHOOSING <-> OPENING -> REACHED -> RELAYING -> DONE
 *                         ^                       |
 *                         +--a kept connection had gone stale
 *
 * flow.c has its life, the questions and the refusals; flow_open.c chooses an uplink and opens the
 * stream; flow_relay.c joins the streams and accounts for them.
 */
#include "ingress.h"
#include "ip.h"
#include "origin.h"
#include "refusal.h"
#include "request.h"
#include "uplink.h"

#include <wstunnel/pump.h>

enum { WST__TRIES_MAX = 8 };

typedef enum wst__flow_state {
    WST__FLOW_NEW,
    WST__FLOW_ASKING,   /* the embedder, about the client */
    WST__FLOW_CHOOSING, /* the embedder is asked, or an uplink is waited for */
    WST__FLOW_OPENING,  /* the far side is asked for the stream */
    WST__FLOW_REACHED,  /* the stream is there; the embedder is asked, or it is the front's turn */
    WST__FLOW_RELAYING,
    WST__FLOW_DONE
} wst__flow_state_t;

/* The search for an uplink. */
typedef struct wst__search {
    uint64_t only;       /* serial of an agent; 0: any */
    const char *name;    /* of an agent; NULL: any */
    const char **labels; /* that it must have, NULL-terminated; NULL: any */
    uint64_t chosen;     /* serial of the agent that the embedder chose; 0: any will do */
    uint64_t tried[WST__TRIES_MAX]; /* serials of the uplinks asked */
    size_t tries;
    int last_error;   /* why another uplink is being tried */
    int choice_error; /* why wst_server_best_agent() found none; else 0 */
    bool awaited;     /* and whether one may be waited for, ... */
    uint64_t wakes;   /* ... if no uplink has come up since: wst_ingress.wakes of then */
} wst__search_t;

struct wst_flow {
    wst__list_t node;      /* of the ingress' flows */
    wst__list_t wait_node; /* of those that wait for an uplink */
    wst_ingress_t *ingress;
    wst__flow_state_t state;
    const wst_flow_callbacks_t *callbacks;
    /* Whether whoever asked has gone, so that nobody is to be asked or told; the front is about to
     * cancel the flow. Or NULL. */
    bool (*is_gone)(const wst_flow_t *flow, void *user_data);
    /* Of a front that keeps connections: hands over the one that may do instead of a new one, now
     * that it is known who asks; false: none. Or NULL. */
    bool (*spare)(wst_flow_t *flow, wst__origin_t *out, void *user_data);
    void *user_data;

    /* Who asks. */
    const char *peer; /* as the destination and search.name, this lies in `texts` */
    char user[WST__USER_MAX + 1], tenant[WST__TENANT_MAX + 1];
    bool authenticated, unasked;
    const wst_http_head_t *head;
    const wst_auth_basic_t *login; /* of a client without a head; set by its front, borrowed too */
    const struct wst_tls_info *tls;

    /* For what. */
    const char *destination;
    uint64_t asked_ms, timeout_ms;

    /* Through whom. */
    wst__search_t search;
    char agent[WST_NAME_MAX + 1]; /* that is or was asked last */
    uint64_t agent_serial;        /* its */
    char address[WST__IP_TEXT];   /* that was reached, or "" */

    /* What is under way. */
    wst_request_t *request;
    wst__opening_t *opening;
    wst__origin_t kept;   /* will do if its agent is chosen */
    wst_stream_t *stream; /* REACHED: the destination's; taken: to be told when it is closed */
    bool reused;          /* it is the one that was kept: it may have gone stale */
    bool established;     /* REACHED: it is the front's turn */
    bool telling;         /* DONE: on_stream_close runs, ... */
    bool cancelled;       /* ... and has cancelled the flow */
    wst_pump_t *pump;
    wst__deadline_t deadline;
    wst__defer_t defer;

    /* What came of it. */
    uint64_t id, opened_ms, closed_ms, bytes_to_agent, bytes_to_client;
    int status;
    const char *ended_by;
    const wst__refusal_text_t *refusal_text; /* while it is being refused */

    wst__ticket_t hold, busy; /* of the node */
    wst__ticket_t place;      /* among those pending, or those relaying */
    wst__ticket_t connection; /* among the node's connections, handed over by a front */
    char texts[];             /* destination, peer, agent's name: no longer than they are, since
                                 idle tunnels keep them */
};

/* -- flow.c ---------------------------------------------------------------------------------- */

/* Whether a flow can be made of what the options ask for: 0, and how the destination is written;
 * WST_EINVAL: there is no destination, or a text is too long; WST_EDEST. */
int wst__flow_check(const wst_flow_options_t *options, char destination[WST_DEST_MAX + 1]);

/* Makes a flow that has not begun; the destination is taken as it is written. 0 or WST_ENOMEM. */
int wst__flow_new(wst_flow_t **out, wst_ingress_t *ingress, const wst_flow_options_t *options,
                  const wst_flow_callbacks_t *callbacks, void *user_data);

/* Puts the first question, or goes on if there is none. The flow may be over on return. */
void wst__flow_start(wst_flow_t *flow);

/* The client may have the connection: goes on to the choice of an agent; later questions show
 * `head` and `tls`. May be called once more after wst__flow_over, if no byte of an answer has come.
 */
void wst__flow_dial(wst_flow_t *flow, const wst_http_head_t *head, const struct wst_tls_info *tls);

/* Refuses the flow for a cause, a code of error.h or refusal.h, and frees it. `detail`: more about
 * the cause for people, or empty. */
void wst__flow_refuse(wst_flow_t *flow, int cause, wst_str_t detail);
void wst__flow_refuse_as(wst_flow_t *flow, const wst__refusal_t *refusal, int code);

/* Refuses the flow since the embedder said no (WST_EDENIED), or nothing in time. */
void wst__flow_deny(wst_flow_t *flow, int verdict, const wst__answer_t *answer);

/* Asks the embedder a question about the flow. Without memory for that the flow is refused. */
void wst__flow_ask(wst_flow_t *flow, wst__question_t question, wst__answer_cb on_answer);

/* Whether the front's client has left: its front is about to cancel the flow. */
bool wst__flow_is_gone(const wst_flow_t *flow);

/* Whether the embedder wants to be asked this question about the flow. */
bool wst__flow_wants(const wst_flow_t *flow, wst__question_t question);

/* Takes the flow out of all lists and counts and frees it. */
void wst__flow_free(wst_flow_t *flow);

/* Ends what is under way before bytes flow. */
void wst__flow_stop(wst_flow_t *flow);

/* -- flow_open.c ----------------------------------------------------------------------------- */

/* Chooses an uplink and opens the stream; ends in wst__flow_establish or a refusal. */
void wst__flow_choose(wst_flow_t *flow);

/* -- flow_relay.c ---------------------------------------------------------------------------- */

/* The destination is reached and allowed: it is the front's turn. */
void wst__flow_establish(wst_flow_t *flow);

/* As wst_flow_relay, for a front that has forgotten the flow: takes the stream, and without memory
 * resets it and cancels the flow. */
void wst__flow_relay(wst_flow_t *flow, wst_stream_t *client);

/* For a front that moves the bytes itself and counts them in the flow: hands over the stream,
 * paused, which the flow forgets. */
wst_stream_t *wst__flow_release(wst_flow_t *flow);

/* The bytes until now. */
void wst__flow_count(const wst_flow_t *flow, uint64_t *to_agent, uint64_t *to_client);

/* Bytes begin to flow: it is counted and noticed. And that is over: then relay again by
 * wst__flow_join, ask again by wst__flow_dial, refuse, or cancel. */
void wst__flow_begin(wst_flow_t *flow);
void wst__flow_over(wst_flow_t *flow, int status, const char *ended_by);

/* Pumps between two streams, which are taken on success; 0 or WST_ENOMEM. */
int wst__flow_join(wst_flow_t *flow, wst_stream_t *client, wst_stream_t *destination);

/* Ends what relays, without a word to the front before the loop's next turn; the ingress closes. */
void wst__flow_abort(wst_flow_t *flow);

#endif
