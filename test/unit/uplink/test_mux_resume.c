/* SPDX-License-Identifier: MIT */
/*
 * Sessions that outlive their connection: what is offered, claimed and proved, peers that do wrong,
 * and secrets.
 */
#include "resume_rig.h"

#include <stdio.h>
#include <wstunnel/error.h>

/* What is said and proved -------------------------------------------------------------------- */

static void test_offered_and_heard(void **state) {
    (void)state;
    for (int json = 0; json < 2; json++) {
        mux_rig_t rig;
        wst__resume_field_t claim;
        assert_true(mux_rig_init(&rig));
        mux_rig_resumes(&rig, RESUME_GRACE_MS);
        resume_rig_start(&rig, json);
        assert_non_null(resume_sid(&rig.server));
        assert_memory_equal(resume_sid(&rig.client), resume_sid(&rig.server), WST__SID_LEN);
        assert_memory_equal(resume_sid(&rig.server), "tag!", 4);
        assert_int_equal(rig.client.uplink->ops->resume->claim(rig.client.uplink, 2, &claim), 0);
        assert_int_equal(claim.epoch, 2);
        assert_int_equal(rig.server.uplink->ops->resume->claim(rig.server.uplink, 2, &claim),
                         WST_ESTATE);
        assert_false(resume_is_suspended(&rig.client) || resume_is_suspended(&rig.server));
        mux_rig_free(&rig);
    }
}

/* Names are never the same, and secrets not even in one session. */
static void test_names_and_secrets_change(void **state) {
    (void)state;
    mux_rig_t rig;
    uint8_t sid[WST__SID_LEN], secrets[4][WST__SECRET_LEN];
    resume_rig_up(&rig);
    memcpy(sid, resume_sid(&rig.server), sizeof(sid));
    for (size_t i = 0; i < 4; i++) {
        resume_rig_cut(&rig, false);
        mux_rig_resume(&rig);
        const wst_hello_t *hello = &rig.attempts[i]->client.hello;
        assert_true(hello->resumed && hello->has_session);
        assert_int_equal(hello->grace_ms, RESUME_GRACE_MS);
        assert_memory_equal(hello->session, sid, sizeof(sid));
        memcpy(secrets[i], hello->secret, sizeof(secrets[i]));
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(secrets[i], secrets[k], sizeof(secrets[i]));
        assert_memory_equal(resume_sid(&rig.client), sid, sizeof(sid));
    }
    resume_rig_expect_well(&rig);
    mux_rig_free(&rig);
    resume_rig_up(&rig);
    assert_memory_not_equal(resume_sid(&rig.server), sid, sizeof(sid));
    mux_rig_free(&rig);
}

/* A side without the feature: all is as it was before there was any. */
static void test_not_agreed(void **state) {
    (void)state;
    for (int which = 0; which < 3; which++) {
        mux_rig_t rig;
        wst__resume_field_t claim;
        assert_true(mux_rig_init(&rig));
        mux_rig_resumes(&rig, which == 2 ? 0 : RESUME_GRACE_MS);
        if (which == 0)
            rig.client.options.resumes = false;
        else if (which == 1)
            rig.server.options.resumes = false;
        resume_rig_start(&rig, false);
        assert_null(resume_sid(&rig.client));
        assert_null(resume_sid(&rig.server));
        assert_int_equal(rig.client.uplink->ops->resume->claim(rig.client.uplink, 2, &claim),
                         WST_ESTATE);
        mux_rig_stream(&rig);
        resume_rig_say(&rig, &rig.client, "hello");
        mux_rig_cut(&rig, false);
        mux_rig_until(&rig, &rig.client.downs, 1);
        mux_rig_until(&rig, &rig.server.downs, 1);
        assert_int_equal(rig.client.suspensions + rig.server.suspensions, 0);
        assert_int_equal(rig.client.probe.error, WST_ELOST);
        assert_int_equal(rig.server.probe.error, WST_ELOST);
        mux_rig_free(&rig);
    }
}

/* The attempt becomes a session of its own; the suspended one is left as it is. */
static void expect_new_session(mux_rig_t *rig, mux_attempt_t *a) {
    mux_rig_until(rig, &a->server.ups, 1);
    mux_rig_until(rig, &a->client.ups, 1);
    assert_false(a->client.hello.resumed);
    assert_int_equal(rig->server.resumes + rig->client.resumes, 0);
    assert_true(resume_is_suspended(&rig->server));
    assert_true(resume_is_suspended(&rig->client));
}

static void test_wrong_claims(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    resume_rig_cut(&rig, false);
    for (int which = 0; which < 4; which++) {
        mux_attempt_t *a = mux_rig_claim(&rig);
        switch (which) {
        case 0:
            a->claim.proof[31] ^= 1;
            break;
        case 1:
            a->claim.epoch++;
            break;
        case 2:
            a->claim.sid[15] ^= 0x80;
            break;
        default:
            a->claim.kind = WST__RESUME_NEW;
        }
        assert_true(mux_rig_dial(a));
        expect_new_session(&rig, a);
        assert_int_equal(a->verdict, WST__CLAIM_WRONG);
    }
    /* for another of the agent's sessions */
    mux_attempt_t *a = mux_rig_claim(&rig);
    rig.client.options.hello.conn = 1;
    assert_true(mux_rig_dial(a));
    expect_new_session(&rig, a);
    rig.client.options.hello.conn = 0;
    mux_rig_resume(&rig); /* the true one gets in all the same */
    resume_rig_expect_alive(&rig);
    mux_rig_free(&rig);
}

