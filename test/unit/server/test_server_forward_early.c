/* SPDX-License-Identifier: MIT */
/* Requests whose heads go ahead of the agent's answer: which do, and what then. */
#include "forward_world.h"

#include <stdio.h>

/* A server with two agents that keep what they are asked, and a client. */
typedef struct pair {
    server_world_t w;
    server_agent_t agents[2];
    server_client_t c;
} pair_t;

static void open_pair(pair_t *p) {
    server_world_init(&p->w);
    p->w.agents = SERVER_ALLOW;
    server_world_start(&p->w);
    server_agent_open(&p->w, &p->agents[0], "one", 1);
    server_agent_open(&p->w, &p->agents[1], "two", 2);
    p->agents[0].treatment = p->agents[1].treatment = SERVER_AGENT_KEEP;
    server_client_open(&p->w, &p->c);
}

static void close_pair(pair_t *p) {
    server_client_close(&p->c);
    for (int i = 0; i < 2; i++)
        if (!p->agents[i].closed)
            server_agent_close(&p->agents[i]);
    server_world_free(&p->w);
}

static server_agent_t *asked(pair_t *p) {
    test_env_turns(&p->w.env, 50);
    assert_int_equal(p->agents[0].asked + p->agents[1].asked, 1);
    return &p->agents[p->agents[1].asked];
}

/* Whether bytes of the request have gone ahead: then nobody else serves it if the agent is lost. */
static bool goes_ahead(const char *request) {
    pair_t p;
    open_pair(&p);
    char text[8192];
    snprintf(text, sizeof(text), request, strrchr(p.w.address, ':') + 1);
    server_client_say(&p.c, text);
    server_agent_t *first = asked(&p), *other = &p.agents[first == &p.agents[0]];
    server_agent_close(first);
    test_env_turns(&p.w.env, 50);
    bool ahead = other->asked == 0;
    if (ahead) {
        test_env_until_count(&p.w.env, &p.c.got_len, 1);
        assert_memory_equal(p.c.got, "HTTP/1.1 503 Agent lost\r\n", 25);
    } else {
        server_agent_accept(other);
        test_env_until_count(&p.w.env, &other->got_len, 5);
    }
    close_pair(&p);
    return ahead;
}

static void test_which(void **state) {
    (void)state;
    char large[6000];
    int len = snprintf(large, sizeof(large), "GET http://site/ HTTP/1.1\r\nA: %04000d\r\n", 0);
    snprintf(large + len, sizeof(large) - (size_t)len, "B: %0100d\r\n\r\n", 0);
    assert_true(goes_ahead("GET http://site/ HTTP/1.1\r\n\r\n"));
    assert_true(goes_ahead("POST http://site/ HTTP/1.1\r\nContent-Length: 9\r\n\r\n"));
    assert_false(goes_ahead(large));
    assert_false(goes_ahead("GET http://site:%s/ HTTP/1.1\r\n\r\n")); /* may be the server itself */
    assert_false(goes_ahead("CONNECT site:80 HTTP/1.1\r\n\r\nearly"));
}

/* The body follows; each byte arrives once, and is counted once. */
static void test_body(void **state) {
    (void)state;
    enum { BODY = 10000 };
    static char body[BODY + 1];
    memset(body, 'x', BODY);
    for (int bodied = 0; bodied < 2; bodied++) {
        forward_t f;
        char got[200], notice[100];
        forward_open(&f);
        f.a.treatment = SERVER_AGENT_KEEP;
        server_client_say(&f.c, bodied
                                    ? "PUT http://site/ HTTP/1.1\r\nContent-Length: 10000\r\n\r\n"
                                    : "GET http://site/ HTTP/1.1\r\n\r\n");
        if (bodied)
            server_client_say(&f.c, body);
        test_env_until_count(&f.w.env, &f.a.asked, 1);
        test_env_turns(&f.w.env, 50);
        server_agent_accept(&f.a);
        snprintf(got, sizeof(got), "%s / HTTP/1.1\r\nHost: site\r\n%s", bodied ? "PUT" : "GET",
                 bodied ? "Content-Length: 10000\r\n" : "");
        size_t len = strlen(got);
        test_env_until_count(&f.w.env, &f.a.got_len, len + (bodied ? BODY : 0));
        test_env_turns(&f.w.env, 50);
        assert_memory_equal(f.a.got, got, len);
        if (bodied)
            assert_memory_equal(f.a.got + f.a.got_len - BODY - 4, "\r\n\r\nxx", 6);
        snprintf(notice, sizeof(notice), "to_agent=%zu to_client=", f.a.got_len);
        forward_reply(&f, FORWARD_OK);
        server_world_until_notice(&f.w, notice);
        forward_close(&f);
    }
}

/* A refusal that says nothing about the destination: another agent gets the whole request. */
static void test_refused(void **state) {
    (void)state;
    pair_t p;
    open_pair(&p);
    server_client_say(&p.c, FORWARD_GET);
    server_agent_t *first = asked(&p), *other = &p.agents[first == &p.agents[0]];
    first->incoming->ops->refuse(first->incoming, WST_ELIMIT, NULL);
    first->incoming = NULL;
    test_env_until_count(&p.w.env, &other->asked, 1);
    server_agent_accept(other);
    test_env_until_count(&p.w.env, &other->got_len, strlen("GET / HTTP/1.1\r\n"));
    test_env_turns(&p.w.env, 50);
    assert_memory_equal(other->got, "GET ", 4);
    assert_null(strstr(other->got + 1, "GET "));
    close_pair(&p);
}

/* What has been switched to counts from nothing. */
static void test_upgrade(void **state) {
    (void)state;
    forward_t f;
    forward_open(&f);
    server_client_say(&f.c,
                      "GET http://site/ HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    test_env_until_count(&f.w.env, &f.a.got_len, 20);
    forward_reply(&f, "HTTP/1.1 101 Yes\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    server_client_expect(&f.c, "HTTP/1.1 101 ");
    server_client_say(&f.c, "up!");
    server_client_end(&f.c);
    test_env_until_count(&f.w.env, &f.a.stream_ended, 1);
    assert_int_equal(wst_stream_shutdown(f.a.stream), 0);
    server_world_until_notice(&f.w, "close 2  site:80 one to_agent=3 to_client=0 0 by client\n");
    forward_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which),
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_upgrade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
