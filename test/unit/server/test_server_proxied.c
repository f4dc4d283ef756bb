/* SPDX-License-Identifier: MIT */
/*
 * Behind proxies: who may tell on whose behalf it connects, by the PROXY header or by Forwarded and
 * X-Forwarded-For, and what that is good for.
 */
#include "server_world.h"

#include "fake_stream.h"
#include "stream.h"
#include "tls_setup.h"

#include <stdio.h>

#define HEALTH  "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEALTHY "HTTP/1.1 200 OK\r\n"
#define CONNECT "CONNECT host:22 HTTP/1.1\r\nHost: host:22\r\n"
#define V1      "PROXY TCP4 192.0.2.7 203.0.113.1 4711 443\r\n"
#define V2_SIG  "\r\n\r\n\0\r\nQUIT\n"
#define V2      V2_SIG "\x21\x11\0\x0c\xc0\x00\x02\x07\xcb\x00\x71\x01\x12\x67\x01\xbb"

/* Says a request and gets an answer that begins so. */
static void ask(server_world_t *w, const char *request, const char *answer) {
    server_client_t c;
    server_client_open(w, &c);
    server_client_say(&c, request);
    server_client_expect(&c, answer);
    server_client_close(&c);
}

static const char *const trust_loopback[] = {"127.0.0.0/8", NULL};
static const char *const trust_others[] = {"192.0.2.0/24", "2001:db8::/32", NULL};

typedef struct proxied {
    server_world_t w;
    char address[64]; /* where a header comes first */
} proxied_t;

/* A server whose clients and agents are asked for, with the usual address and one of proxies. */
static void proxied_init(proxied_t *p, const char *const *trust) {
    server_world_init(&p->w);
    p->w.proxied = true;
    p->w.clients = p->w.agents = SERVER_ALLOW;
    p->w.options.trust = trust;
    p->w.env.ctx->options.log_level = WST_LOG_INFO;
}

static void proxied_start(proxied_t *p, unsigned roles) {
    server_world_start(&p->w);
    assert_int_equal(wst_server_listen(p->w.server, "127.0.0.1:0", roles | WST_LISTEN_PROXY), 0);
    snprintf(p->address, sizeof(p->address), "%s", wst_server_address(p->w.server, 1));
}

static void proxied_open(proxied_t *p) {
    proxied_init(p, trust_loopback);
    proxied_start(p, 0);
}

/* Sends these bytes and a request behind them. Returns whose it was taken for: the address in the
 * question, without a loopback address's port. */
static const char *client_of(proxied_t *p, const char *address, const void *header, size_t len,
                             const char *fields) {
    static char out[128];
    server_client_t c;
    char request[512];
    p->w.asked_by[0] = '\0';
    server_client_open_at(&p->w, &c, address);
    server_client_send(&c, header, len);
    snprintf(request, sizeof(request), CONNECT "%s\r\n", fields);
    server_client_say(&c, request);
    server_client_expect(&c, "HTTP/1.1 503 No agent available\r\n");
    assert_string_equal(p->w.last_client, p->w.asked_by);
    server_client_close(&c);
    snprintf(out, sizeof(out), "%s", p->w.asked_by);
    if (strncmp(out, "127.0.0.1:", 10) == 0)
        out[9] = '\0';
    return out;
}

/* The PROXY header --------------------------------------------------------------------------- */

#define BYTES(text) text, sizeof(text) - 1

static void test_headers(void **state) {
    (void)state;
    static const struct {
        const char *header;
        size_t len;
        const char *client;
    } cases[] = {
        {BYTES(V1), "192.0.2.7:4711"},
        {BYTES(V2), "192.0.2.7:4711"},
        {BYTES("PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"), "[2001:db8::7]:4711"},
        /* Nobody is told. */
        {BYTES("PROXY UNKNOWN\r\n"), "127.0.0.1"},
        {BYTES(V2_SIG "\x20\0\0\0"), "127.0.0.1"},
        {BYTES(V2_SIG "\x21\0\0\0"), "127.0.0.1"},
    };
    proxied_t p;
    proxied_open(&p);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(client_of(&p, p.address, cases[i].header, cases[i].len, ""),
                            cases[i].client);
    server_world_free(&p.w);
}

