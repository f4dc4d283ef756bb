/* SPDX-License-Identifier: MIT */
/* Operators' connections, who is served, and what is at which path. */
#include "admin_rig.h"

#include "fake_stream.h"

#include <stdio.h>

static const char *const security[] = {
    "\r\nCache-Control: no-store\r\n",      "\r\nX-Content-Type-Options: nosniff\r\n",
    "\r\nX-Frame-Options: DENY\r\n",        "\r\nContent-Security-Policy: default-src 'none'; ",
    "\r\nReferrer-Policy: no-referrer\r\n", "\r\nCross-Origin-Resource-Policy: same-origin\r\n"};

static void assert_secured(const char *answer) {
    for (size_t i = 0; i < sizeof(security) / sizeof(security[0]); i++)
        assert_non_null(strstr(answer, security[i]));
}

static void test_paths(void **state) {
    static const struct {
        const char *request;
        int status;
        const char *has;
    } cases[] = {
        {"GET /", 200, "Content-Type: text/html; charset=utf-8\r\n"},
        {"GET /?x", 200, "Content-Encoding: gzip\r\n"},
        {"GET /page.js", 200, "Content-Type: text/javascript; charset=utf-8\r\n"},
        {"GET /view.js", 200, "Content-Type: text/javascript; charset=utf-8\r\n"},
        {"GET /page.css", 200, "Content-Type: text/css; charset=utf-8\r\n"},
        {"GET /status.json", 200, "Content-Type: application/json\r\n"},
        {"GET /metrics", 200,
         "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"},
        {"HEAD /", 200, "Content-Length: "},
        {"HEAD /metrics", 200, "Transfer-Encoding: chunked\r\n"},
        {"GET /nothing", 404, "Not Found\n"},
        {"GET /agent.js", 404, ""},
        {"GET /status.json/", 404, ""},
        {"GET http://localhost/", 400, ""},
        {"OPTIONS *", 400, ""},
        {"CONNECT host:22", 400, ""},
        {"POST /metrics", 405, "Allow: GET, HEAD\r\n"},
        {"PUT /", 405, "Allow: GET, HEAD\r\n"},
        {"GET /drain", 405, "Allow: POST\r\n"},
        {"HEAD /end-flow", 405, "Allow: POST\r\n"},
    };
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(admin_rig_status(&r, cases[i].request, ADMIN_HOST, NULL), cases[i].status);
        assert_non_null(strstr(r.answer, cases[i].has));
        assert_non_null(strstr(r.answer, "\r\nConnection: close\r\n"));
        assert_secured(r.answer);
        if (strncmp(cases[i].request, "HEAD", 4) == 0)
            assert_string_equal(strstr(r.answer, "\r\n\r\n"), "\r\n\r\n");
    }
    admin_rig_free(&r);
}

/* What is no request is answered with the same fields. */
static void test_malformed_heads(void **state) {
    static const struct {
        const char *said, *filler; /* the latter so often that a bound is reached; or NULL */
        bool ends, waits;
        const char *status;
    } cases[] = {
        {"GET\r\n\r\n", NULL, false, false, "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", NULL, false, false, "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n", NULL, true, false, "HTTP/1.1 400 Bad Request: incomplete head"},
        {"GET / HT", NULL, false, true, "HTTP/1.1 408 "},
        {"GET /", "12345678", false, false, "HTTP/1.1 414 "},
        {"GET / HTTP/1.1\r\n", "A: 12345\r\n", false, false, "HTTP/1.1 431 "},
    };
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static char said[20000];
        server_client_t c;
        snprintf(said, sizeof(said), "%s", cases[i].said);
        for (size_t n = strlen(said); cases[i].filler != NULL && n + 20 < sizeof(said);
             n += strlen(cases[i].filler))
            strcpy(said + n, cases[i].filler);
        admin_rig_client(&r, &c);
        server_client_say(&c, said);
        if (cases[i].ends)
            server_client_end(&c);
        test_env_turns(&r.w.env, 20);
        if (cases[i].waits)
            server_world_pass(&r.w, WST__ADMIN_HEAD_MS);
        test_env_until_count(&r.w.env, &c.ended, 1);
        assert_int_equal(strncmp(c.got, cases[i].status, strlen(cases[i].status)), 0);
        assert_secured(c.got);
        server_client_close(&c);
    }
    admin_rig_free(&r);
}

