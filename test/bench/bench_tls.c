/* SPDX-License-Identifier: MIT */
/*
 * What TLS costs, on one core: bytes through each cipher suite and through a TLS stream over
 * sockets next to plain ones, and handshakes. Build in a release build: ninja test/bench_tls.
 *
 *     bench_tls                     everything, for people
 *     bench_tls handshakes SECONDS  as a JSON object, for run.py
 */
#include "socket_pair.h"
#include "tls_raw.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>
#include <wstunnel/socket.h>
#include <wstunnel/tls.h>

enum { MIB = 1024 * 1024, PIECE = 65536 };

static tls_made_t root, leaf, rsa_leaf;

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static wst__tls_engine_t *new_server(const tls_made_t *made) {
    const wst_tls_identity_t identity = tls_identity(made);
    const wst_tls_server_options_t options = {
        .size = sizeof(options), .identities = &identity, .identity_count = 1};
    wst__tls_engine_t *engine;
    assert_int_equal(wst__tls_engine_server(&engine, &test_allocator, &options, NULL), 0);
    return engine;
}

static wst__tls_engine_t *new_client(void) {
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = root.own};
    wst__tls_engine_t *engine;
    assert_int_equal(wst__tls_engine_client(&engine, &test_allocator, &options, false, NULL), 0);
    return engine;
}

/* Suites ------------------------------------------------------------------------------------- */

static int only[2];

static void one_suite(mbedtls_ssl_config *conf) {
    tls_raw_restrict(conf, only);
}

/* Seconds to carry so many bytes one way between our server and mbedTLS's client: our part alone.
 */
static double time_ours(tls_end_t *ours, tls_raw_t *raw, bool write, size_t total) {
    static uint8_t data[WST__TLS_PLAIN], out[WST__TLS_PLAIN];
    double spent = 0;
    for (size_t done = 0, n; done < total; done += n) {
        if (!write)
            assert_int_equal(mbedtls_ssl_write(&raw->ssl, data, sizeof(data)), sizeof(data));
        tls_end_see(ours);
        double t = now_s();
        if (write) {
            assert_int_equal(wst__tls_conn_write(ours->conn, data, sizeof(data), &n), 0);
        } else {
            size_t at = 0;
            while (at < sizeof(data)) {
                assert_int_equal(wst__tls_conn_read(ours->conn, out, sizeof(out), &n), 0);
                at += n;
            }
            n = at;
        }
        spent += now_s() - t;
        tls_end_see(&raw->end);
        if (write)
            assert_int_equal(mbedtls_ssl_read(&raw->ssl, out, sizeof(out)), n);
        ours->sent_len = raw->end.pulled = raw->end.visible = 0;
        raw->end.sent_len = ours->pulled = ours->visible = 0;
    }
    return spent;
}

static void bench_suite(wst__tls_engine_t *server, int suite) {
    enum { TOTAL = 200 * MIB };
    tls_raw_t raw;
    tls_end_t ours;
    only[0] = suite;
    tls_raw_open(&raw, &ours, false, NULL, one_suite);
    assert_int_equal(wst__tls_conn_new(&ours.conn, server, &tls_end_io, &ours, NULL, NULL), 0);
    tls_raw_shake(&raw);
    assert_int_equal(ours.status, 0);
    double write_s = time_ours(&ours, &raw, true, TOTAL);
    double read_s = time_ours(&ours, &raw, false, TOTAL);
    printf("%-50s encrypt %5.0f MB/s, decrypt %5.0f MB/s\n",
           wst__tls_conn_info(ours.conn)->cipher_suite, TOTAL / write_s / 1e6,
           TOTAL / read_s / 1e6);
    tls_raw_close(&raw);
}

static void bench_suites(void) {
    static const int suites[] = {
#if MBEDTLS_VERSION_MAJOR >= 3
        MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
        MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
        MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
#endif
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    };
    wst__tls_engine_t *server = new_server(&leaf);
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
        bench_suite(server, suites[i]);
    wst__tls_engine_free(server);
}

/* Handshakes --------------------------------------------------------------------------------- */

typedef struct handshakes {
    int count;
    double server_s, client_s; /* CPU time of each end, of all of them */
} handshakes_t;

