/* SPDX-License-Identifier: MIT */
/* An agent that reaches its server through a proxy: in clear and with TLS inside, what it says when
 * the proxy refuses, how long it waits then, and its end in the middle. */
#include "agent_peers.h"
#include "proxy_rig.h"

#include "tls_setup.h"

#include <stdio.h>

#define OK "HTTP/1.1 200 Connection established\r\n\r\n"
#define WANTED                                                                                     \
    "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"      \
    "Content-Length: 0\r\n\r\n"

#define OPENS                                                                                      \
    { 0, OK, sizeof(OK) - 1, PROXY_JOINS }

typedef struct rig {
    agent_world_t w; /* the first member: the context's callbacks get it */
    fake_proxy_t proxy;
    wst_proxy_options_t options;
    char url[128];
} rig_t;

static void rig_open(rig_t *r, const char *scheme) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    fake_proxy_open(&r->proxy, &r->w.env);
    snprintf(r->url, sizeof(r->url), "%s%s", scheme, r->proxy.address);
    r->options.size = sizeof(r->options);
    r->options.url = r->url;
    r->w.options.proxy = &r->options;
    snprintf(r->w.address, sizeof(r->w.address), "127.0.0.1:9"); /* nobody, without a server */
}

static void rig_serve(rig_t *r) {
    r->w.address[0] = '\0';
    agent_world_serve(&r->w);
    r->proxy.relay = r->w.address;
}

static void rig_free(rig_t *r) {
    agent_world_close_agent(&r->w);
    agent_world_until_closed(&r->w);
    fake_proxy_close(&r->proxy, &r->w.env);
    agent_world_free(&r->w);
}

/* The options are copied: what they point to may go at once. */
static void start(rig_t *r) {
    agent_world_start(&r->w);
    memset(r->url, 'x', sizeof(r->url) - 1);
    memset(&r->options, 0x55, sizeof(r->options));
}

static void use(rig_t *r) {
    agent_place_t place;
    agent_tunnel_t tunnel;
    agent_place_open(&r->w, &place);
    agent_world_until(&r->w, AGENT_UP, 1);
    test_env_until_count(&r->w.env, &r->w.server_ups, 1);
    agent_tunnel_open(&r->w, &tunnel, place.address, 0);
    assert_int_equal(r->w.seen[AGENT_DOWN], 0);
    agent_tunnel_free(&tunnel);
    agent_place_free(&place);
}

static void test_up(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, "http://ann:" AGENT_SECRET "@");
    rig_serve(&r);
    r.proxy.turns[0] = (fake_proxy_turn_t)PROXY_HEARS_HEAD(WANTED);
    r.proxy.turns[1] = (fake_proxy_turn_t)OPENS;
    start(&r);
    use(&r);
    char request[100];
    snprintf(request, sizeof(request), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n", r.w.address,
             r.w.address);
    assert_non_null(strstr(r.proxy.heard, request));
    rig_free(&r);
}

/* TLS inside the tunnel: the server is verified by its name, not the proxy's. */
static void test_tls_inside(void **state) {
    (void)state;
    rig_t r;
    tls_setup_t tls;
    char url[100];
    rig_open(&r, "http://");
    tls_setup_open(&tls, r.w.peers, r.w.env.ctx);
    r.w.server_options.tls = tls.server;
    rig_serve(&r);
    snprintf(url, sizeof(url), "wss://server.test%s", strrchr(r.w.address, ':'));
    r.w.options.url = url;
    r.w.options.tls = tls.client;
    r.proxy.turns[0] = (fake_proxy_turn_t)OPENS;
    start(&r);
    use(&r);
    char request[100];
    snprintf(request, sizeof(request), "CONNECT server.test%s HTTP/1.1\r\n",
             strrchr(r.w.address, ':'));
    assert_memory_equal(r.proxy.heard, request, strlen(request));
    tls_setup_close(&tls);
    rig_free(&r);
}

static void assert_detail(const rig_t *r, const char *text) {
    char detail[256];
    snprintf(detail, sizeof(detail), "the proxy %s%s", r->proxy.address, text);
    assert_string_equal(r->w.detail, detail);
}

/* Wrong credentials may lock an account: it does not try them again and again. */
static void test_unauthenticated(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, "http://ann:" AGENT_SECRET "@");
    r.w.options.backoff_max_ms = 7000;
    r.proxy.turns[0] = r.proxy.turns[1] = (fake_proxy_turn_t)PROXY_HEARS_HEAD(WANTED);
    start(&r);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_int_equal(r.w.failure.error, WST_EPROXYAUTH);
    assert_int_equal(r.w.failure.http_status, 407);
    assert_true(r.w.failure.refused);
    assert_int_equal(r.w.failure.retry_in_ms, 7000);
    assert_detail(&r, " refused the user name or password (407 Proxy Authentication Required); it "
                      "offers: Basic");
    rig_free(&r);
}

