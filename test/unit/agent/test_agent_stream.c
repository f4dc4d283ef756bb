/* SPDX-License-Identifier: MIT */
/* Streams through a real server to destinations that an agent opens: data, ends and resets both
 * ways, what cannot be opened, limits, and what is lost with the session. */
#include "agent_peers.h"

#include <stdio.h>

typedef struct rig {
    agent_world_t w;
    agent_place_t place;
    agent_tunnel_t t;
} rig_t;

/* Everything but a tunnel. */
static void rig_open(rig_t *r, wst_encoding_t encoding) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.options.encoding = encoding;
    agent_world_serve(&r->w);
    agent_world_start_up(&r->w);
    agent_place_open(&r->w, &r->place);
}

static void rig_free(rig_t *r) {
    agent_tunnel_free(&r->t);
    agent_place_free(&r->place);
    agent_world_free(&r->w);
}

static void rig_tunnel(rig_t *r) {
    agent_tunnel_open(&r->w, &r->t, r->place.address, 0);
    test_env_until_count(&r->w.env, &r->place.count, 1);
}

/* --- data and ends --- */

/* Writes the pattern until `size` bytes are out, then the end. */
typedef struct sender {
    sockets_owner_t *owner;
    size_t sent, size;
} sender_t;

static bool send_more(void *arg) {
    sender_t *s = arg;
    while (s->sent < s->size) {
        size_t room = wst_stream_room(s->owner->stream);
        if (room == 0)
            return false;
        size_t len = room < s->size - s->sent ? room : s->size - s->sent;
        assert_true(sockets_write_pattern(s->owner->stream, s->sent, len) >= 0);
        s->sent += len;
    }
    return true;
}

static void send_all(rig_t *r, sockets_owner_t *from, const sockets_owner_t *to, size_t size) {
    sender_t s = {from, 0, size};
    test_env_until(&r->w.env, send_more, &s);
    test_env_until_count(&r->w.env, &to->received, size);
}

static void test_bulk(void **state) {
    (void)state;
    enum { UP_SIZE = 3000000, DOWN_SIZE = 2000000 };
    for (int encoding = WST_ENCODING_BINARY; encoding <= WST_ENCODING_JSON; encoding++) {
        rig_t r;
        rig_open(&r, (wst_encoding_t)encoding);
        rig_tunnel(&r);
        sockets_owner_t *client = &r.t.owner, *place = &r.place.owners[0];
        assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 1);
        assert_int_equal(r.w.open_status, 0);
        assert_string_equal(r.w.destination, r.place.address);
        assert_int_equal(wst_agent_streams(r.w.agent), 1);

        send_all(&r, client, place, UP_SIZE);
        assert_int_equal(wst_stream_shutdown(client->stream), 0);
        test_env_until_count(&r.w.env, &place->ends, 1);
        assert_int_equal(place->received, UP_SIZE);
        test_env_turns(&r.w.env, 5);
        assert_int_equal(client->ends, 0); /* the other direction goes on */
        send_all(&r, place, client, DOWN_SIZE);
        assert_int_equal(wst_stream_shutdown(place->stream), 0);
        test_env_until_count(&r.w.env, &client->ends, 1);
        assert_int_equal(client->received, DOWN_SIZE);
        assert_int_equal(client->errors + place->errors, 0);

        agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
        assert_int_equal(r.w.close_status, 0);
        assert_int_equal(r.w.bytes_to_destination, UP_SIZE);
        assert_int_equal(r.w.bytes_to_server, DOWN_SIZE);
        assert_string_equal(r.w.destination, r.place.address);
        test_env_turns(&r.w.env, 10);
        assert_int_equal(wst_agent_streams(r.w.agent), 0);
        rig_free(&r);
    }
}

/* The destination ends first. */
static void test_destination_ends_first(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, WST_ENCODING_BINARY);
    rig_tunnel(&r);
    sockets_owner_t *client = &r.t.owner, *place = &r.place.owners[0];
    assert_int_equal(sockets_write_pattern(place->stream, 0, 10), 0);
    assert_int_equal(wst_stream_shutdown(place->stream), 0);
    test_env_until_count(&r.w.env, &client->ends, 1);
    assert_int_equal(client->received, 10);
    send_all(&r, client, place, 200000);
    assert_int_equal(wst_stream_shutdown(client->stream), 0);
    test_env_until_count(&r.w.env, &place->ends, 1);
    agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
    assert_int_equal(r.w.close_status, 0);
    rig_free(&r);
}

