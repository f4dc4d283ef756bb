/* SPDX-License-Identifier: MIT */
/*
 * The uplink of the talk's protocol but for its stream: messages in all pieces, in and out of turn,
 * too long; questions, answers and those that do not come; when it is spent; ends in every state.
 */
#include "talk_rig.h"

#include <stdio.h>
#include <wstunnel/error.h>

static const char completed[] = "{\"method\":2,\"dest\":\"\",\"data\":null}";
static const char handshake[] = "{\"method\":1,\"dest\":\"host:1\",\"data\":null}";
static const char hello[] = "{\"method\":3,\"dest\":\"\",\"data\":\"aGVsbG8=\"}";

/* The peer is a plain WebSocket: the server of an agent, or the agent of a server. */
static void start_agent(websocket_rig_t *rig, talk_side_t *agent) {
    assert_true(websocket_rig_init(rig) && websocket_rig_join(rig, false));
    assert_int_equal(websocket_rig_serve(rig), 0);
    talk_connect(rig, agent);
    websocket_rig_until(rig, &agent->opens, 1);
    websocket_rig_until(rig, &rig->server.opens, 1);
}

static void start_server(websocket_rig_t *rig, talk_side_t *server) {
    assert_true(websocket_rig_init(rig) && websocket_rig_join(rig, false));
    talk_serve(rig, server);
    assert_int_equal(websocket_rig_connect(rig), 0);
    websocket_rig_until(rig, &server->opens, 1);
    websocket_rig_until(rig, &rig->client.opens, 1);
}

static void say(websocket_side_t *side, const char *text) {
    assert_true(websocket_side_send(side, true, text, strlen(text)) >= 0);
}

static void expect_heard(websocket_side_t *side, const char *text) {
    websocket_rig_until(side->rig, &side->messages, 1);
    assert_int_equal(side->messages, 1);
    assert_int_equal(side->received_len, strlen(text));
    assert_memory_equal(side->received, text, strlen(text));
}

/* Pieces ------------------------------------------------------------------------------------- */

static const char upgrade[] = "GET /websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/* What an agent says: completed, two messages of data, the second one fragmented around a ping,
 * and the end. */
static size_t conversation(uint8_t *out) {
    static const char world[] = "{\"data\":\"IHdvcmxk\", \"method\":3}";
    size_t n = websocket_rig_frame(out, 1, true, true, completed, strlen(completed));
    n += websocket_rig_frame(out + n, 2, true, true, hello, strlen(hello));
    n += websocket_rig_frame(out + n, 1, false, true, world, 9);
    n += websocket_rig_frame(out + n, 9, true, true, "ping", 4);
    n += websocket_rig_frame(out + n, 0, false, true, "", 0);
    n += websocket_rig_frame(out + n, 0, true, true, world + 9, strlen(world) - 9);
    return n + websocket_rig_frame(out + n, 8, true, true, "\x03\xe8", 2);
}

static bool contains(const uint8_t *bytes, size_t len, const void *part, size_t part_len) {
    for (size_t i = 0; i + part_len <= len; i++)
        if (memcmp(bytes + i, part, part_len) == 0)
            return true;
    return false;
}

