/* SPDX-License-Identifier: MIT */
/*
 * What a server does for a successor of its process. An agent whose connection breaks after the
 * addresses are handed over comes to the successor, which passes such a connection back
 * (predecessor.c): a message with an introduction, and a stream that begins with the head of the
 * agent's request. Only who continues a session is let in this way.
 *
 * The first message goes to the successor: the version, a byte, and the tags by which it knows
 * whose sessions are there.
 */
#include "server.h"

#include "stream.h"

#include <string.h>
#include <unistd.h>
#include <wstunnel/socket.h>

static void close_theirs(wst_server_t *s) {
    if (s->successor.theirs >= 0)
        close(s->successor.theirs);
    s->successor.theirs = -1;
}

void wst__successor_leave(wst_server_t *s) {
    close_theirs(s);
    if (s->successor.passing != NULL)
        wst__passing_close(s->successor.passing);
    s->successor.passing = NULL;
}

bool wst__successor_lets_return(const wst_server_t *s) {
    return s->handed_over && s->successor.passing != NULL;
}

/* Connections -------------------------------------------------------------------------------- */

/* Takes the stream and the introduction on success. 0 or an error, as of wst__seat_take. */
static int receive(wst_server_t *s, wst_stream_t *stream, wst__introduction_t *introduction) {
    const unsigned roles = WST_ROLE_AGENTS | WST_LISTEN_PLAIN;
    wst__seat_t seat = {0};
    int status = wst__stream_set_peer(stream, introduction->peer);
    if (status == 0)
        status = wst__seat_take(&seat, &s->seats, false, wst__source_of(s, introduction->peer));
    if (status == 0)
        status = wst__conn_new(s, stream, &seat, roles, introduction);
    wst__seat_give_back(&seat); /* if it was not taken */
    return status;
}

/* A connection that cannot be taken is closed, so that the successor keeps the agent. */
static void on_connection(wst_server_t *s, int fd, const char *text, size_t len) {
    wst_ctx_t *ctx = s->node.ctx;
    wst__introduction_t *introduction = NULL;
    wst_stream_t *stream = NULL;
    int status = wst__introduction_read(&introduction, &ctx->allocator, text, len);
    if (status == 0)
        status = wst_socket_open(&stream, ctx, fd, true);
    if (status == 0)
        status = receive(s, stream, introduction);
    if (status == 0)
        return;
    wst_ctx_log(ctx, WST_LOG_WARN, "an agent's connection, handed back, is not taken: %s",
                wst_strerror(status));
    if (stream != NULL)
        wst_stream_close(stream, NULL);
    else
        close(fd);
    wst__free(&ctx->allocator, introduction);
}

/* Without a successor nobody can come back. */
static void on_successor_gone(wst_server_t *s) {
    wst__successor_leave(s);
    if (!wst__addresses_let_return(s))
        wst__agents_end_waiting(s);
}

static void on_message(int passed, const char *data, size_t len, void *user_data) {
    wst_server_t *s = user_data;
    if (data == NULL)
        on_successor_gone(s);
    else if (passed >= 0)
        on_connection(s, passed, data, len);
}

/* Making the way ----------------------------------------------------------------------------- */

/* The server's tags, of its own sessions first. Returns the length. */
static size_t write_tags(const wst_server_t *s, uint8_t out[1 + WST__TAGS_MAX * WST__TAG_LEN]) {
    size_t older =
        s->predecessor.tag_count < WST__TAGS_MAX ? s->predecessor.tag_count : WST__TAGS_MAX - 1;
    out[0] = WST__SUCCESSION_VERSION;
    memcpy(out + 1, s->agents.tag, WST__TAG_LEN);
    memcpy(out + 1 + WST__TAG_LEN, s->predecessor.tags, older * WST__TAG_LEN);
    return 1 + (1 + older) * WST__TAG_LEN;
}

int wst_server_successor_socket(wst_server_t *s) {
    uint8_t tags[1 + WST__TAGS_MAX * WST__TAG_LEN];
    int pair[2];
    if (s->handed_over || s->leaving || s->node.state != WST__NODE_RUNNING)
        return WST_ESTATE;
    wst__successor_leave(s); /* an attempt to start one has failed */
    int status = wst__passing_pair(pair);
    if (status != 0)
        return status;
    status = wst__passing_send(pair[0], tags, write_tags(s, tags), -1);
    if (status == 0)
        status = wst__passing_new(&s->successor.passing, s->node.ctx, pair[0], on_message, s);
    if (status != 0) {
        close(pair[0]);
        close(pair[1]);
        return status;
    }
    s->successor.theirs = pair[1];
    return pair[1];
}

void wst_server_hand_over(wst_server_t *s) {
    wst__addresses_hand_over(s);
    close_theirs(s); /* the successor has it, and its end shall be seen */
    s->handed_over = true;
    wst__agents_goaway(s);
}

/* The part ----------------------------------------------------------------------------------- */

static void drain_successor(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, successor.part);
    if (!s->handed_over || !wst__agents_may_return(s))
        wst__successor_leave(s);
}

static void close_successor(wst__part_t *part) {
    wst__successor_leave(WST__CONTAINER(part, wst_server_t, successor.part));
}

void wst__successor_init(wst_server_t *s) {
    s->successor.theirs = -1;
    s->successor.part = (wst__part_t){.drain = drain_successor, .close = close_successor};
    wst__node_add(&s->node, &s->successor.part);
}
