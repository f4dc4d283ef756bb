/* SPDX-License-Identifier: MIT */
/* The status: an object whose members are written section by section (wstunnel/admin.h). */
#include "admin.h"

/* Room for an agent (32 labels of 127 bytes, six bytes each at worst), and for anything else. */
enum { AGENT_ROOM = 31000, ITEM_ROOM = 8192, DAY_S = 86400 };

/* The beginning ------------------------------------------------------------------------------ */

static int put_beginning(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst__admin_put_beginning(t, c, wst_server_is_draining(c->admin->options.server));
    wst__admin_put(t, ",\n\"agents\":[");
    return wst__admin_next_section(c);
}

/* Agents ------------------------------------------------------------------------------------- */

static void put_labels(wst__admin_text_t *t, const wst_remote_t *agent) {
    const char *const *labels = wst_remote_labels(agent);
    wst__admin_put(t, ",\"labels\":[");
    for (size_t i = 0; labels != NULL && labels[i] != NULL; i++)
        wst__admin_put_text_member(t, i > 0 ? "," : "", labels[i]);
    wst__admin_put(t, "]");
}

static void put_agent_status(wst__admin_text_t *t, const wst_remote_t *agent) {
    wst__admin_put_text_member(t, "{\"name\":", wst_remote_name(agent));
    wst__admin_put_text_member(t, ",\"instance\":", wst_remote_instance(agent));
    wst__admin_put_text_member(t, ",\"tenant\":", wst_remote_tenant(agent));
    wst__admin_put_text_member(t, ",\"address\":", wst_remote_peer(agent));
    wst__admin_put_text_member(t, ",\"software\":", wst_remote_software(agent));
    put_labels(t, agent);
    wst__admin_put_number_member(t, ",\"sessions\":", wst_remote_sessions(agent));
    wst__admin_put_number_member(t, ",\"uptime_ms\":", wst_remote_uptime_ms(agent));
    wst__admin_put_known_member(t, ",\"rtt_ms\":", wst_remote_rtt_ms(agent));
    wst__admin_put_number_member(t, ",\"streams\":", wst_remote_streams(agent));
    wst__admin_put_number_member(t, ",\"bytes_to_agent\":", wst_remote_bytes_to_agent(agent));
    wst__admin_put_number_member(t, ",\"bytes_to_client\":", wst_remote_bytes_to_client(agent));
    wst__admin_put_text_member(t, ",\"state\":",
                               wst_remote_is_suspended(agent) ? "suspended"
                               : wst_remote_is_ready(agent)   ? "ready"
                                                              : "unready");
    wst__admin_put(t, "}");
}

static int put_next_agent(wst__admin_conn_t *c, wst__admin_text_t *t) {
    if (wst__admin_text_room(t) < AGENT_ROOM)
        return WST__ADMIN_FULL;
    const wst_remote_t *agent = wst__admin_next_agent(&c->progress.agents, c->admin, &c->viewer);
    if (agent == NULL) {
        wst__admin_put(t, "],\n\"gone\":[");
        return wst__admin_next_section(c);
    }
    wst__admin_put_comma(t, c);
    put_agent_status(t, agent);
    return WST__ADMIN_MORE;
}

static void put_gone(wst__admin_text_t *t, const wst_admin_t *a, const wst__admin_gone_t *g) {
    wst__admin_put_text_member(t, "{\"name\":", g->name);
    wst__admin_put_text_member(t, ",\"instance\":", g->instance);
    wst__admin_put_text_member(t, ",\"tenant\":", g->tenant);
    wst__admin_put_text_member(t, ",\"address\":", g->address);
    wst__admin_put_number_member(t, ",\"ago_ms\":", wst_ctx_now(a->ctx) - g->at_ms);
    wst__admin_put_text_member(t, ",\"why\":", g->why);
    wst__admin_put(t, "}");
}

static int begin_flows(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst__admin_put(t, "],\n\"flows\":[");
    int status =
        wst_flow_walk_new(&c->progress.flows, wst_server_ingress(c->admin->options.server));
    return status == 0 ? wst__admin_next_section(c) : status;
}

