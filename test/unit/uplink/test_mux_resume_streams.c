/* SPDX-License-Identifier: MIT */
/*
 * What streams see of a lost connection: whatever their state, by another connection that takes
 * over, by an owner that acts inside callbacks, and without memory.
 */
#include "resume_rig.h"
#include "session.h"

#include <wstunnel/error.h>
#include <wstunnel/socket.h>

/* Streams in every state --------------------------------------------------------------------- */

static void test_idle(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    resume_rig_cut(&rig, false);
    assert_true(resume_is_suspended(&rig.client) && resume_is_suspended(&rig.server));
    assert_int_equal(resume_can_open(&rig.client), WST__UPLINK_AWAY);
    assert_int_equal(mux_side_open(&rig.client, "b:1"), WST__UPLINK_AWAY);
    assert_int_equal(rig.client.grace_ms, RESUME_GRACE_MS);
    assert_int_equal(rig.server.grace_ms, RESUME_GRACE_MS);
    mux_rig_resume(&rig);
    resume_rig_expect_alive(&rig);
    assert_int_equal(resume_can_open(&rig.client), 0);
    mux_rig_free(&rig);
}

/* Not answered: heard by the far side, or not. */
static void test_opening(void **state) {
    (void)state;
    for (int heard = 0; heard < 2; heard++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        rig.server.policy = MUX_HOLD;
        assert_int_equal(mux_side_open(&rig.client, "b:1"), 0);
        if (heard)
            mux_rig_until(&rig, &rig.server.incomings, 1);
        resume_rig_cut(&rig, true);
        assert_int_equal(rig.client.answers, 1);
        assert_int_equal(rig.client.status, WST_ELOST);
        assert_int_equal(rig.server.gone, 0);
        mux_rig_resume(&rig);
        if (heard)
            mux_rig_until(&rig, &rig.server.gone, 1);
        mux_rig_turns(&rig, 20);
        assert_int_equal(rig.server.incomings, heard);
        rig.server.policy = MUX_ACCEPT;
        mux_rig_stream(&rig);
        resume_rig_expect_alive(&rig);
        mux_rig_free(&rig);
    }
}

/* Not answered, but with early bytes, which may be delivered: the open waits on. */
static void test_opening_with_early_bytes(void **state) {
    (void)state;
    enum { UNHEARD, HEARD, ACCEPTED, REFUSED, LOST, CASES };
    for (int i = 0; i < CASES; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        rig.server.policy = MUX_HOLD;
        assert_int_equal(mux_side_open(&rig.client, "b:1"), 0);
        assert_int_equal(mux_side_send_early(&rig.client, "abc"), 3);
        mux_rig_until(&rig, i == UNHEARD ? &rig.client.round_trips : &rig.server.incomings, 1);
        if (i == UNHEARD)
            mux_rig_turns(&rig, 1);
        resume_rig_cut(&rig, i == UNHEARD);
        assert_int_equal(rig.client.answers, 0);
        if (i == ACCEPTED)
            mux_side_accept(&rig.server);
        if (i == REFUSED) {
            rig.server.incoming->ops->refuse(rig.server.incoming, UV_ECONNREFUSED, "nobody there");
            rig.server.incoming = NULL;
        }
        if (i == LOST) {
            mux_rig_pass(&rig, RESUME_GRACE_MS + 1000);
            mux_rig_until(&rig, &rig.client.answers, 1);
            assert_int_equal(rig.client.status, WST_ELOST);
            assert_true(rig.client.early_delivered);
            mux_rig_free(&rig);
            continue;
        }
        mux_rig_resume(&rig);
        if (i <= HEARD) {
            mux_rig_until(&rig, &rig.server.incomings, 1);
            assert_int_equal(mux_side_send_early(&rig.client, "de"), 2);
            mux_side_accept(&rig.server);
        }
        mux_rig_until(&rig, &rig.client.answers, 1);
        assert_int_equal(rig.client.status, i == REFUSED ? WST_EREFUSED : 0);
        if (i != REFUSED) {
            assert_int_equal(mux_probe_write(&rig.client.probe, "!", 1), 0);
            assert_int_equal(mux_probe_shutdown(&rig.client.probe), 0);
            mux_rig_until(&rig, &rig.server.probe.ends, 1);
            const char *all = i <= HEARD ? "abcde!" : "abc!";
            assert_int_equal(rig.server.probe.received_len, strlen(all));
            assert_memory_equal(rig.server.probe.received, all, strlen(all));
        }
        resume_rig_expect_well(&rig);
        mux_rig_free(&rig);
    }
}