/* A destination that is reset, bytes before it or not, is never taken for one that ended. */
static void test_destination_resets(void **state) {
    (void)state;
    for (size_t len = 0; len <= 10; len += 10) {
        rig_t r;
        rig_open(&r, WST_ENCODING_BINARY);
        rig_tunnel(&r);
        sockets_owner_t *client = &r.t.owner, *place = &r.place.owners[0];
        if (len > 0)
            assert_int_equal(sockets_write_pattern(place->stream, 0, len), 0);
        wst_stream_reset(place->stream, WST_ERESET, NULL);
        r.place.count = 0;
        test_env_until_count(&r.w.env, &client->errors, 1);
        assert_int_equal(client->error, WST_ERESET);
        assert_int_equal(client->ends, 0);
        agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
        assert_int_equal(r.w.close_status, UV_ECONNRESET);
        rig_free(&r);
    }
}

static void test_server_resets(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, WST_ENCODING_BINARY);
    rig_tunnel(&r);
    const sockets_owner_t *place = &r.place.owners[0];
    wst_stream_reset(r.t.owner.stream, WST_EIDLE, NULL);
    r.t.owner.stream = NULL;
    test_env_until_count(&r.w.env, &place->errors, 1);
    assert_int_equal(place->error, UV_ECONNRESET);
    assert_int_equal(place->ends, 0);
    agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
    assert_int_equal(r.w.close_status, WST_EIDLE);
    assert_true(wst_agent_is_up(r.w.agent));
    rig_free(&r);
}

static void test_half_closed_timeout(void **state) {
    (void)state;
    rig_t r;
    memset(&r, 0, sizeof(r));
    agent_world_open(&r.w);
    r.w.options.half_closed_timeout_ms = 20;
    agent_world_serve(&r.w);
    agent_world_start_up(&r.w);
    agent_place_open(&r.w, &r.place);
    rig_tunnel(&r);
    assert_int_equal(wst_stream_shutdown(r.t.owner.stream), 0);
    agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
    assert_int_equal(r.w.close_status, WST_EIDLE);
    test_env_until_count(&r.w.env, &r.t.owner.errors, 1);
    assert_int_equal(r.t.owner.error, WST_EIDLE);
    assert_int_equal(r.t.owner.ends, 0); /* the answer is not complete */
    rig_free(&r);
}

/* --- what cannot be opened --- */

static void test_not_opened(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, WST_ENCODING_BINARY);
    char dead[64];
    snprintf(dead, sizeof(dead), "%s", r.place.address);
    agent_place_free(&r.place);
    agent_tunnel_open(&r.w, &r.t, dead, WST_EREFUSED);
    assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 1);
    assert_int_equal(r.w.open_status, UV_ECONNREFUSED);
    assert_string_equal(r.w.destination, dead);
    agent_tunnel_open(&r.w, &r.t, "none.test:80", WST_ENAME);
    assert_int_equal(r.w.open_status, UV_EAI_NONAME);
    assert_string_equal(r.w.destination, "none.test:80");
    assert_int_equal(wst_agent_streams(r.w.agent), 0);
    assert_int_equal(r.w.seen[AGENT_STREAM_CLOSE], 0);
    assert_true(wst_agent_is_up(r.w.agent));
    agent_place_open(&r.w, &r.place);
    rig_tunnel(&r); /* nothing of that is in the way */
    rig_free(&r);
}

static void test_name_times_out(void **state) {
    (void)state;
    rig_t r;
    memset(&r, 0, sizeof(r));
    agent_world_open(&r.w);
    r.w.options.dial_timeout_ms = 20;
    agent_world_serve(&r.w);
    agent_world_start_up(&r.w);
    agent_place_open(&r.w, &r.place);
    agent_tunnel_open(&r.w, &r.t, "stuck.test:80", WST_ENAMETIMEOUT);
    assert_int_equal(r.w.open_status, WST_ENAMETIMEOUT);
    rig_free(&r);
}

