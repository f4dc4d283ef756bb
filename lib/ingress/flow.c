/* SPDX-License-Identifier: MIT */
/* Making, asking, refusing and freeing a flow (flow.h). */
#include "flow.h"

#include "http_target.h"
#include "labels.h"
#include "sized.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { PEER_MAX = 127 /* bytes of wst_flow_options.peer */ };

/* Life --------------------------------------------------------------------------------------- */

static const char *or_empty(const char *text) {
    return text != NULL ? text : "";
}

/* Appends a text and returns the copy. */
static const char *put(char **texts, const char *text) {
    size_t size = strlen(text) + 1;
    char *at = memcpy(*texts, text, size);
    *texts += size;
    return at;
}

/* 0 or WST_ENOMEM. */
static int set_names(wst_flow_t *f, const char *user, const char *tenant) {
    wst__free(&f->ingress->ctx->allocator, f->names);
    f->names = NULL;
    f->user = f->tenant = "";
    if (user[0] == '\0' && tenant[0] == '\0')
        return 0;
    f->names = wst__alloc(&f->ingress->ctx->allocator, strlen(user) + strlen(tenant) + 2);
    if (f->names == NULL)
        return WST_ENOMEM;
    char *texts = f->names;
    f->user = put(&texts, user);
    f->tenant = put(&texts, tenant);
    return 0;
}

/* Keeps what the options lend, and the trace, or NULL. 0 or WST_ENOMEM. */
static int describe(wst_flow_t *f, const wst_flow_options_t *o, const wst__trace_t *trace) {
    const char *tenant = o->tenant;
    if (tenant == NULL && o->remote != NULL)
        tenant = wst_remote_tenant(o->remote);
    char *texts = f->texts;
    f->destination = put(&texts, o->destination);
    f->peer = put(&texts, or_empty(o->peer));
    f->search->name = o->agent != NULL ? put(&texts, o->agent) : NULL;
    f->trace = trace != NULL ? memcpy(texts, trace, sizeof(*trace)) : NULL;
    f->authenticated = o->authenticated;
    f->unasked = o->unasked;
    f->head = o->head;
    f->tls = o->tls;
    f->search->only = o->remote != NULL ? wst__remote_serial(o->remote) : 0;
    f->search->timeout_ms = o->timeout_ms != 0 ? o->timeout_ms : f->ingress->limits.dial_timeout_ms;
    int status = set_names(f, or_empty(o->user), or_empty(tenant));
    if (status == 0)
        status = wst__labels_copy(&f->ingress->ctx->allocator, &f->search->labels, o->labels);
    return status;
}

int wst__flow_new(wst_flow_t **out, wst_ingress_t *ingress, const wst_flow_options_t *options,
                  const wst_flow_callbacks_t *callbacks, void *user_data) {
    size_t texts = strlen(options->destination) + strlen(or_empty(options->peer)) +
                   strlen(or_empty(options->agent)) + 3;
    wst__trace_t trace;
    bool traced = options->head != NULL && wst__trace_of_request(&trace, options->head);
    if (traced)
        texts += sizeof(trace);
    const wst_allocator_t *a = &ingress->ctx->allocator;
    wst_flow_t *f = wst__zalloc(a, sizeof(*f) + texts);
    wst__search_t *search = f != NULL ? wst__zalloc(a, sizeof(*search)) : NULL;
    if (search == NULL) {
        wst__free(a, f);
        return WST_ENOMEM;
    }
    search->flow = f;
    wst__list_init(&search->wait_node);
    f->search = search;
    f->ingress = ingress;
    f->callbacks = callbacks;
    f->user_data = user_data;
    f->asked_ms = wst__now(ingress->ctx);
    f->agent = f->address = f->ended_by = "";
    wst__list_init(&f->node);
    wst__defer_init(&f->defer);
    if (describe(f, options, traced ? &trace : NULL) != 0) {
        wst__flow_drop_search(f);
        wst__free(a, f->names);
        wst__free(a, f);
        return WST_ENOMEM;
    }
    wst__list_append(&ingress->flows, &f->node);
    ingress->flow_count++;
    wst__ticket_take(&f->hold, &ingress->node->holds);
    wst__ticket_take(&f->busy, &ingress->node->busy);
    *out = f;
    return 0;
}

wst_stream_t *wst__flow_take_kept(wst_flow_t *f) {
    wst__search_t *s = f->search;
    wst_stream_t *stream = s->kept != NULL ? s->kept->stream : NULL;
    wst__free(&f->ingress->ctx->allocator, s->kept);
    s->kept = NULL;
    return stream;
}

