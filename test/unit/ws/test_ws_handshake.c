/* SPDX-License-Identifier: MIT */
/* The opening handshake: the RFC's own example, and each thing that must be refused. */
#include "support.h"
#include "ws_handshake.h"

#include <stdio.h>
#include <wstunnel/error.h>

#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="     /* RFC 6455 section 1.3 */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" /* RFC 6455 section 1.3 */

/* A head made of "Name: value" lines; `head` points into `text`. */
static void parse_request(wst_http_head_t *head, const char *text) {
    size_t scanned = 0;
    int len = wst_http_parse_request(head, text, strlen(text), &scanned, NULL);
    assert_int_equal(len, strlen(text));
}

static void parse_response(wst_http_head_t *head, const char *text) {
    size_t scanned = 0;
    int len = wst_http_parse_response(head, text, strlen(text), &scanned, NULL);
    assert_int_equal(len, strlen(text));
}

static void test_key_and_accept(void **state) {
    (void)state;
    char key[WST__WS_KEY_LEN + 1], accept[WST__WS_ACCEPT_LEN + 1];
    wst__ws_key(key, (const uint8_t *)"the sample nonce");
    assert_string_equal(key, KEY);
    assert_int_equal(wst__ws_accept(accept, (wst_str_t){key, WST__WS_KEY_LEN}), 0);
    assert_string_equal(accept, ACCEPT);
    assert_int_equal(wst__ws_accept(accept, (wst_str_t){key, 23}), WST_EINVAL);
    assert_int_equal(wst__ws_accept(accept, (wst_str_t){"dGhlIHNhbXBsZSBub25jZQ==A", 25}),
                     WST_EINVAL);
}

static void test_is_upgrade(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool upgrade;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nupgrade: foo, WebSocket\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wst_http_head_t head;
        parse_request(&head, cases[i].text);
        assert_int_equal(wst__ws_is_upgrade(&head), cases[i].upgrade);
    }
}

/* RFC 6455 section 1.2, and the same as sloppily as it may be written. */
static void test_request_accepted(void **state) {
    (void)state;
    static const char *const good[] = {
        "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: " KEY "\r\nOrigin: http://example.com\r\n"
        "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "GET /chat HTTP/1.1\r\nsec-websocket-version:13  \r\nSEC-WEBSOCKET-KEY:" KEY "\r\n"
        "connection: keep-alive, uPGRADE\r\nupgrade:WEBSOCKET\r\nhost:\r\nContent-Length: 0\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        wst_http_head_t head;
        char accept[WST__WS_ACCEPT_LEN + 1];
        int status = 0;
        const char *why = NULL;
        parse_request(&head, good[i]);
        assert_int_equal(wst__ws_check_request(&head, accept, &status, &why), 0);
        assert_string_equal(accept, ACCEPT);
    }
}

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define UPGR "Upgrade: websocket\r\n"
#define CONN "Connection: Upgrade\r\n"
#define SKEY "Sec-WebSocket-Key: " KEY "\r\n"
#define VERS "Sec-WebSocket-Version: 13\r\n"
#define END  "\r\n"

