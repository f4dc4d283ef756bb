/* SPDX-License-Identifier: MIT */
/* Handshakes as requests: how they end, what the peer hears, and that nothing is left. */
#include "socket_pair.h"
#include "tls_world.h"

#include <stdio.h>
#include <unistd.h>
#include <wstunnel/error.h>
#include <wstunnel/socket.h>

/* -- Refused arguments --------------------------------------------------------------------------
 */

static void test_options(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, false);
    static const char *const bad[] = {NULL, "", "a b", "b\xc3\xbc.example", "a..b", "[::1]", "a:1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(tls_party_shake(&w, &w.client, bad[i], 0), WST_EINVAL);
    wst_tls_handshake_t *handshake;
    wst_tls_handshake_options_t o = {.size = sizeof(o), .server_name = "a.example"};
    assert_int_equal(wst_tls_handshake(&handshake, w.client.transport, &o, NULL, NULL), WST_EINVAL);
    o.config = w.client_config;
    o.sni = "not a name";
    assert_int_equal(wst_tls_handshake(&handshake, w.client.transport, &o, NULL, NULL), WST_EINVAL);
    /* Nothing was taken, and nothing said. */
    assert_int_equal(wst_stream_bytes_written(w.client.transport), 0);
    tls_world_shake(&w);
    tls_world_close(&w);
}

/* An address is expected, but not asked for. */
static void test_address(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, false);
    assert_int_equal(tls_party_shake(&w, &w.client, "192.0.2.1", 0), 0);
    assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
    test_env_until_count(&w.env, &w.client.outcomes, 1);
    assert_int_equal(w.client.status, WST_ETLSCERT);
    assert_string_equal(w.client.detail, "certificate is for other names: server.example");
    test_env_until_count(&w.env, &w.server.outcomes, 1);
    tls_world_close(&w);
}

/* -- Outcomes -----------------------------------------------------------------------------------
 */

