/* SPDX-License-Identifier: MIT */
/* Addresses with TLS: what the first byte decides, handshakes in their turn, and the end. */
#include "server_world.h"

#include "fake_stream.h"
#include "tls_setup.h"

#include "guard_fields.h"

#include <stdio.h>

#define HEALTH     "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEALTHY    "HTTP/1.1 200 OK\r\n"
#define SPEAKS_TLS "HTTP/1.1 400 Bad Request: this address speaks TLS (https://, wss://)\r\n"

/* A world whose server has a certificate. */
typedef struct tls_world {
    server_world_t w; /* the first member: the context's callbacks get it */
    tls_setup_t tls;
    char log[4096];
} tls_world_t;

static void on_log(wst_log_level_t level, const char *line, void *user_data) {
    tls_world_t *t = user_data;
    size_t len = strlen(t->log);
    (void)level;
    snprintf(t->log + len, sizeof(t->log) - len, "%s\n", line);
    t->w.env.log_lines++;
}

static void tls_world_init(tls_world_t *t) {
    memset(t, 0, sizeof(*t));
    server_world_init(&t->w);
    t->w.env.ctx->options.log = on_log;
    t->w.env.ctx->options.log_level = WST_LOG_INFO;
    tls_setup_open(&t->tls, t->w.env.ctx, t->w.env.ctx);
    t->w.options.tls = t->tls.server;
}

static void tls_world_free(tls_world_t *t) {
    tls_setup_close(&t->tls);
    server_world_free(&t->w);
}

/* A client's handshake ----------------------------------------------------------------------- */

typedef struct shaking {
    server_client_t *client;
    int status;
    size_t done;
    char detail[256];
} shaking_t;

static void on_shaken(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    shaking_t *shaking = user_data;
    shaking->status = status;
    shaking->done++;
    snprintf(shaking->detail, sizeof(shaking->detail), "%s", detail != NULL ? detail : "");
    if (status == 0)
        server_client_use(shaking->client->w, shaking->client, stream);
}

/* Connects and begins the handshake. */
static void start_secure(tls_world_t *t, server_client_t *c, shaking_t *shaking,
                         const char *address) {
    *shaking = (shaking_t){.client = c};
    server_client_open_at(&t->w, c, address);
    const wst_tls_handshake_options_t options = {
        .size = sizeof(options), .config = t->tls.client, .server_name = "server.test"};
    wst_tls_handshake_t *handshake;
    assert_int_equal(wst_tls_handshake(&handshake, c->stream, &options, on_shaken, shaking), 0);
}

static void open_secure(tls_world_t *t, server_client_t *c, const char *address) {
    shaking_t shaking;
    start_secure(t, c, &shaking, address);
    test_env_until_count(&t->w.env, &shaking.done, 1);
    if (shaking.status != 0)
        fail_msg("handshake: %s", shaking.detail);
}

static void assert_serves_tls(tls_world_t *t, const char *address) {
    server_client_t c;
    open_secure(t, &c, address);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, HEALTHY);
    server_client_close(&c);
}

/* The bytes of a client's hello. */
static void make_hello(tls_world_t *t, uint8_t *out, size_t size, size_t *len) {
    fake_stream_t fake;
    assert_int_equal(fake_stream_open(&fake, t->w.env.ctx), 0);
    const wst_tls_handshake_options_t options = {
        .size = sizeof(options), .config = t->tls.client, .server_name = "server.test"};
    wst_tls_handshake_t *handshake;
    shaking_t shaking = {0};
    assert_int_equal(wst_tls_handshake(&handshake, fake.stream, &options, on_shaken, &shaking), 0);
    test_env_turns(&t->w.env, 3);
    assert_in_range(fake.written_len, 50, size);
    memcpy(out, fake.written, fake.written_len);
    *len = fake.written_len;
    wst_tls_handshake_cancel(handshake);
    test_env_turns(&t->w.env, 3);
    assert_true(fake.gone);
    fake_stream_free(&fake);
}