/* The server hears it from pieces of that size, after a first one. */
static void converse(size_t first, size_t step) {
    static const char asked[] = "\x81\x28{\"method\":1,\"dest\":\"host:1\",\"data\":null}";
    uint8_t bytes[512];
    size_t len = conversation(bytes);
    websocket_rig_t rig;
    talk_side_t server = {.ask_early = "host:1"};
    assert_true(websocket_rig_init(&rig) && websocket_side_fake(&rig.server));
    fake_stream_t *fake = &rig.server.fake;
    talk_serve(&rig, &server);
    websocket_side_script(&rig.server, upgrade, strlen(upgrade));
    for (size_t at = 0, n = first; at < len; at += n, n = step) {
        n = n < len - at ? n : len - at;
        if (n > 0)
            websocket_side_script(&rig.server, bytes + at, n);
    }
    fake_stream_end(fake);
    websocket_rig_until(&rig, &server.answers, 1);
    assert_int_equal(server.status, 0);
    server.owner.patterned = false;
    wst_stream_read_start(server.owner.stream, 0);
    talk_until(&rig, &server.owner.ends, 1);
    assert_int_equal(server.owner.received, 11);
    assert_memory_equal(server.owner.first, "hello world", 11);
    assert_int_equal(server.owner.errors, 0);
    assert_true(contains(fake->written, fake->written_len, asked, sizeof(asked) - 1));
    assert_int_equal(wst_stream_shutdown(server.owner.stream), 0);
    talk_until(&rig, &server.owner.shutdowns, 1);
    sockets_close_owned(&server.owner);
    talk_until(&rig, &server.owner.closed, 1);
    assert_int_equal(fake->reset_reason, 0);
    talk_free(&rig, NULL, &server);
}

static void test_pieces(void **state) {
    (void)state;
    uint8_t bytes[512];
    size_t len = conversation(bytes);
    for (size_t first = 0; first <= len; first++)
        converse(first, len);
    converse(1, 1);
    converse(3, 7);
}

/* Out of turn, malformed, too long ------------------------------------------------------------- */

typedef enum phase { WAITING, ASKED, STREAM } phase_t;

static char too_long[5000]; /* spaces behind a JSON text: right, but for its length */

typedef struct breach {
    const char *message;
    int error;
    int code;
    const char *detail;
} breach_t;

/* The breach is told to whoever counts on the connection, and to the peer. */
static void expect_breach(bool agent, phase_t phase, const breach_t *b) {
    websocket_rig_t rig;
    talk_side_t side = {.policy = phase == STREAM ? TALK_ACCEPT : TALK_HOLD};
    if (agent)
        start_agent(&rig, &side);
    else
        start_server(&rig, &side);
    websocket_side_t *raw = agent ? &rig.server : &rig.client;
    if (phase != WAITING && agent) {
        say(raw, handshake);
        websocket_rig_until(&rig, &side.handshakes, 1);
    } else if (phase != WAITING) {
        assert_int_equal(talk_ask(&side, "host:1"), 0);
    }
    if (phase == STREAM && !agent) {
        say(raw, completed);
        websocket_rig_until(&rig, &side.answers, 1);
    }
    if (side.owner.stream != NULL)
        wst_stream_read_start(side.owner.stream, 0);
    say(raw, b->message);
    websocket_rig_until(&rig, &raw->overs, 1);
    char detail[300];
    snprintf(detail, sizeof(detail), "closed by the peer: %d %s", b->code, b->detail);
    assert_string_equal(raw->detail, detail);
    if (phase == STREAM) {
        assert_int_equal(side.owner.errors, 1);
        assert_int_equal(side.owner.error, b->error);
        assert_int_equal(side.owner.received, 0);
        assert_int_equal(side.downs, 0); /* before its stream is closed */
    } else {
        websocket_rig_until(&rig, &side.downs, 1);
        assert_int_equal(side.gones, agent && phase == ASKED);
        assert_int_equal(side.spents, agent && phase == ASKED);
        assert_int_equal(side.error, b->error);
        assert_string_equal(side.detail, b->detail);
        assert_int_equal(side.answers, !agent && phase == ASKED);
        assert_true(side.answers == 0 || side.status == b->error);
    }
    talk_free(&rig, agent ? &side : NULL, agent ? NULL : &side);
}

