/* SPDX-License-Identifier: MIT */
/* The hijack up to the request: reading heads, handing over the connection, and its life. */
#include "hijack.h"
#include "hijack_world.h"

static const char HEAD[] = "CONNECT host:22 HTTP/1.1\r\nHost: host:22\r\n\r\n";
static const char BEHIND[] = "\r\n\r\nSSH-2.0-x\r\nGET / HTTP/1.1\r\n\r\n";

static void test_options(void **state) {
    (void)state;
    hijack_world_t w;
    assert_true(hijack_world_init(&w));
    for (int i = 0; i < 2; i++) {
        wst_hijack_options_t options = w.options;
        if (i == 0)
            options.on_request = NULL;
        else
            options.on_done = NULL;
        assert_int_equal(wst_hijack_new(&w.hijack, w.ctx, w.client.stream, &options), WST_EINVAL);
    }
    assert_null(w.hijack);
    hijack_world_free(&w);
}

/* --- reading and taking --- */

static void test_request(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    hijack_world_say(&w, HEAD);
    assert_int_equal(w.requests, 0); /* never from inside a call */
    assert_null(wst_hijack_request(w.hijack));
    hijack_world_turns(&w, 2);
    assert_int_equal(w.requests, 1);
    assert_true(wst_str_eq(w.head->method, "CONNECT"));
    assert_string_equal(w.target, "host:22");
    assert_ptr_equal(wst_hijack_connection(w.hijack), w.client.stream);
    assert_ptr_equal(wst_hijack_request(w.hijack), w.head);
    assert_null(w.ctx->deadlines.root); /* the embedder may take its time */
    hijack_world_free(&w);
    assert_int_equal(w.client.reset_reason, WST_ECANCELLED);
}

/* A head that comes in one piece is not copied: its text lies in the chunk it came in. */
static void test_whole_head_is_not_copied(void **state) {
    (void)state;
    hijack_world_t w;
    assert_true(hijack_world_init(&w));
    assert_int_equal(wst_stream_unread(w.client.stream, wst_slice_static(HEAD, strlen(HEAD))), 0);
    assert_true(hijack_world_hijack(&w));
    hijack_world_turns(&w, 2);
    assert_int_equal(w.requests, 1);
    assert_ptr_equal(w.head->method.ptr, HEAD);
    hijack_world_free(&w);
}

/* As it was received, in one piece or several, without what is behind it. */
static void test_text_of_head(void **state) {
    (void)state;
    for (size_t cut = 0; cut < strlen(HEAD); cut++) {
        hijack_world_t w;
        hijack_world_start(&w);
        if (cut > 0)
            fake_stream_data(&w.client, HEAD, cut);
        fake_stream_data(&w.client, HEAD + cut, strlen(HEAD) - cut);
        fake_stream_data(&w.client, BEHIND, strlen(BEHIND));
        hijack_world_turns(&w, 5);
        assert_int_equal(w.requests, 1);
        assert_true(wst_str_eq(wst__hijack_head_text(w.hijack), HEAD));
        hijack_world_free(&w);
    }
}

static void expect_taken(hijack_world_t *w, const char *behind) {
    assert_int_equal(w->requests, 1);
    assert_true(wst_str_eq(w->head->method, "CONNECT"));
    assert_string_equal(w->target, "host:22");
    assert_int_equal(w->head->header_count, 1);
    assert_non_null(w->taken);
    assert_ptr_equal(w->taken, w->client.stream);
    assert_null(wst_hijack_connection(w->hijack));
    assert_null(wst_hijack_request(w->hijack));
    assert_false(w->client.reading); /* handed over paused */
    /* The head lives as long as the hijack, whatever becomes of the connection. */
    hijack_world_read(w);
    hijack_world_turns(w, 12);
    assert_true(wst_str_eq(w->head->headers[0].value, "host:22"));
    assert_int_equal(w->got_len, strlen(behind));
    assert_memory_equal(w->got, behind, strlen(behind));
    assert_true(w->got_end);
    assert_int_equal(w->client.written_len, 0);
}