/* A head that was recorded cannot be said again. */
static void test_older_claim(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    resume_rig_cut(&rig, false);
    mux_rig_resume(&rig);
    resume_rig_cut(&rig, false);
    mux_attempt_t *a = mux_rig_claim(&rig);
    for (uint64_t epoch = 0; epoch <= 2; epoch++) { /* 2 has been accepted */
        assert_int_equal(rig.client.uplink->ops->resume->claim(rig.client.uplink, epoch, &a->claim),
                         0);
        assert_int_equal(rig.server.uplink->ops->resume->check(rig.server.uplink, &a->claim, 0),
                         WST__CLAIM_OLDER);
    }
    a->claim = rig.attempts[0]->claim; /* with a secret of the past */
    assert_int_equal(rig.server.uplink->ops->resume->check(rig.server.uplink, &a->claim, 0),
                     WST__CLAIM_WRONG);
    mux_rig_resume(&rig);
    resume_rig_expect_alive(&rig);
    mux_rig_free(&rig);
}

/* The server has resumed, but the client never hears of it. */
static void lose_hello(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    if (event != MUX_RESUMED || side != &rig->server)
        return;
    mux_attempt_t *a = rig->attempts[rig->attempt_count - 1];
    a->client.closing = true;
    a->client.uplink->ops->close(a->client.uplink);
}

static void test_hello_lost(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    resume_rig_cut(&rig, false);
    for (int i = 0; i < 3; i++) {
        rig.act = lose_hello;
        (void)mux_rig_attempt(&rig);
        mux_rig_until(&rig, &rig.server.resumes, i + 1);
        mux_rig_until(&rig, &rig.server.suspensions, i + 2);
        assert_int_equal(rig.client.resumes, 0);
    }
    rig.act = NULL;
    mux_rig_resume(&rig);
    assert_int_equal(rig.server.resumes, 4);
    resume_rig_expect_alive(&rig);
    resume_rig_cut(&rig, true);
    mux_rig_resume(&rig);
    resume_rig_expect_alive(&rig);
    mux_rig_free(&rig);
}

/* The same while the server takes the old connection for a good one. */
static void test_hello_lost_at_take_over(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    rig.act = lose_hello;
    (void)mux_rig_attempt(&rig);
    mux_rig_until(&rig, &rig.server.suspensions, 1);
    mux_rig_until(&rig, &rig.client.suspensions, 1); /* its old connection was reset */
    rig.act = NULL;
    mux_rig_resume(&rig);
    resume_rig_expect_alive(&rig);
    mux_rig_free(&rig);
}

/* The client leaves before it hears of its new session. */
static void leave_at_once(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    if (event == MUX_UP && side == &rig->server)
        mux_side_close(&rig->client);
}

/* Nobody can come back to that, so the server does not wait. */
static void test_never_known(void **state) {
    (void)state;
    mux_rig_t rig;
    assert_true(mux_rig_init(&rig));
    mux_rig_resumes(&rig, RESUME_GRACE_MS);
    rig.epoch = rig.client.options.hello.epoch = 1;
    rig.act = leave_at_once;
    assert_true(mux_rig_join(&rig, false));
    assert_true(mux_rig_start(&rig));
    mux_rig_until(&rig, &rig.server.downs, 1);
    assert_int_equal(rig.client.ups, 0);
    assert_int_equal(rig.server.suspensions, 0);
    mux_rig_free(&rig);
}

/* Peers that do wrong ------------------------------------------------------------------------ */

/* The hello does not tell what the head did: a new session, by rules that both know. */
static void test_claim_without_the_feature(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    resume_rig_cut(&rig, false);
    mux_attempt_t *a = mux_rig_claim(&rig);
    rig.client.options.resumes = false;
    assert_true(mux_rig_dial(a));
    mux_rig_until(&rig, &a->server.ups, 1);
    assert_int_equal(rig.server.resumes, 0);
    assert_true(resume_is_suspended(&rig.server));
    mux_rig_until(&rig, &a->client.ups, 1);
    mux_rig_free(&rig);
}

static void refuse_to_resume(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    if (event != MUX_CLAIM || side != &rig->client)
        return;
    rig->busy--;
    resume_end_at_once(side);
    rig->busy++;
}

/* The server resumes what there is no more. */
static void test_resumed_too_late(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    resume_rig_cut(&rig, false);
    rig.act = refuse_to_resume;
    mux_attempt_t *a = mux_rig_attempt(&rig);
    mux_rig_until(&rig, &rig.server.resumes, 1);
    mux_rig_until(&rig, &rig.client.downs, 1);
    mux_rig_until(&rig, &a->client.downs, 1);
    assert_int_equal(a->client.error, WST_ESTATE);
    mux_rig_free(&rig);
}

