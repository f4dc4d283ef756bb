/* SPDX-License-Identifier: MIT */
#include "agent_log.h"

#include "refusal_log.h"

#include <string.h>

void agent_log_up(const wst_agent_t *agent) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, "up");
    log_event_text(&e, "agent", wst_agent_name(agent));
    log_event_end(&e);
}

static void put_failure(log_event_t *e, const wst_agent_failure_t *failure) {
    log_event_text(e, "error", wst_err_name(failure->error));
    log_event_text(e, "reason", failure->detail);
    log_event_number(e, "http_status", (uint64_t)failure->http_status);
    log_event_number(e, "retry_in_ms", failure->retry_in_ms);
}

void agent_log_down(const wst_agent_t *agent, const wst_agent_failure_t *failure) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_WARN))
        return;
    log_event_begin(&e, WST_LOG_WARN, "down");
    log_event_text(&e, "agent", wst_agent_name(agent));
    put_failure(&e, failure);
    log_event_end(&e);
}

void agent_log_connection(const wst_agent_t *agent, const wst_agent_connection_info_t *info) {
    log_event_t e;
    wst_log_level_t level = info->up ? WST_LOG_INFO : WST_LOG_WARN;
    if (!log_wants_event(level))
        return;
    log_event_begin(&e, level, info->up ? "connection_up" : "connection_down");
    log_event_text(&e, "agent", wst_agent_name(agent));
    log_event_text(&e, "url", info->url);
    log_event_number(&e, "conn", info->conn);
    if (info->failure != NULL)
        put_failure(&e, info->failure);
    log_event_end(&e);
}

void agent_log_suspended(const wst_agent_t *agent, const wst_agent_failure_t *failure,
                         size_t streams) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_WARN))
        return;
    log_event_begin(&e, WST_LOG_WARN, "suspended");
    log_event_text(&e, "agent", wst_agent_name(agent));
    log_event_number(&e, "streams", streams);
    log_event_text(&e, "error", wst_err_name(failure->error));
    log_event_text(&e, "reason", failure->detail);
    log_event_number(&e, "retry_in_ms", failure->retry_in_ms);
    log_event_end(&e);
}

void agent_log_resumed(const wst_agent_t *agent, uint64_t outage_ms) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, "resumed");
    log_event_text(&e, "agent", wst_agent_name(agent));
    log_event_number(&e, "outage_ms", outage_ms);
    log_event_end(&e);
}

/* Streams ------------------------------------------------------------------------------------ */

static void tell_more(const char *host, uint64_t more, uint64_t seconds) {
    log_event_t e;
    if (log_wants_event(WST_LOG_INFO)) {
        log_event_begin(&e, WST_LOG_INFO, "more_not_opened");
        log_event_text(&e, "host", host);
        log_event_number(&e, "count", more);
        log_event_number(&e, "seconds", seconds);
        log_event_end(&e);
        return;
    }
    log_line(WST_LOG_INFO, "%llu more streams to %s not opened in the last %llu s",
             (unsigned long long)more, host, (unsigned long long)seconds);
}

void agent_log_start(uv_loop_t *loop) {
    refusal_log_start(loop, tell_more);
}

void agent_log_end(void) {
    refusal_log_end();
}

/* The status of a stream that opens or ends. */
static void put_status(log_event_t *e, const wst_agent_stream_info_t *info) {
    log_event_text(e, "status", info->status == 0 ? "ok" : wst_err_name(info->status));
    log_event_text(e, "reason", info->reason);
}

/* For people, that a destination was not opened. */
static void tell_not_opened(const wst_agent_stream_info_t *info) {
    const char *status = wst_strerror(info->status);
    bool more = strcmp(info->reason, status) != 0;
    log_line(WST_LOG_INFO, "stream to %s: %s%s%s", info->destination, status, more ? ": " : "",
             more ? info->reason : "");
}

void agent_log_stream_open(const wst_agent_stream_info_t *info) {
    log_event_t e;
    if (info->status != 0 && !refusal_log_tells(info->destination))
        return;
    if (!log_wants_event(WST_LOG_INFO)) {
        if (info->status != 0)
            tell_not_opened(info);
        return;
    }
    log_event_begin(&e, WST_LOG_INFO, "stream_open");
    log_event_text(&e, "destination", info->destination);
    put_status(&e, info);
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
    put_status(&e, info);
    log_event_end(&e);
}
