/* SPDX-License-Identifier: MIT */
/* A hijack that watches the connection while a request waits for its answer. */
#include "hijack_world.h"

#include "early.h"
#include "hijack.h"

#include <stdio.h>

#define HEAD "CONNECT host:22 HTTP/1.1\r\n\r\n"

static void say_some(hijack_world_t *w, const char *text) {
    if (text[0] != '\0')
        hijack_world_say(w, text);
}

static void watch(hijack_world_t *w) {
    wst__hijack_watch(w->hijack);
}

static void start_watched(hijack_world_t *w, const char *text) {
    hijack_world_start(w);
    w->in_request = watch;
    hijack_world_say(w, text);
    hijack_world_turns(w, 3);
    assert_int_equal(w->requests, 1);
    assert_true(w->client.reading);
}

static void expect_gone(hijack_world_t *w, int status) {
    const wst_response_t response = {.size = sizeof(response), .status = 403, .reason = "No"};
    wst_stream_t *stream;
    hijack_world_turns(w, 5);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->status, status);
    assert_null(wst_hijack_request(w->hijack));
    assert_int_equal(wst_hijack_take(w->hijack, &stream), WST_ESTATE);
    assert_int_equal(wst_hijack_respond(w->hijack, &response), WST_ESTATE);
    assert_int_equal(w->client.written_len, 0);
    hijack_world_free(w);
}

static void test_client_ends(void **state) {
    (void)state;
    hijack_world_t w;
    start_watched(&w, HEAD);
    fake_stream_end(&w.client);
    expect_gone(&w, 0);
}

static void test_client_resets(void **state) {
    (void)state;
    static const char *const behind[] = {"", "early"};
    for (size_t i = 0; i < 2; i++) {
        hijack_world_t w;
        start_watched(&w, HEAD);
        say_some(&w, behind[i]);
        hijack_world_turns(&w, 3);
        fake_stream_error(&w.client, UV_ECONNRESET);
        expect_gone(&w, UV_ECONNRESET);
    }
}

/* Unwatched, nothing is read, so nothing is noticed. */
static void test_not_watched(void **state) {
    (void)state;
    hijack_world_t w;
    hijack_world_start(&w);
    hijack_world_say(&w, HEAD);
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 10);
    assert_int_equal(w.requests, 1);
    assert_int_equal(w.done, 0);
    assert_false(w.client.reading);
    hijack_world_free(&w);
}

/* Whoever takes the connection gets all that came behind the head, in order, and the end. */
static void test_take(void **state) {
    (void)state;
    static const struct {
        const char *with_head, *first, *second;
    } cases[] = {{"ab", "cd", "ef"}, {"", "abcd", "ef"}, {"abcdef", "", ""}, {"ab", "", "cdef"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int ended = 0; ended < 2; ended++) {
            char text[64];
            hijack_world_t w;
            snprintf(text, sizeof(text), HEAD "%s", cases[i].with_head);
            start_watched(&w, text);
            say_some(&w, cases[i].first);
            say_some(&w, cases[i].second);
            if (ended)
                fake_stream_end(&w.client);
            hijack_world_turns(&w, 10);
            assert_int_equal(w.done, 0);
            hijack_world_take(&w);
            assert_false(w.client.reading);
            hijack_world_read(&w);
            hijack_world_turns(&w, 5);
            assert_int_equal(w.got_len, 6);
            assert_memory_equal(w.got, "abcdef", 6);
            assert_int_equal(w.got_end, ended);
            hijack_world_free(&w);
        }
    }
}

static void test_take_nothing(void **state) {
    (void)state;
    hijack_world_t w;
    start_watched(&w, HEAD);
    hijack_world_take(&w);
    assert_false(w.client.reading);
    hijack_world_read(&w);
    hijack_world_say(&w, "later");
    hijack_world_turns(&w, 5);
    assert_memory_equal(w.got, "later", 6 - 1);
    hijack_world_free(&w);
}

typedef struct sum {
    size_t len;
    size_t ends;
} sum_t;

static void on_read(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    sum_t *sum = user_data;
    (void)stream;
    for (size_t i = 0; i < data.len; i++)
        if (data.data[i] != (sum->len + i) % 251)
            fail_msg("byte %zu is wrong", sum->len + i);
    sum->len += data.len;
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    ((sum_t *)user_data)->ends++;
}

