/* SPDX-License-Identifier: MIT */
/*
 * Opens a stream through an agent. Until the agent has answered that the stream is open, or why the
 * destination cannot be reached, no byte has passed, so another agent can be tried without anybody
 * noticing: that is done if the session is lost first, or the agent has no room for the stream.
 *
 *     choose (on_choose, or by default) -> open --open--> reached (on_reached) --> outcome
 *        ^-------------------------------- / |  \--a real answer--------------------^
 *            lost, full or leaving: each session once
 *
 * A connection that an earlier request has left takes the place of `open`, if its agent is chosen.
 */
#include "server.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { TRIES_MAX = 8 };

struct wst_server_dial {
    wst__list_t node;
    wst_server_t *server;
    wst__dial_options_t options;
    char destination[WST_DEST_MAX + 1];
    char agent[WST_NAME_MAX + 1]; /* that is or was asked last */
    uint64_t agent_serial;        /* its */
    uint64_t tried[TRIES_MAX];    /* serials of the sessions asked */
    size_t tries;
    int last_error; /* why another one is being tried */
    int none;       /* why wst_server_best_agent() found none; else 0 */
    wst_request_t *request;
    wst_stream_t *stream;       /* that has been opened, while on_reached is asked about it */
    bool reused;                /* or kept before: it may have gone stale */
    char address[WST__IP_TEXT]; /* that was reached */
    wst__opening_t *open;
    bool waits;      /* in the talk's protocol: for a connection to come in, ... */
    uint64_t wanted; /* ... of this agent; 0: of any */
    wst__deadline_t deadline;
    wst__defer_t defer;
    wst_dial_cb callback; /* of wst_server_dial() */
    void *user_data;
};

static void choose(wst__defer_t *defer);

/* The end ------------------------------------------------------------------------------------ */

/* What is kept is of no use: another agent shall do it, or nobody. */
static void drop_kept(wst_server_dial_t *d) {
    if (d->options.kept.stream != NULL)
        wst__origin_end(d->options.kept.stream);
    d->options.kept.stream = NULL;
}

static void stop(wst_server_dial_t *d) {
    if (d->request != NULL)
        wst__request_cancel(d->request);
    if (d->open != NULL)
        wst__opening_cancel(d->open);
    if (d->stream != NULL)
        wst_stream_close(d->stream, NULL);
    drop_kept(d);
    d->request = NULL;
    d->open = NULL;
    d->stream = NULL;
    wst__deadline_clear(&d->server->ctx->deadlines, &d->deadline);
    wst__defer_cancel(&d->defer);
}

static void leave(wst_server_dial_t *d) {
    stop(d);
    wst__list_remove(&d->node);
    d->server->pending--;
}

static void destroy(wst_server_dial_t *d) {
    wst_server_t *s = d->server;
    wst__free(&s->ctx->allocator, d);
    wst__server_check_drained(s);
    wst__server_release(s);
}

void wst_server_dial_cancel(wst_server_dial_t *d) {
    leave(d);
    destroy(d);
}

static void finish(wst_server_dial_t *d, wst__dialled_t outcome) {
    leave(d);
    outcome.agent = d->agent;
    outcome.agent_serial = d->agent_serial;
    outcome.reused = d->reused;
    outcome.address = d->address;
    d->options.callback(&outcome, d->options.user_data);
    destroy(d);
}

static void finish_error(wst_server_dial_t *d, int status) {
    finish(d, (wst__dialled_t){.status = status});
}

static void on_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_server_dial_t *d = WST__CONTAINER(deadline, wst_server_dial_t, deadline);
    finish_error(d, d->waits ? WST_ELIMIT : WST_ETIMEOUT);
}

/* Reached ------------------------------------------------------------------------------------ */

static void on_held_error(wst_stream_t *stream, int error, void *user_data) {
    wst_server_dial_t *d = user_data;
    if (!d->reused) {
        finish_error(d, wst_reason_of(error));
        return;
    }
    /* It has gone stale, which says nothing about the destination: a new one. */
    wst_stream_close(stream, NULL);
    d->stream = NULL;
    d->reused = false;
    if (d->request != NULL)
        wst__request_cancel(d->request);
    d->request = NULL;
    wst__defer(d->server->ctx, &d->defer, choose);
}

static void on_reached_answer(const wst__answer_t *answer, void *user_data) {
    wst_server_dial_t *d = user_data;
    d->request = NULL;
    int verdict = wst__server_verdict(answer, WST__ALLOWED);
    if (verdict != 0) {
        finish(d, (wst__dialled_t){.status = verdict, .denial = answer});
        return;
    }
    wst_stream_t *stream = d->stream;
    d->stream = NULL;
    wst_stream_set_callbacks(stream, NULL, NULL);
    finish(d, (wst__dialled_t){.stream = stream});
}