/* What the proxy refuses with the status of a server is not the server's refusal. */
static void test_refused(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, "http://");
    r.w.options.backoff_min_ms = r.w.options.backoff_max_ms = 1;
    r.proxy.turns[0] = r.proxy.turns[1] =
        (fake_proxy_turn_t)PROXY_HEARS_HEAD("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    start(&r);
    agent_world_until(&r.w, AGENT_DOWN, 2);
    assert_int_equal(r.w.failure.error, WST_EPROXY);
    assert_int_equal(r.w.failure.http_status, 403);
    assert_false(r.w.failure.refused);
    assert_detail(&r, " answered 403 Forbidden");
    rig_free(&r);
}

static size_t asked;

static void on_challenge(wst_request_t *request, void *user_data) {
    assert_ptr_equal(user_data, &asked);
    asked++;
    wst_request_allow_with(request, "Proxy-Authorization: NTLM one\r\n");
}

static void test_challenge(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r, "http://");
    rig_serve(&r);
    asked = 0;
    r.options.on_challenge = on_challenge;
    r.options.user_data = &asked;
    r.options.fields = "User-Agent: me\r\n";
    r.proxy.turns[0] = (fake_proxy_turn_t)PROXY_HEARS_HEAD(WANTED);
    r.proxy.turns[1] = (fake_proxy_turn_t)OPENS;
    start(&r);
    use(&r);
    assert_int_equal(asked, 1);
    assert_non_null(strstr(r.proxy.heard, "User-Agent: me\r\nProxy-Authorization: NTLM one\r\n"));
    rig_free(&r);
}

static void test_options(void **state) {
    (void)state;
    static const struct {
        wst_proxy_options_t options;
        const char *log;
    } cases[] = {
        {{.url = "http://p"}, "proxy: no size, or options that are not known"},
        {{.size = sizeof(wst_proxy_options_t), .url = NULL}, "proxy: no URL"},
        {{.size = sizeof(wst_proxy_options_t), .url = "ftp://ann:" AGENT_SECRET "@p"},
         "proxy: the scheme must be http, https, socks5 or socks5h"},
        {{.size = sizeof(wst_proxy_options_t), .url = "http://p", .credentials = AGENT_SECRET},
         "proxy: the credentials are not user:password"},
        {{.size = sizeof(wst_proxy_options_t), .url = "http://p", .fields = "A: b"},
         "proxy: the fields are not complete lines"},
    };
    rig_t r;
    rig_open(&r, "http://");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        r.w.options.proxy = &cases[i].options;
        r.w.options.url = "ws://h";
        assert_int_equal(agent_world_try_start(&r.w), WST_EINVAL);
        assert_string_equal(r.w.env.log, cases[i].log);
    }
    fake_proxy_close(&r.proxy, &r.w.env);
    agent_world_free(&r.w);
}

/* Closed or drained after each number of turns of the loop, until it is up before that. */
static void test_end(void **state) {
    (void)state;
    for (int drain = 0; drain < 2; drain++) {
        bool up = false;
        for (int turns = 0; !up; turns++) {
            rig_t r;
            rig_open(&r, "http://ann:" AGENT_SECRET "@");
            rig_serve(&r);
            r.proxy.turns[0] = (fake_proxy_turn_t)PROXY_HEARS_HEAD(WANTED);
            r.proxy.turns[1] = (fake_proxy_turn_t)OPENS;
            start(&r);
            for (int k = 0; k < turns && r.w.seen[AGENT_UP] == 0; k++)
                test_env_turns(&r.w.env, 1);
            up = r.w.seen[AGENT_UP] > 0;
            if (drain) {
                agent_world_drain_agent(&r.w);
                agent_world_until(&r.w, AGENT_DRAINED, 1);
            }
            assert_int_equal(r.w.seen[AGENT_DOWN], 0);
            rig_free(&r);
            assert_true(turns < 5000);
        }
    }
}

/* Whatever memory lacks on the way, it cannot be made, or tries again and comes up. */
static void test_no_memory(void **state) {
    (void)state;
    bool failed = true;
    for (size_t n = 1; failed; n++) {
        rig_t r;
        rig_open(&r, "http://ann:" AGENT_SECRET "@");
        rig_serve(&r);
        r.options.fields = "A: b\r\n";
        for (size_t i = 0; i + 1 < FAKE_PROXY_TURNS; i += 2) {
            r.proxy.turns[i] = (fake_proxy_turn_t)PROXY_HEARS_HEAD(WANTED);
            r.proxy.turns[i + 1] = (fake_proxy_turn_t)OPENS;
        }
        test_alloc_fail(n);
        int status = agent_world_try_start(&r.w);
        if (status == 0)
            agent_world_until(&r.w, AGENT_UP, 1);
        failed = test_alloc_failed();
        test_alloc_fail(0);
        assert_true(status == 0 || (status == WST_ENOMEM && failed));
        if (status == 0) {
            rig_free(&r);
        } else {
            fake_proxy_close(&r.proxy, &r.w.env);
            agent_world_free(&r.w);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_tls_inside),
        cmocka_unit_test(test_unauthenticated),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_challenge),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
