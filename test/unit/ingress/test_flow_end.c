/* SPDX-License-Identifier: MIT */
/* How a flow ends: its stream taken, broken or given up, in every state and inside every notice. */
#include "flow_rig.h"
#include "stream.h"

#include <stdio.h>
#include <string.h>

/* -- A stream that is taken ------------------------------------------------------------------- */

static void take(flow_rig_t *r, flow_rig_flow_t *f, fake_stream_t *site, wst_stream_t **stream) {
    flow_rig_open(r);
    flow_rig_uplink_t *u = flow_rig_uplink(r, "berlin", "", NULL);
    flow_rig_start(r, f, &flow_rig_plain);
    flow_rig_opened(u, site, "10.0.0.7");
    *stream = wst_flow_take(f->flow);
    flow_rig_expect(r, "open 1: / to host:22 by berlin at 10.0.0.7\n");
    assert_int_equal(wst__ingress_relaying(&r->ingress), 1);
}

static void test_taken(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    take(&r, &f, &site, &stream);
    wst__node_drain(&r.node, 100000);
    fake_stream_data(&site, "abc", 3);
    fake_stream_end(&site);
    const wst_slice_t hi = wst_slice_static("hi", 2);
    assert_int_equal(wst_stream_write(stream, &hi, 1), 0);
    wst_stream_read_start(stream, 0);
    assert_int_equal(wst_stream_shutdown(stream), 0);
    flow_rig_turns(&r, 5);
    assert_int_equal(f.gone, 0);
    assert_false(r.drained); /* it lasts until it is closed */
    wst_stream_close(stream, NULL);
    test_env_until_count(&r.env, &f.gone, 1);
    flow_rig_expect(&r, "close 1: 2 up, 3 down, ended by client\n");
    flow_rig_turns(&r, 2);
    assert_true(r.drained);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

static void test_taken_breaks(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    take(&r, &f, &site, &stream);
    fake_stream_break(&site, WST_ERESET);
    flow_rig_turns(&r, 3);
    wst_stream_close(stream, NULL);
    test_env_until_count(&r.env, &f.gone, 1);
    flow_rig_expect(&r, "close 1: 0 up, 0 down, WST_ERESET by agent\n");
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* A taken stream stays open when its flow is cancelled or the server closes. */
static void test_taken_outlives(void **state) {
    (void)state;
    for (int closes = 0; closes < 2; closes++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site;
        wst_stream_t *stream;
        take(&r, &f, &site, &stream);
        if (closes)
            wst__node_close(&r.node);
        else
            wst_flow_cancel(f.flow);
        flow_rig_turns(&r, 3);
        assert_false(site.closed);
        assert_int_equal(f.gone, closes);
        wst_stream_close(stream, NULL);
        flow_rig_turns(&r, 3);
        fake_stream_free(&site);
        flow_rig_close(&r);
    }
}

/* on_stream_close tells what a taken stream has moved, also when its flow was cancelled. */
static void test_taken_cancelled_figures(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    take(&r, &f, &site, &stream);
    const wst_slice_t hi = wst_slice_static("hi", 2);
    assert_int_equal(wst_stream_write(stream, &hi, 1), 0);
    flow_rig_turns(&r, 2);
    wst_flow_cancel(f.flow);
    wst_stream_close(stream, NULL);
    flow_rig_turns(&r, 3);
    fake_stream_free(&site);
    assert_string_equal(r.events, "close 1: 2 up, 0 down, WST_ECANCELLED by client\n");
    flow_rig_close(&r);
}

/* -- Cancelled, closed or broken, in every state ---------------------------------------------- */

enum { NEW, ASKING, CHOOSING, OPENING, REACHED, ESTABLISHED, RELAYING, STATES };

/* Brings a flow into a state. */
static void reach(flow_rig_t *r, flow_rig_flow_t *f, int state, fake_stream_t *site,
                  fake_stream_t *client) {
    flow_rig_open(r);
    for (int q = 0; q < 3; q++)
        r->asks[q] = true;
    r->holds[WST__ASK_CLIENT] = state == ASKING;
    r->holds[WST__ASK_CHOOSE] = state == CHOOSING;
    r->holds[WST__ASK_REACHED] = state == REACHED;
    flow_rig_uplink_t *u = flow_rig_uplink(r, "berlin", "", NULL);
    assert_int_equal(flow_rig_try(r, f, &flow_rig_plain), 0);
    if (state == NEW)
        return;
    flow_rig_turns(r, 6);
    if (state < REACHED)
        return;
    flow_rig_opened(u, site, "10.0.0.7");
    flow_rig_turns(r, 2);
    if (state == RELAYING) {
        assert_int_equal(fake_stream_open(client, r->env.ctx), 0);
        assert_int_equal(wst_flow_relay(f->flow, client->stream), 0);
    }
}

static void leave(flow_rig_t *r, int state, fake_stream_t *site, fake_stream_t *client) {
    flow_rig_turns(r, 5);
    if (state >= REACHED) {
        assert_true(site->closed && site->reset_reason != 0);
        fake_stream_free(site);
    }
    if (state == RELAYING) {
        assert_true(client->closed && client->reset_reason != 0);
        fake_stream_free(client);
    }
    flow_rig_close(r);
}

static void test_cancel_in_every_state(void **state) {
    (void)state;
    for (int s = NEW; s < STATES; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        reach(&r, &f, s, &site, &client);
        wst_flow_cancel(f.flow);
        assert_int_equal(wst__ingress_pending(&r.ingress) + wst__ingress_relaying(&r.ingress), 0);
        assert_int_equal(r.uplinks[0].cancelled, s == OPENING);
        flow_rig_turns(&r, 4);
        assert_int_equal(f.refused + f.gone, 0);
        assert_int_equal(strstr(r.events, "close 1: 0 up, 0 down, WST_ECANCELLED by client\n") !=
                             NULL,
                         s == RELAYING);
        leave(&r, s, &site, &client);
    }
}

static void test_close_in_every_state(void **state) {
    (void)state;
    for (int s = NEW; s < STATES; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        reach(&r, &f, s, &site, &client);
        wst__node_close(&r.node);
        assert_int_equal(f.refused + f.gone, 0); /* never from inside the call */
        flow_rig_turns(&r, 5);
        assert_int_equal(f.refused, s != RELAYING);
        assert_int_equal(f.gone, s == RELAYING);
        assert_int_equal(s == RELAYING ? f.info.status : f.code, WST_ECANCELLED);
        assert_null(strstr(r.events, "close")); /* a server that is closed tells nothing */
        assert_null(strstr(r.events, "refused"));
        leave(&r, s, &site, &client);
    }
}

/* -- Reviewed --------------------------------------------------------------------------------- */

/* What a review is shown, and answers. */
typedef struct review {
    const char *why; /* NULL: the flow may go on */
    size_t asked;
    wst_stream_info_t info; /* of the last question; without its texts */
    char destination[32], agent[32], address[32];
} review_t;

static const char *review(const wst_stream_info_t *info, void *user_data) {
    review_t *v = user_data;
    v->asked++;
    v->info = *info;
    snprintf(v->destination, sizeof(v->destination), "%s", info->destination);
    snprintf(v->agent, sizeof(v->agent), "%s", info->agent);
    snprintf(v->address, sizeof(v->address), "%s", info->address);
    return v->why;
}

/* A flow that the client's question has not been answered for is not shown: it is asked anew. */
static void test_review_in_every_state(void **state) {
    (void)state;
    for (int s = NEW; s < STATES; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        char why[] = "no such user";
        review_t stay = {0}, go = {.why = why};
        reach(&r, &f, s, &site, &client);
        r.events[0] = '\0';
        wst__ingress_review(&r.ingress, review, &stay);
        assert_int_equal(stay.asked, s >= CHOOSING);
        if (s != NEW) /* a turn would bring it into the next state */
            flow_rig_turns(&r, 2);
        assert_int_equal(f.refused + f.gone, 0);

        wst__ingress_review(&r.ingress, review, &go);
        memset(why, 'x', sizeof(why) - 1); /* it was copied */
        wst__ingress_review(&r.ingress, review, &go);
        assert_int_equal(go.asked, s >= CHOOSING); /* once is enough */
        assert_int_equal(f.refused + f.gone, 0);   /* never from inside the call */
        if (s < CHOOSING) {
            wst_flow_cancel(f.flow);
            leave(&r, s, &site, &client);
            continue;
        }
        assert_string_equal(go.destination, "host:22");
        assert_string_equal(go.agent, s >= OPENING ? "berlin" : "");
        assert_string_equal(go.address, s >= REACHED ? "10.0.0.7" : "");
        assert_int_equal(go.info.id, s == RELAYING);
        flow_rig_turns(&r, 5);
        assert_int_equal(f.refused, s != RELAYING);
        assert_int_equal(f.gone, s == RELAYING);
        assert_int_equal(s == RELAYING ? f.info.status : f.code, WST_EDENIED);
        if (s == RELAYING)
            flow_rig_expect(&r, "close 1: 0 up, 0 down, WST_EDENIED by server: no such user\n");
        else
            flow_rig_expect(&r, "refused: host:22: 403 No longer allowed: no such user\n");
        assert_int_equal(wst__ingress_pending(&r.ingress) + wst__ingress_relaying(&r.ingress), 0);
        assert_int_equal(r.uplinks[0].cancelled, s == OPENING);
        leave(&r, s, &site, &client);
    }
}

/* The owner of a taken stream gets the error, closes the stream, and so ends the flow. */
static void test_review_of_a_taken_stream(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    review_t v = {.why = "no such user"};
    take(&r, &f, &site, &stream);
    wst__ingress_review(&r.ingress, review, &v);
    flow_rig_turns(&r, 3);
    assert_int_equal(f.gone, 0);
    assert_int_equal(wst__stream_outcome(stream), WST_EDENIED);
    wst_stream_close(stream, NULL);
    test_env_until_count(&r.env, &f.gone, 1);
    assert_true(site.reset_reason != 0);
    flow_rig_expect(&r, "close 1: 0 up, 0 down, WST_EDENIED by server: no such user\n");
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* What has ended or been cancelled by itself by the time that the review takes effect. */
static void test_review_of_what_ends(void **state) {
    (void)state;
    for (int s = CHOOSING; s < STATES; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        review_t v = {.why = "no such user"};
        reach(&r, &f, s, &site, &client);
        wst__ingress_review(&r.ingress, review, &v);
        wst_flow_cancel(f.flow);
        flow_rig_turns(&r, 5);
        assert_int_equal(f.refused + f.gone, 0);
        assert_null(strstr(r.events, "refused"));
        leave(&r, s, &site, &client);
    }
}

static void test_review_then_close(void **state) {
    (void)state;
    for (int s = CHOOSING; s < STATES; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        review_t v = {.why = "no such user"};
        reach(&r, &f, s, &site, &client);
        wst__ingress_review(&r.ingress, review, &v);
        wst__node_close(&r.node);
        flow_rig_turns(&r, 5);
        assert_int_equal(f.refused + f.gone, 1);
        leave(&r, s, &site, &client);
    }
}

/* Nothing was asked about it: the review does not concern it. */
static void test_review_of_the_unasked(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    review_t v = {.why = "no such user"};
    wst_flow_options_t options = flow_rig_plain;
    options.unasked = true;
    flow_rig_open(&r);
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", NULL);
    flow_rig_start(&r, &f, &options);
    flow_rig_opened(u, &site, "10.0.0.7");
    wst__ingress_review(&r.ingress, review, &v);
    flow_rig_turns(&r, 3);
    assert_int_equal(v.asked, 0);
    assert_int_equal(f.refused, 0);
    wst_flow_cancel(f.flow);
    flow_rig_turns(&r, 3);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* It is ended without its reason. */
static void test_review_without_memory(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    review_t v = {.why = "no such user"};
    reach(&r, &f, RELAYING, &site, &client);
    r.events[0] = '\0';
    test_alloc_fail(1);
    wst__ingress_review(&r.ingress, review, &v);
    assert_true(test_alloc_failed());
    test_alloc_fail(0);
    flow_rig_turns(&r, 5);
    flow_rig_expect(&r, "close 1: 0 up, 0 down, WST_EDENIED by server: no longer allowed\n");
    leave(&r, RELAYING, &site, &client);
}

/* -- Broken ----------------------------------------------------------------------------------- */

/* The destination's connection breaks while somebody is asked about it, or before the front goes
 * on. */
static void test_breaks_before_the_relay(void **state) {
    (void)state;
    for (int s = REACHED; s <= ESTABLISHED; s++) {
        flow_rig_t r;
        flow_rig_flow_t f;
        fake_stream_t site, client;
        reach(&r, &f, s, &site, &client);
        fake_stream_break(&site, WST_ERESET);
        flow_rig_turns(&r, 3);
        assert_int_equal(f.refused, 1);
        assert_int_equal(f.code, WST_ERESET);
        leave(&r, s, &site, &client);
    }
}

/* The server is closed between on_established and the front's turn. */
static void test_relay_behind_close(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    reach(&r, &f, ESTABLISHED, &site, &client);
    assert_int_equal(fake_stream_open(&client, r.env.ctx), 0);
    wst__node_close(&r.node);
    int status = wst_flow_relay(f.flow, client.stream);
    assert_int_not_equal(status, 0);
    wst_stream_close(client.stream, NULL);
    flow_rig_turns(&r, 4);
    assert_int_equal(f.refused, 1);
    fake_stream_free(&client);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* wst_flow_get_info while the stream is pumped. */
static void test_info_of_now(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    wst_stream_info_t info = {.size = sizeof(info)};
    reach(&r, &f, RELAYING, &site, &client);
    fake_stream_data(&site, "down!", 5);
    flow_rig_turns(&r, 3);
    wst_flow_get_info(f.flow, &info);
    assert_int_equal(info.bytes_to_client, 5);
    wst_flow_cancel(f.flow);
    leave(&r, RELAYING, &site, &client);
}

/* -- Cancelled inside a notice ---------------------------------------------------------------- */

static wst__ingress_hooks_t noticed;

static flow_rig_flow_t *noticed_flow;

static void cancel_in_notice(void *owner, const wst_stream_info_t *info) {
    (void)owner, (void)info;
    wst_flow_t *flow = noticed_flow->flow;
    noticed_flow->flow = NULL;
    wst_flow_cancel(flow);
}

static void hook_notices(flow_rig_t *r, flow_rig_flow_t *f, bool open, bool close) {
    noticed = *r->ingress.hooks;
    noticed_flow = f;
    if (open)
        noticed.on_open = cancel_in_notice;
    if (close)
        noticed.on_close = cancel_in_notice;
    r->ingress.hooks = &noticed;
}

/* on_stream_close cancels the flow of a taken stream: no callback runs any more. */
static void test_cancel_in_close_notice_taken(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site;
    wst_stream_t *stream;
    take(&r, &f, &site, &stream);
    hook_notices(&r, &f, false, true);
    wst_stream_close(stream, NULL);
    flow_rig_turns(&r, 4);
    assert_int_equal(f.gone, 0);
    fake_stream_free(&site);
    flow_rig_close(&r);
}

/* on_stream_close cancels the flow of a pumped stream. */
static void test_cancel_in_close_notice_pumped(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    reach(&r, &f, RELAYING, &site, &client);
    hook_notices(&r, &f, false, true);
    fake_stream_end(&site);
    fake_stream_end(&client);
    flow_rig_turns(&r, 6);
    assert_null(f.flow);
    assert_int_equal(f.gone, 0); /* on_gone may not run behind wst_flow_cancel */
    fake_stream_free(&site);
    fake_stream_free(&client);
    flow_rig_close(&r);
}

/* on_stream_open cancels the flow inside wst_flow_relay. */
static void test_cancel_in_open_notice(void **state) {
    (void)state;
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    reach(&r, &f, ESTABLISHED, &site, &client);
    assert_int_equal(fake_stream_open(&client, r.env.ctx), 0);
    hook_notices(&r, &f, true, false);
    assert_int_equal(wst_flow_relay(f.flow, client.stream), 0);
    leave(&r, RELAYING, &site, &client);
}

/* -- No memory -------------------------------------------------------------------------------- */

/* Fails the n-th allocation from the first call to the relay; false: there were not so many. */
static bool run_without_memory(size_t n) {
    static const char *const labels[] = {"eu", NULL};
    flow_rig_t r;
    flow_rig_flow_t f;
    fake_stream_t site, client;
    wst_flow_options_t options = flow_rig_plain;
    options.labels = labels;
    flow_rig_open(&r);
    r.asks[0] = r.asks[1] = r.asks[2] = true;
    flow_rig_uplink_t *u = flow_rig_uplink(&r, "berlin", "", labels);
    assert_int_equal(fake_stream_open(&client, r.env.ctx), 0);
    assert_int_equal(fake_stream_open(&site, r.env.ctx), 0);
    test_alloc_fail(n);
    bool begun = flow_rig_try(&r, &f, &options) == 0;
    flow_rig_turns(&r, 6);
    bool asked = u->asked;
    if (asked)
        flow_rig_opened_as(u, &site, "10.0.0.7");
    flow_rig_turns(&r, 2);
    bool relays = f.established > 0 && f.flow != NULL && wst_flow_relay(f.flow, client.stream) == 0;
    bool failed = test_alloc_failed();
    test_alloc_fail(0);
    assert_true(!begun || f.refused == 1 || f.established == 1);
    assert_true(relays || failed); /* a table does without its growth */
    if (f.flow != NULL)
        wst_flow_cancel(f.flow);
    if (!relays)
        wst_stream_close(client.stream, NULL);
    if (!asked)
        wst_stream_close(site.stream, NULL);
    flow_rig_turns(&r, 5);
    fake_stream_free(&site);
    fake_stream_free(&client);
    flow_rig_close(&r);
    return failed;
}

static void test_no_memory(void **state) {
    (void)state;
    size_t n = 1;
    while (run_without_memory(n))
        n++;
    assert_true(n > 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_taken_breaks),
        cmocka_unit_test(test_taken_outlives),
        cmocka_unit_test(test_taken_cancelled_figures),
        cmocka_unit_test(test_cancel_in_every_state),
        cmocka_unit_test(test_close_in_every_state),
        cmocka_unit_test(test_review_in_every_state),
        cmocka_unit_test(test_review_of_a_taken_stream),
        cmocka_unit_test(test_review_of_what_ends),
        cmocka_unit_test(test_review_then_close),
        cmocka_unit_test(test_review_of_the_unasked),
        cmocka_unit_test(test_review_without_memory),
        cmocka_unit_test(test_breaks_before_the_relay),
        cmocka_unit_test(test_relay_behind_close),
        cmocka_unit_test(test_info_of_now),
        cmocka_unit_test(test_cancel_in_close_notice_taken),
        cmocka_unit_test(test_cancel_in_close_notice_pumped),
        cmocka_unit_test(test_cancel_in_open_notice),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