static int put_next_gone(wst__admin_conn_t *c, wst__admin_text_t *t) {
    const wst_admin_t *a = c->admin;
    size_t kept = a->gone_count < WST__ADMIN_GONE ? a->gone_count : WST__ADMIN_GONE;
    if (c->progress.gone == kept)
        return begin_flows(c, t);
    size_t first = a->gone_count - kept;
    const wst__admin_gone_t *g = &a->gone[(first + c->progress.gone++) % WST__ADMIN_GONE];
    if (wst__admin_reaches(c->viewer.tenant, g->tenant)) {
        wst__admin_put_comma(t, c);
        put_gone(t, a, g);
    }
    return WST__ADMIN_MORE;
}

/* Flows -------------------------------------------------------------------------------------- */

typedef struct writing {
    wst__admin_conn_t *conn;
    wst__admin_text_t *text;
} writing_t;

static uint64_t flow_rate(wst_admin_t *a, const wst_stream_info_t *info) {
    uint64_t bytes = info->bytes_to_agent + info->bytes_to_client;
    return info->id != 0 ? wst__admin_rate(a, info->id, bytes, info->duration_ms) : 0;
}

static void put_flow(wst__admin_text_t *t, wst_admin_t *a, const wst_stream_info_t *info) {
    wst__admin_put_known_member(t, "{\"id\":", info->id);
    wst__admin_put_text_member(t, ",\"user\":", info->user);
    wst__admin_put_text_member(t, ",\"tenant\":", info->tenant);
    wst__admin_put_text_member(t, ",\"client\":", info->client);
    wst__admin_put_text_member(t, ",\"destination\":", info->destination);
    wst__admin_put_text_member(t, ",\"address\":", info->address);
    wst__admin_put_text_member(t, ",\"agent\":", info->agent);
    wst__admin_put_number_member(t, ",\"age_ms\":", info->age_ms);
    wst__admin_put_number_member(t, ",\"bytes_to_agent\":", info->bytes_to_agent);
    wst__admin_put_number_member(t, ",\"bytes_to_client\":", info->bytes_to_client);
    wst__admin_put_number_member(t, ",\"rate\":", flow_rate(a, info));
    wst__admin_put_text_member(t, ",\"state\":", info->state);
    wst__admin_put(t, "}");
}

static void on_flow(const wst_stream_info_t *info, void *user_data) {
    const writing_t *w = user_data;
    wst__admin_conn_t *c = w->conn;
    if (!wst__admin_reaches(c->viewer.tenant, info->tenant))
        return;
    wst__admin_put_comma(w->text, c);
    put_flow(w->text, c->admin, info);
}

static int put_next_flow(wst__admin_conn_t *c, wst__admin_text_t *t) {
    writing_t writing = {c, t};
    if (wst_flow_walk_next(c->progress.flows, 1, on_flow, &writing))
        return WST__ADMIN_MORE;
    wst__admin_put(t, "]");
    return wst__admin_next_section(c);
}

/* Health ------------------------------------------------------------------------------------- */

/* A quantile of the measured times; null without any. */
static void put_quantile(wst__admin_text_t *t, const char *before, const wst_histogram_t *h,
                         double part) {
    wst__admin_put(t, before);
    if (wst_histogram_count(h) > 0)
        wst__admin_put_ms(t, wst_histogram_quantile_us(h, part));
    else
        wst__admin_put(t, "null");
}

static void put_times(wst__admin_text_t *t, const wst_server_t *server) {
    wst_histogram_t h = {.size = sizeof(h)};
    wst_server_dial_times(server, &h);
    put_quantile(t, ",\"dial_p50_ms\":", &h, 0.5);
    put_quantile(t, ",\"dial_p99_ms\":", &h, 0.99);
    wst_server_round_trips(server, &h);
    put_quantile(t, ",\"round_trip_p50_ms\":", &h, 0.5);
    put_quantile(t, ",\"round_trip_p99_ms\":", &h, 0.99);
}

static void put_refusals(wst__admin_text_t *t, const wst_server_t *server) {
    const char *error;
    uint64_t count;
    wst__admin_put(t, ",\"refusals\":{");
    for (size_t n = 0; wst_server_refusals(server, n, &error, &count); n++) {
        wst__admin_put_text_member(t, n > 0 ? "," : "", error);
        wst__admin_put_number_member(t, ":", count);
    }
    wst__admin_put(t, "}");
}

