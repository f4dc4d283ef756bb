/* SPDX-License-Identifier: MIT */
#ifndef TEST_RESUME_RIG_H
#define TEST_RESUME_RIG_H
/* The muxes of mux_rig.h with a session that outlives its connection: its outages and its state. */
#include "mux_rig.h"

enum { RESUME_GRACE_MS = 60000 };

/* After mux_rig_resumes: until both muxes are up, with epoch 1. */
void resume_rig_start(mux_rig_t *rig, bool json);

/* All of it: both sides can resume, and the server keeps a session for RESUME_GRACE_MS. */
void resume_rig_up(mux_rig_t *rig);

/* Ends the connection, until both sides know. */
void resume_rig_cut(mux_rig_t *rig, bool lossy);

/* What comes arrives until it is so much, all in all; fails if it is more. */
void resume_rig_until_received(mux_rig_t *rig, const mux_side_t *side, size_t len);

/* The stream's far side gets exactly this. */
void resume_rig_say(mux_rig_t *rig, mux_side_t *side, const char *text);

/* No stream was harmed, and no session has ended. */
void resume_rig_expect_well(const mux_rig_t *rig);

/* The same, and the stream still carries bytes both ways. */
void resume_rig_expect_alive(mux_rig_t *rig);

/* Its streams are told from inside the call. */
void resume_end_at_once(mux_side_t *side);

bool resume_is_suspended(const mux_side_t *side);
const uint8_t *resume_sid(const mux_side_t *side); /* NULL: the session cannot be resumed */
int resume_can_open(const mux_side_t *side);

#endif
