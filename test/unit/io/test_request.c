/* SPDX-License-Identifier: MIT */
/* Questions to the embedder: each kind of answer, given inside the callback, later, twice, too
 * late; askers that go; deadlines. */
#include "fake_stream.h"
#include "support.h"

#include <stdio.h>

#include "request.h"

typedef struct world {
    uv_loop_t loop;
    wst_ctx_t *ctx;
    fake_stream_t fake;
    wst_request_t *request;
    wst__ask_t ask;
    bool busy; /* no callback may run now */

    int answers, gones;
    wst__answer_t answer;
    char reason[256], fields[64], user[200], error[64], labels[64];
    uint8_t credential[WST__CREDENTIAL_LEN];
    void (*in_gone)(struct world *w, wst_request_t *request);
} world_t;

static void on_answer(const wst__answer_t *answer, void *user_data) {
    world_t *w = user_data;
    assert_false(w->busy);
    w->answers++;
    w->answer = *answer;
    snprintf(w->user, sizeof(w->user), "%s", answer->user);
    if (answer->reason != NULL)
        snprintf(w->reason, sizeof(w->reason), "%s", answer->reason);
    if (answer->fields != NULL)
        snprintf(w->fields, sizeof(w->fields), "%s", answer->fields);
    if (answer->error != NULL)
        snprintf(w->error, sizeof(w->error), "%s", answer->error);
    memcpy(w->credential, answer->credential, sizeof(w->credential));
    w->labels[0] = '\0';
    for (const char *const *l = answer->labels; l != NULL && *l != NULL; l++)
        snprintf(w->labels + strlen(w->labels), sizeof(w->labels) - strlen(w->labels), "%s ", *l);
    w->request = NULL;
}

static void on_gone(wst_request_t *request, void *user_data) {
    world_t *w = user_data;
    assert_false(w->busy);
    assert_int_equal(w->answers, 0);
    assert_null(wst_request_head(request));
    assert_string_equal(wst_request_destination(request), "a.test:22");
    w->gones++;
    if (w->in_gone != NULL)
        w->in_gone(w, request);
}

static const wst_http_head_t head;

static bool world_init(world_t *w) {
    memset(w, 0, sizeof(*w));
    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->ask = (wst__ask_t){.head = &head,
                          .destination = "a.test:22",
                          .peer = "192.0.2.7:4711",
                          .on_answer = on_answer,
                          .user_data = w};
    const wst_ctx_options_t options = {.size = sizeof(options), .allocator = &test_allocator};
    if (wst_ctx_new(&w->ctx, &w->loop, &options) != 0)
        return false;
    return fake_stream_open(&w->fake, w->ctx) == 0;
}

static bool world_ask(world_t *w) {
    int status = wst__request_new(&w->request, w->ctx, &w->ask);
    assert_true(status == 0 || status == WST_ENOMEM);
    return status == 0;
}

static void world_start(world_t *w) {
    assert_true(world_init(w));
    assert_true(world_ask(w));
    wst_request_on_gone(w->request, on_gone, w);
}

