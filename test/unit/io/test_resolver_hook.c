/* SPDX-License-Identifier: MIT */
/* The resolver over the embedder's hook: answered at once, later, never, and when nobody asks. */
#include "support.h"

#include <uv.h>
#include <wstunnel/error.h>
#include <wstunnel/resolver.h>

enum { LOOKUPS_MAX = 1100 };

/* How far the resolver's clock is put forward. */
static uint64_t passed_ms;

uint64_t __real_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void);
uint64_t __wrap_uv_hrtime(void) {
    return __real_uv_hrtime() + passed_ms * 1000000;
}

static uv_loop_t loop;
static wst_ctx_t *ctx;
static bool ctx_closed;
static bool waiting;

/* Runs until `*count` has come to `n`, which a callback of this file has to say by came(). */
static void run_until(const int *count, int n) {
    waiting = true;
    while (*count < n)
        assert_true(uv_run(&loop, UV_RUN_DEFAULT) != 0 || *count >= n);
    waiting = false;
}

static void came(int *count) {
    ++*count;
    if (waiting)
        uv_stop(&loop);
}

/* The hook's side: what it has been asked. */
static wst_lookup_t *lookups[LOOKUPS_MAX];
static char hosts[LOOKUPS_MAX][32];
static int asked_count;
static bool answer_at_once;

/* The caller's side. */
typedef struct asked {
    wst_resolve_t *resolve;
    int calls, status;
    size_t count;
    struct sockaddr_storage addresses[WST_ADDRESSES_MAX];
    bool close_ctx; /* in the callback */
} asked_t;

static void on_ctx_closed(void *user_data) {
    assert_ptr_equal(user_data, &loop);
    ctx_closed = true;
}

static void ip4(struct sockaddr_storage *out, unsigned char last, int port) {
    memset(out, 0, sizeof(*out));
    uv_ip4_addr("192.0.2.0", port, (struct sockaddr_in *)out);
    memcpy((char *)&((struct sockaddr_in *)out)->sin_addr + 3, &last, 1);
}

static void answer_good(wst_lookup_t *lookup) {
    struct sockaddr_storage address;
    ip4(&address, 7, 80);
    wst_lookup_answer(lookup, 0, &address, 1);
}

static void hook(wst_lookup_t *lookup, const char *host, void *user_data) {
    assert_ptr_equal(user_data, &loop);
    assert_true(asked_count < LOOKUPS_MAX);
    snprintf(hosts[asked_count], sizeof(hosts[0]), "%s", host);
    lookups[asked_count] = lookup;
    came(&asked_count);
    if (answer_at_once)
        answer_good(lookup);
}

static void start(void) {
    asked_count = 0;
    answer_at_once = ctx_closed = false;
    wst_ctx_options_t options = {
        .size = sizeof(options), .allocator = &test_allocator, .resolve = hook, .user_data = &loop};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(wst_ctx_new(&ctx, &loop, &options), 0);
}

static void run(void) {
    uv_run(&loop, UV_RUN_DEFAULT);
}

