/* SPDX-License-Identifier: MIT */
/* The opening handshake of WebSockets, both sides against scripted peers: each way to succeed and
 * to fail that websocket.h names. */
#include "websocket_rig.h"

#include <stdio.h>
#include <wstunnel/error.h>

static const char good_answer[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                  "Upgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n"
                                  "Sec-WebSocket-Accept: @\r\n"
                                  "Sec-WebSocket-Protocol: two\r\n"
                                  "\r\n";

/* RFC 6455 section 1.3 */
#define REQUEST(more)                                                                              \
    "GET /chat HTTP/1.1\r\n"                                                                       \
    "Host: a.test\r\n"                                                                             \
    "Upgrade: websocket\r\n"                                                                       \
    "Connection: Upgrade\r\n"                                                                      \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" more "\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"

static const char *const protocols[] = {"one", "two", NULL};

static void start_client(websocket_rig_t *rig) {
    assert_true(websocket_rig_init(rig));
    assert_true(websocket_side_fake(&rig->client));
    rig->client.options.protocols = protocols;
    assert_int_equal(websocket_rig_connect(rig), 0);
}

static void start_server(websocket_rig_t *rig) {
    assert_true(websocket_rig_init(rig));
    assert_true(websocket_side_fake(&rig->server));
    rig->server.options.protocols = protocols;
    assert_int_equal(websocket_rig_serve(rig), 0);
}

static void assert_wrote(const fake_stream_t *fake, size_t from, const char *text) {
    size_t len = strlen(text);
    assert_true(fake->written_len >= from + len);
    assert_memory_equal(fake->written + from, text, len);
}

/* --- the client --- */

static void test_request(void **state) {
    (void)state;
    websocket_rig_t rig;
    assert_true(websocket_rig_init(&rig));
    assert_true(websocket_side_fake(&rig.client));
    rig.client.options.protocols = protocols;
    rig.client.options.path = "/chat?x=1";
    rig.client.options.fields = "Authorization: Basic eDp5\r\nX: y\r\n";
    assert_int_equal(websocket_rig_connect(&rig), 0);
    static const char before[] = "GET /chat?x=1 HTTP/1.1\r\n"
                                 "Host: a.test\r\n"
                                 "Upgrade: websocket\r\n"
                                 "Connection: Upgrade\r\n"
                                 "Sec-WebSocket-Version: 13\r\n"
                                 "Sec-WebSocket-Key: ";
    static const char behind[] = "\r\n"
                                 "Sec-WebSocket-Protocol: one\r\n"
                                 "Sec-WebSocket-Protocol: two\r\n"
                                 "Authorization: Basic eDp5\r\n"
                                 "X: y\r\n"
                                 "\r\n";
    assert_int_equal(rig.client.fake.written_len, strlen(before) + 24 + strlen(behind));
    assert_wrote(&rig.client.fake, 0, before);
    assert_wrote(&rig.client.fake, strlen(before) + 24, behind);
    assert_int_equal(wst_websocket_http_status(rig.client.ws), 0);
    assert_string_equal(wst_websocket_peer(rig.client.ws), "fake");
    websocket_rig_free(&rig);
    assert_int_equal(rig.client.overs, 0);
}

/* The answer and a message behind it, split in two at `split`; `each`: byte by byte. */
static void try_answer(size_t split, bool each, size_t *total) {
    websocket_rig_t rig;
    start_client(&rig);
    uint8_t bytes[512];
    size_t len = websocket_side_answer(&rig.client, good_answer, (char *)bytes, sizeof(bytes));
    len += websocket_rig_frame(bytes + len, 1, false, false, "hel", 3);
    len += websocket_rig_frame(bytes + len, 0, true, false, "lo", 2);
    len += websocket_rig_frame(bytes + len, 2, true, false, "bytes", 5);
    *total = len;
    if (each) {
        for (size_t i = 0; i < len; i++)
            websocket_side_script(&rig.client, bytes + i, 1);
    } else {
        if (split > 0)
            websocket_side_script(&rig.client, bytes, split);
        if (split < len)
            websocket_side_script(&rig.client, bytes + split, len - split);
    }
    websocket_rig_turns(&rig, (int)len + 5);
    assert_int_equal(rig.client.opens, 1);
    assert_string_equal(rig.client.protocol, "two");
    assert_int_equal(rig.client.messages, 2);
    assert_int_equal(rig.client.texts, 1);
    assert_int_equal(rig.client.received_len, 10);
    assert_memory_equal(rig.client.received, "hellobytes", 10);
    assert_int_equal(wst_websocket_http_status(rig.client.ws), 101);
    websocket_rig_free(&rig);
    assert_int_equal(rig.client.overs, 0);
}

static void test_answer_split(void **state) {
    (void)state;
    size_t total = 1;
    for (size_t split = 0; split <= total; split++)
        try_answer(split, false, &total);
    try_answer(0, true, &total);
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        const char *answer;
        int error, http_status;
        const char *detail; /* a part of it */
    } table[] = {
        {"HTTP/1.1 401 No such agent\r\nContent-Length: 0\r\n\r\n", WST_EREJECTED, 401,
         "the server answered 401 No such agent"},
        {"HTTP/1.1 403 Forbidden\r\n\r\n", WST_EREJECTED, 403, "403 Forbidden"},
        {"HTTP/1.1 403 Forbidden\r\nVia: 1.1 gate\r\nServer: squid/5.7\r\n\r\n", WST_EREJECTED, 403,
         "the server answered 403 Forbidden (Server: squid/5.7; Via: 1.1 gate)"},
        {"HTTP/1.1 200\r\n\r\n", WST_EREJECTED, 200, "200"},
        {"HTTP/1.0 502 Bad Gateway\r\n\r\n", WST_EREJECTED, 502, "502"},
        {"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
         WST_EHANDSHAKE, 101, "wrong Sec-WebSocket-Accept"},
        {"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", WST_EHANDSHAKE,
         101, "Sec-WebSocket-Accept"},
        {"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: @\r\n\r\n",
         WST_EHANDSHAKE, 101, "no Upgrade"},
        {"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: @\r\n\r\n", WST_EHANDSHAKE,
         101, "no Connection"},
        {"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: @\r\nSec-WebSocket-Protocol: three\r\n\r\n",
         WST_EHANDSHAKE, 101, "was not offered"},
        {"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: @\r\nSec-WebSocket-Extensions: x\r\n\r\n",
         WST_EHANDSHAKE, 101, "extension"},
        {"SSH-2.0-OpenSSH_9.2\r\n\r\n", WST_EHANDSHAKE, 0, ""},
        {"HTTP/1.1 101 OK\r\nUpgrade : websocket\r\n\r\n", WST_EHANDSHAKE, 0, ""},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        websocket_rig_t rig;
        start_client(&rig);
        char answer[512];
        size_t len = websocket_side_answer(&rig.client, table[i].answer, answer, sizeof(answer));
        websocket_side_script(&rig.client, answer, len);
        websocket_rig_turns(&rig, 5);
        assert_int_equal(rig.client.opens, 0);
        assert_int_equal(rig.client.overs, 1);
        assert_int_equal(rig.client.error, table[i].error);
        assert_int_equal(rig.client.http_status, table[i].http_status);
        assert_true(rig.client.detail[0] != '\0');
        assert_non_null(strstr(rig.client.detail, table[i].detail));
        assert_false(rig.client.fake.reading);
        websocket_rig_free(&rig);
        assert_int_equal(rig.client.fake.reset_reason, WST_ECANCELLED);
    }
}

