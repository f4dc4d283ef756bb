/* SPDX-License-Identifier: MIT */
#include "agent_log.h"

void agent_log_up(const wst_agent_t *agent) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, "up");
    log_event_text(&e, "agent", wst_agent_name(agent));
    log_event_end(&e);
}

void agent_log_down(const wst_agent_t *agent, const wst_agent_failure_t *failure) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_WARN))
        return;
    log_event_begin(&e, WST_LOG_WARN, "down");
    log_event_text(&e, "agent", wst_agent_name(agent));
    log_event_text(&e, "error", wst_err_name(failure->error));
    log_event_text(&e, "reason", failure->detail);
    log_event_number(&e, "http_status", (uint64_t)failure->http_status);
    log_event_number(&e, "retry_in_ms", failure->retry_in_ms);
    log_event_end(&e);
}

/* The status of a stream that opens or ends. */
static void put_status(log_event_t *e, int status) {
    log_event_text(e, "status", status == 0 ? "ok" : wst_err_name(status));
    log_event_text(e, "reason", status == 0 ? "" : wst_strerror(status));
}

void agent_log_stream_open(const wst_agent_stream_info_t *info) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, "stream_open");
    log_event_text(&e, "destination", info->destination);
    put_status(&e, info->status);
    log_event_end(&e);
}

void agent_log_stream_close(const wst_agent_stream_info_t *info) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, "stream_close");
    log_event_text(&e, "destination", info->destination);
    log_event_number(&e, "bytes_to_destination", info->bytes_to_destination);
    log_event_number(&e, "bytes_to_server", info->bytes_to_server);
    put_status(&e, info->status);
    log_event_end(&e);
}
