/* SPDX-License-Identifier: MIT */
/* The actions of operators. An operator of a tenant reaches its agents and flows only. */
#include "admin.h"

#include "admin_form.h"

#include <stdio.h>
#include <string.h>

enum { LOOKS_A_TURN = 128 }; /* at flows or streams */

/* Reports an action to the embedder, then answers. */
static void answer_done(wst__admin_conn_t *c, const char *action, const char *target,
                        size_t count) {
    const wst_admin_options_t *o = &c->admin->options;
    const wst_admin_action_t info = {.size = sizeof(info),
                                     .client = c->peer,
                                     .name = c->viewer.name,
                                     .action = action,
                                     .target = target,
                                     .count = count};
    char body[64];
    if (o->on_action != NULL)
        o->on_action(c->admin, &info, o->user_data);
    if (c->state == WST__ADMIN_CLOSED)
        return; /* by the callback */
    snprintf(body, sizeof(body), "{\"count\":%zu}\n", count);
    wst__admin_answer(c, &(wst__admin_answer_t){.status = 200,
                                                .reason = "OK",
                                                .type = "application/json",
                                                .body = {body, strlen(body)}});
}

static void refuse_form(wst__admin_conn_t *c, const char *reason) {
    wst__admin_answer(c, &(wst__admin_answer_t){.status = 400, .reason = reason});
}

static void answer_none(wst__admin_conn_t *c, const char *reason) {
    wst__admin_answer(c, &(wst__admin_answer_t){.status = 404, .reason = reason});
}

/* Flows -------------------------------------------------------------------------------------- */

static bool is_picked(const wst__admin_picking_t *p, const wst_stream_info_t *info) {
    return (p->id == 0 || info->id == p->id) &&
           (p->user[0] == '\0' || strcmp(info->user, p->user) == 0) &&
           wst__admin_reaches(p->tenant, info->tenant);
}

static const char *end_picked(const wst_stream_info_t *info, void *user_data) {
    wst__admin_picking_t *p = user_data;
    if (!is_picked(p, info))
        return NULL;
    p->count++;
    snprintf(p->what, sizeof(p->what), "%llu: %s%s%s to %s", (unsigned long long)info->id,
             info->user, info->user[0] != '\0' ? " at " : "", info->client, info->destination);
    return "ended by an operator";
}

static void tell_ended(wst__admin_conn_t *c) {
    const wst__admin_picking_t *p = &c->picking;
    char user[2 * WST__ADMIN_NAME + 16];
    snprintf(user, sizeof(user), "%s%s%s", p->user, p->tenant[0] != '\0' ? " of tenant " : "",
             p->tenant);
    if (p->count == 0)
        answer_none(c, p->id != 0 ? "No such flow" : "No such user has flows");
    else if (p->id != 0)
        answer_done(c, "end-flow", p->what, p->count);
    else
        answer_done(c, "end-user", user, p->count);
}

/* Looks through some flows; a number names one, so the walk ends with it. */
static void end_some(wst__admin_conn_t *c) {
    wst__admin_picking_t *p = &c->picking;
    bool more = wst_flow_walk_end(c->progress.flows, LOOKS_A_TURN, end_picked, p);
    if (more && (p->id == 0 || p->count == 0))
        wst__admin_wants_turn(c);
    else
        tell_ended(c);
}

static void begin_ending(wst__admin_conn_t *c) {
    wst_ingress_t *ingress = wst_server_ingress(c->admin->options.server);
    if (wst_flow_walk_new(&c->progress.flows, ingress) == 0)
        wst__admin_begin_work(c, end_some);
    else
        wst__admin_conn_close(c);
}

void wst__admin_end_flow(wst__admin_conn_t *c) {
    wst__admin_picking_t *p = &c->picking;
    *p = (wst__admin_picking_t){0};
    memcpy(p->tenant, c->viewer.tenant, sizeof(p->tenant));
    if (wst__admin_form_number(c->form, c->form_len, "id", &p->id) == 1 && p->id != 0)
        begin_ending(c);
    else
        refuse_form(c, "Which flow? id=NUMBER");
}