static void test_answer_too_large(void **state) {
    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        websocket_rig_t rig;
        start_client(&rig);
        static char line[1024];
        memset(line, 'x', sizeof(line));
        memcpy(line, "X: ", 3);
        memcpy(line + sizeof(line) - 2, "\r\n", 2);
        websocket_side_script(&rig.client, "HTTP/1.1 200 OK\r\n", 17);
        for (int i = 0; i < 15; i++)
            websocket_side_script(&rig.client, line, sizeof(line));
        assert_int_equal(rig.client.overs, 0);
        /* 16384 bytes fit, the empty line with them. */
        size_t last = 16384 - 17 - 15 * sizeof(line) - 2 + (size_t)extra;
        websocket_side_script(&rig.client, line, last - 2);
        websocket_side_script(&rig.client, "\r\n\r\n", 4);
        websocket_rig_turns(&rig, 30);
        assert_int_equal(rig.client.overs, 1);
        assert_int_equal(rig.client.error, extra ? WST_EHANDSHAKE : WST_EREJECTED);
        websocket_rig_free(&rig);
    }
}

/* Without a protocol in the answer it is open with none; whether that will do is the owner's. */
static void test_no_protocol(void **state) {
    (void)state;
    websocket_rig_t rig;
    start_client(&rig);
    char answer[512];
    size_t len =
        websocket_side_answer(&rig.client,
                              "HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Accept: @\r\n\r\n",
                              answer, sizeof(answer));
    websocket_side_script(&rig.client, answer, len);
    websocket_rig_turns(&rig, 5);
    assert_int_equal(rig.client.opens, 1);
    assert_string_equal(rig.client.protocol, "");
    websocket_rig_free(&rig);
}