static void turns(world_t *w, int n) {
    w->busy = false;
    for (int i = 0; i < n; i++)
        uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void pass(world_t *w, uint64_t ms) {
    wst__deadlines_run(&w->ctx->deadlines, wst__now(w->ctx) + ms);
}

static void world_free(world_t *w) {
    if (w->ctx != NULL) {
        if (w->fake.stream != NULL && !w->fake.closed)
            wst_stream_close(w->fake.stream, NULL);
        turns(w, 3);
        wst_ctx_stats_t stats = {.size = sizeof(stats)};
        wst_ctx_get_stats(w->ctx, &stats);
        assert_int_equal(stats.handles, 0);
        assert_int_equal(stats.chunks, 0);
        wst_ctx_close(w->ctx, NULL);
    }
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    if (w->fake.gone)
        fake_stream_free(&w->fake);
    assert_int_equal(test_alloc_live(), 0);
}

/* -- Settled right after the callback ---------------------------------------------------------- */

static void test_settle_answered(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    wst_request_t *request = w.request;
    w.busy = true;
    wst_request_allow(request);
    w.busy = false;
    wst__request_settle(request);
    assert_int_equal(w.answers, 1);
    assert_int_equal(w.answer.kind, WST__ALLOWED);
    turns(&w, 3);
    assert_int_equal(w.answers, 1);
    world_free(&w);
}

static void test_settle_unanswered(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    wst__request_settle(w.request);
    turns(&w, 3);
    assert_int_equal(w.answers, 0);
    wst_request_allow(w.request);
    assert_int_equal(w.answers, 0);
    turns(&w, 1);
    assert_int_equal(w.answers, 1);
    world_free(&w);
}

static void test_settle_held_back(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    wst_request_t *request = w.request;
    wst_request_delay(request, 50);
    wst_request_deny(request, 403, NULL, NULL);
    wst__request_settle(request);
    turns(&w, 3);
    assert_int_equal(w.answers, 0);
    pass(&w, 50);
    turns(&w, 1);
    assert_int_equal(w.answers, 1);
    world_free(&w);
}

static void test_settle_cancelled(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    wst_request_t *request = w.request;
    wst_request_allow(request);
    wst__request_cancel(request);
    wst__request_settle(request);
    turns(&w, 3);
    assert_int_equal(w.answers, 0);
    world_free(&w);
}

/* -- Answers ----------------------------------------------------------------------------------- */

static void test_question(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    assert_ptr_equal(wst_request_head(w.request), &head);
    assert_string_equal(wst_request_destination(w.request), "a.test:22");
    assert_string_equal(wst_request_peer(w.request), "192.0.2.7:4711");
    assert_string_equal(wst_request_user(w.request), "");
    wst_request_allow(w.request);
    turns(&w, 2);
    /* Nothing but who is to be told is needed; a user known already is passed on. */
    w.ask.head = NULL;
    w.ask.destination = w.ask.peer = NULL;
    w.ask.user = "ann";
    assert_true(world_ask(&w));
    assert_null(wst_request_head(w.request));
    assert_string_equal(wst_request_destination(w.request), "");
    assert_string_equal(wst_request_peer(w.request), "");
    assert_string_equal(wst_request_user(w.request), "ann");
    wst_request_allow(w.request);
    turns(&w, 2);
    assert_string_equal(w.user, "ann");
    world_free(&w);
}

enum {
    ALLOW,
    ALLOW_WITH,
    ALLOW_WITH_NONE,
    DENY,
    DENY_BARE,
    CHOOSE,
    CHOOSE_NONE,
    CONNECT,
    CONNECT_ERROR,
    KINDS
};

static void answer(world_t *w, wst_request_t *r, int kind) {
    switch (kind) {
    case ALLOW:
        wst_request_allow(r);
        break;
    case ALLOW_WITH:
    case ALLOW_WITH_NONE:
        wst_request_allow_with(r, kind == ALLOW_WITH ? "A: b\r\n" : NULL);
        break;
    case DENY:
        wst_request_deny(r, 407, "who are you", "Proxy-Authenticate: Basic\r\n");
        break;
    case DENY_BARE:
        wst_request_deny(r, 403, NULL, NULL);
        break;
    case CHOOSE:
    case CHOOSE_NONE:
        wst_request_choose(r, kind == CHOOSE ? (wst_remote_t *)(void *)w : NULL);
        break;
    case CONNECT:
        wst_request_connected(r, 0, w->fake.stream);
        break;
    default:
        wst_request_connected(r, UV_ECONNREFUSED, NULL);
        break;
    }
}

static void check_answer(const world_t *w, int kind) {
    static const wst__answer_kind_t kinds[] = {WST__ALLOWED, WST__ALLOWED,   WST__ALLOWED,
                                               WST__DENIED,  WST__DENIED,    WST__CHOSEN,
                                               WST__CHOSEN,  WST__CONNECTED, WST__CONNECTED};
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->gones, 0);
    assert_int_equal(w->answer.kind, kinds[kind]);
    int status = kind == DENY            ? 407
                 : kind == DENY_BARE     ? 403
                 : kind == CONNECT_ERROR ? UV_ECONNREFUSED
                                         : 0;
    assert_int_equal(w->answer.status, status);
    assert_string_equal(w->reason, kind == DENY ? "who are you" : "");
    assert_string_equal(w->fields, kind == DENY         ? "Proxy-Authenticate: Basic\r\n"
                                   : kind == ALLOW_WITH ? "A: b\r\n"
                                                        : "");
    assert_ptr_equal(w->answer.remote, kind == CHOOSE ? (const void *)w : NULL);
    assert_ptr_equal(w->answer.stream, kind == CONNECT ? w->fake.stream : NULL);
    assert_string_equal(w->user, "bob");
}

