/* SPDX-License-Identifier: MIT */
/*
 * A stream that the far side asks for: the egress checks its destination, dials it and pumps.
 *
 *     ASKING --allowed--> DIALLING --connected--> PUMPING --done--> CLOSING --> gone
 *        \--denied            \--failed: the far side is told why--> gone
 *
 * The far side may cancel at any time before the stream is open; wst__egress_end then makes it
 * ENDING, until the far side is told so from the loop.
 */
#include "egress_internal.h"
#include "ip.h"
#include "networks.h"
#include "own.h"
#include "pump.h"
#include "request.h"
#include "text.h"

#include <stdio.h>
#include <string.h>

enum { HOST_MAX = 255, SHARE = 2 };

static void free_egress_stream(wst__egress_stream_t *s) {
    wst__ticket_give_back(&s->pending);
    wst__ticket_give_back(&s->open);
    wst__ticket_give_back(&s->busy);
    wst__ticket_give_back(&s->hold);
    wst__egress_unlink(s);
    wst__free(&wst__egress_stream_ctx(s)->allocator, s->networks);
    wst__free(&wst__egress_stream_ctx(s)->allocator, s);
}

/* Counts the stream as neither open nor opening any more. */
static void set_closing(wst__egress_stream_t *s) {
    s->phase = WST__EGRESS_CLOSING;
    wst__ticket_give_back(&s->pending);
    wst__ticket_give_back(&s->open);
}

/* Cancels the pending question and dial. */
static void cancel_pending(wst__egress_stream_t *s) {
    if (s->question != NULL)
        wst__request_cancel(s->question);
    if (s->dial != NULL)
        wst_dial_cancel(s->dial);
    s->question = NULL;
    s->dial = NULL;
}

/* `detail`: more about the status for people, or NULL. */
static void tell_open(wst__egress_stream_t *s, int status, const char *detail) {
    wst__egress_t *e = s->egress;
    const char *reason = status == 0 ? "" : wst_strerror(status);
    if (status == 0)
        e->opened++;
    else
        e->refused++;
    if (e->node->state == WST__NODE_CLOSING)
        return;
    /* Who is told of refusals may sum them up. */
    wst_log_level_t level =
        status != 0 && e->o.on_stream_open != NULL ? WST_LOG_DEBUG : WST_LOG_INFO;
    if (detail == NULL || detail[0] == '\0' || strcmp(detail, reason) == 0)
        wst_ctx_log(wst__egress_stream_ctx(s), level, "stream to %s: %s", s->dest,
                    status == 0 ? "open" : reason);
    else
        wst_ctx_log(wst__egress_stream_ctx(s), level, "stream to %s: %s: %s", s->dest, reason,
                    detail);
    if (e->o.on_stream_open != NULL)
        e->o.on_stream_open(s->dest, status, detail != NULL && detail[0] != '\0' ? detail : reason,
                            e->o.user_data);
}

static void not_opened(wst__egress_stream_t *s, int status, const char *detail) {
    set_closing(s);
    tell_open(s, status, detail);
    free_egress_stream(s);
}

/* Tells the far side why its stream is refused. */
static void refuse_egress_stream(wst__egress_stream_t *s, int status, const char *text) {
    s->incoming->ops->refuse(s->incoming, status, text);
    not_opened(s, status, text);
}

static void on_gone(wst__incoming_t *incoming, int reason, void *user_data) {
    (void)incoming;
    cancel_pending(user_data);
    not_opened(user_data, reason, NULL);
}

/* Pumping ------------------------------------------------------------------------------------ */

static void on_pump_closed(void *user_data) {
    free_egress_stream(user_data);
}

