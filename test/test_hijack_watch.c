/* SPDX-License-Identifier: MIT */
/* The hijack while a request waits for its answer and the connection is watched. */
#include "hijack.h"
#include "hijack_world.h"

static const char HEAD[] = "CONNECT host:22 HTTP/1.1\r\n\r\n";

static void watch(world_t *w) {
    wst__hijack_watch(w->hijack);
}

/* With `behind` in the piece that ends the head. */
static void start_watching(world_t *w, const char *behind) {
    world_start(w);
    w->in_request = watch;
    char text[128];
    memcpy(text, HEAD, strlen(HEAD));
    memcpy(text + strlen(HEAD), behind, strlen(behind));
    fake_stream_data(&w->client, text, strlen(HEAD) + strlen(behind));
    turns(w, 3);
    assert_int_equal(w->requests, 1);
    assert_true(w->client.reading);
}

static void expect_got(world_t *w, const char *text) {
    read_taken(w);
    turns(w, 10);
    assert_int_equal(w->got_len, strlen(text));
    assert_memory_equal(w->got, text, strlen(text));
}

/* Who leaves without having said more than the head has lost interest. */
static void test_client_leaves(void **state) {
    (void)state;
    for (int hard = 0; hard < 2; hard++) {
        world_t w;
        start_watching(&w, "");
        if (hard)
            fake_stream_error(&w.client, UV_ECONNRESET);
        else
            fake_stream_end(&w.client);
        turns(&w, 3);
        assert_int_equal(w.done, 1);
        assert_int_equal(w.status, hard ? UV_ECONNRESET : 0);
        wst_stream_t *stream;
        assert_int_equal(wst_hijack_take(w.hijack, &stream), WST_ESTATE);
        world_free(&w);
    }
}

/* An end behind early bytes is one of a direction only. Bytes and end come out of the stream. */
static void test_early_bytes(void **state) {
    (void)state;
    static const char *const behind[] = {"", "one "};
    for (int i = 0; i < 2; i++) {
        for (int n = 0; n < 6; n++) {
            world_t w;
            start_watching(&w, behind[i]);
            say(&w, "two ");
            say(&w, "three");
            fake_stream_end(&w.client);
            turns(&w, n);
            assert_int_equal(w.done, 0);
            take(&w);
            assert_false(w.client.reading);
            turns(&w, 3);
            expect_got(&w, i == 0 ? "two three" : "one two three");
            assert_true(w.got_end);
            world_free(&w);
        }
    }
}

/* Not more is kept than there is room for; nothing is lost. */
static void test_keeps_only_so_much(void **state) {
    (void)state;
    static char much[10000];
    world_t w;
    start_watching(&w, "");
    for (int i = 0; i < 10; i++)
        fake_stream_data(&w.client, much, sizeof(much));
    turns(&w, 20);
    assert_int_equal(w.client.delivered, strlen(HEAD) + WST__WATCH_MAX);
    assert_false(w.client.reading);
    world_free(&w);
}

static void test_not_kept_alive(void **state) {
    (void)state;
    world_t w;
    start_watching(&w, "");
    say(&w, "GET /evil HTTP/1.1\r\n\r\n");
    turns(&w, 3);
    ask_for_password(&w);
    assert_written_has(&w, "Connection: close\r\n\r\n");
    turns(&w, 5);
    assert_int_equal(w.requests, 1);
    world_free(&w);
}

static void test_kept_alive(void **state) {
    (void)state;
    world_t w;
    start_watching(&w, "");
    ask_for_password(&w);
    assert_written_has(&w, "Connection: keep-alive\r\n\r\n");
    say(&w, HEAD);
    turns(&w, 3);
    assert_int_equal(w.requests, 2);
    world_free(&w);
}

/* A take that fails for lack of memory can be tried again, and has lost nothing. */
static void test_take_again(void **state) {
    (void)state;
    bool met = true;
    size_t n = 1;
    for (; met; n++) {
        world_t w;
        start_watching(&w, "one ");
        say(&w, "two");
        turns(&w, 3);
        test_alloc_fail(n);
        wst_stream_t *stream;
        int rc = wst_hijack_take(w.hijack, &stream);
        met = test_alloc_failed();
        test_alloc_fail(0);
        assert_int_equal(rc, met ? WST_ENOMEM : 0);
        if (rc == 0)
            w.taken = stream;
        else
            take(&w);
        expect_got(&w, "one two");
        world_free(&w);
        assert_true(n < 20);
    }
    assert_true(n > 2); /* it has failed at least once */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_client_leaves),      cmocka_unit_test(test_early_bytes),
        cmocka_unit_test(test_keeps_only_so_much), cmocka_unit_test(test_not_kept_alive),
        cmocka_unit_test(test_kept_alive),         cmocka_unit_test(test_take_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
