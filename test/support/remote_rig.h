/* SPDX-License-Identifier: MIT */
#ifndef TEST_REMOTE_RIG_H
#define TEST_REMOTE_RIG_H
/* The set of agents, with sessions on uplinks that answer what a test says. */
#include "env.h"
#include "fake_uplink.h"
#include "remote.h"

/* One session of an agent. */
typedef struct remote_rig_peer {
    wst__member_t member;
    fake_uplink_t fake;
    wst_hello_t hello;
    const char *tenant;
    const char *const *labels;
} remote_rig_peer_t;

typedef struct remote_rig {
    test_env_t env;
    wst__remotes_t set;
} remote_rig_t;

void remote_rig_open(remote_rig_t *r, size_t max_streams);

/* Checks that nobody is left in the set. */
void remote_rig_close(remote_rig_t *r);

/* Makes a session of tenant "", without labels, that has not joined. */
void remote_rig_make(remote_rig_peer_t *p, const char *name, uint8_t instance, uint32_t conn,
                     uint64_t epoch);
int remote_rig_join(remote_rig_t *r, remote_rig_peer_t *p, wst__member_t **replaced, bool *is_new);

/* Lets a session join that remote_rig_make has made; whether its agent is new must be as expected.
 */
void remote_rig_let_join(remote_rig_t *r, remote_rig_peer_t *p, bool expect_new);

/* Makes a session and lets it join. */
void remote_rig_add(remote_rig_t *r, remote_rig_peer_t *p, const char *name, uint8_t instance,
                    uint32_t conn, bool expect_new);

/* What the session's uplink says from now on. */
void remote_rig_set_load(remote_rig_t *r, remote_rig_peer_t *p, size_t load);
void remote_rig_set_status(remote_rig_t *r, remote_rig_peer_t *p, int status);
void remote_rig_set_suspect(remote_rig_t *r, remote_rig_peer_t *p, bool suspect);

/* The session leaves; whether it was its agent's last one must be as expected. */
void remote_rig_remove(remote_rig_t *r, remote_rig_peer_t *p, bool expect_last);

/* Chooses, for tenant "" unless the choice names a tenant or one agent; the status must be as
 * expected. NULL if it is an error. */
wst__member_t *remote_rig_choose(const remote_rig_t *r, wst__choice_t choice, int status);

#endif