static void on_done(wst_pump_t *pump, int status, void *user_data) {
    wst__egress_stream_t *s = user_data;
    wst__egress_t *e = s->egress;
    wst_pump_stats_t stats = {.size = sizeof(stats)};
    wst_pump_get_stats(pump, &stats);
    e->bytes_to_destinations += stats.bytes_a_to_b;
    e->bytes_from_destinations += stats.bytes_b_to_a;
    wst_ctx_log(wst__egress_stream_ctx(s), WST_LOG_INFO,
                "stream to %s: over: %s (%llu bytes to it, %llu from it)", s->dest,
                status == 0 ? "ended" : wst_strerror(status),
                (unsigned long long)stats.bytes_a_to_b, (unsigned long long)stats.bytes_b_to_a);
    set_closing(s);
    wst_pump_close(pump, on_pump_closed);
    if (e->o.on_stream_close != NULL)
        e->o.on_stream_close(s->dest, stats.bytes_a_to_b, stats.bytes_b_to_a, status,
                             e->o.user_data);
}

/* `address`: that wst_dial reached, or "". */
static void start_pump(wst__egress_stream_t *s, wst_stream_t *connection, const char *address) {
    const wst_pump_options_t options = {.size = sizeof(options),
                                        .half_closed_timeout_ms =
                                            s->egress->o.half_closed_timeout_ms,
                                        .on_done = on_done,
                                        .user_data = s};
    wst_stream_t *tunnel;
    int status = s->incoming->ops->accept(s->incoming, address, &tunnel);
    if (status != 0) {
        wst_stream_close(connection, NULL);
        refuse_egress_stream(s, status == WST_ENOMEM ? WST_EMEMORY : status, NULL);
        return;
    }
    wst__ticket_give_back(&s->pending);
    wst__free(&wst__egress_stream_ctx(s)->allocator, s->networks);
    s->networks = NULL;
    if (wst_pump_new(&s->pump, wst__egress_stream_ctx(s), tunnel, connection, &options) != 0) {
        wst_stream_reset(tunnel, WST_EMEMORY, NULL);
        wst_stream_close(connection, NULL);
        not_opened(s, WST_EMEMORY, NULL);
        return;
    }
    s->phase = WST__EGRESS_PUMPING;
    wst__egress_unlink(s);
    wst__list_append(&s->egress->others, &s->node);
    tell_open(s, 0, NULL);
}

/* Rules -------------------------------------------------------------------------------------- */

static void copy_host(const wst__egress_stream_t *s, char out[HOST_MAX + 1]) {
    wst__text_copy(out, HOST_MAX + 1, s->authority.host);
}

/* Whether the rules, and the far side's networks, allow the destination; if not, keeps the denial.
 * `address`: the one that a name led to; NULL: not known yet; "": it will never be known. */
static bool is_allowed(wst__egress_stream_t *s, const char *address) {
    char host[HOST_MAX + 1];
    copy_host(s, host);
    wst_rules_query_t query = {.size = sizeof(query),
                               .user = "",
                               .agent = s->egress->o.name,
                               .host = host,
                               .port = s->authority.port,
                               .address = address,
                               .dials = true};
    wst_rules_verdict_t verdict = wst_rules_decide(s->egress->rules, &query);
    s->denied_by_asker = verdict.allow && s->networks != NULL;
    if (s->denied_by_asker) {
        const wst_str_t networks = {s->networks, strlen(s->networks)};
        query.dials = false; /* the far side's rules are not about this host's loopback */
        verdict = wst__networks_decide(networks, s->egress->rules, &query);
    }
    if (!verdict.allow)
        s->denial = verdict;
    return verdict.allow;
}

/* In the words of the far side's own refusal, since it is passed on to the client. */
static void refuse_by_networks(wst__egress_stream_t *s) {
    char text[80] = "No rule of the server allows it";
    if (s->denial.reason == WST_RULES_RULE)
        snprintf(text, sizeof(text), "Denied by rule %zu of the server", s->denial.rule + 1);
    else if (s->denial.reason == WST_RULES_GUARDED)
        snprintf(text, sizeof(text), "Denied: a guarded address");
    else if (s->denial.reason == WST_RULES_QUERY)
        snprintf(text, sizeof(text), "Malformed networks");
    refuse_egress_stream(s, WST_EFILTERED, text);
}

