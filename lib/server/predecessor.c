/* SPDX-License-Identifier: MIT */
/*
 * Hands agents' connections back to the predecessor of the process, which has their sessions
 * (successor.c is its side). An agent that has been admitted claims a session whose name bears one
 * of the predecessor's tags:
 *
 *     ASKING --101--> JOINED: the pump has both streams --> gone
 *        \--any other answer, an end, or none in time--> the agent is taken here
 *
 * The predecessor answers the agent's own request, of which it gets the head. Until that answer the
 * connection stays the server's, so that nothing is lost if the predecessor has gone, or does not
 * have the session any more. A server hands on to its predecessor only, which is older: no
 * connection goes round in a circle.
 */
#include "server.h"

#include "agent_session.h"
#include "hijack.h"
#include "sockopt.h"

#include <string.h>
#include <unistd.h>
#include <wstunnel/pump.h>
#include <wstunnel/socket.h>

struct wst__handback {
    wst__list_t node;
    wst_server_t *server;
    wst__conn_t *conn;    /* NULL: joined */
    wst_stream_t *onward; /* likewise */
    wst_pump_t *pump;
    wst__introduction_t *introduction;
    wst__deadline_t deadline; /* of the answer */
    wst__seat_t connection;
    wst__ticket_t hold, busy;
};

/* Life --------------------------------------------------------------------------------------- */

/* The agent's connection waits no more for the predecessor. */
static void let_go(wst__handback_t *h) {
    if (h->conn != NULL)
        h->conn->handback = NULL;
    h->conn = NULL;
    wst__deadline_clear(&h->server->node.ctx->deadlines, &h->deadline);
}

void wst__handback_free(wst__handback_t *h) {
    const wst_allocator_t *a = &h->server->node.ctx->allocator;
    wst__ticket_t hold = {0}, busy = {0};
    let_go(h);
    if (h->onward != NULL)
        wst_stream_close(h->onward, NULL);
    wst__list_remove(&h->node);
    wst__seat_give_back(&h->connection);
    wst__ticket_hand_on(&h->hold, &hold);
    wst__ticket_hand_on(&h->busy, &busy);
    wst__free(a, h->introduction);
    wst__free(a, h);
    wst__ticket_give_back(&busy);
    wst__ticket_give_back(&hold);
}

/* Joined ------------------------------------------------------------------------------------- */

static void on_handback_closed(void *user_data) {
    wst__handback_free(user_data);
}

static void on_pump_done(wst_pump_t *pump, int status, void *user_data) {
    (void)status, (void)user_data;
    wst_pump_close(pump, on_handback_closed);
}

/* Takes the agent's stream on success. 0 or an error. */
static int join(wst__handback_t *h, wst_stream_t *agent) {
    wst_server_t *s = h->server;
    const wst_pump_options_t options = {
        .size = sizeof(options), .on_done = on_pump_done, .user_data = h};
    int status = wst_pump_new(&h->pump, s->node.ctx, agent, h->onward, &options);
    if (status != 0)
        return status;
    h->onward = NULL;
    wst__seat_admit(&h->conn->client.connection);
    wst__seat_hand_on(&h->conn->client.connection, &h->connection);
    wst__ticket_take(&h->busy, &s->node.busy);
    return 0;
}

/* Deciding ----------------------------------------------------------------------------------- */

/* The predecessor has the session. */
static void hand_back(wst__handback_t *h) {
    wst__conn_t *c = h->conn;
    wst_stream_t *agent = NULL;
    int status = wst_hijack_take(c->client.hijack, &agent);
    if (status == 0)
        status = join(h, agent);
    if (status == 0) {
        wst_ctx_log(h->server->node.ctx, WST_LOG_INFO,
                    "agent at %s continues a session of the predecessor", c->client.peer);
        let_go(h);
    } else {
        if (agent != NULL)
            wst_stream_close(agent, NULL);
        wst__handback_free(h);
    }
    wst__client_close(&c->client);
}

