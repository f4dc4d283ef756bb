/* SPDX-License-Identifier: MIT */
/*
 * Sessions of agents, from the accepted upgrade request to the end of the uplink. An uplink joins
 * the set of agents (remote.h) when its agent has said hello, and leaves the set when it is down.
 */
#include "agent_session.h"

#include "digest.h"
#include "glob.h"
#include "hijack.h"
#include "labels.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { RESTART_GRACE_MS = 5000 };

static wst__agent_session_t *session_of_member(const wst__member_t *member) {
    return WST__CONTAINER(member, wst__agent_session_t, member);
}

void wst__agent_tell_refused(wst_server_t *s, const wst_refusal_info_t *info) {
    bool told =
        s->callbacks.on_agent_refused != NULL; /* then its line is the embedder's to write */
    s->agents.turned_down++;
    if (info->http_status != 0)
        wst_ctx_log(s->node.ctx, told ? WST_LOG_DEBUG : WST_LOG_INFO, "agent at %s refused: %d %s",
                    info->client, info->http_status, info->reason);
    else
        wst_ctx_log(s->node.ctx, told ? WST_LOG_DEBUG : WST_LOG_WARN, "agent at %s refused: %s",
                    info->client, info->reason);
    if (told)
        s->callbacks.on_agent_refused(s, info, s->user_data);
}

/* Refuses a session before it joins the set; `reason` goes to the agent's log. */
static int refuse_hello(wst__agent_session_t *a, const wst_hello_t *hello, const char *reason) {
    wst_server_t *s = a->server;
    char name[WST_NAME_MAX + 1];
    snprintf(name, sizeof(name), "%.*s", (int)hello->name.len,
             hello->name.len > 0 ? hello->name.ptr : "");
    a->uplink->ops->end(a->uplink, 1008, reason, false);
    const wst_refusal_info_t info = {.size = sizeof(info),
                                     .client = a->peer,
                                     .user = a->name,
                                     .tenant = a->tenant,
                                     .destination = "",
                                     .agent = name,
                                     .address = "",
                                     .code = WST_EDENIED,
                                     .error = "http_request_denied",
                                     .reason = reason,
                                     .detail = "",
                                     .fields = "",
                                     .claimed_user = "",
                                     .cause = "",
                                     .trace_id = "",
                                     .span_id = ""};
    wst__agent_tell_refused(s, &info);
    return 0;
}

/* Resuming ----------------------------------------------------------------------------------- */

static uint64_t hash_of_name(const uint8_t sid[WST__SID_LEN]) {
    uint64_t hash; /* the server has drawn these bytes */
    memcpy(&hash, sid + WST__SID_LEN - sizeof(hash), sizeof(hash));
    return hash;
}

/* NULL: it is over, or another server's. */
wst__agent_session_t *wst__agent_session_find(const wst_server_t *s,
                                              const uint8_t sid[WST__SID_LEN]) {
    wst__table_node_t *node = wst__table_first(&s->agents.names, hash_of_name(sid));
    for (; node != NULL; node = wst__table_next(node)) {
        wst__agent_session_t *a = WST__CONTAINER(node, wst__agent_session_t, by_name);
        const uint8_t *name = a->uplink->ops->resume->sid(a->uplink);
        if (name != NULL && memcmp(name, sid, WST__SID_LEN) == 0)
            return a;
    }
    return NULL;
}

/* From now on the session can be found by its name, if it has one. */
static void name_session(wst__agent_session_t *a) {
    const wst__uplink_resume_ops_t *ops = a->uplink->ops->resume;
    const uint8_t *sid = ops != NULL ? ops->sid(a->uplink) : NULL;
    a->named = sid != NULL;
    if (a->named)
        wst__table_insert(&a->server->agents.names, &a->by_name, hash_of_name(sid));
}

static void set_suspended(wst__agent_session_t *a, bool suspended) {
    a->server->agents.suspended += (size_t)suspended;
    a->server->agents.suspended -= (size_t)a->suspended;
    a->suspended = suspended;
    wst__list_remove(&a->wait_node);
    if (suspended)
        wst__list_append(&a->server->agents.waiting, &a->wait_node);
}

/* Whether the agent that connects is the one whose session it claims. */
static bool is_same_agent(const wst__agent_session_t *a, const wst__agent_session_t *old,
                          const wst_hello_t *hello) {
    const wst_remote_t *remote = old->member.remote;
    char instance[2 * sizeof(hello->instance) + 1];
    if (remote == NULL)
        return false;
    wst__hex_encode(instance, hello->instance, sizeof(hello->instance));
    return wst_str_eq(hello->name, wst_remote_name(remote)) &&
           strcmp(instance, wst_remote_instance(remote)) == 0 && hello->conn == old->member.conn &&
           strcmp(a->tenant, wst_remote_tenant(remote)) == 0;
}

