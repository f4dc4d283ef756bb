/* SPDX-License-Identifier: MIT */
/* The byte queue against a plain array, its bounds on memory, and failing allocations. */
#include "support.h"

#include "bufq.h"
#include <wstunnel/error.h>

enum { MODEL_MAX = 200000 };

typedef struct world {
    wst__pool_t pool;
    wst__bufq_t q;
    uint8_t model[MODEL_MAX];
    size_t len;
} world_t;

static world_t w;

static void open_world(void) {
    memset(&w, 0, sizeof(w));
    wst__pool_init(&w.pool, &test_allocator);
    wst__bufq_init(&w.q, &w.pool);
}

static void close_world(void) {
    wst__bufq_reset(&w.q);
    assert_int_equal(w.pool.live, 0);
    wst__pool_free(&w.pool);
    assert_int_equal(test_alloc_live(), 0);
}

/* The queue's bytes, peeked piece by piece, are those of the model. */
static void check(void) {
    assert_int_equal(w.q.len, w.len);
    size_t at = 0;
    while (at < w.len) {
        wst_slice_t s = wst__bufq_peek(&w.q, at, SIZE_MAX);
        assert_true(s.len > 0 && s.len <= w.len - at);
        assert_memory_equal(s.data, w.model + at, s.len);
        at += s.len;
    }
    assert_int_equal(wst__bufq_peek(&w.q, at, 1).len, 0);
    /* seek finds the same, from wherever it was before. */
    static uint64_t seed = 1;
    size_t offset = (size_t)(test_random(&seed) % (w.len + 1));
    wst_slice_t peeked = wst__bufq_peek(&w.q, offset, 700);
    wst_slice_t sought = wst__bufq_seek(&w.q, offset, 700);
    assert_ptr_equal(sought.data, peeked.data);
    assert_int_equal(sought.len, peeked.len);
}

static void model_add(const uint8_t *data, size_t len) {
    memcpy(w.model + w.len, data, len);
    w.len += len;
}

/* A slice over `len` bytes of a chunk with that capacity, filled at random. */
static wst_slice_t make_slice(size_t capacity, size_t len, uint64_t *seed) {
    wst_chunk_t *chunk = wst__pool_chunk(&w.pool, capacity);
    assert_non_null(chunk);
    for (size_t i = 0; i < len; i++)
        wst_chunk_data(chunk)[i] = (uint8_t)test_random(seed);
    return (wst_slice_t){chunk, wst_chunk_data(chunk), len};
}

static void random_run(uint64_t seed) {
    open_world();
    size_t most = 0, window = 1 + test_random(&seed) % 60000;
    for (int i = 0; i < 400; i++) {
        switch (test_random(&seed) % 4) {
        case 0: {
            size_t len = 1 + test_random(&seed) % (test_random(&seed) % 2 ? 100 : window);
            if (w.len + len > window)
                break;
            size_t capacity = test_random(&seed) % 2 ? len : len * 5;
            wst_slice_t s = make_slice(capacity, len, &seed);
            model_add(s.data, len);
            assert_int_equal(wst__bufq_push(&w.q, s), 0);
            break;
        }
        case 1: {
            uint8_t data[9000];
            size_t len = test_random(&seed) % sizeof(data);
            if (w.len + len > window)
                break;
            for (size_t k = 0; k < len; k++)
                data[k] = (uint8_t)test_random(&seed);
            model_add(data, len);
            assert_int_equal(wst__bufq_append(&w.q, data, len), 0);
            break;
        }
        case 2: {
            size_t n = w.len > 0 ? test_random(&seed) % (w.len + 1) : 0;
            wst__bufq_consume(&w.q, n);
            memmove(w.model, w.model + n, w.len - n);
            w.len -= n;
            break;
        }
        default: {
            wst_slice_t s;
            if (!wst__bufq_pop(&w.q, &s)) {
                assert_int_equal(w.len, 0);
                break;
            }
            assert_memory_equal(s.data, w.model, s.len);
            memmove(w.model, w.model + s.len, w.len - s.len);
            w.len -= s.len;
            wst_slice_unref(s);
            break;
        }
        }
        most = w.len > most ? w.len : most;
        if (wst__bufq_capacity(&w.q) > wst__bufq_bound_push(window))
            fail_msg("pins %zu bytes for a window of %zu", wst__bufq_capacity(&w.q), window);
        check();
    }
    close_world();
}

