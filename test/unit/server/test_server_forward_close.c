/* SPDX-License-Identifier: MIT */
/* Forwarding when the server is drained or closed, in every moment, and without memory. */
#include "fake_stream.h"
#include "forward_world.h"

#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wstunnel/agent.h>
#include <wstunnel/socket.h>

#define UPGRADE "GET ws://site/ HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define SWITCH  "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
#define POST    "POST http://site/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"

static bool is_over(void *arg) {
    const server_client_t *c = arg;
    return c->ended + c->broken > 0;
}

/* --- closed in a callback --- */

typedef enum story { PLAIN, REFUSED, CLOSED_EARLY, MALFORMED, CUT, STALE, SWITCHED } story_t;

/* Tells the story up to where the callback comes. */
static void tell(forward_t *f, story_t story) {
    f->a.treatment = story == REFUSED ? SERVER_AGENT_REFUSE : SERVER_AGENT_ACCEPT;
    f->a.reason = WST_EREFUSED;
    f->a.text = "";
    server_client_say(&f->c, story == SWITCHED ? UPGRADE "more" : FORWARD_GET "more");
    if (f->w.close_at == 'c' || f->w.close_at == 'h' || f->w.close_at == 'o' || story == REFUSED)
        return;
    test_env_until_count(&f->w.env, &f->a.got_len, 1);
    if (story == PLAIN)
        forward_reply(f, FORWARD_OK);
    else if (story == CLOSED_EARLY || story == STALE)
        forward_end(f);
    else if (story == MALFORMED)
        forward_reply(f, "?");
    else if (story == CUT)
        forward_reply(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n?");
    else
        forward_reply(f, SWITCH "data");
}

static void close_in(char callback, story_t story) {
    forward_t f;
    forward_init(&f);
    f.w.clients = SERVER_ALLOW;
    f.w.choice = callback == 'h' ? SERVER_ALLOW : SERVER_UNASKED;
    forward_start(&f);
    if (story == STALE)
        forward_get(&f);
    f.w.close_at = callback;
    tell(&f, story);
    test_env_until_count(&f.w.env, &f.w.closed, 1);
    test_env_until(&f.w.env, is_over, &f.c);
    forward_close(&f);
}

static void test_close_in_callbacks(void **state) {
    (void)state;
    close_in('c', PLAIN);
    close_in('h', PLAIN);
    close_in('o', PLAIN);
    close_in('e', PLAIN);
    close_in('r', REFUSED);
    close_in('e', CLOSED_EARLY);
    close_in('r', CLOSED_EARLY);
    close_in('e', MALFORMED);
    close_in('e', CUT);
    close_in('e', STALE);
    close_in('e', SWITCHED);
}

/* In the notice that an upgraded connection is a tunnel now. */
static void test_close_when_joined(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, UPGRADE "more");
    test_env_until_count(&f.w.env, &f.a.got_len, 1);
    f.w.close_at = 'o';
    forward_reply(&f, SWITCH "data");
    test_env_until_count(&f.w.env, &f.w.closed, 1);
    test_env_until(&f.w.env, is_over, &f.c);
    forward_close(&f);
}

/* --- at each moment --- */

/* The origin answers when a request is there. */
static void play_origin(forward_t *f) {
    server_agent_t *a = &f->a;
    const char *post = strstr(a->got, "POST ");
    bool whole = strstr(a->got, "\r\n\r\n") != NULL;
    if (!whole || (post != NULL && strstr(post, "0\r\n\r\n") == NULL))
        return;
    bool switched = strstr(a->got, "Upgrade: ") != NULL;
    a->got_len = 0;
    a->got[0] = '\0';
    if (a->stream != NULL)
        forward_reply(f, switched ? SWITCH : FORWARD_OK);
}

/* Whether all was served by that turn. */
static bool close_after(int turns) {
    forward_t f;
    forward_init(&f);
    f.w.clients = SERVER_ALLOW;
    forward_start(&f);
    server_client_say(&f.c, FORWARD_GET FORWARD_GET POST UPGRADE);
    for (int i = 0; i < turns; i++) {
        test_env_turns(&f.w.env, 1);
        play_origin(&f);
    }
    bool through = strstr(f.c.got, " 101 ") != NULL;
    server_world_close(&f.w);
    test_env_until_count(&f.w.env, &f.w.closed, 1);
    test_env_until(&f.w.env, is_over, &f.c);
    forward_close(&f);
    return through;
}

