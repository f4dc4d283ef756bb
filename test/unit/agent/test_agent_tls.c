/* SPDX-License-Identifier: MIT */
/* An agent that reaches its server by wss://: what it verifies, what it says when it fails, and its
 * end in the middle of a handshake. */
#include "agent_peers.h"

#include "tls_setup.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

typedef struct rig {
    agent_world_t w; /* the first member: the context's callbacks get it */
    tls_setup_t tls;
    char url[96];
    size_t handshakes, resumed; /* that the server has seen */
} rig_t;

static void on_agent_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    rig_t *r = user_data;
    (void)server;
    const wst_tls_info_t *tls = wst_request_tls(request);
    assert_non_null(tls);
    assert_string_equal(tls->server_name, "server.test");
    r->handshakes++;
    r->resumed += tls->resumed;
    wst_request_allow(request);
}

static void rig_open(rig_t *r) {
    memset(r, 0, sizeof(*r));
    agent_world_open(&r->w);
    tls_setup_open(&r->tls, r->w.peers, r->w.env.ctx);
    r->w.options.tls = r->tls.client;
}

/* The URL, of this host at the world's address. */
static void set_url(rig_t *r, const char *host) {
    snprintf(r->url, sizeof(r->url), "wss://%s%s", host, strrchr(r->w.address, ':'));
    r->w.options.url = r->url;
}

static void rig_serve(rig_t *r) {
    r->w.server_options.tls = r->tls.server;
    r->w.server_callbacks.on_agent_request = on_agent_request;
    agent_world_serve(&r->w);
    set_url(r, "server.test");
}

static void rig_free(rig_t *r) {
    tls_setup_close(&r->tls);
    agent_world_free(&r->w);
}

/* -- Up ---------------------------------------------------------------------------------------- */

static void test_up(void **state) {
    (void)state;
    rig_t r;
    agent_place_t place;
    agent_tunnel_t tunnel;
    rig_open(&r);
    rig_serve(&r);
    agent_place_open(&r.w, &place);
    agent_world_start_up(&r.w);
    agent_tunnel_open(&r.w, &tunnel, place.address, 0);
    assert_int_equal(r.w.seen[AGENT_DOWN], 0);
    agent_tunnel_free(&tunnel);
    agent_place_free(&place);
    rig_free(&r);
}

#ifdef TCP_NOTSENT_LOWAT
static size_t sockets_with_backlog(void) {
    size_t count = 0;
    for (int fd = 3; fd < 256; fd++) {
        unsigned value = 0;
        socklen_t len = sizeof(value);
        if (getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len) == 0)
            count += value > 0 && value <= 131072;
    }
    return count;
}

/* The sockets below TLS, on both sides, are told to keep little that is unsent. */
static void test_unsent_backlog(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_serve(&r);
    assert_int_equal(sockets_with_backlog(), 0);
    agent_world_start_up(&r.w);
    assert_int_equal(sockets_with_backlog(), 2);
    rig_free(&r);
}
#endif

/* The address of the URL is what the certificate must be for, if it is none of a name. */
static void test_by_address(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    r.w.server_options.tls = r.tls.server;
    agent_world_serve(&r.w);
    set_url(&r, "127.0.0.1");
    agent_world_start_up(&r.w);
    rig_free(&r);
}

/* When the connection is lost, the next one goes on with the session of the first. */
static void test_resumes(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_serve(&r);
    agent_world_start_up(&r.w);
    assert_int_equal(r.resumed, 0);
    /* Another server, with the same configuration and so the same tickets. */
    agent_world_stop_serving(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    agent_world_serve(&r.w);
    agent_world_until(&r.w, AGENT_UP, 2);
    assert_int_equal(r.handshakes, 2);
    assert_int_equal(r.resumed, 1);
    rig_free(&r);
}

/* -- Not up ------------------------------------------------------------------------------------ */

/* Not for ever: it tries again like after any failure, and the server may be mended meanwhile. */
static void test_wrong_certificate(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    rig_serve(&r);
    wst_tls_config_t *wrong =
        tls_setup_another(&r.tls, &(tls_spec_t){.subject = "CN=wrong", .names = "dns:wrong.test"});
    wst_server_set_tls(r.w.server, wrong);
    wst_tls_config_unref(wrong);
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 2);
    assert_int_equal(r.w.failure.error, WST_ETLSCERT);
    assert_int_equal(r.w.failure.http_status, 0);
    assert_false(r.w.failure.refused);
    assert_true(r.w.failure.retry_in_ms <= 8);
    assert_string_equal(r.w.detail, "certificate is for other names: wrong.test");
    assert_int_equal(r.w.seen[AGENT_UP], 0);
    wst_server_set_tls(r.w.server, r.tls.server);
    agent_world_until(&r.w, AGENT_UP, 1);
    rig_free(&r);
}

/* Another configuration holds for the attempts from then on; what is up stays up. */
static void test_another_configuration(void **state) {
    (void)state;
    rig_t r;
    wst_tls_config_t *insecure;
    rig_open(&r);
    rig_serve(&r);
    wst_tls_config_t *wrong =
        tls_setup_another(&r.tls, &(tls_spec_t){.subject = "CN=wrong", .names = "dns:wrong.test"});
    wst_server_set_tls(r.w.server, wrong);
    wst_tls_config_unref(wrong);
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    const wst_tls_client_options_t options = {.size = sizeof(options), .insecure = true};
    assert_int_equal(wst_tls_client_config(&insecure, r.w.env.ctx, &options, NULL), 0);
    assert_int_equal(wst_agent_set_tls(r.w.agent, insecure), 0);
    wst_tls_config_unref(insecure);
    agent_world_until(&r.w, AGENT_UP, 1);
    assert_int_equal(wst_agent_set_tls(r.w.agent, r.tls.client), 0);
    test_env_turns(&r.w.env, 5);
    assert_true(wst_agent_is_up(r.w.agent));
    rig_free(&r);
}

