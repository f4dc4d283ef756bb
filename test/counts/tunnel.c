/* SPDX-License-Identifier: MIT */
/*
 * A stream through the two ends of a tunnel, each a session on a WebSocket, joined by memory under
 * virtual time.
 */
#include "counts.h"
#include "mem.h"
#include "session.h"
#include "support.h"
#include "ws.h"

#include <wstunnel/error.h>

enum {
    MIB = 1024 * 1024,
    PIECE = 65536,  /* of a write, of a read */
    FRAMES = 65536, /* bytes of frames that wait before the carrier counts as full */
    SMALL = 64,
    ECHOES = 100,
    STREAMS = 1000,
    RTT_MS = 1
};

typedef struct end {
    wst__pool_t pool;
    wst__budget_t budget;
    wst__deadlines_t deadlines;
    wst__session_t *session;
    wst__session_stream_t *stream;
    wst__session_stream_t *idle[STREAMS]; /* that only exist */
    size_t idle_count;
    wst__ws_t *ws;
    bool echoes;
    size_t received;
} end_t;

static struct {
    end_t server, agent;
    uint64_t now_ms, random;
} tunnel;

/* What the ends are told ----------------------------------------------------------------------- */

static void on_open(wst__session_t *session, wst__session_stream_t *stream, wst_str_t dest,
                    void *user_data) {
    end_t *end = user_data;
    (void)session, (void)dest;
    if (end->stream == NULL)
        end->stream = stream;
    else
        end->idle[end->idle_count++] = stream;
    wst__session_stream_set_data(stream, end);
    wst__session_stream_read(stream, true);
    wst__session_stream_accept(stream, "192.0.2.7");
}

static void on_opened(wst__session_stream_t *stream, wst_str_t address, void *user_data) {
    (void)address, (void)user_data;
    wst__session_stream_read(stream, true);
}

static void on_data(wst__session_stream_t *stream, wst_slice_t data, void *user_data) {
    end_t *end = user_data;
    end->received += data.len;
    if (end->echoes)
        assert_int_equal(wst__session_stream_write(stream, wst_slice_ref(data)), 0);
}

static void on_notice(wst__session_stream_t *stream, void *user_data) {
    (void)stream, (void)user_data;
}

static void on_lost(wst__session_stream_t *stream, int reason, wst_str_t text, void *user_data) {
    (void)stream, (void)reason, (void)text, (void)user_data;
    fail();
}

static void on_wakeup(wst__session_t *session, void *user_data) {
    (void)session, (void)user_data;
}

static int on_message(wst__ws_t *ws, bool text, wst_slice_t piece, bool fin, void *user_data) {
    (void)ws;
    return wst__session_recv(((end_t *)user_data)->session, tunnel.now_ms, text, piece, fin);
}

static void on_ws_close(wst__ws_t *ws, int code, wst_str_t reason, void *user_data) {
    (void)ws, (void)code, (void)reason, (void)user_data;
    fail();
}

static int random_bytes(void *buf, size_t len, void *user_data) {
    (void)user_data;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)(test_random(&tunnel.random) >> 32);
    return 0;
}

/* The wire ------------------------------------------------------------------------------------- */

static void fill_output(end_t *from) {
    wst__outgoing_t out;
    while (wst__ws_pending(from->ws) < FRAMES &&
           wst__session_next(from->session, tunnel.now_ms, &out) == 1)
        assert_int_equal(wst__ws_send(from->ws, out.text, out.head, out.head_len, out.payload), 0);
}

/* What an end reads: a chunk of its own, filled by the one copy that stands for the kernel's. */
typedef struct reading {
    end_t *end;
    wst_chunk_t *chunk;
    size_t len;
} reading_t;

static void deliver(reading_t *r) {
    if (r->len == 0)
        return;
    const wst_slice_t in = {r->chunk, wst_chunk_data(r->chunk), r->len};
    assert_int_equal(wst__ws_recv(r->end->ws, in), 0);
    wst_slice_unref(in);
    r->len = 0;
}

static void read_slice(reading_t *r, wst_slice_t slice) {
    for (size_t done = 0, n; done < slice.len; done += n) {
        if (r->len == 0)
            r->chunk = wst__pool_chunk(&r->end->pool, PIECE);
        n = slice.len - done < PIECE - r->len ? slice.len - done : PIECE - r->len;
        memcpy(wst_chunk_data(r->chunk) + r->len, slice.data + done, n);
        r->len += n;
        if (r->len == PIECE)
            deliver(r);
    }
}

/* Takes what one end has to say to the other. */
static void carry(end_t *from, end_t *to) {
    wst_slice_t slices[64];
    size_t count;
    reading_t reading = {.end = to};
    fill_output(from);
    while ((count = wst__ws_take(from->ws, slices, 64)) > 0) {
        for (size_t i = 0; i < count; i++) {
            read_slice(&reading, slices[i]);
            wst_slice_unref(slices[i]);
        }
    }
    deliver(&reading);
}

static void round_trip(end_t *from, end_t *to) {
    carry(from, to);
    carry(to, from);
    tunnel.now_ms += RTT_MS;
}

/* Life ----------------------------------------------------------------------------------------- */

