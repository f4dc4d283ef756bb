/* SPDX-License-Identifier: MIT */
/*
 * Chooses an uplink for a flow and opens a stream through it. If the uplink is lost before the far
 * side has answered, or has no room for the stream, the flow tries another one, unnoticed by the
 * client. But first bytes that the front has go ahead of the answer (early data, PROTOCOL.md); then
 * a lost uplink ends the flow, since they may have been delivered.
 *
 *     choose (on_choose, or by default) -> open -> reached (on_reached) -> established
 *        ^-------------------------------- /          |
 *            lost, full or leaving: each uplink once  \--another error: refused
 *
 * Where the user has its share of what the agent opens at a time, other agents are tried, too; then
 * the flow waits for its turn at the last of them, or for another agent if one comes before.
 *
 * A connection kept from an earlier request replaces `open` if its agent is chosen.
 */
#include "flow.h"

#include "ip.h"
#include "self.h"
#include "text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { KNOWN_AT_ONCE_MS = 1000 };

static const wst_str_t nothing = {NULL, 0};

static void choose_later(wst__defer_t *defer) {
    wst__flow_choose(WST__CONTAINER(defer, wst_flow_t, defer));
}

static void choose_again(wst_flow_t *f) {
    f->state = WST__FLOW_CHOOSING;
    /* From the loop: the failed uplink may still be ending. */
    wst__defer(f->ingress->ctx, &f->defer, choose_later);
}

static void on_open_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_flow_t *f = WST__CONTAINER(deadline, wst__search_t, deadline)->flow;
    int cause = wst__dial_turn_is_waiting(&f->search->turn) ? (int)WST__USER_AGENT_DIALS
                : wst__list_empty(&f->search->wait_node)    ? (int)WST_ETIMEOUT
                                                            : f->search->waits_for;
    wst__flow_refuse(f, cause, nothing);
}

/* The time for the agent's answer runs from the first open or wait. */
static void arm(wst_flow_t *f) {
    if (!f->search->deadline.set)
        wst__deadline_in(f->ingress->ctx, &f->search->deadline, f->search->timeout_ms,
                         on_open_deadline);
}

/* Reached ------------------------------------------------------------------------------------ */

/* The destination's stream broke before the front took it. */
static void on_held_error(wst_stream_t *stream, int error, void *user_data) {
    wst_flow_t *f = user_data;
    if (!f->reused) {
        wst__flow_refuse(f, wst_reason_of(error), nothing);
        return;
    }
    /* A stale connection says nothing about the destination: open a new one. */
    wst_stream_close(stream, NULL);
    f->stream = NULL;
    f->reused = false;
    if (f->request != NULL)
        wst__request_cancel(f->request);
    f->request = NULL;
    choose_again(f);
}

static void on_reached_answer(const wst__answer_t *answer, void *user_data) {
    wst_flow_t *f = user_data;
    f->request = NULL;
    int verdict = wst__answer_verdict(answer, WST__ALLOWED);
    if (verdict != 0)
        wst__flow_deny(f, verdict, answer);
    else
        wst__flow_establish(f);
}

static bool read_destination(const wst_flow_t *f, wst_authority_t *out) {
    const wst_str_t destination = {f->destination, strlen(f->destination)};
    return wst_parse_authority(out, destination, NULL) == 0;
}

/* Whether the agent has connected to an address of this node. If the agent did not tell the
 * address, judges by the destination. */
static bool is_self(const wst_flow_t *f, const wst_remote_t *agent) {
    wst_authority_t a;
    char host[WST_DEST_MAX + 1];
    if (!read_destination(f, &a))
        return false;
    wst__text_copy(host, sizeof(host), a.host);
    return wst__ingress_is_self(f->ingress, f->address[0] != '\0' ? f->address : host, a.port,
                                wst_remote_peer(agent));
}

/* Keeps the agent's name and the address, at most WST__IP_TEXT - 1 bytes, in exact size, since idle
 * tunnels keep them. 0 or WST_ENOMEM. */