/* Why the agent may not come in; NULL: it may. */
static const char *objection(const wst__agent_session_t *a, const wst_hello_t *hello) {
    if (hello->name.len == 0)
        return "an agent needs a name";
    if (a->name[0] != '\0' && !wst__glob(a->name, hello->name))
        return "these credentials are those of an agent of another name";
    return NULL;
}

/* Finds the session that the agent wants to continue. An agent that is refused here has not heard
 * our hello, so it keeps its session. */
static wst__uplink_t *on_uplink_claim(wst__uplink_t *uplink, const wst_hello_t *hello,
                                      void *user_data) {
    wst__agent_session_t *a = user_data;
    wst_server_t *s = a->server;
    if (a->claim.kind != WST__RESUME_OLD)
        return NULL;
    const char *reason = objection(a, hello);
    if (reason == NULL && hello->epoch != a->claim.epoch)
        reason = "the epochs of request and hello differ";
    if (reason != NULL) {
        refuse_hello(a, hello, reason);
        return NULL;
    }
    wst__agent_session_t *old = wst__agent_session_find(s, a->claim.sid);
    wst__claim_verdict_t verdict = WST__CLAIM_WRONG;
    if (old != NULL && is_same_agent(a, old, hello))
        verdict = old->uplink->ops->resume->check(old->uplink, &a->claim, hello->conn);
    if (verdict == WST__CLAIM_RIGHT) {
        /* An agent that goes on with labels of an earlier admission could be given streams that are
         * not for it any more. Without memory it tries again. */
        if (wst__remotes_relabel(&s->ingress.remotes, &old->member, a->labels) == 0)
            return old->uplink;
        uplink->ops->end(uplink, 1011, "no memory for the labels", false);
        return NULL;
    }
    s->agents.refused++;
    if (verdict == WST__CLAIM_OLDER)
        refuse_hello(a, hello, "older attempt");
    else if (old != NULL)
        wst_ctx_log(s->node.ctx, WST_LOG_WARN,
                    "agent at %s claims a session of agent %s without the right proof", a->peer,
                    old->member.remote != NULL ? wst_remote_name(old->member.remote) : "");
    if (verdict == WST__CLAIM_WRONG && a->no_new != NULL)
        refuse_hello(a, hello, a->no_new);
    return NULL;
}

/* The uplink --------------------------------------------------------------------------------- */

/* Ends the streams at once: the peer, most likely gone, would answer late or never. */
static void replace_session(const wst__member_t *old) {
    wst__uplink_t *uplink = session_of_member(old)->uplink;
    uplink->ops->end(uplink, 1000, "replaced", true);
}

/* Anyone with an agent's credentials can replace it or join it. A new address may be harmless, so
 * warn only. */
static void warn_if_elsewhere(const wst__agent_session_t *a, const wst__member_t *replaced,
                              bool is_new) {
    const char *name = wst_remote_name(a->member.remote);
    bool moved = replaced != NULL && !wst__same_host(replaced->uplink->peer, a->peer);
    const wst__member_t *other =
        moved ? replaced : wst__remotes_elsewhere(&a->server->ingress.remotes, &a->member, is_new);
    if (other != NULL)
        wst_ctx_log(a->server->node.ctx, WST_LOG_WARN, "agent %s at %s %s %s", name, a->peer,
                    moved    ? "takes over from the one at"
                    : is_new ? "has the name and the credentials of the one at"
                             : "adds to the sessions of the one at",
                    other->uplink->peer);
}

wst__agent_label_t wst__agent_label_of(const wst_remote_t *remote) {
    const char *name = wst_remote_name(remote), *instance = wst_remote_instance(remote);
    bool has_instance = strspn(instance, "0") < strlen(instance);
    wst__agent_label_t label;
    snprintf(label.text, sizeof(label.text), has_instance ? "%s (%.8s)" : "%s", name, instance);
    return label;
}

static void log_up(const wst__agent_session_t *a, bool is_new, bool replaces, bool takes_streams) {
    const wst_remote_t *remote = a->member.remote;
    /* A further session is routine for an agent that renews its connections. */
    wst_log_level_t level = is_new || !a->uplink->renews ? WST_LOG_INFO : WST_LOG_DEBUG;
    wst_ctx_log(a->server->node.ctx, level, "agent %s %s from %s%s",
                wst__agent_label_of(remote).text,
                is_new     ? "up"
                : replaces ? "reconnected"
                           : "has one more session",
                a->peer, takes_streams ? "" : ", takes no streams");
}

