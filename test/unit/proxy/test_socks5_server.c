/* SPDX-License-Identifier: MIT */
/* The server's side of SOCKS5: the bytes of each message, in pieces of all sizes, and what lies. */
#include "support.h"

#include "socks5_server.h"
#include "socks5_wire.h"

#include <stdio.h>
#include <wstunnel/error.h>

#define BYTES(text)       text, sizeof(text) - 1
#define NO_LOGIN          "\5\1\0"
#define WITH_LOGIN        "\5\1\2"
#define REPLY(code)       "\5" code "\0\1\0\0\0\0\0\0"
#define REQUEST_OF(bytes) NO_LOGIN "\5\1\0" bytes

/* All that a client says is fed in pieces, and all events are answered; a transcript of both. */
typedef struct talk {
    wst__socks5_server_t s;
    uint8_t method; /* chosen */
    bool right;     /* the login is */
    int rc;         /* the last one */
    size_t used;    /* bytes */
    uint8_t said[64];
    size_t said_len;
} talk_t;

static void say(talk_t *t, wst_str_t text) {
    assert_true(text.len <= sizeof(t->said) - t->said_len);
    if (text.len > 0)
        memcpy(t->said + t->said_len, text.ptr, text.len);
    t->said_len += text.len;
}

static void answer(talk_t *t) {
    wst__socks5_server_t *s = &t->s;
    size_t used;
    if (t->rc > WST__SOCKS5_MORE) { /* nothing is read ahead of the answer */
        assert_int_equal(wst__socks5_server_feed(s, (const uint8_t *)"\5", 1, &used), WST_ESTATE);
        assert_int_equal(used, 0);
    }
    if (t->rc == WST__SOCKS5_GREETED)
        say(t, wst__socks5_server_choose(s, t->method));
    else if (t->rc == WST__SOCKS5_CREDENTIALS)
        say(t, wst__socks5_server_login(s, t->right));
    else if (t->rc == WST__SOCKS5_REQUEST)
        say(t, wst__socks5_server_reply(s, 0));
    else if (t->rc < 0)
        say(t, s->answer);
}

/* Ends at an error, behind a reply, or when there are no more bytes. */
static void play(talk_t *t, const char *says, size_t len, size_t step) {
    while (t->used < len && t->rc >= 0 && t->s.phase != WST__SOCKS5_OVER) {
        size_t n = len - t->used < step ? len - t->used : step, used;
        uint8_t *piece = test_guarded(says + t->used, n);
        t->rc = wst__socks5_server_feed(&t->s, piece, n, &used);
        test_guarded_free(piece, n);
        assert_true(used <= n && (used > 0 || t->rc != WST__SOCKS5_MORE));
        assert_true(t->rc != WST__SOCKS5_MORE || used == n);
        t->used += used;
        answer(t);
    }
}

/* In pieces of each size: the same end, after the same bytes, with the same answers. */
static talk_t check(const char *says, size_t len, uint8_t method, bool right, int rc,
                    const char *said, size_t said_len) {
    static talk_t t;
    for (size_t step = 1; step <= len + 1; step++) {
        size_t used = t.used;
        t = (talk_t){.method = method, .right = right};
        play(&t, says, len, step);
        if (t.rc != rc || (step > 1 && t.used != used))
            fail_msg("%d after %zu bytes, in pieces of %zu", t.rc, t.used, step);
        assert_int_equal(t.said_len, said_len);
        assert_memory_equal(t.said, said, said_len);
    }
    return t;
}

static void asks_for(const char *bytes, size_t len, const char *destination) {
    talk_t t = check(bytes, len, 0, false, WST__SOCKS5_REQUEST, BYTES("\5\0" REPLY("\0")));
    assert_string_equal(t.s.destination, destination);
    assert_int_equal(t.used, len);
    assert_int_equal(t.s.phase, WST__SOCKS5_OVER);
}

static void test_requests(void **state) {
    (void)state;
    char longest[300] = REQUEST_OF("\3\377"), expected[300] = "";
    asks_for(BYTES(REQUEST_OF("\1\12\0\0\1\1\273")), "10.0.0.1:443");
    asks_for(BYTES(REQUEST_OF("\3\13example.com\0\26")), "example.com:22");
    asks_for(BYTES(REQUEST_OF("\3\10"
                              "10.0.0.1\0\1")),
             "10.0.0.1:1");
    asks_for(BYTES(REQUEST_OF("\3\3::1\377\377")), "[::1]:65535");
    asks_for(BYTES(REQUEST_OF("\3\5[::1]\0\120")), "[::1]:80");
    asks_for(BYTES(REQUEST_OF("\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\120")), "[::1]:80");
    asks_for(BYTES(REQUEST_OF("\4\0\0\0\0\0\0\0\0\0\0\377\377\12\0\0\1\0\120")), "10.0.0.1:80");
    asks_for(BYTES(NO_LOGIN "\5\1\377\3\1a\0\120"), "a:80"); /* the reserved byte means nothing */
    memset(longest + 8, 'a', 255);
    memcpy(longest + 263, "\1\273", 2);
    memset(expected, 'a', 255);
    strcat(expected, ":443");
    asks_for(longest, 265, expected);
}

