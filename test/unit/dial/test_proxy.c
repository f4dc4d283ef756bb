/* SPDX-License-Identifier: MIT */
/*
 * Dialling through a proxy, over real sockets: the tunnel, what came in behind the proxy's answer,
 * credentials and the connections they go over, what is told of a refusal, questions, and the end
 * at any moment.
 */
#include "ctx.h"
#include "proxy_world.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/error.h>

static void test_http(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "http://");
    w.fields = "User-Agent: me\r\n";
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_OK));
    proxy_world_dial(&w);
    proxy_world_use(&w, "");
    proxy_world_heard(&w, "CONNECT dest.test:443 HTTP/1.1\r\nHost: dest.test:443\r\n");
    proxy_world_heard(&w, "User-Agent: me\r\n");
    proxy_world_close(&w);
}

/* What comes in behind the answer is the destination's: it may speak first. */
static void test_early_bytes(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "http://");
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_OK "SSH-2.0-x\r\n"));
    proxy_world_dial(&w);
    proxy_world_use(&w, "SSH-2.0-x\r\n");
    proxy_world_close(&w);

    proxy_world_open(&w, "socks5://");
    PROXY_SCRIPT(&w, PROXY_HEARS(3, "\5\0"), PROXY_HEARS(16, PROXY_SOCKS_OPEN "SSH-2.0-x\r\n"));
    proxy_world_dial(&w);
    proxy_world_use(&w, "SSH-2.0-x\r\n");
    proxy_world_close(&w);
}

/* And the end, if that is all. */
static void test_early_end(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "http://");
    PROXY_SCRIPT(&w, {0, PROXY_OK "bye", sizeof(PROXY_OK "bye") - 1, PROXY_ENDS});
    proxy_world_dial(&w);
    proxy_world_finish(&w);
    assert_int_equal(w.status, 0);
    test_env_until_count(&w.env, &w.owner.ends, 1);
    assert_int_equal(w.owner.received, 3);
    proxy_world_close(&w);
}

static void test_socks(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "socks5h://");
    PROXY_SCRIPT(&w, PROXY_HEARS(3, "\5\0"), PROXY_HEARS(16, PROXY_SOCKS_OPEN));
    proxy_world_dial(&w);
    proxy_world_use(&w, "");
    assert_memory_equal(w.proxy.heard, "\5\1\0\5\1\0\3\11dest.test\1\xbbhello", 24);
    proxy_world_close(&w);

    proxy_world_open(&w, "socks5://ann:s3cret@");
    PROXY_SCRIPT(&w, PROXY_HEARS(4, "\5\2"), PROXY_HEARS(12, "\1\0"),
                 PROXY_HEARS(16, PROXY_SOCKS_OPEN));
    proxy_world_dial(&w);
    proxy_world_use(&w, "");
    assert_memory_equal(w.proxy.heard + 4, "\1\3ann\6s3cret", 12);
    proxy_world_close(&w);
}

static void test_credentials(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "http://ann:s3cret@");
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC "Content-Length: 5\r\n\r\n<html"),
                 PROXY_HEARS_HEAD(PROXY_OK));
    proxy_world_dial(&w);
    proxy_world_use(&w, "");
    assert_int_equal(w.proxy.accepted, 1);
    proxy_world_heard(&w, "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n");
    proxy_world_close(&w);

    proxy_world_open(&w, "http://");
    w.credentials = "ann:s3cret";
    PROXY_SCRIPT(&w,
                 PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC
                                  "Proxy-Authenticate: Digest realm=\"x\", nonce=\"n\", "
                                  "qop=\"auth\"\r\nConnection: close\r\n\r\n<html>"),
                 PROXY_HEARS_HEAD(PROXY_OK));
    proxy_world_dial(&w);
    proxy_world_use(&w, "");
    assert_int_equal(w.proxy.accepted, 2);
    proxy_world_heard(&w, "Proxy-Authorization: Digest username=\"ann\", realm=\"x\", nonce=\"n\", "
                          "uri=\"dest.test:443\"");
    proxy_world_close(&w);
}

