/* SPDX-License-Identifier: MIT */
/* What is kept of a client until its destination is there. */
#include "early.h"

#include "env.h"
#include "fake_stream.h"

#include <wstunnel/error.h>

typedef struct keeper {
    test_env_t env;
    fake_stream_t client;
    wst__early_t early;
    int status;
    size_t ends;
    uint8_t got[131072]; /* once it has been put back */
    size_t got_len;
} keeper_t;

static void keep(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    keeper_t *k = user_data;
    k->status = wst__early_keep(&k->early, stream, data);
}

static void take(wst_stream_t *stream, wst_slice_t data, void *user_data) {
    keeper_t *k = user_data;
    (void)stream;
    assert_true(data.len <= sizeof(k->got) - k->got_len);
    memcpy(k->got + k->got_len, data.data, data.len);
    k->got_len += data.len;
}

static void on_end(wst_stream_t *stream, void *user_data) {
    (void)stream;
    ((keeper_t *)user_data)->ends++;
}

static keeper_t *keeper_new(void) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = keep, .on_end = on_end};
    keeper_t *k = calloc(1, sizeof(*k));
    test_env_open(&k->env);
    assert_int_equal(fake_stream_open(&k->client, k->env.ctx), 0);
    wst_stream_set_callbacks(k->client.stream, &callbacks, k);
    wst_stream_read_start(k->client.stream, WST__EARLY_MAX);
    return k;
}

/* Puts all back and reads it as its next owner does. */
static void put_back(keeper_t *k) {
    static const wst_stream_callbacks_t callbacks = {
        .size = sizeof(callbacks), .on_read = take, .on_end = on_end};
    wst_stream_read_stop(k->client.stream);
    assert_int_equal(wst__early_put_back(&k->early, k->client.stream), 0);
    k->ends = 0;
    wst_stream_set_callbacks(k->client.stream, &callbacks, k);
    wst_stream_read_start(k->client.stream, 0);
    test_env_turns(&k->env, 300);
}

static void keeper_free(keeper_t *k) {
    wst__early_free(&k->early);
    wst_stream_close(k->client.stream, NULL);
    test_env_turns(&k->env, 5);
    fake_stream_free(&k->client);
    test_env_close(&k->env);
    free(k);
}

static void fill(uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i % 251);
}

/* Whatever pieces it comes in, as much as there is room for is kept, the client is read only as
 * long as there is, and the next owner gets all of it, and the end, once. */
static void check(size_t len, size_t piece) {
    static uint8_t data[100000];
    size_t kept = len < WST__EARLY_MAX ? len : WST__EARLY_MAX;
    keeper_t *k = keeper_new();
    fill(data, len);
    for (size_t at = 0; at < len; at += piece)
        fake_stream_data(&k->client, data + at, len - at < piece ? len - at : piece);
    fake_stream_end(&k->client);
    test_env_turns(&k->env, 300);
    assert_int_equal(k->status, 0);
    assert_int_equal(k->early.kept.len, kept);
    assert_int_equal(k->client.delivered, kept);
    assert_int_equal(k->ends, len < WST__EARLY_MAX);
    assert_false(wst_stream_reading(k->client.stream)); /* it has ended, or there is no room */
    put_back(k);
    assert_int_equal(k->got_len, len);
    assert_memory_equal(k->got, data, len);
    assert_int_equal(k->ends, 1);
    keeper_free(k);
}

static void test_pieces(void **state) {
    (void)state;
    for (size_t len = 1; len <= 12; len++)
        for (size_t piece = 1; piece <= len; piece++)
            check(len, piece);
}

static void test_bound(void **state) {
    (void)state;
    static const size_t lengths[] = {WST__EARLY_MAX - 1, WST__EARLY_MAX, WST__EARLY_MAX + 1,
                                     100000};
    static const size_t pieces[] = {1000, 4096, 32767, 32768, 32769, 100000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (size_t j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++)
            check(lengths[i], pieces[j]);
}

/* A piece that is longer than asked for: what there is no room for is delivered again. */
static void test_excess(void **state) {
    (void)state;
    static uint8_t data[50000];
    keeper_t *k = keeper_new();
    wst_slice_t slice;
    fill(data, sizeof(data));
    assert_int_equal(wst_slice_copy(&slice, k->env.ctx, data, sizeof(data)), 0);
    assert_int_equal(wst__early_keep(&k->early, k->client.stream, slice), 0);
    wst_slice_unref(slice);
    assert_int_equal(k->early.kept.len, WST__EARLY_MAX);
    put_back(k);
    assert_int_equal(k->got_len, sizeof(data));
    assert_memory_equal(k->got, data, sizeof(data));
    keeper_free(k);
}

static void test_no_memory(void **state) {
    (void)state;
    keeper_t *k = keeper_new();
    wst_slice_t slice = wst_slice_static("early", 5);
    test_alloc_fail(1);
    assert_int_equal(wst__early_keep(&k->early, k->client.stream, slice), WST_ENOMEM);
    assert_int_equal(k->early.kept.len, 0);
    assert_int_equal(wst__early_keep(&k->early, k->client.stream, slice), 0);
    test_alloc_fail(1); /* nothing is lost: it can be tried again */
    assert_int_equal(wst__early_put_back(&k->early, k->client.stream), WST_ENOMEM);
    assert_int_equal(k->early.kept.len, 5);
    put_back(k);
    assert_int_equal(k->got_len, 5);
    assert_memory_equal(k->got, "early", 5);
    keeper_free(k);
}

/* No memory is held for bytes that have been consumed. */
static void test_consumed(void **state) {
    (void)state;
    keeper_t *k = keeper_new();
    fake_stream_data(&k->client, (const uint8_t *)"abcde", 5);
    test_env_turns(&k->env, 5);
    wst__early_consume(&k->early, 2);
    assert_memory_equal(k->early.kept.data, "cde", 3);
    wst__early_consume(&k->early, 3);
    assert_null(k->early.kept.chunk);
    fake_stream_data(&k->client, (const uint8_t *)"f", 1);
    test_env_turns(&k->env, 5);
    assert_int_equal(k->early.kept.len, 1);
    keeper_free(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),   cmocka_unit_test(test_bound),
        cmocka_unit_test(test_excess),   cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_consumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