static bool no_connections(void *arg) {
    return server_world_stats(arg).connections == 0;
}

static bool has_failed(void *arg) {
    return server_world_stats(arg).tls_failures > 0;
}

typedef struct awaited {
    const tls_world_t *t;
    size_t handshakes;
} awaited_t;

static bool has_handshakes(void *arg) {
    const awaited_t *a = arg;
    return server_world_stats(&a->t->w).handshakes == a->handshakes;
}

static void until_handshakes(tls_world_t *t, size_t n) {
    awaited_t a = {t, n};
    test_env_until(&t->w.env, has_handshakes, &a);
}

/* The first byte ----------------------------------------------------------------------------- */

/* What addresses speak: by default TLS alone, with flags what these say. */
static void test_flags(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t c;
    char both[64], plain[64];
    tls_world_init(&t);
    server_world_start(&t.w);
    assert_int_equal(
        wst_server_listen(t.w.server, "127.0.0.1:0", WST_LISTEN_TLS | WST_LISTEN_PLAIN), 0);
    assert_int_equal(wst_server_listen(t.w.server, "127.0.0.1:0", WST_LISTEN_PLAIN), 0);
    snprintf(both, sizeof(both), "%s", wst_server_address(t.w.server, 1));
    snprintf(plain, sizeof(plain), "%s", wst_server_address(t.w.server, 2));

    assert_serves_tls(&t, t.w.address);
    assert_serves_tls(&t, both);
    server_client_open(&t.w, &c);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, SPEAKS_TLS);
    server_client_close(&c);
    server_client_open_at(&t.w, &c, both);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, HEALTHY);
    server_client_close(&c);
    server_client_open_at(&t.w, &c, plain);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, HEALTHY);
    server_client_close(&c);

    uint8_t hello[2048];
    size_t len;
    make_hello(&t, hello, sizeof(hello), &len);
    server_client_open_at(&t.w, &c, plain);
    server_client_send(&c, hello, len);
    server_client_end(&c);
    server_client_expect_bytes(&c, "\25\3\1\0\2\2\50", 7); /* an alert: handshake_failure */
    server_client_expect_end(&c);
    server_client_close(&c);
    tls_world_free(&t);
}

/* There is nothing to speak TLS with. */
static void test_flags_without_tls(void **state) {
    (void)state;
    server_world_t w;
    server_world_open(&w);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_LISTEN_TLS), WST_EINVAL);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_LISTEN_TLS | WST_LISTEN_PLAIN),
                     WST_EINVAL);
    assert_int_equal(wst_server_listen(w.server, "127.0.0.1:0", WST_LISTEN_PLAIN), 0);
    fake_stream_t fake;
    assert_int_equal(fake_stream_open(&fake, w.env.ctx), 0);
    assert_int_equal(wst_server_adopt(w.server, fake.stream, WST_LISTEN_TLS), WST_EINVAL);
    wst_stream_close(fake.stream, NULL);
    test_env_turns(&w.env, 3);
    fake_stream_free(&fake);
    server_world_free(&w);
}

/* A request that is refused as such, whole and in pieces; CONNECT is noted, as all refusals are. */
static void test_plain_to_tls(void **state) {
    (void)state;
    static const char request[] = "CONNECT host:22 HTTP/1.1\r\n\r\n";
    tls_world_t t;
    server_client_t c;
    tls_world_init(&t);
    server_world_start(&t.w);
    for (size_t split = 0; split < strlen(request); split++) {
        server_client_open(&t.w, &c);
        server_client_send(&c, request, split);
        test_env_turns(&t.w.env, 3);
        server_client_say(&c, request + split);
        server_client_expect(&c, SPEAKS_TLS);
        server_client_close(&c);
    }
    server_world_assert_notice(
        &t.w, "refused host:22 400 Bad Request: this address speaks TLS (https://, wss://)\n");
    tls_world_free(&t);
}