/* Answered during the outage: nobody waits for the answer any more. */
static void test_answered_in_the_outage(void **state) {
    (void)state;
    for (int accepted = 0; accepted < 2; accepted++) {
        mux_rig_t rig;
        wst_stream_t *stream = NULL;
        resume_rig_up(&rig);
        rig.server.policy = MUX_HOLD;
        assert_int_equal(mux_side_open(&rig.client, "b:1"), 0);
        mux_rig_until(&rig, &rig.server.incomings, 1);
        resume_rig_cut(&rig, false);
        wst__incoming_t *incoming = rig.server.incoming;
        rig.server.incoming = NULL;
        if (accepted)
            assert_int_equal(incoming->ops->accept(incoming, "", &stream), 0);
        else
            incoming->ops->refuse(incoming, UV_ECONNREFUSED, "nobody there");
        mux_rig_resume(&rig);
        mux_rig_turns(&rig, 20);
        assert_int_equal(rig.client.answers, 1);
        assert_int_equal(wst__session_stream_count(mux_side_session(&rig.server)), 0);
        if (stream != NULL)
            wst_stream_close(stream, NULL);
        rig.server.policy = MUX_ACCEPT;
        mux_rig_stream(&rig);
        resume_rig_expect_alive(&rig);
        mux_rig_free(&rig);
    }
}

/* The end is told before, in or after the outage. */
static void test_half_closed(void **state) {
    (void)state;
    for (int when = 0; when < 4; when++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        assert_true(mux_probe_write(&rig.client.probe, "the last", 8) >= 0);
        if (when < 2)
            assert_int_equal(mux_probe_shutdown(&rig.client.probe), 0);
        if (when == 0)
            mux_rig_until(&rig, &rig.server.probe.ends, 1);
        resume_rig_cut(&rig, when & 1);
        if (when == 2)
            assert_int_equal(mux_probe_shutdown(&rig.client.probe), 0);
        mux_rig_resume(&rig);
        if (when == 3)
            assert_int_equal(mux_probe_shutdown(&rig.client.probe), 0);
        mux_rig_until(&rig, &rig.server.probe.ends, 1);
        mux_rig_until(&rig, &rig.client.probe.shutdowns, 1);
        assert_int_equal(rig.server.probe.received_len, 8);
        resume_rig_say(&rig, &rig.server, "the other way");
        assert_int_equal(mux_probe_shutdown(&rig.server.probe), 0);
        mux_rig_until(&rig, &rig.client.probe.ends, 1);
        resume_rig_expect_well(&rig);
        mux_rig_free(&rig);
    }
}

static void test_reset_in_the_outage(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        mux_side_t *side = i == 0 ? &rig.client : &rig.server, *other = mux_rig_other(side);
        resume_rig_cut(&rig, false);
        mux_probe_reset(&side->probe, WST_EIDLE);
        mux_rig_turns(&rig, 5);
        assert_int_equal(other->probe.errors, 0);
        mux_rig_resume(&rig);
        mux_rig_until(&rig, &other->probe.errors, 1);
        assert_int_equal(other->probe.error, WST_EIDLE);
        resume_rig_expect_well(&rig);
        mux_rig_free(&rig);
    }
}

/* Take-over ---------------------------------------------------------------------------------- */

/* The old connection seems well to one side or to both; what it still has to say reaches nothing.
 */
static void test_take_over(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        if (i & 1)
            wst_websocket_read_stop(mux_side_websocket(&rig.client));
        if (i & 2)
            wst_websocket_read_stop(mux_side_websocket(&rig.server));
        assert_true(mux_probe_write(&rig.client.probe, "on the way", 10) >= 0);
        assert_true(mux_probe_write(&rig.server.probe, "on the way", 10) >= 0);
        if (i != 0)
            mux_rig_turns(&rig, 3);
        mux_rig_resume(&rig);
        resume_rig_until_received(&rig, &rig.client, 10);
        resume_rig_until_received(&rig, &rig.server, 10);
        resume_rig_expect_alive(&rig);
        assert_int_equal(rig.server.suspensions, 0);
        assert_int_equal(rig.server.outage_ms, 0);
        mux_rig_pass(&rig, 44000); /* timers of the old one */
        resume_rig_expect_well(&rig);
        resume_rig_cut(&rig, false); /* once more, long after */
        mux_rig_resume(&rig);
        resume_rig_expect_alive(&rig);
        assert_int_equal(rig.server.probe.reads + rig.client.probe.reads, 6);
        mux_rig_free(&rig);
    }
}

/* Many streams ------------------------------------------------------------------------------- */

enum { MANY = 1500 };

static wst_stream_t *crowd[2 * MANY];
static size_t crowd_count;

static void join_crowd(mux_side_t *side, wst_stream_t *stream) {
    (void)side;
    crowd[crowd_count++] = stream;
}

