/* SPDX-License-Identifier: MIT */
/*
 * The metrics in the text format of OpenMetrics 1.0. All samples of a family stand together, so the
 * agents are walked over once for each of theirs. Names of users and destinations are no labels:
 * they are none of a monitor's business, and there is no bound to their number.
 */
#include "admin.h"

#include <wstunnel/version.h>

/* Room for a family of the server (the largest is a histogram), and for the samples of an agent. */
enum { FAMILY_ROOM = 8192, SAMPLE_ROOM = 2048 };

#ifdef WST_TLS_OPENSSL
static const char tls_engine[] = "openssl";
#else
static const char tls_engine[] = "mbedtls";
#endif

/* Families ----------------------------------------------------------------------------------- */

static void put_line(wst__admin_text_t *t, const char *what, const char *name, const char *text) {
    wst__admin_put(t, what);
    wst__admin_put(t, name);
    wst__admin_put(t, " ");
    wst__admin_put(t, text);
    wst__admin_put(t, "\n");
}

/* `unit`: the end of the name, or NULL. */
static void put_family(wst__admin_text_t *t, const char *name, const char *type, const char *unit,
                       const char *help) {
    put_line(t, "# TYPE ", name, type);
    if (unit != NULL)
        put_line(t, "# UNIT ", name, unit);
    put_line(t, "# HELP ", name, help);
}

static void put_sample(wst__admin_text_t *t, const char *name, const char *suffix, uint64_t value) {
    wst__admin_put(t, name);
    wst__admin_put(t, suffix);
    wst__admin_put(t, " ");
    wst__admin_put_number(t, value);
    wst__admin_put(t, "\n");
}

static void put_gauge(wst__admin_text_t *t, const char *name, const char *unit, const char *help,
                      uint64_t value) {
    put_family(t, name, "gauge", unit, help);
    put_sample(t, name, "", value);
}

static void put_counter(wst__admin_text_t *t, const char *name, const char *help, uint64_t value) {
    put_family(t, name, "counter", NULL, help);
    put_sample(t, name, "_total", value);
}

/* The program -------------------------------------------------------------------------------- */

static int next_family(wst__admin_conn_t *c) {
    c->progress.section++;
    c->progress.agents = (wst__admin_walk_t){0};
    return WST__ADMIN_MORE;
}

static int put_program(wst__admin_conn_t *c, wst__admin_text_t *t) {
    const wst_admin_t *a = c->admin;
    if (wst__admin_count_descriptors(&c->progress.descriptors))
        return WST__ADMIN_MORE;
    put_family(t, "wstunnel_build", "info", NULL, "Version of the library, and its TLS engine.");
    wst__admin_put(t, "wstunnel_build_info{version=");
    wst__admin_put_label(t, wst_version());
    wst__admin_put(t, ",tls=");
    wst__admin_put_label(t, tls_engine);
    wst__admin_put(t, "} 1\n");
    put_gauge(t, "process_start_time_seconds", "seconds",
              "When the server was started, since 1970.", a->since > 0 ? (uint64_t)a->since : 0);
    put_gauge(t, "process_open_fds", NULL, "Open descriptors.", c->progress.descriptors.open);
    put_gauge(t, "process_max_fds", NULL, "Most descriptors that may be open.",
              c->progress.descriptors.limit);
    return next_family(c);
}

static void put_expiry(wst__admin_text_t *t, const wst_admin_t *a) {
    static const char name[] = "wstunnel_certificate_expiry_timestamp_seconds";
    int64_t expires = wst__admin_expiry(a);
    if (expires == INT64_MAX)
        return;
    put_family(t, name, "gauge", "seconds", "When the certificate expires, since 1970.");
    wst__admin_put(t, name);
    wst__admin_put(t, " ");
    wst__admin_put_signed(t, expires);
    wst__admin_put(t, "\n");
}

static void put_longest(wst__admin_text_t *t, uint64_t us) {
    static const char name[] = "wstunnel_loop_turn_max_seconds";
    put_family(t, name, "gauge", "seconds", "The longest turn of the event loop so far.");
    wst__admin_put(t, name);
    wst__admin_put(t, " ");
    wst__admin_put_seconds(t, us);
    wst__admin_put(t, "\n");
}

static int put_context(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_ctx_stats_t s = {.size = sizeof(s)};
    wst_ctx_get_stats(c->admin->ctx, &s);
    put_expiry(t, c->admin);
    put_gauge(t, "wstunnel_memory_used_bytes", "bytes", "Memory that open streams have reserved.",
              s.budget_used);
    put_gauge(t, "wstunnel_memory_limit_bytes", "bytes", "The memory budget of streams.",
              s.budget_limit);
    put_longest(t, s.turn_max_us);
    put_counter(t, "wstunnel_loop_turns", "Turns of the event loop.", s.turns);
    put_counter(t, "wstunnel_loop_turns_over_1ms", "Turns longer than 1 ms.", s.turns_over_1ms);
    put_counter(t, "wstunnel_loop_turns_over_10ms", "Turns longer than 10 ms.", s.turns_over_10ms);
    return next_family(c);
}

/* The server --------------------------------------------------------------------------------- */