static int set_route(wst_flow_t *f, wst_str_t address) {
    const wst_allocator_t *a = &f->ingress->ctx->allocator;
    size_t name_size = strlen(f->agent) + 1;
    size_t len = address.len < WST__IP_TEXT ? address.len : WST__IP_TEXT - 1;
    char *route = wst__alloc(a, name_size + len + 1);
    if (route == NULL)
        return WST_ENOMEM;
    memcpy(route, f->agent, name_size);
    if (len > 0)
        memcpy(route + name_size, address.ptr, len);
    route[name_size + len] = '\0';
    wst__free(a, f->route);
    f->route = route;
    f->agent = route;
    f->address = route + name_size;
    return 0;
}

/* The far side has opened the stream. */
static void reached(wst_flow_t *f, wst_str_t address, wst_stream_t *stream) {
    static const wst_stream_callbacks_t held = {.size = sizeof(held), .on_error = on_held_error};
    const wst_remote_t *agent = wst__remotes_find(&f->ingress->remotes, f->agent_serial);
    f->state = WST__FLOW_REACHED;
    f->stream = stream;
    int status = set_route(f, address);
    wst__deadline_clear(&f->ingress->ctx->deadlines, &f->search->deadline);
    wst_stream_set_callbacks(stream, &held, f);
    if (status != 0)
        wst__flow_refuse(f, status, nothing);
    else if (agent == NULL) /* the agent has left; its stream ends */
        wst__flow_refuse(f, WST_ELOST, nothing);
    else if (is_self(f, agent))
        wst__flow_refuse(f, WST__SELF, nothing);
    else if (wst__flow_wants(f, WST__ASK_REACHED))
        wst__flow_ask(f, WST__ASK_REACHED, on_reached_answer);
    else
        wst__flow_establish(f);
}

/* Opening ------------------------------------------------------------------------------------ */

void wst__flow_send_early(wst_flow_t *f) {
    wst__opening_t *opening = f->state == WST__FLOW_OPENING ? f->search->opening : NULL;
    if (f->early == NULL || opening == NULL || opening->send_early == NULL)
        return;
    if (wst__flow_wants(f, WST__ASK_REACHED) && !f->search->may_send_early)
        return; /* the address may be denied */
    wst_slice_t data = f->early(f, f->user_data);
    if (data.len > WST__EARLY_SENT_MAX)
        data.len = WST__EARLY_SENT_MAX;
    if (data.len <= f->early_sent)
        return;
    data.data += f->early_sent;
    data.len -= f->early_sent;
    f->early_sent += (uint32_t)opening->send_early(opening, data);
}

/* Whether the error says nothing about the destination, and another uplink may do better.
 * `delivered`: bytes of the client may have been. */
static bool may_retry(const wst_flow_t *f, int status, bool delivered) {
    return !delivered && f->search->tries < WST__TRIES_MAX &&
           (status == WST_ELOST || status == WST_EGOAWAY || status == WST_ELIMIT ||
            status == WST_EMEMORY);
}

/* The agent has denied all addresses by our networks, and says so in the words with which a reached
 * one is denied. */
static void refuse_filtered(wst_flow_t *f, wst_str_t text) {
    char reason[WST_ERROR_TEXT_MAX + 1];
    snprintf(reason, sizeof(reason), "%.*s", (int)text.len, text.len > 0 ? text.ptr : "");
    wst__refusal_t refusal = wst__refusal_denied(403, reason);
    refusal.error = "destination_ip_prohibited";
    wst__flow_refuse_as(f, &refusal, WST_EDENIED);
}

static bool is_for_name(const wst_flow_t *f) {
    wst_authority_t a;
    wst__ip_t ip;
    return read_destination(f, &a) && !wst__ip_parse(&ip, a.host.ptr, a.host.len);
}

void wst__flow_leave_agent(wst_flow_t *f, bool unanswered) {
    wst__dial_turn_t *turn = &f->search->turn;
    if (unanswered && turn->line != NULL && is_for_name(f))
        wst__late_place_keep(&f->ingress->late, turn, f->claim.account);
    else
        wst__dial_turn_drop(turn);
}

/* Whether a look-up that has lasted until now has found nothing, and so may last on. An agent tells
 * at once of one that it knows to hang. */
static bool has_waited_for_name(const wst_flow_t *f, int status) {
    return status == WST_ENAMETIMEOUT &&
           wst__now(f->ingress->ctx) - f->asked_ms >= KNOWN_AT_ONCE_MS;
}