static void test_request_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int status;
    } bad[] = {
        {"POST / HTTP/1.1\r\n" HOST UPGR CONN SKEY VERS END, 405},
        {"get / HTTP/1.1\r\n" HOST UPGR CONN SKEY VERS END, 405},
        {"GET / HTTP/1.0\r\n" HOST UPGR CONN SKEY VERS END, 400},
        {LINE UPGR CONN SKEY VERS END, 400},
        {LINE HOST CONN SKEY VERS END, 400},
        {LINE HOST "Upgrade: websocket2\r\n" CONN SKEY VERS END, 400},
        {LINE HOST UPGR SKEY VERS END, 400},
        {LINE HOST UPGR "Connection: close\r\n" SKEY VERS END, 400},
        {LINE HOST UPGR CONN VERS END, 400},
        {LINE HOST UPGR CONN SKEY SKEY VERS END, 400},
        {LINE HOST UPGR CONN "Sec-WebSocket-Key:\r\n" VERS END, 400},
        {LINE HOST UPGR CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n" VERS END, 400},
        /* 15 and 17 bytes */
        {LINE HOST UPGR CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n" VERS END, 400},
        {LINE HOST UPGR CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=\r\n" VERS END, 400},
        {LINE HOST UPGR CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ*=\r\n" VERS END, 400},
        /* unused bits set */
        {LINE HOST UPGR CONN "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n" VERS END, 400},
        {LINE HOST UPGR CONN SKEY END, 400},
        {LINE HOST UPGR CONN SKEY VERS VERS END, 400},
        {LINE HOST UPGR CONN SKEY "Sec-WebSocket-Version: 8\r\n" END, 426},
        {LINE HOST UPGR CONN SKEY "Sec-WebSocket-Version: 130\r\n" END, 426},
        {LINE HOST UPGR CONN SKEY "Sec-WebSocket-Version:\r\n" END, 426},
        {LINE HOST UPGR CONN SKEY VERS "Content-Length: 1\r\n" END, 400},
        {LINE HOST UPGR CONN SKEY VERS "Transfer-Encoding: chunked\r\n" END, 400},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wst_http_head_t head;
        char accept[WST__WS_ACCEPT_LEN + 1];
        int status = 0;
        const char *why = NULL;
        parse_request(&head, bad[i].text);
        int result = wst__ws_check_request(&head, accept, &status, &why);
        if (result != WST_EHANDSHAKE || status != bad[i].status || why == NULL)
            fail_msg("%d, status %d for %s", result, status, bad[i].text);
    }
}

#define R101 "HTTP/1.1 101 Switching Protocols\r\n"
#define SACC "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static void test_response_accepted(void **state) {
    (void)state;
    static const char *const offered[] = {"a", "b", NULL};
    static const struct {
        const char *text;
        const char *const *offered;
        const char *protocol;
    } good[] = {
        {R101 UPGR CONN SACC END, NULL, ""},
        {R101 UPGR CONN SACC END, offered, ""},
        {R101 UPGR CONN SACC "Sec-WebSocket-Protocol: b\r\n" END, offered, "b"},
        {R101 "upgrade: WebSocket\r\nconnection: keep-alive, upgrade\r\n"
              "SEC-WEBSOCKET-ACCEPT:   " ACCEPT "  \r\n" END,
         NULL, ""},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        wst_http_head_t head;
        const char *why = NULL;
        wst_str_t protocol = {"?", 1};
        parse_response(&head, good[i].text);
        assert_int_equal(wst__ws_check_response(&head, KEY, good[i].offered, &protocol, &why), 0);
        assert_true(wst_str_eq(protocol, good[i].protocol));
    }
}

static void test_response_refused(void **state) {
    (void)state;
    static const char *const offered[] = {"a", "b", NULL};
    static const struct {
        const char *text;
        const char *const *offered;
        int error;
    } bad[] = {
        {"HTTP/1.1 200 OK\r\n" UPGR CONN SACC END, NULL, WST_EREJECTED},
        {"HTTP/1.1 401 Unauthorized\r\n" END, NULL, WST_EREJECTED},
        {"HTTP/1.1 302 Found\r\n" UPGR CONN SACC END, NULL, WST_EREJECTED},
        {R101 CONN SACC END, NULL, WST_EHANDSHAKE},
        {R101 "Upgrade: websocket, h2c\r\n" CONN SACC END, NULL, WST_EHANDSHAKE},
        {R101 UPGR UPGR CONN SACC END, NULL, WST_EHANDSHAKE},
        {R101 UPGR SACC END, NULL, WST_EHANDSHAKE},
        {R101 UPGR "Connection: close\r\n" SACC END, NULL, WST_EHANDSHAKE},
        {R101 UPGR CONN END, NULL, WST_EHANDSHAKE},
        {R101 UPGR CONN SACC SACC END, NULL, WST_EHANDSHAKE},
        /* the case of one letter; the key itself; nothing */
        {R101 UPGR CONN "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" END, NULL,
         WST_EHANDSHAKE},
        {R101 UPGR CONN "Sec-WebSocket-Accept: " KEY "\r\n" END, NULL, WST_EHANDSHAKE},
        {R101 UPGR CONN "Sec-WebSocket-Accept:\r\n" END, NULL, WST_EHANDSHAKE},
        {R101 UPGR CONN SACC "Sec-WebSocket-Extensions: permessage-deflate\r\n" END, NULL,
         WST_EHANDSHAKE},
        {R101 UPGR CONN SACC "Sec-WebSocket-Protocol: a\r\n" END, NULL, WST_EHANDSHAKE},
        {R101 UPGR CONN SACC "Sec-WebSocket-Protocol: c\r\n" END, offered, WST_EHANDSHAKE},
        {R101 UPGR CONN SACC "Sec-WebSocket-Protocol: A\r\n" END, offered, WST_EHANDSHAKE},
        {R101 UPGR CONN SACC "Sec-WebSocket-Protocol: a, b\r\n" END, offered, WST_EHANDSHAKE},
        {R101 UPGR CONN SACC "Sec-WebSocket-Protocol:\r\n" END, offered, WST_EHANDSHAKE},
        {R101 UPGR CONN SACC "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n" END,
         offered, WST_EHANDSHAKE},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wst_http_head_t head;
        const char *why = NULL;
        wst_str_t protocol = {"?", 1};
        parse_response(&head, bad[i].text);
        int result = wst__ws_check_response(&head, KEY, bad[i].offered, &protocol, &why);
        if (result != bad[i].error || why == NULL)
            fail_msg("%d for %s", result, bad[i].text);
        assert_true(wst_str_eq(protocol, "?"));
    }
}

static void test_choose_protocol(void **state) {
    (void)state;
    static const char *const ours[] = {"v1.bin", "v1.json", NULL};
    static const struct {
        const char *fields, *chosen;
    } cases[] = {
        {"", NULL},
        {"Sec-WebSocket-Protocol: v1.json\r\n", "v1.json"},
        {"Sec-WebSocket-Protocol: v1.json, v1.bin\r\n", "v1.bin"}, /* our order counts */
        {"Sec-WebSocket-Protocol: v1.json\r\nsec-websocket-protocol: v1.bin\r\n", "v1.bin"},
        {"Sec-WebSocket-Protocol: ,,x ,\tv1.json\t,y\r\n", "v1.json"},
        {"Sec-WebSocket-Protocol: V1.BIN\r\n", NULL},
        {"Sec-WebSocket-Protocol: v1.binary, v1.bi, v1 bin\r\n", NULL},
        {"Sec-WebSocket-Protocol:\r\n", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[300];
        wst_http_head_t head;
        snprintf(text, sizeof(text), LINE HOST "%s\r\n", cases[i].fields);
        parse_request(&head, text);
        const char *chosen = wst__ws_choose_protocol(&head, ours);
        if (cases[i].chosen == NULL)
            assert_null(chosen);
        else
            assert_string_equal(chosen, cases[i].chosen);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_and_accept),    cmocka_unit_test(test_is_upgrade),
        cmocka_unit_test(test_request_accepted),  cmocka_unit_test(test_request_refused),
        cmocka_unit_test(test_response_accepted), cmocka_unit_test(test_response_refused),
        cmocka_unit_test(test_choose_protocol),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
