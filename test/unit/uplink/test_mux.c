/* SPDX-License-Identifier: MIT */
/*
 * Muxes that go on with another carrier: streams and their bytes survive, and nothing is heard of
 * the old one.
 */
#include "mux_rig.h"
#include "socket_pair.h"

#include <wstunnel/error.h>
#include <wstunnel/socket.h>

enum { TOTAL = 200000 };

/* A carrier that is handed to the mux of a side once it has been greeted. */
typedef struct spare {
    mux_side_t *side;
    wst_hijack_t *hijack;
    wst__carrier_t *carrier;
    int greeted, status; /* status: of the attach; after an error the carrier is still ours */
    int over, closed;
} spare_t;

static void on_greeted(wst__carrier_t *carrier, void *owner) {
    spare_t *spare = owner;
    spare->status = wst__mux_attach(wst__mux_of(spare->side->uplink), carrier);
    if (spare->status != 0)
        wst__carrier_fail(carrier, spare->status, "not the same");
    spare->greeted++;
}

static int next(wst__carrier_t *carrier, wst__outgoing_t *out, void *owner) {
    (void)carrier, (void)out, (void)owner;
    return 0;
}

static void on_message(wst__carrier_t *carrier, bool text, wst_slice_t piece, bool fin,
                       void *owner) {
    (void)carrier, (void)text, (void)piece, (void)fin, (void)owner;
    fail_msg("it is not this one's to hear");
}

static void on_broken(wst__carrier_t *carrier, int error, const char *detail, void *owner) {
    const spare_t *spare = owner;
    (void)carrier, (void)error, (void)detail;
    assert_true(spare->status < 0);
}

static void on_spare_closed(void *user_data) {
    ((spare_t *)user_data)->closed++;
}

static void on_over(wst__carrier_t *carrier, int error, const char *detail, void *owner) {
    spare_t *spare = owner;
    if (spare->status >= 0)
        fail_msg("over: %s: %s", wst_err_name(error), detail);
    assert_int_equal(error, spare->status);
    spare->over++;
    wst__carrier_close(carrier, on_spare_closed, spare);
}

static wst__carrier_callbacks_t callbacks = {on_greeted, next, on_message, on_broken, on_over};

static wst__carrier_options_t options_of(spare_t *spare) {
    return (wst__carrier_options_t){
        .callbacks = &callbacks, .owner = spare, .hello = spare->side->options.hello};
}

static void on_hijack_closed(void *user_data) {
    ((spare_t *)user_data)->hijack = NULL;
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    spare_t *spare = user_data;
    (void)head;
    const wst__carrier_options_t options = options_of(spare);
    const wst_websocket_options_t websocket = {.size = sizeof(websocket),
                                               .protocols = wst__carrier_protocols};
    assert_int_equal(
        wst__carrier_accept(&spare->carrier, spare->side->rig->ctx, hijack, &websocket, &options),
        0);
    wst_hijack_close(hijack, on_hijack_closed);
}

static void on_hijack_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)status, (void)user_data;
    wst_hijack_close(hijack, on_hijack_closed);
}

static wst_stream_t *open_socket(mux_rig_t *rig, int fd) {
    wst_stream_t *stream;
    assert_int_equal(wst_socket_open(&stream, rig->ctx, fd, true), 0);
    return stream;
}

/* Both muxes go over to another carrier. */
static void take_over(mux_rig_t *rig, spare_t *client, spare_t *server, bool json) {
    int fds[2];
    *client = (spare_t){.side = &rig->client};
    *server = (spare_t){.side = &rig->server};
    socket_pair(fds, false);
    const wst_hijack_options_t hijack_options = {.size = sizeof(hijack_options),
                                                 .on_request = on_request,
                                                 .on_done = on_hijack_done,
                                                 .user_data = server};
    assert_int_equal(
        wst_hijack_new(&server->hijack, rig->ctx, open_socket(rig, fds[1]), &hijack_options), 0);
    const wst__carrier_options_t options = options_of(client);
    const wst_websocket_options_t websocket = {.size = sizeof(websocket),
                                               .host = "a.test",
                                               .protocols = json ? wst__carrier_protocols_json
                                                                 : wst__carrier_protocols};
    assert_int_equal(wst__carrier_connect(&client->carrier, rig->ctx, open_socket(rig, fds[0]),
                                          &websocket, &options),
                     0);
    mux_rig_until(rig, &client->greeted, 1);
    mux_rig_until(rig, &server->greeted, 1);
}

