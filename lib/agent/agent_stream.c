/* SPDX-License-Identifier: MIT */
/*
 * A stream that the server asked for: may it be opened, open it, pump.
 *
 *     ASKING --allowed--> DIALLING --connected--> PUMPING --done--> gone
 *        \--denied            \--failed: the server is told why--> gone
 *
 * The server may lose interest at any time before it is open.
 */
#include "agent.h"
#include "ip.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/pump.h>

enum { HOST_MAX = 255 };

typedef struct agent_stream {
    wst__list_t node;
    wst_agent_t *agent;
    enum { ASKING, DIALLING, PUMPING, CLOSING } phase;
    wst__incoming_t *incoming; /* until it is open */
    wst_request_t *question;   /* on_destination, on_dial */
    wst_dial_t *dial;
    wst_pump_t *pump;
    wst_rules_verdict_t denial;  /* of the last address that may not be tried */
    char address[WST__IP_TEXT];  /* that was reached, if we dialled */
    char dest[WST_DEST_MAX + 1]; /* as the server named it */
} agent_stream_t;

static void destroy(agent_stream_t *s) {
    wst_agent_t *agent = s->agent;
    wst__list_remove(&s->node);
    wst__free(&agent->ctx->allocator, s);
    agent->stream_count--;
    wst__agent_stream_gone(agent);
}

static void leave_pending(agent_stream_t *s) {
    s->agent->pending_count--;
    s->incoming = NULL;
}

/* Stops what is under way before the stream is open. */
static void cancel_pending(agent_stream_t *s) {
    if (s->question != NULL)
        wst__request_cancel(s->question);
    if (s->dial != NULL)
        wst_dial_cancel(s->dial);
    s->question = NULL;
    s->dial = NULL;
}

static void told_open(agent_stream_t *s, int status) {
    wst_agent_t *agent = s->agent;
    wst__log(agent->ctx, WST_LOG_INFO, "stream to %s: %s", s->dest,
             status == 0 ? "open" : wst_strerror(status));
    if (agent->o.callbacks.on_stream_open != NULL)
        agent->o.callbacks.on_stream_open(agent, s->dest, status, agent->o.user_data);
}

/* It did not come about. */
static void not_opened(agent_stream_t *s, int status) {
    s->phase = CLOSING;
    if (!s->agent->closing)
        told_open(s, status);
    destroy(s);
}

/* The server is told why it cannot be. */
static void refuse(agent_stream_t *s, int status, const char *text) {
    s->incoming->ops->refuse(s->incoming, status, text);
    leave_pending(s);
    not_opened(s, status);
}

static void on_gone(wst__incoming_t *incoming, int reason, void *user_data) {
    agent_stream_t *s = user_data;
    (void)incoming;
    cancel_pending(s);
    leave_pending(s);
    not_opened(s, reason);
}

/* -- Pumping ---------------------------------------------------------------------------------- */

static void on_pump_closed(void *user_data) {
    destroy(user_data);
}

static void on_done(wst_pump_t *pump, int status, void *user_data) {
    agent_stream_t *s = user_data;
    wst_agent_t *agent = s->agent;
    wst_pump_stats_t stats;
    wst_pump_get_stats(pump, &stats);
    wst__log(agent->ctx, WST_LOG_INFO, "stream to %s: over: %s (%llu bytes to it, %llu from it)",
             s->dest, status == 0 ? "ended" : wst_strerror(status),
             (unsigned long long)stats.bytes_a_to_b, (unsigned long long)stats.bytes_b_to_a);
    s->phase = CLOSING;
    wst_pump_close(pump, on_pump_closed);
    if (agent->o.callbacks.on_stream_close != NULL)
        agent->o.callbacks.on_stream_close(agent, s->dest, stats.bytes_a_to_b, stats.bytes_b_to_a,
                                           status, agent->o.user_data);
}