static void ask_reached(wst_server_dial_t *d) {
    static const wst_stream_callbacks_t callbacks = {.on_error = on_held_error};
    wst_server_t *s = d->server;
    const wst__conn_t *conn = d->options.conn;
    const wst__ask_t ask = {.head = wst_hijack_request(conn->hijack),
                            .destination = d->destination,
                            .peer = conn->peer,
                            .user = conn->user,
                            .tenant = conn->tenant,
                            .address = d->address,
                            .remote = wst__remotes_find(&s->remotes, d->agent_serial),
                            .tls = conn->tls,
                            .timeout_ms = s->options.decision_timeout_ms,
                            .on_answer = on_reached_answer,
                            .user_data = d};
    wst__deadline_clear(&s->ctx->deadlines, &d->deadline);
    if (wst__request_new(&d->request, s->ctx, &ask) != 0) {
        finish_error(d, WST_ENOMEM);
        return;
    }
    wst_stream_set_callbacks(d->stream, &callbacks, d);
    s->options.callbacks.on_reached(s, d->request, s->options.user_data);
}

/* Whether what the agent has opened is an address of ours; if it did not tell, as far as the
 * destination does. */
static bool is_self(const wst_server_dial_t *d, const wst_remote_t *agent) {
    wst_authority_t a;
    char host[WST_DEST_MAX + 1];
    const wst_str_t destination = {d->destination, strlen(d->destination)};
    if (wst_parse_authority(&a, destination, NULL) != 0)
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)a.host.len, a.host.ptr);
    return wst__server_is_self(d->server, d->address[0] != '\0' ? d->address : host, a.port,
                               wst_remote_peer(agent));
}

/* The agent has opened it. */
static void reached(wst_server_dial_t *d, wst_str_t address, wst_stream_t *stream) {
    const wst_server_t *s = d->server;
    const wst__conn_t *conn = d->options.conn;
    const wst_remote_t *agent = wst__remotes_find(&s->remotes, d->agent_serial);
    d->stream = stream;
    snprintf(d->address, sizeof(d->address), "%.*s", (int)address.len,
             address.len > 0 ? address.ptr : "");
    if (conn == NULL ||
        wst_hijack_request(conn->hijack) == NULL) { /* nobody, or it has just gone */
        d->stream = NULL;
        finish(d, (wst__dialled_t){.stream = stream});
    } else if (agent == NULL) { /* it is leaving, and the stream with it */
        finish_error(d, WST_ELOST);
    } else if (is_self(d, agent)) {
        finish_error(d, WST__SELF);
    } else if (s->options.callbacks.on_reached != NULL) {
        ask_reached(d);
    } else {
        d->stream = NULL;
        finish(d, (wst__dialled_t){.stream = stream});
    }
}

/* Opening ------------------------------------------------------------------------------------ */

/* Whether it says nothing about the destination, and another session may do better. */
static bool may_retry(const wst_server_dial_t *d, int status) {
    return d->tries < TRIES_MAX && (status == WST_ELOST || status == WST_EGOAWAY ||
                                    status == WST_ELIMIT || status == WST_EMEMORY);
}

static void on_open(int status, wst_str_t text, wst_stream_t *stream, void *user_data) {
    wst_server_dial_t *d = user_data;
    d->open = NULL;
    if (status == 0) {
        reached(d, text, stream);
        return;
    }
    if (!may_retry(d, status)) {
        finish(d, (wst__dialled_t){.status = status, .text = text});
        return;
    }
    wst__log(d->server->ctx, WST_LOG_INFO, "agent %s: no stream to %s: %s; trying another one",
             d->agent, d->destination, wst_strerror(status));
    d->last_error = status;
    /* From the loop: the session that failed may be in the middle of its end. */
    wst__defer(d->server->ctx, &d->defer, choose);
}

static void arm(wst_server_dial_t *d) {
    if (!d->deadline.set)
        wst__deadline_in(d->server->ctx, &d->deadline, d->options.timeout_ms, on_deadline);
}

/* In the talk's protocol an agent replaces each connection that is used. */
static bool may_wait(const wst_server_t *s, int status) {
    return s->options.protocol == WST_PROTOCOL_TALK && status == WST_ELIMIT && !s->draining;
}

/* The tenant whose agents may be asked. Without a client the embedder may name any agent. */
static const char *tenant_of(const wst_server_dial_t *d) {
    if (d->options.conn != NULL)
        return d->options.conn->tenant;
    return d->options.only != 0 ? NULL : "";
}