static void test_breaches(void **state) {
    (void)state;
    memset(too_long, ' ', sizeof(too_long) - 1);
    memcpy(too_long, completed, strlen(completed));
    static const char turn[] = "message out of turn";
    const breach_t always[] = {
        {"", WST_EPROTO, 1002, "empty message"},
        {"{}", WST_EPROTO, 1002, "method is missing or no number"},
        {"{\"method\":4}", WST_EPROTO, 1002, "unknown method"},
        {"{\"method\":3,\"data\":\"\"}", WST_EPROTO, 1002,
         "communication without data or with too much"},
    };
    const breach_t a_completed = {completed, WST_EPROTO, 1002, turn};
    const breach_t a_handshake = {handshake, WST_EPROTO, 1002, turn};
    const breach_t data = {hello, WST_EPROTO, 1002, turn};
    const breach_t big = {too_long, WST_EMSGBIG, 1009, "message too big"};
    for (int agent = 0; agent < 2; agent++) {
        for (phase_t phase = WAITING; phase <= STREAM; phase++) {
            for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
                expect_breach(agent, phase, &always[i]);
            if (phase != STREAM) {
                expect_breach(agent, phase, &big);
                expect_breach(agent, phase, &data);
            }
            if (agent || phase != ASKED)
                expect_breach(agent, phase, &a_completed);
            if (!agent || phase != WAITING)
                expect_breach(agent, phase, &a_handshake);
        }
    }
}

/* Questions ------------------------------------------------------------------------------------ */

static void test_question_and_answer(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start_server(&rig, &server);
    assert_int_equal(talk_ask(&server, "host:1"), 0);
    expect_heard(&rig.client, handshake);
    assert_int_equal(rig.client.texts, 1);
    assert_int_equal(talk_ask(&server, "other:1"), WST_ELIMIT); /* one stream, no more */
    say(&rig.client, completed);
    websocket_rig_until(&rig, &server.answers, 1);
    assert_int_equal(server.status, 0);
    assert_string_equal(wst_stream_peer(server.owner.stream), "tunnel to host:1");
    talk_free(&rig, NULL, &server);

    talk_side_t agent = {0};
    start_agent(&rig, &agent);
    say(&rig.server, handshake);
    websocket_rig_until(&rig, &agent.handshakes, 1);
    assert_string_equal(agent.dest, "host:1");
    expect_heard(&rig.server, completed);
    assert_int_equal(rig.server.texts, 1);
    talk_free(&rig, &agent, NULL);
}

static void test_wrong_destination(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start_server(&rig, &server);
    assert_int_equal(talk_ask(&server, "a b:1"), WST_EDEST);
    assert_int_equal(talk_ask(&server, "host:1"), 0); /* it is still good for another */
    talk_free(&rig, NULL, &server);
}

static void test_refusal(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t agent = {.policy = TALK_REFUSE}, server = {0};
    talk_start(&rig, &agent, &server);
    assert_int_equal(talk_ask(&server, "host:1"), 0);
    websocket_rig_until(&rig, &server.answers, 1);
    assert_int_equal(server.status, WST_EUNREACHABLE);
    assert_string_equal(server.text, "the agent left instead of connecting: "
                                     "closed by the peer: 1011 connection refused");
    websocket_rig_until(&rig, &server.closed, 1);
    websocket_rig_until(&rig, &agent.closed, 1);
    assert_int_equal(server.downs, 1);
    assert_int_equal(server.error, WST_EWSCLOSED);
    assert_int_equal(server.answers, 1);
    assert_int_equal(agent.downs, 1);
    assert_int_equal(agent.error, 0); /* that is how it was meant */
    assert_int_equal(agent.spents, 1);
    talk_free(&rig, &agent, &server);
}

/* The talk's agent dies if it cannot connect. */
static void test_agent_drops_the_question(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start_server(&rig, &server);
    assert_int_equal(talk_ask(&server, "host:1"), 0);
    expect_heard(&rig.client, handshake);
    websocket_side_close(&rig.client);
    websocket_rig_until(&rig, &server.answers, 1);
    assert_int_equal(server.status, WST_EUNREACHABLE);
    assert_int_equal(server.downs, 1);
    talk_free(&rig, NULL, &server);
}

