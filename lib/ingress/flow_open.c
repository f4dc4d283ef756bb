/* SPDX-License-Identifier: MIT */
/*
 * Chooses an uplink for a flow and opens a stream through it. No byte of the client passes before
 * the far side has answered. So if the uplink is lost before that, or has no room for the stream,
 * the flow tries another one, unnoticed by the client.
 *
 *     choose (on_choose, or by default) -> open -> reached (on_reached) -> established
 *        ^-------------------------------- /          |
 *            lost, full or leaving: each uplink once  \--another error: refused
 *
 * A connection kept from an earlier request replaces `open` if its agent is chosen.
 */
#include "flow.h"

#include "self.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const wst_str_t nothing = {NULL, 0};

static void choose_later(wst__defer_t *defer) {
    wst__flow_choose(WST__CONTAINER(defer, wst_flow_t, defer));
}

static void choose_again(wst_flow_t *f) {
    f->state = WST__FLOW_CHOOSING;
    /* From the loop: the failed uplink may still be ending. */
    wst__defer(f->ingress->ctx, &f->defer, choose_later);
}

static bool is_waiting(const wst_flow_t *f) {
    return !wst__list_empty(&f->wait_node);
}

static void on_open_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    wst_flow_t *f = WST__CONTAINER(deadline, wst_flow_t, deadline);
    wst__flow_refuse(f, is_waiting(f) ? WST_ELIMIT : WST_ETIMEOUT, nothing);
}

/* The time for the agent's answer runs from the first open or wait. */
static void arm(wst_flow_t *f) {
    if (!f->deadline.set)
        wst__deadline_in(f->ingress->ctx, &f->deadline, f->timeout_ms, on_open_deadline);
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

/* Whether the agent has connected to an address of this node. If the agent did not tell the
 * address, judges by the destination. */
static bool is_self(const wst_flow_t *f, const wst_remote_t *agent) {
    wst_authority_t a;
    char host[WST_DEST_MAX + 1];
    const wst_str_t destination = {f->destination, strlen(f->destination)};
    if (wst_parse_authority(&a, destination, NULL) != 0)
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)a.host.len, a.host.ptr);
    return wst__ingress_is_self(f->ingress, f->address[0] != '\0' ? f->address : host, a.port,
                                wst_remote_peer(agent));
}

/* The far side has opened the stream. */
static void reached(wst_flow_t *f, wst_str_t address, wst_stream_t *stream) {
    static const wst_stream_callbacks_t held = {.size = sizeof(held), .on_error = on_held_error};
    const wst_remote_t *agent = wst__remotes_find(&f->ingress->remotes, f->agent_serial);
    f->state = WST__FLOW_REACHED;
    f->stream = stream;
    snprintf(f->address, sizeof(f->address), "%.*s", (int)address.len,
             address.len > 0 ? address.ptr : "");
    wst__deadline_clear(&f->ingress->ctx->deadlines, &f->deadline);
    wst_stream_set_callbacks(stream, &held, f);
    if (agent == NULL) /* the agent has left; its stream ends */
        wst__flow_refuse(f, WST_ELOST, nothing);
    else if (is_self(f, agent))
        wst__flow_refuse(f, WST__SELF, nothing);
    else if (wst__flow_wants(f, WST__ASK_REACHED))
        wst__flow_ask(f, WST__ASK_REACHED, on_reached_answer);
    else
        wst__flow_establish(f);
}

/* Opening ------------------------------------------------------------------------------------ */

/* Whether the error says nothing about the destination, and another uplink may do better. */
static bool may_retry(const wst_flow_t *f, int status) {
    return f->search.tries < WST__TRIES_MAX && (status == WST_ELOST || status == WST_EGOAWAY ||
                                                status == WST_ELIMIT || status == WST_EMEMORY);
}

static void on_flow_open(int status, wst_str_t text, wst_stream_t *stream, void *user_data) {
    wst_flow_t *f = user_data;
    f->opening = NULL;
    if (status == 0) {
        reached(f, text, stream);
    } else if (!may_retry(f, status)) {
        wst__flow_refuse(f, status, text);
    } else {
        wst_ctx_log(f->ingress->ctx, WST_LOG_INFO,
                    "agent %s: no stream to %s: %s; trying another one", f->agent, f->destination,
                    wst_strerror(status));
        f->search.last_error = status;
        choose_again(f);
    }
}

/* Waits for an uplink: an agent replaces each one that a stream has used up. */
static void wait(wst_flow_t *f) {
    f->state = WST__FLOW_CHOOSING;
    wst__list_append(&f->ingress->waiting, &f->wait_node);
    arm(f);
}

static void use_member(wst_flow_t *f, wst__member_t *member) {
    f->search.tried[f->search.tries++] = member->serial;
    snprintf(f->agent, sizeof(f->agent), "%s", wst_remote_name(member->remote));
    f->agent_serial = wst__remote_serial(member->remote);
    f->state = WST__FLOW_OPENING;
    int status =
        member->uplink->ops->open(member->uplink, &f->opening, f->destination, on_flow_open, f);
    if (status == 0)
        arm(f);
    else if (status == WST_ELOST) /* the uplink is about to end: try another one */
        on_flow_open(status, nothing, NULL, f);
    else /* no memory: no other uplink would help */
        wst__flow_refuse(f, status, nothing);
}