static void refuse_denied(wst__egress_stream_t *s) {
    const char *role = s->egress->o.role, *opener = s->egress->o.opener;
    char text[160];
    if (s->denied_as_own) {
        snprintf(text, sizeof(text), "it is an address of the %s itself", role);
        refuse_egress_stream(s, WST_EDENIED, text);
        return;
    }
    if (s->denied_by_asker) {
        refuse_by_networks(s);
        return;
    }
    switch (s->denial.reason) {
    case WST_RULES_RULE:
        snprintf(text, sizeof(text), "denied by the %s's rule %zu", role, s->denial.rule + 1);
        break;
    case WST_RULES_DEFAULT:
        snprintf(text, sizeof(text), "no rule of the %s allows it", role);
        break;
    default:
        snprintf(
            text, sizeof(text), "the %s denies %s addresses unless a rule names them (%s)", role,
            s->denial.reason == WST_RULES_LOOPBACK ? "its own loopback" : "link-local and metadata",
            opener);
        break;
    }
    refuse_egress_stream(s, WST_EDENIED, text);
}

/* Whether this process listens where a packet to the address may go. */
static bool is_own(const wst__egress_stream_t *s, const char *address) {
    const wst__egress_t *e = s->egress;
    wst__ip_t ip, targets[WST__IP_TARGETS];
    if (e->own_count == 0 || !wst__ip_parse(&ip, address, strlen(address)))
        return false;
    size_t count = wst__ip_targets(targets, &ip, NULL, 0);
    for (size_t i = 0; i < count; i++)
        for (size_t n = 0; n < e->own_count; n++)
            if (wst__own_leads_to(e->own[n], &targets[i], s->authority.port))
                return true;
    return false;
}

static bool may_try(const char *address, void *user_data) {
    wst__egress_stream_t *s = user_data;
    s->denied_as_own = is_own(s, address);
    return !s->denied_as_own && is_allowed(s, address);
}

/* Dialling ----------------------------------------------------------------------------------- */

static void connected(wst__egress_stream_t *s, int status, wst_stream_t *connection,
                      const char *address) {
    if (status == 0)
        start_pump(s, connection, address);
    else
        refuse_egress_stream(s, status, wst_strerror(status));
}

static void on_dialled(int status, wst_stream_t *connection, void *user_data) {
    wst__egress_stream_t *s = user_data;
    s->dial = NULL;
    if (status == WST_EDENIED) {
        refuse_denied(s);
        return;
    }
    wst_authority_t a;
    char address[WST__IP_TEXT] = "";
    if (status == 0) {
        const char *peer = wst_stream_peer(connection);
        if (wst_parse_authority(&a, (wst_str_t){peer, strlen(peer)}, NULL) == 0)
            wst__text_copy(address, sizeof(address), a.host);
    }
    connected(s, status, connection, address);
}

static void on_dial_answer(const wst__answer_t *answer, void *user_data) {
    wst__egress_stream_t *s = user_data;
    s->question = NULL;
    switch (answer->kind) {
    case WST__CONNECTED:
        connected(s, answer->status, answer->stream, "");
        break;
    case WST__UNANSWERED:
        refuse_egress_stream(s, WST_EDIALTIMEOUT, NULL);
        break;
    default: /* denied, or an answer of the wrong kind */
        refuse_egress_stream(s, WST_EDENIED, answer->reason);
        break;
    }
}

static void ask_egress_embedder(wst__egress_stream_t *s,
                                void (*callback)(wst_request_t *request, void *user_data),
                                uint64_t timeout_ms, wst__answer_cb on_answer) {
    const wst__ask_t question = {.destination = s->dest,
                                 .peer = s->incoming->peer,
                                 .timeout_ms = timeout_ms,
                                 .on_answer = on_answer,
                                 .user_data = s};
    int status = wst__request_new(&s->question, wst__egress_stream_ctx(s), &question);
    if (status != 0)
        refuse_egress_stream(s, status, wst_strerror(status));
    else
        callback(s->question, s->egress->o.user_data);
}

