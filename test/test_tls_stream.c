/* SPDX-License-Identifier: MIT */
/* TLS streams over sockets and over a scripted transport. */
#include "fake_stream.h"
#include "tls_world.h"

#include <wstunnel/error.h>
#include <wstunnel/socket.h>

/* Sends until a write answers WST_WAIT. */
static void fill(tls_party_t *party) {
    while (tls_party_send(party, 20000) == 0)
        assert_true(party->sent < 100 * 1024 * 1024);
}

/* Both directions, half-closed one after the other; then orderly closed. */
static void test_data_and_half_close(void **state) {
    (void)state;
    for (int tcp = 0; tcp < 2; tcp++) {
        tls_world_t w;
        tls_world_open(&w, WST_TLS_CLIENT_NONE);
        tls_world_connect(&w, tcp);
        tls_world_shake(&w);
        wst_stream_read_start(w.client.stream, 0);
        wst_stream_read_start(w.server.stream, 0);
        assert_true(tls_party_send(&w.client, 100000) >= 0);
        assert_int_equal(wst_stream_shutdown(w.client.stream), 0);
        test_env_until_count(&w.env, &w.server.ends, 1);
        assert_int_equal(w.server.received, 100000);
        /* The other direction goes on. */
        assert_int_equal(w.client.ends, 0);
        assert_true(tls_party_send(&w.server, 300000) >= 0);
        test_env_until_count(&w.env, &w.client.received, 300000);
        assert_int_equal(wst_stream_shutdown(w.server.stream), 0);
        test_env_until_count(&w.env, &w.client.ends, 1);
        assert_int_equal(w.client.received, 300000);
        test_env_until_count(&w.env, &w.client.shutdowns, 1);
        test_env_until_count(&w.env, &w.server.shutdowns, 1);
        assert_int_equal(w.client.errors + w.server.errors, 0);
        tls_world_close(&w);
    }
}

/* A reader that stops stops the writer; nothing of ours grows meanwhile. */
static void test_back_pressure(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    tls_world_shake(&w);
    fill(&w.client);
    assert_int_equal(wst_stream_room(w.client.stream), 0);
    test_env_turns(&w.env, 20);
    assert_int_equal(w.client.drains, 0);
    w.server.stop_at_read = true;
    wst_stream_read_start(w.server.stream, 1000);
    test_env_until_count(&w.env, &w.server.reads, 1);
    test_env_turns(&w.env, 5);
    assert_int_equal(w.server.reads, 1);
    assert_int_equal(w.server.received, 1000);
    w.server.stop_at_read = false;
    wst_stream_read_start(w.server.stream, 0);
    test_env_until_count(&w.env, &w.client.drains, 1);
    test_env_until_count(&w.env, &w.server.received, w.client.sent);
    tls_world_close(&w);
}

static void stop_and_start(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    tls_party_t *party = user_data;
    party->received += data.len;
    wst_stream_read_stop(stream);
    wst_stream_read_start(stream, 0);
}

static void count_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    ((tls_party_t *)user_data)->ends++;
}

/* The last bytes and the end come together, to a reader that pauses for a moment: one end. */
static void test_pause_at_the_end(void **state) {
    (void)state;
    static const wst_stream_callbacks_t callbacks = {.on_read = stop_and_start,
                                                     .on_end = count_end};
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    tls_world_shake(&w);
    assert_int_equal(tls_party_send(&w.client, 100), 0);
    assert_int_equal(wst_stream_shutdown(w.client.stream), 0);
    test_env_until_count(&w.env, &w.client.shutdowns, 1);
    wst_stream_set_callbacks(w.server.stream, &callbacks, &w.server);
    wst_stream_read_start(w.server.stream, 0);
    test_env_until_count(&w.env, &w.server.ends, 1);
    test_env_turns(&w.env, 5);
    assert_int_equal(w.server.received, 100);
    assert_int_equal(w.server.ends, 1);
    tls_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_and_half_close),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_pause_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