static void open_crowd(mux_rig_t *rig) {
    crowd_count = 0;
    rig->take = join_crowd;
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(mux_side_open(&rig->client, "b:1"), 0);
        mux_rig_until(rig, &rig->client.answers, rig->client.answers + 1);
    }
    assert_int_equal(crowd_count, 2 * MANY);
}

static void close_crowd(mux_rig_t *rig) {
    rig->busy++;
    while (crowd_count > 0)
        wst_stream_close(crowd[--crowd_count], NULL);
    rig->busy--;
    rig->take = NULL;
}

/* Turns of the loop until the account has arrived. */
static int count_turns(mux_rig_t *rig, mux_side_t *side) {
    int turns = 0;
    while (wst__session_awaits_account(mux_side_session(side))) {
        mux_rig_turns(rig, 1);
        turns++;
    }
    return turns;
}

/* The loop has other things to do: an account is said, and heard, in several turns. */
static void test_many(void **state) {
    (void)state;
    for (int heard_by_server = 0; heard_by_server < 2; heard_by_server++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        open_crowd(&rig);
        resume_rig_cut(&rig, false);
        mux_rig_resume(&rig);
        int turns = count_turns(&rig, heard_by_server ? &rig.server : &rig.client);
        assert_in_range(turns, 3, 100);
        mux_rig_turns(&rig, 20);
        assert_int_equal(wst__session_stream_count(mux_side_session(&rig.client)), MANY);
        assert_int_equal(wst__session_stream_count(mux_side_session(&rig.server)), MANY);
        close_crowd(&rig);
        mux_rig_stream(&rig);
        resume_rig_expect_alive(&rig);
        mux_rig_free(&rig);
    }
}

/* An attempt that fails leaves the connection that there is alone. */
static void test_attempt_fails_beside(void **state) {
    (void)state;
    mux_rig_t rig;
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    mux_attempt_t *a = mux_rig_attempt(&rig);
    shutdown(a->fds[0], SHUT_RDWR);
    mux_rig_until(&rig, &a->client.downs, 1);
    resume_rig_expect_alive(&rig);
    assert_int_equal(rig.client.suspensions + rig.server.suspensions, 0);
    mux_rig_free(&rig);
}

/* The new connection cannot be attached: the old one is lost all the same, so the owner must know.
 */
static void fail_attach(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    if (event == MUX_CLAIM && side == rig->data)
        test_alloc_fail(1);
    if (event == MUX_SUSPENDED && side == rig->data) {
        assert_true(test_alloc_failed());
        test_alloc_fail(0);
    }
}

static void test_take_over_without_memory(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        mux_side_t *side = i == 0 ? &rig.client : &rig.server;
        rig.data = side;
        rig.act = fail_attach;
        if (i == 0) /* else it sees the server close the old one first */
            wst_websocket_read_stop(mux_side_websocket(&rig.client));
        mux_rig_other(side)->policy = MUX_HOLD;
        int answers = side->answers;
        assert_int_equal(mux_side_open(side, "b:1"), 0);
        mux_attempt_t *a = mux_rig_attempt(&rig);
        mux_rig_until(&rig, &side->suspensions, 1);
        assert_int_equal(side->loss, WST_EREPLACED);
        assert_int_equal(side->answers, answers + 1);
        assert_int_equal(side->status, WST_ELOST);
        rig.act = NULL;
        mux_rig_until(&rig, i == 0 ? &a->client.downs : &a->server.downs, 1);
        mux_rig_until(&rig, &mux_rig_other(side)->suspensions, 1);
        mux_rig_resume(&rig);
        resume_rig_expect_alive(&rig);
        mux_rig_free(&rig);
    }
}

/* Owners that act inside callbacks ----------------------------------------------------------- */

typedef struct deed {
    mux_event_t event;
    bool at_server, by_end;
    int done;
} deed_t;

/* Ends or closes the mux of the side. */
static void act_once(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    deed_t *d = rig->data;
    if (event != d->event || d->at_server != (side == &rig->server) || d->done)
        return;
    d->done = 1;
    rig->busy--; /* what follows is no call of the test's */
    if (d->by_end)
        resume_end_at_once(side);
    else
        mux_side_close(side);
    rig->busy++;
}