static void on_flow_open(int status, wst_str_t text, wst_stream_t *stream, void *user_data) {
    wst_flow_t *f = user_data;
    bool delivered =
        status != 0 && f->search->opening != NULL && f->search->opening->early_delivered;
    f->search->opening = NULL;
    wst__flow_leave_agent(f, has_waited_for_name(f, status));
    if (status == 0) {
        reached(f, text, stream);
    } else if (status == WST_EFILTERED && f->search->networks != NULL) {
        refuse_filtered(f, text);
    } else if (!may_retry(f, status, delivered)) {
        wst__flow_refuse(f, status, text);
    } else {
        wst_ctx_log(f->ingress->ctx, WST_LOG_INFO,
                    "agent %s: no stream to %s: %s; trying another one", f->agent, f->destination,
                    wst_strerror(status));
        f->search->last_error = status;
        choose_again(f);
    }
}

/* Waits for an uplink: an agent that replaces each one that a stream has used up, or one whose
 * connection is lost. The latter may take long, so only some may wait for it, of each user. */
static void wait(wst_flow_t *f, int cause) {
    wst_ingress_t *ingress = f->ingress;
    if (cause == WST__AWAY && !wst__claim_wait(&f->claim)) {
        wst__flow_refuse(f, cause, nothing);
        return;
    }
    wst__dial_turn_drop(&f->search->turn); /* it may take long */
    f->state = WST__FLOW_CHOOSING;
    f->search->waits_for = cause;
    f->search->may_send_early = false; /* the rules may change meanwhile */
    wst__list_append(&ingress->waiting, &f->search->wait_node);
    arm(f);
}

void wst__flow_on_turn(wst__dial_turn_t *turn) {
    wst_flow_t *f = WST__CONTAINER(turn, wst__search_t, turn)->flow;
    wst__list_remove(&f->search->wait_node);
    wst__search_begin(f->search);
    choose_again(f);
}

/* Whether the user has its share at an agent, and a turn there comes. */
static bool has_turn_to_come(const wst_flow_t *f) {
    return f->search->crowded != 0 &&
           wst__remotes_find(&f->ingress->remotes, f->search->crowded) != NULL;
}

/* Nothing is left to try: waits for a turn at an agent where the user has its share, or for an
 * uplink if that comes up before, or refuses. */
static void end_search(wst_flow_t *f, int cause) {
    wst_ingress_t *ingress = f->ingress;
    if (!has_turn_to_come(f)) {
        wst__flow_refuse(f, cause, nothing);
    } else if (wst__dial_turn_wait(&ingress->turns, &f->search->turn, f->search->crowded,
                                   f->claim.account) != 0) {
        wst__flow_refuse(f, WST_ENOMEM, nothing);
    } else {
        f->state = WST__FLOW_CHOOSING;
        if (wst__dial_turn_is_waiting(&f->search->turn))
            wst__list_append(&ingress->waiting, &f->search->wait_node);
        arm(f);
    }
}

/* The user has its share of what the agent opens at a time: tries another agent. */
static void pass_over(wst_flow_t *f) {
    f->search->crowded = f->agent_serial;
    f->search->last_error = WST__USER_AGENT_DIALS;
    if (f->search->tries < WST__TRIES_MAX)
        choose_again(f);
    else
        end_search(f, WST__USER_AGENT_DIALS);
}

/* There was no memory for the stream. */
static void open_without_memory(wst_flow_t *f, const wst__uplink_t *uplink) {
    bool may_fit = uplink->ops->may_fit != NULL &&
                   uplink->ops->may_fit(uplink, f->ingress->limits.stream_memory);
    wst__dial_turn_drop(&f->search->turn);
    f->search->tries--; /* the uplink is as good as before */
    f->state = WST__FLOW_CHOOSING;
    if (!(may_fit && wst__flow_await_room(f, choose_later)))
        wst__flow_refuse(f, WST_EMEMORY, nothing); /* no other uplink would help */
}

static void set_agent(wst_flow_t *f, const char *name, uint64_t serial, uint32_t conn) {
    snprintf(f->search->agent, sizeof(f->search->agent), "%s", name);
    f->search->conn = conn;
    f->agent = f->search->agent;
    f->agent_serial = serial;
}