static void test_no_answer(void **state) {
    (void)state;
    enum { END, END_IN_HEAD, BREAK, DEADLINE, ENDED_BY_US, CASES };
    for (int i = 0; i < CASES; i++) {
        websocket_rig_t rig;
        start_client(&rig);
        if (i == END_IN_HEAD)
            websocket_side_script(&rig.client, "HTTP/1.1 101", 12);
        if (i == END || i == END_IN_HEAD)
            fake_stream_end(&rig.client.fake);
        if (i == BREAK)
            fake_stream_error(&rig.client.fake, UV_ECONNRESET);
        websocket_rig_pass(&rig, 9990);
        assert_int_equal(rig.client.overs, 0);
        if (i == DEADLINE)
            websocket_rig_pass(&rig, 10010);
        if (i == ENDED_BY_US) {
            websocket_rig_call(&rig);
            wst_websocket_end(rig.client.ws, 1000, NULL);
            websocket_rig_called(&rig);
        }
        websocket_rig_turns(&rig, 5);
        assert_int_equal(rig.client.overs, 1);
        assert_int_equal(rig.client.opens, 0);
        static const int errors[] = {UV_EOF, UV_EOF, UV_ECONNRESET, WST_ETIMEOUT, WST_ECANCELLED};
        assert_int_equal(rig.client.error, errors[i]);
        assert_int_equal(websocket_side_send(&rig.client, true, "x", 1), WST_ESTATE);
        websocket_rig_free(&rig);
    }
}

static const wst_websocket_callbacks_t without_on_over = {.size = sizeof(without_on_over)};

static void test_client_arguments(void **state) {
    (void)state;
    websocket_rig_t rig;
    assert_true(websocket_rig_init(&rig));
    assert_true(websocket_side_fake(&rig.client));
    wst_websocket_options_t good = rig.client.options;
    static char huge[20000];
    memset(huge, 'x', sizeof(huge) - 1);
    memcpy(huge, "X: ", 3);
    memcpy(huge + sizeof(huge) - 3, "\r\n", 2);
    rig.client.options.host = NULL;
    assert_int_equal(websocket_rig_connect(&rig), WST_EINVAL);
    rig.client.options = good;
    rig.client.options.callbacks = &without_on_over;
    assert_int_equal(websocket_rig_connect(&rig), WST_EINVAL);
    rig.client.options = good;
    rig.client.options.path = "/x\r\nEvil: 1";
    assert_int_equal(websocket_rig_connect(&rig), WST_EINVAL);
    rig.client.options.path = NULL;
    rig.client.options.fields = huge;
    assert_int_equal(websocket_rig_connect(&rig), WST_EHEADBIG);
    assert_int_equal(rig.client.fake.written_len, 0);
    /* The stream is still ours after errors, even one of its own. */
    rig.client.options = good;
    rig.client.fake.write_status = UV_EPIPE;
    assert_int_equal(websocket_rig_connect(&rig), UV_EPIPE);
    assert_false(rig.client.fake.closed);
    websocket_rig_free(&rig);
}

/* Paused before it opens: what came with the head is delivered, nothing behind that. */
static void test_paused_before_open(void **state) {
    (void)state;
    websocket_rig_t rig;
    start_client(&rig);
    websocket_rig_call(&rig);
    wst_websocket_read_stop(rig.client.ws);
    websocket_rig_called(&rig);
    uint8_t bytes[512];
    size_t len = websocket_side_answer(&rig.client, good_answer, (char *)bytes, sizeof(bytes));
    len += websocket_rig_frame(bytes + len, 2, true, false, "now", 3);
    websocket_side_script(&rig.client, bytes, len);
    len = websocket_rig_frame(bytes, 2, true, false, "later", 5);
    websocket_side_script(&rig.client, bytes, len);
    websocket_rig_turns(&rig, 10);
    assert_int_equal(rig.client.opens, 1);
    assert_int_equal(rig.client.messages, 1);
    assert_false(rig.client.fake.reading);
    websocket_rig_call(&rig);
    wst_websocket_read_start(rig.client.ws);
    websocket_rig_called(&rig);
    websocket_rig_turns(&rig, 10);
    assert_int_equal(rig.client.messages, 2);
    websocket_rig_free(&rig);
}

