/* SPDX-License-Identifier: MIT */
/*
 * A client's CONNECT: may it, through which agent, open; then 200 and the bytes. While that is not
 * decided the hijack watches the connection, so a client that goes away takes its dial with it, and
 * what it sends ahead is kept for the destination.
 *
 * A relay is what remains then: the client's connection and the tunnel stream, joined by a pump.
 */
#include "server.h"

#include "hijack.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/pump.h>

struct wst__relay {
    wst__list_t node; /* unlinked: it is over */
    wst_server_t *server;
    wst_pump_t *pump;
    wst_stream_info_t info; /* its strings are those below */
    uint64_t opened_ms;
    char client[96];
    char user[128], tenant[WST__TENANT_MAX + 1], address[WST__IP_TEXT];
    char destination[WST_DEST_MAX + 1];
    char agent[WST_NAME_MAX + 1];
};

/* Relays ------------------------------------------------------------------------------------- */

static void relay_free(wst__relay_t *r) {
    wst_server_t *s = r->server;
    wst__free(&s->ctx->allocator, r);
    wst__server_uncount_connection(s);
    wst__server_release(s);
}

static void on_pump_closed(void *user_data) {
    relay_free(user_data);
}

static void relay_over(wst__relay_t *r) {
    wst__list_remove(&r->node);
    r->server->streams--;
    wst_pump_close(r->pump, on_pump_closed);
}

static const char *side_name(char side) {
    return side == 'a' ? "client" : side == 'b' ? "agent" : "server";
}

static void on_pump_done(wst_pump_t *pump, int status, void *user_data) {
    wst__relay_t *r = user_data;
    wst_server_t *s = r->server;
    wst_pump_stats_t stats;
    wst_pump_get_stats(pump, &stats);
    r->info.duration_ms = wst__now(s->ctx) - r->opened_ms;
    r->info.bytes_to_agent = stats.bytes_a_to_b;
    r->info.bytes_to_client = stats.bytes_b_to_a;
    r->info.status = status;
    r->info.ended_by = side_name(status == 0 ? stats.first_end : stats.failed_side);
    relay_over(r);
    wst__server_check_drained(s);
    if (s->options.callbacks.on_stream_close != NULL)
        s->options.callbacks.on_stream_close(s, &r->info, s->options.user_data);
}

void wst__relays_close(wst_server_t *s) {
    wst__list_t *node;
    while ((node = wst__list_first(&s->relays)) != NULL)
        relay_over(WST__CONTAINER(node, wst__relay_t, node));
}