/* All in one piece; cut in two and in three at every point; each byte alone. What came in behind
 * the head comes out of the stream, whatever it is, then the rest, then the end. */
static void run_split(size_t i, size_t j, const char *text, size_t len) {
    hijack_world_t w;
    hijack_world_start(&w);
    w.in_request = hijack_world_take;
    size_t from = 0;
    const size_t cuts[] = {i, j, len};
    for (size_t n = 0; n < 3; n++) {
        if (cuts[n] > from)
            fake_stream_data(&w.client, text + from, cuts[n] - from);
        from = cuts[n];
    }
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 5);
    expect_taken(&w, BEHIND);
    hijack_world_free(&w);
}

static void test_each_split(void **state) {
    (void)state;
    char text[sizeof(HEAD) + sizeof(BEHIND)];
    size_t head = strlen(HEAD), len = head + strlen(BEHIND);
    memcpy(text, HEAD, head);
    memcpy(text + head, BEHIND, len - head);
    for (size_t i = 0; i <= len; i++) {
        for (size_t j = i; j <= len; j++)
            run_split(i, j, text, len);
    }
}

static void test_each_byte_alone(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    w.in_request = hijack_world_take;
    for (size_t i = 0; i < strlen(HEAD); i++)
        fake_stream_data(&w.client, HEAD + i, 1);
    for (size_t i = 0; i < strlen(BEHIND); i++)
        fake_stream_data(&w.client, BEHIND + i, 1);
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 60);
    hijack_world_read(&w);
    hijack_world_turns(&w, 60);
    expect_taken(&w, BEHIND);
    hijack_world_free(&w);
}

/* A head of nearly the largest size, in pieces: gathered in a buffer that has to grow. */
static void test_large_head(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    w.in_request = hijack_world_take;
    hijack_world_say(&w, "CONNECT host:22 HTTP/1.1\r\n");
    size_t len = strlen("CONNECT host:22 HTTP/1.1\r\n\r\n");
    char field[1000];
    memset(field, 'x', sizeof(field));
    memcpy(field, "a:", 2);
    memcpy(field + sizeof(field) - 2, "\r\n", 2);
    for (; len + sizeof(field) <= 16384; len += sizeof(field))
        fake_stream_data(&w.client, field, sizeof(field));
    hijack_world_say(&w, "\r\nbehind");
    hijack_world_turns(&w, 30);
    assert_int_equal(w.requests, 1);
    assert_int_equal(w.head->header_count, 16);
    assert_int_equal(w.head->headers[15].value.len, sizeof(field) - 4);
    hijack_world_read(&w);
    hijack_world_turns(&w, 5);
    assert_int_equal(w.got_len, strlen("behind"));
    hijack_world_free(&w);
}

/* Until the request is taken nothing more is read, and nothing lost. */
static void test_taken_later(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    hijack_world_say(&w, HEAD);
    hijack_world_say(&w, BEHIND);
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 10);
    assert_int_equal(w.requests, 1);
    assert_int_equal(w.client.delivered, strlen(HEAD));
    hijack_world_take(&w);
    hijack_world_turns(&w, 10);
    assert_int_equal(w.client.delivered, strlen(HEAD)); /* paused still */
    expect_taken(&w, BEHIND);
    assert_int_equal(w.done, 0);
    hijack_world_free(&w);
}