static void test_close_at_each_turn(void **state) {
    (void)state;
    int turns = 0;
    while (!close_after(turns))
        assert_true(++turns < 1000);
    assert_true(turns > 10);
}

/* --- drain --- */

static void test_drain_within(void **state) {
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        forward_t f;
        forward_open(&f);
        server_client_say(&f.c, FORWARD_GET FORWARD_GET);
        forward_asked(&f, FORWARD_GOT);
        if (begun)
            forward_reply(&f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        if (begun)
            server_client_expect(&f.c, "HTTP/1.1 200 OK\r\n");
        wst_server_drain(f.w.server);
        test_env_turns(&f.w.env, 20);
        assert_int_equal(f.w.drained, 0);
        if (begun) {
            f.c.got_len = 0;
            forward_reply(&f, "ok");
            server_client_expect(&f.c, "ok");
        } else {
            forward_reply(&f, FORWARD_OK);
            forward_expect(&f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nVia: 1.1 @\r\n"
                               "Connection: close\r\n\r\nok");
        }
        server_client_expect_end(&f.c);
        test_env_turns(&f.w.env, 20);
        assert_int_equal(f.w.drained, 0); /* who knows whether it has arrived */
        server_client_close(&f.c);
        test_env_until_count(&f.w.env, &f.w.drained, 1);
        test_env_until_count(&f.w.env, &f.a.stream_ended, 1);
        assert_int_equal(f.a.asked, 1);
        forward_close(&f);
    }
}

/* A kept connection ends behind its last answer. */
static void test_drain_idle(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    forward_get(&f);
    f.w.close_at = 'n';
    wst_server_drain(f.w.server);
    test_env_until_count(&f.w.env, &f.w.closed, 1);
    forward_expect_end(&f); /* not a reset, for the answer might still be on its way */
    forward_close(&f);
}

/* One that has begun a request is told, although a connection to the origin is there. */
static void test_drain_before_decision(void **state) {
    (void)state;
    forward_t f;
    forward_init(&f);
    f.w.clients = SERVER_ALLOW;
    forward_start(&f);
    forward_get(&f);
    f.w.clients = SERVER_HOLD;
    server_client_say(&f.c, FORWARD_GET);
    test_env_until_count(&f.w.env, &f.w.client_questions, 2);
    wst_server_drain(f.w.server);
    wst_request_allow(f.w.held);
    forward_expect_refusal(&f, 503, "Server is shutting down", "proxy_internal_response", "");
    assert_int_equal(f.a.asked, 1);
    assert_int_equal(f.a.got_len, 0);
    forward_close(&f);
}

/* Not drained in between. */
static void test_drain_and_upgrade(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, UPGRADE);
    test_env_until_count(&f.w.env, &f.a.got_len, 1);
    wst_server_drain(f.w.server);
    forward_reply(&f, SWITCH);
    server_client_expect(&f.c, "HTTP/1.1 101 ");
    test_env_turns(&f.w.env, 20);
    assert_int_equal(f.w.drained, 0);
    server_client_close(&f.c);
    test_env_until_count(&f.w.env, &f.w.drained, 1);
    forward_close(&f);
}

static void drain_now(wst_server_t *server, const wst_stream_info_t *info, void *user_data) {
    (void)info;
    (void)user_data;
    wst_server_drain(server);
}

/* In the notice of its end. */
static void test_drain_in_callback(void **state) {
    (void)state;
    for (int switched = 0; switched < 2; switched++) {
        forward_t f;
        forward_open(&f);
        server_client_say(&f.c, switched ? UPGRADE : FORWARD_GET);
        test_env_until_count(&f.w.env, &f.a.got_len, 1);
        f.w.server->callbacks.on_stream_close = drain_now;
        f.w.close_at = 'n';
        forward_reply(&f, switched ? SWITCH : FORWARD_OK);
        server_client_expect(&f.c, switched ? "HTTP/1.1 101 " : "HTTP/1.1 200 ");
        test_env_turns(&f.w.env, 20);
        assert_int_equal(f.w.drained, 0);
        if (!switched)
            test_env_until_count(&f.w.env, &f.c.ended, 1); /* not by a reset */
        server_client_close(&f.c);
        test_env_until_count(&f.w.env, &f.w.closed, 1);
        forward_close(&f);
    }
}