/* Connections ---------------------------------------------------------------------------------- */

static void test_kept_connection(void **state) {
    server_client_t c;
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    admin_rig_client(&r, &c);
    for (int i = 0; i < 3; i++) {
        server_client_say(&c, "HEAD /metrics HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
        admin_rig_until(&r, &c, "Transfer-Encoding: chunked\r\n\r\n");
    }
    server_client_say(&c,
                      "GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
                      "POST /end-flow HTTP/1.1\r\n" ADMIN_MARK ADMIN_FORM
                      "Content-Length: 4\r\n\r\nid=7GET /x HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
    admin_rig_until(&r, &c, "Not Found\n");
    admin_rig_until(&r, &c, "No such flow\n");
    admin_rig_until(&r, &c, "Not Found\n");
    server_client_expect_end(&c);
    server_client_close(&c);
    admin_rig_free(&r);
}

/* A client of HTTP/1.0 knows no chunks. */
static void test_old_client(void **state) {
    server_client_t c;
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    admin_rig_client(&r, &c);
    server_client_say(&c, "GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n" ADMIN_HOST "\r\n");
    admin_rig_until(&r, &c, "\r\n\r\n# TYPE wstunnel_build info\n");
    admin_rig_until(&r, &c, "\n# EOF\n");
    server_client_expect_end(&c);
    server_client_close(&c);
    admin_rig_free(&r);
}

static void test_expecting_client(void **state) {
    server_client_t c;
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    admin_rig_client(&r, &c);
    server_client_say(&c, "POST /end-flow HTTP/1.1\r\n" ADMIN_MARK ADMIN_FORM
                          "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    admin_rig_until(&r, &c, "HTTP/1.1 100 Continue\r\n\r\n");
    server_client_say(&c, "id=7");
    admin_rig_until(&r, &c, "HTTP/1.1 404 ");
    server_client_close(&c);
    admin_rig_free(&r);
}

static bool is_gone(void *fake) {
    return ((fake_stream_t *)fake)->gone;
}

/* The oldest connection without a request gives way to a further one; if all have one, the further
 * one is closed. */
static void test_bound(void **state) {
    static const char form[] =
        "POST /end-flow HTTP/1.1\r\n" ADMIN_MARK ADMIN_FORM "Content-Length: 4\r\n\r\n";
    static server_client_t c[WST__ADMIN_CONNECTIONS];
    fake_stream_t over;
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    for (size_t i = 0; i < WST__ADMIN_CONNECTIONS; i++) {
        admin_rig_client(&r, &c[i]);
        if (i != 5)
            server_client_say(&c[i], form);
    }
    test_env_turns(&r.w.env, 20);
    assert_int_equal(admin_rig_status(&r, "GET /", ADMIN_HOST, NULL), 200);
    server_client_expect_reset(&c[5]);
    server_client_close(&c[5]);
    admin_rig_client(&r, &c[5]);
    server_client_say(&c[5], form);
    test_env_turns(&r.w.env, 20);
    assert_int_equal(fake_stream_open(&over, r.w.env.ctx), 0);
    wst_admin_serve(r.admin, over.stream);
    test_env_until(&r.w.env, is_gone, &over);
    fake_stream_free(&over);
    for (size_t i = 0; i < WST__ADMIN_CONNECTIONS; i++) {
        server_client_say(&c[i], "id=7");
        admin_rig_until(&r, &c[i], "No such flow\n");
        server_client_close(&c[i]);
    }
    admin_rig_free(&r);
}

static void test_late_form(void **state) {
    server_client_t c;
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    admin_rig_client(&r, &c);
    server_client_say(&c, "POST /end-flow HTTP/1.1\r\n" ADMIN_MARK ADMIN_FORM
                          "Content-Length: 4\r\n\r\nid=");
    test_env_turns(&r.w.env, 20);
    admin_rig_pass(&r, WST__ADMIN_HEAD_MS - 1000);
    test_env_turns(&r.w.env, 20);
    assert_int_equal(c.got_len, 0);
    admin_rig_pass(&r, WST__ADMIN_HEAD_MS);
    admin_rig_until(&r, &c, "HTTP/1.1 408 ");
    server_client_close(&c);
    admin_rig_free(&r);
}

/* Answers in one part and in several that are not read: no further request is, and the connection
 * is closed in time. */
static void test_deaf_client(void **state) {
    static const char *const said[] = {
        "GET /x HTTP/1.1\r\n" ADMIN_HOST "\r\nGET /x HTTP/1.1\r\n" ADMIN_HOST "\r\n",
        "GET /metrics HTTP/1.1\r\n" ADMIN_HOST "\r\nGET /x HTTP/1.1\r\n" ADMIN_HOST "\r\n"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        fake_stream_t fake;
        admin_rig_t r;
        admin_rig_init(&r);
        r.options.allow_open = true;
        admin_rig_start(&r);
        assert_int_equal(fake_stream_open(&fake, r.w.env.ctx), 0);
        fake.write_status = WST_WAIT;
        fake_stream_data(&fake, said[i], strlen(said[i]));
        wst_admin_serve(r.admin, fake.stream);
        test_env_turns(&r.w.env, 100);
        assert_true(fake.written_len > 0 && fake.written_len < 4096);
        admin_rig_pass(&r, WST__ADMIN_ANSWER_MS - 1000);
        test_env_turns(&r.w.env, 10);
        assert_false(fake.gone);
        admin_rig_pass(&r, WST__ADMIN_ANSWER_MS);
        test_env_until(&r.w.env, is_gone, &fake);
        assert_true(fake.reset_reason != 0);
        fake_stream_free(&fake);
        admin_rig_free(&r);
    }
}

/* A client that reads slowly gets everything, at its pace. */
static void test_slow_client(void **state) {
    static const char said[] = "GET /metrics HTTP/1.1\r\n" ADMIN_HOST "\r\n";
    fake_stream_t fake;
    admin_rig_t r;
    (void)state;
    admin_rig_init(&r);
    r.options.allow_open = true;
    admin_rig_start(&r);
    assert_int_equal(fake_stream_open(&fake, r.w.env.ctx), 0);
    fake_stream_data(&fake, said, strlen(said));
    fake_stream_end(&fake);
    wst_admin_serve(r.admin, fake.stream);
    for (size_t before = 1; !fake.gone && before < 1000; before++) {
        fake.write_status = WST_WAIT;
        size_t writes = fake.writes;
        test_env_turns(&r.w.env, 10);
        assert_true(fake.writes <= writes + 1);
        fake_stream_drain(&fake);
        test_env_turns(&r.w.env, 1);
    }
    assert_true(fake.gone);
    assert_int_equal(fake.reset_reason, 0);
    assert_memory_equal(fake.written + fake.written_len - 13, "# EOF\n\r\n0\r\n\r\n", 13);
    fake_stream_free(&fake);
    admin_rig_free(&r);
}

/* In each state of a connection. */
static void test_close(void **state) {
    static const char *const said[] = {"",
                                       "GET ",
                                       "GET /metrics HTTP/1.1\r\n" ADMIN_HOST "\r\n",
                                       "GET /x HTTP/1.1\r\n" ADMIN_HOST "\r\n",
                                       "POST /drain HTTP/1.0\r\n" ADMIN_MARK "\r\n",
                                       "POST /end-flow HTTP/1.1\r\n" ADMIN_MARK ADMIN_FORM
                                       "Content-Length: 4\r\n\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        for (int turns = 0; turns < 12; turns++) {
            server_client_t c;
            admin_rig_t r;
            admin_rig_open(&r);
            admin_rig_client(&r, &c);
            server_client_say(&c, said[i]);
            test_env_turns(&r.w.env, turns);
            admin_rig_close(&r);
            server_client_close(&c);
            admin_rig_free(&r);
        }
    }
}

/* Who is served -------------------------------------------------------------------------------- */

/* Whether the request was answered with this. */
static bool serve_one(admin_rig_t *r, const char *text, const char *answer) {
    fake_stream_t fake;
    if (fake_stream_open(&fake, r->w.env.ctx) != 0)
        return false;
    fake_stream_data(&fake, text, strlen(text));
    fake_stream_end(&fake);
    wst_admin_serve(r->admin, fake.stream);
    test_env_until(&r->w.env, is_gone, &fake);
    bool right =
        fake.written_len > strlen(answer) && memcmp(fake.written, answer, strlen(answer)) == 0;
    fake_stream_free(&fake);
    return right;
}

/* Without accounts. */
static void test_this_machine(void **state) {
    static const struct {
        const char *fields;
        int status;
    } cases[] = {
        {"Host: localhost:9000\r\n", 200},
        {"Host: LOCALHOST\r\n", 200},
        {"Host: 127.0.0.1:9000\r\n", 200},
        {"Host: [::1]\r\n", 200},
        {"Host: evil.example\r\n", 403},
        {"Host: localhost.evil.example\r\n", 403},
        {"Host: 127.0.0.1.evil.example\r\n", 403},
        {"Host: \r\n", 403},
        {"", 403},
        {"Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n", 403},
        {"Host: localhost\r\nForwarded: for=192.0.2.1\r\n", 403},
    };
    admin_rig_t r;
    (void)state;
    admin_rig_open(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(admin_rig_status(&r, "GET /", cases[i].fields, NULL), cases[i].status);
    admin_rig_free(&r);
}

/* Without accounts, a client elsewhere. */
static void test_other_machine(void **state) {
    static const char said[] = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    static const char good[] = "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n";
    (void)state;
    for (int open = 0; open < 2; open++) {
        admin_rig_t r;
        admin_rig_init(&r);
        r.options.allow_open = open;
        admin_rig_start(&r);
        assert_false(serve_one(&r, said, "HTTP/1.1 200 "));
        assert_int_equal(serve_one(&r, good, "HTTP/1.1 200 "), open);
        admin_rig_free(&r);
    }
}

static const wst_admin_account_t accounts[] = {
    {.size = sizeof(wst_admin_account_t), .name = "ann", .password = "secret"},
    {.size = sizeof(wst_admin_account_t), .name = "bob", .password = "b:b", .read_only = true},
    {.size = sizeof(wst_admin_account_t), .name = "cat", .password = "c", .tenant = "acme"}};

#define ANN   "Authorization: Basic YW5uOnNlY3JldA==\r\n"
#define BOB   "Authorization: Basic Ym9iOmI6Yg==\r\n"
#define CAT   "Authorization: Basic Y2F0OmM=\r\n"
#define WRONG "Authorization: Basic YW5uOnNlY3JlVA==\r\n"

static void test_accounts(void **state) {
    static const struct {
        const char *request, *fields;
        int status;
    } cases[] = {
        {"GET /", "Host: any.example\r\n", 401},
        {"GET /", "Host: any.example\r\n" ANN, 200},
        {"GET /", "X-Forwarded-For: 192.0.2.1\r\n" ANN, 200},
        {"GET /", WRONG, 401},
        {"GET /", "Authorization: Basic !\r\n", 401},
        {"GET /", "Proxy-" ANN, 401},
        {"GET /none", WRONG, 401},
        {"GET /", ANN ANN, 401},
        {"GET /", "Authorization: Basic bm86Yg==\r\n", 401},
        {"GET /metrics", BOB, 200},
        {"POST /drain", ADMIN_MARK BOB, 403},
        {"GET /status.json", CAT, 200},
        {"POST /drain", ADMIN_MARK CAT, 403},
        {"POST /drain", ADMIN_MARK ANN, 200},
    };
    admin_rig_t r;
    (void)state;
    admin_rig_init(&r);
    r.options.accounts = accounts;
    r.options.account_count = 3;
    admin_rig_start(&r);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(admin_rig_status(&r, cases[i].request, cases[i].fields, NULL),
                         cases[i].status);
        assert_secured(r.answer);
        assert_int_equal(strstr(r.answer, "\r\nWWW-Authenticate: Basic realm=") != NULL,
                         cases[i].status == 401);
    }
    assert_int_equal(wst_admin_set_accounts(r.admin, accounts, 1), 0);
    assert_int_equal(admin_rig_status(&r, "GET /", BOB, NULL), 401);
    assert_int_equal(admin_rig_status(&r, "GET /", ANN, NULL), 200);
    admin_rig_free(&r);
}

/* After so many wrong passwords answers are held back, then attempts refused; but not those of an
 * operator who has just succeeded from there. */
static void test_guessing(void **state) {
    server_client_t c;
    admin_rig_t r;
    (void)state;
    admin_rig_init(&r);
    r.options.accounts = accounts;
    r.options.account_count = 3;
    admin_rig_start(&r);
    for (int i = 0; i < 20; i++)
        assert_int_equal(admin_rig_status(&r, "GET /", WRONG, NULL), 401);
    admin_rig_client(&r, &c);
    server_client_say(&c, "GET / HTTP/1.1\r\n" ANN "\r\n");
    test_env_turns(&r.w.env, 50);
    assert_int_equal(c.got_len, 0);
    admin_rig_pass(&r, 5000);
    admin_rig_until(&r, &c, "HTTP/1.1 200 OK");
    server_client_close(&c);
    admin_rig_client(&r, &c);
    server_client_say(&c, "GET / HTTP/1.1\r\n" WRONG "\r\n");
    test_env_turns(&r.w.env, 50);
    assert_int_equal(c.got_len, 0);
    server_client_close(&c);
    assert_int_equal(admin_rig_status(&r, "GET /", WRONG, NULL), 429);
    assert_non_null(strstr(r.answer, "\r\nRetry-After: "));
    admin_rig_free(&r);
}

/* Clients that are refused, and read no answer, keep no operator out: not even for the time that an
 * answer may take. */
static void test_refused_crowd(void **state) {
    static const char said[] = "GET / HTTP/1.1\r\n" ADMIN_HOST "\r\n";
    static fake_stream_t deaf[WST__ADMIN_CONNECTIONS];
    admin_rig_t r;
    (void)state;
    admin_rig_init(&r);
    r.options.accounts = accounts;
    r.options.account_count = 3;
    admin_rig_start(&r);
    for (size_t i = 0; i < WST__ADMIN_CONNECTIONS; i++) {
        assert_int_equal(fake_stream_open(&deaf[i], r.w.env.ctx), 0);
        deaf[i].write_status = WST_WAIT;
        fake_stream_data(&deaf[i], said, strlen(said));
        wst_admin_serve(r.admin, deaf[i].stream);
    }
    test_env_turns(&r.w.env, 20);
    assert_int_equal(admin_rig_status(&r, "GET /", ANN, NULL), 200);
    test_env_until(&r.w.env, is_gone, &deaf[0]);
    for (size_t i = 1; i < WST__ADMIN_CONNECTIONS; i++)
        assert_false(deaf[i].gone);
    admin_rig_close(&r);
    for (size_t i = 0; i < WST__ADMIN_CONNECTIONS; i++)
        fake_stream_free(&deaf[i]);
    admin_rig_free(&r);
}

static void test_faulty_options(void **state) {
    static char long_text[300];
    memset(long_text, 'x', sizeof(long_text) - 1);
    const wst_admin_account_t faulty[] = {
        {.size = sizeof(faulty[0]), .password = "x"},
        {.size = sizeof(faulty[0]), .name = "x"},
        {.size = sizeof(faulty[0]), .name = "", .password = "x"},
        {.size = sizeof(faulty[0]), .name = "x", .password = ""},
        {.size = sizeof(faulty[0]), .name = "x:y", .password = "x"},
        {.size = sizeof(faulty[0]), .name = "x\n", .password = "x"},
        {.size = sizeof(faulty[0]), .name = long_text, .password = "x"},
        {.size = sizeof(faulty[0]), .name = "x", .password = long_text},
        {.size = sizeof(faulty[0]), .name = "x", .password = "x", .tenant = ""},
        {.size = sizeof(faulty[0]), .name = "x", .password = "x", .tenant = long_text},
    };
    const wst_admin_account_t twice[] = {accounts[0], accounts[0]};
    admin_rig_t r;
    wst_admin_t *none;
    (void)state;
    admin_rig_open(&r);
    for (size_t i = 0; i < sizeof(faulty) / sizeof(faulty[0]); i++)
        assert_int_equal(wst_admin_set_accounts(r.admin, &faulty[i], 1), WST_EINVAL);
    assert_int_equal(wst_admin_set_accounts(r.admin, twice, 2), WST_EINVAL);
    assert_int_equal(wst_admin_set_accounts(r.admin, NULL, 1), WST_EINVAL);
    assert_int_equal(wst_admin_set_accounts(r.admin, accounts, WST__ADMIN_ACCOUNTS + 1),
                     WST_EINVAL);
    assert_int_equal(admin_rig_status(&r, "GET /", ADMIN_HOST, NULL), 200); /* still without any */
    r.options.server = NULL;
    assert_int_equal(wst_admin_new(&none, r.w.env.ctx, &r.options), WST_EINVAL);
    admin_rig_free(&r);
}

/* Memory --------------------------------------------------------------------------------------- */

static void serve_all(void *arg) {
    static const struct {
        const char *text, *answer;
    } cases[] = {
        {"GET /metrics HTTP/1.1\r\n" ANN "\r\n", "HTTP/1.1 200 "},
        {"GET /status.json HTTP/1.1\r\n" ANN "\r\n", "HTTP/1.1 200 "},
        {"GET / HTTP/1.1\r\n" WRONG "\r\n", "HTTP/1.1 401 "},
        {"POST /end-flow HTTP/1.1\r\n" ANN ADMIN_MARK ADMIN_FORM "Content-Length: 4\r\n\r\nid=7",
         "HTTP/1.1 404 "},
        {"POST /end-user HTTP/1.1\r\n" ANN ADMIN_MARK ADMIN_FORM "Content-Length: 6\r\n\r\nuser=x",
         "HTTP/1.1 404 "},
        {"POST /drain HTTP/1.1\r\n" ANN ADMIN_MARK "\r\n", "HTTP/1.1 200 "}};
    size_t *served = arg;
    static admin_rig_t r;
    admin_rig_init(&r);
    r.options.accounts = accounts;
    r.options.account_count = 3;
    if (admin_rig_try_start(&r))
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
            *served += serve_one(&r, cases[i].text, cases[i].answer);
    admin_rig_free(&r);
}

static void test_no_memory(void **state) {
    size_t served = 0;
    (void)state;
    assert_true(test_alloc_each(serve_all, &served) > 40);
    assert_true(served > 6 * 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_malformed_heads),
        cmocka_unit_test(test_kept_connection),
        cmocka_unit_test(test_old_client),
        cmocka_unit_test(test_expecting_client),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_late_form),
        cmocka_unit_test(test_deaf_client),
        cmocka_unit_test(test_slow_client),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_this_machine),
        cmocka_unit_test(test_other_machine),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_guessing),
        cmocka_unit_test(test_refused_crowd),
        cmocka_unit_test(test_faulty_options),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
