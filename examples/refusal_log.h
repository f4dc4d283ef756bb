/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_REFUSAL_LOG_H
#define EXAMPLES_REFUSAL_LOG_H
/*
 * Bounds the refusals of a source that a program's log tells one by one (refusals.h). A timer tells
 * of those that were kept back, in one line for each source. A program has one.
 */
#include "refusals.h"

#include <uv.h>

/* Begins. The timer does not keep the loop running. */
void refusal_log_start(uv_loop_t *loop, refusals_more_cb more);

/* Tells what is kept back. The loop must run on for the timer to go. */
void refusal_log_end(void);

/* Counts a refusal of a source. Returns whether to tell this one by itself. */
bool refusal_log_tells(const char *source);

#endif