static uint8_t byte_at(size_t offset) {
    return (uint8_t)(offset * 2654435761u >> 13);
}

typedef struct flow {
    size_t sent[2];
    bool waiting[2];
} flow_t;

static void send_some(mux_side_t *side, flow_t *flow, size_t most) {
    static uint8_t piece[10000];
    int i = side == &side->rig->server;
    while (!flow->waiting[i] && flow->sent[i] < most) {
        size_t n = most - flow->sent[i] < sizeof(piece) ? most - flow->sent[i] : sizeof(piece);
        for (size_t k = 0; k < n; k++)
            piece[k] = byte_at(flow->sent[i] + k);
        int status = mux_probe_write(&side->probe, piece, n);
        assert_true(status >= 0);
        flow->sent[i] += n;
        flow->waiting[i] = status == WST_WAIT;
    }
}

static void keep_flowing(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    flow_t *flow = rig->data;
    if (event != MUX_DRAIN)
        return;
    flow->waiting[side == &rig->server] = false;
    send_some(side, flow, TOTAL);
}

static void expect_all(mux_rig_t *rig, mux_side_t *side) {
    while (side->probe.received_len < TOTAL)
        mux_rig_turns(rig, 1);
    assert_int_equal(side->probe.received_len, TOTAL);
    for (size_t i = 0; i < TOTAL; i++)
        assert_int_equal(side->probe.received[i], byte_at(i));
    assert_int_equal(side->probe.errors, 0);
}

/* In the middle of everything, with bytes lost on the way. The old carrier is alive, or frozen. */
static void test_take_over(void **state) {
    (void)state;
    for (int i = 0; i < 16; i++) {
        mux_rig_t rig;
        spare_t client, server;
        flow_t flow = {0};
        mux_rig_up(&rig, i & 1, false);
        mux_rig_stream(&rig);
        rig.data = &flow;
        rig.act = keep_flowing;
        send_some(&rig.client, &flow, TOTAL);
        send_some(&rig.server, &flow, TOTAL);
        mux_rig_turns(&rig, 1 + i / 4);
        if (i & 2) {
            wst_websocket_read_stop(mux_side_websocket(&rig.client));
            wst_websocket_read_stop(mux_side_websocket(&rig.server));
            mux_rig_turns(&rig, 3);
        }
        assert_int_equal(mux_side_open(&rig.client, "b:1"), 0); /* asked, maybe not heard */
        rig.server.policy = MUX_HOLD;
        take_over(&rig, &client, &server, i & 8);
        assert_int_equal(client.status, 0);
        assert_int_equal(server.status, 0);
        assert_ptr_equal(wst__mux_carrier(wst__mux_of(rig.client.uplink)), client.carrier);
        expect_all(&rig, &rig.client);
        expect_all(&rig, &rig.server);
        mux_rig_until(&rig, &rig.server.incomings, 2); /* asked once, however it was heard */
        mux_rig_turns(&rig, 20);
        assert_int_equal(rig.client.answers, 1);
        assert_int_equal(rig.server.gone, 0);
        wst__incoming_t *incoming = rig.server.incoming;
        rig.server.incoming = NULL;
        incoming->ops->refuse(incoming, WST_EDENIED, "");
        mux_rig_until(&rig, &rig.client.answers, 2);
        assert_int_equal(rig.client.status, WST_EDENIED);
        assert_int_equal(rig.server.incomings, 2);
        assert_int_equal(rig.client.ups, 1);
        assert_int_equal(rig.client.downs + rig.server.downs, 0);
        mux_rig_free(&rig);
    }
}

