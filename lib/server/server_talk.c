/* SPDX-License-Identifier: MIT */
/*
 * Agents that speak the talk's protocol (talk.h). They say nothing of themselves, so all that come
 * from one address are one agent, named after it, unless credentials have named it. Each connection
 * of theirs waits until a dial takes it for the one stream that it can carry; it stays that agent's
 * until it is gone.
 */
#include "server.h"

#include "glob.h"
#include "talk.h"

#include <stdio.h>
#include <string.h>

typedef struct talk_session {
    wst__list_t node;
    wst_server_t *server;
    wst__talk_t *talk;
    wst__member_t member;
    char peer[96];
    char name[128]; /* that its credentials are for, or a pattern; "": any */
    char tenant[WST__TENANT_MAX + 1];
    uint8_t credential[WST__CREDENTIAL_LEN];
    wst__defer_t defer; /* its end, if that is not valid any more */
} talk_session_t;

static talk_session_t *session_of(wst__list_t *node) {
    return WST__CONTAINER(node, talk_session_t, node);
}

/* The name that its credentials are for, or the peer's address without its port; cut if it is
 * longer than a name can be. */
static void write_name(char name[WST_NAME_MAX + 1], const talk_session_t *a) {
    const char *text = a->name, *colon = NULL;
    if (text[0] == '\0' || strchr(text, '*') != NULL) {
        text = a->peer;
        colon = strncmp(text, "unix:", 5) != 0 ? strrchr(text, ':') : NULL;
    }
    size_t len = colon != NULL ? (size_t)(colon - text) : strlen(text);
    snprintf(name, WST_NAME_MAX + 1, "%.*s", (int)len, text);
}

/* -- Coming and going ------------------------------------------------------------------------- */

/* It takes no more streams; with the last one goes the agent. */
static void leave(talk_session_t *a, int error, const char *detail) {
    wst_server_t *s = a->server;
    wst_remote_t *gone = wst__remotes_leave(&s->remotes, &a->member);
    if (gone == NULL)
        return;
    wst__log(s->ctx, WST_LOG_INFO, "agent %s down: %s", wst_remote_name(gone), detail);
    if (!s->closing && s->options.callbacks.on_agent_down != NULL)
        s->options.callbacks.on_agent_down(s, gone, error, detail, s->options.user_data);
    wst__remote_free(gone);
}

static void on_open(wst__talk_t *talk, void *user_data) {
    talk_session_t *a = user_data;
    wst_server_t *s = a->server;
    char name[WST_NAME_MAX + 1];
    bool is_new;
    write_name(name, a);
    if (a->name[0] != '\0' && !wst__glob(a->name, (wst_str_t){name, strlen(name)})) {
        wst__log(s->ctx, WST_LOG_WARN, "agent at %s refused: its credentials are for other names",
                 a->peer);
        wst__talk_end(talk, 1008, "these credentials are for other names");
        return;
    }
    if (s->draining) {
        wst__talk_end(talk, 1001, "server is shutting down");
        return;
    }
    if (wst__remotes_join_talk(&s->remotes, &a->member, name, a->tenant, a->peer, &is_new) != 0) {
        wst__talk_end(talk, 1011, "out of memory");
        return;
    }
    wst__log(s->ctx, is_new ? WST_LOG_INFO : WST_LOG_DEBUG, "agent %s %s from %s", name,
             is_new ? "up" : "has one more connection", a->peer);
    wst_remote_t *remote = a->member.remote;
    wst__dials_wake(s);
    if (is_new && s->options.callbacks.on_agent_up != NULL)
        s->options.callbacks.on_agent_up(s, remote, s->options.user_data);
}

static void on_down(wst__talk_t *talk, int error, const char *detail, void *user_data) {
    (void)talk;
    leave(user_data, error, detail);
}

