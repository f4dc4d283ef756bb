/* SPDX-License-Identifier: MIT */
/*
 * The metrics in the text format of OpenMetrics 1.0. All samples of a family stand together, so the
 * agents are walked over once for each of theirs. Names of users and destinations are no labels:
 * they are none of a monitor's business, and there is no bound to their number.
 */
#include "admin.h"

/* Room for the samples of an agent. */
enum { SAMPLE_ROOM = 2048 };

/* The server --------------------------------------------------------------------------------- */

static void put_now(wst__admin_text_t *t, const wst_server_stats_t *s) {
    wst__admin_put_gauge(t, "wstunnel_connections", NULL,
                         "Connections of clients, agents and monitors.", s->connections);
    wst__admin_put_gauge(t, "wstunnel_agents", NULL, "Agents that are connected or suspended.",
                         s->agents);
    wst__admin_put_gauge(t, "wstunnel_sessions", NULL, "Sessions of agents.", s->sessions);
    wst__admin_put_gauge(t, "wstunnel_streams", NULL, "Open tunnels and requests being forwarded.",
                         s->streams);
    wst__admin_put_gauge(t, "wstunnel_pending_flows", NULL,
                         "Flows that have not reached their destination.", s->pending);
    wst__admin_put_gauge(t, "wstunnel_tls_handshakes", NULL, "TLS handshakes under way.",
                         s->handshakes);
    wst__admin_put_gauge(t, "wstunnel_suspended_sessions", NULL,
                         "Sessions of agents that wait for another connection.", s->suspended);
    wst__admin_put_gauge(t, "wstunnel_suspended_bytes", "bytes", "Memory that their streams hold.",
                         s->suspended_bytes);
}

static void put_so_far(wst__admin_text_t *t, const wst_server_stats_t *s) {
    wst__admin_put_counter(t, "wstunnel_streams_opened", "Tunnels and forwarded requests.",
                           s->streams_opened);
    wst__admin_put_counter(t, "wstunnel_agents_refused", "Agents that were not admitted.",
                           s->agents_refused);
    wst__admin_put_counter(t, "wstunnel_tls_failures", "TLS handshakes that failed.",
                           s->tls_failures);
    wst__admin_put_counter(t, "wstunnel_turned_away",
                           "Connections closed because their source, or all, took too much.",
                           s->turned_away);
    wst__admin_put_counter(t, "wstunnel_resumes", "Sessions of agents that went on.", s->resumes);
    wst__admin_put_counter(t, "wstunnel_resumes_refused",
                           "Sessions that agents wanted to continue in vain.", s->resumes_refused);
    wst__admin_put_counter(t, "wstunnel_suspended_lost", "Suspended sessions that ended.",
                           s->suspended_lost);
}

static void put_server_bytes(wst__admin_text_t *t, const wst_server_stats_t *s) {
    static const char name[] = "wstunnel_stream_bytes";
    wst__admin_put_family(t, name, "counter", "bytes", "Bytes that streams have carried.");
    wst__admin_put_sample(t, name, "_total{direction=\"to_agent\"}", s->bytes_to_agents);
    wst__admin_put_sample(t, name, "_total{direction=\"to_client\"}", s->bytes_to_clients);
}

static int put_server(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_server_stats_t s = {.size = sizeof(s)};
    wst_server_get_stats(c->admin->options.server, &s);
    put_now(t, &s);
    put_so_far(t, &s);
    put_server_bytes(t, &s);
    return wst__admin_next_family(c);
}

static int put_refused(wst__admin_conn_t *c, wst__admin_text_t *t) {
    static const char name[] = "wstunnel_refused";
    const char *error;
    uint64_t count;
    wst__admin_put_family(t, name, "counter", NULL,
                          "Requests of clients that were not served, by RFC 9209.");
    for (size_t n = 0; wst_server_refusals(c->admin->options.server, n, &error, &count); n++) {
        wst__admin_put(t, name);
        wst__admin_put(t, "_total{error=");
        wst__admin_put_label(t, error);
        wst__admin_put_sample(t, "}", "", count);
    }
    return wst__admin_next_family(c);
}

/* Histograms --------------------------------------------------------------------------------- */

static void put_histogram(wst__admin_text_t *t, const char *name, const char *help,
                          const wst_histogram_t *h) {
    uint64_t below = 0;
    wst__admin_put_family(t, name, "histogram", "seconds", help);
    for (size_t i = 0; i < WST_HISTOGRAM_BUCKETS; i++) {
        uint64_t bound = wst_histogram_bound_us(i);
        below += h->counts[i];
        wst__admin_put(t, name);
        wst__admin_put(t, "_bucket{le=\"");
        if (bound == UINT64_MAX)
            wst__admin_put(t, "+Inf");
        else
            wst__admin_put_seconds(t, bound);
        wst__admin_put_sample(t, "\"}", "", below);
    }
    wst__admin_put_sample(t, name, "_count", below);
    wst__admin_put(t, name);
    wst__admin_put(t, "_sum ");
    wst__admin_put_seconds(t, h->sum_us);
    wst__admin_put(t, "\n");
}