static void use_member(wst_flow_t *f, wst__member_t *member) {
    assert(f->search->tries < WST__TRIES_MAX);
    f->search->tried[f->search->tries++] = member->serial;
    set_agent(f, wst_remote_name(member->remote), wst__remote_serial(member->remote), member->conn);
    int status = wst__dial_turn_take(&f->ingress->turns, &f->search->turn, f->agent_serial,
                                     f->claim.account);
    if (status != 0) {
        if (status == WST_ELIMIT)
            pass_over(f);
        else
            wst__flow_refuse(f, status, nothing);
        return;
    }
    f->state = WST__FLOW_OPENING;
    status = member->uplink->ops->open(member->uplink, &f->search->opening, f->destination,
                                       wst__account_memory(f->claim.account), on_flow_open, f);
    if (status == 0 && f->search->networks != NULL && f->search->opening->limit != NULL &&
        (status = f->search->opening->limit(f->search->opening, f->search->networks)) != 0) {
        wst__opening_cancel(f->search->opening);
        f->search->opening = NULL;
    }
    if (status == 0) {
        arm(f);
        wst__flow_send_early(f);
    } else if (status == WST_ELOST) { /* the uplink is about to end: try another one */
        on_flow_open(status, nothing, NULL, f);
    } else if (status == WST_EMEMORY) {
        open_without_memory(f, member->uplink);
    } else {
        wst__flow_refuse(f, status, nothing);
    }
}

/* Uses the kept connection if that agent (0: any) opened it and its session has a connection; else
 * ends it. */
static bool use_kept(wst_flow_t *f, uint64_t agent) {
    if (f->search->kept == NULL)
        return false;
    wst__origin_t kept = *f->search->kept;
    wst_stream_t *stream = wst__flow_take_kept(f);
    const wst_remote_t *keeper = wst__remotes_find(&f->ingress->remotes, kept.agent_serial);
    if ((agent != 0 && agent != kept.agent_serial) || keeper == NULL ||
        wst__remote_misses(keeper, kept.conn)) {
        wst__origin_end(stream);
        return false;
    }
    set_agent(f, kept.agent, kept.agent_serial, kept.conn);
    f->reused = true;
    reached(f, (wst_str_t){kept.address, strlen(kept.address)}, stream);
    return true;
}

static wst__choice_t choice_of(const wst_flow_t *f) {
    const wst__search_t *s = f->search;
    return (wst__choice_t){.only = s->chosen != 0 ? s->chosen : s->only,
                           .name = s->name,
                           .labels = s->labels,
                           .tenant = f->tenant,
                           .tried = s->tried,
                           .tried_count = s->tries};
}

/* Opens a stream through the chosen agent, or through the best one. */
static void open_flow_stream(wst_flow_t *f) {
    wst_ingress_t *ingress = f->ingress;
    f->early_sent = 0;
    const wst__choice_t choice = choice_of(f);
    wst__member_t *member;
    bool awaited = false;
    if (use_kept(f, choice.only))
        return;
    int status = wst__remotes_choose(&ingress->remotes, &choice, &member, &awaited);
    if (status == 0)
        use_member(f, member);
    else if (awaited && !has_turn_to_come(f) && ingress->node->state == WST__NODE_RUNNING)
        wait(f, status);
    else
        end_search(f, f->search->last_error != 0 ? f->search->last_error : status);
}

static void open_again(wst__defer_t *defer) {
    wst_flow_t *f = WST__CONTAINER(defer, wst_flow_t, defer);
    if (f->search->chosen != 0)
        open_flow_stream(f);
    else
        wst__flow_choose(f);
}

void wst__ingress_wake(wst_ingress_t *ingress) {
    ingress->wakes++;
    wst__list_t *node;
    while ((node = wst__list_first(&ingress->waiting)) != NULL) {
        wst_flow_t *f = WST__CONTAINER(node, wst__search_t, wait_node)->flow;
        wst__list_remove(node);
        wst__claim_waited(&f->claim);
        if (wst__dial_turn_is_waiting(&f->search->turn))
            wst__search_begin(f->search); /* as when its turn has come */
        wst__dial_turn_drop(&f->search->turn);
        wst__defer(ingress->ctx, &f->defer, open_again);
    }
}

/* Choosing ----------------------------------------------------------------------------------- */