/* A server that speaks first: what is written goes out though nothing has been read. */
static void test_server_first(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    w.in_request = hijack_world_take;
    hijack_world_say(&w, HEAD);
    hijack_world_turns(&w, 3);
    wst_slice_t hello[2] = {wst_slice_static("HTTP/1.1 200 OK\r\n\r\n", 19),
                            wst_slice_static("220 hello\r\n", 11)};
    assert_int_equal(wst_stream_write(w.taken, &hello[0], 1), 0);
    assert_int_equal(wst_stream_write(w.taken, &hello[1], 1), 0);
    hijack_world_assert_written(&w, "HTTP/1.1 200 OK\r\n\r\n220 hello\r\n");
    hijack_world_read(&w);
    hijack_world_say(&w, "EHLO\r\n");
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 5);
    assert_int_equal(w.got_len, 6);
    assert_true(w.got_end);
    hijack_world_free(&w);
}

/* The connection outlives the hijack it was taken from. */
static void test_close_after_take(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    w.in_request = hijack_world_take;
    hijack_world_say(&w, HEAD);
    hijack_world_turns(&w, 3);
    hijack_world_close_hijack(&w);
    assert_int_equal(w.closed, 0);
    hijack_world_turns(&w, 3);
    assert_int_equal(w.closed, 1);
    assert_false(w.client.closed);
    hijack_world_say(&w, "still here");
    hijack_world_read(&w);
    hijack_world_turns(&w, 3);
    assert_int_equal(w.got_len, 10);
    hijack_world_free(&w);
}

/* Whatever happens to the connection then is not the hijack's business. */
static void test_breaks_after_take(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    w.in_request = hijack_world_take;
    hijack_world_say(&w, HEAD);
    hijack_world_turns(&w, 3);
    fake_stream_error(&w.client, UV_ECONNRESET);
    hijack_world_turns(&w, 3);
    assert_int_equal(w.done, 0);
    hijack_world_free(&w);
}

static void test_take_and_respond_once(void **state) {
    (void)state;
    const wst_response_t response = {.size = sizeof(response), .status = 403, .reason = "No"};
    wst_stream_t *stream;
    hijack_world_t w;
    hijack_world_start(&w);
    assert_int_equal(wst_hijack_take(w.hijack, &stream), WST_ESTATE); /* no request yet */
    assert_int_equal(wst_hijack_respond(w.hijack, &response), WST_ESTATE);
    hijack_world_say(&w, HEAD);
    hijack_world_turns(&w, 3);
    hijack_world_take(&w);
    assert_int_equal(wst_hijack_take(w.hijack, &stream), WST_ESTATE);
    assert_int_equal(wst_hijack_respond(w.hijack, &response), WST_ESTATE);
    hijack_world_free(&w);

    hijack_world_start(&w);
    hijack_world_say(&w, HEAD);
    hijack_world_turns(&w, 3);
    assert_int_equal(wst_hijack_respond(w.hijack, &response), 0);
    assert_int_equal(wst_hijack_respond(w.hijack, &response), WST_ESTATE);
    assert_int_equal(wst_hijack_take(w.hijack, &stream), WST_ESTATE);
    hijack_world_free(&w);
}

/* --- no request --- */

static void test_client_leaves(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 5);
    assert_int_equal(w.done, 1);
    assert_int_equal(w.status, 0);
    assert_int_equal(w.client.written_len, 0);
    hijack_world_free(&w);
    assert_int_equal(w.client.reset_reason, 0);
}

/* What happens to the connection once the hijack is done is told to nobody. */
static void test_breaks_when_done(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 5);
    assert_int_equal(w.done, 1);
    fake_stream_error(&w.client, UV_ECONNRESET);
    hijack_world_turns(&w, 5);
    assert_int_equal(w.done, 1);
    hijack_world_free(&w);
}

/* Wherever the connection breaks: the hijack says so, once, and can do nothing else. */
static void test_connection_breaks(void **state) {
    (void)state;
    static const char *const said[] = {"", "CONN", HEAD};
    for (size_t i = 0; i < 3; i++) {
        hijack_world_t w;
        hijack_world_start(&w);
        if (said[i][0] != '\0')
            hijack_world_say(&w, said[i]);
        hijack_world_turns(&w, 3);
        fake_stream_error(&w.client, UV_ECONNRESET);
        hijack_world_turns(&w, 5);
        assert_int_equal(w.requests, i == 2);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.status, UV_ECONNRESET);
        wst_stream_t *stream;
        assert_int_equal(wst_hijack_take(w.hijack, &stream), WST_ESTATE);
        hijack_world_free(&w);
    }
}