static void test_cancel(void **state) {
    (void)state;
    for (int orderly = 0; orderly < 2; orderly++) {
        websocket_rig_t rig;
        talk_side_t agent = {.policy = TALK_HOLD}, server = {0};
        talk_start(&rig, &agent, &server);
        assert_int_equal(talk_ask(&server, "host:1"), 0);
        websocket_rig_until(&rig, &agent.handshakes, 1);
        if (orderly)
            talk_cancel(&server);
        else
            talk_close(&server);
        websocket_rig_until(&rig, &agent.gones, 1);
        assert_int_equal(agent.gone_reason, orderly ? WST_ECANCELLED : WST_ELOST);
        websocket_rig_until(&rig, &agent.closed, 1);
        websocket_rig_until(&rig, &server.closed, 1);
        assert_int_equal(agent.spents, 1);
        assert_int_equal(agent.downs, 1);
        assert_int_equal(server.downs, orderly);
        assert_int_equal(server.error, 0);
        assert_int_equal(server.answers, !orderly); /* nobody waits for ever */
        assert_true(orderly || server.status == WST_ELOST);
        talk_free(&rig, &agent, &server);
    }
}

static void test_late_accept(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t agent = {.policy = TALK_HOLD}, server = {0};
    talk_start(&rig, &agent, &server);
    assert_int_equal(talk_ask(&server, "host:1"), 0);
    websocket_rig_until(&rig, &agent.handshakes, 1);
    websocket_rig_turns(&rig, 5);
    assert_int_equal(server.answers, 0);
    assert_int_equal(talk_accept(&agent), 0);
    websocket_rig_until(&rig, &server.answers, 1);
    assert_int_equal(server.status, 0);
    talk_free(&rig, &agent, &server);
}

/* Ends ----------------------------------------------------------------------------------------- */

static void test_peer_leaves_while_it_waits(void **state) {
    (void)state;
    for (int agent = 0; agent < 2; agent++) {
        for (int orderly = 0; orderly < 2; orderly++) {
            websocket_rig_t rig;
            talk_side_t side = {0};
            if (agent)
                start_agent(&rig, &side);
            else
                start_server(&rig, &side);
            websocket_side_t *raw = agent ? &rig.server : &rig.client;
            if (orderly)
                wst_websocket_end(raw->ws, 1001, "bye");
            else
                websocket_side_close(raw);
            websocket_rig_until(&rig, &side.closed, 1);
            assert_int_equal(side.downs, 1);
            if (orderly)
                assert_int_equal(side.error, WST_EWSCLOSED);
            talk_free(&rig, agent ? &side : NULL, agent ? NULL : &side);
        }
    }
}

static void test_end_is_told_to_the_peer(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t server = {0};
    start_server(&rig, &server);
    talk_end(&server, 1001, "going away");
    talk_end(&server, 1011, "again"); /* changes nothing */
    say(&rig.client, hello);          /* too late */
    websocket_rig_until(&rig, &rig.client.overs, 1);
    assert_string_equal(rig.client.detail, "closed by the peer: 1001 going away");
    websocket_rig_until(&rig, &server.closed, 1);
    assert_int_equal(server.downs, 1);
    assert_int_equal(server.error, 0);
    talk_free(&rig, NULL, &server);
}

/* Whoever ends it while it is in use ends that, too: at once, or the far side would take it for the
 * stream's end. */
static void test_end_in_use(void **state) {
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        websocket_rig_t rig;
        talk_side_t agent = {.policy = stream ? TALK_ACCEPT : TALK_HOLD}, server = {0};
        talk_start(&rig, &agent, &server);
        assert_int_equal(talk_ask(&server, "host:1"), 0);
        websocket_rig_until(&rig, stream ? &server.answers : &agent.handshakes, 1);
        talk_end(&server, 1001, "going away");
        assert_int_equal(server.downs, 0);
        if (stream) {
            talk_until(&rig, &server.owner.errors, 1);
            assert_int_equal(server.owner.error, WST_ELOST);
            sockets_close_owned(&server.owner);
            wst_stream_read_start(agent.owner.stream, 0);
            talk_until(&rig, &agent.owner.errors, 1);
        } else {
            websocket_rig_until(&rig, &server.answers, 1);
            assert_int_equal(server.status, WST_ELOST);
            websocket_rig_until(&rig, &agent.gones, 1);
        }
        websocket_rig_until(&rig, &server.closed, 1);
        assert_int_equal(server.error, 0);
        talk_free(&rig, &agent, &server);
    }
}