/* The agent has been started anew, so its old session has no future. */
static void hasten(wst__member_t *old) {
    const wst__uplink_t *uplink = old->uplink;
    uplink->ops->resume->hasten(old->uplink, RESTART_GRACE_MS);
}

static int on_uplink_up(wst__uplink_t *uplink, const wst_hello_t *hello, void *user_data) {
    wst__agent_session_t *a = user_data;
    wst_server_t *s = a->server;
    const char *reason = objection(a, hello);
    if (reason != NULL)
        return refuse_hello(a, hello, reason);
    if (a->no_new != NULL)
        return refuse_hello(a, hello, a->no_new);
    wst__member_t *replaced;
    bool is_new;
    int status = wst__remotes_join(&s->ingress.remotes, &a->member, uplink, hello, a->tenant,
                                   a->labels, &replaced, &is_new);
    if (status == WST_EREPLACED)
        return refuse_hello(a, hello,
                            "this agent has a connection with that epoch or a higher one");
    if (status != 0)
        return status;
    if (wst__server_is_draining(s) || s->handed_over)
        uplink->ops->goaway(uplink);
    wst_remote_t *remote = a->member.remote;
    wst__remote_set_software(remote, a->software);
    name_session(a);
    log_up(a, is_new, replaced != NULL, hello->max_streams > 0);
    if (is_new && hello->max_streams > 0) /* one that takes no streams is there to look */
        wst__remotes_each_restarted(&s->ingress.remotes, &a->member, hasten);
    warn_if_elsewhere(a, replaced, is_new);
    if (replaced != NULL)
        replace_session(replaced);
    wst__ingress_wake(&s->ingress);
    if (is_new && s->callbacks.on_agent_up != NULL)
        s->callbacks.on_agent_up(s, remote, s->user_data);
    return 0;
}

/* A server that drains has no session without an address where its agent comes back. */
static bool may_uplink_return(const wst__uplink_t *uplink, void *user_data) {
    const wst__agent_session_t *a = user_data;
    (void)uplink;
    return wst__addresses_let_return(a->server);
}

/* How long the session waits: the end of a drain ends it, too. */
static uint64_t wait_of(const wst_server_t *s, uint64_t grace_ms) {
    uint64_t now_ms = wst__now(s->node.ctx), end_ms = s->node.deadline.at_ms;
    bool ends = s->node.deadline.set && end_ms < now_ms + grace_ms;
    return !ends ? grace_ms : end_ms > now_ms ? end_ms - now_ms : 0;
}

static void on_uplink_suspended(wst__uplink_t *uplink, int error, const char *detail,
                                uint64_t grace_ms, void *user_data) {
    wst__agent_session_t *a = user_data;
    wst_server_t *s = a->server;
    set_suspended(a, true);
    wst__seat_give_back(&a->connection);
    if (a->member.remote == NULL) /* replaced, or refused */
        return;
    const wst_agent_suspended_info_t info = {.size = sizeof(info),
                                             .conn = a->member.conn,
                                             .error = error,
                                             .detail = detail,
                                             .streams = uplink->ops->load(uplink),
                                             .grace_ms = wait_of(s, grace_ms)};
    wst_ctx_log(s->node.ctx, WST_LOG_INFO, "agent %s suspended (%zu stream%s): %s",
                wst__agent_label_of(a->member.remote).text, info.streams,
                info.streams == 1 ? "" : "s", detail);
    if (s->callbacks.on_agent_suspended != NULL)
        s->callbacks.on_agent_suspended(s, a->member.remote, &info, s->user_data);
}

/* The agent may be among those that this server lets wait. */
static bool on_uplink_overdue(wst__uplink_t *uplink, void *user_data) {
    const wst__agent_session_t *a = user_data;
    (void)uplink;
    return wst__addresses_hold_agents(a->server);
}

/* Takes over what belongs to the connection and to the way in which it was admitted; if that was
 * withdrawn just now, that too. */
static void take_connection(wst__agent_session_t *a, wst__agent_session_t *from) {
    const char **labels = a->labels;
    a->labels = from->labels;
    from->labels = labels;
    wst__seat_give_back(&a->connection);
    wst__seat_hand_on(&from->connection, &a->connection);
    memcpy(a->peer, from->peer, sizeof(a->peer));
    wst__remote_set_software(a->member.remote, from->software);
    memcpy(a->name, from->name, sizeof(a->name));
    memcpy(a->credential, from->credential, sizeof(a->credential));
    if (a->ended)
        return;
    wst__defer_cancel(&a->defer);
    if (!wst__list_empty(&from->defer.node))
        wst__agent_session_revoke(a, from->revoked);
}