/* The predecessor does not: the agent gets a new session here. */
static void decline(wst__handback_t *h, const char *why) {
    wst__conn_t *c = h->conn;
    wst__introduction_t *introduction = h->introduction;
    const wst_allocator_t *a = &h->server->node.ctx->allocator;
    wst_ctx_log(h->server->node.ctx, WST_LOG_INFO,
                "agent at %s: the predecessor does not continue its session: %s", c->client.peer,
                why);
    h->introduction = NULL;
    wst__handback_free(h);
    if (wst_hijack_request(c->client.hijack) != NULL) /* else the agent has just left */
        wst__agent_accept(c, &introduction->answer);
    wst__free(a, introduction);
}

static void on_deadline(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    decline(WST__CONTAINER(deadline, wst__handback_t, deadline), "no answer");
}

/* The answer's first bytes: a server of ours writes its head at once. */
static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    static const char switching[] = "HTTP/1.1 101 ";
    wst__handback_t *h = user_data;
    wst_stream_read_stop(stream);
    if (data.len < sizeof(switching) || memcmp(data.data, switching, sizeof(switching) - 1) != 0)
        decline(h, "it refuses");
    else if (wst_stream_unread(stream, wst_slice_ref(data)) != 0)
        decline(h, wst_strerror(WST_ENOMEM));
    else
        hand_back(h);
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    decline(user_data, "it has closed the connection");
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    decline(user_data, wst_strerror(error));
}

static const wst_stream_callbacks_t callbacks = {
    .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end, .on_error = on_error};

/* Asking ------------------------------------------------------------------------------------- */

static void forget_predecessor(wst_server_t *s) {
    if (s->predecessor.passing != NULL)
        wst__passing_close(s->predecessor.passing);
    s->predecessor.passing = NULL;
    wst__predecessor_await_no_more(s);
}

/* Whether the name of the session bears one of the predecessor's tags. */
static bool is_of_predecessor(const wst_server_t *s, const uint8_t sid[WST__SID_LEN]) {
    for (size_t i = 0; wst__predecessor_lives(s) && i < s->predecessor.tag_count; i++)
        if (memcmp(sid, s->predecessor.tags[i], WST__TAG_LEN) == 0)
            return true;
    return false;
}

/* Makes the introduction, and the message of it. 0 or WST_ENOMEM. */
static int introduce(wst__handback_t *h, const wst__answer_t *answer,
                     char message[WST__INTRODUCTION_MAX], size_t *len) {
    *len = wst__introduction_write(message, h->conn->client.peer, answer);
    return wst__introduction_read(&h->introduction, &h->server->node.ctx->allocator, message, *len);
}

/* Makes the connection to the predecessor, of which `theirs` is the other end. 0 or an error. */
static int open_onward(wst__handback_t *h, int *theirs) {
    int pair[2];
    int status = wst__passing_connection(pair);
    if (status != 0)
        return status;
    status = wst_socket_open(&h->onward, h->server->node.ctx, pair[0], true);
    if (status == 0) {
        *theirs = pair[1];
        return 0;
    }
    close(pair[0]);
    close(pair[1]);
    return status;
}

/* Sends the head of the agent's request. 0 or an error. */
static int send_head(wst__handback_t *h) {
    wst_str_t text = wst__hijack_head_text(h->conn->client.hijack);
    wst_slice_t head;
    int status = wst_slice_copy(&head, h->server->node.ctx, text.ptr, text.len);
    if (status == 0)
        status = wst_stream_write(h->onward, &head, 1);
    return status == WST_WAIT ? 0 : status;
}

/* What a message that was not sent means: as of wst__predecessor_ask. */
static int judge_failure(wst_server_t *s, int status) {
    switch (status) {
    case UV_EPIPE:
    case UV_ECONNREFUSED:
    case UV_ECONNRESET:
    case UV_ENOTCONN:
        forget_predecessor(s);
        return WST_ESTATE;
    case UV_EMSGSIZE: /* macOS: 2 KiB */
        return WST_ESTATE;
    default:
        return status;
    }
}