/* Both sides learn why, and both transports are closed. */
static void test_refused_certificate(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (int turn = 0; turn < 2; turn++) {
        tls_world_connect(&w, turn);
        assert_int_equal(tls_party_shake(&w, &w.client, "other.example", 0), 0);
        assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
        assert_int_equal(w.client.outcomes + w.server.outcomes, 0);
        test_env_until_count(&w.env, &w.client.outcomes, 1);
        test_env_until_count(&w.env, &w.server.outcomes, 1);
        assert_int_equal(w.client.status, WST_ETLSCERT);
        assert_string_equal(w.client.detail, "certificate is for other names: server.example");
        assert_int_equal(w.server.status, WST_ETLS);
        assert_string_equal(w.server.detail, "the peer sent alert 42: bad certificate");
        assert_int_equal(w.client.outcomes + w.server.outcomes, 2);
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* What a handshake's callback sees of the peer's chain. */
typedef struct seen {
    wst_tls_handshake_t *handshake;
    size_t outcomes, count;
    int status;
    char subject[64], fault[256]; /* of the first certificate */
    wst_stream_t *stream;
} seen_t;

static void on_seen(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    seen_t *seen = user_data;
    (void)detail;
    seen->outcomes++;
    seen->status = status;
    seen->stream = stream;
    const wst_tls_link_t *link = wst_tls_handshake_chain(seen->handshake, 0);
    while (wst_tls_handshake_chain(seen->handshake, seen->count) != NULL)
        seen->count++;
    if (link != NULL) {
        snprintf(seen->subject, sizeof(seen->subject), "%s", link->certificate->subject);
        snprintf(seen->fault, sizeof(seen->fault), "%s", link->fault);
    }
}

static void see(tls_world_t *w, seen_t *seen, const char *name, bool keep_chain) {
    const wst_tls_handshake_options_t o = {.size = sizeof(o),
                                           .config = w->client_config,
                                           .server_name = name,
                                           .keep_chain = keep_chain};
    *seen = (seen_t){0};
    assert_int_equal(wst_tls_handshake(&seen->handshake, w->client.transport, &o, on_seen, seen),
                     0);
    w->client.transport = NULL;
    assert_int_equal(tls_party_shake(w, &w->server, NULL, 0), 0);
    test_env_until_count(&w->env, &seen->outcomes, 1);
    test_env_until_count(&w->env, &w->server.outcomes, 1);
}

/* The callback can look at the peer's chain, whether or not it is accepted, if it is to be kept. */
static void test_chain(void **state) {
    (void)state;
    static const struct {
        const char *name;
        bool keep_chain;
        const char *fault; /* NULL: no certificate is told */
    } cases[] = {
        {"other.example", true, "certificate is for other names: server.example"},
        {"other.example", false, NULL},
        {"server.example", true, ""},
        {"server.example", false, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tls_world_t w;
        seen_t seen;
        tls_world_open(&w, WST_TLS_CLIENT_NONE);
        tls_world_connect(&w, true);
        see(&w, &seen, cases[i].name, cases[i].keep_chain);
        assert_int_equal(seen.status,
                         strcmp(cases[i].name, "server.example") == 0 ? 0 : WST_ETLSCERT);
        assert_int_equal(seen.count, cases[i].fault != NULL);
        assert_string_equal(seen.subject, cases[i].fault != NULL ? "CN=server" : "");
        assert_string_equal(seen.fault, cases[i].fault != NULL ? cases[i].fault : "");
        if (seen.stream != NULL)
            wst_stream_close(seen.stream, NULL);
        tls_world_close(&w);
    }
}

/* A chain that is no longer wanted goes with its handshake. */
static void test_chain_cancelled(void **state) {
    (void)state;
    tls_world_t w;
    seen_t seen = {0};
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    const wst_tls_handshake_options_t o = {.size = sizeof(o),
                                           .config = w.client_config,
                                           .server_name = "server.example",
                                           .keep_chain = true};
    assert_int_equal(wst_tls_handshake(&seen.handshake, w.client.transport, &o, on_seen, &seen), 0);
    w.client.transport = NULL;
    wst_tls_handshake_cancel(seen.handshake);
    tls_world_close(&w);
    assert_int_equal(seen.outcomes, 0);
}

/* The client's certificate is judged last: with TLS 1.3 the client has its stream by then. */
static void test_missing_client_certificate(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_REQUIRED);
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = w.root.own};
    wst_tls_config_unref(w.client_config);
    assert_int_equal(wst_tls_client_config(&w.client_config, w.env.ctx, &options, NULL), 0);
    tls_world_connect(&w, true);
    assert_int_equal(tls_party_shake(&w, &w.client, "server.example", 0), 0);
    assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
    test_env_until_count(&w.env, &w.client.outcomes, 1);
    if (w.client.status == 0) {
        wst_stream_read_start(w.client.stream, 0);
        test_env_until_count(&w.env, &w.client.errors, 1);
        assert_int_equal(w.client.error, WST_ETLS);
        assert_string_not_equal(wst_stream_tls(w.client.stream)->failure, "");
        wst_stream_close(w.client.stream, NULL);
        w.client.stream = NULL;
    } else {
        assert_int_equal(w.client.status, WST_ETLS);
        assert_string_equal(w.client.detail, "the peer sent alert 40: handshake failure");
    }
    test_env_until_count(&w.env, &w.server.outcomes, 1);
    assert_int_equal(w.server.status, WST_ETLSCERT);
    assert_string_equal(w.server.detail, "the client has sent no certificate");
    tls_world_close(&w);
}

static void test_timeout(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    assert_int_equal(tls_party_shake(&w, &w.server, NULL, 20), 0);
    test_env_until_count(&w.env, &w.server.outcomes, 1);
    assert_int_equal(w.server.status, WST_ETIMEOUT);
    assert_string_equal(w.server.detail, "TLS handshake timed out");
    tls_world_close(&w);
}

/* The peer goes in the middle: by an end, or a reset. */
static void test_peer_goes(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (int turn = 0; turn < 2; turn++) {
        tls_world_connect_by_relay(&w);
        w.at_client.limit = 100;
        w.at_client.at_limit = turn == 0 ? 'e' : 'x';
        assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
        assert_int_equal(tls_party_shake(&w, &w.client, "server.example", 0), 0);
        test_env_until_count(&w.env, &w.server.outcomes, 1);
        if (turn == 0) {
            assert_int_equal(w.server.status, WST_ETLS);
            assert_string_equal(w.server.detail,
                                "the peer closed the connection during the handshake");
        } else {
            assert_int_equal(w.server.status, UV_ECONNRESET);
            assert_string_equal(w.server.detail, wst_strerror(UV_ECONNRESET));
        }
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* -- Telling the peer ---------------------------------------------------------------------------
 */

/* A peer that speaks something else gets the alert, then an end, though much of what it has sent is
 * not even read: a reset could have taken the alert away. */
static void test_alert_arrives(void **state) {
    (void)state;
    tls_world_t w;
    int fds[2];
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    socket_pair(fds, true);
    assert_int_equal(wst_socket_open(&w.server.transport, w.env.ctx, fds[0], false), 0);
    assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
    char request[20000], answer[64];
    memset(request, 'x', sizeof(request));
    assert_int_equal(write(fds[1], request, sizeof(request)), sizeof(request));
    test_env_turns(&w.env, 5);
    assert_int_equal(read(fds[1], answer, sizeof(answer)), 7);
    assert_int_equal(answer[0], 21);
    assert_int_equal(answer[6], 40);
    assert_int_equal(read(fds[1], answer, sizeof(answer)), 0);
    assert_int_equal(w.server.outcomes, 0); /* it waits for us */
    close(fds[1]);
    test_env_until_count(&w.env, &w.server.outcomes, 1);
    assert_int_equal(w.server.status, WST_ETLS);
    assert_string_equal(w.server.detail, "what the peer sends is not TLS");
    tls_world_close(&w);
}

/* But it does not wait for ever, and can be cancelled meanwhile. */
static void test_lingering_ends(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (int turn = 0; turn < 2; turn++) {
        int fds[2];
        socket_pair(fds, true);
        assert_int_equal(wst_socket_open(&w.server.transport, w.env.ctx, fds[0], false), 0);
        assert_int_equal(tls_party_shake(&w, &w.server, NULL, turn == 0 ? 1000 : 0), 0);
        assert_int_equal(write(fds[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
        if (turn == 0) {
            test_env_until_count(&w.env, &w.server.outcomes, 1);
            assert_int_equal(w.server.status, WST_ETLS);
            assert_string_equal(w.server.detail, "what the peer sends is not TLS");
        } else {
            test_env_turns(&w.env, 5);
            assert_int_equal(w.server.outcomes, 0);
            wst_tls_handshake_cancel(w.server.handshake);
            w.server.handshake = NULL;
        }
        tls_world_disconnect(&w);
        close(fds[1]);
    }
    tls_world_close(&w);
}

/* -- Cancelling ---------------------------------------------------------------------------------
 */

static void test_cancel(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (int turns = 0; turns < 4; turns++) {
        tls_world_connect_by_relay(&w);
        w.at_server.limit = 50; /* the client shall not be done before */
        assert_int_equal(tls_party_shake(&w, &w.client, "server.example", 0), 0);
        assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
        test_env_turns(&w.env, turns);
        assert_int_equal(w.server.outcomes, 0);
        wst_tls_handshake_cancel(w.server.handshake);
        w.server.handshake = NULL;
        /* Its peer sees a reset. */
        test_env_until_count(&w.env, &w.client.outcomes, 1);
        assert_int_equal(w.client.status, UV_ECONNRESET);
        assert_int_equal(w.server.outcomes, 0);
        assert_int_equal(w.at_server.errors, 1);
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* -- Bytes before and behind --------------------------------------------------------------------
 */

static size_t peeked;

static void peek(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)user_data;
    peeked++;
    wst_stream_read_stop(stream);
    assert_int_equal(wst_stream_unread(stream, wst_slice_ref(data)), 0);
}

/* What somebody has looked at and put back is the beginning. */
static void test_bytes_put_back(void **state) {
    (void)state;
    static const wst_stream_callbacks_t peeker = {.size = sizeof(peeker), .on_read = peek};
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    assert_int_equal(tls_party_shake(&w, &w.client, "server.example", 0), 0);
    peeked = 0;
    wst_stream_set_callbacks(w.server.transport, &peeker, NULL);
    wst_stream_read_start(w.server.transport, 1);
    test_env_until_count(&w.env, &peeked, 1);
    assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
    test_env_until_count(&w.env, &w.client.outcomes, 1);
    test_env_until_count(&w.env, &w.server.outcomes, 1);
    assert_int_equal(w.client.status, 0);
    assert_int_equal(w.server.status, 0);
    tls_world_close(&w);
}

static void send_at_once(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    tls_party_t *party = user_data;
    assert_int_equal(status, 0);
    assert_string_equal(detail, "");
    party->outcomes++;
    party->stream = stream;
    wst_stream_set_callbacks(stream, NULL, party);
    assert_int_equal(tls_party_send(party, 5000), 0);
    assert_int_equal(wst_stream_shutdown(stream), 0);
}

/* Data and end that come in one piece with the last of the handshake. With TLS 1.2 that is the
 * server's; the second time, when the session is resumed, and with 1.3 it is the client's. */
static void test_bytes_behind(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    for (int turn = 0; turn < 2; turn++) {
        tls_party_t *sender = turn == 0 ? &w.server : &w.client;
        tls_party_t *other = turn == 0 ? &w.client : &w.server;
        tls_world_connect(&w, true);
        const wst_tls_handshake_options_t o = {.size = sizeof(o),
                                               .config =
                                                   turn == 0 ? w.server_config : w.client_config,
                                               .server_name = "server.example"};
        assert_int_equal(
            wst_tls_handshake(&sender->handshake, sender->transport, &o, send_at_once, sender), 0);
        sender->transport = NULL;
        assert_int_equal(tls_party_shake(&w, other, "server.example", 0), 0);
        test_env_until_count(&w.env, &other->outcomes, 1);
        test_env_until_count(&w.env, &sender->outcomes, 1);
        sender->handshake = NULL;
        assert_int_equal(other->status, 0);
        test_env_turns(&w.env, 5);
        assert_int_equal(other->received, 0); /* it is paused */
        wst_stream_read_start(other->stream, 0);
        test_env_until_count(&w.env, &other->ends, 1);
        assert_int_equal(other->received, 5000);
        tls_world_disconnect(&w);
    }
    tls_world_close(&w);
}

/* -- Configurations -----------------------------------------------------------------------------
 */

/* A configuration can be let go as soon as it is in use. */
static void test_configurations_live_on(void **state) {
    (void)state;
    tls_world_t w;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    tls_world_connect(&w, true);
    assert_int_equal(tls_party_shake(&w, &w.client, "server.example", 0), 0);
    assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
    wst_tls_config_unref(w.client_config);
    wst_tls_config_unref(w.server_config);
    test_env_until_count(&w.env, &w.client.outcomes, 1);
    test_env_until_count(&w.env, &w.server.outcomes, 1);
    assert_int_equal(w.client.status, 0);
    wst_stream_read_start(w.server.stream, 0);
    assert_int_equal(tls_party_send(&w.client, 10), 0);
    test_env_until_count(&w.env, &w.server.received, 10);
    wst_stream_close(w.client.stream, NULL);
    wst_stream_close(w.server.stream, NULL);
    w.client.stream = w.server.stream = NULL;
    test_env_turns(&w.env, 5);
    const wst_tls_client_options_t insecure = {.size = sizeof(insecure), .insecure = true};
    assert_int_equal(wst_tls_client_config(&w.client_config, w.env.ctx, &insecure, NULL), 0);
    w.server_config = wst_tls_config_ref(w.client_config);
    assert_null(wst_tls_config_ref(NULL));
    wst_tls_config_unref(NULL);
    wst_tls_config_unref(w.server_config);
    w.server_config = w.client_config;
    w.client_config = NULL;
    wst_tls_config_unref(w.server_config);
    w.server_config = NULL;
    tls_made_free(&w.root);
    tls_made_free(&w.leaf);
    tls_made_free(&w.client_leaf);
    test_env_close(&w.env);
}

/* The system's own trust store does not know our test's root. Systems without one say so. */
static void test_system_trust_store(void **state) {
    (void)state;
    tls_world_t w;
    wst_tls_error_t why;
    tls_world_open(&w, WST_TLS_CLIENT_NONE);
    wst_tls_config_t *config;
    int status = wst_tls_client_config(&config, w.env.ctx, NULL, &why);
    if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) != 0 && status == WST_ETLS) {
        assert_memory_equal(why.text, "no trust store on this system", 29);
        tls_world_close(&w);
        return;
    }
    assert_int_equal(status, 0);
    wst_tls_config_unref(w.client_config);
    w.client_config = config;
    tls_world_connect(&w, true);
    assert_int_equal(tls_party_shake(&w, &w.client, "server.example", 0), 0);
    assert_int_equal(tls_party_shake(&w, &w.server, NULL, 0), 0);
    test_env_until_count(&w.env, &w.client.outcomes, 1);
    test_env_until_count(&w.env, &w.server.outcomes, 1);
    assert_int_equal(w.client.status, WST_ETLSCERT);
    assert_string_equal(w.client.detail, "issuer not trusted: CN=Test Root");
    tls_world_close(&w);
}

/* -- Memory -------------------------------------------------------------------------------------
 */

typedef struct run {
    test_env_t env;
    tls_made_t *root, *leaf;
    wst_stream_t *streams[2];
    size_t outcomes, received, over;
} run_t;

static void run_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    (void)stream;
    ((run_t *)user_data)->received += data.len;
}

static void run_over(wst_stream_t *stream, void *user_data) {
    (void)stream;
    ((run_t *)user_data)->over++;
}

static void run_error(wst_stream_t *stream, int error, void *user_data) {
    (void)stream;
    (void)error;
    ((run_t *)user_data)->over += 2;
}

static void run_outcome(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = run_read, .on_end = run_over, .on_error = run_error};
    run_t *run = user_data;
    (void)detail;
    assert_int_equal(stream != NULL, status == 0);
    if (stream != NULL) {
        run->streams[run->streams[0] != NULL] = stream;
        wst_stream_set_callbacks(stream, &callbacks, run);
    }
    run->outcomes++;
}

static int run_shake(run_t *run, int fd, wst_tls_config_t *config) {
    wst_stream_t *transport;
    wst_tls_handshake_t *handshake;
    const wst_tls_handshake_options_t o = {
        .size = sizeof(o), .config = config, .server_name = "server.example", .keep_chain = true};
    int status = wst_socket_open(&transport, run->env.ctx, fd, false);
    if (status != 0) {
        close(fd);
        return status;
    }
    status = wst_tls_handshake(&handshake, transport, &o, run_outcome, run);
    if (status != 0)
        wst_stream_close(transport, NULL);
    return status;
}

/* A connection from the configuration to the last byte. */
static void run_without_memory(void *arg) {
    run_t *run = arg;
    const wst_tls_identity_t identity = tls_identity(run->leaf);
    const wst_tls_server_options_t s = {
        .size = sizeof(s), .identities = &identity, .identity_count = 1};
    const wst_tls_client_options_t c = {.size = sizeof(c), .ca_pem = run->root->own};
    wst_tls_config_t *server = NULL, *client = NULL;
    int fds[2];
    run->streams[0] = run->streams[1] = NULL;
    run->outcomes = run->received = run->over = 0;
    test_env_open(&run->env);
    if (run->env.ctx == NULL) {
        test_env_close(&run->env);
        return;
    }
    socket_pair(fds, true);
    int status = wst_tls_server_config(&server, run->env.ctx, &s, NULL);
    if (status == 0)
        status = wst_tls_client_config(&client, run->env.ctx, &c, NULL);
    if (status != 0)
        close(fds[0]);
    else
        status = run_shake(run, fds[0], client);
    if (status != 0)
        close(fds[1]);
    else if (run_shake(run, fds[1], server) == 0)
        test_env_until_count(&run->env, &run->outcomes, 2);
    else
        test_env_until_count(&run->env, &run->outcomes, 1);
    if (run->streams[1] != NULL) {
        wst_slice_t slice = wst_slice_static(run->leaf->chain, 5000);
        wst_stream_read_start(run->streams[0], 0);
        wst_stream_read_start(run->streams[1], 0);
        status = wst_stream_write(run->streams[0], &slice, 1);
        if (status >= 0)
            status = wst_stream_shutdown(run->streams[0]);
        if (status >= 0)
            test_env_until_count(&run->env, &run->over, 1);
        if (run->over == 1)
            assert_int_equal(run->received, 5000);
    }
    for (int i = 0; i < 2; i++)
        if (run->streams[i] != NULL)
            wst_stream_close(run->streams[i], NULL);
    wst_tls_config_unref(server);
    wst_tls_config_unref(client);
    test_env_close(&run->env);
}

static void test_no_memory(void **state) {
    (void)state;
    tls_made_t root, leaf;
    tls_make(&root, &(tls_spec_t){.subject = "CN=Root", .ca = true}, NULL);
    tls_make(&leaf, &(tls_spec_t){.subject = "CN=server", .names = "dns:server.example"}, &root);
    run_t run = {.root = &root, .leaf = &leaf};
    assert_true(test_alloc_each(run_without_memory, &run) >= 20);
    tls_made_free(&root);
    tls_made_free(&leaf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_refused_certificate),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_chain_cancelled),
        cmocka_unit_test(test_missing_client_certificate),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_peer_goes),
        cmocka_unit_test(test_alert_arrives),
        cmocka_unit_test(test_lingering_ends),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_bytes_put_back),
        cmocka_unit_test(test_bytes_behind),
        cmocka_unit_test(test_configurations_live_on),
        cmocka_unit_test(test_system_trust_store),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