static void start_pump(agent_stream_t *s, wst_stream_t *connection) {
    wst_agent_t *agent = s->agent;
    const wst_pump_options_t options = {.half_closed_timeout_ms = agent->o.half_closed_timeout_ms,
                                        .on_done = on_done,
                                        .user_data = s};
    wst_stream_t *tunnel;
    int status = s->incoming->ops->accept(s->incoming, s->address, &tunnel);
    if (status != 0) {
        wst_stream_close(connection, NULL);
        refuse(s, status == WST_ENOMEM ? WST_EMEMORY : status, NULL);
        return;
    }
    leave_pending(s);
    if (wst_pump_new(&s->pump, agent->ctx, tunnel, connection, &options) != 0) {
        wst_stream_reset(tunnel, WST_EMEMORY, NULL);
        wst_stream_close(connection, NULL);
        not_opened(s, WST_EMEMORY);
        return;
    }
    s->phase = PUMPING;
    told_open(s, 0);
}

/* -- Rules ------------------------------------------------------------------------------------ */

/* What our rules say of the destination, at an address, before it is known (NULL), or if it never
 * will be (""). */
static wst_rules_verdict_t decide(const agent_stream_t *s, const char *address) {
    wst_authority_t a;
    char host[HOST_MAX + 1];
    int status = wst_parse_authority(&a, (wst_str_t){s->dest, strlen(s->dest)}, NULL);
    assert(status == 0); /* it has been looked at when it came */
    (void)status;
    snprintf(host, sizeof(host), "%.*s", (int)a.host.len, a.host.ptr);
    const wst_rules_query_t query = {
        .user = "", .agent = s->agent->name, .host = host, .port = a.port, .address = address};
    return wst_rules_decide(s->agent->o.rules, &query);
}

static void refuse_by_rule(agent_stream_t *s, wst_rules_verdict_t verdict) {
    char text[64];
    switch (verdict.reason) {
    case WST_RULES_RULE:
        snprintf(text, sizeof(text), "denied by the agent's rule %zu", verdict.rule + 1);
        break;
    case WST_RULES_DEFAULT:
        snprintf(text, sizeof(text), "no rule of the agent allows it");
        break;
    default:
        snprintf(text, sizeof(text), "the agent denies link-local and metadata addresses");
        break;
    }
    refuse(s, WST_EDENIED, text);
}

static bool may_try(const char *address, void *user_data) {
    agent_stream_t *s = user_data;
    wst_rules_verdict_t verdict = decide(s, address);
    if (!verdict.allow)
        s->denial = verdict;
    return verdict.allow;
}

/* -- Dialling --------------------------------------------------------------------------------- */

static void connected(agent_stream_t *s, int status, wst_stream_t *connection) {
    if (status == 0)
        start_pump(s, connection);
    else
        refuse(s, status, wst_strerror(status));
}

static void on_dialled(int status, wst_stream_t *connection, void *user_data) {
    agent_stream_t *s = user_data;
    s->dial = NULL;
    if (status == WST_EDENIED) {
        refuse_by_rule(s, s->denial);
        return;
    }
    wst_authority_t a;
    if (status == 0) {
        const char *peer = wst_stream_peer(connection);
        if (wst_parse_authority(&a, (wst_str_t){peer, strlen(peer)}, NULL) == 0)
            snprintf(s->address, sizeof(s->address), "%.*s", (int)a.host.len, a.host.ptr);
    }
    connected(s, status, connection);
}

static void on_dial_answer(const wst__answer_t *answer, void *user_data) {
    agent_stream_t *s = user_data;
    s->question = NULL;
    switch (answer->kind) {
    case WST__CONNECTED:
        connected(s, answer->status, answer->stream);
        break;
    case WST__UNANSWERED:
        refuse(s, WST_EDIALTIMEOUT, NULL);
        break;
    default: /* denied, or no answer to this question */
        refuse(s, WST_EDENIED, answer->reason);
        break;
    }
}

/* Puts a question about the destination. 0 or WST_ENOMEM. */
static int ask(agent_stream_t *s, uint64_t timeout_ms, wst__answer_cb on_answer) {
    const wst__ask_t question = {.destination = s->dest,
                                 .peer = s->incoming->peer,
                                 .timeout_ms = timeout_ms,
                                 .on_answer = on_answer,
                                 .user_data = s};
    return wst__request_new(&s->question, s->agent->ctx, &question);
}