/* A name is looked up here, and its connection is to this machine. */
static void test_name(void **state) {
    (void)state;
    rig_t r;
    char destination[64];
    rig_open(&r, WST_ENCODING_BINARY);
    snprintf(destination, sizeof(destination), "here.test%s", strchr(r.place.address, ':'));
    agent_tunnel_open(&r.w, &r.t, destination, 0);
    test_env_until_count(&r.w.env, &r.place.count, 1);
    rig_free(&r);
}

/* --- messages as the server sees them --- */

typedef struct raw_rig {
    agent_world_t w;
    agent_raw_t raw;
    agent_place_t place;
} raw_rig_t;

static void raw_rig_open(raw_rig_t *r) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    r->w.options.encoding = WST_ENCODING_JSON;
    r->raw.manner = AGENT_RAW_UPGRADE;
    r->raw.says[0] = agent_raw_hello;
    agent_raw_open(&r->w, &r->raw);
    agent_place_open(&r->w, &r->place);
}

static void raw_rig_up(raw_rig_t *r) {
    agent_world_start(&r->w);
    agent_world_until(&r->w, AGENT_UP, 1);
}

static void raw_rig_free(raw_rig_t *r) {
    agent_place_free(&r->place);
    if (!r->w.close_called)
        agent_world_close_agent(&r->w);
    agent_raw_free(&r->raw);
    agent_world_free(&r->w);
}

static void raw_open_stream(raw_rig_t *r, unsigned id, const char *destination) {
    char text[400];
    snprintf(text, sizeof(text), "{\"method\":1,\"id\":%u,\"dest\":\"%s\"}", id, destination);
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, r->w.peers, text, strlen(text)), 0);
    assert_true(wst_websocket_send(r->raw.ws, true, slice) >= 0);
}

static void test_invalid_destinations(void **state) {
    (void)state;
    static const struct {
        const char *destination, *answer;
    } cases[] = {
        {"host", "\"code\":-32602,\"message\":\"no port\""},
        {"host:0", "\"code\":-32602,\"message\":\"port is not a number from 1 to 65535\""},
        {":80", "\"code\":-32602,\"message\":\"no host\""},
        {"127.1:80", "\"code\":-32602,\"message\":\"not an IPv4 address\""},
        {"a/b:80", "\"code\":-32602,\"message\":\"character not allowed in a host name\""},
    };
    raw_rig_t r;
    raw_rig_open(&r);
    r.w.destinations = AGENT_ALLOW;
    raw_rig_up(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        raw_open_stream(&r, 2 * (unsigned)i + 2, cases[i].destination);
        agent_raw_expect(&r.raw, cases[i].answer);
        assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], i + 1);
        assert_int_equal(r.w.open_status, WST_EDEST);
        assert_string_equal(r.w.destination, cases[i].destination);
    }
    /* The longest one that can be said, whose host is the longest. */
    char longest[300];
    memset(longest, 'a', 255);
    memcpy(longest + 255, ":65535", 7);
    raw_open_stream(&r, 100, longest);
    agent_world_until(&r.w, AGENT_DESTINATION, 1);
    assert_string_equal(r.w.destination, longest);
    raw_rig_free(&r);
}

/* --- limits --- */

static void test_max_pending(void **state) {
    (void)state;
    raw_rig_t r;
    raw_rig_open(&r);
    r.w.options.max_pending = 2;
    r.w.destinations = AGENT_HOLD;
    raw_rig_up(&r);
    raw_open_stream(&r, 2, "stuck.a:80");
    raw_open_stream(&r, 4, "stuck.b:80");
    raw_open_stream(&r, 6, "stuck.c:80");
    agent_raw_expect(&r.raw, "{\"method\":2,\"id\":6,\"error\":{\"code\":-32007,"
                             "\"message\":\"too many destinations are being opened\"}}");
    assert_int_equal(r.w.seen[AGENT_DESTINATION], 2);
    assert_int_equal(r.w.open_status, WST_ELIMIT);
    assert_int_equal(wst_agent_streams(r.w.agent), 2);
    /* One that is answered makes room, and an open one takes none. */
    wst_request_t *request = r.w.held;
    wst_request_deny(request, 403, NULL, NULL);
    agent_raw_expect(&r.raw, "\"id\":4,\"error\":{\"code\":-32006");
    r.w.destinations = AGENT_ALLOW;
    raw_open_stream(&r, 8, r.place.address);
    agent_raw_expect(&r.raw, "{\"method\":2,\"id\":8,\"address\":\"127.0.0.1\"}");
    raw_open_stream(&r, 10, r.place.address);
    agent_raw_expect(&r.raw, "{\"method\":2,\"id\":10,\"address\":\"127.0.0.1\"}");
    r.w.held = NULL; /* the first one is taken back with the end */
    raw_rig_free(&r);
    assert_int_equal(r.w.seen[AGENT_GONE], 1);
}