static void close_ctx(void) {
    wst_ctx_close(ctx, on_ctx_closed);
    run();
    assert_true(ctx_closed);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void stop(void) {
    close_ctx();
    assert_int_equal(test_alloc_live(), 0);
}

static void on_resolved(int status, const struct sockaddr_storage *addresses, size_t count,
                        void *user_data) {
    asked_t *asked = user_data;
    came(&asked->calls);
    asked->status = status;
    asked->count = count;
    if (count > 0)
        memcpy(asked->addresses, addresses, count * sizeof(*addresses));
    if (asked->close_ctx)
        wst_ctx_close(ctx, on_ctx_closed);
}

static void ask(asked_t *asked, const char *host, uint64_t timeout_ms) {
    int calls = asked->calls;
    int before = asked_count;
    assert_int_equal(wst_resolve(&asked->resolve, ctx, host, timeout_ms, on_resolved, asked), 0);
    assert_int_equal(asked->calls, calls);
    assert_int_equal(asked_count, before); /* nor is the hook called from inside */
}

static void test_at_once(void **state) {
    (void)state;
    asked_t asked = {0}, literal = {0};
    start();
    answer_at_once = true;
    ask(&asked, "a.test", 0);
    ask(&literal, "192.0.2.1", 0); /* no matter for the hook */
    run();
    assert_int_equal(asked_count, 1);
    assert_string_equal(hosts[0], "a.test");
    assert_int_equal(asked.calls, 1);
    assert_int_equal(asked.count, 1);
    struct sockaddr_storage expected;
    ip4(&expected, 7, 0); /* the port is gone */
    assert_memory_equal(&asked.addresses[0], &expected, sizeof(expected));
    assert_int_equal(literal.count, 1);
    stop();
}

static void test_later_and_shared(void **state) {
    (void)state;
    asked_t asked[3] = {{0}};
    start();
    ask(&asked[0], "a.test", 0);
    run_until(&asked_count, 1);
    ask(&asked[1], "a.test", 0);
    ask(&asked[2], "b.test", 0);
    run_until(&asked_count, 2);
    assert_int_equal(asked[0].calls, 0);
    answer_good(lookups[0]);
    wst_lookup_answer(lookups[1], UV_EAI_AGAIN, NULL, 0);
    run();
    assert_int_equal(asked_count, 2);
    assert_int_equal(asked[0].status, 0);
    assert_int_equal(asked[1].status, 0);
    assert_int_equal(asked[1].count, 1);
    assert_int_equal(asked[2].status, UV_EAI_AGAIN);
    for (int i = 0; i < 3; i++)
        assert_int_equal(asked[i].calls, 1);
    stop();
}

/* What comes from outside is checked: how many, of which family, whether any. */
static void test_addresses(void **state) {
    (void)state;
    struct sockaddr_storage *given = calloc(40, sizeof(*given));
    asked_t asked[4] = {{0}};
    start();
    for (int i = 0; i < 4; i++) {
        char host[] = {(char)('a' + i), '\0'};
        ask(&asked[i], host, 0);
    }
    run_until(&asked_count, 4);
    for (int i = 0; i < 40; i++)
        ip4(&given[i], (unsigned char)i, i);
    given[0].ss_family = AF_UNIX;
    wst_lookup_answer(lookups[0], 0, given, 40);
    wst_lookup_answer(lookups[1], 0, given, 1);
    wst_lookup_answer(lookups[2], 0, NULL, 0);
    wst_lookup_answer(lookups[3], UV_EAI_FAIL, given, 40);
    free(given);
    assert_int_equal(asked[0].count, WST_ADDRESSES_MAX);
    struct sockaddr_storage expected;
    ip4(&expected, 1, 0);
    assert_memory_equal(&asked[0].addresses[0], &expected, sizeof(expected));
    ip4(&expected, 32, 0);
    assert_memory_equal(&asked[0].addresses[31], &expected, sizeof(expected));
    assert_int_equal(asked[1].status, UV_EAI_NODATA);
    assert_int_equal(asked[2].status, UV_EAI_NODATA);
    assert_int_equal(asked[3].status, UV_EAI_FAIL);
    assert_int_equal(asked[3].count, 0);
    stop();
}

/* Never answered: deadlines come all the same, the name stays asked once, and close does not wait.
 */
static void test_never(void **state) {
    (void)state;
    asked_t asked = {0}, patient = {0};
    start();
    ask(&patient, "a.test", 0);
    run_until(&asked_count, 1);
    ask(&asked, "a.test", 10);
    run_until(&asked.calls, 1);
    assert_int_equal(asked.status, WST_ENAMETIMEOUT);
    assert_int_equal(patient.calls, 0);
    wst_resolve_cancel(patient.resolve);
    run();
    ask(&asked, "a.test", 10);
    run();
    assert_int_equal(asked.calls, 2);
    assert_int_equal(asked.status, WST_ENAMETIMEOUT);
    assert_int_equal(asked_count, 1);
    close_ctx();
    assert_int_equal(test_alloc_live(), 1); /* the hook's, and its to give back */
    answer_good(lookups[0]);
    assert_int_equal(test_alloc_live(), 0);
}

/* A name that the hook does not answer for fails at once after a while, and is remembered briefly
 * once the hook says so. */
static void test_unanswered(void **state) {
    (void)state;
    asked_t first = {0}, later = {0};
    start();
    ask(&first, "a.test", 0);
    run_until(&asked_count, 1);
    passed_ms += 10000;
    ask(&later, "a.test", UINT64_MAX);
    run_until(&later.calls, 1);
    assert_int_equal(later.status, WST_ENAMETIMEOUT);
    assert_int_equal(first.calls, 0);
    wst_lookup_answer(lookups[0], UV_EAI_AGAIN, NULL, 0);
    assert_int_equal(first.status, UV_EAI_AGAIN);
    ask(&later, "a.test", 0);
    run_until(&later.calls, 2);
    assert_int_equal(later.status, WST_ENAMETIMEOUT);
    assert_int_equal(asked_count, 1);
    passed_ms += 10001;
    answer_at_once = true;
    ask(&later, "a.test", 0);
    run();
    assert_int_equal(later.status, 0);
    assert_int_equal(asked_count, 2);
    stop();
}

static void test_cancel(void **state) {
    (void)state;
    asked_t asked[2] = {{0}};
    start();
    /* before the hook has been asked: it is not bothered */
    ask(&asked[0], "a.test", 0);
    wst_resolve_cancel(asked[0].resolve);
    run();
    assert_int_equal(asked_count, 0);
    /* after that: the answer reaches nobody, or whoever asks meanwhile */
    ask(&asked[0], "a.test", 0);
    ask(&asked[1], "b.test", 0);
    run_until(&asked_count, 2);
    wst_resolve_cancel(asked[0].resolve);
    wst_resolve_cancel(asked[1].resolve);
    run();
    ask(&asked[1], "b.test", 0);
    answer_good(lookups[0]);
    answer_good(lookups[1]);
    run();
    assert_int_equal(asked_count, 2);
    assert_int_equal(asked[0].calls, 0);
    assert_int_equal(asked[1].calls, 1);
    stop();
}

/* The hook's answer may be the end of it all. */
static void test_close_in_callback(void **state) {
    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        asked_t first = {.close_ctx = true}, second = {0}, other = {0};
        start();
        answer_at_once = at_once;
        ask(&other, "other.test", 0);
        wst_resolve_cancel(other.resolve);
        ask(&first, "a.test", 0);
        ask(&second, "a.test", 0);
        run_until(&asked_count, 1);
        if (!at_once)
            answer_good(lookups[0]);
        assert_int_equal(first.calls, 1);
        assert_int_equal(second.calls, 1);
        run();
        assert_true(ctx_closed);
        assert_int_equal(uv_loop_close(&loop), 0);
        assert_int_equal(test_alloc_live(), 0);
    }
}