static void time_handshake(handshakes_t *h, tls_rig_t *rig) {
    tls_end_t *ends[] = {&rig->client, &rig->server};
    for (int turn = 0; rig->client.status == WST__TLS_AGAIN || rig->server.status == WST__TLS_AGAIN;
         turn = !turn) {
        double t = now_s();
        tls_end_see(ends[turn]);
        if (ends[turn]->status == WST__TLS_AGAIN)
            ends[turn]->status = wst__tls_conn_handshake(ends[turn]->conn);
        *(turn == 0 ? &h->client_s : &h->server_s) += now_s() - t;
    }
    assert_int_equal(rig->client.status, 0);
    assert_int_equal(rig->server.status, 0);
    h->count++;
}

/* Handshakes for so many seconds of CPU time. The first one, which has no session, is left out. */
static handshakes_t time_handshakes(const tls_made_t *made, bool resume, double seconds) {
    wst__tls_engine_t *server = new_server(made), *client = new_client();
    handshakes_t first = {0}, rest = {0};
    while (rest.count == 0 || rest.client_s + rest.server_s < seconds) {
        handshakes_t *h = first.count == 0 ? &first : &rest;
        bool same = resume || h == &first; /* names of their own have no session */
        tls_rig_t rig;
        size_t len = 0;
        assert_int_equal(tls_rig_open(&rig, client, server, same ? "server.example" : "127.0.0.1",
                                      same || h->count % 2 == 1 ? "server.example" : "b.example"),
                         0);
        time_handshake(h, &rig);
        tls_end_see(&rig.client); /* takes in TLS 1.3's ticket */
        assert_int_equal(tls_end_read(&rig.client, 0, &len), WST__TLS_AGAIN);
        assert_int_equal(wst__tls_conn_info(rig.client.conn)->resumed, resume && h == &rest);
        tls_rig_close(&rig);
    }
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
    return rest;
}

static void print_handshakes(handshakes_t h, const char *what) {
    printf("%-50s server %5.2f ms, client %5.2f ms\n", what, h.server_s / h.count * 1e3,
           h.client_s / h.count * 1e3);
}

/* Prints one JSON object: how many handshakes a second one core does, at either end. */
static void print_handshakes_json(double seconds) {
    const handshakes_t ec = time_handshakes(&leaf, false, seconds),
                       rsa = time_handshakes(&rsa_leaf, false, seconds),
                       resumed = time_handshakes(&leaf, true, seconds);
    printf("{\"ec_server\": %.1f, \"ec_client\": %.1f, \"rsa_server\": %.1f, "
           "\"rsa_client\": %.1f, \"resumed_server\": %.1f, \"resumed_client\": %.1f}\n",
           ec.count / ec.server_s, ec.count / ec.client_s, rsa.count / rsa.server_s,
           rsa.count / rsa.client_s, resumed.count / resumed.server_s,
           resumed.count / resumed.client_s);
}

/* What the server's ends of so many connections take, in bytes each. */
static void bench_memory(void) {
    enum { COUNT = 50 };
    tls_rig_t rig;
    wst__tls_engine_t *server = new_server(&leaf), *client = new_client();
    size_t taken = 0;
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(tls_rig_open(&rig, client, server, "server.example", "server.example"), 0);
        tls_rig_shake(&rig, 0);
        assert_int_equal(rig.server.status, 0);
        struct mallinfo2 before = mallinfo2();
        wst__tls_conn_free(rig.server.conn);
        rig.server.conn = NULL;
        taken += before.uordblks - mallinfo2().uordblks;
        tls_rig_close(&rig);
    }
    printf("%-50s %zu bytes\n", "an open connection's memory", taken / COUNT);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
}

/* Streams ------------------------------------------------------------------------------------ */

typedef struct flow {
    wst_stream_t *from, *to;
    size_t left, received;
    wst_chunk_t *chunk;
    size_t piece;
    int ready;
} flow_t;

static void pour(flow_t *flow) {
    int status = 0;
    while (flow->left > 0 && status == 0) {
        size_t n = flow->left < flow->piece ? flow->left : flow->piece;
        const wst_slice_t slice = {wst_chunk_ref(flow->chunk), wst_chunk_data(flow->chunk), n};
        status = wst_stream_write(flow->from, &slice, 1);
        assert_true(status >= 0);
        flow->left -= n;
    }
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream;
    ((flow_t *)user_data)->received += data.len;
}

static void on_drain(wst_stream_t *stream, void *user_data) {
    (void)stream;
    pour(user_data);
}

static void on_client(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    (void)detail;
    flow_t *flow = user_data;
    assert_int_equal(status, 0);
    flow->from = stream;
    flow->ready++;
}