static void test_max_streams(void **state) {
    (void)state;
    raw_rig_t r;
    raw_rig_open(&r);
    r.w.options.max_streams = 2;
    raw_rig_up(&r);
    raw_open_stream(&r, 2, r.place.address);
    raw_open_stream(&r, 4, r.place.address);
    agent_raw_expect(&r.raw, "{\"method\":2,\"id\":2,\"address\":\"127.0.0.1\"}");
    agent_raw_expect(&r.raw, "{\"method\":2,\"id\":4,\"address\":\"127.0.0.1\"}");
    raw_open_stream(&r, 6, r.place.address);
    agent_raw_expect(&r.raw, "\"id\":6,\"error\":{\"code\":-32007");
    agent_raw_say(&r.raw, "{\"method\":7,\"id\":2,\"error\":{\"code\":-32010}}");
    agent_world_until(&r.w, AGENT_STREAM_CLOSE, 1);
    raw_open_stream(&r, 8, r.place.address);
    agent_raw_expect(&r.raw, "{\"method\":2,\"id\":8,\"address\":\"127.0.0.1\"}");
    raw_rig_free(&r);
}

/* The real server knows of it beforehand. */
static void test_max_streams_at_the_server(void **state) {
    (void)state;
    rig_t r;
    agent_tunnel_t second;
    memset(&r, 0, sizeof(r));
    agent_world_open(&r.w);
    r.w.options.max_streams = 1;
    agent_world_serve(&r.w);
    agent_world_start_up(&r.w);
    agent_place_open(&r.w, &r.place);
    rig_tunnel(&r);
    agent_tunnel_start(&r.w, &second, r.place.address);
    test_env_until_count(&r.w.env, &second.done, 1);
    assert_true(second.status < 0);
    assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 1);
    rig_free(&r);
}

/* --- lost with the session --- */

/* What was cut off must not look complete to the destination. */
static void test_link_lost(void **state) {
    (void)state;
    static const agent_raw_sequel_t ways[] = {AGENT_RAW_THEN_END, AGENT_RAW_THEN_RESET};
    for (size_t i = 0; i < 2; i++) {
        raw_rig_t r;
        raw_rig_open(&r);
        raw_rig_up(&r);
        raw_open_stream(&r, 2, r.place.address);
        raw_open_stream(&r, 4, r.place.address);
        raw_open_stream(&r, 6, "stuck.test:80");
        agent_raw_expect(&r.raw, "{\"method\":2,\"id\":2,\"address\":\"127.0.0.1\"}");
        agent_raw_expect(&r.raw, "{\"method\":2,\"id\":4,\"address\":\"127.0.0.1\"}");
        agent_raw_say(&r.raw, "{\"method\":3,\"id\":2,\"data\":\"AAEC\"}");
        test_env_until_count(&r.w.env, &r.place.count, 2);
        test_env_until_count(&r.w.env, &r.place.owners[0].received, 3);
        agent_raw_leave(&r.raw, ways[i]);
        for (size_t k = 0; k < 2; k++) {
            test_env_until_count(&r.w.env, &r.place.owners[k].errors, 1);
            assert_int_equal(r.place.owners[k].error, UV_ECONNRESET);
            assert_int_equal(r.place.owners[k].ends, 0);
        }
        agent_world_until(&r.w, AGENT_DOWN, 1);
        agent_world_until(&r.w, AGENT_STREAM_CLOSE, 2);
        assert_int_equal(r.w.close_status, WST_ELOST);
        assert_int_equal(r.w.seen[AGENT_STREAM_OPEN], 3);
        assert_int_equal(r.w.open_status, WST_ELOST); /* of the one being dialled */
        test_env_turns(&r.w.env, 10);
        assert_int_equal(wst_agent_streams(r.w.agent), 0);
        agent_world_until(&r.w, AGENT_UP, 2);
        raw_rig_free(&r);
    }
}