static void dial(wst__egress_stream_t *s) {
    const wst__egress_options_t *o = &s->egress->o;
    s->phase = WST__EGRESS_DIALLING;
    if (o->on_dial != NULL) {
        ask_egress_embedder(s, o->on_dial, o->dial_timeout_ms, on_dial_answer);
        return;
    }
    char host[HOST_MAX + 1];
    copy_host(s, host);
    const wst_dial_options_t options = {.size = sizeof(options),
                                        .host = host,
                                        .port = s->authority.port,
                                        .timeout_ms = o->dial_timeout_ms,
                                        .allow = may_try};
    int status = wst_dial(&s->dial, wst__egress_stream_ctx(s), &options, on_dialled, s);
    if (status != 0)
        refuse_egress_stream(s, status, wst_strerror(status));
}

/* Asking ------------------------------------------------------------------------------------- */

static void on_policy_answer(const wst__answer_t *answer, void *user_data) {
    wst__egress_stream_t *s = user_data;
    char text[80];
    s->question = NULL;
    if (answer->stream != NULL) /* an answer of the wrong kind */
        wst_stream_close(answer->stream, NULL);
    if (answer->kind == WST__ALLOWED) {
        dial(s);
    } else if (answer->kind == WST__UNANSWERED) {
        snprintf(text, sizeof(text), "the %s's policy did not answer in time", s->egress->o.role);
        refuse_egress_stream(s, WST_EDENIED, text);
    } else {
        refuse_egress_stream(s, WST_EDENIED, answer->reason);
    }
}

/* Whether the destination has its share of the connections that are being opened: it may have twice
 * as many as are free, so that one that does not answer leaves some for others. */
static bool is_crowded(const wst__egress_stream_t *s) {
    const wst__egress_t *e = s->egress;
    size_t free = e->o.max_pending - (e->pending.count - 1), own = 0;
    WST__LIST_EACH(const wst__egress_stream_t, other, &e->opening, node)
        own += other != s && strcmp(s->dest, other->dest) == 0;
    return own >= SHARE * free;
}

static void begin(wst__egress_stream_t *s) {
    const wst__egress_t *e = s->egress;
    const char *why;
    /* An embedder that dials does not report a name's address. */
    const char *address = e->o.on_dial != NULL ? "" : NULL;
    int status;
    if (e->streams.count > e->o.max_streams)
        refuse_egress_stream(s, WST_ELIMIT, NULL);
    else if (e->pending.count > e->o.max_pending)
        refuse_egress_stream(s, WST_ELIMIT, "too many destinations are being opened");
    else if ((status = wst_parse_authority(&s->authority, (wst_str_t){s->dest, strlen(s->dest)},
                                           &why)) != 0)
        refuse_egress_stream(s, status, why);
    else if (is_crowded(s))
        refuse_egress_stream(s, WST_ELIMIT, "too many connections to it are being opened");
    else if (!is_allowed(s, address))
        refuse_denied(s);
    else if (e->o.on_destination == NULL)
        dial(s);
    else
        ask_egress_embedder(s, e->o.on_destination, e->o.timeout_ms, on_policy_answer);
}