/* The answer is told once, from the loop, whatever else is called before that. */
static void test_answers(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int late = 0; late < 2; late++) {
            world_t w;
            world_start(&w);
            if (late)
                turns(&w, 5);
            w.busy = true;
            wst_request_set_user(w.request, "bob");
            answer(&w, w.request, kind);
            wst_request_deny(w.request, 500, "again", "X: y\r\n");
            wst_request_allow(w.request);
            assert_int_equal(w.answers, 0);
            turns(&w, 2);
            check_answer(&w, kind);
            pass(&w, 60000);
            turns(&w, 2);
            assert_int_equal(w.answers, 1);
            assert_int_equal(w.gones, 0);
            assert_false(w.fake.closed);
            world_free(&w);
        }
    }
}

/* A second stream is not lost. */
static void test_connected_twice(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    wst_request_allow(w.request);
    wst_request_connected(w.request, 0, w.fake.stream);
    assert_true(w.fake.closed);
    turns(&w, 3);
    assert_int_equal(w.answers, 1);
    assert_int_equal(w.answer.kind, WST__ALLOWED);
    world_free(&w);
}

static void test_cuts(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    char text[300];
    memset(text, 'x', sizeof(text));
    memcpy(text + 126, "\xc3\xbc", 2); /* over the end of a user's name */
    memcpy(text + 199, "\xe2\x82\xac", 3);
    text[sizeof(text) - 1] = '\0';
    wst_request_set_user(w.request, text);
    assert_int_equal(strlen(wst_request_user(w.request)), 126);
    wst_request_deny(w.request, 403, text, NULL);
    turns(&w, 2);
    assert_int_equal(strlen(w.reason), 199);
    assert_int_equal(strlen(w.user), 126);
    world_free(&w);
}

/* A kind of refusal is copied if it has the form of one; the credential comes with the answer. */
static void test_deny_with(void **state) {
    (void)state;
    static const struct {
        const char *error;
        bool kept;
    } cases[] = {
        {"destination_ip_prohibited", true},
        {"a2345678901234567890123456789012", true},
        {"a23456789012345678901234567890123", false},
        {"", false},
        {"9a", false},
        {"a; error=b", false},
        {"A", false},
        {NULL, false},
    };
    static const uint8_t zeros[32], hash[32] = "hash";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_t w;
        world_start(&w);
        if (i > 0)
            wst_request_set_credential(w.request, hash);
        char error[64] = "", reason[] = "why", fields[] = "A: b\r\n";
        wst_request_denial_t denial = {
            .size = sizeof(denial), .status = 418, .reason = reason, .fields = fields};
        if (cases[i].error != NULL) {
            snprintf(error, sizeof(error), "%s", cases[i].error);
            denial.error = error;
        }
        wst_request_deny_with(w.request, &denial);
        error[0] = reason[0] = fields[0] = '!';
        turns(&w, 2);
        assert_int_equal(w.answer.kind, WST__DENIED);
        assert_int_equal(w.answer.status, 418);
        assert_string_equal(w.reason, "why");
        assert_string_equal(w.fields, "A: b\r\n");
        assert_string_equal(w.error, cases[i].kept ? cases[i].error : "");
        assert_memory_equal(w.credential, i > 0 ? hash : zeros, sizeof(hash));
        world_free(&w);
    }
}

/* Labels come with the answer; the last ones that are set. */
static void test_labels(void **state) {
    (void)state;
    static const char *const first[] = {"first", NULL}, *const second[] = {"eu", "lab", NULL};
    world_t w;
    world_start(&w);
    wst_request_set_labels(w.request, first);
    wst_request_set_labels(w.request, second);
    wst_request_allow(w.request);
    turns(&w, 2);
    assert_string_equal(w.labels, "eu lab ");
    assert_true(world_ask(&w));
    wst_request_set_labels(w.request, first);
    wst_request_set_labels(w.request, NULL);
    wst_request_allow(w.request);
    turns(&w, 2);
    assert_string_equal(w.labels, "");
    world_free(&w);
}

/* An agent is not let in without the labels that it was given. */
static void test_labels_lost(void **state) {
    (void)state;
    static const char *const labels[] = {"eu", NULL};
    for (int set_again = 0; set_again < 2; set_again++) {
        world_t w;
        world_start(&w);
        test_alloc_fail(1);
        wst_request_set_labels(w.request, labels);
        assert_true(test_alloc_failed());
        if (set_again)
            wst_request_set_labels(w.request, labels);
        wst_request_allow_with(w.request, "A: b\r\n");
        turns(&w, 2);
        assert_int_equal(w.answer.kind, set_again ? WST__ALLOWED : WST__DENIED);
        assert_int_equal(w.answer.status, set_again ? 0 : 500);
        world_free(&w);
    }
}