/* A server that drains: what is open goes on; it is not taken for a failure until it leaves. */
static void test_server_drains(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, WST_ENCODING_BINARY);
    rig_tunnel(&r);
    size_t lines = r.w.lines;
    wst_server_drain(r.w.server);
    test_env_until_count(&r.w.env, &r.w.lines, lines + 1); /* the agent has heard of it */
    assert_true(wst_agent_is_up(r.w.agent));
    send_all(&r, &r.t.owner, &r.place.owners[0], 100000);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    agent_world_stop_serving(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    test_env_until_count(&r.w.env, &r.place.owners[0].errors, 1);
    agent_world_serve(&r.w);
    agent_world_until(&r.w, AGENT_UP, 2);
    rig_free(&r);
}

/* --- the server loses interest --- */

static void test_cancelled_while_dialling(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, WST_ENCODING_BINARY);
    for (size_t n = 1; n <= 3; n++) {
        char destination[64];
        snprintf(destination, sizeof(destination), "stuck%u.test:80", (unsigned)n);
        agent_tunnel_start(&r.w, &r.t, destination);
        test_env_until_count(&r.w.env, &r.w.stuck_count, n);
        assert_int_equal(wst_agent_streams(r.w.agent), 1);
        agent_tunnel_close(&r.t);
        agent_world_until(&r.w, AGENT_STREAM_OPEN, n);
        assert_int_equal(r.w.open_status, WST_ECANCELLED);
        assert_string_equal(r.w.destination, destination);
        test_env_turns(&r.w.env, 3);
        assert_int_equal(wst_agent_streams(r.w.agent), 0);
    }
    /* A name found after all dials nothing. */
    wst_lookup_answer(r.w.stuck[--r.w.stuck_count], UV_EAI_NONAME, NULL, 0);
    assert_int_equal(r.w.seen[AGENT_STREAM_CLOSE], 0);
    rig_free(&r);
}

/* Many at a time, cancelled at any moment from the first one on: nothing stays behind. */
static void test_cancelled_at_random(void **state) {
    (void)state;
    enum { STREAMS = 40 };
    static agent_tunnel_t tunnels[STREAMS];
    uint64_t first, count;
    test_seeds(&first, &count, 5);
    for (uint64_t seed = first; seed < first + count; seed++) {
        agent_world_t w;
        agent_raw_t place; /* takes any number, and says nothing */
        uint64_t random = seed;
        char destination[64];
        agent_world_open(&w);
        memset(&place, 0, sizeof(place));
        place.manner = AGENT_RAW_SILENT;
        agent_raw_open(&w, &place);
        snprintf(destination, sizeof(destination), "%s", w.address);
        w.address[0] = '\0';
        agent_world_serve(&w);
        agent_world_start_up(&w);
        for (size_t i = 0; i < STREAMS; i++) {
            agent_tunnel_start(&w, &tunnels[i], destination);
            test_env_turns(&w.env, (int)(test_random(&random) % 3));
            agent_tunnel_close(&tunnels[test_random(&random) % (i + 1)]);
        }
        test_env_turns(&w.env, 5);
        for (size_t i = 0; i < STREAMS; i++)
            agent_tunnel_free(&tunnels[i]);
        while (wst_agent_streams(w.agent) > 0)
            uv_run(&w.env.loop, UV_RUN_ONCE);
        assert_true(wst_agent_is_up(w.agent));
        agent_raw_free(&place); /* waits until all its connections are gone */
        agent_world_free(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_destination_ends_first),
        cmocka_unit_test(test_destination_resets),
        cmocka_unit_test(test_server_resets),
        cmocka_unit_test(test_half_closed_timeout),
        cmocka_unit_test(test_not_opened),
        cmocka_unit_test(test_name_times_out),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_invalid_destinations),
        cmocka_unit_test(test_max_pending),
        cmocka_unit_test(test_max_streams),
        cmocka_unit_test(test_max_streams_at_the_server),
        cmocka_unit_test(test_link_lost),
        cmocka_unit_test(test_server_drains),
        cmocka_unit_test(test_cancelled_while_dialling),
        cmocka_unit_test(test_cancelled_at_random),
    };
    return cmocka_run_group_tests_name("agent_stream", tests, NULL, NULL);
}
