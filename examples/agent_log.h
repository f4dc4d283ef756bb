/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_AGENT_LOG_H
#define EXAMPLES_AGENT_LOG_H
/* Logs an agent's events as JSON objects; in the text format the library's own lines tell them, but
 * for destinations that were not opened. */
#include "log.h"

#include <uv.h>

/* Begins and ends the log of such destinations, which bounds the lines about a host. */
void agent_log_start(uv_loop_t *loop);
void agent_log_end(void);

void agent_log_up(const wst_agent_t *agent);
void agent_log_down(const wst_agent_t *agent, const wst_agent_failure_t *failure);
void agent_log_suspended(const wst_agent_t *agent, const wst_agent_failure_t *failure,
                         size_t streams);
void agent_log_resumed(const wst_agent_t *agent, uint64_t outage_ms);
void agent_log_connection(const wst_agent_t *agent, const wst_agent_connection_info_t *info);
void agent_log_stream_open(const wst_agent_stream_info_t *info);
void agent_log_stream_close(const wst_agent_stream_info_t *info);

#endif
