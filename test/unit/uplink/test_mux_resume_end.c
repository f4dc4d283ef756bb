/* SPDX-License-Identifier: MIT */
/* What ends a session that outlives its connection: time, an end, a bye; and what does not. */
#include "resume_rig.h"
#include "session.h"

#include <wstunnel/error.h>

static void test_grace(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    resume_rig_cut(&rig, false);
    mux_rig_pass(&rig, RESUME_GRACE_MS - 2000);
    assert_int_equal(rig.client.downs + rig.server.downs, 0);
    mux_rig_pass(&rig, RESUME_GRACE_MS + 1);
    assert_int_equal(rig.client.downs, 1);
    assert_int_equal(rig.server.downs, 1);
    assert_int_equal(rig.server.error, rig.server.loss);
    assert_int_equal(rig.client.probe.error, WST_ELOST);
    assert_int_equal(rig.server.probe.error, WST_ELOST);
    assert_null(resume_sid(&rig.server));
    assert_false(resume_is_suspended(&rig.server));
    assert_int_equal(resume_can_open(&rig.server), WST_ELOST);
    mux_rig_turns(&rig, 10);
    mux_rig_pass(&rig, 10 * RESUME_GRACE_MS);
    mux_rig_free(&rig);
}

/* Without streams there is less to wait for. */
static void test_grace_of_an_idle_session(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    mux_rig_resumes(&rig, RESUME_GRACE_MS);
    rig.server.options.idle_grace_ms = 15000;
    resume_rig_start(&rig, false);
    resume_rig_cut(&rig, false);
    assert_int_equal(rig.server.grace_ms, 15000);
    assert_int_equal(rig.client.grace_ms, RESUME_GRACE_MS);
    mux_rig_pass(&rig, 15001);
    assert_int_equal(rig.server.downs, 1);
    assert_int_equal(rig.client.downs, 0);
    mux_rig_free(&rig);
}

static void test_hasten(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    const wst__uplink_resume_ops_t *ops = rig.server.uplink->ops->resume;
    ops->hasten(rig.server.uplink, 5000); /* not suspended: no effect */
    mux_rig_pass(&rig, 6000);
    resume_rig_expect_well(&rig);
    resume_rig_cut(&rig, false);
    ops->hasten(rig.server.uplink, RESUME_GRACE_MS + 5000); /* never longer */
    ops->hasten(rig.server.uplink, 5000);
    ops->hasten(rig.server.uplink, 9000);
    mux_rig_pass(&rig, 4000);
    resume_rig_expect_well(&rig);
    mux_rig_pass(&rig, 5001);
    assert_int_equal(rig.server.downs, 1);
    assert_int_equal(rig.client.downs, 0);
    mux_rig_free(&rig);
}

static void test_end_in_the_outage(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        mux_side_t *side = i & 1 ? &rig.client : &rig.server;
        resume_rig_cut(&rig, false);
        if (i & 2)
            resume_end_at_once(side);
        else
            mux_side_end(side, 1001, "drained", false);
        assert_int_equal(side->downs, 0); /* later, from the loop */
        assert_int_equal(side->probe.errors, i & 2 ? 1 : 0);
        assert_null(resume_sid(side));
        assert_int_equal(resume_can_open(side), WST_ELOST);
        mux_rig_until(&rig, &side->downs, 1);
        assert_int_equal(side->error, 0);
        assert_int_equal(side->probe.error, WST_ELOST);
        mux_rig_turns(&rig, 5);
        assert_int_equal(side->downs, 1);
        mux_rig_free(&rig);
    }
}

static void test_close_in_the_outage(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        mux_side_t *side = i == 0 ? &rig.client : &rig.server;
        resume_rig_cut(&rig, false);
        if (i == 0)
            mux_side_end(side, 1000, "that was it", false); /* and at once: */
        mux_side_close(side);
        mux_rig_until(&rig, &side->closed, 1);
        assert_int_equal(side->downs, 0);
        assert_int_equal(side->probe.error, WST_ELOST);
        mux_rig_free(&rig);
    }
}

/* An end is final, whatever becomes of the close frame: the far side has heard bye. */
static void test_bye(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        mux_side_t *side = i & 1 ? &rig.client : &rig.server, *other = mux_rig_other(side);
        if (i & 4)
            mux_side_close(side);
        else if (i & 2)
            resume_end_at_once(side);
        else
            mux_side_end(side, 1001, "drained", false);
        mux_rig_until(&rig, &other->downs, 1);
        assert_int_equal(other->suspensions, 0);
        assert_int_equal(other->probe.error, WST_ELOST);
        assert_int_equal(other->probe.errors, 1);
        if ((i & 4) == 0) {
            assert_int_equal(other->error, 0);
            assert_string_equal(other->detail, "closed by the peer: 1001 drained");
            mux_rig_until(&rig, &side->downs, 1);
            assert_int_equal(side->error, 0);
            assert_int_equal(side->probe.error, WST_ELOST);
        }
        mux_rig_free(&rig);
    }
}

/* A peer that says bye and does not close. */
static void test_bye_without_a_close(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    wst__session_bye(mux_side_session(&rig.server), WST_EGOAWAY, "off");
    mux_rig_until(&rig, &rig.client.probe.errors, 1);
    assert_int_equal(rig.client.probe.error, WST_ELOST);
    assert_null(resume_sid(&rig.client));
    assert_int_equal(resume_can_open(&rig.client), WST_ELOST);
    mux_rig_turns(&rig, 20);
    assert_int_equal(rig.client.downs, 0);
    mux_rig_pass(&rig, 10000);
    assert_int_equal(rig.client.downs, 1);
    mux_rig_free(&rig);
}

