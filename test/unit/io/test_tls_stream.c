/* SPDX-License-Identifier: MIT */
/* TLS streams: what goes through, how they end, and that they hold to the rules of streams. */
#include "tls_world.h"

#include <wstunnel/error.h>
#include <wstunnel/socket.h>
#include <wstunnel/websocket.h>

static size_t chunks(const tls_world_t *w) {
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    wst_ctx_get_stats(w->env.ctx, &stats);
    return stats.chunks;
}

static void start_both(tls_world_t *w) {
    wst_stream_read_start(w->client.stream, 0);
    wst_stream_read_start(w->server.stream, 0);
}

/* Sends until a write answers WST_WAIT. */
static void fill(tls_party_t *party) {
    while (tls_party_send(party, 20000) == 0)
        assert_true(party->sent < 100 * 1024 * 1024);
}

/* -- Data ---------------------------------------------------------------------------------------
 */

/* Both directions, half-closed one after the other. */
static void test_data_and_half_close(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (int turn = 0; turn < 4; turn++) {
        tls_party_t *first = turn & 1 ? &w.client : &w.server;
        tls_party_t *second = turn & 1 ? &w.server : &w.client;
        tls_world_connect(&w, turn & 2);
        tls_world_shake(&w);
        start_both(&w);
        assert_true(tls_party_send(first, 100000) >= 0);
        assert_int_equal(wst_stream_shutdown(first->stream), 0);
        test_env_until_count(&w.env, &second->ends, 1);
        assert_int_equal(second->received, 100000);
        /* The other direction goes on. */
        assert_int_equal(first->ends, 0);
        assert_true(tls_party_send(second, 300000) >= 0);
        test_env_until_count(&w.env, &first->received, 300000);
        assert_int_equal(wst_stream_shutdown(second->stream), 0);
        test_env_until_count(&w.env, &first->ends, 1);
        test_env_until_count(&w.env, &w.client.shutdowns, 1);
        test_env_until_count(&w.env, &w.server.shutdowns, 1);
        assert_int_equal(w.client.errors + w.server.errors, 0);
        assert_int_equal(first->received, 300000);
        assert_int_equal(wst_stream_bytes_read(first->stream), 300000);
        assert_int_equal(wst_stream_bytes_written(first->stream), 100000);
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* A reader that stops stops the writer; what it gets is no more than it asked for. */
static void test_back_pressure(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    tls_world_shake(&w);
    assert_true(wst_stream_room(w.client.stream) > 0);
    fill(&w.client);
    assert_int_equal(wst_stream_room(w.client.stream), 0);
    test_env_turns(&w.env, 20);
    assert_int_equal(w.client.drains, 0);
    w.server.stop_at_read = true;
    wst_stream_read_start(w.server.stream, 1000);
    for (size_t n = 1; n <= 40; n++) { /* in the midst of records, and between them */
        test_env_until_count(&w.env, &w.server.reads, n);
        test_env_turns(&w.env, 3);
        assert_int_equal(w.server.reads, n);
        wst_stream_read_start(w.server.stream, 1000);
    }
    assert_int_equal(w.server.largest, 1000);
    w.server.stop_at_read = false;
    wst_stream_read_start(w.server.stream, 0);
    test_env_until_count(&w.env, &w.client.drains, 1);
    test_env_until_count(&w.env, &w.server.received, w.client.sent);
    assert_true(wst_stream_room(w.client.stream) > 0);
    tls_world_close(&w);
}

/* The rest of the last record comes when it is asked for, though nothing more comes in. */
static void test_part_of_a_record(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    tls_world_shake(&w);
    assert_int_equal(tls_party_send(&w.client, 3000), 0);
    w.server.stop_at_read = true;
    for (size_t n = 1; n <= 3; n++) {
        wst_stream_read_start(w.server.stream, 1000);
        test_env_until_count(&w.env, &w.server.reads, n);
        test_env_turns(&w.env, 3);
        assert_int_equal(w.server.received, n * 1000);
    }
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
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = stop_and_start, .on_end = count_end};
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
    wst_stream_close(w.server.stream, NULL);
    w.server.stream = NULL;
    tls_world_close(&w);
}

/* Nothing waits here: a stopped reader pins what the transport has read, an idle stream nothing. */
static void test_memory(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    tls_world_shake(&w);
    assert_int_equal(chunks(&w), 0);
    start_both(&w);
    assert_true(tls_party_send(&w.client, 1000000) >= 0);
    test_env_until_count(&w.env, &w.server.received, 1000000);
    test_env_turns(&w.env, 3);
    assert_int_equal(chunks(&w), 0);
    /* Bulk comes in large pieces. */
    assert_true(w.server.largest > 32768 && w.server.largest <= 65536);
    tls_world_close(&w);
}

/* Short slices are put together: what is on the wire is little more than what they hold. */
static void test_gathering(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect_by_relay(&w);
    tls_world_shake(&w);
    start_both(&w);
    static const uint8_t zeros[20000];
    static const size_t lens[] = {14, 16384, 2, 1, 16320, 16319, 3, 20000, 0, 5, 14, 16000};
    static const size_t lens_count = sizeof(lens) / sizeof(lens[0]);
    wst_slice_t slices[60];
    size_t total = 0;
    /* What is not in the pattern is counted by nobody: it is checked by length alone. */
    test_env_turns(&w.env, 5);
    wst_stream_set_callbacks(w.server.stream, NULL, NULL);
    for (int turn = 0; turn < 2; turn++) {
        size_t count = turn == 0 ? 60 : lens_count, len = 0, before = w.at_client.passed;
        for (size_t i = 0; i < count; i++) {
            slices[i] = wst_slice_static(zeros, turn == 0 ? 10 : lens[i % lens_count]);
            len += slices[i].len;
        }
        assert_true(wst_stream_write(w.client.stream, slices, count) >= 0);
        total += len;
        for (int i = 0; i < 1000 && wst_stream_bytes_read(w.server.stream) < total; i++)
            uv_run(&w.env.loop, UV_RUN_ONCE);
        assert_int_equal(wst_stream_bytes_read(w.server.stream), total);
        assert_true(w.at_client.passed - before > len);
        assert_true(w.at_client.passed - before <= len + (len / 16320 + 1) * 64);
    }
    wst_stream_close(w.server.stream, NULL);
    w.server.stream = NULL;
    tls_world_close(&w);
}

/* Slices of all sizes, in writes of several: the bytes and their order. */
static void test_slices(void **state) {
    (void)state;
    tls_world_t w;
    uint64_t random = 7;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    tls_world_shake(&w);
    start_both(&w);
    for (int turn = 0; turn < 60; turn++) {
        wst_slice_t slices[6];
        for (size_t i = 0; i < 6; i++) {
            size_t len = test_random(&random) % (turn % 3 == 0 ? 40 : 20000);
            assert_int_equal(tls_party_slice(&w.client, &slices[i], len), 0);
        }
        assert_true(wst_stream_write(w.client.stream, slices, 6) >= 0);
        test_env_until_count(&w.env, &w.server.received, w.client.sent);
    }
    tls_world_close(&w);
}

/* Anything at any time, by chance. */
static void test_by_chance(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 10);
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (uint64_t seed = first; seed < first + count; seed++) {
        uint64_t random = seed;
        tls_world_connect(&w, seed % 2);
        tls_world_shake(&w);
        tls_party_t *parties[] = {&w.client, &w.server};
        for (int turn = 0; turn < 300; turn++) {
            tls_party_t *party = parties[test_random(&random) % 2];
            switch (test_random(&random) % 6) {
            case 0:
                wst_stream_read_start(party->stream, test_random(&random) % 3 * 777);
                break;
            case 1:
                wst_stream_read_stop(party->stream);
                break;
            case 2:
            case 3:
                if (wst_stream_room(party->stream) > 0)
                    assert_true(tls_party_send(party, 1 + test_random(&random) % 30000) >= 0);
                break;
            default:
                test_env_turns(&w.env, 1);
            }
        }
        for (int i = 0; i < 2; i++) {
            assert_int_equal(wst_stream_shutdown(parties[i]->stream), 0);
            wst_stream_read_start(parties[i]->stream, 0);
        }
        for (int i = 0; i < 2; i++) {
            test_env_until_count(&w.env, &parties[i]->ends, 1);
            test_env_until_count(&w.env, &parties[i]->shutdowns, 1);
            if (parties[i]->received != parties[1 - i]->sent)
                fail_msg("seed %llu: %zu of %zu", (unsigned long long)seed, parties[i]->received,
                         parties[1 - i]->sent);
        }
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* -- Ends that are none -------------------------------------------------------------------------
 */

/* A fresh connection on which the client has heard of the server; bytes the server has sent. */
static size_t connect_and_greet(tls_world_t *w) {
    tls_world_connect_by_relay(w);
    tls_world_shake(w);
    start_both(w);
    assert_int_equal(tls_party_send(&w->server, 50), 0);
    test_env_until_count(&w->env, &w->client.received, 50);
    return w->at_server.passed;
}

/* Wherever the connection ends before the close_notify has come: an error, never an end. */
static void test_truncation(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    size_t before = connect_and_greet(&w);
    assert_int_equal(wst_stream_shutdown(w.server.stream), 0);
    test_env_until_count(&w.env, &w.client.ends, 1);
    size_t record = w.at_server.passed - before; /* the close_notify's */
    assert_true(record > 16 && record < 64);
    tls_world_disconnect(&w);
    for (size_t cut = 0; cut <= record; cut++) {
        w.at_server.limit = connect_and_greet(&w) + cut;
        w.at_server.at_limit = 'e';
        if (cut == 0)
            assert_int_equal(wst_stream_shutdown(w.at_client.stream), 0);
        else
            assert_int_equal(wst_stream_shutdown(w.server.stream), 0);
        if (cut < record) {
            test_env_until_count(&w.env, &w.client.errors, 1);
            assert_int_equal(w.client.error, WST_ETLSTRUNCATED);
            assert_int_equal(w.client.ends, 0);
        } else {
            test_env_until_count(&w.env, &w.client.ends, 1);
            assert_int_equal(w.client.errors, 0);
        }
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* A changed byte ends it for both, and each knows why. */
static void test_tampering(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect_by_relay(&w);
    tls_world_shake(&w);
    start_both(&w);
    assert_int_equal(tls_party_send(&w.client, 50), 0);
    test_env_until_count(&w.env, &w.server.received, 50);
    w.at_client.limit = w.at_client.passed + 20;
    w.at_client.flip = 0x20;
    assert_int_equal(tls_party_send(&w.client, 1000), 0);
    test_env_until_count(&w.env, &w.server.errors, 1);
    assert_int_equal(w.server.error, WST_ETLS);
    assert_int_equal(w.server.received, 50);
    assert_string_equal(wst_stream_tls(w.server.stream)->failure,
                        "a record cannot be decrypted: it has been changed on the way");
    test_env_until_count(&w.env, &w.client.errors, 1);
    assert_int_equal(w.client.error, WST_ETLS);
    assert_string_equal(wst_stream_tls(w.client.stream)->failure,
                        "the peer sent alert 20: bad record MAC");
    tls_world_close(&w);
}

static void on_over(wst_websocket_t *ws, int error, const char *detail, void *user_data) {
    tls_party_t *party = user_data;
    (void)ws;
    party->errors++;
    party->error = error;
    snprintf(party->detail, sizeof(party->detail), "%s", detail);
}

/* A WebSocket on top passes on why, not only that TLS failed. In TLS 1.3 a certificate of the
 * client's that the server does not accept comes out in no other way. */
static void test_tampering_below_a_websocket(void **state) {
    (void)state;
    tls_world_t w;
    wst_websocket_t *ws;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect_by_relay(&w);
    tls_world_shake(&w);
    const wst_websocket_options_t options = {
        .size = sizeof(options),
        .callbacks = &(const wst_websocket_callbacks_t){.size = sizeof(wst_websocket_callbacks_t),
                                                        .on_over = on_over},
        .user_data = &w.client,
        .host = "server.test"};
    assert_int_equal(wst_websocket_connect(&ws, w.env.ctx, w.client.stream, &options), 0);
    w.client.stream = NULL;
    test_env_turns(&w.env, 5); /* tickets */
    w.at_server.limit = w.at_server.passed + 20;
    w.at_server.flip = 0x20;
    assert_int_equal(tls_party_send(&w.server, 50), 0);
    test_env_until_count(&w.env, &w.client.errors, 1);
    assert_int_equal(w.client.error, WST_ETLS);
    assert_string_equal(w.client.detail,
                        "the first record cannot be decrypted: it has been changed on the way, or "
                        "the server does not accept our certificate");
    wst_websocket_close(ws, NULL);
    tls_world_close(&w);
}

/* A reset is passed on as a reset, both ways: from us to the transport and back. */
static void test_reset(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (int turn = 0; turn < 2; turn++) {
        tls_world_connect_by_relay(&w);
        tls_world_shake(&w);
        start_both(&w);
        tls_party_t *closer = turn == 0 ? &w.client : &w.server;
        tls_party_t *other = turn == 0 ? &w.server : &w.client;
        tls_relay_t *relay = turn == 0 ? &w.at_client : &w.at_server;
        wst_stream_close(closer->stream, NULL); /* in the middle */
        closer->stream = NULL;
        test_env_until_count(&w.env, &other->errors, 1);
        assert_int_equal(relay->errors, 1);
        assert_int_equal(relay->ends, 0);
        assert_int_equal(other->error, UV_ECONNRESET);
        assert_string_equal(wst_stream_tls(other->stream)->failure, "");
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* -- Closing ------------------------------------------------------------------------------------
 */

/* In every callback; nothing comes behind it but close_cb. */
static void test_close_in_callbacks(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (const char *at = "redsx"; *at != '\0'; at++) {
        tls_world_connect(&w, true);
        tls_world_shake(&w);
        w.client.close_at = *at;
        start_both(&w);
        switch (*at) {
        case 'r':
            assert_true(tls_party_send(&w.server, 100000) >= 0);
            break;
        case 'e':
            assert_true(tls_party_send(&w.server, 10) >= 0);
            assert_int_equal(wst_stream_shutdown(w.server.stream), 0);
            break;
        case 'd':
            fill(&w.client);
            break;
        case 's':
            assert_int_equal(wst_stream_shutdown(w.client.stream), 0);
            break;
        case 'x':
            wst_stream_close(w.server.stream, NULL);
            w.server.stream = NULL;
            break;
        }
        test_env_until_count(&w.env, &w.client.closed, 1);
        assert_null(w.client.stream);
        assert_int_equal(w.client.reads, *at == 'r' || *at == 'e');
        assert_int_equal(w.client.ends, *at == 'e');
        assert_int_equal(w.client.shutdowns, *at == 's');
        assert_int_equal(w.client.errors, *at == 'x');
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* While much is under way: the memory of all of it comes back. */
static void test_close_in_the_middle(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (int turn = 0; turn < 12; turn++) {
        tls_world_connect(&w, true);
        tls_world_shake(&w);
        fill(&w.client);
        fill(&w.server);
        w.server.stop_at_read = turn % 2;
        start_both(&w);
        test_env_turns(&w.env, turn / 2);
        if (turn % 3 == 0)
            assert_int_equal(wst_stream_shutdown(w.client.stream), 0);
        tls_world_disconnect(&w);
        assert_int_equal(chunks(&w), 0);
    }
    tls_world_close(&w);
}

/* -- Other things -------------------------------------------------------------------------------
 */

static void test_info(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_REQUIRED);
    tls_world_connect(&w, true);
    assert_null(wst_stream_tls(w.client.transport));
    char peer[96];
    strcpy(peer, wst_stream_peer(w.server.transport));
    tls_world_shake(&w);
    assert_string_equal(wst_stream_peer(w.server.stream), peer);
    assert_string_equal(wst_stream_tls(w.server.stream)->peer->common_name, "agent");
    assert_true(wst_stream_tls(w.server.stream)->peer_verified);
    assert_string_equal(wst_stream_tls(w.server.stream)->server_name, "server.example");
    assert_string_equal(wst_stream_tls(w.client.stream)->peer->common_name, "server");
    const char *subject;
    assert_true(wst_tls_config_expiry(w.server_config, &subject) < INT64_MAX);
    assert_string_equal(subject, "CN=server");
    tls_world_close(&w);
}

/* TLS within TLS, as to a server behind an https proxy. */
static void test_nested(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    tls_world_shake(&w);
    w.client.transport = w.client.stream;
    w.server.transport = w.server.stream;
    w.client.outcomes = w.server.outcomes = 0;
    tls_world_shake(&w);
    start_both(&w);
    assert_true(tls_party_send(&w.client, 200000) >= 0);
    assert_int_equal(wst_stream_shutdown(w.client.stream), 0);
    test_env_until_count(&w.env, &w.server.ends, 1);
    assert_int_equal(w.server.received, 200000);
    assert_true(tls_party_send(&w.server, 200000) >= 0);
    assert_int_equal(wst_stream_shutdown(w.server.stream), 0);
    test_env_until_count(&w.env, &w.client.ends, 1);
    test_env_until_count(&w.env, &w.server.shutdowns, 1);
    assert_int_equal(w.client.received, 200000);
    tls_world_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_data_and_half_close),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_part_of_a_record),
        cmocka_unit_test(test_pause_at_the_end),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_gathering),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_by_chance),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_tampering_below_a_websocket),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_close_in_callbacks),
        cmocka_unit_test(test_close_in_the_middle),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_nested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