/* Byte by byte, with the request behind it. */
static void test_in_pieces(void **state) {
    (void)state;
    static const char bytes[] = V2 CONNECT "\r\n";
    proxied_t p;
    server_client_t c;
    proxied_open(&p);
    server_client_open_at(&p.w, &c, p.address);
    for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
        server_client_send(&c, bytes + i, 1);
        test_env_turns(&p.w.env, 2);
    }
    server_client_expect(&c, "HTTP/1.1 503 No agent available\r\n");
    assert_string_equal(p.w.asked_by, "192.0.2.7:4711");
    server_client_close(&c);
    server_world_free(&p.w);
}

/* A claim to be on this machine does not count: the proxy's own address does. The proxy is another
 * one here, by a stream of its own. */
static void test_claimed_to_be_here(void **state) {
    (void)state;
    static const char *const headers[] = {
        "PROXY TCP4 127.0.0.1 127.0.0.1 5 6\r\n",
        "PROXY TCP4 127.9.9.9 127.0.0.1 5 6\r\n",
        "PROXY TCP6 ::1 ::1 5 6\r\n",
        "PROXY TCP4 0.0.0.0 127.0.0.1 5 6\r\n",
        "PROXY TCP6 ::ffff:127.0.0.1 ::1 5 6\r\n",
        "PROXY TCP6 :: ::1 5 6\r\n",
        "PROXY TCP6 64:ff9b::127.0.0.1 64:ff9b:: 5 6\r\n",
    };
    static const char *const fields[] = {
        "X-Forwarded-For: 127.0.0.1\r\n",
        "X-Forwarded-For: ::1\r\n",
        "Forwarded: for=127.0.0.1\r\n",
        "X-Forwarded-For: 0.0.0.0\r\n",
    };
    static const char *const trust[] = {"10.0.0.5", NULL};
    proxied_t p;
    proxied_init(&p, trust);
    proxied_start(&p, 0);
    for (size_t i = 0; i < 7 + 4; i++) {
        bool by_header = i < 7;
        char text[256];
        fake_stream_t fake;
        assert_int_equal(fake_stream_open(&fake, p.w.env.ctx), 0);
        assert_int_equal(wst__stream_set_peer(fake.stream, "10.0.0.5:33"), 0);
        snprintf(text, sizeof(text), "%s" CONNECT "%s\r\n", by_header ? headers[i] : "",
                 by_header ? "" : fields[i - 7]);
        fake_stream_data(&fake, text, strlen(text));
        assert_int_equal(
            wst_server_adopt(p.w.server, fake.stream, by_header ? WST_LISTEN_PROXY : 0), 0);
        p.w.asked_by[0] = '\0';
        size_t before = p.w.refusals;
        test_env_until_count(&p.w.env, &p.w.refusals, before + 1);
        assert_string_equal(p.w.asked_by, "10.0.0.5:33");
        fake_stream_end(&fake);
        test_env_turns(&p.w.env, 10);
        assert_true(fake.gone);
        fake_stream_free(&fake);
    }
    server_world_free(&p.w);
}

static void expect_dropped(proxied_t *p, const void *bytes, size_t len, const char *why) {
    server_client_t c;
    server_client_open_at(&p->w, &c, p->address);
    if (len > 0)
        server_client_send(&c, bytes, len);
    server_client_expect_reset(&c);
    server_world_assert_notice(&p->w, why);
    server_client_close(&c);
    assert_int_equal(p->w.client_questions, 0);
}