/* --- life --- */

static void respond(hijack_world_t *w) {
    const wst_response_t response = {
        .size = sizeof(response), .status = 503, .reason = "Not now", .body = "Sorry.\n"};
    int rc = wst_hijack_respond(w->hijack, &response);
    assert_true(rc == 0 || (rc == WST_ENOMEM && test_alloc_failed()));
}

static void take_and_close(hijack_world_t *w) {
    hijack_world_take(w);
    hijack_world_close_hijack(w);
}

static void respond_and_close(hijack_world_t *w) {
    respond(w);
    hijack_world_close_hijack(w);
}

static void ask_and_close(hijack_world_t *w) {
    hijack_world_challenge(w);
    hijack_world_close_hijack(w);
}

static void (*const deeds[])(hijack_world_t *w) = {
    NULL,
    hijack_world_take,
    respond,
    hijack_world_challenge,
    hijack_world_close_hijack,
    take_and_close,
    respond_and_close,
    ask_and_close,
};

static const char *const scripts[] = {
    "CONNECT host:22 HTTP/1.1\r\n|\r\n|SSH",
    "CONNECT host:22 HTTP/1.1\r\n\r\nSSH",
    "CONNECT host:22 HTTP/1.1\r\n|\r\n|CONNECT host:23 HTTP/1.1\r\n|\r\n",
    "GET / HTTP/1.1\r\n|bad\r\n|\r\n",
};

enum { DEEDS = sizeof(deeds) / sizeof(deeds[0]), SCRIPTS = sizeof(scripts) / sizeof(scripts[0]) };

/* Plays a script, whose pieces are separated by bars. */
static void play(hijack_world_t *w, const char *script) {
    while (*script != '\0') {
        size_t len = strcspn(script, "|");
        fake_stream_data(&w->client, script, len);
        script += len + (script[len] == '|');
    }
    fake_stream_end(&w->client);
}

/* In every state, and from every callback: one close_cb, nothing after it. */
static void test_close_at_each_turn(void **state) {
    (void)state;
    for (int i = 0; i < DEEDS * SCRIPTS; i++) {
        for (int n = 0; n < 15; n++) {
            hijack_world_t w;
            hijack_world_start(&w);
            w.in_request = deeds[i % DEEDS];
            play(&w, scripts[i / DEEDS]);
            hijack_world_turns(&w, n);
            int done = w.done, requests = w.requests, closed = w.closed;
            if (closed == 0) {
                hijack_world_close_hijack(&w);
                wst_hijack_close(w.hijack, NULL); /* the first one counts */
                assert_int_equal(w.closed, 0);
            }
            hijack_world_turns(&w, 3);
            assert_int_equal(w.closed, 1);
            assert_int_equal(w.done, done);
            assert_int_equal(w.requests, requests);
            assert_int_equal(w.client.closed, w.taken == NULL);
            hijack_world_free(&w);
        }
    }
}

static void test_close_in_done(void **state) {
    (void)state;
    for (int i = 0; i < DEEDS * SCRIPTS; i++) {
        hijack_world_t w;
        hijack_world_start(&w);
        w.in_request = deeds[i % DEEDS];
        w.close_in_done = true;
        play(&w, scripts[i / DEEDS]);
        hijack_world_turns(&w, 20);
        assert_true(w.done <= 1);
        if (w.done == 1)
            assert_int_equal(w.closed, 1);
        hijack_world_free(&w);
    }
}