/* Asks the front for a kept connection, which is ended if there is no memory to note it. */
static void ask_for_spare(wst_flow_t *f) {
    wst__origin_t kept;
    wst__search_t *s = f->search;
    assert(s->kept == NULL);
    if (f->spare == NULL || !f->spare(f, &kept, f->user_data))
        return;
    s->kept = wst__alloc(&f->ingress->ctx->allocator, sizeof(*s->kept));
    if (s->kept != NULL)
        *s->kept = kept;
    else
        wst__origin_end(kept.stream);
}

/* Neither asks nor waits for an agent any more, nor holds a place at one. */
static void stop_search(wst_flow_t *f) {
    wst__search_t *s = f->search;
    wst__flow_leave_agent(f, s->opening != NULL);
    if (s->opening != NULL)
        wst__opening_cancel(s->opening);
    s->opening = NULL;
    wst_stream_t *kept = wst__flow_take_kept(f);
    if (kept != NULL)
        wst__origin_end(kept);
    wst__list_remove(&s->wait_node);
    wst__claim_waited(&f->claim);
    wst__deadline_clear(&f->ingress->ctx->deadlines, &s->deadline);
}

void wst__flow_drop_search(wst_flow_t *f) {
    const wst_allocator_t *a = &f->ingress->ctx->allocator;
    if (f->search == NULL)
        return;
    stop_search(f);
    wst__free(a, f->search->labels);
    wst__free(a, f->search->networks);
    wst__free(a, f->search);
    f->search = NULL;
}

void wst__flow_stop(wst_flow_t *f) {
    if (f->request != NULL)
        wst__request_cancel(f->request);
    if (f->stream != NULL)
        wst_stream_close(f->stream, NULL);
    f->request = NULL;
    f->stream = NULL;
    if (f->search != NULL)
        stop_search(f);
    wst__defer_cancel(&f->defer);
    wst__claim_drop(&f->claim);
}

void wst__flow_free(wst_flow_t *f) {
    wst_ctx_t *ctx = f->ingress->ctx;
    wst__ticket_t hold = {0};
    wst__flow_leave_walks(f);
    wst__list_remove(&f->node);
    f->ingress->flow_count--;
    wst__defer_cancel(&f->defer);
    wst__claim_drop(&f->claim);
    wst__seat_give_back(&f->connection);
    wst__ticket_give_back(&f->busy);
    wst__ticket_hand_on(&f->hold, &hold);
    wst__flow_drop_search(f);
    wst__free(&ctx->allocator, f->names);
    wst__free(&ctx->allocator, f->route);
    if (f->revoked != wst__flow_no_reason)
        wst__free(&ctx->allocator, f->revoked);
    wst__free(&ctx->allocator, f);
    wst__ticket_give_back(&hold);
}

bool wst__flow_is_gone(const wst_flow_t *f) {
    return f->is_gone != NULL && f->is_gone(f, f->user_data);
}

/* Refusing ----------------------------------------------------------------------------------- */

/* Reports the refusal to the front and to the ingress' owner, and frees the flow. If the client has
 * left, only stops the flow: the front cancels it. `answer`: the embedder's denial, or NULL. */
static void refuse_flow(wst_flow_t *f, const wst__refusal_t *refusal, int code, wst_str_t detail,
                        const wst__answer_t *answer) {
    wst_ingress_t *ingress = f->ingress;
    char more[WST__DETAIL_MAX + 1];
    wst__refusal_text_t text;
    if (wst__flow_is_gone(f)) {
        wst__flow_stop(f);
        return;
    }
    wst__refusal_write(&text, refusal, detail);
    snprintf(more, sizeof(more), "%.*s", (int)detail.len, detail.len > 0 ? detail.ptr : "");
    wst__flow_stop(f);
    f->state = WST__FLOW_DONE;
    const wst_refusal_info_t info = {
        .size = sizeof(info),
        .client = f->peer,
        .user = f->user,
        .tenant = f->tenant,
        .destination = f->destination,
        .agent = f->agent,
        .address = f->address,
        .http_status = refusal->status,
        .code = code,
        .retry = refusal->retry,
        .error = refusal->error,
        .reason = text.reason,
        .detail = more,
        .fields = answer != NULL && answer->fields != NULL ? answer->fields : "",
        .claimed_user = answer != NULL ? answer->claimed_user : "",
        .cause = answer != NULL ? answer->cause : "",
        .trace_id = f->trace != NULL ? f->trace->trace_id : "",
        .span_id = f->trace != NULL ? f->trace->span_id : ""};
    f->refusal_text = &text;
    f->callbacks->on_refused(f, &info, f->user_data);
    if (ingress->node->state != WST__NODE_CLOSING) /* the callback may have closed it */
        ingress->hooks->on_refused(ingress->owner, &info);
    wst__flow_free(f);
}