/* A connection that the proxy had promised to keep. */
static void test_kept_in_vain(void **state) {
    (void)state;
    proxy_world_t w;
    for (int how = PROXY_ENDS; how <= PROXY_RESETS; how++) {
        proxy_world_open(&w, "http://ann:s3cret@");
        PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC PROXY_EMPTY),
                     {0, "", 0, how == PROXY_ENDS ? PROXY_ENDS : PROXY_RESETS},
                     PROXY_HEARS_HEAD(PROXY_OK));
        proxy_world_dial(&w);
        proxy_world_use(&w, "");
        assert_int_equal(w.proxy.accepted, 2);
        proxy_world_heard(&w, "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n");
        proxy_world_close(&w);
    }
}

/* The outcome of a script is a refusal; its text goes behind "the proxy ADDRESS". */
static void assert_refused(const char *scheme, const fake_proxy_turn_t *turns, size_t count,
                           int status, int http_status, const char *text) {
    proxy_world_t w;
    char detail[900];
    proxy_world_open(&w, scheme);
    proxy_world_script(&w, turns, count);
    proxy_world_dial(&w);
    proxy_world_finish(&w);
    snprintf(detail, sizeof(detail), "the proxy %s%s", w.proxy.address, text);
    assert_string_equal(w.detail, detail);
    assert_int_equal(w.status, status);
    assert_int_equal(w.http_status, http_status);
    proxy_world_close(&w);
}

#define REFUSED(scheme, status, http_status, text, ...)                                            \
    assert_refused(scheme, (const fake_proxy_turn_t[]){__VA_ARGS__},                               \
                   sizeof((const fake_proxy_turn_t[]){__VA_ARGS__}) / sizeof(fake_proxy_turn_t),   \
                   status, http_status, text)

static void test_refusals(void **state) {
    (void)state;
    REFUSED(
        "http://", WST_EPROXY, 403, " answered 403 Forbidden: not there",
        PROXY_HEARS_HEAD("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nnot there\n"));
    REFUSED("http://", WST_EPROXYAUTH, 407,
            " wants authentication and offers: NTLM; Basic and Digest are built in",
            PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM PROXY_EMPTY));
    REFUSED("http://ann:s3cret@", WST_EPROXYAUTH, 407,
            " refused the user name or password (407 Proxy Authentication Required); it offers: "
            "Basic",
            PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC PROXY_EMPTY),
            PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC PROXY_EMPTY));
    REFUSED("http://", WST_EHTTP, 0, " answered what is not HTTP: not a response of HTTP/1",
            PROXY_HEARS_HEAD("SSH-2.0-x\r\n\r\n"));
    REFUSED("http://", WST_EPROXY, 0, " ended the connection without an answer",
            {0, "", 0, PROXY_ENDS});
    REFUSED("http://", WST_EPROXY, 0, " ended the connection without an answer",
            {0, "HTTP/1.1 2", 10, PROXY_ENDS});
    REFUSED("http://", UV_ECONNRESET, 0, ": connection reset by peer", {0, "", 0, PROXY_RESETS});
    REFUSED("socks5://", WST_EPROXYAUTH, 0, " wants authentication", PROXY_HEARS(3, "\5\xff"));
    REFUSED("socks5://ann:s3cret@", WST_EPROXYAUTH, 0, " refused the user name or password",
            PROXY_HEARS(4, "\5\2"), PROXY_HEARS(12, "\1\1"));
    REFUSED("socks5://", WST_EPROXY, 0, " says: connection refused (SOCKS reply 5)",
            PROXY_HEARS(3, "\5\0"), PROXY_HEARS(16, "\5\5\0\1\0\0\0\0\0\0"));
    REFUSED("socks5://", WST_EPROTO, 0, " does not speak SOCKS5",
            PROXY_HEARS(3, "HTTP/1.1 400 Bad Request\r\n\r\n"));
    REFUSED("socks5://", WST_EPROTO, 0, " answers before it is asked",
            PROXY_HEARS(3, "\5\0" PROXY_SOCKS_OPEN));
    REFUSED("socks5://", WST_EPROXY, 0, " ended the connection without an answer",
            {3, "\5\0", 2, PROXY_ENDS});
    REFUSED("socks5://", UV_ECONNRESET, 0, ": connection reset by peer", {3, "", 0, PROXY_RESETS});
}