static void on_closed(void *user_data) {
    talk_session_t *a = user_data;
    wst_server_t *s = a->server;
    leave(a, 0, "its last connection has been used");
    wst__list_remove(&a->node);
    wst__defer_cancel(&a->defer);
    s->session_count--;
    wst__free(&s->ctx->allocator, a);
    wst__server_uncount_connection(s);
    wst__server_release(s);
}

int wst__talk_session_new(const wst__conn_t *c) {
    wst_server_t *s = c->server;
    talk_session_t *a = wst__zalloc(&s->ctx->allocator, sizeof(*a));
    if (a == NULL)
        return WST_ENOMEM;
    a->server = s;
    wst__defer_init(&a->defer);
    snprintf(a->peer, sizeof(a->peer), "%s", c->peer);
    snprintf(a->name, sizeof(a->name), "%s", c->user);
    snprintf(a->tenant, sizeof(a->tenant), "%s", c->tenant);
    memcpy(a->credential, c->credential, sizeof(a->credential));
    const wst__talk_options_t options = {.close_timeout_ms = s->options.half_closed_timeout_ms,
                                         .on_open = on_open,
                                         .on_down = on_down,
                                         .on_closed = on_closed,
                                         .user_data = a};
    const wst_websocket_options_t websocket = {0}; /* no subprotocols */
    int status = wst__talk_upgrade(&a->talk, s->ctx, c->hijack, &websocket, &options);
    if (status != 0) {
        wst__free(&s->ctx->allocator, a);
        return status;
    }
    wst__list_init(&a->node);
    wst__list_append(&s->talks, &a->node);
    return 0;
}

int wst__talk_session_ask(wst__member_t *member, const char *dest, wst__opened_cb callback,
                          void *user_data, wst__talk_t **out) {
    talk_session_t *a = WST__CONTAINER(member, talk_session_t, member);
    member->used = true;
    int status = wst__talk_ask(a->talk, dest, callback, user_data);
    if (status == 0)
        *out = a->talk;
    else if (status != WST_ELOST) /* else its end is on its way */
        wst__talk_end(a->talk, 1011, wst_strerror(status));
    return status;
}

/* -- All of them ------------------------------------------------------------------------------ */

void wst__talk_sessions_goaway(wst_server_t *s) {
    for (wst__list_t *node = wst__list_first(&s->talks); node != NULL;
         node = wst__list_next(&s->talks, node)) {
        talk_session_t *a = session_of(node);
        if (a->member.used)
            continue;
        a->member.used = true;
        wst__talk_end(a->talk, 1001, "server is shutting down");
    }
    wst__dials_wake(s); /* there is nothing to wait for any more */
}

void wst__talk_sessions_close(wst_server_t *s) {
    for (wst__list_t *node = wst__list_first(&s->talks); node != NULL;
         node = wst__list_next(&s->talks, node)) {
        talk_session_t *a = session_of(node);
        if (a->member.used)
            wst__talk_close(a->talk);
        else
            wst__talk_end(a->talk, 1001, "server is shutting down");
    }
}

static void revoke(wst__defer_t *defer) {
    static const char reason[] = "its credentials are not valid any more";
    talk_session_t *a = WST__CONTAINER(defer, talk_session_t, defer);
    wst__log(a->server->ctx, WST_LOG_WARN, "agent at %s: %s", a->peer, reason);
    if (a->member.used) {
        wst__talk_close(a->talk);
        return;
    }
    a->member.used = true;
    wst__talk_end(a->talk, 1008, reason);
}

void wst__talk_sessions_review(wst_server_t *s, wst_admission_cb is_valid, void *user_data) {
    for (wst__list_t *node = wst__list_first(&s->talks); node != NULL;
         node = wst__list_next(&s->talks, node)) {
        talk_session_t *a = session_of(node);
        const wst_remote_t *remote = a->member.remote;
        const wst_admission_t admission = {remote != NULL ? wst_remote_name(remote) : NULL,
                                           a->tenant, a->credential};
        if (!is_valid(&admission, user_data))
            wst__defer(s->ctx, &a->defer, revoke);
    }
}
