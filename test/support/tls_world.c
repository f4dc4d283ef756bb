/* SPDX-License-Identifier: MIT */
#include "tls_world.h"
#include "socket_pair.h"

#include <stdio.h>
#include <wstunnel/error.h>
#include <wstunnel/socket.h>

static uint8_t pattern(size_t offset) {
    return (uint8_t)(offset * 7 + offset / 251);
}

static void on_closed(void *user_data) {
    tls_party_t *party = user_data;
    party->closed++;
    party->stream = NULL;
}

static void act(tls_party_t *party, char event) {
    if (party->close_at == event)
        wst_stream_close(party->stream, on_closed);
}

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    tls_party_t *party = user_data;
    for (size_t i = 0; i < data.len; i++)
        if (data.data[i] != pattern(party->received + i))
            fail_msg("byte %zu is wrong", party->received + i);
    party->received += data.len;
    party->reads++;
    if (data.len > party->largest)
        party->largest = data.len;
    if (party->stop_at_read)
        wst_stream_read_stop(stream);
    act(party, 'r');
}

static void on_end(wst_stream_t *stream, void *user_data) {
    tls_party_t *party = user_data;
    (void)stream;
    party->ends++;
    act(party, 'e');
}

static void on_drain(wst_stream_t *stream, void *user_data) {
    tls_party_t *party = user_data;
    (void)stream;
    party->drains++;
    act(party, 'd');
}

static void on_shutdown(wst_stream_t *stream, void *user_data) {
    tls_party_t *party = user_data;
    (void)stream;
    party->shutdowns++;
    act(party, 's');
}

static void on_error(wst_stream_t *stream, int error, void *user_data) {
    tls_party_t *party = user_data;
    (void)stream;
    party->errors++;
    party->error = error;
    act(party, 'x');
}

static const wst_stream_callbacks_t callbacks = {sizeof(callbacks), on_read,     on_end,
                                                 on_drain,          on_shutdown, on_error};

static void on_outcome(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    tls_party_t *party = user_data;
    party->outcomes++;
    party->status = status;
    party->handshake = NULL;
    snprintf(party->detail, sizeof(party->detail), "%s", detail);
    party->stream = stream;
    assert_int_equal(stream == NULL, status != 0);
    if (stream != NULL)
        wst_stream_set_callbacks(stream, &callbacks, party);
}

void tls_world_open(tls_world_t *w, wst_tls_client_cert_t client_cert) {
    memset(w, 0, sizeof(*w));
    test_env_open(&w->env);
    tls_make(&w->root, &(tls_spec_t){.subject = "CN=Test Root", .ca = true}, NULL);
    tls_make(&w->leaf, &(tls_spec_t){.subject = "CN=server", .names = "dns:server.example"},
             &w->root);
    tls_make(&w->client_leaf, &(tls_spec_t){.subject = "CN=agent", .names = "dns:agent.example"},
             &w->root);
    const wst_tls_identity_t server = tls_identity(&w->leaf),
                             client = tls_identity(&w->client_leaf);
    const wst_tls_server_options_t server_options = {.size = sizeof(server_options),
                                                     .identities = &server,
                                                     .identity_count = 1,
                                                     .client_cert = client_cert,
                                                     .client_ca_pem = w->root.own};
    const wst_tls_client_options_t client_options = {
        .size = sizeof(client_options), .ca_pem = w->root.own, .identity = &client};
    assert_int_equal(wst_tls_server_config(&w->server_config, w->env.ctx, &server_options, NULL),
                     0);
    assert_int_equal(wst_tls_client_config(&w->client_config, w->env.ctx, &client_options, NULL),
                     0);
}

void tls_world_connect(tls_world_t *w, bool tcp) {
    int fds[2];
    socket_pair(fds, tcp);
    assert_int_equal(wst_socket_open(&w->client.transport, w->env.ctx, fds[0], !tcp), 0);
    assert_int_equal(wst_socket_open(&w->server.transport, w->env.ctx, fds[1], !tcp), 0);
}

/* The relay ---------------------------------------------------------------------------------- */

static void drop(tls_relay_t *relay) {
    if (relay->stream == NULL)
        return;
    wst_stream_close(relay->stream, NULL);
    relay->stream = NULL;
}

static void reach_limit(tls_relay_t *relay) {
    if (relay->at_limit == 'x') {
        drop(relay->other);
        drop(relay);
    } else if (relay->at_limit == 'e' && relay->other->stream != NULL) {
        assert_int_equal(wst_stream_shutdown(relay->other->stream), 0);
    }
    relay->at_limit = 0;
}

static void relay_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    tls_relay_t *relay = user_data;
    (void)stream;
    size_t n = relay->limit - relay->passed < data.len ? relay->limit - relay->passed : data.len;
    if (relay->flip != 0 && n < data.len) {
        wst_slice_t copy;
        assert_int_equal(wst_slice_copy(&copy, wst_stream_ctx(stream), data.data, data.len), 0);
        wst_chunk_data(copy.chunk)[n] ^= relay->flip;
        relay->flip = 0;
        relay->limit = SIZE_MAX;
        relay->passed += copy.len;
        (void)!wst_stream_write(relay->other->stream, &copy, 1);
        return;
    }
    relay->passed += n;
    if (n > 0 && relay->other->stream != NULL) {
        data.len = n;
        wst_slice_ref(data);
        (void)!wst_stream_write(relay->other->stream, &data, 1);
    }
    if (relay->passed == relay->limit)
        reach_limit(relay);
}