static void put_certificate(wst__admin_text_t *t, const wst_admin_t *a) {
    int64_t expires = wst__admin_expiry(a);
    uv_timeval64_t clock;
    wst__admin_put(t, ",\n\"health\":{\"certificate_days\":");
    if (expires == INT64_MAX || uv_gettimeofday(&clock) != 0) {
        wst__admin_put(t, "null");
        return;
    }
    int64_t left = expires - clock.tv_sec;
    wst__admin_put_signed(t, left >= 0 ? left / DAY_S : -((DAY_S - 1 - left) / DAY_S));
}

static int put_health(wst__admin_conn_t *c, wst__admin_text_t *t) {
    const wst_admin_t *a = c->admin;
    if (wst__admin_count_descriptors(&c->progress.descriptors))
        return WST__ADMIN_MORE;
    put_certificate(t, a);
    wst__admin_put_process(t, c);
    put_refusals(t, a->options.server);
    put_times(t, a->options.server);
    wst__admin_put(t, "}");
    return wst__admin_next_section(c);
}

static int put_totals(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_server_stats_t s = {.size = sizeof(s)};
    wst_server_get_stats(c->admin->options.server, &s);
    wst__admin_put_number_member(t, ",\n\"totals\":{\"connections\":", s.connections);
    wst__admin_put_number_member(t, ",\"agents\":", s.agents);
    wst__admin_put_number_member(t, ",\"sessions\":", s.sessions);
    wst__admin_put_number_member(t, ",\"streams\":", s.streams);
    wst__admin_put_number_member(t, ",\"pending\":", s.pending);
    wst__admin_put_number_member(t, ",\"handshakes\":", s.handshakes);
    wst__admin_put_number_member(t, ",\"tls_failures\":", s.tls_failures);
    wst__admin_put_number_member(t, ",\"turned_away\":", s.turned_away);
    wst__admin_put_number_member(t, ",\"suspended\":", s.suspended);
    wst__admin_put_number_member(t, ",\"suspended_bytes\":", s.suspended_bytes);
    wst__admin_put_number_member(t, ",\"resumes\":", s.resumes);
    wst__admin_put_number_member(t, ",\"resumes_refused\":", s.resumes_refused);
    wst__admin_put_number_member(t, ",\"suspended_lost\":", s.suspended_lost);
    wst__admin_put_number_member(t, ",\"streams_opened\":", s.streams_opened);
    wst__admin_put_number_member(t, ",\"refused\":", s.refused);
    wst__admin_put_number_member(t, ",\"agents_refused\":", s.agents_refused);
    wst__admin_put_number_member(t, ",\"bytes_to_agents\":", s.bytes_to_agents);
    wst__admin_put_number_member(t, ",\"bytes_to_clients\":", s.bytes_to_clients);
    wst__admin_put(t, "}");
    return wst__admin_next_section(c);
}

/* The whole ---------------------------------------------------------------------------------- */

static int put_end(wst__admin_conn_t *c, wst__admin_text_t *t) {
    (void)c;
    wst__admin_put(t, "}\n");
    return WST__ADMIN_LAST;
}

/* The figures of the whole server are not for the operators of a tenant. */
static int step_status(wst__admin_conn_t *c, wst__admin_text_t *t) {
    static const wst__admin_step_t all[] = {put_beginning, put_next_agent, put_next_gone,
                                            put_next_flow, put_health,     put_totals,
                                            put_end};
    static const wst__admin_step_t of_tenant[] = {put_beginning, put_next_agent, put_next_gone,
                                                  put_next_flow, put_end};
    const wst__admin_step_t *sections = c->viewer.tenant[0] == '\0' ? all : of_tenant;
    if (wst__admin_text_room(t) < ITEM_ROOM)
        return WST__ADMIN_FULL;
    return sections[c->progress.section](c, t);
}

void wst__admin_serve_status(wst__admin_conn_t *c) {
    wst__admin_answer_in_parts(c, "application/json", step_status);
}