static void on_uplink_resumed(wst__uplink_t *uplink, wst__uplink_t *from, uint64_t outage_ms,
                              void *user_data) {
    wst__agent_session_t *a = user_data, *other = from->user_data;
    wst_server_t *s = a->server;
    const wst_agent_resumed_info_t info = {.size = sizeof(info),
                                           .conn = a->member.conn,
                                           .outage_ms = outage_ms,
                                           .streams = uplink->ops->load(uplink)};
    bool moved = !wst__same_host(a->peer, other->peer);
    take_connection(a, other);
    from->ops->close(from);
    set_suspended(a, false);
    s->agents.resumed++;
    wst__remotes_resumed(&s->ingress.remotes, &a->member, other->claim.epoch);
    wst_ctx_log(s->node.ctx, WST_LOG_INFO, "agent %s resumed after %.1f s from %s%s",
                wst__agent_label_of(a->member.remote).text, (double)outage_ms / 1000, a->peer,
                moved ? ", another address" : "");
    wst__ingress_wake(&s->ingress);
    if (s->callbacks.on_agent_resumed != NULL)
        s->callbacks.on_agent_resumed(s, a->member.remote, &info, s->user_data);
}

static void on_uplink_round_trip(void *user_data, uint64_t us) {
    const wst__agent_session_t *a = user_data;
    wst__histogram_add(&a->server->agents.round_trips, us);
}

static void on_uplink_change(wst__uplink_t *uplink, void *user_data) {
    wst__agent_session_t *a = user_data;
    (void)uplink;
    wst__remotes_changed(&a->server->ingress.remotes, &a->member);
}

static void on_uplink_goaway(wst__uplink_t *uplink, int reason, void *user_data) {
    const wst__agent_session_t *a = user_data;
    (void)uplink;
    if (reason != 0 && a->member.remote != NULL)
        wst_ctx_log(a->server->node.ctx, WST_LOG_INFO, "agent %s takes no more streams: %s",
                    wst_remote_name(a->member.remote), wst_strerror(reason));
}

/* Takes the session out of the set, with the agent if that was its last session. */
static void leave_agents(wst__agent_session_t *a, int error, const char *detail) {
    wst_server_t *s = a->server;
    wst_remote_t *gone = wst__remotes_leave(&s->ingress.remotes, &a->member);
    if (gone == NULL)
        return;
    const wst_agent_down_info_t info = {.size = sizeof(info), .error = error, .detail = detail};
    wst_ctx_log(s->node.ctx, WST_LOG_INFO, "agent %s down: %s", wst__agent_label_of(gone).text,
                detail);
    if (s->node.state != WST__NODE_CLOSING && s->callbacks.on_agent_down != NULL)
        s->callbacks.on_agent_down(s, gone, &info, s->user_data);
    wst__remote_free(gone);
}

static void on_uplink_down(wst__uplink_t *uplink, int error, int http_status, const char *detail,
                           void *user_data) {
    wst__agent_session_t *a = user_data;
    (void)http_status;
    wst__defer_cancel(&a->defer); /* the session has already ended */
    bool was_awaited = a->suspended;
    a->server->agents.lost += was_awaited;
    leave_agents(a, error, detail);
    uplink->ops->close(uplink);
    if (was_awaited)
        wst__ingress_wake(&a->server->ingress);
}

static void free_session(wst__agent_session_t *a) {
    const wst_allocator_t *al = &a->server->node.ctx->allocator;
    wst__ticket_t hold = {0};
    wst__list_remove(&a->node);
    wst__defer_cancel(&a->defer);
    set_suspended(a, false);
    if (a->named)
        wst__table_remove(&a->server->agents.names, &a->by_name);
    wst__ticket_give_back(&a->place);
    wst__seat_give_back(&a->connection);
    wst__ticket_hand_on(&a->hold, &hold);
    wst__free(al, a->labels);
    wst__free(al, a);
    wst__ticket_give_back(&hold);
}

static void on_uplink_closed(void *user_data) {
    wst__agent_session_t *a = user_data;
    assert(a->member.remote == NULL); /* on_uplink_down has run */
    free_session(a);
}