static void on_server(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    (void)detail;
    flow_t *flow = user_data;
    assert_int_equal(status, 0);
    flow->to = stream;
    flow->ready++;
}

static void bench_stream(bool tls, size_t piece) {
    static const wst_stream_callbacks_t reader = {.size = sizeof(reader), .on_read = on_read},
                                        writer = {.size = sizeof(writer), .on_drain = on_drain};
    uv_loop_t loop;
    wst_ctx_t *ctx;
    int fds[2];
    flow_t flow = {.left = (size_t)(tls ? 400 : 4000) * MIB, .piece = piece};
    size_t total = flow.left;
    uv_loop_init(&loop);
    assert_int_equal(wst_ctx_new(&ctx, &loop, NULL), 0);
    socket_pair(fds, true);
    assert_int_equal(wst_socket_open(&flow.from, ctx, fds[0], false), 0);
    assert_int_equal(wst_socket_open(&flow.to, ctx, fds[1], false), 0);
    wst_tls_config_t *server = NULL, *client = NULL;
    if (tls) {
        const wst_tls_identity_t identity = tls_identity(&leaf);
        const wst_tls_server_options_t s = {
            .size = sizeof(s), .identities = &identity, .identity_count = 1};
        const wst_tls_client_options_t c = {.size = sizeof(c), .ca_pem = root.own};
        assert_int_equal(wst_tls_server_config(&server, ctx, &s, NULL), 0);
        assert_int_equal(wst_tls_client_config(&client, ctx, &c, NULL), 0);
        wst_tls_handshake_options_t o = {
            .size = sizeof(o), .config = client, .server_name = "server.example"};
        wst_tls_handshake_t *h;
        assert_int_equal(wst_tls_handshake(&h, flow.from, &o, on_client, &flow), 0);
        o.config = server;
        assert_int_equal(wst_tls_handshake(&h, flow.to, &o, on_server, &flow), 0);
        while (flow.ready < 2)
            uv_run(&loop, UV_RUN_ONCE);
    }
    flow.chunk = wst_chunk_new(ctx, piece);
    memset(wst_chunk_data(flow.chunk), 0, piece);
    wst_stream_set_callbacks(flow.to, &reader, &flow);
    wst_stream_set_callbacks(flow.from, &writer, &flow);
    double t = now_s();
    wst_stream_read_start(flow.to, 0);
    pour(&flow);
    while (flow.received < total)
        uv_run(&loop, UV_RUN_ONCE);
    t = now_s() - t;
    printf("%s stream, writes of %6zu bytes%22s %5.0f MB/s (both ends)\n", tls ? "TLS  " : "plain",
           piece, "", (double)total / t / 1e6);
    wst_chunk_unref(flow.chunk);
    wst_stream_close(flow.from, NULL);
    wst_stream_close(flow.to, NULL);
    wst_tls_config_unref(server);
    wst_tls_config_unref(client);
    wst_ctx_close(ctx, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

static void bench_everything(void) {
    enum { SECONDS = 3 };
    printf("%s\n", wst_tls_engine());
    bench_suites();
    print_handshakes(time_handshakes(&leaf, false, SECONDS),
                     "full handshake, EC P-256 certificate");
    print_handshakes(time_handshakes(&rsa_leaf, false, SECONDS),
                     "full handshake, RSA 2048 certificate");
    print_handshakes(time_handshakes(&leaf, true, SECONDS), "resumed handshake");
    bench_memory();
    bench_stream(false, PIECE);
    bench_stream(true, PIECE);
    bench_stream(true, 1000);
}

int main(int argc, char **argv) {
    bool handshakes = argc == 3 && strcmp(argv[1], "handshakes") == 0;
    if (argc > 1 && !handshakes) {
        fputs("usage: bench_tls [handshakes SECONDS]\n", stderr);
        return 2;
    }
    tls_make(&root, &(tls_spec_t){.subject = "CN=Root", .ca = true}, NULL);
    tls_make(&leaf, &(tls_spec_t){.subject = "CN=leaf", .names = "dns:server.example ip:127.0.0.1"},
             &root);
    tls_make(&rsa_leaf,
             &(tls_spec_t){.subject = "CN=leaf",
                           .names = "dns:server.example ip:127.0.0.1",
                           .rsa_bits = 2048},
             &root);
    if (handshakes)
        print_handshakes_json(strtod(argv[2], NULL));
    else
        bench_everything();
    tls_made_free(&root);
    tls_made_free(&leaf);
    tls_made_free(&rsa_leaf);
    return 0;
}