static void test_big_head(void **state) {
    (void)state;
    static char head[20000];
    memset(head, 'x', sizeof(head));
    memcpy(head, "HTTP/1.1 200 ok\r\nA: ", 20);
    const fake_proxy_turn_t turn = {0, head, sizeof(head), PROXY_STAYS};
    assert_refused("http://", &turn, 1, WST_EHEADBIG, 0,
                   " answered with a head of more than 16384 bytes");
}

static void test_unreachable(void **state) {
    (void)state;
    proxy_world_t w;
    char detail[200];
    proxy_world_open(&w, "http://");
    wst_listener_close(w.proxy.listener, NULL);
    w.proxy.listener = NULL;
    test_env_turns(&w.env, 3);
    proxy_world_dial(&w);
    proxy_world_finish(&w);
    assert_int_equal(w.status, UV_ECONNREFUSED);
    snprintf(detail, sizeof(detail), "the proxy %s cannot be reached: connection refused",
             w.proxy.address);
    assert_string_equal(w.detail, detail);
    proxy_world_close(&w);
}

static void never(int status, wst_stream_t *stream, const wst_proxy_failure_t *failure,
                  void *user_data) {
    (void)status, (void)stream, (void)failure, (void)user_data;
    fail();
}

static void test_bad_options(void **state) {
    (void)state;
    static const struct {
        const char *url, *credentials, *host;
        uint16_t port;
        const char *why;
    } cases[] = {
        {NULL, NULL, "h", 1, "a required option is missing"},
        {"http://p", NULL, NULL, 1, "a required option is missing"},
        {"ftp://p", NULL, "h", 1, "the scheme must be http, https, socks5 or socks5h"},
        {"http://p", "x", "h", 1, "the credentials are not user:password"},
        {"http://p", NULL, "h", 0, "port is not a number from 1 to 65535"},
        {"http://p", NULL, "", 1, "no host"},
        {"http://p", NULL, "a\r\nb", 1, "character not allowed in a host name"},
    };
    proxy_world_t w;
    proxy_world_open(&w, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const wst_proxy_dial_options_t options = {
            .size = sizeof(options),
            .proxy = &(const wst_proxy_options_t){.size = sizeof(wst_proxy_options_t),
                                                  .url = cases[i].url,
                                                  .credentials = cases[i].credentials},
            .host = cases[i].host,
            .port = cases[i].port};
        const char *why = NULL;
        assert_int_equal(wst_proxy_dial(&w.dial, w.env.ctx, &options, &why, never, &w), WST_EINVAL);
        assert_string_equal(why, cases[i].why);
        assert_null(w.dial);
    }
    proxy_world_close(&w);

    static char big[20000];
    snprintf(big, sizeof(big), "A: %015000d\r\n", 0);
    proxy_world_open(&w, "http://");
    w.fields = "no line";
    assert_int_equal(proxy_world_try(&w), WST_EINVAL);
    w.fields = big;
    assert_int_equal(proxy_world_try(&w), WST_EINVAL);
    proxy_world_close(&w);
}

/* IPv6 literals stand in brackets in a request. */
static void test_ipv6_destination(void **state) {
    (void)state;
    proxy_world_t w;
    proxy_world_open(&w, "http://");
    w.host = "2001:db8::1";
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_OK));
    proxy_world_dial(&w);
    proxy_world_use(&w, "");
    proxy_world_heard(&w, "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n");
    proxy_world_close(&w);
}

/* -- Questions -------------------------------------------------------------------------------- */

static void world_asks(proxy_world_t *w, const char *scheme, proxy_answer_t answer) {
    proxy_world_open(w, scheme);
    w->asks = true;
    w->answer = answer;
}

