/* SPDX-License-Identifier: MIT */
#ifndef TEST_MUX_RIG_H
#define TEST_MUX_RIG_H
/*
 * Two muxes joined by sockets in one loop, and what their streams tell. As in websocket_rig.h no
 * callback may run from inside a call to the library but on_change, none within another, and none
 * but on_closed after a close.
 */
#include "support.h"

#include "mux.h"

typedef enum mux_event {
    MUX_NEVER,
    MUX_UP,
    MUX_INCOMING,
    MUX_GOAWAY,
    MUX_DOWN,
    MUX_CLAIM, /* by another connection */
    MUX_SUSPENDED,
    MUX_RESUMED,
    MUX_ANSWER, /* to an open */
    MUX_GONE,   /* an incoming stream */
    MUX_READ,
    MUX_END,
    MUX_DRAIN,
    MUX_SHUTDOWN,
    MUX_ERROR,
    MUX_EVENTS
} mux_event_t;

typedef struct mux_rig mux_rig_t;
typedef struct mux_side mux_side_t;
typedef struct mux_attempt mux_attempt_t;

enum { MUX_ATTEMPTS = 64 };

/* A stream and what it told. */
typedef struct mux_probe {
    mux_rig_t *rig;
    wst_stream_t *stream; /* NULL: not open, or gone */
    uint8_t *received;
    size_t received_len, received_size;
    int reads, ends, drains, shutdowns, errors, closed;
    int error;
    bool closing;
} mux_probe_t;

typedef enum mux_policy { MUX_ACCEPT, MUX_REFUSE, MUX_HOLD } mux_policy_t;

struct mux_side {
    mux_rig_t *rig;
    wst_stream_t *stream; /* not taken yet */
    wst_hijack_t *hijack;
    wst__uplink_t *uplink;
    wst__uplink_options_t options;
    /* Server: not a mux but a plain WebSocket, which says nothing, with these protocols. */
    bool plain;
    const char *const *protocols;
    wst_websocket_t *websocket;
    int open_status; /* server: of its accept */

    int ups, incomings, goaways, changes, round_trips, downs, closed;
    int up_result;                  /* of on_up */
    bool alone;                     /* no other connection can come */
    int suspensions, resumes, loss; /* loss: the error of the last suspension */
    uint64_t grace_ms, outage_ms;   /* as told by the last suspension and resumption */
    char name[65], dest[300];
    int goaway_reason, error, http_status;
    char detail[256];
    bool closing;

    mux_policy_t policy;
    wst__incoming_t *incoming; /* held */
    int gone, gone_reason;
    wst__opening_t *open; /* waits for its answer */
    int answers, status;
    bool early_delivered;
    char text[300];
    mux_probe_t probe; /* the last stream that was opened or accepted */
};

/* One side of an attempt: a mux that hands its connection over, or becomes a session of its own. */
typedef struct mux_end {
    mux_attempt_t *attempt;
    mux_side_t *side;
    wst__uplink_t *uplink;
    wst_hello_t hello; /* of the far side, without its name */
    int claims, ups, downs, closed;
    int error;
    char detail[256];
    bool closing;
} mux_end_t;

/* Another connection between the sides, by which the client wants to continue its mux. */
struct mux_attempt {
    mux_rig_t *rig;
    int fds[2];
    wst_hijack_t *hijack;
    wst__resume_field_t claim;    /* as the client says and the server hears it */
    wst__claim_verdict_t verdict; /* the server's */
    bool misled;                  /* the client takes the server's hello for that mux's, or NULL: */
    wst__uplink_t *misled_to;
    mux_end_t client, server;
};

struct mux_rig {
    uv_loop_t loop;
    uv_timer_t watchdog;
    wst_ctx_t *ctx;
    mux_side_t client, server;
    int fds[2];     /* of the connection of the muxes; -1: it was cut */
    uint64_t epoch; /* of the last attempt */
    mux_attempt_t *attempts[MUX_ATTEMPTS];
    size_t attempt_count;
    int busy;
    /* Takes the streams that are opened or accepted; NULL: the probes do. */
    void (*take)(mux_side_t *side, wst_stream_t *stream);
    void (*act)(mux_rig_t *rig, mux_side_t *side, mux_event_t event); /* NULL, or in each */
    void *data;
};

/* All of these: false if there was no memory. */
bool mux_rig_init(mux_rig_t *rig);
bool mux_rig_join(mux_rig_t *rig, bool tcp);
bool mux_rig_start(mux_rig_t *rig); /* muxes, upgrade; run the loop then */

/* The client's part of that: 0 or the error. */
int mux_side_dial(mux_side_t *side);
void mux_side_takes_none(mux_side_t *side); /* no on_incoming; before the start */

/* All of that, until both are up. */
void mux_rig_up(mux_rig_t *rig, bool json, bool tcp);

/* Between init and join: both sides can resume, and the server keeps a session so long. */
void mux_rig_resumes(mux_rig_t *rig, uint64_t grace_ms);

/* Ends the connection of the muxes without a close frame. `lossy`: what is on the way is lost. */
void mux_rig_cut(mux_rig_t *rig, bool lossy);

/* Begins an attempt, with a true claim of the client's mux if it can make one. */
mux_attempt_t *mux_rig_attempt(mux_rig_t *rig);

/* The same in two steps, to change the claim in between; false: no memory. */
mux_attempt_t *mux_rig_claim(mux_rig_t *rig);
bool mux_rig_dial(mux_attempt_t *attempt);

/* Begins an attempt, and waits until both muxes have been resumed. */
void mux_rig_resume(mux_rig_t *rig);

/* Closes what there is; afterwards nothing may be left. */
void mux_rig_free(mux_rig_t *rig);

void mux_rig_turns(mux_rig_t *rig, int n);
void mux_rig_until(mux_rig_t *rig, const int *counter, int n);
void mux_rig_pass(mux_rig_t *rig, uint64_t ms);

mux_side_t *mux_rig_other(mux_side_t *side);

void mux_side_close(mux_side_t *side);
void mux_side_end(mux_side_t *side, int code, const char *reason, bool lose);
void mux_side_goaway(mux_side_t *side);
int mux_side_open(mux_side_t *side, const char *dest);
size_t mux_side_send_early(mux_side_t *side, const char *text); /* behind what it has opened */
void mux_side_accept(mux_side_t *side); /* what it holds: its probe has the stream */
wst_websocket_t *mux_side_websocket(const mux_side_t *side);
wst__session_t *mux_side_session(const mux_side_t *side);

/* The client asks, the server accepts: both probes have a stream. */
void mux_rig_stream(mux_rig_t *rig);

void mux_probe_read(mux_probe_t *probe, bool wanted);
int mux_probe_write(mux_probe_t *probe, const void *data, size_t len);
int mux_probe_shutdown(mux_probe_t *probe);
void mux_probe_reset(mux_probe_t *probe, int reason); /* 0: closes */

#endif