static void each_allocation(void *arg) {
    int i = *(int *)arg;
    hijack_world_t w;
    if (hijack_world_init(&w) && hijack_world_hijack(&w)) {
        w.in_request = deeds[i % DEEDS];
        w.close_in_done = true;
        play(&w, scripts[i / DEEDS]);
        hijack_world_turns(&w, 20);
    } else {
        assert_true(test_alloc_failed());
        assert_false(w.client.closed); /* the stream is taken on success only */
    }
    hijack_world_free(&w);
}

static void test_each_allocation(void **state) {
    (void)state;
    for (int i = 0; i < DEEDS * SCRIPTS; i++)
        assert_true(test_alloc_each(each_allocation, &i) >= 3);
}

/* A take that fails for lack of memory can be tried again. */
static void test_take_again(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    hijack_world_say(&w, "CONNECT host:22 HTTP/1.1\r\nHost: host:22\r\n\r\nSSH");
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 3);
    assert_int_equal(w.requests, 1);
    wst_stream_t *stream;
    test_alloc_fail(1);
    assert_int_equal(wst_hijack_take(w.hijack, &stream), WST_ENOMEM);
    test_alloc_fail(0);
    assert_ptr_equal(wst_hijack_connection(w.hijack), w.client.stream);
    hijack_world_take(&w);
    expect_taken(&w, "SSH");
    hijack_world_free(&w);
}

/* --- memory of incomplete heads --- */

static void start_with_budget(hijack_world_t *w, wst__budget_t *budget) {
    hijack_world_start(w);
    wst__hijack_set_budget(w->hijack, budget);
}

static void test_budget(void **state) {
    (void)state;
    hijack_world_t w;
    wst__budget_t budget = {.limit = 1500};
    char more[1000];
    memset(more, 'x', sizeof(more));
    start_with_budget(&w, &budget);
    assert_int_equal(budget.used, 0); /* nothing has been said */
    hijack_world_say(&w, "GET / HTTP/1.1\r\nX: ");
    hijack_world_turns(&w, 3);
    assert_int_equal(budget.used, 512);
    fake_stream_data(&w.client, (const uint8_t *)more, 800);
    hijack_world_turns(&w, 3);
    assert_int_equal(budget.used, 1024);
    fake_stream_data(&w.client, (const uint8_t *)more, 800);
    hijack_world_turns(&w, 3);
    assert_int_equal(w.done, 1); /* doubled again, it would be too much */
    assert_int_equal(w.status, WST_EMEMORY);
    assert_int_equal(w.client.written_len, 0);
    hijack_world_free(&w);
    assert_int_equal(budget.used, 0);
}

/* What a head took is given back with it. */
static void test_budget_of_next_head(void **state) {
    (void)state;
    hijack_world_t w;
    wst__budget_t budget = {.limit = 1 << 20};
    start_with_budget(&w, &budget);
    w.in_request = hijack_world_challenge;
    for (int i = 0; i < 2; i++) {
        hijack_world_say(&w, "CONNECT host:22 HT");
        hijack_world_turns(&w, 3);
        assert_int_equal(budget.used, 512);
        hijack_world_say(&w, "TP/1.1\r\n\r\n");
        hijack_world_turns(&w, 3);
        assert_int_equal(w.requests, i + 1);
        assert_int_equal(budget.used, 0);
    }
    hijack_world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_whole_head_is_not_copied),
        cmocka_unit_test(test_text_of_head),
        cmocka_unit_test(test_each_split),
        cmocka_unit_test(test_each_byte_alone),
        cmocka_unit_test(test_large_head),
        cmocka_unit_test(test_taken_later),
        cmocka_unit_test(test_server_first),
        cmocka_unit_test(test_close_after_take),
        cmocka_unit_test(test_breaks_after_take),
        cmocka_unit_test(test_take_and_respond_once),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_breaks_when_done),
        cmocka_unit_test(test_connection_breaks),
        cmocka_unit_test(test_close_at_each_turn),
        cmocka_unit_test(test_close_in_done),
        cmocka_unit_test(test_each_allocation),
        cmocka_unit_test(test_take_again),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_of_next_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