static void test_legs(void **state) {
    (void)state;
    proxy_world_t w;
    world_asks(&w, "http://", PROXY_ALLOW_WITH);
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM "Content-Length: 3\r\n\r\nabc"),
                 PROXY_HEARS_HEAD(PROXY_WANTED "Proxy-Authenticate: NTLM two\r\n" PROXY_EMPTY),
                 PROXY_HEARS_HEAD(PROXY_OK "x"));
    proxy_world_dial(&w);
    proxy_world_use(&w, "x");
    assert_int_equal(w.proxy.accepted, 1);
    assert_int_equal(w.asked, 2);
    assert_string_equal(w.question_text, "the proxy|dest.test:443|407|NTLM two");
    proxy_world_heard(&w, "Proxy-Authorization: NTLM leg1\r\n");
    proxy_world_heard(&w, "Proxy-Authorization: NTLM leg2\r\n");
    proxy_world_close(&w);
}

static void test_allow_means_built_in(void **state) {
    (void)state;
    proxy_world_t w;
    world_asks(&w, "http://ann:s3cret@", PROXY_ALLOW);
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM PROXY_BASIC PROXY_EMPTY),
                 PROXY_HEARS_HEAD(PROXY_OK));
    proxy_world_dial(&w);
    proxy_world_use(&w, "");
    proxy_world_heard(&w, "Proxy-Authorization: Basic YW5uOnMzY3JldA==\r\n");
    proxy_world_close(&w);
}

static void test_bad_fields_in_answer(void **state) {
    (void)state;
    proxy_world_t w;
    world_asks(&w, "http://", PROXY_HOLD);
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM PROXY_EMPTY));
    proxy_world_dial(&w);
    test_env_until_count(&w.env, &w.asked, 1);
    wst_request_allow_with(w.question, "Proxy-Authorization: x");
    proxy_world_finish(&w);
    assert_int_equal(w.status, WST_EINVAL);
    assert_non_null(strstr(w.detail, "cannot be answered: fields that are not complete lines"));
    proxy_world_close(&w);
}

static void test_denied(void **state) {
    (void)state;
    static const struct {
        proxy_answer_t answer;
        const char *text;
    } cases[] = {
        {PROXY_DENY, " wants authentication and offers: NTLM; no ticket"},
        {PROXY_MISFIT, " wants authentication and offers: NTLM; no credentials"},
    };
    for (size_t i = 0; i < 2; i++) {
        proxy_world_t w;
        char detail[200];
        world_asks(&w, "http://", cases[i].answer);
        PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM PROXY_EMPTY));
        proxy_world_dial(&w);
        proxy_world_finish(&w);
        assert_int_equal(w.status, WST_ECANCELLED);
        assert_int_equal(w.http_status, 407);
        snprintf(detail, sizeof(detail), "the proxy %s%s", w.proxy.address, cases[i].text);
        assert_string_equal(w.detail, detail);
        proxy_world_close(&w);
    }
}

/* The connection may go while the embedder thinks, or say what nobody has asked for; the answer
 * goes out on another one. */
static void test_gone_while_asked(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        proxy_world_t w;
        world_asks(&w, "http://", PROXY_HOLD);
        PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM PROXY_EMPTY),
                     PROXY_HEARS_HEAD(PROXY_OK));
        proxy_world_dial(&w);
        test_env_until_count(&w.env, &w.asked, 1);
        if (how == 0)
            fake_proxy_reset(&w.proxy);
        else if (how == 1)
            assert_int_equal(wst_stream_shutdown(w.proxy.stream), 0);
        else
            fake_proxy_say(&w.proxy, PROXY_OK, strlen(PROXY_OK));
        test_env_until_count(&w.env, &w.proxy.closed, 1);
        assert_int_equal(w.done, 0);
        wst_request_allow_with(w.question, "Proxy-Authorization: NTLM late\r\n");
        proxy_world_use(&w, "");
        assert_int_equal(w.proxy.accepted, 2);
        proxy_world_heard(&w, "Proxy-Authorization: NTLM late\r\n");
        proxy_world_close(&w);
    }
}

/* -- Deadlines -------------------------------------------------------------------------------- */