/* A peer that breaks the rules has no session any more, and is told by a bye. */
static void test_breach(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    wst_slice_t slice;
    assert_int_equal(wst_slice_copy(&slice, rig.ctx, "nonsense", 8), 0);
    rig.busy++;
    assert_true(wst_websocket_send(mux_side_websocket(&rig.client), true, slice) >= 0);
    rig.busy--;
    mux_rig_until(&rig, &rig.server.probe.errors, 1);
    assert_int_equal(rig.server.probe.error, WST_ELOST);
    assert_null(resume_sid(&rig.server));
    mux_rig_until(&rig, &rig.server.downs, 1);
    assert_int_equal(rig.server.error, WST_EPROTO);
    assert_int_equal(rig.server.suspensions, 0);
    mux_rig_until(&rig, &rig.client.downs, 1); /* by bye: any middlebox can send a close frame */
    assert_int_equal(rig.client.suspensions, 0);
    assert_int_equal(rig.client.probe.error, WST_ELOST);
    assert_non_null(strstr(rig.client.detail, "1002"));
    mux_attempt_t *a = mux_rig_attempt(&rig);
    mux_rig_until(&rig, &a->client.ups, 1);
    assert_false(a->client.hello.resumed);
    mux_rig_free(&rig);
}

/* A close frame that no bye precedes ends the connection only. */
static void test_close_frame(void **state) {
    (void)state;
    static const int codes[] = {1000, 1001, 1002, 1008, 1011, 1012, 1013};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        wst_websocket_end(mux_side_websocket(i % 2 == 0 ? &rig.client : &rig.server), codes[i],
                          "reload");
        mux_rig_until(&rig, &rig.client.suspensions, 1);
        mux_rig_until(&rig, &rig.server.suspensions, 1);
        mux_rig_resume(&rig);
        resume_rig_expect_alive(&rig);
        mux_rig_free(&rig);
    }
}

/* Silence is no end either. */
static void test_dead(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    wst_websocket_read_stop(mux_side_websocket(&rig.client));
    wst_websocket_read_stop(mux_side_websocket(&rig.server));
    for (uint64_t ms = 15000; rig.client.suspensions == 0 && ms <= 60000; ms += 15000) {
        mux_rig_pass(&rig, ms);
        mux_rig_turns(&rig, 5);
    }
    assert_int_equal(rig.client.suspensions, 1);
    assert_int_equal(rig.server.suspensions, 1);
    assert_int_equal(rig.client.loss, WST_ETIMEOUT);
    mux_rig_resume(&rig);
    resume_rig_expect_alive(&rig);
    mux_rig_free(&rig);
}

/* What takes no new streams may still finish what it has, by another connection. */
static void test_goaway(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        mux_side_t *side = i & 1 ? &rig.client : &rig.server, *other = mux_rig_other(side);
        if (i & 2)
            resume_rig_cut(&rig, false);
        mux_side_goaway(side);
        if ((i & 2) == 0) {
            mux_rig_until(&rig, &other->goaways, 1);
            resume_rig_cut(&rig, false);
        }
        for (int n = 0; n < 2; n++) {
            mux_rig_resume(&rig);
            resume_rig_expect_alive(&rig);
            assert_int_equal(other->goaways, 1);
            assert_int_equal(resume_can_open(other), WST_EGOAWAY);
            resume_rig_cut(&rig, false);
        }
        mux_rig_free(&rig);
    }
}

/* A side to which no other connection can come has nobody to wait for. */
static void test_alone(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        mux_side_t *side = i == 0 ? &rig.client : &rig.server, *other = mux_rig_other(side);
        side->alone = true;
        mux_rig_cut(&rig, false);
        mux_rig_until(&rig, &side->downs, 1);
        assert_int_equal(side->suspensions, 0);
        assert_int_equal(side->probe.error, WST_ELOST);
        mux_rig_until(&rig, &other->suspensions, 1);
        mux_rig_free(&rig);
    }
}

/* The side whose `data` it is ends the attempt when the other one has said hello. */
static void end_in_claim(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    const mux_attempt_t *a = rig->attempts[0];
    wst__uplink_t *uplink = side == &rig->client ? a->client.uplink : a->server.uplink;
    if (event == MUX_CLAIM && side == rig->data)
        uplink->ops->end(uplink, 1001, "not needed", false);
}

static void test_end_in_claim(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        resume_rig_cut(&rig, false);
        rig.act = end_in_claim;
        rig.data = i == 0 ? &rig.client : &rig.server;
        mux_attempt_t *a = mux_rig_claim(&rig);
        a->claim.proof[0] ^= 1;
        assert_true(mux_rig_dial(a));
        const mux_end_t *end = i == 0 ? &a->client : &a->server;
        mux_rig_until(&rig, &end->downs, 1);
        assert_int_equal(end->claims, 1);
        assert_int_equal(end->ups, 0);
        rig.act = NULL;
        mux_rig_resume(&rig);
        resume_rig_expect_alive(&rig);
        mux_rig_free(&rig);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grace),
        cmocka_unit_test(test_grace_of_an_idle_session),
        cmocka_unit_test(test_hasten),
        cmocka_unit_test(test_end_in_the_outage),
        cmocka_unit_test(test_close_in_the_outage),
        cmocka_unit_test(test_bye),
        cmocka_unit_test(test_bye_without_a_close),
        cmocka_unit_test(test_breach),
        cmocka_unit_test(test_close_frame),
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_end_in_claim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