void wst__egress_take(wst__egress_t *e, wst__incoming_t *incoming, wst_str_t dest) {
    const wst_allocator_t *allocator = &e->node->ctx->allocator;
    const wst_str_t networks = incoming->networks;
    wst__egress_stream_t *s = wst__zalloc(allocator, sizeof(*s) + dest.len + 1);
    char *copy = networks.len > 0 ? wst__zalloc(allocator, networks.len + 1) : NULL;
    if (s == NULL || (copy == NULL && networks.len > 0)) {
        wst__free(allocator, s);
        incoming->ops->refuse(incoming, WST_EMEMORY, NULL);
        return;
    }
    if (copy != NULL)
        s->networks = memcpy(copy, networks.ptr, networks.len);
    s->egress = e;
    s->id = ++e->last_id;
    s->since_ms = wst__now(e->node->ctx);
    if (dest.len > 0)
        memcpy(s->dest, dest.ptr, dest.len);
    wst__list_append(&e->opening, &s->node);
    wst__ticket_take(&s->hold, &e->node->holds);
    wst__ticket_take(&s->busy, &e->node->busy);
    wst__ticket_take(&s->open, &e->streams);
    wst__ticket_take(&s->pending, &e->pending);
    s->incoming = incoming;
    incoming->on_gone = on_gone;
    incoming->user_data = s;
    begin(s);
}

int wst__egress_guard(wst__egress_t *e, const char *address) {
    wst__ip_t ip;
    uint16_t port;
    if (!wst__own_read(&ip, &port, address))
        return WST_EINVAL;
    if (e->own_count == WST__EGRESS_OWN_MAX)
        return WST_ELIMIT;
    wst__ip_to_peer(e->own[e->own_count++], &ip, port);
    return 0;
}

/* The end of one ----------------------------------------------------------------------------- */

static void on_ended(const wst__answer_t *answer, void *user_data) {
    wst__egress_stream_t *s = user_data;
    char text[80];
    (void)answer;
    s->question = NULL;
    snprintf(text, sizeof(text), "ended by the %s's administrator", s->egress->o.role);
    refuse_egress_stream(s, WST_ECANCELLED, text);
}

/* Gives up opening the stream. A question that is answered at once tells the far side, from the
 * loop. 0 or WST_ENOMEM. */
static int end_opening(wst__egress_stream_t *s) {
    const wst__ask_t ask = {.on_answer = on_ended, .user_data = s};
    wst_request_t *question;
    int status = wst__request_new(&question, wst__egress_stream_ctx(s), &ask);
    if (status != 0)
        return status;
    cancel_pending(s);
    s->phase = WST__EGRESS_ENDING;
    s->question = question;
    wst_request_allow(question);
    return 0;
}

int wst__egress_end(wst__egress_t *e, uint64_t id) {
    WST__LIST_EACH(wst__egress_stream_t, s, &e->others, node) {
        if (s->id == id)
            return s->phase == WST__EGRESS_PUMPING && wst__pump_break(s->pump, WST_ECANCELLED)
                       ? 0
                       : WST_ESTATE;
    }
    WST__LIST_EACH(wst__egress_stream_t, s, &e->opening, node) {
        if (s->id == id)
            return s->phase < WST__EGRESS_ENDING ? end_opening(s) : WST_ESTATE;
    }
    return WST_ESTATE;
}

/* The part ----------------------------------------------------------------------------------- */

static void close_stream(wst__egress_stream_t *s) {
    if (s->phase == WST__EGRESS_CLOSING)
        return;
    if (s->phase == WST__EGRESS_PUMPING) {
        set_closing(s);
        wst_pump_close(s->pump, on_pump_closed);
        return;
    }
    cancel_pending(s);
    refuse_egress_stream(s, WST_ECANCELLED, NULL);
}

static void close_egress(wst__part_t *part) {
    wst__egress_t *e = WST__CONTAINER(part, wst__egress_t, part);
    WST__LIST_EACH_SAFE(wst__egress_stream_t, s, &e->opening, node)
        close_stream(s);
    WST__LIST_EACH_SAFE(wst__egress_stream_t, s, &e->others, node)
        close_stream(s);
}

void wst__egress_init(wst__egress_t *e, wst__node_t *node, const wst__egress_options_t *options) {
    *e = (wst__egress_t){.part.close = close_egress, .node = node, .o = *options};
    wst__list_init(&e->opening);
    wst__list_init(&e->others);
    wst__list_init(&e->walks);
    wst__node_add(node, &e->part);
}