/* A hook that answers nothing is asked for so many names and no more. */
static void test_limit(void **state) {
    (void)state;
    enum { NAMES = 1024 };
    asked_t *many = calloc(NAMES, sizeof(*many)), asked = {0};
    start();
    for (int i = 0; i < NAMES; i++) {
        char host[32];
        snprintf(host, sizeof(host), "%d.test", i);
        ask(&many[i], host, 0);
    }
    run_until(&asked_count, NAMES);
    for (int i = 0; i < NAMES; i++)
        wst_resolve_cancel(many[i].resolve);
    free(many);
    ask(&asked, "more.test", 0);
    run();
    assert_int_equal(asked.status, WST_ELIMIT);
    answer_good(lookups[500]);
    ask(&asked, "more.test", 10);
    run();
    assert_int_equal(asked.status, WST_ENAMETIMEOUT);
    close_ctx();
    for (int i = 0; i < asked_count; i++)
        if (i != 500)
            answer_good(lookups[i]);
    assert_int_equal(test_alloc_live(), 0);
}

static void scenario(void *arg) {
    asked_t asked[2] = {{0}};
    wst_ctx_options_t options = {
        .size = sizeof(options), .allocator = &test_allocator, .resolve = hook, .user_data = &loop};
    asked_count = 0;
    answer_at_once = arg != NULL;
    assert_int_equal(uv_loop_init(&loop), 0);
    if (wst_ctx_new(&ctx, &loop, &options) == 0) {
        int expected = 0;
        for (int i = 0; i < 2; i++) {
            int status = wst_resolve(&asked[i].resolve, ctx, "a.test", 0, on_resolved, &asked[i]);
            assert_true(status == 0 || status == WST_ENOMEM);
            expected += status == 0;
        }
        if (expected > 0 && !answer_at_once) {
            run_until(&asked_count, 1);
            answer_good(lookups[0]);
        }
        run();
        assert_int_equal(asked[0].calls + asked[1].calls, expected);
        wst_ctx_close(ctx, NULL);
        run();
    }
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_no_memory(void **state) {
    (void)state;
    assert_int_equal(test_alloc_each(scenario, NULL), 5);
    assert_int_equal(test_alloc_each(scenario, &loop), 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),           cmocka_unit_test(test_later_and_shared),
        cmocka_unit_test(test_addresses),         cmocka_unit_test(test_never),
        cmocka_unit_test(test_unanswered),        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_close_in_callback), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
