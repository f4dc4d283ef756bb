/* SPDX-License-Identifier: MIT */
/* Sessions that outlive their connection: the steps that their tests share. */
#include "resume_rig.h"

void resume_rig_start(mux_rig_t *rig, bool json) {
    rig->epoch = 1;
    rig->client.options.hello.epoch = 1;
    if (json)
        rig->client.options.encoding = WST_ENCODING_JSON;
    assert_true(mux_rig_join(rig, false));
    assert_true(mux_rig_start(rig));
    mux_rig_until(rig, &rig->client.ups, 1);
    mux_rig_until(rig, &rig->server.ups, 1);
    mux_rig_until(rig, &rig->server.round_trips, 1); /* so the client has heard the hello */
}

void resume_rig_up(mux_rig_t *rig) {
    assert_true(mux_rig_init(rig));
    mux_rig_resumes(rig, RESUME_GRACE_MS);
    resume_rig_start(rig, false);
}

void resume_end_at_once(mux_side_t *side) {
    side->uplink->ops->end(side->uplink, 1001, "drained", true);
}

bool resume_is_suspended(const mux_side_t *side) {
    return side->uplink->ops->resume->is_suspended(side->uplink);
}

const uint8_t *resume_sid(const mux_side_t *side) {
    return side->uplink->ops->resume->sid(side->uplink);
}

int resume_can_open(const mux_side_t *side) {
    return side->uplink->ops->can_open(side->uplink);
}

void resume_rig_cut(mux_rig_t *rig, bool lossy) {
    int client = rig->client.suspensions, server = rig->server.suspensions;
    mux_rig_cut(rig, lossy);
    mux_rig_until(rig, &rig->client.suspensions, client + 1);
    mux_rig_until(rig, &rig->server.suspensions, server + 1);
}

void resume_rig_expect_well(const mux_rig_t *rig) {
    assert_int_equal(rig->client.ups, 1);
    assert_int_equal(rig->server.ups, 1);
    assert_int_equal(rig->client.downs + rig->server.downs, 0);
}

void resume_rig_until_received(mux_rig_t *rig, const mux_side_t *side, size_t len) {
    for (int i = 0; i < 100000 && side->probe.received_len < len; i++)
        mux_rig_turns(rig, 1);
    assert_int_equal(side->probe.received_len, len);
}

void resume_rig_say(mux_rig_t *rig, mux_side_t *side, const char *text) {
    mux_probe_t *peer = &mux_rig_other(side)->probe;
    size_t before = peer->received_len, len = strlen(text);
    assert_true(mux_probe_write(&side->probe, text, len) >= 0);
    resume_rig_until_received(rig, mux_rig_other(side), before + len);
    assert_memory_equal(peer->received + before, text, len);
}

void resume_rig_expect_alive(mux_rig_t *rig) {
    resume_rig_say(rig, &rig->client, "to the server");
    resume_rig_say(rig, &rig->server, "to the client");
    resume_rig_expect_well(rig);
}