/* Uses the kept connection if that agent (0: any) opened it and is still here; else ends it. */
static bool use_kept(wst_flow_t *f, uint64_t agent) {
    if (f->kept == NULL)
        return false;
    wst__origin_t kept = *f->kept;
    wst_stream_t *stream = wst__flow_take_kept(f);
    if ((agent != 0 && agent != kept.agent_serial) ||
        wst__remotes_find(&f->ingress->remotes, kept.agent_serial) == NULL) {
        wst__origin_end(stream);
        return false;
    }
    snprintf(f->agent, sizeof(f->agent), "%s", kept.agent);
    f->agent_serial = kept.agent_serial;
    f->reused = true;
    reached(f, (wst_str_t){kept.address, strlen(kept.address)}, stream);
    return true;
}

static wst__choice_t choice_of(const wst_flow_t *f) {
    const wst__search_t *s = &f->search;
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
    const wst__choice_t choice = choice_of(f);
    wst__member_t *member;
    bool awaited = false;
    if (use_kept(f, choice.only))
        return;
    int status = wst__remotes_choose(&ingress->remotes, &choice, &member, &awaited);
    if (status == 0)
        use_member(f, member);
    else if (awaited && ingress->node->state == WST__NODE_RUNNING)
        wait(f);
    else
        wst__flow_refuse(f, f->search.last_error != 0 ? f->search.last_error : status, nothing);
}

static void open_again(wst__defer_t *defer) {
    wst_flow_t *f = WST__CONTAINER(defer, wst_flow_t, defer);
    if (f->search.chosen != 0)
        open_flow_stream(f);
    else
        wst__flow_choose(f);
}

void wst__ingress_wake(wst_ingress_t *ingress) {
    ingress->wakes++;
    wst__list_t *node;
    while ((node = wst__list_first(&ingress->waiting)) != NULL) {
        wst_flow_t *f = WST__CONTAINER(node, wst_flow_t, wait_node);
        wst__list_remove(node);
        wst__defer(ingress->ctx, &f->defer, open_again);
    }
}

/* Choosing ----------------------------------------------------------------------------------- */

/* Whether the flow's tenant and options allow the agent. */
static bool is_eligible(const wst_flow_t *f, const wst_remote_t *agent) {
    wst__choice_t choice = choice_of(f);
    choice.only = f->search.only;
    return wst__remote_fits(agent, &choice);
}

static void on_choice(const wst__answer_t *answer, void *user_data) {
    wst_flow_t *f = user_data;
    wst__search_t *s = &f->search;
    wst_ingress_t *ingress = f->ingress;
    f->request = NULL;
    int verdict = wst__answer_verdict(answer, WST__CHOSEN);
    if (verdict != 0) {
        wst__flow_deny(f, verdict, answer);
    } else if (answer->remote == NULL && s->choice_error != 0 && s->awaited &&
               ingress->node->state == WST__NODE_RUNNING) {
        if (s->wakes == ingress->wakes) {
            wait(f);
        } else { /* an uplink came up while the answer was on its way */
            arm(f);
            choose_again(f);
        }
    } else if (answer->remote == NULL) {
        wst__flow_refuse(f,
                         s->last_error != 0     ? s->last_error
                         : s->choice_error != 0 ? s->choice_error
                                                : (int)WST_ENOAGENT,
                         nothing);
    } else if (!wst__remotes_has(&ingress->remotes,
                                 answer->remote)) { /* the agent has left since */
        s->last_error = WST_ELOST;
        s->tried[s->tries] = 0;
        if (++s->tries < WST__TRIES_MAX)
            choose_again(f);
        else
            wst__flow_refuse(f, WST_ELOST, nothing);
    } else if (!is_eligible(f, answer->remote)) {
        wst_ctx_log(ingress->ctx, WST_LOG_ERROR,
                    "%s: an agent was chosen that is of another tenant, or not the one asked for",
                    f->destination);
        wst__flow_refuse(f, WST_ENOAGENT, nothing);
    } else {
        s->chosen = wst__remote_serial(answer->remote);
        open_flow_stream(f);
    }
}

wst_remote_t *wst__ingress_best(wst_ingress_t *ingress, const wst_request_t *request,
                                const char *name,
                                bool (*admits)(const wst_remote_t *agent, void *user_data),
                                void *user_data) {
    wst_flow_t *f = wst__request_asker(request, on_choice);
    assert(f != NULL); /* the request is one of on_choose */
    wst__search_t *s = &f->search;
    wst__choice_t choice = choice_of(f);
    choice.admits = admits;
    choice.user_data = user_data;
    if (name != NULL && choice.name != NULL && strcmp(name, choice.name) != 0) {
        s->choice_error = WST_ENOAGENT; /* the flow requires another agent */
        return NULL;
    }
    choice.name = name != NULL ? name : choice.name;
    wst_remote_t *keeper =
        f->kept != NULL ? wst__remotes_find(&ingress->remotes, f->kept->agent_serial) : NULL;
    if (keeper != NULL && wst__remote_fits(keeper, &choice))
        return keeper;
    wst__member_t *member;
    s->wakes = ingress->wakes;
    s->choice_error = wst__remotes_choose(&ingress->remotes, &choice, &member, &s->awaited);
    return s->choice_error == 0 ? member->remote : NULL;
}

void wst__flow_choose(wst_flow_t *f) {
    f->state = WST__FLOW_CHOOSING;
    f->search.chosen = 0;
    f->search.choice_error = 0;
    f->search.awaited = false;
    if (wst__flow_wants(f, WST__ASK_CHOOSE))
        wst__flow_ask(f, WST__ASK_CHOOSE, on_choice);
    else
        open_flow_stream(f);
}
