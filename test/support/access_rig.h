/* SPDX-License-Identifier: MIT */
#ifndef TEST_ACCESS_RIG_H
#define TEST_ACCESS_RIG_H
/*
 * An access object that is asked without a server: requests in, what it answers out.
 */
#include "env.h"

#include "http_offer.h"
#include "request.h"

#include <wstunnel/access.h>

typedef struct access_rig {
    test_env_t env;
    wst_access_t *access;
    const struct wst_tls_info *tls; /* of who asks */
    bool fail;                      /* the next allocation of the one who answers */
    uint64_t late_ms;               /* how much later than the loop's time it is */

    /* The last answer. */
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

/* A question that may wait for its answer. */
typedef struct access_asking {
    access_rig_t *rig;
    char text[2048];
    wst_http_head_t head;
    wst_request_t *request;
    uint64_t timeout_ms; /* 0: the default */
    size_t answers;
    int status; /* of the answer; 0: allowed; -1: there was none in time */
} access_asking_t;

/* The same two questions, put without waiting; in zeroed memory. */
void access_rig_ask_client(access_rig_t *r, access_asking_t *a, const char *peer, const char *line,
                           const char *fields);
void access_rig_ask_flow(access_rig_t *r, access_asking_t *a, const char *user, const char *tenant);

/* Waits for the answer; its status. The rig has the rest of it. */
int access_rig_answer(access_asking_t *a);

/* Whoever asked goes away. */
void access_rig_leave(access_asking_t *a);
/* Asks on_client_login about a SOCKS client with these credentials, or none (user NULL). */
int access_rig_login(access_rig_t *r, const char *peer, const char *user, const char *password);

/* Likewise on_client_request about a flow without an HTTP request and without a login, whose client
 * gave these credentials. */
int access_rig_headless(access_rig_t *r, const char *peer, const char *user, const char *password);

/* Likewise on_agent_request. */
int access_rig_agent(access_rig_t *r, const char *peer, const char *fields);

/* What a client answers to a challenge. */
typedef struct access_login {
    const char *user, *password, *method, *uri;
    wst__hash_t hash; /* to be used, of those offered */
    uint32_t nc;
} access_login_t;

/* The challenge in the last answer. */
wst__offer_t access_rig_offer(const access_rig_t *r, wst__hash_t hash);

/* The header line, in static memory. */
const char *access_rig_credentials(const wst__offer_t *offer, const access_login_t *login);
const char *access_rig_basic(const char *user, const char *password);

#endif