/* Takes the connection that is kept if it came about through that agent (0: any). */
static bool use_kept(wst_server_dial_t *d, uint64_t only) {
    const wst__origin_t *kept = &d->options.kept;
    wst_stream_t *stream = kept->stream;
    if (stream == NULL)
        return false;
    if ((only != 0 && only != kept->agent_serial) ||
        wst__remotes_find(&d->server->remotes, kept->agent_serial) == NULL) {
        drop_kept(d);
        return false;
    }
    d->options.kept.stream = NULL;
    snprintf(d->agent, sizeof(d->agent), "%s", kept->agent);
    d->agent_serial = kept->agent_serial;
    d->reused = true;
    reached(d, (wst_str_t){kept->address, strlen(kept->address)}, stream);
    return true;
}

static void wait_for(wst_server_dial_t *d, uint64_t only) {
    d->waits = true;
    d->wanted = only;
    arm(d);
}

/* Asks an agent, the one with that serial or the best one (0). */
static void open_through(wst_server_dial_t *d, uint64_t only) {
    wst_server_t *s = d->server;
    if (use_kept(d, only))
        return;
    const wst__choice_t choice = {
        .only = only, .tenant = tenant_of(d), .tried = d->tried, .tried_count = d->tries};
    wst__member_t *member;
    bool awaited;
    int status = wst__remotes_choose(&s->remotes, &choice, &member, &awaited);
    if (may_wait(s, status)) {
        wait_for(d, only);
        return;
    }
    if (status != 0) {
        finish_error(d, d->last_error != 0 ? d->last_error : status);
        return;
    }
    d->tried[d->tries++] = member->serial;
    snprintf(d->agent, sizeof(d->agent), "%s", wst_remote_name(member->remote));
    d->agent_serial = wst__remote_serial(member->remote);
    status = member->uplink->ops->open(member->uplink, &d->open, d->destination, on_open, d);
    if (status == WST_ELOST) { /* its end is on its way: another one */
        on_open(status, (wst_str_t){NULL, 0}, NULL, d);
        return;
    }
    if (status != 0) { /* no memory: no other session has more */
        d->open = NULL;
        finish_error(d, status);
        return;
    }
    arm(d);
}

static void open_waiting(wst__defer_t *defer) {
    wst_server_dial_t *d = WST__CONTAINER(defer, wst_server_dial_t, defer);
    d->waits = false;
    if (d->wanted != 0)
        open_through(d, d->wanted);
    else
        choose(defer);
}

void wst__dials_wake(wst_server_t *s) {
    for (wst__list_t *node = wst__list_first(&s->dials); node != NULL;
         node = wst__list_next(&s->dials, node)) {
        wst_server_dial_t *d = WST__CONTAINER(node, wst_server_dial_t, node);
        if (d->waits)
            wst__defer(s->ctx, &d->defer, open_waiting);
    }
}

static void on_choice(const wst__answer_t *answer, void *user_data) {
    wst_server_dial_t *d = user_data;
    wst_server_t *s = d->server;
    d->request = NULL;
    int verdict = wst__server_verdict(answer, WST__CHOSEN);
    if (verdict != 0) {
        finish(d, (wst__dialled_t){.status = verdict, .denial = answer});
    } else if (answer->remote == NULL && may_wait(s, d->none)) {
        wait_for(d, 0);
    } else if (answer->remote == NULL) {
        finish_error(d, d->last_error != 0 ? d->last_error : d->none != 0 ? d->none : WST_ENOAGENT);
    } else if (wst__remotes_has(&s->remotes, answer->remote) &&
               strcmp(wst_remote_tenant(answer->remote), tenant_of(d)) != 0) {
        wst__log(s->ctx, WST_LOG_ERROR, "%s: an agent of another tenant was chosen",
                 d->destination);
        finish_error(d, WST_ENOAGENT);
    } else if (wst__remotes_has(&s->remotes, answer->remote)) {
        open_through(d, wst__remote_serial(answer->remote));
    } else { /* it has gone since */
        d->last_error = WST_ELOST;
        if (++d->tries < TRIES_MAX)
            wst__defer(s->ctx, &d->defer, choose);
        else
            finish_error(d, WST_ELOST);
    }
}