/* --- the asker goes --- */

static void test_cancel(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    turns(&w, 2);
    w.busy = true;
    wst__request_cancel(w.request);
    turns(&w, 2);
    assert_int_equal(w.gones, 1);
    assert_int_equal(w.answers, 0);
    world_free(&w);
    /* Nobody who wants to know. */
    world_start(&w);
    wst_request_on_gone(w.request, NULL, NULL);
    wst__request_cancel(w.request);
    turns(&w, 2);
    assert_int_equal(w.gones, 0);
    world_free(&w);
}

/* Cancelled inside the very callback that answers: before the answer, and behind it. */
static void test_cancel_and_answer(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        for (int behind = 0; behind < 2; behind++) {
            world_t w;
            world_start(&w);
            if (!behind)
                wst__request_cancel(w.request);
            answer(&w, w.request, kind);
            if (behind)
                wst__request_cancel(w.request);
            turns(&w, 3);
            assert_int_equal(w.answers, 0);
            assert_int_equal(w.gones, !behind); /* who has answered expects nothing more */
            assert_int_equal(w.fake.closed, kind == CONNECT);
            world_free(&w);
        }
    }
}

static void answer_in_gone(world_t *w, wst_request_t *request) {
    answer(w, request, CONNECT);
}

static void cancel_in_gone(world_t *w, wst_request_t *request) {
    (void)w;
    wst__request_cancel(request);
}

/* In on_gone it is too late for an answer. */
static void test_answer_in_gone(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        world_t w;
        world_start(&w);
        w.in_gone = answer_in_gone;
        if (i == 0)
            wst__request_cancel(w.request);
        else
            pass(&w, 10000);
        turns(&w, 3);
        assert_int_equal(w.gones, 1);
        assert_int_equal(w.answers, i);
        assert_true(w.fake.closed);
        world_free(&w);
    }
}

/* --- the deadline --- */

static void test_deadline(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        world_t w;
        assert_true(world_init(&w));
        w.ask.timeout_ms = i % 2 == 0 ? 0 : 500;
        assert_true(world_ask(&w));
        if (i < 2)
            wst_request_on_gone(w.request, on_gone, &w);
        pass(&w, i % 2 == 0 ? 9900 : 490);
        turns(&w, 2);
        assert_int_equal(w.gones + w.answers, 0);
        pass(&w, i % 2 == 0 ? 10000 : 500);
        assert_int_equal(w.gones, i < 2);
        assert_int_equal(w.answers, 0);
        turns(&w, 2);
        assert_int_equal(w.answers, 1);
        assert_int_equal(w.answer.kind, WST__UNANSWERED);
        world_free(&w);
        assert_int_equal(w.gones, i < 2);
    }
}

/* The asker goes when the deadline has passed, before it was told of it, or inside on_gone. */
static void test_deadline_and_cancel(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        world_t w;
        world_start(&w);
        w.in_gone = i == 0 ? cancel_in_gone : NULL;
        pass(&w, 10000);
        if (i == 1)
            wst__request_cancel(w.request);
        turns(&w, 3);
        assert_int_equal(w.gones, 1);
        assert_int_equal(w.answers, 0);
        world_free(&w);
    }
}

/* --- memory --- */

static void scenario(void *arg) {
    world_t w;
    if (world_init(&w) && world_ask(&w)) {
        const int *kind = arg;
        answer(&w, w.request, *kind);
        turns(&w, 3);
        assert_int_equal(w.answers, 1);
        /* An answer whose fields are lost is none that may pass. */
        if (test_alloc_failed() && *kind == ALLOW_WITH) {
            assert_int_equal(w.answer.kind, WST__DENIED);
            assert_int_equal(w.answer.status, 500);
        }
    }
    world_free(&w);
}

static void test_no_memory(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        assert_true(test_alloc_each(scenario, &kind) >=
                    (kind == ALLOW_WITH || kind == DENY ? 6 : 5));
}

