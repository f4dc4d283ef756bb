/* SPDX-License-Identifier: MIT */
/* Socket streams: data both ways, back-pressure, half-close, memory bounds; TCP and Unix each. */
#include "cork.h"
#include "socket.h"
#include "sockopt.h"
#include "fake_stream.h"
#include "sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WINDOW = 65536 };

/* Two streams joined by sockets. */
typedef struct rig {
    test_env_t env;
    int fds[2];
    sockets_owner_t a, b;
} rig_t;

static void rig_open(rig_t *rig, bool is_unix) {
    memset(rig, 0, sizeof(*rig));
    test_env_open(&rig->env);
    sockets_pair(rig->fds, is_unix);
    sockets_own(&rig->a, sockets_stream(&rig->env, rig->fds[0], is_unix));
    sockets_own(&rig->b, sockets_stream(&rig->env, rig->fds[1], is_unix));
}

static void rig_close(rig_t *rig) {
    sockets_close_owned(&rig->a);
    sockets_close_owned(&rig->b);
    test_env_until_count(&rig->env, &rig->a.closed, 1);
    test_env_until_count(&rig->env, &rig->b.closed, 1);
    test_env_close(&rig->env);
}

static size_t chunks(const rig_t *rig) {
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(rig->env.ctx, &stats);
    return stats.chunks;
}

/* A test's state says which kind of socket. */
static bool unix_wanted(void **state) {
    return *state != NULL;
}

/* -------------------------------------------------------------------------------------------- */

static void test_half_close_both_ways(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    wst_stream_read_start(rig.a.stream, 0);
    wst_stream_read_start(rig.b.stream, 0);
    assert_int_equal(sockets_write(rig.a.stream, "ping", 4), 0);
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    assert_int_equal(rig.a.shutdowns, 0);
    test_env_until_count(&rig.env, &rig.b.ends, 1);
    assert_memory_equal(rig.b.first, "ping", 4);
    assert_int_equal(rig.b.received, 4);
    assert_int_equal(rig.a.shutdowns, 1);
    /* The other direction goes on. */
    assert_int_equal(sockets_write(rig.b.stream, "pong!", 5), 0);
    assert_int_equal(wst_stream_shutdown(rig.b.stream), 0);
    test_env_until_count(&rig.env, &rig.a.ends, 1);
    test_env_until_count(&rig.env, &rig.b.shutdowns, 1);
    assert_memory_equal(rig.a.first, "pong!", 5);
    assert_int_equal(rig.a.ends + rig.b.ends, 2);
    assert_int_equal(rig.a.errors + rig.b.errors, 0);
    assert_int_equal(wst_stream_bytes_read(rig.b.stream), 4);
    assert_int_equal(wst_stream_bytes_written(rig.b.stream), 5);
    assert_int_equal(chunks(&rig), 0);
    rig_close(&rig);
}

static void test_paused_reader_hears_nothing(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    assert_int_equal(sockets_write(rig.a.stream, "x", 1), 0);
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    test_env_until_count(&rig.env, &rig.a.shutdowns, 1);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.b.reads + rig.b.ends, 0);
    rig.b.pause_always = true;
    wst_stream_read_start(rig.b.stream, 0);
    test_env_until_count(&rig.env, &rig.b.reads, 1);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.b.ends, 0); /* stopped before it */
    wst_stream_read_start(rig.b.stream, 0);
    test_env_until_count(&rig.env, &rig.b.ends, 1);
    rig_close(&rig);
}

/* Writes until told to wait. */
static size_t fill(rig_t *rig, size_t sent, size_t total) {
    while (sent < total) {
        size_t n = total - sent < WINDOW ? total - sent : WINDOW;
        int status = sockets_write_pattern(rig->a.stream, sent, n);
        assert_true(status >= 0);
        sent += n;
        if (status == WST_WAIT)
            break;
    }
    return sent;
}

