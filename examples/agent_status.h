/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_AGENT_STATUS_H
#define EXAMPLES_AGENT_STATUS_H
/*
 * What the service manager learns of an agent. It is ready when its first connection is up, or
 * after ten seconds: with the server out of reach the agent goes on trying, and its start neither
 * fails nor keeps others waiting.
 */
#include <uv.h>
#include <wstunnel/agent.h>

/* Begins, for the one agent of the program. `urls`: of its servers, ends with NULL; borrowed. 0 or
 * libuv's error. */
int agent_status_start(uv_loop_t *loop, const char *const *urls);

/* What the agent's callbacks of these names learn. */
void agent_status_connection(const wst_agent_connection_info_t *info);
void agent_status_lost(const wst_agent_failure_t *failure); /* on_down, on_suspended */
void agent_status_up(void);                                 /* on_up, on_resumed */
void agent_status_stream(bool open);

/* Closes the handles, so that the loop can end. */
void agent_status_end(void);

#endif