/* Mandatory: no other connection is served, and nothing is answered. */
static void test_without_header(void **state) {
    (void)state;
    proxied_t p;
    proxied_open(&p);
    expect_dropped(&p, BYTES(CONNECT "\r\n"), "refused  0 no PROXY header\n");
    expect_dropped(&p, BYTES(HEALTH), "refused  0 no PROXY header\n");
    expect_dropped(&p, BYTES("\x16\x03\x01"), "refused  0 no PROXY header\n");
    expect_dropped(&p, BYTES("\5\1\0"), "refused  0 no PROXY header\n");
    expect_dropped(&p, BYTES("PROXY TCP4 1.2.3.4\r\n"), "refused  0 malformed PROXY header\n");
    expect_dropped(&p, BYTES(V2_SIG "\x21\x11\xff\xff"), "refused  0 PROXY header too long\n");
    /* Elsewhere it is none of HTTP. */
    server_client_t c;
    server_client_open(&p.w, &c);
    server_client_say(&c, V1 HEALTH);
    server_client_expect(&c, "HTTP/1.1 400 Bad Request");
    server_client_close(&c);
    server_world_free(&p.w);
}

/* Whoever else sends a header is not heard. */
static void test_not_trusted(void **state) {
    (void)state;
    proxied_t p;
    fake_stream_t fake;
    proxied_init(&p, trust_others);
    proxied_start(&p, 0);
    assert_int_equal(fake_stream_open(&fake, p.w.env.ctx), 0);
    assert_int_equal(wst__stream_set_peer(fake.stream, "192.0.3.7:33"), 0);
    fake_stream_data(&fake, BYTES(V1 CONNECT "\r\n"));
    assert_int_equal(wst_server_adopt(p.w.server, fake.stream, WST_LISTEN_PROXY), 0);
    test_env_turns(&p.w.env, 10);
    assert_true(fake.gone);
    assert_int_equal(fake.written_len, 0);
    assert_int_equal(p.w.client_questions, 0);
    assert_string_equal(p.w.notices, "refused  0 not trusted to send a PROXY header\n");
    fake_stream_free(&fake);
    server_world_free(&p.w);
}

/* In its time; a connection without any byte, as of a monitor, ends in order and without a word. */
static void test_late_header(void **state) {
    (void)state;
    proxied_t p;
    server_client_t c;
    proxied_init(&p, trust_loopback);
    p.w.limits.head_timeout_ms = p.w.limits.tls_timeout_ms = 30;
    proxied_start(&p, 0);
    expect_dropped(&p, BYTES("PROXY TCP4 1.2."),
                   "refused  0 the PROXY header did not come in time\n");
    p.w.notices[0] = '\0';
    server_client_open_at(&p.w, &c, p.address);
    server_client_expect_end(&c);
    server_client_close(&c);
    assert_string_equal(p.w.notices, "");
    server_client_open_at(&p.w, &c, p.address);
    server_client_say(&c, "PROXY");
    server_client_end(&c);
    server_client_expect_reset(&c);
    server_world_assert_notice(&p.w, "refused  0 ended within its PROXY header\n");
    server_client_close(&c);
    server_world_free(&p.w);
}

/* Before SOCKS, alone and with HTTP. */
static void test_before_socks(void **state) {
    (void)state;
    static const unsigned roles[] = {WST_ROLE_SOCKS, WST_ROLE_SOCKS | WST_ROLE_CONNECT};
    for (size_t i = 0; i < 2; i++) {
        proxied_t p;
        server_client_t c;
        proxied_init(&p, trust_loopback);
        p.w.headless = true;
        proxied_start(&p, roles[i]);
        server_client_open_at(&p.w, &c, p.address);
        server_client_send(&c, BYTES(V2 "\5\1\0\5\1\0\3\4host\0\26"));
        server_client_expect_bytes(&c, "\5\0\5\1\0\1\0\0\0\0\0\0", 12);
        assert_string_equal(p.w.asked_by, "192.0.2.7:4711");
        server_client_close(&c);
        server_world_free(&p.w);
    }
}

static void on_shaken(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    server_client_t *c = user_data;
    (void)detail;
    assert_int_equal(status, 0);
    server_client_use(c->w, c, stream);
    c->connected = 2;
}