static void test_bytes_behind_are_not_taken(void **state) {
    (void)state;
    talk_t t = check(BYTES(REQUEST_OF("\3\1a\0\120") "GET /"), 0, false, WST__SOCKS5_REQUEST,
                     BYTES("\5\0" REPLY("\0")));
    assert_int_equal(t.used, sizeof(REQUEST_OF("\3\1a\0\120")) - 1);
}

static void test_methods(void **state) {
    (void)state;
    static const struct {
        const char *greeting;
        size_t len;
        bool none, login;
    } rows[] = {
        {BYTES("\5\1\0"), true, false},      {BYTES("\5\1\2"), false, true},
        {BYTES("\5\2\0\2"), true, true},     {BYTES("\5\3\1\2\200"), false, true},
        {BYTES("\5\4\2\2\2\0"), true, true}, {BYTES("\5\1\377"), false, false},
        {BYTES("\5\0"), false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        talk_t t = check(rows[i].greeting, rows[i].len, WST__SOCKS5_METHOD_REFUSED, false,
                         WST__SOCKS5_GREETED, BYTES("\5\377"));
        assert_int_equal(t.s.offers_none, rows[i].none);
        assert_int_equal(t.s.offers_login, rows[i].login);
        assert_int_equal(t.s.phase, WST__SOCKS5_OVER);
    }
}

static void test_greeting_of_255_methods(void **state) {
    (void)state;
    char greeting[257];
    memset(greeting, 1, sizeof(greeting));
    greeting[0] = 5;
    greeting[1] = (char)255;
    talk_t t = check(greeting, 257, 255, false, WST__SOCKS5_GREETED, BYTES("\5\377"));
    assert_false(t.s.offers_none || t.s.offers_login);
    greeting[256] = 2;
    t = check(greeting, 257, 255, false, WST__SOCKS5_GREETED, BYTES("\5\377"));
    assert_true(t.s.offers_login);
}

static talk_t log_in(const char *login, size_t len, bool right) {
    char says[600] = WITH_LOGIN;
    memcpy(says + 3, login, len);
    return check(says, 3 + len, 2, right, WST__SOCKS5_CREDENTIALS, right ? "\5\2\1\0" : "\5\2\1\1",
                 4);
}

static void test_login(void **state) {
    (void)state;
    talk_t t = log_in(BYTES("\1\5alice\6se:ame"), true);
    assert_true(t.s.login_whole);
    assert_string_equal(t.s.login.user, "alice");
    assert_string_equal(t.s.login.password, "se:ame");
    assert_int_equal(t.s.phase, WST__SOCKS5_IN_REQUEST);
    t = log_in(BYTES("\1\5alice\6se:ame"), false);
    assert_int_equal(t.s.phase, WST__SOCKS5_OVER);
    t = log_in(BYTES("\1\0\0"), false);
    assert_true(t.s.login_whole);
    assert_string_equal(t.s.login.user, "");
    assert_string_equal(t.s.login.password, "");
    static const char *const with_nul[] = {"\1\3a\0b\1x", "\1\1a\3x\0y"};
    for (size_t i = 0; i < 2; i++) { /* what would be cut may be somebody else's */
        t = log_in(with_nul[i], 7, false);
        assert_false(t.s.login_whole);
        assert_string_equal(t.s.login.user, "");
        assert_string_equal(t.s.login.password, "");
    }
}

static void test_longest_login(void **state) {
    (void)state;
    char login[513];
    login[0] = 1;
    login[1] = login[257] = (char)255;
    memset(login + 2, 'u', 255);
    memset(login + 258, 'p', 255);
    talk_t t = log_in(login, sizeof(login), true);
    assert_int_equal(strlen(t.s.login.user), 255);
    assert_int_equal(strlen(t.s.login.password), 255);
    for (size_t i = 0; i < sizeof(t.s.in); i++) /* the password is in one place only */
        assert_int_not_equal(t.s.in[i], 'p');
    wst__socks5_server_wipe(&t.s);
    assert_string_equal(t.s.login.password, "");
}

static void test_all_at_once(void **state) {
    (void)state;
    talk_t t = check(BYTES(WITH_LOGIN "\1\1a\1b\5\1\0\3\4host\0\26tail"), 2, true,
                     WST__SOCKS5_REQUEST, BYTES("\5\2\1\0" REPLY("\0")));
    assert_string_equal(t.s.destination, "host:22");
    assert_int_equal(t.used, 3 + 5 + 11);
}

static void test_broken_protocol(void **state) {
    (void)state;
    static const struct {
        const char *says;
        size_t len;
        uint8_t method;
        const char *said;
        size_t said_len, used;
        const char *why;
    } rows[] = {
        {BYTES("\4\1\0\120\0\0\0\1\0"), 0, BYTES("\0\133\0\0\0\0\0\0"), 1, "SOCKS4 is not served"},
        {BYTES("GET /"), 0, BYTES(""), 1, "not SOCKS"},
        {BYTES("\0\5"), 0, BYTES(""), 1, "not SOCKS"},
        {BYTES(WITH_LOGIN "\5\1a\1b"), 2, BYTES("\5\2\1\1"), 4, "unknown version of the login"},
        {BYTES(NO_LOGIN "\1\1a\1b"), 0, BYTES("\5\0" REPLY("\1")), 4,
         "unknown version of the request"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        talk_t t = check(rows[i].says, rows[i].len, rows[i].method, true, WST_EPROTO, rows[i].said,
                         rows[i].said_len);
        assert_string_equal(t.s.why, rows[i].why);
        assert_int_equal(t.used, rows[i].used);
        size_t used;
        assert_int_equal(wst__socks5_server_feed(&t.s, (const uint8_t *)"\5", 1, &used),
                         WST_ESTATE);
    }
}

static void refuses(const char *request, size_t len, const char *reply, const char *destination,
                    const char *why) {
    char says[300] = NO_LOGIN, said[12] = "\5\0";
    memcpy(says + 3, request, len);
    memcpy(said + 2, reply, 10);
    talk_t t = check(says, 3 + len, 0, false, WST_EDEST, said, 12);
    assert_string_equal(t.s.destination, destination);
    assert_string_equal(t.s.why, why);
}

static void test_refused_requests(void **state) {
    (void)state;
    refuses(BYTES("\5\2\0\3\1a\0\120"), REPLY("\7"), "a:80", "BIND is not supported");
    refuses(BYTES("\5\3\0\1\0\0\0\0\0\0"), REPLY("\7"), "0.0.0.0:0",
            "UDP ASSOCIATE is not supported");
    refuses(BYTES("\5\360\0\3\1a\0\120"), REPLY("\7"), "a:80", "unknown command");
    refuses(BYTES("\5\1\0\2"), REPLY("\10"), "", "unknown type of address");
    refuses(BYTES("\5\1\0\0"), REPLY("\10"), "", "unknown type of address");
    refuses(BYTES("\5\1\0\3\0\0\120"), REPLY("\1"), ":80", "no host");
    refuses(BYTES("\5\1\0\3\1a\0\0"), REPLY("\1"), "a:0", "port is not a number from 1 to 65535");
    refuses(BYTES("\5\1\0\3\3a\0b\0\120"), REPLY("\1"), "a:80",
            "character not allowed in a host name");
    refuses(BYTES("\5\1\0\3\3a\nb\0\120"), REPLY("\1"), "a?b:80",
            "character not allowed in a host name");
    refuses(BYTES("\5\1\0\3\4a:99\0\120"), REPLY("\1"), "a:99:80",
            "colon in a host that is no IPv6 address");
    refuses(BYTES("\5\1\0\3\10[::1]:99\0\120"), REPLY("\1"), "[::1]:99:80",
            "port is not a number from 1 to 65535");
    refuses(BYTES("\5\1\0\3\5"
                  "127.1\0\120"),
            REPLY("\1"), "127.1:80", "not an IPv4 address");
}

static void test_reply_codes(void **state) {
    (void)state;
    static const struct {
        int error;
        uint8_t reply;
    } rows[] = {
        {0, 0},
        {WST_EDENIED, 2},
        {WST_EUNREACHABLE, 4},
        {WST_ENAME, 4},
        {WST_EREFUSED, 5},
        {WST_EDIALTIMEOUT, 6},
        {WST_ENAMETIMEOUT, 6},
        {WST_ENOAGENT, 1},
        {WST_ELIMIT, 1},
        {WST_EGOAWAY, 1},
        {WST_EINTERNAL, 1},
        {WST_ETIMEOUT, 1},
        {WST_ENOMEM, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(wst__socks5_reply_of(rows[i].error), rows[i].reply);
    for (unsigned code = 0; code < 256; code++) { /* what RFC 1928 does not know is a failure */
        wst__socks5_server_t s = {0};
        wst_str_t text = wst__socks5_server_reply(&s, (uint8_t)code);
        assert_int_equal(text.len, 10);
        assert_int_equal(text.ptr[1], code <= 8 ? code : 1);
        assert_int_equal(text.ptr[3], 1);
    }
}

static void gives_up(const char *says, size_t len, uint8_t method, const char *said,
                     size_t said_len) {
    talk_t t = {.method = method};
    play(&t, says, len, len);
    wst_str_t text = wst__socks5_server_give_up(&t.s);
    assert_int_equal(text.len, said_len);
    assert_memory_equal(text.ptr, said, said_len);
    assert_int_equal(t.s.phase, WST__SOCKS5_OVER);
}

static void test_giving_up(void **state) {
    (void)state;
    gives_up(BYTES("\5\2\0"), 0, BYTES("\5\377"));
    gives_up(BYTES("\5\1\2"), 2, BYTES("\1\1"));
    gives_up(BYTES("\5\1\2\1\1a"), 2, BYTES("\1\1"));
    gives_up(BYTES("\5\1\0\5"), 0, BYTES(REPLY("\1")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_bytes_behind_are_not_taken),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_greeting_of_255_methods),
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_longest_login),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_broken_protocol),
        cmocka_unit_test(test_refused_requests),
        cmocka_unit_test(test_reply_codes),
        cmocka_unit_test(test_giving_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