/* Timers of the old carrier and session reach nothing either. */
static void test_the_old_one_does_not_die_again(void **state) {
    (void)state;
    mux_rig_t rig;
    spare_t client, server;
    mux_rig_up(&rig, false, true);
    mux_rig_stream(&rig);
    wst_websocket_read_stop(mux_side_websocket(&rig.server));
    mux_rig_turns(&rig, 5);
    take_over(&rig, &client, &server, false);
    mux_rig_turns(&rig, 5);
    mux_rig_pass(&rig, 44000);
    assert_int_equal(rig.client.downs + rig.server.downs, 0);
    assert_int_equal(rig.client.probe.errors, 0);
    mux_rig_free(&rig);
}

/* The mux has lost its old carrier and has no other one; these two cannot wait. */
static void expect_end(mux_rig_t *rig, const spare_t *client) {
    assert_null(wst__mux_carrier(wst__mux_of(rig->client.uplink)));
    mux_rig_until(rig, &client->closed, 1);
    mux_rig_until(rig, &rig->client.downs, 1);
    mux_rig_until(rig, &rig->server.downs, 1);
    assert_int_equal(client->over, 1);
    assert_int_equal(rig->client.suspensions + rig->server.suspensions, 0);
    assert_int_equal(rig->client.error, WST_EREPLACED);
    assert_int_equal(rig->client.probe.error, WST_ELOST);
    assert_int_equal(rig->server.probe.error, WST_ELOST);
}

/* The far side states other bounds. */
static void test_another_hello(void **state) {
    (void)state;
    mux_rig_t rig;
    spare_t client, server;
    mux_rig_up(&rig, false, false);
    mux_rig_stream(&rig);
    rig.server.options.hello.initial_credit = 1234;
    take_over(&rig, &client, &server, false);
    assert_int_equal(client.status, WST_EPROTO);
    assert_int_equal(server.status, 0);
    expect_end(&rig, &client);
    assert_string_equal(rig.server.detail, "closed by the peer: 1002 not the same");
    mux_rig_free(&rig);
}

static void attach_without_memory(wst__carrier_t *carrier, void *owner) {
    const spare_t *spare = owner;
    if (spare->side == &spare->side->rig->client)
        test_alloc_fail(1);
    on_greeted(carrier, owner);
    assert_true(test_alloc_failed() || spare->side != &spare->side->rig->client);
    test_alloc_fail(0);
}

static void test_no_memory(void **state) {
    (void)state;
    mux_rig_t rig;
    spare_t client, server;
    mux_rig_up(&rig, false, false);
    mux_rig_stream(&rig);
    callbacks.on_greeted = attach_without_memory;
    take_over(&rig, &client, &server, false);
    callbacks.on_greeted = on_greeted;
    assert_int_equal(client.status, WST_ENOMEM);
    expect_end(&rig, &client);
    assert_string_equal(rig.server.detail, "closed by the peer: 1011 not the same");
    mux_rig_free(&rig);
}

/* Another carrier comes too late: it stays its owner's. */
static void attach_to_a_closing_one(wst__carrier_t *carrier, void *owner) {
    spare_t *spare = owner;
    mux_side_close(spare->side);
    spare->status = wst__mux_attach(wst__mux_of(spare->side->uplink), carrier);
    spare->greeted++;
}

static void test_it_is_being_closed(void **state) {
    (void)state;
    mux_rig_t rig;
    spare_t client, server;
    mux_rig_up(&rig, false, false);
    mux_rig_stream(&rig);
    callbacks.on_greeted = attach_to_a_closing_one;
    take_over(&rig, &client, &server, false);
    callbacks.on_greeted = on_greeted;
    assert_int_equal(client.status, WST_ESTATE);
    assert_int_equal(server.status, WST_ESTATE);
    wst__carrier_close(client.carrier, NULL, NULL);
    wst__carrier_close(server.carrier, NULL, NULL);
    mux_rig_until(&rig, &rig.client.closed, 1);
    mux_rig_until(&rig, &rig.server.closed, 1);
    mux_rig_free(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_the_old_one_does_not_die_again),
        cmocka_unit_test(test_another_hello),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_it_is_being_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
