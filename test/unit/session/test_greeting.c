/* SPDX-License-Identifier: MIT */
/* Greetings: the hellos out and in, in all pieces, out of order, and without memory. */
#include "support.h"

#include "greeting.h"

#include <wstunnel/error.h>

static wst__pool_t pool;
static wst_encoding_t encoding;

static void begin(wst__greeting_t *g, const wst_hello_t *ours) {
    wst__pool_init(&pool, &test_allocator);
    assert_int_equal(wst__greeting_init(g, &pool, ours), 0);
    assert_int_equal(wst__greeting_begin(g, encoding), 0);
}

static void end(wst__greeting_t *g) {
    wst__greeting_end(g);
    wst__greeting_end(g); /* does no harm */
    wst__pool_free(&pool);
    assert_int_equal(test_alloc_live(), 0);
}

/* Each piece lies in memory of its own, which is gone behind it. */
static int say(wst__greeting_t *g, const char *text, size_t len, bool fin) {
    char *piece = malloc(len + 1);
    assert_non_null(piece);
    memcpy(piece, text, len);
    int status = wst__greeting_recv(g, true, wst_slice_static(piece, len), fin);
    free(piece);
    return status;
}

static int say_whole(wst__greeting_t *g, const char *text) {
    return say(g, text, strlen(text), true);
}

/* What our side says, decoded; false: nothing. */
static bool pull(wst__greeting_t *g, wst_hello_t *hello) {
    static wst_decoder_t *ear;
    const wst_decoder_options_t options = {.size = sizeof(options), .encoding = encoding};
    wst__outgoing_t out;
    wst_message_t m = {.size = sizeof(m)};
    int status = wst__greeting_next(g, &out);
    assert_true(status >= 0);
    if (status == 0)
        return false;
    wst_decoder_free(ear);
    assert_int_equal(wst_decoder_new(&ear, &options), 0);
    assert_int_equal(out.head_len, 0);
    assert_true(out.text);
    assert_int_equal(wst_decoder_push(ear, true, out.payload.data, out.payload.len, true, &m), 1);
    wst_slice_unref(out.payload);
    assert_int_equal(m.method, WST_MSG_HELLO);
    *hello = *m.hello;
    hello->name = (wst_str_t){NULL, m.hello->name.len};
    wst_decoder_free(ear);
    ear = NULL;
    return true;
}

static const char agent[] =
    "{\"method\":4,\"version\":1,\"features\":[\"yield\",\"new\"],\"max_frame\":1024,"
    "\"initial_credit\":5,\"max_streams\":0,\"name\":\"box-7\","
    "\"instance\":\"000102030405060708090a0b0c0d0eff\",\"conn\":3,\"epoch\":9}";

static void expect_agent(const wst_hello_t *peer) {
    assert_int_equal(peer->version, 1);
    assert_int_equal(peer->max_frame, 1024);
    assert_int_equal(peer->initial_credit, 5);
    assert_int_equal(peer->max_streams, 0);
    assert_true(peer->yields);
    assert_false(peer->early);
    assert_int_equal(peer->name.len, 5);
    assert_memory_equal(peer->name.ptr, "box-7", 5);
    assert_true(peer->has_instance);
    assert_int_equal(peer->instance[15], 0xff);
    assert_int_equal(peer->conn, 3);
    assert_int_equal(peer->epoch, 9);
}

/* -- Ours ------------------------------------------------------------------------------------- */

static void test_ours_goes_out_once_without_waiting(void **state) {
    (void)state;
    wst__greeting_t g;
    wst_hello_t hello;
    char name[] = "box-7";
    begin(&g,
          &(wst_hello_t){.size = sizeof(wst_hello_t), .name = {name, 5}, .conn = 2, .epoch = 3});
    name[0] = ' '; /* it was copied */
    assert_true(pull(&g, &hello));
    assert_int_equal(hello.version, WST_PROTOCOL_VERSION);
    assert_int_equal(hello.max_frame, 65536);
    assert_int_equal(hello.initial_credit, 12288);
    assert_int_equal(hello.max_streams, 0); /* as it was given: we take none */
    assert_true(hello.yields);
    assert_true(hello.early);
    assert_int_equal(hello.name.len, 5);
    assert_int_equal(hello.conn, 2);
    assert_int_equal(hello.epoch, 3);
    assert_memory_equal(g.ours.name.ptr, "box-7", 5);
    assert_false(pull(&g, &hello));
    end(&g);
}

static void test_ours_says_what_it_was_given(void **state) {
    (void)state;
    wst__greeting_t g;
    wst_hello_t hello;
    begin(&g, &(wst_hello_t){.size = sizeof(wst_hello_t),
                             .max_frame = 2000,
                             .initial_credit = 3000,
                             .max_streams = 4});
    assert_true(pull(&g, &hello));
    assert_int_equal(hello.max_frame, 2000);
    assert_int_equal(hello.initial_credit, 3000);
    assert_int_equal(hello.max_streams, 4);
    assert_int_equal(hello.name.len, 0);
    end(&g);
}