/* The client has not asked for that session, or for none: a breach of the server's. */
static void test_resumed_unasked(void **state) {
    (void)state;
    for (int another = 0; another < 2; another++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        resume_rig_cut(&rig, false);
        mux_attempt_t *other = mux_rig_claim(&rig);
        other->claim.kind = WST__RESUME_NEW;
        assert_true(mux_rig_dial(other));
        mux_rig_until(&rig, &other->client.ups, 1);
        mux_attempt_t *a = mux_rig_claim(&rig);
        a->misled = true;
        a->misled_to = another ? other->client.uplink : NULL;
        assert_true(mux_rig_dial(a));
        mux_rig_until(&rig, &a->client.downs, 1);
        assert_int_equal(a->client.error, WST_EPROTO);
        assert_int_equal(other->client.downs, 0);
        assert_int_equal(other->client.uplink->ops->can_open(other->client.uplink), 0);
        mux_rig_until(&rig, &rig.server.suspensions, 2);
        mux_rig_resume(&rig);
        resume_rig_expect_alive(&rig);
        mux_rig_free(&rig);
    }
}

/* Random bits -------------------------------------------------------------------------------- */

int __real_uv_random(uv_loop_t *loop, uv_random_t *req, void *buf, size_t len, unsigned flags,
                     uv_random_cb cb);
int __wrap_uv_random(uv_loop_t *loop, uv_random_t *req, void *buf, size_t len, unsigned flags,
                     uv_random_cb cb);
static bool no_random;

int __wrap_uv_random(uv_loop_t *loop, uv_random_t *req, void *buf, size_t len, unsigned flags,
                     uv_random_cb cb) {
    return no_random ? UV_ENOSYS : __real_uv_random(loop, req, buf, len, flags, cb);
}

static void stop_random(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    uint8_t bits;
    no_random = event == MUX_CLAIM && side == &rig->server;
    while (no_random && wst__random(rig->ctx, &bits, 1) == 0)
        ; /* what the context has drawn already */
}

/* A server without a secret to give cannot resume, and says no hello that would end the session. */
static void test_no_random_bits(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    resume_rig_cut(&rig, false);
    rig.act = stop_random;
    mux_attempt_t *a = mux_rig_attempt(&rig);
    mux_rig_until(&rig, &a->server.claims, 1);
    no_random = false;
    rig.act = NULL;
    mux_rig_until(&rig, &a->client.downs, 1);
    assert_non_null(strstr(a->client.detail, "1011"));
    assert_int_equal(a->client.claims, 0);
    assert_true(resume_is_suspended(&rig.server));
    mux_rig_resume(&rig);
    resume_rig_expect_alive(&rig);
    mux_rig_free(&rig);
}

/* Secrets ------------------------------------------------------------------------------------ */

/* The first eight bytes in a row of a secret that contain no zero. */
static const uint8_t *without_zero(const uint8_t *secret) {
    size_t run = 0;
    for (size_t i = 0; i < WST__SECRET_LEN; i++) {
        run = secret[i] != 0 ? run + 1 : 0;
        if (run == 8)
            return secret + i + 1 - run;
    }
    fail_msg("no secret is as unlikely as this one");
    return NULL;
}

/* No memory is given back with a secret in it: neither as bytes nor as digits. */
static void test_secrets_are_wiped(void **state) {
    (void)state;
    for (int hex = 0; hex < 2; hex++) {
        mux_rig_t rig;
        char secret[2 * WST__SECRET_LEN + 1];
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        resume_rig_cut(&rig, false);
        mux_rig_resume(&rig);
        const uint8_t *bytes = rig.attempts[0]->client.hello.secret;
        for (size_t i = 0; i < WST__SECRET_LEN; i++)
            snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
        if (!hex) {
            memcpy(secret, without_zero(bytes), 8);
            secret[8] = '\0';
        }
        test_alloc_watch(secret);
        resume_rig_cut(&rig, false);
        mux_rig_resume(&rig);
        mux_side_close(&rig.client);
        mux_rig_turns(&rig, 5);
        mux_rig_free(&rig);
        assert_int_equal(test_alloc_spilled(), 0);
        test_alloc_watch(NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offered_and_heard),
        cmocka_unit_test(test_names_and_secrets_change),
        cmocka_unit_test(test_not_agreed),
        cmocka_unit_test(test_wrong_claims),
        cmocka_unit_test(test_older_claim),
        cmocka_unit_test(test_hello_lost),
        cmocka_unit_test(test_hello_lost_at_take_over),
        cmocka_unit_test(test_never_known),
        cmocka_unit_test(test_claim_without_the_feature),
        cmocka_unit_test(test_resumed_too_late),
        cmocka_unit_test(test_resumed_unasked),
        cmocka_unit_test(test_no_random_bits),
        cmocka_unit_test(test_secrets_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