/* Runs until the proxy has heard so much. */
static bool has_heard(void *arg) {
    const proxy_world_t *w = arg;
    return w->proxy.turn > 0 || w->proxy.heard_len > 20;
}

static void late(proxy_world_t *w) {
    wst__deadlines_run(&w->env.ctx->deadlines, wst__now(w->env.ctx) + 10001);
    proxy_world_finish(w);
}

enum { FILLERS = 4 };

/* Connections that nobody accepts, until the kernel takes no more. */
static void fill_backlog(const proxy_world_t *w, int fds[FILLERS]) {
    struct sockaddr_in to;
    assert_int_equal(uv_ip4_addr("127.0.0.1", atoi(strchr(w->proxy.address, ':') + 1), &to), 0);
    for (int i = 0; i < FILLERS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fds[i], (const struct sockaddr *)&to, sizeof(to));
    }
}

static void test_deadlines(void **state) {
    (void)state;
    proxy_world_t w;
    char detail[200];
    proxy_world_open(&w, "http://");
    wst_listener_pause(w.proxy.listener);
    int fillers[FILLERS];
    fill_backlog(&w, fillers);
    proxy_world_dial(&w);
    test_env_turns(&w.env, 5);
    late(&w);
    assert_int_equal(w.status, WST_EDIALTIMEOUT);
    snprintf(detail, sizeof(detail), "the proxy %s cannot be reached: connection timed out",
             w.proxy.address);
    assert_string_equal(w.detail, detail);
    for (int i = 0; i < FILLERS; i++)
        close(fillers[i]);
    proxy_world_close(&w);

    static const struct {
        const char *scheme;
        fake_proxy_turn_t turn;
        int status;
        const char *text;
    } cases[] = {
        {"http://", PROXY_HEARS_HEAD("HTTP/1.1 200 ok\r\n"), WST_EDIALTIMEOUT,
         " gave no answer in time"},
        {"socks5://", PROXY_HEARS(3, "\5"), WST_EDIALTIMEOUT, " gave no answer in time"},
        /* the body of a 407 that does not come to its end */
        {"http://", PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC "Content-Length: 5\r\n\r\n<"),
         WST_EPROXYAUTH, " wants a user name and password and offers: Basic"},
        /* a refusal that does not finish its sentence */
        {"http://", PROXY_HEARS_HEAD("HTTP/1.1 502 no\r\nContent-Type: text/plain\r\n\r\nhost un"),
         WST_EPROXY, " answered 502 no: host un"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        proxy_world_open(&w, cases[i].scheme);
        proxy_world_script(&w, &cases[i].turn, 1);
        proxy_world_dial(&w);
        test_env_until(&w.env, has_heard, &w);
        test_env_turns(&w.env, 5);
        late(&w);
        assert_int_equal(w.status, cases[i].status);
        snprintf(detail, sizeof(detail), "the proxy %s%s", w.proxy.address, cases[i].text);
        assert_string_equal(w.detail, detail);
        proxy_world_close(&w);
    }
}

static void test_answer_too_late(void **state) {
    (void)state;
    proxy_world_t w;
    world_asks(&w, "http://", PROXY_HOLD);
    PROXY_SCRIPT(&w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM PROXY_EMPTY));
    proxy_world_dial(&w);
    test_env_until_count(&w.env, &w.asked, 1);
    late(&w);
    assert_int_equal(w.gone, 1);
    assert_int_equal(w.status, WST_ETIMEOUT);
    assert_non_null(strstr(w.detail, "offers: NTLM; no credentials in time"));
    proxy_world_close(&w);
}

/* -- The end at any moment -------------------------------------------------------------------- */

static void script_legs(proxy_world_t *w) {
    PROXY_SCRIPT(w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM "Connection: close\r\n\r\n"),
                 PROXY_HEARS_HEAD(PROXY_WANTED PROXY_NTLM "Content-Length: 3\r\n\r\nabc"),
                 PROXY_HEARS_HEAD(PROXY_OK "x"));
}