/* Whichever way credentials in clear come; they go with the asker. */
static void test_basic(void **state) {
    (void)state;
    static const char text[] = "CONNECT a.test:22 HTTP/1.1\r\n"
                               "Proxy-Authorization: Basic YWxpY2U6eA==\r\n\r\n";
    const wst_auth_basic_t given = {.user = "bob", .password = "y"};
    wst_auth_basic_t login;
    wst_http_head_t with;
    size_t scanned = 0;
    world_t w;
    assert_true(wst_http_parse_request(&with, text, sizeof(text) - 1, &scanned, NULL) > 0);
    for (int way = 0; way < 3; way++) {
        assert_true(world_init(&w));
        w.ask.head = way == 0 ? &with : NULL;
        w.ask.login = way == 1 ? &given : NULL;
        assert_int_equal(wst__request_new(&w.request, w.ctx, &w.ask), 0);
        assert_int_equal(wst_request_basic(w.request, &login), way < 2);
        if (way < 2) {
            assert_string_equal(login.user, way == 0 ? "alice" : "bob");
            assert_string_equal(login.password, way == 0 ? "x" : "y");
        }
        wst_request_on_gone(w.request, on_gone, &w);
        wst__request_cancel(w.request);
        assert_false(wst_request_basic(w.request, &login));
        turns(&w, 2);
        assert_int_equal(w.gones, 1);
        world_free(&w);
    }
}

/* Held back: an answer of any kind takes effect in its time, the deadline notwithstanding. */
static void test_delay(void **state) {
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        world_t w;
        assert_true(world_init(&w));
        w.ask.timeout_ms = 1000;
        assert_true(world_ask(&w));
        wst_request_on_gone(w.request, on_gone, &w);
        wst_request_delay(w.request, 100);
        wst_request_delay(w.request, 5000); /* the last one counts */
        if (kind == 0)
            wst_request_allow(w.request);
        else
            wst_request_deny(w.request, 407, "Wrong", "X: y\r\n");
        turns(&w, 3);
        pass(&w, 4900);
        turns(&w, 3);
        assert_int_equal(w.answers, 0);
        if (kind < 2) {
            pass(&w, 5001);
            turns(&w, 3);
            assert_int_equal(w.answers, 1);
            assert_int_equal(w.answer.kind, kind == 0 ? WST__ALLOWED : WST__DENIED);
            assert_string_equal(w.fields, kind == 0 ? "" : "X: y\r\n");
        } else { /* whoever leaves before that learns nothing */
            wst__request_cancel(w.request);
            pass(&w, 5001);
            turns(&w, 3);
            assert_int_equal(w.answers, 0);
        }
        assert_int_equal(w.gones, 0);
        world_free(&w);
    }
}

/* None at all is held back, too: its time must not tell that a guess was delayed. */
static void test_delay_unanswered(void **state) {
    (void)state;
    for (int cancels = 0; cancels < 2; cancels++) {
        world_t w;
        assert_true(world_init(&w));
        w.ask.timeout_ms = 1000;
        assert_true(world_ask(&w));
        wst_request_delay(w.request, 5000);
        pass(&w, 1001);
        turns(&w, 3);
        wst_request_allow(w.request); /* too late */
        pass(&w, 4900);
        turns(&w, 3);
        assert_int_equal(w.answers, 0);
        if (cancels)
            wst__request_cancel(w.request);
        pass(&w, 5001);
        turns(&w, 3);
        assert_int_equal(w.answers, cancels ? 0 : 1);
        if (!cancels)
            assert_int_equal(w.answer.kind, WST__UNANSWERED);
        world_free(&w);
    }
}

/* A stream that is the answer goes with its asker; time that has passed already is none; a delay
 * has a bound. */
static void test_odd_delays(void **state) {
    (void)state;
    world_t w;
    world_start(&w);
    wst_request_delay(w.request, 5000);
    wst_request_connected(w.request, 0, w.fake.stream);
    wst__request_cancel(w.request);
    turns(&w, 3);
    assert_true(w.fake.gone);
    assert_int_equal(w.answers, 0);
    w.fake.stream = NULL;
    world_free(&w);

    world_start(&w);
    wst_request_delay(w.request, 0);
    wst_request_allow(w.request);
    turns(&w, 2);
    assert_int_equal(w.answers, 1);
    world_free(&w);

    world_start(&w);
    wst_request_delay(w.request, UINT64_MAX);
    wst_request_allow(w.request);
    turns(&w, 2);
    pass(&w, 60001);
    turns(&w, 2);
    assert_int_equal(w.answers, 1);
    world_free(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settle_answered),
        cmocka_unit_test(test_settle_unanswered),
        cmocka_unit_test(test_settle_held_back),
        cmocka_unit_test(test_settle_cancelled),
        cmocka_unit_test(test_question),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_connected_twice),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_labels_lost),
        cmocka_unit_test(test_deny_with),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_and_answer),
        cmocka_unit_test(test_answer_in_gone),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_deadline_and_cancel),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_basic),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_delay_unanswered),
        cmocka_unit_test(test_odd_delays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