/* Before TLS. */
static void test_before_tls(void **state) {
    (void)state;
    proxied_t p;
    tls_setup_t tls;
    server_client_t c;
    proxied_init(&p, trust_loopback);
    tls_setup_open(&tls, p.w.env.ctx, p.w.env.ctx);
    p.w.options.tls = tls.server;
    proxied_start(&p, 0);
    server_client_open_at(&p.w, &c, p.address);
    server_client_send(&c, BYTES(V2));
    const wst_tls_handshake_options_t options = {
        .size = sizeof(options), .config = tls.client, .server_name = "server.test"};
    wst_tls_handshake_t *handshake;
    assert_int_equal(wst_tls_handshake(&handshake, c.stream, &options, on_shaken, &c), 0);
    test_env_until_count(&p.w.env, &c.connected, 2);
    server_client_say(&c, CONNECT "\r\n");
    server_client_expect(&c, "HTTP/1.1 503 No agent available\r\n");
    assert_string_equal(p.w.asked_by, "192.0.2.7:4711");
    server_client_close(&c);
    tls_setup_close(&tls);
    server_world_free(&p.w);
}

/* Such an address is open to whoever reaches the proxy. */
static void test_listening(void **state) {
    (void)state;
    server_world_t w;
    server_world_open(&w);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_LISTEN_PROXY), WST_EINVAL);
    server_world_free(&w);

    server_world_init(&w);
    w.options.trust = trust_loopback;
    server_world_start(&w);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_LISTEN_PROXY), WST_EINSECURE);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_AGENTS | WST_LISTEN_PROXY),
                     WST_EINSECURE);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_ROLE_HEALTH | WST_LISTEN_PROXY),
                     0);
    server_world_free(&w);

    server_world_init(&w);
    w.options.trust = trust_loopback;
    w.options.allow_open = true;
    server_world_start(&w);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_LISTEN_PROXY), 0);
    server_world_free(&w);
}

static void test_wrong_trust(void **state) {
    (void)state;
    static const char *const wrong[] = {"10.0.0.0/8", "10.0.0.0/33", NULL};
    test_env_t env;
    test_env_open(&env);
    wst_server_t *server;
    const wst_server_options_t options = {.size = sizeof(options), .trust = wrong};
    assert_int_equal(wst_server_new(&server, env.ctx, &options), WST_EINVAL);
    assert_string_equal(env.log, "trust: '10.0.0.0/33': the network's length must be 0 to 32");
    test_env_close(&env);
}

/* Drained and closed while headers are awaited. */
static void test_ends_meanwhile(void **state) {
    (void)state;
    for (int draining = 0; draining < 2; draining++) {
        proxied_t p;
        server_client_t silent, partial;
        proxied_open(&p);
        server_client_open_at(&p.w, &silent, p.address);
        server_client_open_at(&p.w, &partial, p.address);
        server_client_say(&partial, "PROXY TCP4");
        server_world_until_connections(&p.w, 2);
        test_env_turns(&p.w.env, 5);
        if (draining) {
            wst_server_drain(p.w.server);
            server_client_expect_end(&silent);
        } else {
            server_world_close(&p.w);
            server_client_expect_reset(&silent);
            server_client_expect_reset(&partial);
        }
        server_client_close(&silent);
        server_client_close(&partial);
        server_world_free(&p.w);
    }
}

/* Forwarded, X-Forwarded-For ----------------------------------------------------------------- */