/* An operator who forgets TLS is told in an answer with the fields that all for operators have. */
static void test_plain_to_operators(void **state) {
    (void)state;
    static const char *const said[] = {HEALTH, "CONNECT host:22 HTTP/1.1\r\n\r\n", "GET\r\n\r\n"};
    tls_world_t t;
    server_client_t c;
    tls_world_init(&t);
    t.w.admits_operators = true;
    server_world_start(&t.w);
    assert_int_equal(wst_server_listen(t.w.server, "127.0.0.1:0", WST_ROLE_ADMIN), 0);
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        server_client_open_at(&t.w, &c, wst_server_address(t.w.server, 1));
        server_client_say(&c, said[i]);
        test_env_until_count(&t.w.env, &c.ended, 1);
        assert_non_null(strstr(c.got, "HTTP/1.1 400 Bad Request: "));
        assert_non_null(strstr(c.got, wst__guard_fields));
        server_client_close(&c);
    }
    server_client_open(&t.w, &c); /* clients' answers lack them */
    server_client_say(&c, HEALTH);
    test_env_until_count(&t.w.env, &c.ended, 1);
    assert_non_null(strstr(c.got, SPEAKS_TLS));
    assert_null(strstr(c.got, "Content-Security-Policy"));
    server_client_close(&c);
    tls_world_free(&t);
}

/* A hello in pieces is as good as one at once. */
static void test_hello_in_pieces(void **state) {
    (void)state;
    tls_world_t t;
    tls_world_init(&t);
    server_world_start(&t.w);
    uint8_t hello[2048];
    size_t len;
    make_hello(&t, hello, sizeof(hello), &len);
    const size_t splits[] = {1, 2, 5, 6, len / 2, len - 1};
    for (size_t i = 0; i < sizeof(splits) / sizeof(splits[0]); i++) {
        server_client_t c;
        server_client_open(&t.w, &c);
        server_client_send(&c, hello, splits[i]);
        until_handshakes(&t, 1);
        server_client_send(&c, hello + splits[i], len - splits[i]);
        test_env_until_count(&t.w.env, &c.got_len, 1);
        assert_int_equal(c.got[0], 22); /* a handshake record: the server's hello */
        server_client_close(&c);
        test_env_until(&t.w.env, no_connections, &t.w);
    }
    tls_world_free(&t);
}

/* No byte, or the end at once: no word about it, neither to the client nor in the log. */
static void test_silent(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t waits, leaves, resets;
    tls_world_init(&t);
    t.w.limits.tls_timeout_ms = 50;
    server_world_start(&t.w);
    size_t lines = t.w.env.log_lines;
    server_client_open(&t.w, &waits);
    server_client_open(&t.w, &leaves);
    server_client_open(&t.w, &resets);
    server_world_until_connections(&t.w, 3);
    server_client_end(&leaves);
    server_client_close(&resets);
    server_client_expect_end(&leaves);
    server_client_expect_end(&waits);
    server_client_close(&leaves);
    server_client_close(&waits);
    test_env_until(&t.w.env, no_connections, &t.w);
    assert_int_equal(t.w.env.log_lines, lines);
    assert_int_equal(server_world_stats(&t.w).tls_failures, 0);
    tls_world_free(&t);
}

/* Begins like a handshake and is none. */
static void test_garbage(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t c;
    tls_world_init(&t);
    server_world_start(&t.w);
    server_client_open(&t.w, &c);
    server_client_say(&c, "\x16garbage that is no TLS at all, whatever it looks like");
    test_env_until(&t.w.env, has_failed, &t.w);
    assert_int_equal(server_world_stats(&t.w).tls_failures, 1);
    assert_int_equal(server_world_stats(&t.w).connections, 0);
    server_world_assert_notice(&t.w, "refused  0 TLS: ");
    assert_string_equal(t.w.last_refusal, "||||tls_protocol_error|");
    assert_int_equal(server_world_stats(&t.w).refused, 0); /* those are requests */
    assert_string_equal(t.log, "");                        /* its line is the embedder's to write */
    server_client_close(&c);
    assert_serves_tls(&t, t.w.address);
    tls_world_free(&t);
}