static wst__relay_t *relay_new(wst__conn_t *c, const char *agent) {
    wst_server_t *s = c->server;
    wst__relay_t *r = wst__zalloc(&s->ctx->allocator, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->server = s;
    r->opened_ms = wst__now(s->ctx);
    snprintf(r->client, sizeof(r->client), "%s", c->peer);
    snprintf(r->user, sizeof(r->user), "%s", c->user);
    snprintf(r->tenant, sizeof(r->tenant), "%s", c->tenant);
    snprintf(r->address, sizeof(r->address), "%s", c->address);
    snprintf(r->destination, sizeof(r->destination), "%s", c->destination);
    snprintf(r->agent, sizeof(r->agent), "%s", agent);
    r->info = (wst_stream_info_t){.id = ++s->stream_ids,
                                  .client = r->client,
                                  .user = r->user,
                                  .tenant = r->tenant,
                                  .address = r->address,
                                  .destination = r->destination,
                                  .agent = r->agent,
                                  .dial_ms = r->opened_ms - c->asked_ms,
                                  .ended_by = ""};
    wst__list_init(&r->node);
    return r;
}

void wst__relay_join(wst__conn_t *c, const char *agent, wst_stream_t *client,
                     wst_stream_t *tunnel) {
    wst_server_t *s = c->server;
    wst__relay_t *r = relay_new(c, agent);
    const wst_pump_options_t options = {.half_closed_timeout_ms = s->options.half_closed_timeout_ms,
                                        .on_done = on_pump_done,
                                        .user_data = r};
    int status = r != NULL ? wst_pump_new(&r->pump, s->ctx, client, tunnel, &options) : WST_ENOMEM;
    wst__conn_close(c);
    if (status != 0) {
        wst__free(&s->ctx->allocator, r);
        wst_stream_close(client, NULL); /* a reset: its end was not said */
        wst_stream_close(tunnel, NULL);
        return;
    }
    c->counted = false;
    wst__server_hold(s);
    wst__list_append(&s->relays, &r->node);
    s->streams++;
    if (s->options.callbacks.on_stream_open != NULL)
        s->options.callbacks.on_stream_open(s, &r->info, s->options.user_data);
}

/* CONNECT ------------------------------------------------------------------------------------ */

/*
 * The stream is open: says 200, and the connection becomes a relay. RFC 9110 section 9.3.6: no
 * Content-Length, no Transfer-Encoding. The answer is a write of its own, ahead of any byte of the
 * destination, which some clients would lose.
 */
static void establish(wst__conn_t *c, const wst__dialled_t *outcome) {
    static const char ok10[] = "HTTP/1.0 200 Connection established\r\n\r\n";
    static const char ok11[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    bool old = wst_hijack_request(c->hijack)->minor_version == 0;
    const wst_slice_t ok = wst_slice_static(old ? ok10 : ok11, sizeof(ok11) - 1);
    wst_stream_t *client;
    int status = wst_hijack_take(c->hijack, &client);
    if (status != 0) {
        wst_stream_close(outcome->stream, NULL);
        wst__conn_refuse_error(c, status);
    } else if (wst_stream_write(client, &ok, 1) < 0) {
        wst_stream_close(client, NULL);
        wst_stream_close(outcome->stream, NULL);
        wst__conn_close(c);
    } else {
        wst__relay_join(c, outcome->agent, client, outcome->stream);
    }
}

/* The embedder said no, or nothing in time. */
static void deny(wst__conn_t *c, int verdict, const wst__answer_t *answer) {
    if (verdict != WST_EDENIED) {
        wst__conn_refuse_error(c, verdict);
        return;
    }
    wst__refusal_t refusal = wst__refusal_denied(answer->status, answer->reason);
    if (answer->error != NULL)
        refusal.error = answer->error;
    wst__conn_refuse(c, &refusal, (wst_str_t){NULL, 0}, answer->fields);
}

void wst__conn_refuse_outcome(wst__conn_t *c, const wst__dialled_t *outcome) {
    if (outcome->denial != NULL) {
        deny(c, outcome->status, outcome->denial);
        return;
    }
    const wst__refusal_t refusal = wst__refusal_of(outcome->status);
    wst__conn_refuse(c, &refusal, outcome->text, NULL);
}

void wst__conn_reached(wst__conn_t *c, const wst__dialled_t *outcome) {
    snprintf(c->address, sizeof(c->address), "%s", outcome->address);
    snprintf(c->agent, sizeof(c->agent), "%s", outcome->agent);
}

static void on_dialled(const wst__dialled_t *outcome, void *user_data) {
    wst__conn_t *c = user_data;
    c->dial = NULL;
    wst__conn_reached(c, outcome);
    if (outcome->status == 0 && wst_hijack_request(c->hijack) == NULL) {
        wst_stream_close(outcome->stream, NULL); /* the client has just gone: on_done follows */
    } else if (outcome->status == 0) {
        establish(c, outcome);
    } else {
        wst__conn_refuse_outcome(c, outcome);
    }
}

static void dial_refused(wst__conn_t *c, const wst__origin_t *kept, int error) {
    if (kept != NULL)
        wst__origin_end(kept->stream);
    wst__conn_refuse_error(c, error);
}

void wst__conn_dial(wst__conn_t *c, const wst__origin_t *kept, wst__dialled_cb callback) {
    wst_server_t *s = c->server;
    if (s->draining) {
        dial_refused(c, kept, WST__DRAINING);
        return;
    }
    if (s->pending >= s->options.max_pending) {
        dial_refused(c, kept, WST__TOO_MANY_PENDING);
        return;
    }
    wst__dial_options_t options = {.destination = c->destination,
                                   .timeout_ms = s->options.dial_timeout_ms,
                                   .conn = c,
                                   .callback = callback,
                                   .user_data = c};
    if (kept != NULL)
        options.kept = *kept;
    if (wst__dial_new(&c->dial, s, &options) != 0)
        dial_refused(c, kept, WST_ENOMEM);
}

bool wst__conn_allowed(wst__conn_t *c, const wst__answer_t *answer) {
    c->request = NULL;
    wst__conn_identify(c, answer);
    if (wst_hijack_request(c->hijack) == NULL)
        return false; /* the client has just gone: on_done follows */
    int verdict = wst__server_verdict(answer, WST__ALLOWED);
    if (verdict != 0)
        deny(c, verdict, answer);
    return verdict == 0;
}

static void on_answer(const wst__answer_t *answer, void *user_data) {
    wst__conn_t *c = user_data;
    if (wst__conn_allowed(c, answer))
        wst__conn_dial(c, NULL, on_dialled);
}

void wst__connect_request(wst__conn_t *c, const wst_http_head_t *head,
                          const wst_authority_t *authority) {
    wst_server_t *s = c->server;
    wst__write_destination(c->destination, authority);
    if ((c->roles & WST_ROLE_CONNECT) == 0) {
        wst__conn_refuse_error(c, WST__NOT_OFFERED);
        return;
    }
    if (head->chunked || head->content_length > 0) { /* RFC 9110 section 9.3.6: it has none */
        const wst__refusal_t refusal = {.status = 400,
                                        .reason = "Bad Request: CONNECT with a body",
                                        .error = "http_request_error"};
        wst__conn_refuse(c, &refusal, (wst_str_t){NULL, 0}, NULL);
        return;
    }
    wst__hijack_watch(c->hijack);
    if (s->draining || s->options.callbacks.on_client_request == NULL)
        wst__conn_dial(c, NULL, on_dialled);
    else if (!wst__conn_ask(c, s->options.callbacks.on_client_request, on_answer))
        wst__conn_refuse_error(c, WST_ENOMEM);
}
