/* SPDX-License-Identifier: MIT */
#include "server_log.h"

#include "refusal_log.h"

#include <stdio.h>
#include <string.h>

enum { QUOTED_MAX = 6 * 127 + 3, TRACE_MAX = 80 };

/* Agents ------------------------------------------------------------------------------------- */

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

void server_log_agent_suspended(const wst_remote_t *agent, const wst_agent_suspended_info_t *info) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, "agent_suspended");
    put_agent(&e, agent);
    log_event_number(&e, "conn", info->conn);
    log_event_number(&e, "streams", info->streams);
    log_event_number(&e, "grace_ms", info->grace_ms);
    log_event_text(&e, "error", info->error == 0 ? "" : wst_err_name(info->error));
    log_event_text(&e, "reason", info->detail);
    log_event_end(&e);
}

void server_log_agent_resumed(const wst_remote_t *agent, const wst_agent_resumed_info_t *info) {
    log_event_t e;
    if (!log_wants_event(WST_LOG_INFO))
        return;
    log_event_begin(&e, WST_LOG_INFO, "agent_resumed");
    put_agent(&e, agent);
    log_event_number(&e, "conn", info->conn);
    log_event_number(&e, "streams", info->streams);
    log_event_number(&e, "outage_ms", info->outage_ms);
    log_event_end(&e);
}

/* Traces ------------------------------------------------------------------------------------- */

/* If the request has a trace; the members' names are those of OpenTelemetry. */
static void put_trace(log_event_t *e, const char *trace_id, const char *span_id) {
    if (trace_id[0] == '\0')
        return;
    log_event_text(e, "trace_id", trace_id);
    log_event_text(e, "span_id", span_id);
}

/* ", trace ID, span ID", or "". */
static const char *describe_trace(char out[TRACE_MAX], const char *trace_id, const char *span_id) {
    if (trace_id[0] == '\0')
        return "";
    snprintf(out, TRACE_MAX, ", trace %s, span %s", trace_id, span_id);
    return out;
}

/* Refusals ----------------------------------------------------------------------------------- */

static void tell_more(const char *source, uint64_t more, uint64_t seconds) {
    log_event_t e;
    if (log_wants_event(WST_LOG_INFO)) {
        log_event_begin(&e, WST_LOG_INFO, "more_refused");
        log_event_text(&e, "source", source);
        log_event_number(&e, "count", more);
        log_event_number(&e, "seconds", seconds);
        log_event_end(&e);
        return;
    }
    log_line(WST_LOG_INFO, "%llu more refusals of %s in the last %llu s", (unsigned long long)more,
             source, (unsigned long long)seconds);
}

void server_log_start(uv_loop_t *loop) {
    refusal_log_start(loop, tell_more);
}

void server_log_end(void) {
    refusal_log_end();
}

static void put_refusal(const char *event, wst_log_level_t level, const wst_refusal_info_t *info) {
    log_event_t e;
    log_event_begin(&e, level, event);
    log_event_text(&e, "client", info->client);
    log_event_text(&e, "user", info->user);
    log_event_text(&e, "claimed_user", info->claimed_user);
    log_event_text(&e, "tenant", info->tenant);
    log_event_text(&e, "agent", info->agent);
    log_event_text(&e, "destination", info->destination);
    log_event_text(&e, "address", info->address);
    log_event_number(&e, "http_status", (uint64_t)info->http_status);
    log_event_text(&e, "error", info->error);
    log_event_text(&e, "reason", info->reason);
    log_event_text(&e, "detail", info->detail);
    log_event_text(&e, "cause", info->cause);
    put_trace(&e, info->trace_id, info->span_id);
    log_event_end(&e);
}

void server_log_agent_refused(const wst_refusal_info_t *info) {
    bool by_hello = info->http_status == 0;
    wst_log_level_t level = by_hello ? WST_LOG_WARN : WST_LOG_INFO;
    if (!refusal_log_tells(info->client))
        return;
    if (log_wants_event(level))
        put_refusal("agent_refused", level, info);
    else if (by_hello)
        log_line(level, "agent at %s refused: %s", info->client, info->reason);
    else
        log_line(level, "agent at %s refused: %d %s", info->client, info->http_status,
                 info->reason);
}

/* Appends to a text of `size` bytes, or cuts. */
static void append(char *text, size_t size, const char *before, const char *more,
                   const char *after) {
    size_t len = strlen(text);
    snprintf(text + len, size - len, "%s%s%s", before, more, after);
}