static void goaway(talk_side_t *side) {
    websocket_rig_call(side->rig);
    side->uplink->ops->goaway(side->uplink);
    websocket_rig_called(side->rig);
}

/* One that waits is of no use any more; one that is used goes on. */
static void test_goaway(void **state) {
    (void)state;
    for (int from_agent = 0; from_agent < 2; from_agent++) {
        websocket_rig_t rig;
        talk_side_t agent = {0}, server = {0};
        talk_start(&rig, &agent, &server);
        talk_side_t *first = from_agent ? &agent : &server, *second = from_agent ? &server : &agent;
        goaway(first);
        websocket_rig_until(&rig, &second->closed, 1);
        assert_string_equal(second->detail,
                            from_agent ? "closed by the peer: 1001 drained"
                                       : "closed by the peer: 1001 server is shutting down");
        websocket_rig_until(&rig, &first->closed, 1);
        assert_int_equal(first->error, 0);
        talk_free(&rig, &agent, &server);

        talk_side_t agent2 = {0}, server2 = {0};
        talk_start_stream(&rig, &agent2, &server2, true);
        goaway(from_agent ? &agent2 : &server2);
        websocket_rig_turns(&rig, 10);
        assert_int_equal(agent2.downs + server2.downs, 0);
        assert_int_equal(agent2.owner.errors + server2.owner.errors, 0);
        talk_free(&rig, &agent2, &server2);
    }
}

static void test_end_before_it_is_open(void **state) {
    (void)state;
    for (int close = 0; close < 2; close++) {
        websocket_rig_t rig;
        talk_side_t agent = {0};
        assert_true(websocket_rig_init(&rig) && websocket_side_fake(&rig.client));
        talk_connect(&rig, &agent);
        if (close)
            talk_close(&agent);
        else
            talk_end(&agent, 1001, "");
        websocket_rig_until(&rig, &agent.closed, 1);
        assert_int_equal(agent.opens, 0);
        assert_int_equal(agent.downs, !close);
        assert_true(close || agent.error == WST_ECANCELLED);
        talk_free(&rig, &agent, NULL);
    }
}

static void test_no_upgrade(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t agent = {0};
    assert_true(websocket_rig_init(&rig) && websocket_side_fake(&rig.client));
    talk_connect(&rig, &agent);
    static const char answer[] = "HTTP/1.1 404 Not Found\r\n\r\n";
    websocket_side_script(&rig.client, answer, strlen(answer));
    websocket_rig_until(&rig, &agent.closed, 1);
    assert_int_equal(agent.downs, 1);
    assert_int_equal(agent.error, WST_EREJECTED);
    assert_int_equal(agent.http_status, 404);
    assert_string_equal(agent.detail, "the server answered 404 Not Found");
    talk_free(&rig, &agent, NULL);
}

/* What it is to its owner ---------------------------------------------------------------------- */

/* The far side says nothing of itself. */
static void expect_name(const char *given, const char *name) {
    websocket_rig_t rig;
    talk_side_t agent = {0}, server = {.given_name = given};
    assert_true(websocket_rig_init(&rig) && websocket_rig_join(&rig, true));
    talk_serve(&rig, &server);
    talk_connect(&rig, &agent);
    websocket_rig_until(&rig, &server.opens, 1);
    assert_string_equal(server.name, name);
    assert_true(server.uplink->renews);
    websocket_rig_until(&rig, &agent.opens, 1);
    assert_true(agent.conn != server.conn);
    talk_free(&rig, &agent, &server);
}