static void test_fields(void **state) {
    (void)state;
    static const struct {
        const char *const *trust;
        const char *header, *fields, *client;
    } cases[] = {
        {trust_loopback, "", "", "127.0.0.1"},
        {trust_loopback, "", "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n", "192.0.2.7:0"},
        {trust_loopback, "", "Forwarded: for=\"[2001:db8::7]:5\"\r\n", "[2001:db8::7]:5"},
        {trust_loopback, "", "X-Forwarded-For: 192.0.2.7, 127.0.0.2\r\n", "192.0.2.7:0"},
        {trust_loopback, "", "X-Forwarded-For: 127.0.0.1\r\n", "127.0.0.1"},
        {trust_loopback, "", "X-Forwarded-For: unknown\r\n", "127.0.0.1"},
        /* From others they mean nothing. */
        {trust_others, "", "X-Forwarded-For: 192.0.2.7\r\n", "127.0.0.1"},
        {NULL, "", "Forwarded: for=192.0.2.7\r\n", "127.0.0.1"},
        /* The header's client is no proxy that is trusted ... */
        {trust_loopback, V1, "X-Forwarded-For: 6.6.6.6\r\n", "192.0.2.7:4711"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        proxied_t p;
        bool header = cases[i].header[0] != '\0';
        proxied_init(&p, cases[i].trust);
        if (header)
            proxied_start(&p, 0);
        else
            server_world_start(&p.w);
        assert_string_equal(client_of(&p, header ? p.address : p.w.address, cases[i].header,
                                      strlen(cases[i].header), cases[i].fields),
                            cases[i].client);
        server_world_free(&p.w);
    }
}

/* ... or is one: two proxies in a row. */
static void test_both_ways(void **state) {
    (void)state;
    static const char *const trust[] = {"127.0.0.1", "192.0.2.7", NULL};
    proxied_t p;
    proxied_init(&p, trust);
    proxied_start(&p, 0);
    assert_string_equal(client_of(&p, p.address, BYTES(V1), "X-Forwarded-For: 198.51.100.3\r\n"),
                        "198.51.100.3:0");
    server_world_free(&p.w);
}

static void test_forged(void **state) {
    (void)state;
    static const char fields[] = "Forwarded: for=6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\n";
    proxied_t p;
    proxied_init(&p, trust_loopback);
    server_world_start(&p.w);
    p.w.env.log[0] = '\0';
    assert_string_equal(client_of(&p, p.w.address, "", 0, fields), "127.0.0.1");
    p.w.env.log[0] = '\0';
    assert_string_equal(client_of(&p, p.w.address, "", 0, fields), "127.0.0.1");
    assert_null(strstr(p.w.env.log, "X-Forwarded-For")); /* said once */
    server_world_free(&p.w);
}

/* A proxy keeps its connection for requests of several clients. */
static void test_one_connection(void **state) {
    (void)state;
    proxied_t p;
    server_client_t c;
    proxied_init(&p, trust_loopback);
    p.w.clients = SERVER_DENY;
    p.w.deny_status = 407;
    server_world_start(&p.w);
    server_client_open(&p.w, &c);
    for (int i = 0; i < 3; i++) {
        char request[200], client[32];
        snprintf(client, sizeof(client), "192.0.2.%d", i);
        snprintf(request, sizeof(request), CONNECT "X-Forwarded-For: %s\r\n\r\n", client);
        server_client_say(&c, i < 2 ? request : CONNECT "\r\n");
        test_env_until_count(&p.w.env, &p.w.refusals, (size_t)i + 1);
        assert_int_equal(strncmp(p.w.asked_by, i < 2 ? client : "127.0.0.1", 9), 0);
    }
    server_client_close(&c);
    server_world_free(&p.w);
}

/* An agent: in the question, in the set, and from where its session is. */
static void test_agent(void **state) {
    (void)state;
    proxied_t p;
    server_agent_t a;
    proxied_init(&p, trust_loopback);
    server_world_start(&p.w);
    server_agent_init(&p.w, &a, "berlin", 1);
    a.fields = "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n";
    server_agent_start(&a);
    test_env_until_count(&p.w.env, &p.w.ups, 1);
    assert_string_equal(p.w.asked_by, "192.0.2.7:0");
    assert_string_equal(wst_remote_peer(p.w.last_up), "192.0.2.7:0");
    assert_non_null(strstr(p.w.env.log, "up from 192.0.2.7:0"));
    server_agent_close(&a);
    server_world_free(&p.w);
}

/* Where nobody must authenticate ------------------------------------------------------------- */

#define BY_PROXY "403 Came by a proxy, but needs no authentication here\r\n"

static void test_past_authentication(void **state) {
    (void)state;
    static const char *const fields[] = {"X-Forwarded-For: 192.0.2.7\r\n", "Forwarded: for=_x\r\n",
                                         "x-forwarded-proto: https\r\n"};
    static const char *const requests[] = {CONNECT, "GET http://host/ HTTP/1.1\r\nHost: host\r\n"};
    server_world_t w;
    char request[512];
    server_world_open(&w);
    for (size_t i = 0; i < 6; i++) {
        snprintf(request, sizeof(request), "%s%s\r\n", requests[i % 2], fields[i / 2]);
        ask(&w, request, "HTTP/1.1 " BY_PROXY);
        server_world_assert_notice(&w, "403 Came by a proxy");
        snprintf(request, sizeof(request),
                 "GET /websocket HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\n"
                 "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                 "Sec-WebSocket-Protocol: wstunnel.v1.json\r\n%s\r\n",
                 fields[i / 2]);
        ask(&w, request, "HTTP/1.1 " BY_PROXY);
        server_world_assert_notice(&w, "agent refused 403 Came by a proxy");
        /* Monitors may come by proxies. */
        server_client_t c;
        server_client_open(&w, &c);
        snprintf(request, sizeof(request), "GET /healthz HTTP/1.1\r\nHost: x\r\n%s\r\n",
                 fields[i / 2]);
        server_client_say(&c, request);
        server_client_expect(&c, HEALTHY);
        server_client_close(&c);
    }
    /* Without such fields all is as ever. */
    ask(&w, CONNECT "\r\n", "HTTP/1.1 503 No agent available\r\n");
    server_world_free(&w);
}

/* Each role for itself; and nothing is refused where it is meant to be open. */
static void test_where_it_is_meant(void **state) {
    (void)state;
    static const char request[] = CONNECT "X-Forwarded-For: 192.0.2.7\r\n\r\n";
    server_world_t w;
    server_agent_t a;
    server_world_init(&w);
    w.clients = SERVER_ALLOW;
    server_world_start(&w);
    ask(&w, request, "HTTP/1.1 503 No agent available\r\n");
    server_world_free(&w);

    server_world_init(&w);
    w.agents = SERVER_ALLOW;
    server_world_start(&w);
    ask(&w, request, "HTTP/1.1 " BY_PROXY);
    server_agent_init(&w, &a, "berlin", 1);
    a.fields = "X-Forwarded-For: 192.0.2.7\r\n";
    server_agent_start(&a);
    test_env_until_count(&w.env, &w.ups, 1);
    server_agent_close(&a);
    server_world_free(&w);

    server_world_init(&w);
    w.options.allow_open = true;
    server_world_start(&w);
    ask(&w, request, "HTTP/1.1 503 No agent available\r\n");
    server_world_free(&w);
}

/* Allocations -------------------------------------------------------------------------------- */

/* A connection whose header, or what follows it, meets the failing allocation is closed. */
static void test_no_memory(void **state) {
    (void)state;
    size_t closed = 0;
    for (size_t n = 1;; n++) {
        proxied_t p;
        fake_stream_t fake;
        proxied_open(&p);
        assert_int_equal(fake_stream_open(&fake, p.w.env.ctx), 0);
        assert_int_equal(wst__stream_set_peer(fake.stream, "127.0.0.1:33"), 0);
        fake_stream_data(&fake, BYTES(V1 CONNECT "\r\n"));
        assert_int_equal(wst_server_adopt(p.w.server, fake.stream, WST_LISTEN_PROXY), 0);
        test_alloc_fail(n);
        test_env_turns(&p.w.env, 30);
        bool failed = test_alloc_failed();
        test_alloc_fail(0);
        assert_true(fake.gone || p.w.asked_by[0] == '\0' ||
                    strcmp(p.w.asked_by, "192.0.2.7:4711") == 0);
        closed += fake.gone;
        server_world_close(&p.w);
        test_env_turns(&p.w.env, 30);
        assert_true(fake.gone);
        fake_stream_free(&fake);
        server_world_free(&p.w);
        if (!failed)
            break;
    }
    assert_true(closed >= 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_claimed_to_be_here),
        cmocka_unit_test(test_without_header),
        cmocka_unit_test(test_not_trusted),
        cmocka_unit_test(test_late_header),
        cmocka_unit_test(test_before_socks),
        cmocka_unit_test(test_before_tls),
        cmocka_unit_test(test_listening),
        cmocka_unit_test(test_wrong_trust),
        cmocka_unit_test(test_ends_meanwhile),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_forged),
        cmocka_unit_test(test_one_connection),
        cmocka_unit_test(test_agent),
        cmocka_unit_test(test_past_authentication),
        cmocka_unit_test(test_where_it_is_meant),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