/* " (wrong password, user \"alice\")", as far as that is known. */
static void describe_login(char *out, size_t size, const wst_refusal_info_t *info) {
    char name[QUOTED_MAX];
    out[0] = '\0';
    wst_json_quote(name, sizeof(name), info->claimed_user, strlen(info->claimed_user));
    if (info->cause[0] != '\0')
        append(out, size, " (", info->cause, "");
    if (info->claimed_user[0] != '\0')
        append(out, size, out[0] != '\0' ? ", user " : " (user ", name, "");
    if (out[0] != '\0')
        append(out, size, ")", "", "");
}

void server_log_refused(const wst_refusal_info_t *info) {
    char login[2 * QUOTED_MAX], trace[TRACE_MAX];
    if (!refusal_log_tells(info->client))
        return;
    if (log_wants_event(WST_LOG_INFO)) {
        put_refusal("refused", WST_LOG_INFO, info);
        return;
    }
    if (info->http_status == 0) {
        log_line(WST_LOG_INFO,
                 info->retry ? "client %s: connection closed: %s" : "connection from %s: %s",
                 info->client, info->reason);
        return;
    }
    bool known = info->client[0] != '\0';
    describe_login(login, sizeof(login), info);
    log_line(WST_LOG_INFO, "%s%s%s%s refused: %d %s%s%s", known ? "client " : "", info->client,
             known ? ": " : "", info->destination[0] != '\0' ? info->destination : "login",
             info->http_status, info->reason, login,
             describe_trace(trace, info->trace_id, info->span_id));
}

/* Streams ------------------------------------------------------------------------------------ */

static void put_stream(log_event_t *e, const wst_stream_info_t *info) {
    log_event_number(e, "id", info->id);
    log_event_text(e, "client", info->client);
    log_event_text(e, "user", info->user);
    log_event_text(e, "tenant", info->tenant);
    log_event_text(e, "agent", info->agent);
    log_event_text(e, "destination", info->destination);
    log_event_text(e, "address", info->address);
    log_event_number(e, "dial_ms", info->dial_ms);
    put_trace(e, info->trace_id, info->span_id);
}

void server_log_stream_open(const wst_stream_info_t *info) {
    log_event_t e;
    char trace[TRACE_MAX];
    if (log_wants_event(WST_LOG_INFO)) {
        log_event_begin(&e, WST_LOG_INFO, "stream_open");
        put_stream(&e, info);
        log_event_end(&e);
        return;
    }
    log_line(WST_LOG_INFO, "tunnel %llu open: %s%s%s to %s through %s, dialled in %llu ms%s",
             (unsigned long long)info->id, info->user, info->user[0] != '\0' ? " at " : "",
             info->client, info->destination, info->agent, (unsigned long long)info->dial_ms,
             describe_trace(trace, info->trace_id, info->span_id));
}

static const char *reason_of(const wst_stream_info_t *info) {
    if (info->detail[0] != '\0')
        return info->detail;
    return info->status == 0 ? "" : wst_strerror(info->status);
}

void server_log_stream_close(const wst_stream_info_t *info) {
    log_event_t e;
    char trace[TRACE_MAX];
    if (log_wants_event(WST_LOG_INFO)) {
        log_event_begin(&e, WST_LOG_INFO, "stream_close");
        put_stream(&e, info);
        log_event_number(&e, "duration_ms", info->duration_ms);
        log_event_number(&e, "bytes_to_agent", info->bytes_to_agent);
        log_event_number(&e, "bytes_to_client", info->bytes_to_client);
        log_event_text(&e, "ended_by", info->ended_by);
        log_event_text(&e, "status", info->status == 0 ? "ok" : wst_err_name(info->status));
        log_event_text(&e, "reason", reason_of(info));
        log_event_end(&e);
        return;
    }
    log_line(WST_LOG_INFO,
             "tunnel %llu over: %s%s%s by the %s after %llu ms, %llu bytes to the "
             "agent, %llu to the client%s",
             (unsigned long long)info->id, info->status == 0 ? "ended" : wst_strerror(info->status),
             info->detail[0] != '\0' ? ": " : "", info->detail, info->ended_by,
             (unsigned long long)info->duration_ms, (unsigned long long)info->bytes_to_agent,
             (unsigned long long)info->bytes_to_client,
             describe_trace(trace, info->trace_id, info->span_id));
}
