/* SPDX-License-Identifier: MIT */
/* The status of an agent: an object whose members are written section by section
 * (wstunnel/admin.h). */
#include "admin.h"

/* Room for a connection or a stream, and for anything else. */
enum { ITEM_ROOM = 8192, STREAMS_A_STEP = 4 };

/* The beginning ------------------------------------------------------------------------------ */

static int put_agent_beginning(wst__admin_conn_t *c, wst__admin_text_t *t) {
    const wst_agent_t *agent = c->admin->options.agent;
    wst__admin_put_beginning(t, c, wst_agent_is_draining(agent));
    wst__admin_put_text_member(t, ",\n\"agent\":", wst_agent_name(agent));
    wst__admin_put(t, ",\"up\":");
    wst__admin_put_bool(t, wst_agent_is_up(agent));
    wst__admin_put(t, ",\n\"connections\":[");
    return wst__admin_next_section(c);
}

/* Connections -------------------------------------------------------------------------------- */

static void put_connection(wst__admin_text_t *t, const wst_agent_connection_status_t *s) {
    wst__admin_put_number_member(t, "{\"conn\":", s->conn);
    wst__admin_put_text_member(t, ",\"server\":", s->server);
    wst__admin_put_text_member(t, ",\"address\":", s->address);
    wst__admin_put_text_member(t, ",\"state\":", s->state);
    wst__admin_put_known_member(t, ",\"rtt_ms\":", s->rtt_ms);
    wst__admin_put_number_member(t, ",\"up_ms\":", s->up_ms);
    wst__admin_put_number_member(t, ",\"outage_ms\":", s->outage_ms);
    wst__admin_put_number_member(t, ",\"retry_in_ms\":", s->retry_in_ms);
    wst__admin_put_number_member(t, ",\"streams\":", s->streams);
    wst__admin_put_number_member(t, ",\"bytes_to_destinations\":", s->bytes_to_destinations);
    wst__admin_put_number_member(t, ",\"bytes_to_server\":", s->bytes_to_server);
    wst__admin_put(t, "}");
}

static int put_next_connection(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_agent_connection_status_t status = {.size = sizeof(status)};
    wst_agent_t *agent = c->admin->options.agent;
    if (wst_agent_connection(agent, c->progress.connections, &status)) {
        c->progress.connections++;
        wst__admin_put_comma(t, c);
        put_connection(t, &status);
        return WST__ADMIN_MORE;
    }
    wst__admin_put(t, "],\n\"streams\":[");
    int rc = wst_agent_walk_new(&c->progress.streams, agent);
    return rc == 0 ? wst__admin_next_section(c) : rc;
}

/* Streams ------------------------------------------------------------------------------------ */

typedef struct stream_writing {
    wst__admin_conn_t *conn;
    wst__admin_text_t *text;
} stream_writing_t;

static void on_agent_stream(const wst_agent_stream_info_t *info, void *user_data) {
    const stream_writing_t *w = user_data;
    wst__admin_text_t *t = w->text;
    uint64_t bytes = info->bytes_to_destination + info->bytes_to_server;
    wst__admin_put_comma(t, w->conn);
    wst__admin_put_number_member(t, "{\"id\":", info->id);
    wst__admin_put_text_member(t, ",\"destination\":", info->destination);
    wst__admin_put_text_member(t, ",\"state\":", info->state);
    wst__admin_put_number_member(t, ",\"age_ms\":", info->age_ms);
    wst__admin_put_number_member(t, ",\"bytes_to_destination\":", info->bytes_to_destination);
    wst__admin_put_number_member(t, ",\"bytes_to_server\":", info->bytes_to_server);
    wst__admin_put_number_member(
        t, ",\"rate\":", wst__admin_rate(w->conn->admin, info->id, bytes, info->age_ms));
    wst__admin_put(t, "}");
}

static int put_next_streams(wst__admin_conn_t *c, wst__admin_text_t *t) {
    stream_writing_t writing = {c, t};
    if (wst_agent_walk_next(c->progress.streams, STREAMS_A_STEP, on_agent_stream, &writing))
        return WST__ADMIN_MORE;
    wst__admin_put(t, "]");
    return wst__admin_next_section(c);
}

/* Health ------------------------------------------------------------------------------------- */

static int put_agent_health(wst__admin_conn_t *c, wst__admin_text_t *t) {
    wst_agent_stats_t s = {.size = sizeof(s)};
    wst_ctx_stats_t ctx = {.size = sizeof(ctx)};
    if (wst__admin_count_descriptors(&c->progress.descriptors))
        return WST__ADMIN_MORE;
    wst_ctx_get_stats(c->admin->ctx, &ctx);
    wst_agent_get_stats(c->admin->options.agent, &s);
    wst__admin_put_number_member(t, ",\n\"health\":{\"names\":", ctx.names);
    wst__admin_put_process(t, c);
    wst__admin_put_number_member(t, "},\n\"totals\":{\"streams\":", s.streams);
    wst__admin_put_number_member(t, ",\"pending\":", s.pending);
    wst__admin_put_number_member(t, ",\"streams_opened\":", s.streams_opened);
    wst__admin_put_number_member(t, ",\"streams_refused\":", s.streams_refused);
    wst__admin_put_number_member(t, ",\"bytes_to_destinations\":", s.bytes_to_destinations);
    wst__admin_put_number_member(t, ",\"bytes_to_server\":", s.bytes_to_server);
    wst__admin_put_number_member(t, ",\"suspensions\":", s.suspensions);
    wst__admin_put_number_member(t, ",\"resumes\":", s.resumes);
    wst__admin_put(t, "}}\n");
    return WST__ADMIN_LAST;
}

static int step_agent_status(wst__admin_conn_t *c, wst__admin_text_t *t) {
    static const wst__admin_step_t sections[] = {put_agent_beginning, put_next_connection,
                                                 put_next_streams, put_agent_health};
    return wst__admin_text_room(t) < ITEM_ROOM ? WST__ADMIN_FULL
                                               : sections[c->progress.section](c, t);
}

void wst__admin_serve_agent_status(wst__admin_conn_t *c) {
    wst__admin_answer_in_parts(c, "application/json", step_agent_status);
}
