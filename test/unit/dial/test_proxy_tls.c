/* SPDX-License-Identifier: MIT */
/* Dialling through a proxy that speaks TLS (https://): what is said to it is not to be read on the
 * way, it must be who it says, and whatever it does then, it ends. */
#include "ctx.h"
#include "proxy_world.h"
#include "stream.h"

#include <stdio.h>
#include <wstunnel/error.h>

static void test_tunnel(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "https://ann:s3cret@");
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC "Content-Length: 3\r\n\r\nabc"),
                 PROXY_HEARS_HEAD(PROXY_OK "early"));
    proxy_world_dial(&w);
    proxy_world_use(&w, "early");
    assert_int_equal(w.proxy.accepted, 1);
    proxy_world_heard(&w, "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n");
    proxy_world_close(&w);
}

/* Another connection is another handshake. */
static void test_reconnects(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "https://ann:s3cret@");
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC "Connection: close\r\n\r\nabc"),
                 PROXY_HEARS_HEAD(PROXY_OK));
    proxy_world_dial(&w);
    proxy_world_use(&w, "");
    assert_int_equal(w.proxy.accepted, 2);
    proxy_world_close(&w);
}

static void assert_detail(const proxy_world_t *w, const char *text) {
    char detail[500];
    snprintf(detail, sizeof(detail), "the proxy %s%s", w->proxy.address, text);
    if (strncmp(w->detail, detail, strlen(detail)) != 0)
        fail_msg("\"%s\" instead of \"%s\"", w->detail, detail);
}

/* Nobody trusts a certificate of the tests but who has been told to. */
static void test_untrusted(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "https://ann:s3cret@");
    wst_tls_config_t *trusting = w.tls.client;
    tls_made_t other;
    tls_make(&other, &(tls_spec_t){.subject = "CN=Other CA", .ca = true}, NULL);
    const wst_tls_client_options_t options = {.size = sizeof(options), .ca_pem = other.own};
    assert_int_equal(wst_tls_client_config(&w.tls.client, w.env.ctx, &options, NULL), 0);
    proxy_world_dial(&w);
    proxy_world_finish(&w);
    assert_int_equal(w.status, WST_ETLSCERT);
    assert_detail(&w, " fails at TLS: ");
    assert_int_equal(w.proxy.heard_len, 0);
    wst_tls_config_unref(trusting);
    tls_made_free(&other);
    proxy_world_close(&w);
}

/* A proxy that is spoken to in the wrong way, either way. */
static void test_mixed_up(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "https://");
    w.proxy.tls = NULL;
    PROXY_SCRIPT(&w, PROXY_HEARS(5, "HTTP/1.1 400 Bad Request\r\n\r\n"));
    proxy_world_dial(&w);
    proxy_world_finish(&w);
    assert_int_equal(w.status, WST_ETLS);
    assert_detail(&w, " fails at TLS: ");
    proxy_world_close(&w);

    proxy_world_open(&w, "https://");
    w.scheme = "http://";
    proxy_world_dial(&w);
    proxy_world_finish(&w);
    assert_true(w.status == WST_EHTTP || w.status == WST_EPROXY || w.status == UV_ECONNRESET);
    proxy_world_close(&w);
}

/* An end without close_notify is none: a refusal that was cut off is quoted all the same. */
static void test_truncated(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "https://");
    PROXY_SCRIPT(
        &w, {0, "HTTP/1.1 502 no\r\nContent-Type: text/plain\r\n\r\nhost un", 52, PROXY_RESETS});
    proxy_world_dial(&w);
    proxy_world_finish(&w);
    assert_int_equal(w.status, WST_EPROXY);
    assert_detail(&w, " answered 502 no: host un");
    proxy_world_close(&w);
}

/* What breaks TLS behind the handshake is told as well. In TLS 1.3 a certificate of the client's
 * that the proxy does not accept comes out in no other way. */
static void test_broken(void **state) {
    (void)state;
    static const uint8_t record[5 + 32] = {23, 3, 3, 0, 32};
    proxy_world_t w;
    proxy_world_open(&w, "https://");
    PROXY_SCRIPT(&w, PROXY_HEARS(5000, "never"));
    proxy_world_dial(&w);
    test_env_until_count(&w.env, &w.proxy.heard_len, 1);
    assert_int_equal(sockets_write(wst__stream_bottom(w.proxy.stream), record, sizeof(record)), 0);
    proxy_world_finish(&w);
    assert_int_equal(w.status, WST_ETLS);
    assert_detail(&w, " fails at TLS: the first record cannot be decrypted");
    proxy_world_close(&w);
}

static void test_deadline_in_handshake(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "https://");
    w.proxy.mute = true;
    proxy_world_dial(&w);
    test_env_until_count(&w.env, &w.proxy.heard_len, 1); /* the client's hello */
    wst__deadlines_run(&w.env.ctx->deadlines, wst__now(w.env.ctx) + 10001);
    proxy_world_finish(&w);
    assert_int_equal(w.status, WST_ETIMEOUT);
    assert_detail(&w, " fails at TLS: ");
    proxy_world_close(&w);
}

static void test_cancel_anywhere(void **state) {
    (void)state;
    bool over = false;
    for (int turns = 0; !over; turns++) {
        proxy_world_t w;
        proxy_world_open(&w, "https://ann:s3cret@");
        PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC "Connection: close\r\n\r\nabc"),
                     PROXY_HEARS_HEAD(PROXY_OK));
        proxy_world_dial(&w);
        for (int k = 0; k < turns && w.done == 0; k++)
            test_env_turns(&w.env, 1);
        over = w.done > 0;
        proxy_world_cancel(&w);
        test_env_turns(&w.env, 3);
        assert_int_equal(w.done, over);
        proxy_world_close(&w);
        assert_true(turns < 1000);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tunnel),    cmocka_unit_test(test_reconnects),
        cmocka_unit_test(test_untrusted), cmocka_unit_test(test_mixed_up),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_deadline_in_handshake),
        cmocka_unit_test(test_broken),    cmocka_unit_test(test_cancel_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