/* Appending and consuming, in small chunks, too: the bound is tighter. */
static void append_run(uint64_t seed) {
    open_world();
    w.q.small_max = test_random(&seed) % 2 ? 512 : 0;
    size_t window = 1 + test_random(&seed) % 9000;
    for (int i = 0; i < 400; i++) {
        uint8_t data[9000] = {0};
        size_t room = window - w.len, most = test_random(&seed) % 2 ? 100 : window;
        size_t len = test_random(&seed) % (most + 1);
        len = len < room ? len : room;
        assert_int_equal(wst__bufq_append(&w.q, data, len), 0);
        model_add(data, len);
        if (wst__bufq_capacity(&w.q) > wst__bufq_bound_append(window))
            fail_msg("pins %zu bytes for a window of %zu", wst__bufq_capacity(&w.q), window);
        size_t n = test_random(&seed) % (w.len + 1);
        wst__bufq_consume(&w.q, n);
        memmove(w.model, w.model + n, w.len - n);
        w.len -= n;
        check();
    }
    close_world();
}

static void test_random_operations(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 200);
    for (uint64_t seed = first; seed < first + count; seed++) {
        print_message("# seed %llu\n", (unsigned long long)seed);
        random_run(seed);
        append_run(seed);
    }
}

/* Many small slices of large chunks must not keep the large chunks. */
static void test_small_slices_are_copied(void **state) {
    (void)state;
    open_world();
    uint64_t seed = 1;
    for (int i = 0; i < 300; i++) {
        wst_slice_t s = make_slice(65536, 100, &seed);
        model_add(s.data, s.len);
        assert_int_equal(wst__bufq_push(&w.q, s), 0);
    }
    check();
    assert_true(wst__bufq_capacity(&w.q) <= wst__bufq_bound_append(30000));
    close_world();
}

/* A slice that fills its chunk is kept, not copied. */
static void test_full_slices_are_kept(void **state) {
    (void)state;
    open_world();
    uint64_t seed = 1;
    wst_slice_t s = make_slice(16384, 16000, &seed);
    assert_int_equal(wst__bufq_push(&w.q, s), 0);
    assert_ptr_equal(wst__bufq_peek(&w.q, 0, 1).data, s.data);
    close_world();
}

/* What was peeked and kept stays as it was while more is appended behind it. */
static void test_kept_bytes_do_not_change(void **state) {
    (void)state;
    open_world();
    assert_int_equal(wst__bufq_append(&w.q, "abc", 3), 0);
    wst_slice_t kept = wst_slice_ref(wst__bufq_peek(&w.q, 0, SIZE_MAX));
    assert_int_equal(wst__bufq_append(&w.q, "def", 3), 0);
    assert_int_equal(kept.len, 3);
    wst__bufq_consume(&w.q, 6);
    assert_int_equal(wst__bufq_append(&w.q, "ghi", 3), 0);
    assert_memory_equal(kept.data, "abc", 3);
    wst_slice_unref(kept);
    close_world();
}

/* An empty queue pins nothing. */
static void test_empty_pins_nothing(void **state) {
    (void)state;
    open_world();
    assert_int_equal(wst__bufq_append(&w.q, "abc", 3), 0);
    assert_int_equal(w.pool.live, 1);
    wst__bufq_consume(&w.q, 3);
    assert_int_equal(w.pool.live, 0);
    close_world();
}

/* A failed append or push leaves the queue as it was and takes the reference. */
static void failing_scenario(void *arg) {
    (void)arg;
    memset(&w, 0, sizeof(w));
    wst__pool_init(&w.pool, &test_allocator);
    wst__bufq_init(&w.q, &w.pool);
    uint8_t data[10000];
    memset(data, 'x', sizeof(data));
    for (int i = 0; i < 12; i++) {
        size_t len = (size_t)(1000 + i * 700);
        if (wst__bufq_append(&w.q, data, len) == 0)
            model_add(data, len);
        wst_chunk_t *chunk = wst__pool_chunk(&w.pool, 5000);
        if (chunk != NULL) {
            memset(wst_chunk_data(chunk), 'y', 5000);
            wst_slice_t s = {chunk, wst_chunk_data(chunk), i % 2 ? 5000 : 100};
            uint8_t copy[5000];
            memcpy(copy, s.data, s.len);
            if (wst__bufq_push(&w.q, s) == 0)
                model_add(copy, s.len);
        }
        check();
    }
    wst__bufq_reset(&w.q);
    assert_int_equal(w.pool.live, 0);
    wst__pool_free(&w.pool);
}

static void test_allocation_failures(void **state) {
    (void)state;
    assert_true(test_alloc_each(failing_scenario, NULL) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_operations),
        cmocka_unit_test(test_small_slices_are_copied),
        cmocka_unit_test(test_full_slices_are_kept),
        cmocka_unit_test(test_kept_bytes_do_not_change),
        cmocka_unit_test(test_empty_pins_nothing),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