/* Whether the flow's tenant and options allow the agent. */
static bool is_eligible(const wst_flow_t *f, const wst_remote_t *agent) {
    wst__choice_t choice = choice_of(f);
    choice.only = f->search->only;
    return wst__remote_fits(agent, &choice);
}

/* Keeps the networks of an answer. 0 or WST_ENOMEM. */
static int keep_networks(wst_flow_t *f, const char *networks) {
    const wst_allocator_t *a = &f->ingress->ctx->allocator;
    wst__free(a, f->search->networks);
    f->search->networks = networks != NULL ? wst__strdup(a, networks) : NULL;
    return networks == NULL || f->search->networks != NULL ? 0 : WST_ENOMEM;
}

static void on_choice(const wst__answer_t *answer, void *user_data) {
    wst_flow_t *f = user_data;
    wst__search_t *s = f->search;
    wst_ingress_t *ingress = f->ingress;
    f->request = NULL;
    int verdict = wst__answer_verdict(answer, WST__CHOSEN);
    if (verdict != 0) {
        wst__flow_deny(f, verdict, answer);
    } else if (answer->remote == NULL && s->choice_error != 0 && s->awaited &&
               !has_turn_to_come(f) && ingress->node->state == WST__NODE_RUNNING) {
        if (s->wakes == ingress->wakes) {
            wait(f, s->choice_error);
        } else { /* an uplink came up while the answer was on its way */
            arm(f);
            choose_again(f);
        }
    } else if (answer->remote == NULL) {
        end_search(f, s->last_error != 0     ? s->last_error
                      : s->choice_error != 0 ? s->choice_error
                                             : (int)WST_ENOAGENT);
    } else if (!wst__remotes_has(&ingress->remotes,
                                 answer->remote)) { /* the agent has left since */
        s->last_error = WST_ELOST;
        s->tried[s->tries] = 0;
        if (++s->tries < WST__TRIES_MAX)
            choose_again(f);
        else
            end_search(f, WST_ELOST);
    } else if (!is_eligible(f, answer->remote)) {
        wst_ctx_log(ingress->ctx, WST_LOG_ERROR,
                    "%s: an agent was chosen that is of another tenant, or not the one asked for",
                    f->destination);
        wst__flow_refuse(f, WST_ENOAGENT, nothing);
    } else if (keep_networks(f, answer->networks) != 0) {
        wst__flow_refuse(f, WST_ENOMEM, nothing);
    } else {
        s->chosen = wst__remote_serial(answer->remote);
        s->may_send_early = answer->early;
        open_flow_stream(f);
    }
}

wst_remote_t *wst__ingress_best(wst_ingress_t *ingress, const wst_request_t *request,
                                const char *name,
                                bool (*admits)(const wst_remote_t *agent, void *user_data),
                                void *user_data) {
    wst_flow_t *f = wst__request_asker(request, on_choice);
    assert(f != NULL); /* the request is one of on_choose */
    wst__search_t *s = f->search;
    wst__choice_t choice = choice_of(f);
    choice.admits = admits;
    choice.user_data = user_data;
    if (name != NULL && choice.name != NULL && strcmp(name, choice.name) != 0) {
        s->choice_error = WST_ENOAGENT; /* the flow requires another agent */
        return NULL;
    }
    choice.name = name != NULL ? name : choice.name;
    wst_remote_t *keeper =
        s->kept != NULL ? wst__remotes_find(&ingress->remotes, s->kept->agent_serial) : NULL;
    if (keeper != NULL && !wst__remote_misses(keeper, s->kept->conn) &&
        wst__remote_fits(keeper, &choice))
        return keeper;
    wst__member_t *member;
    s->wakes = ingress->wakes;
    s->choice_error = wst__remotes_choose(&ingress->remotes, &choice, &member, &s->awaited);
    return s->choice_error == 0 ? member->remote : NULL;
}

void wst__flow_choose(wst_flow_t *f) {
    f->state = WST__FLOW_CHOOSING;
    f->search->chosen = 0;
    f->search->choice_error = 0;
    f->search->awaited = false;
    if (wst__flow_wants(f, WST__ASK_CHOOSE))
        wst__flow_ask(f, WST__ASK_CHOOSE, on_choice);
    else
        open_flow_stream(f);
}