/* -- Turns --------------------------------------------------------------------------------------
 */

/* As many at a time as there may be; the next one gets its turn when one of them is over. */
static void test_max_handshakes(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t stalled[2], c;
    shaking_t shaking;
    tls_world_init(&t);
    t.w.limits.max_handshakes = 2;
    server_world_start(&t.w);
    for (int i = 0; i < 2; i++) {
        server_client_open(&t.w, &stalled[i]);
        server_client_say(&stalled[i], "\x16");
    }
    until_handshakes(&t, 2);
    start_secure(&t, &c, &shaking, t.w.address);
    server_world_until_connections(&t.w, 3);
    test_env_turns(&t.w.env, 20);
    assert_int_equal(shaking.done, 0);
    assert_int_equal(server_world_stats(&t.w).handshakes, 2);
    server_client_close(&stalled[0]);
    test_env_until_count(&t.w.env, &shaking.done, 1);
    assert_int_equal(shaking.status, 0);
    server_client_say(&c, HEALTH);
    server_client_expect(&c, HEALTHY);
    server_client_close(&c);
    server_client_close(&stalled[1]);
    tls_world_free(&t);
}

/* Many hellos in one turn of the loop: what else there is to do is not held up by all of them. */
static void test_burst(void **state) {
    (void)state;
    enum { COUNT = 13 };
    tls_world_t t;
    fake_stream_t fakes[COUNT];
    tls_world_init(&t);
    server_world_start(&t.w);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(fake_stream_open(&fakes[i], t.w.env.ctx), 0);
        fake_stream_data(&fakes[i], "\x16", 1);
        assert_int_equal(wst_server_adopt(t.w.server, fakes[i].stream, 0), 0);
    }
    size_t turns = 0, before = 0;
    while (before < COUNT) {
        test_env_turns(&t.w.env, 1);
        size_t now = server_world_stats(&t.w).handshakes;
        assert_in_range(now - before, 0, 4);
        before = now;
        assert_in_range(++turns, 1, 50);
    }
    server_world_close(&t.w);
    test_env_until_count(&t.w.env, &t.w.closed, 1);
    test_env_turns(&t.w.env, 3);
    for (int i = 0; i < COUNT; i++) {
        assert_true(fakes[i].gone);
        fake_stream_free(&fakes[i]);
    }
    tls_world_free(&t);
}

/* The embedder closes the server when it hears of it, while others are under way and wait. */
static void test_closed_when_told(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t clients[4];
    tls_world_init(&t);
    t.w.limits.max_handshakes = 2;
    t.w.close_at = 'r';
    server_world_start(&t.w);
    for (int i = 0; i < 4; i++) {
        server_client_open(&t.w, &clients[i]);
        server_client_say(&clients[i], i < 3 ? "\x16" : "\x16garbage that is no TLS at all");
    }
    for (int i = 0; i < 4; i++)
        server_client_expect_reset(&clients[i]);
    assert_int_equal(t.w.refusals, 1);
    for (int i = 0; i < 4; i++)
        server_client_close(&clients[i]);
    tls_world_free(&t);
}

/* While somebody waits, the one that has had its turn for longest gives it up, and only that one.
 */
static void test_slow_while_others_wait(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t stalled[2], c;
    tls_world_init(&t);
    t.w.limits.max_handshakes = 2;
    t.w.limits.tls_timeout_ms = 4000;
    server_world_start(&t.w);
    for (int i = 0; i < 2; i++) {
        server_client_open(&t.w, &stalled[i]);
        server_client_say(&stalled[i], "\x16");
        until_handshakes(&t, (size_t)i + 1);
    }
    open_secure(&t, &c, t.w.address);
    server_client_expect_reset(&stalled[0]);
    server_world_assert_notice(&t.w, "refused  0 TLS: too slow while others wait\n");
    assert_int_equal(stalled[1].broken, 0);
    assert_int_equal(server_world_stats(&t.w).handshakes, 1);
    server_client_close(&c);
    server_client_close(&stalled[0]);
    server_client_close(&stalled[1]);
    tls_world_free(&t);
}