/* Cancelled after each number of turns of the loop, until it comes to its end before that. */
static void test_cancel_anywhere(void **state) {
    (void)state;
    static const char *const schemes[] = {"http://", "socks5://ann:s3cret@"};
    for (size_t i = 0; i < 2; i++) {
        bool over = false;
        for (int turns = 0; !over; turns++) {
            proxy_world_t w;
            world_asks(&w, schemes[i], turns % 2 ? PROXY_ALLOW_WITH : PROXY_HOLD);
            if (i == 0)
                script_legs(&w);
            else
                PROXY_SCRIPT(&w, PROXY_HEARS(4, "\5\2"), PROXY_HEARS(12, "\1\0"),
                             PROXY_HEARS(16, PROXY_SOCKS_OPEN));
            proxy_world_dial(&w);
            for (int k = 0; k < turns && w.done == 0; k++)
                test_env_turns(&w.env, 1);
            over = w.done > 0;
            size_t held = w.question != NULL;
            proxy_world_cancel(&w);
            test_env_turns(&w.env, 3);
            assert_int_equal(w.gone, held);
            assert_int_equal(w.done, over);
            proxy_world_close(&w);
            assert_true(turns < 1000);
        }
    }
}

static void test_cancel_in_question(void **state) {
    (void)state;
    proxy_world_t w;
    world_asks(&w, "http://", PROXY_HOLD);
    w.cancel_when_asked = true;
    script_legs(&w);
    proxy_world_dial(&w);
    test_env_until_count(&w.env, &w.asked, 1);
    test_env_turns(&w.env, 5);
    assert_int_equal(w.done, 0);
    proxy_world_close(&w);
}

typedef struct plan {
    const char *scheme;
    void (*script)(proxy_world_t *w);
} plan_t;

static void script_basic(proxy_world_t *w) {
    PROXY_SCRIPT(w, PROXY_HEARS_HEAD(PROXY_WANTED PROXY_BASIC "Connection: close\r\n\r\n"),
                 PROXY_HEARS_HEAD(PROXY_OK "x"));
}

static void script_socks(proxy_world_t *w) {
    PROXY_SCRIPT(w, PROXY_HEARS(4, "\5\2"), PROXY_HEARS(12, "\1\0"),
                 PROXY_HEARS(16, PROXY_SOCKS_OPEN "x"));
}

static void run_without_memory(void *arg) {
    const plan_t *plan = arg;
    proxy_world_t w;
    memset(&w, 0, sizeof(w));
    test_env_open(&w.env);
    if (w.env.ctx == NULL) {
        test_env_close(&w.env);
        return;
    }
    fake_proxy_open(&w.proxy, &w.env);
    w.scheme = plan->scheme;
    w.fields = "A: b\r\n";
    w.asks = plan->script == script_legs;
    w.answer = PROXY_ALLOW_WITH;
    plan->script(&w);
    int status = proxy_world_try(&w);
    if (status == 0) {
        proxy_world_finish(&w);
        status = w.status;
    } else {
        w.dial = NULL;
    }
    assert_true(status == 0 || test_alloc_failed());
    if (status == 0) {
        /* delivering what was put back may fail, too */
        while (w.owner.received == 0 && w.owner.errors == 0)
            uv_run(&w.env.loop, UV_RUN_ONCE);
    }
    proxy_world_close(&w);
}

static void test_no_memory(void **state) {
    (void)state;
    plan_t plans[] = {{"http://", script_legs},
                      {"http://ann:s3cret@", script_basic},
                      {"socks5://ann:s3cret@", script_socks}};
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
        assert_true(test_alloc_each(run_without_memory, &plans[i]) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_early_bytes),
        cmocka_unit_test(test_early_end),
        cmocka_unit_test(test_socks),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_kept_in_vain),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_big_head),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_ipv6_destination),
        cmocka_unit_test(test_legs),
        cmocka_unit_test(test_allow_means_built_in),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_bad_fields_in_answer),
        cmocka_unit_test(test_gone_while_asked),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_answer_too_late),
        cmocka_unit_test(test_cancel_anywhere),
        cmocka_unit_test(test_cancel_in_question),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
