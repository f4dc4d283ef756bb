/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_SERVER_LOG_H
#define EXAMPLES_SERVER_LOG_H
/* Logs a server's notices, its access log, as lines for people or as JSON objects. */
#include "log.h"

#include <uv.h>

/* Begins and ends the access log, which bounds the refusals of a source (refusals.h): what it keeps
 * back is told in one line by a timer, or at the end. The loop must run on for the timer to go. */
void server_log_start(uv_loop_t *loop);
void server_log_end(void);

void server_log_agent_up(const wst_remote_t *agent);
void server_log_agent_down(const wst_remote_t *agent, const wst_agent_down_info_t *info);
void server_log_agent_suspended(const wst_remote_t *agent, const wst_agent_suspended_info_t *info);
void server_log_agent_resumed(const wst_remote_t *agent, const wst_agent_resumed_info_t *info);
void server_log_agent_refused(const wst_refusal_info_t *info);
void server_log_refused(const wst_refusal_info_t *info);
void server_log_stream_open(const wst_stream_info_t *info);
void server_log_stream_close(const wst_stream_info_t *info);

#endif