static void test_names(void **state) {
    (void)state;
    char name[100];
    memset(name, 'x', sizeof(name));
    name[99] = '\0';
    char cut[WST_NAME_MAX + 1];
    memset(cut, 'x', sizeof(cut));
    cut[WST_NAME_MAX] = '\0';
    expect_name(NULL, "127.0.0.1");
    expect_name("", "127.0.0.1");
    expect_name("127.*", "127.0.0.1");
    expect_name("berlin", "berlin");
    expect_name(name, cut);
}

static size_t load_of(const talk_side_t *side) {
    return side->uplink->ops->load(side->uplink);
}

static int can_open(const talk_side_t *side) {
    return side->uplink->ops->can_open(side->uplink);
}

static void test_load(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t agent = {.policy = TALK_HOLD}, server = {0};
    assert_true(websocket_rig_init(&rig) && websocket_rig_join(&rig, false));
    talk_serve(&rig, &server);
    talk_connect(&rig, &agent);
    assert_int_equal(can_open(&agent), WST_ELOST);
    websocket_rig_until(&rig, &agent.opens, 1);
    websocket_rig_until(&rig, &server.opens, 1);
    assert_int_equal(can_open(&agent), WST_ELIMIT); /* the server takes none */
    assert_int_equal(can_open(&server), 0);
    assert_int_equal(load_of(&server), 0);
    int changes = server.changes;
    assert_int_equal(talk_ask(&server, "host:1"), 0);
    assert_true(server.changes > changes);
    assert_int_equal(can_open(&server), WST_ELIMIT);
    assert_int_equal(load_of(&server), 1);
    websocket_rig_until(&rig, &agent.handshakes, 1);
    assert_int_equal(load_of(&agent), 1);
    assert_int_equal(talk_accept(&agent), 0);
    websocket_rig_until(&rig, &server.answers, 1);
    assert_int_equal(load_of(&server), 1);
    changes = server.changes;
    sockets_close_owned(&server.owner);
    assert_true(server.changes > changes);
    assert_int_equal(load_of(&server), 0);
    assert_int_equal(can_open(&server), WST_ELIMIT);
    websocket_rig_until(&rig, &server.closed, 1);
    assert_int_equal(server.error, 0);
    assert_string_equal(server.detail, "its connection has been used");
    talk_free(&rig, &agent, &server);
}

/* With others that wait it is spent at once. */
static void test_spent_at_once(void **state) {
    (void)state;
    websocket_rig_t rig;
    talk_side_t agent = {.policy = TALK_HOLD}, server = {0};
    talk_start(&rig, &agent, &server);
    assert_int_equal(agent.spents, 0);
    assert_int_equal(talk_ask(&server, "host:1"), 0);
    websocket_rig_until(&rig, &agent.handshakes, 1);
    assert_int_equal(agent.spents, 1);
    assert_int_equal(server.spents, 0);
    talk_free(&rig, &agent, &server);
}

