/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_MUX_RESUME_H
#define WST_LIB_MUX_RESUME_H
/* What a mux knows about resuming its session: whether, for how long, and by which secrets. */
#include "uplink.h"

typedef struct wst__mux_resume {
    bool client;
    bool able;                        /* this side can resume, and the far side may */
    bool agreed;                      /* both can, and the server keeps the session for a while */
    uint64_t grace_ms, idle_grace_ms; /* the client's: as the server has told */
    uint8_t tag[4];
    /* The client's: the session's name, and the secret that it has heard last as `confirmed`. */
    wst__resume_keys_t keys;
} wst__mux_resume_t;

void wst__mux_resume_init(wst__mux_resume_t *r, bool client, const wst__uplink_options_t *options);

/* The server's answer to a hello: draws a secret, and a name for a new session, and completes
 * `out`, for wst__carrier_name_session; wipe it then. False: nothing can be resumed; `out` is not
 * set. */
bool wst__mux_resume_offer(wst__mux_resume_t *r, wst_ctx_t *ctx, const wst_hello_t *peer,
                           bool resumed, wst_hello_t *out);

/* Whether the server's hello is about the client's session. */
bool wst__mux_resume_is_named(const wst__mux_resume_t *r, const wst_hello_t *peer);

/* The client has heard the server's hello. */
void wst__mux_resume_hear(wst__mux_resume_t *r, const wst_hello_t *peer);

/* See wst__uplink_resume_ops_t. */
int wst__mux_resume_claim(const wst__mux_resume_t *r, uint32_t conn, uint64_t epoch,
                          wst__resume_field_t *out);
wst__claim_verdict_t wst__mux_resume_check(wst__mux_resume_t *r, const wst__resume_field_t *claim,
                                           uint32_t conn);

/* The session cannot be resumed any more. */
void wst__mux_resume_forget(wst__mux_resume_t *r);

#endif