static void relay_end(wst_stream_t *stream, void *user_data) {
    tls_relay_t *relay = user_data;
    (void)stream;
    relay->ends++;
    if (relay->other->stream != NULL && relay->limit == SIZE_MAX)
        (void)!wst_stream_shutdown(relay->other->stream);
}

static void relay_error(wst_stream_t *stream, int error, void *user_data) {
    tls_relay_t *relay = user_data;
    (void)stream;
    (void)error;
    relay->errors++;
    drop(relay->other);
    drop(relay);
}

static void open_relay(tls_world_t *w, tls_party_t *party, tls_relay_t *relay, tls_relay_t *other) {
    static const wst_stream_callbacks_t relay_callbacks = {.size = sizeof(relay_callbacks),
                                                           .on_read = relay_read,
                                                           .on_end = relay_end,
                                                           .on_error = relay_error};
    int fds[2];
    socket_pair(fds, true);
    *relay = (tls_relay_t){.other = other, .limit = SIZE_MAX};
    assert_int_equal(wst_socket_open(&party->transport, w->env.ctx, fds[0], false), 0);
    assert_int_equal(wst_socket_open(&relay->stream, w->env.ctx, fds[1], false), 0);
    wst_stream_set_callbacks(relay->stream, &relay_callbacks, relay);
    wst_stream_read_start(relay->stream, 0);
}

void tls_world_connect_by_relay(tls_world_t *w) {
    open_relay(w, &w->client, &w->at_client, &w->at_server);
    open_relay(w, &w->server, &w->at_server, &w->at_client);
}

/* The parties -------------------------------------------------------------------------------- */

int tls_party_shake(tls_world_t *w, tls_party_t *party, const char *server_name,
                    uint64_t timeout_ms) {
    const wst_tls_handshake_options_t options = {.size = sizeof(options),
                                                 .config = party == &w->server ? w->server_config
                                                                               : w->client_config,
                                                 .server_name = server_name,
                                                 .timeout_ms = timeout_ms};
    int status =
        wst_tls_handshake(&party->handshake, party->transport, &options, on_outcome, party);
    if (status == 0)
        party->transport = NULL;
    return status;
}

void tls_world_shake(tls_world_t *w) {
    assert_int_equal(tls_party_shake(w, &w->client, "server.example", 0), 0);
    assert_int_equal(tls_party_shake(w, &w->server, NULL, 0), 0);
    test_env_until_count(&w->env, &w->client.outcomes, 1);
    test_env_until_count(&w->env, &w->server.outcomes, 1);
    assert_string_equal(w->client.detail, "");
    assert_string_equal(w->server.detail, "");
    assert_int_equal(w->client.status, 0);
    assert_int_equal(w->server.status, 0);
}

static void close_party(tls_party_t *party) {
    if (party->handshake != NULL)
        wst_tls_handshake_cancel(party->handshake);
    if (party->transport != NULL)
        wst_stream_close(party->transport, NULL);
    if (party->stream != NULL)
        wst_stream_close(party->stream, on_closed);
}

static bool is_gone(void *arg) {
    wst_ctx_stats_t stats = {.size = sizeof(stats)};
    tls_world_t *w = arg;
    wst_ctx_get_stats(w->env.ctx, &stats);
    return stats.handles == 2; /* the configurations */
}

void tls_world_disconnect(tls_world_t *w) {
    close_party(&w->client);
    close_party(&w->server);
    drop(&w->at_client);
    drop(&w->at_server);
    test_env_until(&w->env, is_gone, w);
    memset(&w->client, 0, sizeof(w->client));
    memset(&w->server, 0, sizeof(w->server));
}

void tls_world_close(tls_world_t *w) {
    tls_world_disconnect(w);
    wst_tls_config_unref(w->client_config);
    wst_tls_config_unref(w->server_config);
    tls_made_free(&w->root);
    tls_made_free(&w->leaf);
    tls_made_free(&w->client_leaf);
    test_env_close(&w->env);
}

int tls_party_slice(tls_party_t *party, wst_slice_t *slice, size_t len) {
    *slice = (wst_slice_t){wst_chunk_new(wst_stream_ctx(party->stream), len), NULL, len};
    if (slice->chunk == NULL)
        return WST_ENOMEM;
    uint8_t *data = wst_chunk_data(slice->chunk);
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(party->sent + i);
    slice->data = data;
    party->sent += len;
    return 0;
}

int tls_party_send(tls_party_t *party, size_t len) {
    wst_slice_t slice;
    int status = tls_party_slice(party, &slice, len);
    return status != 0 ? status : wst_stream_write(party->stream, &slice, 1);
}