/* As wst__predecessor_ask. */
static int pass_connection(wst__handback_t *h, const wst__answer_t *answer) {
    wst_server_t *s = h->server;
    char message[WST__INTRODUCTION_MAX];
    size_t len;
    int theirs, status = introduce(h, answer, message, &len);
    if (status == 0)
        status = open_onward(h, &theirs);
    if (status != 0)
        return status;
    status = send_head(h);
    if (status == 0)
        status = wst__passing_send(s->predecessor.fd, message, len, theirs);
    close(theirs);
    return judge_failure(s, status);
}

int wst__predecessor_ask(wst__conn_t *c, const wst__answer_t *answer) {
    wst_server_t *s = c->server;
    wst_ctx_t *ctx = s->node.ctx;
    if (c->claim.kind != WST__RESUME_OLD || !is_of_predecessor(s, c->claim.sid) ||
        wst__agent_session_find(s, c->claim.sid) != NULL)
        return WST_ESTATE;
    wst__handback_t *h = wst__zalloc(&ctx->allocator, sizeof(*h));
    if (h == NULL)
        return WST_ENOMEM;
    *h = (wst__handback_t){.server = s, .conn = c};
    wst__list_init(&h->node);
    wst__ticket_take(&h->hold, &s->node.holds);
    int status = pass_connection(h, answer);
    if (status != 0) {
        wst__handback_free(h);
        return status;
    }
    wst__list_append(&s->predecessor.handbacks, &h->node);
    c->handback = h;
    wst_stream_set_callbacks(h->onward, &callbacks, h);
    wst_stream_read_start(h->onward, s->http.head_max);
    wst__deadline_in(ctx, &h->deadline, s->limits.decision_timeout_ms, on_deadline);
    return 0;
}

/* The predecessor ---------------------------------------------------------------------------- */

bool wst__predecessor_lives(const wst_server_t *s) {
    return s->predecessor.passing != NULL;
}

void wst__predecessor_await_no_more(wst_server_t *s) {
    wst__ticket_give_back(&s->predecessor.awaited);
}

/* It has nothing to say but its end. */
static void on_predecessor_message(int passed, const char *data, size_t len, void *user_data) {
    (void)len;
    if (passed >= 0)
        close(passed);
    if (data == NULL)
        forget_predecessor(user_data);
}

/* Reads the first message. 0 or an error. */
static int read_tags(wst_server_t *s, int fd) {
    uint8_t message[1 + WST__TAGS_MAX * WST__TAG_LEN];
    int passed;
    ssize_t len = wst__passing_receive(fd, message, sizeof(message), &passed);
    if (passed >= 0)
        close(passed);
    if (len < 0)
        return (int)len;
    size_t count = (size_t)len / WST__TAG_LEN;
    if ((size_t)len != 1 + count * WST__TAG_LEN || message[0] != WST__SUCCESSION_VERSION)
        return WST_EPROTO;
    s->predecessor.tag_count = count;
    memcpy(s->predecessor.tags, message + 1, count * WST__TAG_LEN);
    return 0;
}

int wst_server_set_predecessor(wst_server_t *s, int fd) {
    if (wst__predecessor_lives(s) || s->node.state != WST__NODE_RUNNING)
        return WST_ESTATE;
    int status = read_tags(s, fd);
    if (status == 0)
        status = wst__sockopt_prepare(fd);
    if (status == 0)
        status =
            wst__passing_new(&s->predecessor.passing, s->node.ctx, fd, on_predecessor_message, s);
    s->predecessor.fd = fd;
    return status;
}

/* Agents may come for its sessions as long as it lives, and they can come here. */
static void drain_predecessor(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, predecessor.part);
    if (wst__predecessor_lives(s) && wst__addresses_let_return(s))
        wst__ticket_take(&s->predecessor.awaited, &s->node.busy);
}

static void close_predecessor(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, predecessor.part);
    WST__LIST_EACH_SAFE(wst__handback_t, h, &s->predecessor.handbacks, node) {
        if (h->pump != NULL)
            wst_pump_close(h->pump, on_handback_closed);
    }
    forget_predecessor(s);
}

void wst__predecessor_init(wst_server_t *s) {
    s->predecessor.part = (wst__part_t){.drain = drain_predecessor, .close = close_predecessor};
    wst__list_init(&s->predecessor.handbacks);
    wst__node_add(&s->node, &s->predecessor.part);
}