static void dial(agent_stream_t *s) {
    wst_agent_t *agent = s->agent;
    s->phase = DIALLING;
    int status;
    if (agent->o.callbacks.on_dial != NULL) {
        status = ask(s, agent->o.dial_timeout_ms, on_dial_answer);
        if (status == 0) {
            agent->o.callbacks.on_dial(agent, s->question, agent->o.user_data);
            return;
        }
    } else {
        wst_authority_t a;
        char host[HOST_MAX + 1];
        status = wst_parse_authority(&a, (wst_str_t){s->dest, strlen(s->dest)}, NULL);
        assert(status == 0); /* it has been looked at when it came */
        snprintf(host, sizeof(host), "%.*s", (int)a.host.len, a.host.ptr);
        const wst_dial_options_t options = {
            .host = host, .port = a.port, .timeout_ms = agent->o.dial_timeout_ms, .allow = may_try};
        status = wst_dial(&s->dial, agent->ctx, &options, on_dialled, s);
    }
    if (status != 0)
        refuse(s, status, wst_strerror(status));
}

/* -- Asking ----------------------------------------------------------------------------------- */

static void on_policy_answer(const wst__answer_t *answer, void *user_data) {
    agent_stream_t *s = user_data;
    s->question = NULL;
    if (answer->stream != NULL) /* no answer to this question */
        wst_stream_close(answer->stream, NULL);
    if (answer->kind == WST__ALLOWED)
        dial(s);
    else if (answer->kind == WST__UNANSWERED)
        refuse(s, WST_EDENIED, "the agent's policy did not answer in time");
    else
        refuse(s, WST_EDENIED, answer->reason);
}

/* NULL: no memory. */
static agent_stream_t *make(wst_agent_t *agent, wst_str_t dest) {
    agent_stream_t *s = wst__zalloc(&agent->ctx->allocator, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->agent = agent;
    snprintf(s->dest, sizeof(s->dest), "%.*s", (int)dest.len, dest.ptr);
    wst__list_append(&agent->streams, &s->node);
    agent->stream_count++;
    agent->pending_count++;
    return s;
}

static void begin(agent_stream_t *s) {
    wst_agent_t *agent = s->agent;
    wst_authority_t authority;
    const char *why;
    wst_rules_verdict_t verdict;
    /* An embedder who dials does not say where a name leads. */
    const char *address = agent->o.callbacks.on_dial != NULL ? "" : NULL;
    int status;
    if (agent->pending_count > agent->o.max_pending)
        refuse(s, WST_ELIMIT, "too many destinations are being opened");
    else if ((status = wst_parse_authority(&authority, (wst_str_t){s->dest, strlen(s->dest)},
                                           &why)) != 0)
        refuse(s, status, why);
    else if (!(verdict = decide(s, address)).allow)
        refuse_by_rule(s, verdict);
    else if (agent->o.callbacks.on_destination == NULL)
        dial(s);
    else if ((status = ask(s, agent->o.connect_timeout_ms, on_policy_answer)) != 0)
        refuse(s, status, NULL);
    else
        agent->o.callbacks.on_destination(agent, s->question, agent->o.user_data);
}

void wst__agent_on_incoming(wst__uplink_t *uplink, wst__incoming_t *incoming, wst_str_t dest,
                            void *user_data) {
    wst_agent_t *agent = user_data;
    agent_stream_t *s = make(agent, dest);
    if (s == NULL) {
        incoming->ops->refuse(incoming, WST_EMEMORY, NULL);
        return;
    }
    s->incoming = incoming;
    incoming->on_gone = on_gone;
    incoming->user_data = s;
    /* An uplink of many streams keeps to the limit by itself. */
    if (uplink->renews && agent->stream_count > agent->o.max_streams)
        refuse(s, WST_ELIMIT, NULL);
    else
        begin(s);
}

void wst__agent_close_streams(wst_agent_t *agent) {
    wst__list_t *node = wst__list_first(&agent->streams);
    while (node != NULL) {
        agent_stream_t *s = WST__CONTAINER(node, agent_stream_t, node);
        node = wst__list_next(&agent->streams, node);
        if (s->phase == PUMPING) {
            s->phase = CLOSING;
            wst_pump_close(s->pump, on_pump_closed);
        } else if (s->phase != CLOSING) {
            cancel_pending(s);
            refuse(s, WST_ECANCELLED, NULL);
        }
    }
}