/* Drained at this turn, and closed when that is done: who was served has its whole answer. */
static bool drain_after(int turns) {
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c, FORWARD_GET);
    for (int i = 0; i < turns; i++) {
        test_env_turns(&f.w.env, 1);
        play_origin(&f);
    }
    bool through = strstr(f.c.got, "\r\n\r\nok") != NULL;
    f.w.close_at = 'n';
    wst_server_drain(f.w.server);
    bool asked = false;
    while (!is_over(&f.c)) {
        test_env_turns(&f.w.env, 1);
        asked = asked || f.a.got_len > 0;
        play_origin(&f);
    }
    if (asked || through) {
        assert_int_equal(f.c.broken, 0);
        assert_string_equal(f.c.got + f.c.got_len - 6, "\r\n\r\nok");
    }
    server_client_close(&f.c);
    test_env_until_count(&f.w.env, &f.w.closed, 1);
    forward_close(&f);
    return through;
}

static void test_drain_at_each_turn(void **state) {
    (void)state;
    int turns = 0;
    while (!drain_after(turns))
        assert_true(++turns < 1000);
    assert_true(turns > 3);
}

/* --- without memory --- */

enum { ORIGINS = 16 };

/* A client and origins outside of the context, so that its memory plays no role in them. */
typedef struct outside {
    server_world_t w;
    int client;
    char answer[4096];
    size_t answer_len;
    bool over, reset;
    int origins[ORIGINS];
    char asked[ORIGINS][1024];
    const char *rest[ORIGINS]; /* of an answer, to be sent when the first part has got through */
    size_t asked_len[ORIGINS], count;
} outside_t;