static void test_ended_inside(void **state) {
    (void)state;
    static const mux_event_t events[] = {MUX_SUSPENDED, MUX_RESUMED, MUX_CLAIM, MUX_ANSWER};
    for (int i = 0; i < 16; i++) {
        mux_rig_t rig;
        deed_t deed = {.event = events[i / 4], .at_server = i & 1, .by_end = i & 2};
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        rig.data = &deed;
        rig.act = act_once;
        mux_side_t *side = deed.at_server ? &rig.server : &rig.client;
        if (deed.event == MUX_ANSWER) { /* fails while the session is being suspended */
            mux_rig_other(side)->policy = MUX_HOLD;
            assert_int_equal(mux_side_open(side, "b:1"), 0);
            mux_rig_turns(&rig, 5);
            mux_rig_cut(&rig, false);
        } else if (deed.event == MUX_SUSPENDED || i & 1) {
            mux_rig_cut(&rig, false);
            mux_rig_until(&rig, &rig.client.suspensions, 1);
            mux_rig_until(&rig, &rig.server.suspensions, 1);
        }
        if (deed.event == MUX_RESUMED || deed.event == MUX_CLAIM)
            (void)mux_rig_attempt(&rig);
        mux_rig_until(&rig, &deed.done, 1);
        if (deed.by_end)
            mux_rig_until(&rig, &side->downs, 1);
        else
            mux_rig_until(&rig, &side->closed, 1);
        assert_int_equal(side->probe.error, WST_ELOST);
        mux_rig_turns(&rig, 20);
        assert_int_equal(side->downs, deed.by_end);
        mux_rig_free(&rig);
    }
}

/* The attempt is ended by who is asked about it. */
static void refuse_claim(mux_rig_t *rig, mux_side_t *side, mux_event_t event) {
    if (event != MUX_CLAIM || side != &rig->server)
        return;
    wst__uplink_t *uplink = rig->attempts[rig->attempt_count - 1]->server.uplink;
    uplink->ops->end(uplink, 1008, "older attempt", false);
}

static void test_claim_refused(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        mux_rig_t rig;
        resume_rig_up(&rig);
        mux_rig_stream(&rig);
        if (i == 0)
            resume_rig_cut(&rig, false);
        rig.act = refuse_claim;
        mux_attempt_t *a = mux_rig_attempt(&rig);
        mux_rig_until(&rig, &a->client.downs, 1);
        mux_rig_until(&rig, &a->server.downs, 1);
        assert_string_equal(a->client.detail, "closed by the peer: 1008 older attempt");
        assert_int_equal(a->client.claims + a->client.ups + a->server.ups, 0);
        assert_int_equal(rig.server.suspensions, i == 0);
        rig.act = NULL;
        mux_rig_resume(&rig);
        resume_rig_expect_alive(&rig);
        mux_rig_free(&rig);
    }
}

/* Memory ------------------------------------------------------------------------------------- */

static bool until_memory(mux_rig_t *rig, const int *counter, const int *failure) {
    for (int i = 0; i < 3000 && *counter == 0; i++) {
        if (failure != NULL && *failure > 0)
            return false;
        mux_rig_turns(rig, 1);
    }
    return *counter > 0;
}

/* Cut and resumed with streams, and once more if memory failed at the first attempt. */
static void outage(void *arg) {
    mux_rig_t rig;
    size_t n = *(size_t *)arg;
    test_alloc_fail(0);
    resume_rig_up(&rig);
    mux_rig_stream(&rig);
    assert_true(mux_probe_write(&rig.client.probe, "kept", 4) >= 0);
    rig.server.policy = MUX_HOLD;
    assert_int_equal(mux_side_open(&rig.client, "b:1"), 0);
    if (n % 2 == 0)
        resume_rig_cut(&rig, true);
    test_alloc_fail(n);
    mux_attempt_t *a = mux_rig_claim(&rig);
    bool dialled = mux_rig_dial(a);
    if (dialled)
        (void)until_memory(&rig, &rig.client.resumes, &a->client.downs);
    bool failed = test_alloc_failed();
    test_alloc_fail(0);
    if (failed) {
        mux_rig_turns(&rig, 50);
        if (rig.client.downs + rig.server.downs == 0)
            mux_rig_resume(&rig);
    }
    if (rig.client.downs + rig.server.downs == 0) {
        resume_rig_until_received(&rig, &rig.server, 4);
        resume_rig_expect_alive(&rig);
    } else { /* on an attached session it is an error of its own */
        assert_true(failed);
    }
    mux_rig_free(&rig);
    *(size_t *)arg = failed ? n : 0;
}

static void test_no_memory(void **state) {
    (void)state;
    size_t n = 0, sites = 0;
    do {
        sites++;
        n = sites;
        outage(&n);
    } while (n != 0 && sites < 1000);
    assert_true(sites > 20 && sites < 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_opening),
        cmocka_unit_test(test_opening_with_early_bytes),
        cmocka_unit_test(test_answered_in_the_outage),
        cmocka_unit_test(test_half_closed),
        cmocka_unit_test(test_reset_in_the_outage),
        cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_attempt_fails_beside),
        cmocka_unit_test(test_take_over_without_memory),
        cmocka_unit_test(test_ended_inside),
        cmocka_unit_test(test_claim_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
