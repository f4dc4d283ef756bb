/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_AGENT_SESSION_H
#define WST_LIB_AGENT_SESSION_H
/* A session of an agent at the server, shared by agent_request.c, agent_session.c and agents.c. */
#include "server.h"

/* One accepted uplink. */
typedef struct wst__agent_session {
    wst__list_t node;
    wst__list_t wait_node; /* while suspended: of server.agents.waiting */
    wst_server_t *server;
    wst__uplink_t *uplink;
    wst__member_t member;
    wst__table_node_t by_name; /* of server.agents.names, if `named` */
    bool named, suspended;
    const char *no_new;        /* why it may only continue another one; NULL: it may be new */
    wst__resume_field_t claim; /* of its upgrade request */
    char peer[96];
    char software[WST__SOFTWARE_MAX + 1]; /* as its upgrade request told */
    char name[WST__USER_MAX + 1];         /* the required name, or a pattern; "": any */
    char tenant[WST__TENANT_MAX + 1];
    const char **labels; /* NULL-terminated; NULL: no labels */
    uint8_t credential[WST__CREDENTIAL_LEN];
    wst__defer_t defer;  /* ends the session, ... */
    const char *revoked; /* ... for this reason, */
    bool ended;          /* ... whichever connection it goes on with */
    wst__seat_t connection;
    wst__ticket_t hold, place; /* place: among the sessions */
} wst__agent_session_t;

/* -- agent_session.c ------------------------------------------------------------------------- */

/* Makes a session of an upgrade request, whose claim the connection has. `answer`: the embedder's;
 * NULL: it was not asked. 0 or an error. */
int wst__agent_session_new(wst__conn_t *conn, const wst__answer_t *answer);

/* NULL: it is over, or another server's. */
wst__agent_session_t *wst__agent_session_find(const wst_server_t *s,
                                              const uint8_t sid[WST__SID_LEN]);

/* Ends the session from the loop, since its agent may not stay; unless it goes on before then with
 * another connection, whose credentials count instead. `why`: static. */
void wst__agent_session_revoke(wst__agent_session_t *session, const char *why);

/* Logs that an agent was refused, and tells the embedder. */
void wst__agent_tell_refused(wst_server_t *s, const wst_refusal_info_t *info);

/* "berlin (0f3a9c21)"; only the name if the agent told no instance. */
typedef struct wst__agent_label {
    char text[WST_NAME_MAX + 16];
} wst__agent_label_t;
wst__agent_label_t wst__agent_label_of(const wst_remote_t *remote);

/* -- agent_request.c ------------------------------------------------------------------------- */

/* Why no new session may begin by the connection; static. NULL: one may. */
const char *wst__agent_no_new(const wst__conn_t *c);

#endif