/* When who waited has gone, nobody has to make room any more. */
static void test_nobody_waits_any_more(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t slow;
    fake_stream_t fake;
    tls_world_init(&t);
    t.w.limits.max_handshakes = 1;
    server_world_start(&t.w);
    server_client_open(&t.w, &slow);
    server_client_say(&slow, "\x16");
    until_handshakes(&t, 1);
    assert_int_equal(fake_stream_open(&fake, t.w.env.ctx), 0);
    fake_stream_data(&fake, "\x16", 1);
    assert_int_equal(wst_server_adopt(t.w.server, fake.stream, 0), 0);
    test_env_turns(&t.w.env, 5);
    fake_stream_break(&fake, UV_ECONNRESET);
    server_world_until_connections(&t.w, 1);
    wst__deadlines_run(&t.w.env.ctx->deadlines, wst__now(t.w.env.ctx) + 5000);
    assert_int_equal(server_world_stats(&t.w).handshakes, 1);
    server_client_close(&slow);
    fake_stream_free(&fake);
    tls_world_free(&t);
}

/* The deadline covers the waiting, too: some get their turn before it, the others never. */
static void test_turn_too_late(void **state) {
    (void)state;
    enum { COUNT = 8 };
    tls_world_t t;
    server_client_t waiting[COUNT];
    tls_world_init(&t);
    t.w.limits.max_handshakes = 1;
    t.w.limits.tls_timeout_ms = 200;
    server_world_start(&t.w);
    for (int i = 0; i < COUNT; i++) {
        server_client_open(&t.w, &waiting[i]);
        server_client_say(&waiting[i], "\x16");
    }
    server_world_until_connections(&t.w, COUNT);
    test_env_until(&t.w.env, no_connections, &t.w);
    assert_int_equal(server_world_stats(&t.w).tls_failures, COUNT);
    server_world_assert_notice(&t.w, "refused  0 TLS: too many handshakes before it\n");
    for (int i = 0; i < COUNT; i++)
        server_client_close(&waiting[i]);
    assert_serves_tls(&t, t.w.address);
    tls_world_free(&t);
}

/* They count as connections: further ones wait in the kernel. */
static void test_counted(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t first, second;
    tls_world_init(&t);
    t.w.limits.max_connections = 1;
    server_world_start(&t.w);
    server_client_open(&t.w, &first);
    server_world_until_connections(&t.w, 1);
    server_client_open(&t.w, &second);
    test_env_turns(&t.w.env, 10);
    assert_int_equal(server_world_stats(&t.w).connections, 1);
    fake_stream_t fake;
    assert_int_equal(fake_stream_open(&fake, t.w.env.ctx), 0);
    assert_int_equal(wst_server_adopt(t.w.server, fake.stream, 0), WST_ELIMIT);
    wst_stream_close(fake.stream, NULL);
    server_client_close(&first);
    server_client_close(&second);
    test_env_until(&t.w.env, no_connections, &t.w);
    fake_stream_free(&fake);
    tls_world_free(&t);
}

/* -- Certificates -------------------------------------------------------------------------------
 */