static int put_dials(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_histogram_t h = {.size = sizeof(h)};
    wst_server_dial_times(c->admin->options.server, &h);
    put_histogram(t, "wstunnel_dial_seconds", "From requests to open connections.", &h);
    return wst__admin_next_family(c);
}

static int put_round_trips(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_histogram_t h = {.size = sizeof(h)};
    wst_server_round_trips(c->admin->options.server, &h);
    put_histogram(t, "wstunnel_round_trip_seconds", "How long agents took to answer pings.", &h);
    return wst__admin_next_family(c);
}

/* Agents ------------------------------------------------------------------------------------- */

static void put_agent_sample(wst__admin_text_t *t, const char *name, const wst_remote_t *agent,
                             const char *more) {
    wst__admin_put(t, name);
    wst__admin_put(t, "{agent=");
    wst__admin_put_label(t, wst_remote_name(agent));
    wst__admin_put(t, ",tenant=");
    wst__admin_put_label(t, wst_remote_tenant(agent));
    wst__admin_put(t, ",agent_instance=");
    wst__admin_put_label(t, wst_remote_instance(agent));
    wst__admin_put(t, more);
    wst__admin_put(t, "} ");
}

static void put_up(wst__admin_text_t *t, const wst_remote_t *agent) {
    put_agent_sample(t, "wstunnel_agent_up", agent, "");
    wst__admin_put(t, wst_remote_is_suspended(agent) ? "0\n" : "1\n");
}

static void put_streams(wst__admin_text_t *t, const wst_remote_t *agent) {
    put_agent_sample(t, "wstunnel_agent_streams", agent, "");
    wst__admin_put_number(t, wst_remote_streams(agent));
    wst__admin_put(t, "\n");
}

/* An agent without an answered ping has no sample. */
static void put_round_trip(wst__admin_text_t *t, const wst_remote_t *agent) {
    uint64_t ms = wst_remote_rtt_ms(agent);
    if (ms == 0)
        return;
    put_agent_sample(t, "wstunnel_agent_round_trip_seconds", agent, "");
    wst__admin_put_seconds(t, 1000 * ms);
    wst__admin_put(t, "\n");
}

static void put_agent_bytes(wst__admin_text_t *t, const wst_remote_t *agent) {
    put_agent_sample(t, "wstunnel_agent_bytes_total", agent, ",direction=\"to_agent\"");
    wst__admin_put_number(t, wst_remote_bytes_to_agent(agent));
    wst__admin_put(t, "\n");
    put_agent_sample(t, "wstunnel_agent_bytes_total", agent, ",direction=\"to_client\"");
    wst__admin_put_number(t, wst_remote_bytes_to_client(agent));
    wst__admin_put(t, "\n");
}

static const struct agent_family {
    const char *name, *type, *unit, *help;
    void (*put)(wst__admin_text_t *text, const wst_remote_t *agent);
} agent_families[] = {
    {"wstunnel_agent_up", "gauge", NULL, "1: connected; 0: suspended.", put_up},
    {"wstunnel_agent_streams", "gauge", NULL, "Streams open or opening.", put_streams},
    {"wstunnel_agent_round_trip_seconds", "gauge", "seconds", "The last answered ping.",
     put_round_trip},
    {"wstunnel_agent_bytes", "counter", "bytes", "Bytes that its streams have carried.",
     put_agent_bytes},
};
enum { AGENT_FAMILIES = sizeof(agent_families) / sizeof(agent_families[0]) };

/* Writes the next agent of a family; the family's own lines come before the first. */
static int put_agent_family(wst__admin_conn_t *c, wst__admin_text_t *t, size_t index) {
    const struct agent_family *f = &agent_families[index];
    wst__admin_walk_t *walk = &c->progress.agents;
    if (walk->visited == 0)
        wst__admin_put_family(t, f->name, f->type, f->unit, f->help);
    const wst_remote_t *agent = wst__admin_next_agent(walk, c->admin, &c->viewer);
    if (agent == NULL)
        return wst__admin_next_family(c);
    f->put(t, agent);
    return WST__ADMIN_MORE;
}

/* The whole ---------------------------------------------------------------------------------- */

static const wst__admin_step_t server_families[] = {
    wst__admin_put_program, wst__admin_put_context, put_server, put_refused, put_dials,
    put_round_trips};
enum { SERVER_FAMILIES = sizeof(server_families) / sizeof(server_families[0]) };

/* The figures of the whole server are not for the operators of a tenant. */
static int step_metrics(wst__admin_conn_t *c, wst__admin_text_t *t) {
    size_t before = c->viewer.tenant[0] == '\0' ? SERVER_FAMILIES : 0;
    size_t section = c->progress.section;
    if (wst__admin_text_room(t) < (section < before ? WST__ADMIN_FAMILY_ROOM : SAMPLE_ROOM))
        return WST__ADMIN_FULL;
    if (section < before)
        return server_families[section](c, t);
    if (section < before + AGENT_FAMILIES)
        return put_agent_family(c, t, section - before);
    wst__admin_put(t, "# EOF\n");
    return WST__ADMIN_LAST;
}

void wst__admin_serve_metrics(wst__admin_conn_t *c) {
    wst__admin_answer_in_parts(c, WST__ADMIN_OPENMETRICS, step_metrics);
}
