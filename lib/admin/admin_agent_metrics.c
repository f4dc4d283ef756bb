/* SPDX-License-Identifier: MIT */
/* The metrics of an agent, as those of a server (admin_metrics.c): no label names a destination. */
#include "admin.h"

#include <string.h>

/* Connections -------------------------------------------------------------------------------- */

enum { UP, SUSPENDED, LEAVING, CONNECTING, WAITING, STATES };

static const char *const state_names[STATES] = {"up", "suspended", "leaving", "connecting",
                                                "waiting"};

/* Counts connections by their state. Each of them is looked at; there are few. */
static void count_states(const wst_agent_t *agent, uint64_t counts[STATES]) {
    wst_agent_connection_status_t s = {.size = sizeof(s)};
    for (size_t n = 0; wst_agent_connection(agent, n, &s); n++)
        for (size_t i = 0; i < STATES; i++)
            counts[i] += strcmp(s.state, state_names[i]) == 0;
}

static int put_connections(wst__admin_conn_t *c, wst__admin_text_t *t) {
    static const char name[] = "wstunnel_server_connections";
    uint64_t counts[STATES] = {0};
    count_states(c->admin->options.agent, counts);
    wst__admin_put_family(t, name, "gauge", NULL, "Connections to servers, by their state.");
    for (size_t i = 0; i < STATES; i++) {
        wst__admin_put(t, name);
        wst__admin_put(t, "{state=");
        wst__admin_put_label(t, state_names[i]);
        wst__admin_put_sample(t, "}", "", counts[i]);
    }
    return wst__admin_next_family(c);
}

/* Streams ------------------------------------------------------------------------------------ */

static int put_agent_streams(wst__admin_conn_t *c, wst__admin_text_t *t) {
    static const char bytes[] = "wstunnel_stream_bytes";
    wst_agent_stats_t s = {.size = sizeof(s)};
    wst_ctx_stats_t ctx = {.size = sizeof(ctx)};
    wst_agent_get_stats(c->admin->options.agent, &s);
    wst_ctx_get_stats(c->admin->ctx, &ctx);
    wst__admin_put_gauge(t, "wstunnel_streams", NULL, "Streams open or opening.", s.streams);
    wst__admin_put_gauge(t, "wstunnel_pending_streams", NULL,
                         "Streams whose destination is being opened.", s.pending);
    wst__admin_put_gauge(t, "wstunnel_pending_names", NULL, "Names being looked up.", ctx.names);
    wst__admin_put_counter(t, "wstunnel_streams_opened", "Streams whose destination was opened.",
                           s.streams_opened);
    wst__admin_put_counter(t, "wstunnel_streams_refused",
                           "Streams that were not opened: refused, failed, no longer wanted.",
                           s.streams_refused);
    wst__admin_put_family(t, bytes, "counter", "bytes", "Bytes that streams have carried.");
    wst__admin_put_sample(t, bytes, "_total{direction=\"to_destination\"}",
                          s.bytes_to_destinations);
    wst__admin_put_sample(t, bytes, "_total{direction=\"to_server\"}", s.bytes_to_server);
    wst__admin_put_counter(t, "wstunnel_suspensions",
                           "Connections that were lost while their streams waited.", s.suspensions);
    wst__admin_put_counter(t, "wstunnel_resumes", "Sessions that went on with another connection.",
                           s.resumes);
    return wst__admin_next_family(c);
}

/* The whole ---------------------------------------------------------------------------------- */

static int put_agent_end(wst__admin_conn_t *c, wst__admin_text_t *t) {
    (void)c;
    wst__admin_put(t, "# EOF\n");
    return WST__ADMIN_LAST;
}

static int step_agent_metrics(wst__admin_conn_t *c, wst__admin_text_t *t) {
    static const wst__admin_step_t families[] = {wst__admin_put_program, wst__admin_put_context,
                                                 put_connections, put_agent_streams, put_agent_end};
    return wst__admin_text_room(t) < WST__ADMIN_FAMILY_ROOM ? WST__ADMIN_FULL
                                                            : families[c->progress.section](c, t);
}

void wst__admin_serve_agent_metrics(wst__admin_conn_t *c) {
    wst__admin_answer_in_parts(c, WST__ADMIN_OPENMETRICS, step_agent_metrics);
}