static void test_large_transfer_with_a_slow_reader(void **state) {
    enum { TOTAL = 8 * 1024 * 1024 };
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.b.patterned = rig.b.pause_always = true;
    size_t sent = 0, waits = 0, most_chunks = 0;
    while (rig.b.received < TOTAL) {
        if (rig.a.drains == waits && sent < TOTAL) {
            sent = fill(&rig, sent, TOTAL);
            waits++;
            if (sent == TOTAL)
                assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
        }
        /* What waits is at most the one write that did not fit. */
        assert_true(wst_stream_room(rig.a.stream) <= WINDOW);
        if (chunks(&rig) > most_chunks)
            most_chunks = chunks(&rig);
        size_t reads = rig.b.reads;
        wst_stream_read_start(rig.b.stream, 10000);
        test_env_until_count(&rig.env, &rig.b.reads, reads + 1);
    }
    wst_stream_read_start(rig.b.stream, 10000);
    test_env_until_count(&rig.env, &rig.b.ends, 1);
    assert_int_equal(rig.b.received, TOTAL);
    assert_true(rig.b.largest <= 10000);
    assert_in_range(waits, 2, 1000); /* or the kernel took it all and nothing was tested */
    assert_in_range(most_chunks, 1, WINDOW / 4096 + 2);
    assert_int_equal(rig.a.shutdowns, 1);
    assert_int_equal(rig.a.errors + rig.b.errors, 0);
    assert_int_equal(chunks(&rig), 0);
    rig_close(&rig);
}

static void test_drain_comes_when_all_is_out(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.b.patterned = true;
    assert_int_equal(wst_stream_room(rig.a.stream), WINDOW);
    size_t sent = fill(&rig, 0, SIZE_MAX / 2);
    assert_true(wst_stream_room(rig.a.stream) < WINDOW);
    /* More than there is room for is taken, too, and it stays in order behind the rest. */
    assert_int_equal(sockets_write_pattern(rig.a.stream, sent, 100000), WST_WAIT);
    sent += 100000;
    assert_int_equal(sockets_write_pattern(rig.a.stream, sent, 7), WST_WAIT);
    sent += 7;
    assert_int_equal(wst_stream_room(rig.a.stream), 0);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.a.drains, 0);
    wst_stream_read_start(rig.b.stream, 0);
    test_env_until_count(&rig.env, &rig.a.drains, 1);
    assert_int_equal(wst_stream_room(rig.a.stream), WINDOW);
    test_env_until_count(&rig.env, &rig.b.received, sent);
    assert_int_equal(rig.a.drains, 1);
    rig_close(&rig);
}

/* Many slices of odd lengths, empty ones among them, gathered; also more than the kernel takes. */
static void test_gathered_writes(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.b.patterned = true;
    uint64_t seed = 7;
    size_t sent = 0;
    int waits = 0;
    for (int round = 0; round < 400 && waits < 5; round++) {
        wst_slice_t slices[200];
        for (size_t i = 0; i < 200; i++) {
            size_t len = test_random(&seed) % 8 == 0 ? 0 : test_random(&seed) % 900;
            uint8_t data[900];
            for (size_t k = 0; k < len; k++)
                data[k] = sockets_pattern(sent + k);
            sent += len;
            assert_int_equal(wst_slice_copy(&slices[i], rig.env.ctx, data, len), 0);
        }
        int status = wst_stream_write(rig.a.stream, slices, 200);
        assert_true(status >= 0);
        waits += status == WST_WAIT;
    }
    assert_int_equal(waits, 5);
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    wst_stream_read_start(rig.b.stream, 0);
    test_env_until_count(&rig.env, &rig.b.ends, 1);
    assert_int_equal(rig.b.received, sent);
    assert_int_equal(rig.a.drains, 0); /* none after a shutdown */
    rig_close(&rig);
}

/* Gathered writes ---------------------------------------------------------------------------- */