/* Of a client that sends without end one window is kept; the rest stays where it is. */
static void test_bound(void **state) {
    (void)state;
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = on_read, .on_end = on_end};
    static uint8_t data[100000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i % 251);
    hijack_world_t w;
    start_watched(&w, HEAD);
    fake_stream_data(&w.client, data, 1000);
    fake_stream_data(&w.client, data + 1000, sizeof(data) - 1000);
    fake_stream_end(&w.client);
    hijack_world_turns(&w, 200);
    assert_int_equal(w.client.delivered, strlen(HEAD) + WST__EARLY_MAX);
    assert_false(w.client.reading);
    assert_int_equal(w.done, 0);
    sum_t sum = {0};
    hijack_world_take(&w);
    wst_stream_set_callbacks(w.taken, &callbacks, &sum);
    wst_stream_read_start(w.taken, 0);
    hijack_world_turns(&w, 200);
    assert_int_equal(sum.len, sizeof(data));
    assert_int_equal(sum.ends, 1);
    wst_stream_set_callbacks(w.taken, NULL, NULL);
    hijack_world_free(&w);
}

static void test_answer(void **state) {
    (void)state;
    static const struct {
        const char *behind;
        bool end, kept;
    } cases[] = {{"", false, true}, {"early", false, false}, {"early", true, false}};
    for (size_t i = 0; i < 3; i++) {
        hijack_world_t w;
        start_watched(&w, HEAD);
        say_some(&w, cases[i].behind);
        if (cases[i].end)
            fake_stream_end(&w.client);
        hijack_world_turns(&w, 5);
        hijack_world_challenge(&w);
        hijack_world_assert_written_has(&w, cases[i].kept ? "Connection: keep-alive"
                                                          : "Connection: close");
        assert_int_equal(w.client.shutdown, !cases[i].kept);
        if (!cases[i].end && cases[i].kept) {
            hijack_world_say(&w, HEAD); /* and the next request is watched like the first */
            hijack_world_turns(&w, 5);
            assert_int_equal(w.requests, 2);
            fake_stream_end(&w.client);
            hijack_world_turns(&w, 5);
            assert_int_equal(w.done, 1);
        } else if (!cases[i].end) {
            hijack_world_say(&w, HEAD); /* is not taken for a request */
            fake_stream_end(&w.client);
        }
        hijack_world_turns(&w, 10);
        assert_int_equal(w.requests, cases[i].kept ? 2 : 1);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.status, 0);
        hijack_world_free(&w);
    }
}

/* An answer that does not leave at once: the next head is not read before it is out. */
static void test_answer_waits(void **state) {
    (void)state;
    hijack_world_t w;
    start_watched(&w, HEAD);
    w.client.write_status = WST_WAIT;
    hijack_world_challenge(&w);
    assert_false(w.client.reading);
    hijack_world_say(&w, HEAD);
    hijack_world_turns(&w, 5);
    assert_int_equal(w.requests, 1);
    fake_stream_drain(&w.client);
    hijack_world_turns(&w, 5);
    assert_int_equal(w.requests, 2);
    hijack_world_free(&w);
}

static void scenario(void *arg) {
    (void)arg;
    hijack_world_t w;
    if (hijack_world_init(&w) && hijack_world_hijack(&w)) {
        w.in_request = watch;
        hijack_world_say(&w, HEAD "ab");
        hijack_world_say(&w, "cd");
        fake_stream_end(&w.client);
        hijack_world_turns(&w, 10);
        if (w.done == 0)
            hijack_world_take(&w);
        if (w.taken != NULL) {
            hijack_world_read(&w);
            hijack_world_turns(&w, 5);
            if (!test_alloc_failed())
                assert_memory_equal(w.got, "abcd", 4);
        }
    }
    hijack_world_free(&w);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_true(test_alloc_each(scenario, NULL) > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_ends),  cmocka_unit_test(test_client_resets),
        cmocka_unit_test(test_not_watched),  cmocka_unit_test(test_take),
        cmocka_unit_test(test_take_nothing), cmocka_unit_test(test_bound),
        cmocka_unit_test(test_answer),       cmocka_unit_test(test_answer_waits),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