static const wst__uplink_callbacks_t uplink_callbacks = {.on_claim = on_uplink_claim,
                                                         .on_up = on_uplink_up,
                                                         .may_return = may_uplink_return,
                                                         .on_suspended = on_uplink_suspended,
                                                         .on_overdue = on_uplink_overdue,
                                                         .on_resumed = on_uplink_resumed,
                                                         .on_round_trip = on_uplink_round_trip,
                                                         .on_change = on_uplink_change,
                                                         .on_goaway = on_uplink_goaway,
                                                         .on_down = on_uplink_down,
                                                         .on_closed = on_uplink_closed};

/* Making one --------------------------------------------------------------------------------- */

static wst__uplink_options_t uplink_options(wst__agent_session_t *a) {
    const wst_server_limits_t *limits = &a->server->limits;
    wst__uplink_options_t o = {.callbacks = &uplink_callbacks,
                               .user_data = a,
                               .hello = {.initial_credit = limits->stream_window},
                               .name = a->name,
                               .shares_memory = true,
                               .memory_max = limits->max_agent_memory,
                               .window_max = limits->stream_window_max,
                               .hello_timeout_ms = limits->hello_timeout_ms,
                               .ping_interval_ms = limits->ping_interval_ms,
                               .dead_after_ms = limits->dead_after_ms,
                               .half_closed_timeout_ms = limits->half_closed_timeout_ms,
                               .resumes = a->claim.kind != WST__RESUME_NONE,
                               .grace_ms = limits->resume_grace_ms,
                               .idle_grace_ms = limits->dial_timeout_ms};
    memcpy(o.tag, a->server->agents.tag, sizeof(o.tag));
    return o;
}

/* Anything but printable ASCII becomes "?": it goes to logs and pages. */
static void note_software(wst__agent_session_t *a, const wst_http_head_t *head) {
    const wst_http_header_t *field = wst_http_header(head, "User-Agent", NULL);
    for (size_t i = 0; field != NULL && i < field->value.len && i < WST__SOFTWARE_MAX; i++) {
        char c = field->value.ptr[i];
        a->software[i] = c >= ' ' && c <= '~' ? c : '?';
    }
}

/* `answer`: the embedder's, about the agent; NULL: the embedder was not asked. */
int wst__agent_session_new(wst__conn_t *c, const wst__answer_t *answer) {
    wst_server_t *s = c->server;
    wst_ctx_t *ctx = s->node.ctx;
    wst__agent_session_t *a = wst__zalloc(&ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->server = s;
    wst__list_init(&a->node);
    wst__list_init(&a->wait_node);
    wst__defer_init(&a->defer);
    snprintf(a->peer, sizeof(a->peer), "%s", c->client.peer);
    note_software(a, wst_hijack_request(c->client.hijack));
    int status = 0;
    if (answer != NULL) {
        snprintf(a->name, sizeof(a->name), "%s", answer->user);
        snprintf(a->tenant, sizeof(a->tenant), "%s", answer->tenant);
        memcpy(a->credential, answer->credential, sizeof(a->credential));
        status = wst__labels_copy(&ctx->allocator, &a->labels, answer->labels);
    }
    a->claim = c->claim;
    a->no_new = wst__agent_no_new(c);
    const wst__uplink_options_t options = uplink_options(a);
    const wst_stream_t *stream = wst_hijack_connection(c->client.hijack);
    if (status == 0 && strcmp(a->peer, wst_stream_peer(stream)) != 0) /* the request told it */
        status = wst__hijack_set_peer(c->client.hijack, a->peer);
    if (status == 0)
        status = s->kind->accept(&a->uplink, ctx, c->client.hijack, &options);
    if (status != 0) {
        free_session(a);
        return status;
    }
    wst__list_append(&s->agents.list, &a->node);
    wst__ticket_take(&a->hold, &s->node.holds);
    wst__ticket_take(&a->place, &s->agents.sessions);
    wst__seat_admit(&c->client.connection);
    wst__seat_hand_on(&c->client.connection, &a->connection);
    return 0;
}

/* Withdrawn ---------------------------------------------------------------------------------- */

static void end_revoked(wst__defer_t *defer) {
    wst__agent_session_t *a = WST__CONTAINER(defer, wst__agent_session_t, defer);
    wst_ctx_log(a->server->node.ctx, WST_LOG_WARN, "agent at %s: %s", a->peer, a->revoked);
    a->uplink->ops->end(a->uplink, 1008, a->revoked, true);
}

void wst__agent_session_revoke(wst__agent_session_t *a, const char *why) {
    a->revoked = why;
    wst__defer(a->server->node.ctx, &a->defer, end_revoked);
}
