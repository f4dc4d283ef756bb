/* SPDX-License-Identifier: MIT */
#include "server_log.h"

static void put_agent(log_event_t *e, const wst_remote_t *agent) {
    log_event_text(e, "agent", wst_remote_name(agent));
    log_event_text(e, "instance", wst_remote_instance(agent));
    log_event_text(e, "tenant", wst_remote_tenant(agent));
    log_event_text(e, "address", wst_remote_peer(agent));
}

void server_log_agent_up(const wst_remote_t *agent) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return; /* the library logs a line for people */
    log_event_begin(&e, WST_LOG_INFO, "agent_up");
    put_agent(&e, agent);
    log_event_end(&e);
}

void server_log_agent_down(const wst_remote_t *agent, const wst_agent_down_info_t *info) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, "agent_down");
    put_agent(&e, agent);
    log_event_text(&e, "error", info->error == 0 ? "" : wst_err_name(info->error));
    log_event_text(&e, "reason", info->detail);
    log_event_end(&e);
}

static void log_refusal(const char *event, const wst_refusal_info_t *info) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, event);
    log_event_text(&e, "client", info->client);
    log_event_text(&e, "user", info->user);
    log_event_text(&e, "tenant", info->tenant);
    log_event_text(&e, "agent", info->agent);
    log_event_text(&e, "destination", info->destination);
    log_event_text(&e, "address", info->address);
    log_event_number(&e, "http_status", (uint64_t)info->http_status);
    log_event_text(&e, "error", info->error);
    log_event_text(&e, "reason", info->reason);
    log_event_text(&e, "detail", info->detail);
    log_event_end(&e);
}

void server_log_agent_refused(const wst_refusal_info_t *info) {
    log_refusal("agent_refused", info);
}

void server_log_refused(const wst_refusal_info_t *info) {
    log_refusal("refused", info);
}

static void put_stream(log_event_t *e, const wst_stream_info_t *info) {
    log_event_number(e, "id", info->id);
    log_event_text(e, "client", info->client);
    log_event_text(e, "user", info->user);
    log_event_text(e, "tenant", info->tenant);
    log_event_text(e, "agent", info->agent);
    log_event_text(e, "destination", info->destination);
    log_event_text(e, "address", info->address);
    log_event_number(e, "dial_ms", info->dial_ms);
}

void server_log_stream_open(const wst_stream_info_t *info) {
    log_event_t e;
    if (log_wants_event(WST_LOG_INFO)) {
        log_event_begin(&e, WST_LOG_INFO, "stream_open");
        put_stream(&e, info);
        log_event_end(&e);
        return;
    }
    log_line(WST_LOG_INFO, "tunnel %llu open: %s%s%s to %s through %s, dialled in %llu ms",
             (unsigned long long)info->id, info->user, info->user[0] != '\0' ? " at " : "",
             info->client, info->destination, info->agent, (unsigned long long)info->dial_ms);
}

void server_log_stream_close(const wst_stream_info_t *info) {
    log_event_t e;
    if (log_wants_event(WST_LOG_INFO)) {
        log_event_begin(&e, WST_LOG_INFO, "stream_close");
        put_stream(&e, info);
        log_event_number(&e, "duration_ms", info->duration_ms);
        log_event_number(&e, "bytes_to_agent", info->bytes_to_agent);
        log_event_number(&e, "bytes_to_client", info->bytes_to_client);
        log_event_text(&e, "ended_by", info->ended_by);
        log_event_text(&e, "status", info->status == 0 ? "ok" : wst_err_name(info->status));
        log_event_text(&e, "reason", info->status == 0 ? "" : wst_strerror(info->status));
        log_event_end(&e);
        return;
    }
    log_line(WST_LOG_INFO,
             "tunnel %llu over: %s by the %s after %llu ms, %llu bytes to the "
             "agent, %llu to the client",
             (unsigned long long)info->id, info->status == 0 ? "ended" : wst_strerror(info->status),
             info->ended_by, (unsigned long long)info->duration_ms,
             (unsigned long long)info->bytes_to_agent, (unsigned long long)info->bytes_to_client);
}