static void open_end(end_t *end, bool is_server) {
    static const wst__session_callbacks_t callbacks = {.on_open = on_open,
                                                       .on_opened = on_opened,
                                                       .on_failed = on_lost,
                                                       .on_data = on_data,
                                                       .on_end = on_notice,
                                                       .on_drain = on_notice,
                                                       .on_shutdown = on_notice,
                                                       .on_reset = on_lost,
                                                       .on_wakeup = on_wakeup};
    wst_hello_t hello = {.size = sizeof(hello), .max_streams = 2 * STREAMS};
    wst__pool_init(&end->pool, &wst__default_allocator);
    end->budget.limit = SIZE_MAX;
    const wst__session_options_t session = {.pool = &end->pool,
                                            .budget = &end->budget,
                                            .deadlines = &end->deadlines,
                                            .client = !is_server,
                                            .hello = hello,
                                            .callbacks = callbacks,
                                            .user_data = end};
    const wst__ws_options_t ws = {.pool = &end->pool,
                                  .server = is_server,
                                  .random = random_bytes,
                                  .on_data = on_message,
                                  .on_close = on_ws_close,
                                  .user_data = end};
    assert_int_equal(wst__session_new(&end->session, &session), 0);
    assert_int_equal(wst__ws_new(&end->ws, &ws), 0);
    assert_int_equal(wst__hello_complete(&hello), 0); /* as the other end says it */
    assert_int_equal(wst__session_attach(end->session, 0, WST_ENCODING_BINARY, &hello), 0);
}

static void open_tunnel(void) {
    end_t *server = &tunnel.server, *agent = &tunnel.agent;
    open_end(server, true);
    open_end(agent, false);
    assert_int_equal(wst__session_open(server->session, &server->stream, "host:22", NULL, server),
                     0);
    round_trip(server, agent);
    round_trip(server, agent);
    assert_non_null(agent->stream);
}

static void close_end(end_t *end) {
    while (end->idle_count > 0)
        wst__session_stream_close(end->idle[--end->idle_count], WST_ECANCELLED);
    wst__session_stream_close(end->stream, WST_ECANCELLED);
    wst__session_free(end->session);
    wst__ws_free(end->ws);
    assert_int_equal(end->pool.live, 0);
    wst__pool_free(&end->pool);
}

static void close_tunnel(void) {
    close_end(&tunnel.server);
    close_end(&tunnel.agent);
}

/* The work ------------------------------------------------------------------------------------- */

/* Writes as much of the rest as the stream has room for. Returns how much. */
static size_t write_some(end_t *end, size_t left) {
    size_t room = wst__session_stream_room(end->stream);
    size_t len = left < room ? left : room;
    if (len > PIECE)
        len = PIECE;
    if (len == 0)
        return 0;
    wst_chunk_t *chunk = wst__pool_chunk(&end->pool, PIECE);
    assert_non_null(chunk);
    const wst_slice_t slice = {chunk, wst_chunk_data(chunk), len};
    int status = wst__session_stream_write(end->stream, slice);
    assert_true(status == 0 || status == WST_WAIT);
    return len;
}

static void move_mib(end_t *from, end_t *to) {
    size_t before = to->received, left = MIB, n;
    while (to->received - before < MIB) {
        while ((n = write_some(from, left)) > 0)
            left -= n;
        round_trip(from, to);
    }
}

static void move_mib_to_agent(void) {
    move_mib(&tunnel.server, &tunnel.agent);
}

static void move_mib_to_server(void) {
    move_mib(&tunnel.agent, &tunnel.server);
}

static void echo(void) {
    static const uint8_t bytes[SMALL];
    end_t *server = &tunnel.server;
    tunnel.agent.echoes = true;
    for (int i = 0; i < ECHOES; i++) {
        size_t before = server->received;
        wst_slice_t slice;
        assert_int_equal(wst__pool_copy(&server->pool, &slice, bytes, SMALL), 0);
        assert_int_equal(wst__session_stream_write(server->stream, slice), 0);
        round_trip(server, &tunnel.agent);
        assert_int_equal(server->received - before, SMALL);
    }
}

static void open_many(void) {
    end_t *server = &tunnel.server;
    open_tunnel();
    while (server->idle_count < STREAMS)
        assert_int_equal(wst__session_open(server->session, &server->idle[server->idle_count++],
                                           "host:22", NULL, server),
                         0);
    for (int i = 0; i < 4; i++)
        round_trip(server, &tunnel.agent);
    assert_int_equal(tunnel.agent.idle_count, STREAMS);
}

static void attach_end(end_t *end) {
    wst_hello_t hello = {.size = sizeof(hello), .max_streams = 2 * STREAMS};
    assert_int_equal(wst__hello_complete(&hello), 0);
    assert_int_equal(wst__session_attach(end->session, tunnel.now_ms, WST_ENCODING_BINARY, &hello),
                     0);
}

static void lose_and_attach(void) {
    wst__session_suspend(tunnel.server.session);
    wst__session_suspend(tunnel.agent.session);
    attach_end(&tunnel.server);
    attach_end(&tunnel.agent);
    for (int i = 0; i < 3; i++)
        round_trip(&tunnel.server, &tunnel.agent);
}

const counts_work_t counts_attach = {"attach", open_many, lose_and_attach, close_tunnel};
const counts_work_t counts_mib_to_agent = {"mib_to_agent", open_tunnel, move_mib_to_agent,
                                           close_tunnel};
const counts_work_t counts_mib_to_server = {"mib_to_server", open_tunnel, move_mib_to_server,
                                            close_tunnel};
const counts_work_t counts_echo = {"echo", open_tunnel, echo, close_tunnel};