/* What the other end of `a` finds in its socket right now. */
static size_t arrived(const rig_t *rig, char *buf, size_t size) {
    ssize_t n = recv(rig->fds[1], buf, size, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

static void test_corked_writes_go_out_together(void **state) {
    rig_t rig;
    char buf[16];
    rig_open(&rig, unix_wanted(state));
    wst__cork(rig.env.ctx);
    assert_int_equal(sockets_write(rig.a.stream, "ab", 2), 0);
    wst__cork(rig.env.ctx);
    assert_int_equal(sockets_write(rig.a.stream, "cd", 2), 0);
    wst__uncork(rig.env.ctx);
    assert_int_equal(sockets_write(rig.a.stream, "ef", 2), 0);
    assert_int_equal(arrived(&rig, buf, sizeof(buf)), 0);
    wst__uncork(rig.env.ctx);
    assert_int_equal(arrived(&rig, buf, sizeof(buf)), 6);
    assert_memory_equal(buf, "abcdef", 6);
    assert_int_equal(chunks(&rig), 0);
    rig_close(&rig);
}

static void test_corked_then_shut_down(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    wst_stream_read_start(rig.b.stream, 0);
    wst__cork(rig.env.ctx);
    assert_int_equal(sockets_write(rig.a.stream, "last", 4), 0);
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    wst__uncork(rig.env.ctx);
    test_env_until_count(&rig.env, &rig.b.ends, 1);
    test_env_until_count(&rig.env, &rig.a.shutdowns, 1);
    assert_int_equal(rig.b.received, 4);
    rig_close(&rig);
}

static void test_corked_then_closed(void **state) {
    rig_t rig;
    char buf[16];
    rig_open(&rig, unix_wanted(state));
    wst__cork(rig.env.ctx);
    assert_int_equal(sockets_write(rig.a.stream, "bye", 3), 0);
    sockets_close_owned(&rig.a);
    wst__uncork(rig.env.ctx);
    assert_int_equal(arrived(&rig, buf, sizeof(buf)), 3);
    rig_close(&rig);
}

/* More than the kernel takes: the writer is told to wait only once some is written, and no byte
 * changes its place. */
static void test_corked_more_than_fits(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.b.patterned = true;
    size_t sent = 0;
    int status = 0;
    wst__cork(rig.env.ctx);
    while (status == 0) {
        assert_true(wst_stream_room(rig.a.stream) > 0);
        status = sockets_write_pattern(rig.a.stream, sent, 5000);
        assert_true(status >= 0);
        sent += 5000;
    }
    assert_int_equal(status, WST_WAIT);
    assert_true(sent >= 262144);
    wst__uncork(rig.env.ctx);
    assert_true(sockets_write_pattern(rig.a.stream, sent, 10) >= 0);
    sent += 10;
    wst_stream_read_start(rig.b.stream, 0);
    test_env_until_count(&rig.env, &rig.b.received, sent);
    assert_true(rig.a.drains > 0);
    assert_int_equal(chunks(&rig), 0);
    rig_close(&rig);
}

static void test_corked_write_to_a_broken_socket(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    sockets_close_owned(&rig.b);
    test_env_until_count(&rig.env, &rig.b.closed, 1);
    test_env_turns(&rig.env, 3);
    for (int i = 0; i < 3 && rig.a.errors == 0; i++) {
        wst__cork(rig.env.ctx);
        (void)sockets_write(rig.a.stream, "lost", 4);
        wst__uncork(rig.env.ctx);
    }
    assert_int_equal(rig.a.errors, 1);
    assert_int_equal(chunks(&rig), 0);
    sockets_close_owned(&rig.a);
    test_env_until_count(&rig.env, &rig.a.closed, 1);
    test_env_close(&rig.env);
}

/* Reading ---------------------------------------------------------------------------------------
 */

static void test_reads_grow_and_shrink(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.b.patterned = true;
    wst_stream_read_start(rig.b.stream, 0);
    assert_int_equal(sockets_write_pattern(rig.a.stream, 0, 10), 0);
    test_env_until_count(&rig.env, &rig.b.received, 10);
    assert_int_equal(chunks(&rig), 0); /* an idle stream holds none */
    wst_stream_read_stop(rig.b.stream);
    size_t sent = fill(&rig, 10, SIZE_MAX / 2);
    wst_stream_read_start(rig.b.stream, 0);
    test_env_until_count(&rig.env, &rig.b.received, sent);
    assert_in_range(rig.b.largest, 65536, WST__BATCH_MAX);
    /* Many small ones later a full buffer is small again. */
    for (int i = 0; i < 8; i++) {
        assert_true(sockets_write_pattern(rig.a.stream, sent, 10) >= 0);
        sent += 10;
        test_env_until_count(&rig.env, &rig.b.received, sent);
    }
    rig.b.largest = 0;
    rig.b.pause_always = true;
    wst_stream_read_stop(rig.b.stream);
    assert_true(sockets_write_pattern(rig.a.stream, sent, 20000) >= 0);
    size_t reads = rig.b.reads;
    wst_stream_read_start(rig.b.stream, 0);
    test_env_until_count(&rig.env, &rig.b.reads, reads + 1);
    assert_int_equal(rig.b.largest, 4096);
    assert_int_equal(chunks(&rig), 0);
    rig_close(&rig);
}

static void test_read_max(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.b.patterned = true;
    size_t sent = fill(&rig, 0, 30000);
    wst_stream_read_start(rig.b.stream, 7);
    test_env_until_count(&rig.env, &rig.b.reads, 20);
    assert_int_equal(rig.b.largest, 7);
    wst_stream_read_start(rig.b.stream, 5000); /* without a stop */
    test_env_until_count(&rig.env, &rig.b.received, sent);
    assert_in_range(rig.b.largest, 4096, 5000);
    rig_close(&rig);
}

/* What a bounded reader gets fills a chunk, so that it can keep it without copying. */
static void test_bounded_reads_fill_their_chunks(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    rig.b.patterned = true;
    size_t sent = fill(&rig, 0, 2000000);
    wst_stream_read_start(rig.b.stream, 70000);
    test_env_until_count(&rig.env, &rig.b.received, sent);
    assert_int_equal(rig.b.largest, 65536);
    wst_stream_read_stop(rig.b.stream);
    assert_true(sockets_write_pattern(rig.a.stream, sent, 20000) >= 0);
    rig.b.largest = 0;
    wst_stream_read_start(rig.b.stream, 70000);
    test_env_until_count(&rig.env, &rig.b.received, sent + 20000);
    assert_int_equal(rig.b.largest, 16384);
    rig_close(&rig);
}

static void test_no_memory_to_read_into(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    assert_int_equal(write(rig.fds[0], "x", 1), 1);
    wst_stream_read_start(rig.b.stream, 0);
    test_alloc_fail(1);
    test_env_until_count(&rig.env, &rig.b.errors, 1);
    assert_true(test_alloc_failed());
    test_alloc_fail(0);
    assert_int_equal(rig.b.error, WST_ENOMEM);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.b.errors + rig.b.reads, 1);
    rig_close(&rig);
}

static void test_no_memory_to_queue(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    wst_chunk_t *chunk = wst_chunk_new(rig.env.ctx, 16 * 1024 * 1024);
    assert_non_null(chunk);
    memset(wst_chunk_data(chunk), 0, wst_chunk_capacity(chunk));
    wst_slice_t slice = {chunk, wst_chunk_data(chunk), wst_chunk_capacity(chunk)};
    test_alloc_fail(1);
    assert_int_equal(wst_stream_write(rig.a.stream, &slice, 1), WST_ENOMEM);
    assert_true(test_alloc_failed());
    test_alloc_fail(0);
    assert_int_equal(chunks(&rig), 0); /* the reference was taken all the same */
    assert_int_equal(sockets_write(rig.a.stream, "x", 1), WST_ESTATE);
    test_env_turns(&rig.env, 5);
    assert_int_equal(rig.a.errors, 0);
    rig_close(&rig);
}

/* Making ------------------------------------------------------------------------------------- */

static void one_open(void *arg) {
    test_env_t env;
    test_env_open(&env);
    int fds[2];
    sockets_pair(fds, arg != NULL);
    wst_stream_t *stream;
    if (env.ctx != NULL && wst_socket_open(&stream, env.ctx, fds[0], arg != NULL) == 0)
        wst_stream_close(stream, NULL);
    else
        assert_int_equal(close(fds[0]), 0); /* still ours */
    test_env_turns(&env, 3);
    close(fds[1]);
    test_env_close(&env);
}

static void test_open_allocations(void **state) {
    assert_int_equal(test_alloc_each(one_open, *state), 3); /* context, socket, stream */
}

static void test_open_takes_connected_sockets_only(void **state) {
    test_env_t env;
    test_env_open(&env);
    bool is_unix = unix_wanted(state);
    wst_stream_t *stream = NULL;
    int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    assert_int_equal(wst_socket_open(&stream, env.ctx, fd, is_unix), UV_ENOTCONN);
    assert_int_equal(close(fd), 0);
    fd = open("/dev/null", O_RDWR);
    assert_int_equal(wst_socket_open(&stream, env.ctx, fd, is_unix), UV_ENOTSOCK);
    assert_int_equal(close(fd), 0);
    assert_int_equal(wst_socket_open(&stream, env.ctx, fd, is_unix), UV_EBADF);
    assert_null(stream);
    test_env_turns(&env, 3);
    test_env_close(&env);
}

static void never(uv_poll_t *poll, int status, int events) {
    (void)poll;
    fail_msg("nothing to be read: %d %d", status, events);
}

/* A descriptor that another handle of the loop reads: libuv refuses it after all is made. */
static void test_open_refused_by_libuv(void **state) {
    test_env_t env;
    test_env_open(&env);
    int fds[2];
    sockets_pair(fds, unix_wanted(state));
    uv_poll_t poll;
    assert_int_equal(uv_poll_init(&env.loop, &poll, fds[0]), 0);
    assert_int_equal(uv_poll_start(&poll, UV_READABLE, never), 0);
    wst_stream_t *stream = NULL;
    assert_int_equal(wst_socket_open(&stream, env.ctx, fds[0], unix_wanted(state)), UV_EEXIST);
    assert_null(stream);
    test_env_turns(&env, 3);
    uv_close((uv_handle_t *)&poll, NULL);
    assert_int_equal(close(fds[0]), 0);
    close(fds[1]);
    test_env_close(&env);
}

static int int_option(int fd, int level, int name) {
    int value = -1;
    socklen_t len = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void test_options_and_names(void **state) {
    bool is_unix = unix_wanted(state);
    rig_t rig;
    rig_open(&rig, is_unix);
    if (is_unix) {
        assert_string_equal(wst_stream_peer(rig.a.stream), "unix:");
    } else {
        sockets_expect_options(rig.fds[0]);
        struct sockaddr_in addr;
        socklen_t len = sizeof(addr);
        assert_int_equal(getsockname(rig.fds[1], (struct sockaddr *)&addr, &len), 0);
        char peer[64];
        snprintf(peer, sizeof(peer), "127.0.0.1:%u", (unsigned)ntohs(addr.sin_port));
        assert_string_equal(wst_stream_peer(rig.a.stream), peer);
#ifdef TCP_NOTSENT_LOWAT
        wst__socket_set_notsent_lowat(rig.a.stream, 16384);
        assert_int_equal(int_option(rig.fds[0], IPPROTO_TCP, TCP_NOTSENT_LOWAT), 16384);
#endif
#ifdef TCP_USER_TIMEOUT
        wst__sockopt_user_timeout(rig.fds[0], 12345);
        assert_int_equal(int_option(rig.fds[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
#endif
    }
    wst__socket_set_notsent_lowat(rig.b.stream, 16384); /* harmless for Unix */
    assert_int_equal(wst__socket_retransmits(rig.a.stream), 0);
    rig_close(&rig);
}

#ifdef TCP_QUICKACK
/* Sends to b and returns whether it acknowledges at once, by the system's word: it is not in the
 * mode in which acknowledgements wait for an answer. */
static bool acks_at_once(rig_t *rig, size_t len) {
    static const char bytes[2048];
    const int off = 0;
    assert_int_equal(setsockopt(rig->fds[1], IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off)), 0);
    size_t until = rig->b.received + len;
    assert_int_equal(sockets_write(rig->a.stream, bytes, len), 0);
    test_env_until_count(&rig->env, &rig->b.received, until);
    return int_option(rig->fds[1], IPPROTO_TCP, TCP_QUICKACK) == 1;
}
#endif

static void test_acks_at_once(void **state) {
    (void)state;
#ifdef TCP_QUICKACK
    rig_t rig;
    rig_open(&rig, false);
    wst_stream_read_start(rig.b.stream, 0);
    assert_false(acks_at_once(&rig, 2048));
    wst__socket_ack_at_once(rig.b.stream);
    assert_false(acks_at_once(&rig, 4)); /* a request: its answer acknowledges it */
    assert_true(acks_at_once(&rig, 2048));
    assert_true(acks_at_once(&rig, 4)); /* part of the transfer */
    rig_close(&rig);
#endif
}

/* Each turn of the loop reads so much, and the end comes behind all of it. */
static void test_turn_max(void **state) {
    rig_t rig;
    rig_open(&rig, unix_wanted(state));
    wst__socket_set_turn_max(rig.b.stream, 100);
    wst_stream_read_start(rig.b.stream, 0);
    static const char bytes[950];
    assert_int_equal(sockets_write(rig.a.stream, bytes, sizeof(bytes)), 0);
    assert_int_equal(wst_stream_shutdown(rig.a.stream), 0);
    for (size_t due = 100; due <= sizeof(bytes); due += 100) {
        test_env_turns(&rig.env, 1);
        assert_int_equal(rig.b.received, due);
    }
    wst__socket_set_turn_max(rig.b.stream, 0);
    test_env_until_count(&rig.env, &rig.b.ends, 1);
    assert_int_equal(rig.b.received, sizeof(bytes));
    rig_close(&rig);
}

typedef struct feed {
    int fd;
    size_t received;
} feed_t;

/* More arrives while the bytes before are read, as much as the kernel takes. */
static void on_feed_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    static const char more[131072];
    feed_t *feed = user_data;
    (void)stream;
    feed->received += data.len;
    (void)!send(feed->fd, more, sizeof(more), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* No turn of the loop reads more, though there is. */
static void test_turn_is_bounded(void **state) {
    (void)state;
    static const wst_stream_callbacks_t callbacks = {.size = sizeof(callbacks),
                                                     .on_read = on_feed_read};
    enum { TURN_MAX = 524288 };
    rig_t rig;
    rig_open(&rig, false);
    feed_t feed = {.fd = rig.fds[0]};
    wst_stream_set_callbacks(rig.b.stream, &callbacks, &feed);
    assert_true(send(feed.fd, "", 1, 0) == 1);
    wst_stream_read_start(rig.b.stream, 0);
    size_t most = 0;
    for (int turn = 0; turn < 20; turn++) {
        size_t before = feed.received;
        test_env_turns(&rig.env, 1);
        most = feed.received - before > most ? feed.received - before : most;
    }
    assert_int_equal(most, TURN_MAX);
    sockets_own(&rig.b, rig.b.stream);
    rig_close(&rig);
}

static void test_notsent_lowat_of_other_kinds(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    fake_stream_t fake;
    assert_int_equal(fake_stream_open(&fake, env.ctx), 0);
    wst__socket_set_notsent_lowat(fake.stream, 1);
    assert_int_equal(wst__socket_retransmits(fake.stream), 0);
    wst__socket_ack_at_once(fake.stream);
    wst_stream_close(fake.stream, NULL);
    test_env_turns(&env, 3);
    fake_stream_free(&fake);
    test_env_close(&env);
}

#define BOTH(test)                                                                                 \
    cmocka_unit_test(test), {                                                                      \
#test " (unix)", test, NULL, NULL, (void *)"unix"                                          \
    }

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(test_half_close_both_ways),
        BOTH(test_paused_reader_hears_nothing),
        BOTH(test_large_transfer_with_a_slow_reader),
        BOTH(test_drain_comes_when_all_is_out),
        BOTH(test_gathered_writes),
        BOTH(test_corked_writes_go_out_together),
        BOTH(test_corked_then_shut_down),
        BOTH(test_corked_then_closed),
        BOTH(test_corked_more_than_fits),
        BOTH(test_corked_write_to_a_broken_socket),
        BOTH(test_reads_grow_and_shrink),
        BOTH(test_read_max),
        BOTH(test_bounded_reads_fill_their_chunks),
        BOTH(test_no_memory_to_read_into),
        BOTH(test_no_memory_to_queue),
        BOTH(test_open_allocations),
        BOTH(test_open_takes_connected_sockets_only),
        BOTH(test_open_refused_by_libuv),
        BOTH(test_options_and_names),
        cmocka_unit_test(test_acks_at_once),
        BOTH(test_turn_max),
        cmocka_unit_test(test_turn_is_bounded),
        cmocka_unit_test(test_notsent_lowat_of_other_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
