/* SPDX-License-Identifier: MIT */
/* Names and secrets of a session that can be resumed (mux_resume.h). */
#include "mux_resume.h"

#include <string.h>

void wst__mux_resume_init(wst__mux_resume_t *r, bool client, const wst__uplink_options_t *options) {
    r->client = client;
    r->able = options->resumes;
    r->grace_ms = options->grace_ms;
    r->idle_grace_ms = options->idle_grace_ms;
    memcpy(r->tag, options->tag, sizeof(r->tag));
}

static int draw_name(wst__mux_resume_t *r, wst_ctx_t *ctx) {
    uint8_t *random = r->keys.sid + sizeof(r->tag);
    memcpy(r->keys.sid, r->tag, sizeof(r->tag));
    return wst__random(ctx, random, sizeof(r->keys.sid) - sizeof(r->tag));
}

bool wst__mux_resume_offer(wst__mux_resume_t *r, wst_ctx_t *ctx, const wst_hello_t *peer,
                           bool resumed, wst_hello_t *out) {
    if (!r->able || !peer->resumes || r->grace_ms == 0)
        return false;
    *out = (wst_hello_t){.size = sizeof(*out), .grace_ms = r->grace_ms, .resumed = resumed};
    if ((!resumed && draw_name(r, ctx) != 0) ||
        wst__random(ctx, out->secret, sizeof(out->secret)) != 0)
        return false; /* as good as a server that cannot resume */
    memcpy(out->session, r->keys.sid, sizeof(out->session));
    wst__resume_offer(&r->keys, out->secret);
    r->keys.epoch = peer->epoch;
    r->agreed = true;
    return true;
}

bool wst__mux_resume_is_named(const wst__mux_resume_t *r, const wst_hello_t *peer) {
    return r->agreed && peer->has_session &&
           memcmp(peer->session, r->keys.sid, sizeof(r->keys.sid)) == 0;
}

void wst__mux_resume_hear(wst__mux_resume_t *r, const wst_hello_t *peer) {
    r->agreed = r->able && peer->has_session && peer->grace_ms > 0;
    if (!r->agreed)
        return;
    memcpy(r->keys.sid, peer->session, sizeof(r->keys.sid));
    wst__resume_offer(&r->keys, peer->secret);
    wst__resume_confirm(&r->keys);
    r->grace_ms = r->idle_grace_ms = peer->grace_ms;
}

int wst__mux_resume_claim(const wst__mux_resume_t *r, uint32_t conn, uint64_t epoch,
                          wst__resume_field_t *out) {
    if (!r->agreed || !r->client)
        return WST_ESTATE;
    return wst__resume_field_prove(out, r->keys.sid, r->keys.confirmed, epoch, conn);
}

wst__claim_verdict_t wst__mux_resume_check(wst__mux_resume_t *r, const wst__resume_field_t *claim,
                                           uint32_t conn) {
    if (!r->agreed || r->client || !wst__resume_check(&r->keys, claim, conn))
        return WST__CLAIM_WRONG;
    return claim->epoch > r->keys.epoch ? WST__CLAIM_RIGHT : WST__CLAIM_OLDER;
}

void wst__mux_resume_forget(wst__mux_resume_t *r) {
    r->agreed = false;
    wst__resume_forget(&r->keys);
}