static void test_numbers_out_of_range_are_refused(void **state) {
    (void)state;
    char name[WST_NAME_MAX + 1];
    memset(name, 'x', sizeof(name));
    const wst_hello_t wrong[] = {
        {.size = sizeof(wst_hello_t), .max_frame = WST_FRAME_MIN_LIMIT - 1},
        {.size = sizeof(wst_hello_t), .max_frame = WST_FRAME_MAX_LIMIT + 1},
        {.size = sizeof(wst_hello_t), .initial_credit = (UINT64_C(1) << 31) + 1},
        {.size = sizeof(wst_hello_t), .name = {"a b", 3}},
        {.size = sizeof(wst_hello_t), .name = {name, sizeof(name)}}};
    wst__greeting_t g;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(wst__greeting_init(&g, &pool, &wrong[i]), WST_EINVAL);
    const wst_hello_t longest = {.size = sizeof(longest), .name = {name, WST_NAME_MAX}};
    assert_int_equal(wst__greeting_init(&g, &pool, &longest), 0);
}

/* -- Theirs ----------------------------------------------------------------------------------- */

static void test_theirs_in_all_pieces(void **state) {
    (void)state;
    const size_t len = sizeof(agent) - 1;
    for (size_t first = 0; first <= len; first++) {
        for (size_t second = first; second <= len; second += second == first ? 1 : len / 3) {
            wst__greeting_t g;
            begin(&g, &(wst_hello_t){.size = sizeof(wst_hello_t)});
            assert_int_equal(say(&g, agent, first, false), 0);
            assert_int_equal(say(&g, agent + first, second - first, false), 0);
            assert_false(g.heard);
            assert_int_equal(say(&g, agent + second, len - second, true), 1);
            assert_true(g.heard);
            wst__greeting_end(&g);
            expect_agent(&g.peer); /* the texts, too, are its own */
            end(&g);
        }
    }
}

/* Whose hello comes first means nothing. */
static void test_either_order(void **state) {
    (void)state;
    for (int ours_first = 0; ours_first < 2; ours_first++) {
        wst__greeting_t g;
        wst_hello_t hello;
        begin(&g, &(wst_hello_t){.size = sizeof(wst_hello_t)});
        if (ours_first != 0)
            assert_true(pull(&g, &hello));
        assert_int_equal(say_whole(&g, agent), 1);
        if (ours_first == 0)
            assert_true(pull(&g, &hello));
        assert_false(pull(&g, &hello));
        end(&g);
    }
}

static void test_without_a_name(void **state) {
    (void)state;
    wst__greeting_t g;
    begin(&g, &(wst_hello_t){.size = sizeof(wst_hello_t)});
    assert_int_equal(say_whole(&g, "{\"method\":4,\"version\":2,\"max_frame\":1024,"
                                   "\"initial_credit\":1,\"max_streams\":1}"),
                     1);
    assert_int_equal(g.peer.name.len, 0);
    assert_int_equal(g.peer.version, 2);
    assert_false(g.peer.yields);
    end(&g);
}

/* As everywhere else: what is not known is not looked at. */
static void test_unknown_methods_may_come_before(void **state) {
    (void)state;
    wst__greeting_t g;
    begin(&g, &(wst_hello_t){.size = sizeof(wst_hello_t)});
    assert_int_equal(say_whole(&g, "{\"method\":77}"), 0);
    assert_int_equal(say_whole(&g, agent), 1);
    expect_agent(&g.peer);
    end(&g);
}

/* -- Breaches --------------------------------------------------------------------------------- */

static void expect_breach(bool text, const char *bytes, size_t len, int error, const char *detail) {
    wst__greeting_t g;
    wst_hello_t hello;
    begin(&g, &(wst_hello_t){.size = sizeof(wst_hello_t)});
    assert_int_equal(wst__greeting_recv(&g, text, wst_slice_static(bytes, len), true), error);
    assert_string_equal(g.detail, detail);
    assert_int_equal(say_whole(&g, agent), error); /* for good */
    assert_false(g.heard);
    assert_false(pull(&g, &hello)); /* not a word any more */
    end(&g);
}

static void test_nothing_else_comes_first(void **state) {
    (void)state;
    static const char *const others[] = {
        "{\"method\":1,\"id\":2,\"dest\":\"a:1\"}",
        "{\"method\":2,\"id\":1}",
        "{\"method\":8,\"seq\":1}",
        "{\"method\":9,\"seq\":1}",
        "{\"method\":10,\"last\":0,\"error\":{\"code\":-32008}}",
    };
    static const char *const json[] = {
        "{\"method\":3,\"id\":1,\"data\":\"aGkA\"}",
        "{\"method\":5,\"id\":1,\"received\":0,\"credit\":1}",
        "{\"method\":6,\"id\":1,\"offset\":0}",
        "{\"method\":7,\"id\":1,\"error\":{\"code\":-32009}}",
        "{\"method\":11,\"id\":1,\"credit\":0,\"offset\":0}",
    };
    static const char *const binary[] = {"\x03\x01hi", "\x05\x01\x01\x01", "\x06\x01\x01",
                                         "\x07\x01\x89\xfa\x01", "\x0b\x01\x01\x01"};
    static const char detail[] = "the first message was not hello";
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        expect_breach(true, others[i], strlen(others[i]), WST_EPROTO, detail);
    for (size_t i = 0; i < 5; i++) {
        bool text = encoding == WST_ENCODING_JSON;
        const char *message = text ? json[i] : binary[i];
        expect_breach(text, message, strlen(message), WST_EPROTO, detail);
    }
}