/* Handshakes that begin after the change get the new one; connections that are there go on. */
static void test_set_tls(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t old, new;
    tls_world_init(&t);
    server_world_start(&t.w);
    open_secure(&t, &old, t.w.address);
    wst_tls_config_t *other =
        tls_setup_another(&t.tls, &(tls_spec_t){.subject = "CN=other", .names = "dns:server.test"});
    wst_server_set_tls(t.w.server, other);
    wst_tls_config_unref(other);
    open_secure(&t, &new, t.w.address);
    assert_string_equal(wst_stream_tls(old.stream)->peer->common_name, "server");
    assert_string_equal(wst_stream_tls(new.stream)->peer->common_name, "other");
    server_client_say(&old, HEALTH);
    server_client_expect(&old, HEALTHY);
    server_client_close(&old);
    server_client_close(&new);
    tls_world_free(&t);
}

/* What clients show is known to who decides about them. */
static char asked_by[128];

static void on_client_request(wst_server_t *server, wst_request_t *request, void *user_data) {
    (void)server, (void)user_data;
    const wst_tls_info_t *tls = wst_request_tls(request);
    snprintf(asked_by, sizeof(asked_by), "%s %d",
             tls == NULL         ? "plain"
             : tls->peer == NULL ? "TLS"
                                 : tls->peer->common_name,
             tls != NULL && tls->peer_verified);
    wst_request_deny(request, 403, NULL, NULL);
}

static void assert_asked_by(tls_world_t *t, server_client_t *c, const char *whom) {
    server_client_say(c, "CONNECT host:22 HTTP/1.1\r\n\r\n");
    server_client_expect(c, "HTTP/1.1 403 ");
    server_client_close(c);
    assert_string_equal(asked_by, whom);
    test_env_until(&t->w.env, no_connections, &t->w);
}

static void test_client_certificate(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t c;
    tls_made_t made;
    tls_world_init(&t);
    const wst_tls_identity_t identity = tls_identity(&t.tls.made);
    const wst_tls_server_options_t options = {.size = sizeof(options),
                                              .identities = &identity,
                                              .identity_count = 1,
                                              .client_cert = WST_TLS_CLIENT_OPTIONAL,
                                              .client_ca_pem = t.tls.ca.own};
    wst_tls_config_t *asking;
    assert_int_equal(wst_tls_server_config(&asking, t.w.env.ctx, &options, NULL), 0);
    const wst_server_options_t server_options = {
        .size = sizeof(server_options),
        .tls = asking,
        .callbacks = &(const wst_server_callbacks_t){.size = sizeof(wst_server_callbacks_t),
                                                     .on_client_request = on_client_request},
        .user_data = &t.w};
    assert_int_equal(wst_server_new(&t.w.server, t.w.env.ctx, &server_options), 0);
    assert_int_equal(
        wst_server_listen(t.w.server, "127.0.0.1:0", WST_LISTEN_TLS | WST_LISTEN_PLAIN), 0);
    snprintf(t.w.address, sizeof(t.w.address), "%s", wst_server_address(t.w.server, 0));
    wst_tls_config_unref(asking);

    server_client_open(&t.w, &c);
    assert_asked_by(&t, &c, "plain 0");
    open_secure(&t, &c, t.w.address);
    assert_asked_by(&t, &c, "TLS 0");
    tls_make(&made, &(tls_spec_t){.subject = "CN=alice"}, &t.tls.ca);
    const wst_tls_identity_t mine = tls_identity(&made);
    const wst_tls_client_options_t client_options = {
        .size = sizeof(client_options), .ca_pem = t.tls.ca.own, .identity = &mine};
    wst_tls_config_unref(t.tls.client);
    assert_int_equal(wst_tls_client_config(&t.tls.client, t.w.env.ctx, &client_options, NULL), 0);
    open_secure(&t, &c, t.w.address);
    assert_asked_by(&t, &c, "alice 1");
    tls_made_free(&made);
    tls_world_free(&t);
}

/* -- The end ------------------------------------------------------------------------------------
 */