void wst__flow_refuse_as(wst_flow_t *f, const wst__refusal_t *refusal, int code) {
    refuse_flow(f, refusal, code, (wst_str_t){NULL, 0}, NULL);
}

void wst__flow_refuse(wst_flow_t *f, int cause, wst_str_t detail) {
    const wst__refusal_t refusal = wst__refusal_of(cause);
    refuse_flow(f, &refusal, wst__refusal_code(cause), detail, NULL);
}

void wst__flow_deny(wst_flow_t *f, int verdict, const wst__answer_t *answer) {
    if (verdict != WST_EDENIED) {
        wst__flow_refuse(f, verdict, (wst_str_t){NULL, 0});
        return;
    }
    wst__refusal_t refusal = wst__refusal_denied(answer->status, answer->reason);
    if (answer->error != NULL)
        refusal.error = answer->error;
    refuse_flow(f, &refusal, WST_EDENIED, (wst_str_t){NULL, 0}, answer);
}

/* Questions ---------------------------------------------------------------------------------- */

bool wst__flow_wants(const wst_flow_t *f, wst__question_t question) {
    const wst_ingress_t *ingress = f->ingress;
    return !f->unasked && ingress->hooks->wants(ingress->owner, question);
}

void wst__flow_ask(wst_flow_t *f, wst__question_t question, wst__answer_cb on_answer) {
    wst_ingress_t *ingress = f->ingress;
    if (wst__flow_is_gone(f))
        return;
    bool reached = question == WST__ASK_REACHED;
    const wst__ask_t ask = {
        .head = f->head,
        .login = f->login,
        .destination = f->destination,
        .peer = f->peer,
        .user = f->user,
        .tenant = f->tenant,
        .authenticated = f->authenticated,
        .address = reached ? f->address : "",
        .remote = reached ? wst__remotes_find(&ingress->remotes, f->agent_serial) : NULL,
        .tls = f->tls,
        .timeout_ms = ingress->limits.decision_timeout_ms,
        .on_answer = on_answer,
        .user_data = f};
    wst_request_t *request;
    if (wst__request_new(&request, ingress->ctx, &ask) != 0) {
        wst__flow_refuse(f, WST_ENOMEM, (wst_str_t){NULL, 0});
        return;
    }
    f->request = request;
    ingress->hooks->ask(ingress->owner, question, request); /* may end the flow */
    wst__request_settle(request);
}

bool wst__flow_await_room(wst_flow_t *f, void (*again)(wst__defer_t *defer)) {
    wst_ingress_t *ingress = f->ingress;
    if (ingress->hooks->make_room == NULL ||
        !wst__account_may_fit(&ingress->accounts, f->tenant, f->user, f->peer,
                              ingress->limits.stream_memory) ||
        !ingress->hooks->make_room(ingress->owner))
        return false;
    wst__defer(ingress->ctx, &f->defer, again);
    return true;
}

/* Counts the flow, in the account of its user as far as known by now. False: over a bound or
 * draining, so the flow has been refused; or it waits for memory, then `again` runs. */
static bool admit(wst_flow_t *f, void (*again)(wst__defer_t *defer)) {
    wst_ingress_t *ingress = f->ingress;
    int cause = ingress->node->state != WST__NODE_RUNNING
                    ? WST__DRAINING
                    : wst__claim_take(&f->claim, &ingress->accounts, f->tenant, f->user, f->peer,
                                      ingress->limits.stream_memory);
    bool for_memory =
        cause == WST_EMEMORY || cause == WST__TENANT_MEMORY || cause == WST__USER_MEMORY;
    if (cause != 0 && !(for_memory && wst__flow_await_room(f, again)))
        wst__flow_refuse(f, cause, (wst_str_t){NULL, 0});
    return cause == 0;
}

static void choose_admitted(wst__defer_t *defer) {
    wst_flow_t *f = WST__CONTAINER(defer, wst_flow_t, defer);
    if (admit(f, choose_admitted))
        wst__flow_choose(f);
}

void wst__flow_dial(wst_flow_t *f, const wst_http_head_t *head, const struct wst_tls_info *tls) {
    f->head = head;
    f->tls = tls;
    f->reused = false;
    wst__search_begin(f->search);
    if (wst__flow_is_gone(f))
        return;
    ask_for_spare(f);
    f->state = WST__FLOW_CHOOSING;
    if (admit(f, choose_admitted))
        wst__flow_choose(f);
}

static void on_client_answer(const wst__answer_t *answer, void *user_data) {
    wst_flow_t *f = user_data;
    f->request = NULL;
    int verdict = wst__answer_verdict(answer, WST__ALLOWED);
    if (set_names(f, answer->user, answer->tenant) != 0)
        wst__flow_refuse(f, WST_ENOMEM, (wst_str_t){NULL, 0});
    else if (verdict != 0)
        wst__flow_deny(f, verdict, answer);
    else
        wst__flow_dial(f, f->head, f->tls);
}