static void test_malformed_hellos(void **state) {
    (void)state;
    static char too_long[WST_JSON_CONTROL_MAX + 2];
    memset(too_long, ' ', sizeof(too_long));
    memcpy(too_long, agent, sizeof(agent) - 1);
    expect_breach(true, "{\"method\":4,\"version\":1}", 24, WST_EPROTO,
                  "hello with a number missing or out of range");
    expect_breach(true, too_long, sizeof(too_long), WST_EMSGBIG,
                  encoding == WST_ENCODING_JSON ? "message too long for its method"
                                                : "message too long");
    if (encoding == WST_ENCODING_JSON)
        expect_breach(false, agent, sizeof(agent) - 1, WST_EPROTO,
                      "binary message where all are text");
}

/* -- Without memory --------------------------------------------------------------------------- */

/* Ours can be asked for again; theirs cannot be heard again. */
static void scenario(void *arg) {
    (void)arg;
    wst__greeting_t g;
    wst__outgoing_t out;
    wst__pool_init(&pool, &test_allocator);
    assert_int_equal(wst__greeting_init(&g, &pool, &(wst_hello_t){.size = sizeof(wst_hello_t)}), 0);
    int status = wst__greeting_begin(&g, encoding);
    if (status == 0) {
        status = wst__greeting_next(&g, &out);
        if (status == WST_ENOMEM)
            status = wst__greeting_next(&g, &out);
        assert_int_equal(status, 1);
        wst_slice_unref(out.payload);
        status = say_whole(&g, agent);
        if (status == 1)
            expect_agent(&g.peer);
    }
    assert_true(status == 1 || (status == WST_ENOMEM && test_alloc_failed()));
    wst__greeting_end(&g);
    wst__pool_free(&pool);
}

static void test_every_allocation_fails_in_turn(void **state) {
    (void)state;
    assert_true(test_alloc_each(scenario, NULL) >= 3);
}

/* A server that names the session waits for the agent's hello. */
static void test_held(void **state) {
    (void)state;
    wst__greeting_t g;
    wst_hello_t hello;
    const wst_hello_t ours = {.size = sizeof(ours)}, session = {.size = sizeof(session),
                                                                .max_frame = 2048,
                                                                .initial_credit = 5000,
                                                                .session = {1},
                                                                .secret = {2},
                                                                .grace_ms = 60000,
                                                                .resumed = true};
    begin(&g, &ours);
    wst__greeting_hold(&g);
    assert_false(pull(&g, &hello));
    assert_int_equal(say_whole(&g, agent), 1);
    assert_false(pull(&g, &hello));
    wst__greeting_name_session(&g, &session);
    assert_true(pull(&g, &hello));
    assert_true(hello.resumes && hello.has_session && hello.resumed);
    assert_int_equal(hello.session[0], 1);
    assert_int_equal(hello.secret[0], 2);
    assert_int_equal(hello.grace_ms, 60000);
    assert_int_equal(hello.max_frame, 2048); /* those of the session that goes on */
    assert_int_equal(hello.initial_credit, 5000);
    assert_int_equal(g.ours.secret[0], 0); /* wiped */
    assert_false(pull(&g, &hello));
    end(&g);
}

static void test_held_without_a_session(void **state) {
    (void)state;
    wst__greeting_t g;
    wst_hello_t hello;
    const wst_hello_t ours = {.size = sizeof(ours)};
    begin(&g, &ours);
    wst__greeting_hold(&g);
    assert_int_equal(say_whole(&g, agent), 1);
    wst__greeting_name_session(&g, NULL);
    assert_true(pull(&g, &hello));
    assert_false(hello.resumes || hello.has_session);
    end(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ours_goes_out_once_without_waiting),
        cmocka_unit_test(test_ours_says_what_it_was_given),
        cmocka_unit_test(test_numbers_out_of_range_are_refused),
        cmocka_unit_test(test_theirs_in_all_pieces),
        cmocka_unit_test(test_either_order),
        cmocka_unit_test(test_without_a_name),
        cmocka_unit_test(test_unknown_methods_may_come_before),
        cmocka_unit_test(test_nothing_else_comes_first),
        cmocka_unit_test(test_malformed_hellos),
        cmocka_unit_test(test_every_allocation_fails_in_turn),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_held_without_a_session),
    };
    int failures = cmocka_run_group_tests_name("binary", tests, NULL, NULL);
    encoding = WST_ENCODING_JSON;
    return failures + cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