/* The server is closed while connections are in every phase. */
static void test_close(void **state) {
    (void)state;
    tls_world_t t;
    server_client_t silent, shaking, waiting, open;
    tls_world_init(&t);
    t.w.limits.max_handshakes = 1;
    server_world_start(&t.w);
    open_secure(&t, &open, t.w.address);
    server_client_open(&t.w, &silent);
    server_client_open(&t.w, &shaking);
    server_client_say(&shaking, "\x16");
    until_handshakes(&t, 1);
    server_client_open(&t.w, &waiting);
    server_client_say(&waiting, "\x16");
    fake_stream_t fake; /* its shutdown takes for ever */
    assert_int_equal(fake_stream_open(&fake, t.w.env.ctx), 0);
    fake.hold_shutdown = true;
    fake_stream_end(&fake);
    assert_int_equal(wst_server_adopt(t.w.server, fake.stream, 0), 0);
    server_world_until_connections(&t.w, 5);
    test_env_turns(&t.w.env, 5);
    assert_true(fake.shutdown);
    server_world_close(&t.w);
    test_env_until_count(&t.w.env, &t.w.closed, 1);
    server_client_expect_reset(&open);
    server_client_expect_reset(&silent);
    server_client_expect_reset(&shaking);
    server_client_expect_reset(&waiting);
    server_client_close(&open);
    server_client_close(&silent);
    server_client_close(&shaking);
    server_client_close(&waiting);
    assert_true(fake.gone);
    fake_stream_free(&fake);
    tls_world_free(&t);
}

/* One that breaks, or whose end takes too long, before it is anything. */
static void test_broken(void **state) {
    (void)state;
    tls_world_t t;
    tls_world_init(&t);
    t.w.limits.tls_timeout_ms = 20;
    server_world_start(&t.w);
    for (int held = 0; held < 2; held++) {
        fake_stream_t fake;
        assert_int_equal(fake_stream_open(&fake, t.w.env.ctx), 0);
        fake.hold_shutdown = true;
        if (!held)
            fake_stream_error(&fake, UV_ECONNRESET);
        else
            fake_stream_end(&fake);
        assert_int_equal(wst_server_adopt(t.w.server, fake.stream, 0), 0);
        test_env_until(&t.w.env, no_connections, &t.w);
        test_env_turns(&t.w.env, 3);
        assert_true(fake.gone);
        assert_int_equal(fake.written_len, 0);
        fake_stream_free(&fake);
    }
    tls_world_free(&t);
}

/* A hello, then the end, at a server that lacks memory in each place where it takes some. */
static void test_no_memory(void **state) {
    (void)state;
    tls_world_t t;
    uint8_t hello[2048];
    size_t len, n = 0;
    tls_world_init(&t);
    server_world_start(&t.w);
    make_hello(&t, hello, sizeof(hello), &len);
    bool failed;
    do {
        fake_stream_t fake;
        assert_int_equal(fake_stream_open(&fake, t.w.env.ctx), 0);
        fake_stream_data(&fake, hello, len);
        fake_stream_end(&fake);
        test_alloc_fail(++n);
        int status = wst_server_adopt(t.w.server, fake.stream, 0);
        if (status != 0) {
            assert_int_equal(status, WST_ENOMEM);
            wst_stream_close(fake.stream, NULL);
        }
        test_env_until(&t.w.env, no_connections, &t.w);
        test_env_turns(&t.w.env, 5);
        failed = test_alloc_failed();
        test_alloc_fail(0);
        assert_true(fake.gone);
        fake_stream_free(&fake);
    } while (failed);
    assert_in_range(n, 5, 200);
    assert_serves_tls(&t, t.w.address);
    tls_world_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_flags_without_tls),
        cmocka_unit_test(test_plain_to_tls),
        cmocka_unit_test(test_plain_to_operators),
        cmocka_unit_test(test_hello_in_pieces),
        cmocka_unit_test(test_silent),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_max_handshakes),
        cmocka_unit_test(test_turn_too_late),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_nobody_waits_any_more),
        cmocka_unit_test(test_closed_when_told),
        cmocka_unit_test(test_slow_while_others_wait),
        cmocka_unit_test(test_counted),
        cmocka_unit_test(test_set_tls),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