/* Reads what is there. False: the other side has ended or reset. */
static bool pull(int fd, char *buf, size_t size, size_t *len, bool *reset) {
    ssize_t n = recv(fd, buf + *len, size - 1 - *len, MSG_DONTWAIT);
    if (n > 0)
        *len += (size_t)n;
    buf[*len] = '\0';
    *reset = n < 0 && errno != EAGAIN;
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void say(outside_t *o, size_t i, const char *text) {
    (void)!send(o->origins[i], text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void play_outside(outside_t *o, size_t i) {
    static const char ok[] =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\nC";
    bool reset;
    if (o->rest[i] != NULL && strstr(o->answer, "A: b\r\n") != NULL) {
        say(o, i, o->rest[i]);
        o->rest[i] = NULL;
    }
    pull(o->origins[i], o->asked[i], sizeof(o->asked[i]), &o->asked_len[i], &reset);
    if (strstr(o->asked[i], "POST ") != NULL ? strstr(o->asked[i], "0\r\n\r\n") == NULL
                                             : strstr(o->asked[i], "\r\n\r\n") == NULL)
        return;
    bool switches = strstr(o->asked[i], "Upgrade: ") != NULL;
    bool ends = strstr(o->asked[i], " /close ") != NULL;
    o->asked[i][o->asked_len[i] = 0] = '\0';
    if (ends) {
        say(o, i, "HTTP/1.0 200 OK\r\n\r\nall");
        shutdown(o->origins[i], SHUT_WR);
        return;
    }
    o->rest[i] = switches ? NULL : ": d\r\n\r\n";
    say(o, i, switches ? SWITCH "done" : ok);
}

static bool is_answered(void *arg) {
    outside_t *o = arg;
    for (size_t i = 0; i < o->count; i++)
        play_outside(o, i);
    if (!o->over)
        o->over = !pull(o->client, o->answer, sizeof(o->answer), &o->answer_len, &o->reset);
    return o->over || strstr(o->answer, "done") != NULL;
}

static void on_agent_dial(wst_agent_t *agent, wst_request_t *request, void *user_data) {
    outside_t *o = user_data;
    int fds[2];
    wst_stream_t *stream;
    (void)agent;
    assert_true(o->count < ORIGINS);
    assert_int_equal(uv_socketpair(SOCK_STREAM, 0, fds, 0, 0), 0);
    o->origins[o->count++] = fds[1];
    int status = wst_socket_open(&stream, o->w.env.ctx, fds[0], true);
    if (status != 0)
        close(fds[0]);
    wst_request_connected(request, status, status == 0 ? stream : NULL);
}

static int raw_connect(const char *address, const char *text) {
    struct sockaddr_in to;
    uv_ip4_addr("127.0.0.1", (int)strtoul(strrchr(address, ':') + 1, NULL, 10), &to);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static bool is_up_or_failed(void *arg) {
    const outside_t *o = arg;
    return o->w.ups > 0 || test_alloc_failed();
}

#define UNTIL_CLOSE      "GET http://site/close HTTP/1.1\r\n\r\n"
#define UNTIL_CLOSE_SENT "\r\n3\r\nall\r\n0\r\n\r\n"

static bool ends_in(const char *text, const char *end) {
    size_t len = strlen(text), n = strlen(end);
    return len >= n && memcmp(text + len - n, end, n) == 0;
}

/* Each answer whole, or the end no orderly one. */
static void check_answers(const outside_t *o) {
    const char *last = o->answer, *next;
    while ((next = strstr(last + 1, "HTTP/1.1 ")) != NULL && next > last)
        last = next;
    if (!o->over || o->reset || o->answer_len == 0)
        return;
    bool served = ends_in(last, "C: d\r\n\r\n") || ends_in(last, UNTIL_CLOSE_SENT);
    const char *body = strstr(last, "\r\n\r\n"), *length = strstr(last, "Content-Length: ");
    assert_memory_equal(last, "HTTP/1.1 ", 9);
    if (!served) {
        assert_true(body != NULL && length != NULL && length < body);
        assert_int_equal(strlen(body + 4), strtoul(length + 16, NULL, 10));
    }
}

static void scenario(void *arg) {
    bool *served = arg;
    static outside_t o;
    wst_agent_t *agent = NULL;
    memset(&o, 0, sizeof(o));
    server_world_init(&o.w);
    o.w.clients = SERVER_ALLOW;
    if (o.w.env.ctx != NULL && server_world_try_start(&o.w)) {
        char url[96];
        snprintf(url, sizeof(url), "ws://%s", o.w.address);
        wst_agent_options_t options = {
            .size = sizeof(options),
            .callbacks = &(const wst_agent_callbacks_t){.size = sizeof(wst_agent_callbacks_t),
                                                        .on_dial = on_agent_dial},
            .user_data = &o,
            .url = url,
            .name = "one",
            .backoff_min_ms = 1,
            .backoff_max_ms = 2};
        if (wst_agent_new(&agent, o.w.env.ctx, &options) == 0)
            test_env_until(&o.w.env, is_up_or_failed, &o);
        o.client = raw_connect(o.w.address, FORWARD_GET FORWARD_GET UNTIL_CLOSE POST UPGRADE);
        test_env_until(&o.w.env, is_answered, &o);
        check_answers(&o);
        *served = strstr(o.answer, "done") != NULL && strstr(o.answer, UNTIL_CLOSE_SENT) != NULL;
        close(o.client);
        for (size_t i = 0; i < o.count; i++)
            close(o.origins[i]);
    }
    if (agent != NULL)
        wst_agent_close(agent, NULL);
    if (o.w.env.ctx != NULL && o.w.server != NULL) {
        server_world_close(&o.w);
        test_env_until_count(&o.w.env, &o.w.closed, 1);
    }
    test_env_close(&o.w.env);
}

static void test_no_memory(void **state) {
    (void)state;
    bool served = false;
    assert_true(test_alloc_each(scenario, &served) > 60);
    assert_true(served); /* when none failed */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close_in_callbacks), cmocka_unit_test(test_close_when_joined),
        cmocka_unit_test(test_close_at_each_turn), cmocka_unit_test(test_drain_within),
        cmocka_unit_test(test_drain_idle),         cmocka_unit_test(test_drain_before_decision),
        cmocka_unit_test(test_drain_and_upgrade),  cmocka_unit_test(test_drain_in_callback),
        cmocka_unit_test(test_drain_at_each_turn), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
