/* SPDX-License-Identifier: MIT */
/*
 * The threads of the resolver by themselves. Their allocator here is counted under a mutex:
 * whatever a thread that was let go of still does, in the end nothing may be live.
 */
#include "fake_getaddrinfo.h"
#include "lookup_threads.h"
#include "names.h"
#include "support.h"

#include <sys/resource.h>
#include <wstunnel/error.h>

static uv_mutex_t count_mutex;
static uv_cond_t count_changed;
static size_t live, fail_at;

static void *counted_malloc(size_t size, void *user_data) {
    (void)user_data;
    uv_mutex_lock(&count_mutex);
    void *ptr = fail_at == 1 ? NULL : malloc(size);
    fail_at -= fail_at > 0;
    live += ptr != NULL;
    uv_mutex_unlock(&count_mutex);
    return ptr;
}

static void counted_free(void *ptr, void *user_data) {
    (void)user_data;
    uv_mutex_lock(&count_mutex);
    live--;
    uv_cond_broadcast(&count_changed);
    uv_mutex_unlock(&count_mutex);
    free(ptr);
}

static const wst_allocator_t counted = {counted_malloc, NULL, counted_free, NULL};

static void wait_none_live(void) {
    uv_mutex_lock(&count_mutex);
    while (live > 0)
        if (uv_cond_timedwait(&count_changed, &count_mutex, UINT64_C(10000000000)) != 0)
            fail_msg("%zu blocks live", live);
    uv_mutex_unlock(&count_mutex);
}

/* What the owner has. */
static uv_loop_t loop;
static uv_async_t done;
static wst__lookup_threads_t *threads;

static void on_done(uv_async_t *async) {
    (void)async;
}

static void start(unsigned limit, uint64_t idle_ms) {
    fake_getaddrinfo_reset();
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_async_init(&loop, &done, on_done), 0);
    assert_int_equal(wst__lookup_threads_new(&threads, &counted, limit, idle_ms, &done), 0);
}