/* A server that says nothing, or goes. */
static void test_no_handshake(void **state) {
    (void)state;
    static const struct {
        agent_raw_manner_t manner;
        int error;
    } cases[] = {
        {AGENT_RAW_SILENT, WST_ETIMEOUT}, {AGENT_RAW_END, 0}, {AGENT_RAW_RESET, UV_ECONNRESET}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_t r;
        agent_raw_t raw = {.manner = cases[i].manner};
        rig_open(&r);
        agent_raw_open(&r.w, &raw);
        set_url(&r, "server.test");
        r.w.options.connect_timeout_ms = 50;
        agent_world_start(&r.w);
        agent_world_until(&r.w, AGENT_DOWN, 2);
        if (cases[i].error != 0)
            assert_int_equal(r.w.failure.error, cases[i].error);
        agent_world_close_agent(&r.w);
        agent_raw_free(&raw);
        rig_free(&r);
    }
}

/* -- Options ----------------------------------------------------------------------------------- */

static void refuse_options(rig_t *r, const wst_agent_options_t *options) {
    size_t lines = r->w.lines;
    r->w.options = *options;
    assert_int_equal(agent_world_try_start(&r->w), WST_EINVAL);
    assert_int_equal(r->w.lines, lines + 1); /* says why */
}

static void test_options(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    refuse_options(&r, &(wst_agent_options_t){.size = sizeof(wst_agent_options_t),
                                              .url = "ws://h",
                                              .tls = r.tls.client});
    refuse_options(&r, &(wst_agent_options_t){
                           .size = sizeof(wst_agent_options_t), .url = "ws://h", .sni = ""});
    static const char *const hosts[] = {"", "a b", "a\r\nX: y", "a/b", "u@h", "h:0", "::1"};
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
        refuse_options(&r, &(wst_agent_options_t){.size = sizeof(wst_agent_options_t),
                                                  .url = "ws://h",
                                                  .host = hosts[i]});
    static const char *const fields[] = {"X: y",
                                         "X y\r\n",
                                         "X: y\nZ: z\r\n",
                                         "HOST: h\r\n",
                                         "X: y\r\nsec-websocket-Protocol: z\r\n",
                                         "Upgrade: h2c\r\n",
                                         "connection: close\r\n"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        refuse_options(&r, &(wst_agent_options_t){.size = sizeof(wst_agent_options_t),
                                                  .url = "ws://h",
                                                  .fields = fields[i]});
    rig_free(&r);
}

/* Host and fields of its own are in the request, with those of the credentials behind them. */
static void test_fields(void **state) {
    (void)state;
    rig_t r;
    agent_raw_t raw = {.manner = AGENT_RAW_ANSWER, .answer = "HTTP/1.1 404 Not here\r\n\r\n"};
    rig_open(&r);
    agent_raw_open(&r.w, &raw);
    r.w.options.tls = NULL;
    r.w.options.host = "front.test:81";
    r.w.options.fields = "X-One: 1\r\nX-Two: 2\r\n";
    r.w.credentials = AGENT_ALLOW;
    agent_world_start(&r.w);
    agent_world_until(&r.w, AGENT_DOWN, 1);
    assert_non_null(strstr(raw.head, "\r\nHost: front.test:81\r\n"));
    assert_non_null(
        strstr(raw.head, "\r\nX-One: 1\r\nX-Two: 2\r\nAuthorization: Bearer " AGENT_SECRET "\r\n"));
    agent_world_close_agent(&r.w);
    agent_raw_free(&raw);
    rig_free(&r);
}

/* -- The end ----------------------------------------------------------------------------------- */

/* Closed or drained in the middle of a handshake. */
static void test_end(void **state) {
    (void)state;
    for (int drain = 0; drain < 2; drain++) {
        rig_t r;
        agent_raw_t raw = {.manner = AGENT_RAW_SILENT};
        rig_open(&r);
        agent_raw_open(&r.w, &raw);
        set_url(&r, "server.test");
        agent_world_start(&r.w);
        test_env_until_count(&r.w.env, &raw.accepted, 1);
        test_env_turns(&r.w.env, 5);
        if (drain) {
            agent_world_drain_agent(&r.w);
            agent_world_until(&r.w, AGENT_DRAINED, 1);
        }
        agent_world_close_agent(&r.w);
        agent_world_until_closed(&r.w);
        assert_int_equal(r.w.seen[AGENT_DOWN], 0);
        agent_raw_free(&raw);
        rig_free(&r);
    }
}

/* Whatever memory lacks on the way, it tries again and comes up. */
static void test_no_memory(void **state) {
    (void)state;
    bool failed = true;
    size_t n = 0;
    while (failed) {
        rig_t r;
        rig_open(&r);
        rig_serve(&r);
        test_alloc_fail(++n);
        int status = agent_world_try_start(&r.w);
        if (status == 0)
            agent_world_until(&r.w, AGENT_UP, 1);
        else
            assert_int_equal(status, WST_ENOMEM);
        failed = test_alloc_failed();
        test_alloc_fail(0);
        rig_free(&r);
    }
    assert_in_range(n, 10, 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up),
        cmocka_unit_test(test_by_address),
        cmocka_unit_test(test_resumes),
        cmocka_unit_test(test_wrong_certificate),
        cmocka_unit_test(test_another_configuration),
        cmocka_unit_test(test_no_handshake),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_no_memory),
#ifdef TCP_NOTSENT_LOWAT
        cmocka_unit_test(test_unsent_backlog),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