/* The only one is spent when its stream is settled, not before. */
static void test_spent_when_settled(void **state) {
    (void)state;
    enum { BYTES, TIME, REFUSED, CANCELLED, LOST, CASES };
    for (int i = 0; i < CASES; i++) {
        websocket_rig_t rig;
        talk_side_t agent = {.policy = TALK_HOLD, .single = true}, server = {0};
        talk_start(&rig, &agent, &server);
        assert_int_equal(talk_ask(&server, "host:1"), 0);
        websocket_rig_until(&rig, &agent.handshakes, 1);
        websocket_rig_pass(&rig, 100000); /* our answer is awaited */
        assert_int_equal(agent.spents, 0);
        if (i == BYTES || i == TIME) {
            assert_int_equal(talk_accept(&agent), 0);
            websocket_rig_until(&rig, &server.answers, 1);
            websocket_rig_pass(&rig, 150);
            assert_int_equal(agent.spents, 0);
        }
        if (i == BYTES) {
            wst_stream_read_start(agent.owner.stream, 0);
            const uint8_t byte = sockets_pattern(0);
            const wst_slice_t slice = wst_slice_static(&byte, 1);
            assert_true(wst_stream_write(server.owner.stream, &slice, 1) >= 0);
            websocket_rig_until(&rig, &agent.spents, 1);
        } else if (i == TIME) {
            websocket_rig_pass(&rig, 250);
            assert_int_equal(agent.spents, 1);
        } else if (i == REFUSED) {
            talk_refuse(&agent, NULL);
            assert_int_equal(agent.spents, 0);
            websocket_rig_pass(&rig, 250);
            assert_int_equal(agent.spents, 1);
        } else if (i == CANCELLED) {
            talk_cancel(&server);
            websocket_rig_until(&rig, &agent.gones, 1);
            assert_int_equal(agent.spents, 1);
        } else {
            talk_close(&server);
            websocket_rig_until(&rig, &agent.downs, 1);
            assert_int_equal(agent.spents, 1); /* told first */
        }
        talk_free(&rig, &agent, &server);
        assert_int_equal(agent.spents, 1);
    }
}

/* Without memory ------------------------------------------------------------------------------- */

static void start_reading(talk_side_t *side) {
    if (side->owner.stream != NULL && side->owner.errors == 0)
        wst_stream_read_start(side->owner.stream, 0);
}

static bool failed(const talk_side_t *side) {
    return side->closed > 0 || side->owner.errors > 0;
}

/* Opens, sends a little both ways, ends; whatever fails is told, and nothing is left. */
static void scenario(void *arg) {
    (void)arg;
    websocket_rig_t rig;
    talk_side_t agent = {0}, server = {.ask_early = "host:1"};
    if (!websocket_rig_init(&rig) || !websocket_rig_join(&rig, false)) {
        websocket_rig_free(&rig);
        return;
    }
    talk_serve(&rig, &server);
    talk_connect(&rig, &agent);
    for (int i = 0; i < 60; i++)
        websocket_rig_turns(&rig, 1);
    start_reading(&agent);
    start_reading(&server);
    talk_side_t *sides[] = {&agent, &server};
    for (size_t i = 0; i < 2; i++) {
        wst_slice_t slice;
        const uint8_t byte = sockets_pattern(0);
        if (sides[i]->owner.stream == NULL || failed(sides[i]) ||
            wst_slice_copy(&slice, rig.ctx, &byte, 1) != 0)
            continue;
        (void)!wst_stream_write(sides[i]->owner.stream, &slice, 1);
    }
    websocket_rig_turns(&rig, 20);
    if (agent.owner.stream != NULL && !failed(&agent))
        (void)!wst_stream_shutdown(agent.owner.stream);
    websocket_rig_turns(&rig, 40);
    if (!test_alloc_failed()) {
        assert_int_equal(agent.owner.received, 1);
        assert_int_equal(server.owner.received, 1);
        assert_int_equal(server.owner.ends, 1);
        assert_int_equal(agent.owner.shutdowns, 1);
    }
    talk_free(&rig, &agent, &server);
}

static void test_without_memory(void **state) {
    (void)state;
    assert_true(test_alloc_each(scenario, NULL) > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_breaches),
        cmocka_unit_test(test_question_and_answer),
        cmocka_unit_test(test_wrong_destination),
        cmocka_unit_test(test_refusal),
        cmocka_unit_test(test_agent_drops_the_question),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_late_accept),
        cmocka_unit_test(test_peer_leaves_while_it_waits),
        cmocka_unit_test(test_end_is_told_to_the_peer),
        cmocka_unit_test(test_end_in_use),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_end_before_it_is_open),
        cmocka_unit_test(test_no_upgrade),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_spent_at_once),
        cmocka_unit_test(test_spent_when_settled),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