/* Letting go must not wait for what hangs: only then is it released. */
static void stop(void) {
    wst__lookup_threads_let_go(threads);
    uv_close((uv_handle_t *)&done, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    fake_getaddrinfo_release();
    wait_none_live();
    fake_getaddrinfo_wait_no_threads();
}

static wst__lookup_job_t *submit(const char *host) {
    wst__lookup_job_t *job;
    assert_int_equal(wst__lookup_threads_submit(threads, &job, host, wst__zone_of(host, 0),
                                                (void *)(uintptr_t)host),
                     0);
    return job;
}

/* Waits for the next result. */
static wst__lookup_job_t *take(void) {
    wst__lookup_job_t *job;
    while ((job = wst__lookup_threads_take(threads)) == NULL)
        uv_run(&loop, UV_RUN_ONCE);
    return job;
}

static void expect(const char *host, int status) {
    wst__lookup_job_t *job = take();
    assert_string_equal(job->host, host);
    assert_ptr_equal(job->owner, host);
    assert_int_equal(job->status, status);
    assert_true((job->info != NULL) == (status == 0));
    wst__lookup_job_free(threads, job);
}

static void test_results(void **state) {
    (void)state;
    static const char good[] = "good.test", none[] = "none.test", again[] = "again.test",
                      failing[] = "fail.test", system[] = "system.test", full[] = "short.test",
                      memory[] = "short-memory.test";
    start(1, 1000);
    submit(good);
    submit(none);
    submit(again);
    submit(failing);
    submit(system);
    submit(full);
    submit(memory);
    expect(good, 0);
    expect(none, UV_EAI_NONAME);
    expect(again, UV_EAI_AGAIN);
    expect(failing, UV_EAI_FAIL);
    expect(system, UV_EMFILE);
    expect(full, UV_EMFILE);
    expect(memory, UV_ENOMEM);
    assert_null(wst__lookup_threads_take(threads));
    stop();
}

/* One that hangs takes one thread; others go on, up to the limit. */
static void test_stuck_and_limit(void **state) {
    (void)state;
    static const char stuck1[] = "stuck1.test", stuck2[] = "stuck2.test", good[] = "good.test";
    start(2, 1000);
    submit(stuck1);
    fake_getaddrinfo_wait_stuck(1);
    submit(good);
    expect(good, 0);
    submit(stuck2);
    fake_getaddrinfo_wait_stuck(2);
    submit(good);
    assert_null(wst__lookup_threads_take(threads));
    assert_int_equal(fake_getaddrinfo_calls(good), 1); /* no third thread */
    fake_getaddrinfo_release();
    for (int i = 0; i < 3; i++)
        wst__lookup_job_free(threads, take());
    assert_int_equal(fake_getaddrinfo_calls(good), 2);
    stop();
}

/* Names of one zone that hang leave half of the threads to others, and what waits for a place of
 * the zone does not stand in their way. */
static void test_zone_has_a_share(void **state) {
    (void)state;
    static const char *const slow[] = {"stuck1.slow.test", "stuck2.slow.test", "stuck3.slow.test",
                                       "stuck4.slow.test", "stuck5.Slow.Test", "stuck6.slow.test"};
    static const char other[] = "stuck.other.test", good[] = "good.test";
    start(8, 100000);
    for (int i = 0; i < 6; i++)
        submit(slow[i]);
    fake_getaddrinfo_wait_stuck(4);
    submit(other);
    fake_getaddrinfo_wait_stuck(5);
    for (int i = 0; i < 100; i++) {
        submit(good);
        expect(good, 0);
    }
    assert_int_equal(fake_getaddrinfo_calls(slow[4]) + fake_getaddrinfo_calls(slow[5]), 0);
    fake_getaddrinfo_release();
    for (int i = 0; i < 7; i++)
        wst__lookup_job_free(threads, take());
    for (int i = 0; i < 6; i++)
        assert_int_equal(fake_getaddrinfo_calls(slow[i]), 1);
    stop();
}

/* A share that was given back is used although no thread is idle, and no job follows. */
static void test_share_is_given_back(void **state) {
    (void)state;
    static const char *const slow[] = {"good1.slow.test", "good2.slow.test", "good3.slow.test"};
    for (int round = 0; round < 20; round++) {
        start(2, 0);
        for (int i = 0; i < 3; i++)
            submit(slow[i]);
        for (int i = 0; i < 3; i++)
            wst__lookup_job_free(threads, take());
        stop();
    }
}

/* One idle thread is not taken for two when two names come at once. */
static void test_idle_thread_takes_one(void **state) {
    (void)state;
    for (int round = 0; round < 10; round++) {
        start(2, 100000);
        submit("good.test");
        wst__lookup_job_free(threads, take());
        submit("stuck1.test");
        submit("stuck2.test");
        fake_getaddrinfo_wait_stuck(2);
        stop();
    }
}

static void test_withdraw(void **state) {
    (void)state;
    start(1, 1000);
    wst__lookup_job_t *stuck = submit("stuck.test");
    fake_getaddrinfo_wait_stuck(1);
    wst__lookup_job_t *first = submit("first.test"), *second = submit("second.test");
    assert_true(wst__lookup_threads_withdraw(threads, first));
    assert_false(wst__lookup_threads_withdraw(threads, stuck));
    fake_getaddrinfo_release();
    assert_ptr_equal(take(), stuck);
    assert_ptr_equal(take(), second);
    assert_false(wst__lookup_threads_withdraw(threads, second));
    wst__lookup_job_free(threads, stuck);
    wst__lookup_job_free(threads, second);
    assert_int_equal(fake_getaddrinfo_calls("first.test"), 0);
    stop();
}

/* Let go with everything there is: a thread that hangs, an idle one, jobs queued and finished. */
static void test_let_go(void **state) {
    (void)state;
    start(2, 100000);
    submit("good1.test");
    wst__lookup_job_free(threads, take());
    submit("stuck1.test");
    fake_getaddrinfo_wait_stuck(1);
    stop();

    start(2, 100000);
    submit("good1.test");
    fake_getaddrinfo_wait_returned(1);
    submit("stuck1.test");
    submit("stuck2.test");
    fake_getaddrinfo_wait_stuck(2);
    submit("queued.test");
    stop();
    assert_int_equal(fake_getaddrinfo_calls("queued.test"), 0);

    start(2, 100000); /* nothing ever asked */
    stop();
}

/* Letting go races with threads that come and go: for the sanitizers. */
static void test_let_go_early(void **state) {
    (void)state;
    for (int round = 0; round < 50; round++) {
        start(4, 0);
        for (int i = 0; i < round % 7; i++)
            submit("good.test");
        if (round % 3 == 0)
            uv_run(&loop, UV_RUN_NOWAIT);
        stop();
    }
}

/* A thread that has been idle ends, and its place is used again. */
static void test_idle_threads_end(void **state) {
    (void)state;
    static const char good[] = "good.test";
    start(1, 1);
    for (int round = 0; round < 3; round++) {
        submit(good);
        expect(good, 0);
        fake_getaddrinfo_wait_no_threads();
    }
    stop();
}

static void test_no_memory(void **state) {
    (void)state;
    wst__lookup_threads_t *none = NULL;
    fail_at = 1;
    assert_int_equal(wst__lookup_threads_new(&none, &counted, 4, 1000, &done), WST_ENOMEM);
    assert_null(none);
    start(4, 1000);
    wst__lookup_job_t *job = NULL;
    fail_at = 1;
    assert_int_equal(wst__lookup_threads_submit(threads, &job, "good.test", 1, NULL), WST_ENOMEM);
    assert_null(job);
    stop();
}

/* A stack larger than the address space: no thread can be made. */
static void test_no_thread(void **state) {
    (void)state;
    struct rlimit old, huge;
    assert_int_equal(getrlimit(RLIMIT_STACK, &old), 0);
    huge = old;
    huge.rlim_cur = (rlim_t)1 << 50;
    start(2, 1000);
    submit("stuck.test");
    fake_getaddrinfo_wait_stuck(1);
    if (old.rlim_max < huge.rlim_cur || setrlimit(RLIMIT_STACK, &huge) != 0) {
        stop();
        skip();
    }
    wst__lookup_job_t *job = NULL;
    submit("good.test"); /* waits for the thread there is */
    wst__lookup_threads_let_go(threads);
    assert_int_equal(wst__lookup_threads_new(&threads, &counted, 2, 1000, &done), 0);
    int status = wst__lookup_threads_submit(threads, &job, "good.test", 1, NULL);
    setrlimit(RLIMIT_STACK, &old);
    assert_true(status < 0 && status != WST_ENOMEM);
    assert_null(job);
    assert_int_equal(wst__lookup_threads_submit(threads, &job, "good.test", 1, NULL), 0);
    assert_ptr_equal(take(), job);
    wst__lookup_job_free(threads, job);
    stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),
        cmocka_unit_test(test_stuck_and_limit),
        cmocka_unit_test(test_zone_has_a_share),
        cmocka_unit_test(test_share_is_given_back),
        cmocka_unit_test(test_idle_thread_takes_one),
        cmocka_unit_test(test_withdraw),
        cmocka_unit_test(test_let_go),
        cmocka_unit_test(test_let_go_early),
        cmocka_unit_test(test_idle_threads_end),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_thread),
    };
    uv_mutex_init(&count_mutex);
    uv_cond_init(&count_changed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