static void put_now(wst__admin_text_t *t, const wst_server_stats_t *s) {
    put_gauge(t, "wstunnel_connections", NULL, "Connections of clients, agents and monitors.",
              s->connections);
    put_gauge(t, "wstunnel_agents", NULL, "Agents that are connected or suspended.", s->agents);
    put_gauge(t, "wstunnel_sessions", NULL, "Sessions of agents.", s->sessions);
    put_gauge(t, "wstunnel_streams", NULL, "Open tunnels and requests being forwarded.",
              s->streams);
    put_gauge(t, "wstunnel_pending_flows", NULL, "Flows that have not reached their destination.",
              s->pending);
    put_gauge(t, "wstunnel_tls_handshakes", NULL, "TLS handshakes under way.", s->handshakes);
    put_gauge(t, "wstunnel_suspended_sessions", NULL,
              "Sessions of agents that wait for another connection.", s->suspended);
    put_gauge(t, "wstunnel_suspended_bytes", "bytes", "Memory that their streams hold.",
              s->suspended_bytes);
}

static void put_so_far(wst__admin_text_t *t, const wst_server_stats_t *s) {
    put_counter(t, "wstunnel_streams_opened", "Tunnels and forwarded requests.", s->streams_opened);
    put_counter(t, "wstunnel_agents_refused", "Agents that were not admitted.", s->agents_refused);
    put_counter(t, "wstunnel_tls_failures", "TLS handshakes that failed.", s->tls_failures);
    put_counter(t, "wstunnel_turned_away",
                "Connections closed because their source, or all, took too much.", s->turned_away);
    put_counter(t, "wstunnel_resumes", "Sessions of agents that went on.", s->resumes);
    put_counter(t, "wstunnel_resumes_refused", "Sessions that agents wanted to continue in vain.",
                s->resumes_refused);
    put_counter(t, "wstunnel_suspended_lost", "Suspended sessions that ended.", s->suspended_lost);
}

static void put_server_bytes(wst__admin_text_t *t, const wst_server_stats_t *s) {
    static const char name[] = "wstunnel_stream_bytes";
    put_family(t, name, "counter", "bytes", "Bytes that streams have carried.");
    put_sample(t, name, "_total{direction=\"to_agent\"}", s->bytes_to_agents);
    put_sample(t, name, "_total{direction=\"to_client\"}", s->bytes_to_clients);
}

static int put_server(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_server_stats_t s = {.size = sizeof(s)};
    wst_server_get_stats(c->admin->options.server, &s);
    put_now(t, &s);
    put_so_far(t, &s);
    put_server_bytes(t, &s);
    return next_family(c);
}

static int put_refused(wst__admin_conn_t *c, wst__admin_text_t *t) {
    static const char name[] = "wstunnel_refused";
    const char *error;
    uint64_t count;
    put_family(t, name, "counter", NULL, "Requests of clients that were not served, by RFC 9209.");
    for (size_t n = 0; wst_server_refusals(c->admin->options.server, n, &error, &count); n++) {
        wst__admin_put(t, name);
        wst__admin_put(t, "_total{error=");
        wst__admin_put_label(t, error);
        put_sample(t, "}", "", count);
    }
    return next_family(c);
}

/* Histograms --------------------------------------------------------------------------------- */

static void put_histogram(wst__admin_text_t *t, const char *name, const char *help,
                          const wst_histogram_t *h) {
    uint64_t below = 0;
    put_family(t, name, "histogram", "seconds", help);
    for (size_t i = 0; i < WST_HISTOGRAM_BUCKETS; i++) {
        uint64_t bound = wst_histogram_bound_us(i);
        below += h->counts[i];
        wst__admin_put(t, name);
        wst__admin_put(t, "_bucket{le=\"");
        if (bound == UINT64_MAX)
            wst__admin_put(t, "+Inf");
        else
            wst__admin_put_seconds(t, bound);
        put_sample(t, "\"}", "", below);
    }
    put_sample(t, name, "_count", below);
    wst__admin_put(t, name);
    wst__admin_put(t, "_sum ");
    wst__admin_put_seconds(t, h->sum_us);
    wst__admin_put(t, "\n");
}

static int put_dials(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_histogram_t h = {.size = sizeof(h)};
    wst_server_dial_times(c->admin->options.server, &h);
    put_histogram(t, "wstunnel_dial_seconds", "From requests to open connections.", &h);
    return next_family(c);
}

static int put_round_trips(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_histogram_t h = {.size = sizeof(h)};
    wst_server_round_trips(c->admin->options.server, &h);
    put_histogram(t, "wstunnel_round_trip_seconds", "How long agents took to answer pings.", &h);
    return next_family(c);
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
        put_family(t, f->name, f->type, f->unit, f->help);
    const wst_remote_t *agent = wst__admin_next_agent(walk, c->admin, &c->viewer);
    if (agent == NULL)
        return next_family(c);
    f->put(t, agent);
    return WST__ADMIN_MORE;
}

/* The whole ---------------------------------------------------------------------------------- */

static const wst__admin_step_t server_families[] = {put_program, put_context, put_server,
                                                    put_refused, put_dials,   put_round_trips};
enum { SERVER_FAMILIES = sizeof(server_families) / sizeof(server_families[0]) };

/* The figures of the whole server are not for the operators of a tenant. */
static int step_metrics(wst__admin_conn_t *c, wst__admin_text_t *t) {
    size_t before = c->viewer.tenant[0] == '\0' ? SERVER_FAMILIES : 0;
    size_t section = c->progress.section;
    if (wst__admin_text_room(t) < (section < before ? FAMILY_ROOM : SAMPLE_ROOM))
        return WST__ADMIN_FULL;
    if (section < before)
        return server_families[section](c, t);
    if (section < before + AGENT_FAMILIES)
        return put_agent_family(c, t, section - before);
    wst__admin_put(t, "# EOF\n");
    return WST__ADMIN_LAST;
}

void wst__admin_serve_metrics(wst__admin_conn_t *c) {
    wst__admin_answer_in_parts(c, "application/openmetrics-text; version=1.0.0; charset=utf-8",
                               step_metrics);
}