/* The stream may make the request wait. */
static void test_request_waits(void **state) {
    (void)state;
    websocket_rig_t rig;
    assert_true(websocket_rig_init(&rig));
    assert_true(websocket_side_fake(&rig.client));
    rig.client.fake.write_status = WST_WAIT;
    assert_int_equal(websocket_rig_connect(&rig), 0);
    websocket_rig_turns(&rig, 3);
    fake_stream_drain(&rig.client.fake);
    websocket_rig_turns(&rig, 3);
    assert_int_equal(rig.client.drains, 0);
    websocket_rig_free(&rig);
}

/* --- the server --- */

static const char good_response[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                    "Upgrade: websocket\r\n"
                                    "Connection: Upgrade\r\n"
                                    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                    "Sec-WebSocket-Protocol: one\r\n"
                                    "\r\n";

/* Any order of the offer: ours counts. A message lies right behind the head. */
static void try_request(size_t split, bool each, size_t *total) {
    websocket_rig_t rig;
    start_server(&rig);
    static const char head[] = REQUEST(VERSION "Sec-WebSocket-Protocol: x, two ,one\r\n");
    uint8_t bytes[512];
    size_t len = strlen(head);
    memcpy(bytes, head, len);
    len += websocket_rig_frame(bytes + len, 1, true, true, "early", 5);
    *total = len;
    if (each) {
        for (size_t i = 0; i < len; i++)
            websocket_side_script(&rig.server, bytes + i, 1);
    } else {
        if (split > 0)
            websocket_side_script(&rig.server, bytes, split);
        if (split < len)
            websocket_side_script(&rig.server, bytes + split, len - split);
    }
    websocket_rig_turns(&rig, (int)len + 8);
    assert_int_equal(rig.server.accept_status, 0);
    assert_int_equal(rig.server.opens, 1);
    assert_string_equal(rig.server.protocol, "one");
    assert_int_equal(rig.server.texts, 1);
    assert_int_equal(rig.server.received_len, 5);
    assert_memory_equal(rig.server.received, "early", 5);
    assert_int_equal(rig.server.fake.written_len, strlen(good_response));
    assert_wrote(&rig.server.fake, 0, good_response);
    websocket_rig_free(&rig);
}

static void test_request_split(void **state) {
    (void)state;
    size_t total = 1;
    for (size_t split = 0; split <= total; split++)
        try_request(split, false, &total);
    try_request(0, true, &total);
}

static void test_server_refuses(void **state) {
    (void)state;
    static const struct {
        const char *request, *answer, *field;
    } table[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405 Method not allowed\r\n",
         "Allow: GET\r\n"},
        {REQUEST("Sec-WebSocket-Version: 8\r\n"), "HTTP/1.1 426 Upgrade required\r\n",
         "Sec-WebSocket-Version: 13\r\n"},
        {REQUEST(""), "HTTP/1.1 400 ", "no Sec-WebSocket-Version"},
        {REQUEST(VERSION "Sec-WebSocket-Protocol: One, three\r\n"), "HTTP/1.1 400 ",
         "none of the subprotocols"},
        {REQUEST(VERSION), "HTTP/1.1 400 ", "none of the subprotocols"},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 ", "no Upgrade"},
        {REQUEST(VERSION "Content-Length: 3\r\n") "abc", "HTTP/1.1 400 ", "body"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" VERSION
         "Sec-WebSocket-Key: short\r\n\r\n",
         "HTTP/1.1 400 ", "Sec-WebSocket-Key"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        websocket_rig_t rig;
        start_server(&rig);
        websocket_side_script(&rig.server, table[i].request, strlen(table[i].request));
        fake_stream_end(&rig.server.fake);
        websocket_rig_turns(&rig, 10);
        assert_int_equal(rig.server.accept_status, WST_EHANDSHAKE);
        assert_null(rig.server.ws);
        assert_true(rig.server.hijack_done);
        assert_wrote(&rig.server.fake, 0, table[i].answer);
        char text[1024];
        assert_true(rig.server.fake.written_len < sizeof(text));
        memcpy(text, rig.server.fake.written, rig.server.fake.written_len);
        text[rig.server.fake.written_len] = '\0';
        assert_non_null(strstr(text, table[i].field));
        websocket_rig_free(&rig);
    }
}

/* Without protocols of its own the server takes any offer, and chooses none. */
static void test_server_without_protocols(void **state) {
    (void)state;
    websocket_rig_t rig;
    start_server(&rig);
    rig.server.options.protocols = NULL;
    static const char head[] = REQUEST(VERSION "Sec-WebSocket-Protocol: one\r\n");
    websocket_side_script(&rig.server, head, strlen(head));
    websocket_rig_turns(&rig, 8);
    assert_int_equal(rig.server.opens, 1);
    assert_string_equal(rig.server.protocol, "");
    websocket_rig_free(&rig);
}

static void on_request(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data) {
    websocket_side_t *side = user_data;
    wst_websocket_options_t options = side->options;
    options.callbacks = &without_on_over;
    assert_true(wst_websocket_is_upgrade(head));
    assert_int_equal(wst_websocket_accept(&side->ws, side->rig->ctx, hijack, &options), WST_EINVAL);
    /* It can still be answered otherwise. */
    const wst_response_t response = {.size = sizeof(response), .status = 503, .reason = "No"};
    assert_int_equal(wst_hijack_respond(hijack, &response), 0);
    assert_int_equal(wst_websocket_accept(&side->ws, side->rig->ctx, hijack, &side->options),
                     WST_ESTATE);
}

static void on_done(wst_hijack_t *hijack, int status, void *user_data) {
    (void)hijack, (void)status, (void)user_data;
}

static void test_server_arguments(void **state) {
    (void)state;
    websocket_rig_t rig;
    assert_true(websocket_rig_init(&rig));
    assert_true(websocket_side_fake(&rig.server));
    const wst_hijack_options_t options = {.size = sizeof(options),
                                          .on_request = on_request,
                                          .on_done = on_done,
                                          .user_data = &rig.server};
    wst_hijack_t *hijack;
    assert_int_equal(wst_hijack_new(&hijack, rig.ctx, rig.server.stream, &options), 0);
    rig.server.stream = NULL;
    static const char head[] = REQUEST(VERSION);
    websocket_side_script(&rig.server, head, strlen(head));
    websocket_rig_turns(&rig, 8);
    assert_wrote(&rig.server.fake, 0, "HTTP/1.1 503 No\r\n");
    wst_hijack_close(hijack, NULL);
    websocket_rig_free(&rig);
}

static void test_server_before_open(void **state) {
    (void)state;
    enum { WRITE_FAILS, CLOSED, ENDED, BROKEN, CASES };
    for (int i = 0; i < CASES; i++) {
        websocket_rig_t rig;
        start_server(&rig);
        static const char head[] = REQUEST(VERSION "Sec-WebSocket-Protocol: one\r\n");
        websocket_side_script(&rig.server, head, strlen(head));
        if (i == WRITE_FAILS)
            rig.server.fake.write_status = UV_EPIPE;
        while (rig.server.ws == NULL && rig.server.accept_status == 0)
            websocket_rig_turns(&rig, 1);
        assert_int_equal(rig.server.accept_status, i == WRITE_FAILS ? UV_EPIPE : 0);
        assert_int_equal(rig.server.opens, 0);
        if (i == CLOSED)
            websocket_side_close(&rig.server);
        websocket_rig_call(&rig);
        if (i == ENDED)
            wst_websocket_end(rig.server.ws, 1000, NULL);
        websocket_rig_called(&rig);
        if (i == BROKEN)
            fake_stream_break(&rig.server.fake, UV_ECONNRESET);
        websocket_rig_turns(&rig, 5);
        assert_int_equal(rig.server.opens, i == BROKEN && rig.server.opens);
        assert_int_equal(rig.server.overs, i == ENDED || i == BROKEN);
        websocket_rig_free(&rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),          cmocka_unit_test(test_answer_split),
        cmocka_unit_test(test_refusals),         cmocka_unit_test(test_answer_too_large),
        cmocka_unit_test(test_no_protocol),      cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_client_arguments), cmocka_unit_test(test_paused_before_open),
        cmocka_unit_test(test_request_waits),    cmocka_unit_test(test_request_split),
        cmocka_unit_test(test_server_refuses),   cmocka_unit_test(test_server_without_protocols),
        cmocka_unit_test(test_server_arguments), cmocka_unit_test(test_server_before_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