wst_remote_t *wst_server_best_agent(wst_server_t *s, const wst_request_t *request,
                                    bool (*admits)(const wst_remote_t *agent, void *user_data),
                                    void *user_data) {
    wst_server_dial_t *d = wst__request_asker(request, on_choice);
    assert(d != NULL); /* it is a question of on_choose */
    const wst_remote_t *keeper = d->options.kept.stream != NULL
                                     ? wst__remotes_find(&s->remotes, d->options.kept.agent_serial)
                                     : NULL;
    if (keeper != NULL && (admits == NULL || admits(keeper, user_data)))
        return wst__remotes_find(&s->remotes, d->options.kept.agent_serial);
    const wst__choice_t choice = {.tenant = tenant_of(d),
                                  .tried = d->tried,
                                  .tried_count = d->tries,
                                  .admits = admits,
                                  .user_data = user_data};
    wst__member_t *member;
    bool awaited;
    d->none = wst__remotes_choose(&s->remotes, &choice, &member, &awaited);
    return d->none == 0 ? member->remote : NULL;
}

static void choose(wst__defer_t *defer) {
    wst_server_dial_t *d = WST__CONTAINER(defer, wst_server_dial_t, defer);
    wst_server_t *s = d->server;
    const wst__conn_t *conn = d->options.conn;
    if (conn == NULL || s->options.callbacks.on_choose == NULL) {
        open_through(d, d->options.only);
        return;
    }
    const wst_http_head_t *head = wst_hijack_request(conn->hijack);
    if (head == NULL) { /* the client has just gone: its connection's end is on its way */
        finish_error(d, WST_ECANCELLED);
        return;
    }
    const wst__ask_t ask = {.head = head,
                            .destination = d->destination,
                            .peer = conn->peer,
                            .user = conn->user,
                            .tenant = conn->tenant,
                            .tls = conn->tls,
                            .timeout_ms = s->options.decision_timeout_ms,
                            .on_answer = on_choice,
                            .user_data = d};
    if (wst__request_new(&d->request, s->ctx, &ask) != 0) {
        finish_error(d, WST_ENOMEM);
        return;
    }
    d->none = 0;
    s->options.callbacks.on_choose(s, d->request, s->options.user_data);
}

int wst__dial_new(wst_server_dial_t **out, wst_server_t *s, const wst__dial_options_t *options) {
    wst_server_dial_t *d = wst__zalloc(&s->ctx->allocator, sizeof(*d));
    if (d == NULL)
        return WST_ENOMEM;
    d->server = s;
    d->options = *options;
    snprintf(d->destination, sizeof(d->destination), "%s", options->destination);
    wst__list_init(&d->node);
    wst__list_append(&s->dials, &d->node);
    wst__defer_init(&d->defer);
    wst__server_hold(s);
    s->pending++;
    wst__defer(s->ctx, &d->defer, choose);
    *out = d;
    return 0;
}

/* Without a client --------------------------------------------------------------------------- */

static void tell_caller(const wst__dialled_t *outcome, void *user_data) {
    const wst_server_dial_t *d = user_data;
    int status = outcome->status == WST_ETIMEOUT ? WST_EDIALTIMEOUT : outcome->status;
    d->callback(status, outcome->stream, d->user_data);
}

void wst__write_destination(char out[WST_DEST_MAX + 1], const wst_authority_t *authority) {
    snprintf(out, WST_DEST_MAX + 1, authority->ipv6 ? "[%.*s]:%u" : "%.*s:%u",
             (int)authority->host.len, authority->host.ptr, (unsigned)authority->port);
}

int wst_server_dial(wst_server_dial_t **out, wst_server_t *s, wst_remote_t *agent,
                    const char *destination, uint64_t timeout_ms, wst_dial_cb callback,
                    void *user_data) {
    if (s->closing)
        return WST_ESTATE;
    wst_authority_t authority;
    const wst_str_t text = {destination, strlen(destination)};
    if (wst_parse_authority(&authority, text, NULL) != 0)
        return WST_EDEST;
    char canonical[WST_DEST_MAX + 1];
    wst__write_destination(canonical, &authority);
    wst__dial_options_t options = {.destination = canonical,
                                   .only = agent != NULL ? wst__remote_serial(agent) : 0,
                                   .timeout_ms =
                                       timeout_ms != 0 ? timeout_ms : s->options.dial_timeout_ms,
                                   .callback = tell_caller};
    wst_server_dial_t *d;
    int status = wst__dial_new(&d, s, &options);
    if (status != 0)
        return status;
    d->options.user_data = d;
    d->callback = callback;
    d->user_data = user_data;
    *out = d;
    return 0;
}

static void cancelled(wst__defer_t *defer) {
    finish_error(WST__CONTAINER(defer, wst_server_dial_t, defer), WST_ECANCELLED);
}

void wst__dials_close(wst_server_t *s) {
    for (wst__list_t *node = wst__list_first(&s->dials); node != NULL;
         node = wst__list_next(&s->dials, node)) {
        wst_server_dial_t *d = WST__CONTAINER(node, wst_server_dial_t, node);
        stop(d);
        wst__defer(s->ctx, &d->defer, cancelled);
    }
}
