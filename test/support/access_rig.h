/* SPDX-License-Identifier: MIT */
#ifndef TEST_ACCESS_RIG_H
#define TEST_ACCESS_RIG_H
/*
 * An access object that is asked without a server: requests in, what it answers out.
 */
#include "env.h"

#include "request.h"

#include <wstunnel/access.h>

typedef struct access_rig {
    test_env_t env;
    wst_access_t *access;
    const struct wst_tls_info *tls; /* of who asks */
    bool fail;                      /* the next allocation of the one who answers */
    uint64_t late_ms;               /* how much later than the loop's time it is */

    /* The last answer. */
    size_t answers;
    wst__answer_kind_t kind;
    int status;
    char reason[256], fields[2048], user[128], tenant[128], error[64];
    char labels[128]; /* with a space behind each */
} access_rig_t;

/* With these options, which are right. */
void access_rig_open(access_rig_t *r, const wst_access_options_t *options);
void access_rig_close(access_rig_t *r);

/* Another access object in place of the first one. */
void access_rig_reload(access_rig_t *r, const wst_access_options_t *options);

/* Asks on_client_request about a request ("CONNECT a:1" and header lines) from that address; then
 * the answer's status: 0 for allow. */
int access_rig_client(access_rig_t *r, const char *peer, const char *line, const char *fields);

/* Likewise about a flow without an HTTP request, whose client is known to be that user (NULL: it is
 * not known). */
int access_rig_flow(access_rig_t *r, const char *user, const char *tenant);

/* Likewise on_agent_request. */
int access_rig_agent(access_rig_t *r, const char *peer, const char *fields);

#endif