static void ask_admitted(wst__defer_t *defer) {
    wst_flow_t *f = WST__CONTAINER(defer, wst_flow_t, defer);
    if (admit(f, ask_admitted))
        wst__flow_ask(f, WST__ASK_CLIENT, on_client_answer);
}

void wst__flow_start(wst_flow_t *f) {
    f->state = WST__FLOW_ASKING;
    if (!wst__flow_wants(f, WST__ASK_CLIENT))
        wst__flow_dial(f, f->head, f->tls);
    else
        ask_admitted(&f->defer);
}

/* Public ------------------------------------------------------------------------------------- */

static bool fits(const char *text, size_t max) {
    return text == NULL || strlen(text) <= max;
}

/* Whether all names and labels fit: a truncated one could belong to another user or agent. */
static bool can_be_kept(const wst_flow_options_t *o) {
    size_t count = 0;
    for (const char *const *l = o->labels; l != NULL && *l != NULL; l++)
        if (strlen(*l) > WST__LABEL_MAX || ++count > WST__LABELS_MAX)
            return false;
    return fits(o->agent, WST_NAME_MAX) && fits(o->user, WST__USER_MAX) &&
           fits(o->tenant, WST__TENANT_MAX) && fits(o->peer, PEER_MAX);
}

int wst__flow_check(const wst_flow_options_t *o, char destination[WST_DEST_MAX + 1]) {
    if (o->destination == NULL || !can_be_kept(o))
        return WST_EINVAL;
    wst_authority_t authority;
    const wst_str_t text = {o->destination, strlen(o->destination)};
    if (wst_parse_authority(&authority, text, NULL) != 0)
        return WST_EDEST;
    wst__authority_write(destination, WST_DEST_MAX + 1, &authority);
    return 0;
}

static void start_later(wst__defer_t *defer) {
    wst__flow_start(WST__CONTAINER(defer, wst_flow_t, defer));
}

int wst_flow_new(wst_flow_t **out, wst_ingress_t *ingress, const wst_flow_options_t *given,
                 const wst_flow_callbacks_t *callbacks, void *user_data) {
    const size_t first_size = offsetof(wst_flow_callbacks_t, on_gone) + sizeof(callbacks->on_gone);
    wst_flow_options_t o;
    char canonical[WST_DEST_MAX + 1];
    if (wst__sized_read(&o, sizeof(o), given) != 0 ||
        wst__sized_check(callbacks, sizeof(*callbacks), first_size) != 0 ||
        callbacks->on_established == NULL || callbacks->on_refused == NULL)
        return WST_EINVAL;
    if (ingress->node->state == WST__NODE_CLOSING)
        return WST_ESTATE;
    int status = wst__flow_check(&o, canonical);
    if (status != 0)
        return status;
    o.destination = canonical;
    status = wst__flow_new(out, ingress, &o, callbacks, user_data);
    if (status == 0)
        wst__defer(ingress->ctx, &(*out)->defer, start_later);
    return status;
}

static const char *const state_names[] = {
    [WST__FLOW_NEW] = "asking",        [WST__FLOW_ASKING] = "asking",
    [WST__FLOW_CHOOSING] = "choosing", [WST__FLOW_OPENING] = "opening",
    [WST__FLOW_REACHED] = "reached",   [WST__FLOW_RELAYING] = "relaying",
    [WST__FLOW_DONE] = "ended",
};

int wst_flow_get_info(const wst_flow_t *f, wst_stream_info_t *info) {
    uint64_t until = f->state == WST__FLOW_RELAYING ? wst__now(f->ingress->ctx) : f->closed_ms;
    wst_stream_info_t now = {.size = sizeof(now),
                             .id = f->id,
                             .client = f->peer,
                             .user = f->user,
                             .tenant = f->tenant,
                             .destination = f->destination,
                             .address = f->address,
                             .agent = f->agent,
                             .dial_ms = f->opened_ms > 0 ? f->opened_ms - f->asked_ms : 0,
                             .duration_ms = f->opened_ms > 0 ? until - f->opened_ms : 0,
                             .status = f->status,
                             .ended_by = f->ended_by,
                             .detail = or_empty(f->revoked),
                             .state = state_names[f->state],
                             .age_ms = wst__now(f->ingress->ctx) - f->asked_ms,
                             .trace_id = f->trace != NULL ? f->trace->trace_id : "",
                             .span_id = f->trace != NULL ? f->trace->span_id : ""};
    wst__flow_count(f, &now.bytes_to_agent, &now.bytes_to_client);
    return wst__sized_write(info, &now);
}