void wst__admin_end_user(wst__admin_conn_t *c) {
    wst__admin_picking_t *p = &c->picking;
    const char *own = c->viewer.tenant;
    *p = (wst__admin_picking_t){0};
    int named = wst__admin_form_text(c->form, c->form_len, "user", p->user, sizeof(p->user));
    int given = wst__admin_form_text(c->form, c->form_len, "tenant", p->tenant, sizeof(p->tenant));
    bool foreign = given == 1 && !wst__admin_reaches(own, p->tenant);
    if (own[0] != '\0')
        memcpy(p->tenant, own, sizeof(p->tenant));
    if (named != 1 || p->user[0] == '\0' || given < 0)
        refuse_form(c, "Which user? user=NAME, and perhaps tenant=NAME");
    else if (foreign)
        answer_none(c, "No such user has flows");
    else
        begin_ending(c);
}

/* Streams of an agent ------------------------------------------------------------------------ */

static void note_stream(const wst_agent_stream_info_t *info, void *user_data) {
    wst__admin_picking_t *p = user_data;
    if (info->id != p->id)
        return;
    p->count = 1;
    snprintf(p->what, sizeof(p->what), "%llu: to %s", (unsigned long long)p->id, info->destination);
}

/* Looks through some streams for the destination, then ends the one that has the number. */
static void end_noted(wst__admin_conn_t *c) {
    wst__admin_picking_t *p = &c->picking;
    if (wst_agent_walk_next(c->progress.streams, LOOKS_A_TURN, note_stream, p) && p->count == 0) {
        wst__admin_wants_turn(c);
        return;
    }
    /* A stream that the walk has missed, since it was opened meanwhile, is there all the same. */
    if (p->count == 0)
        snprintf(p->what, sizeof(p->what), "%llu", (unsigned long long)p->id);
    int status = wst_agent_end_stream(c->admin->options.agent, p->id);
    if (status == 0)
        answer_done(c, "end-stream", p->what, 1);
    else if (status == WST_ESTATE)
        answer_none(c, "No such stream");
    else
        wst__admin_conn_close(c);
}

void wst__admin_end_stream(wst__admin_conn_t *c) {
    wst__admin_picking_t *p = &c->picking;
    *p = (wst__admin_picking_t){0};
    if (wst__admin_form_number(c->form, c->form_len, "id", &p->id) != 1 || p->id == 0)
        refuse_form(c, "Which stream? id=NUMBER");
    else if (wst_agent_walk_new(&c->progress.streams, c->admin->options.agent) == 0)
        wst__admin_begin_work(c, end_noted);
    else
        wst__admin_conn_close(c);
}

/* Agents ------------------------------------------------------------------------------------- */

void wst__admin_end_agent(wst__admin_conn_t *c) {
    char name[WST__ADMIN_NAME], instance[WST__ADMIN_INSTANCE], target[2 * WST__ADMIN_NAME];
    wst__admin_walk_t walk = {0};
    wst_server_t *server = c->admin->options.server;
    wst_remote_t *r;
    if (wst__admin_form_text(c->form, c->form_len, "name", name, sizeof(name)) != 1 ||
        wst__admin_form_text(c->form, c->form_len, "instance", instance, sizeof(instance)) != 1) {
        refuse_form(c, "Which agent? name=NAME&instance=HEX");
        return;
    }
    while ((r = wst__admin_next_agent(&walk, c->admin, &c->viewer)) != NULL)
        if (strcmp(wst_remote_name(r), name) == 0 && strcmp(wst_remote_instance(r), instance) == 0)
            break;
    if (r == NULL) {
        answer_none(c, "No such agent");
        return;
    }
    size_t sessions = wst_remote_sessions(r);
    snprintf(target, sizeof(target), "%s at %s", name, wst_remote_peer(r));
    wst_server_end_agent(server, r);
    answer_done(c, "end-agent", target, sessions);
}

/* The server or the agent -------------------------------------------------------------------- */

void wst__admin_drain(wst__admin_conn_t *c) {
    c->keep_alive = false;
    c->drains = true;
    answer_done(c, "drain", c->admin->options.agent != NULL ? "the agent" : "the server", 0);
}

void wst__admin_reconnect(wst__admin_conn_t *c) {
    wst_agent_reconnect(c->admin->options.agent);
    answer_done(c, "reconnect", "the agent", 0);
}
