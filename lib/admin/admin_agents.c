/* SPDX-License-Identifier: MIT */
/* A walk over a server's agents, of which any may go between two turns. */
#include "admin.h"

#include <string.h>

/* The agent behind the one that was visited last. If that one is gone, as many as have been visited
 * before it are skipped: agents come at the end of the list, so no other one is visited twice. */
static wst_remote_t *follow(const wst__admin_walk_t *w, const wst_server_t *server) {
    wst_remote_t *r = wst_server_next_agent(server, NULL);
    for (; r != NULL; r = wst_server_next_agent(server, r))
        if (r == w->last && strcmp(wst_remote_instance(r), w->instance) == 0)
            return wst_server_next_agent(server, r);
    r = wst_server_next_agent(server, NULL);
    for (size_t i = 1; r != NULL && i < w->visited; i++)
        r = wst_server_next_agent(server, r);
    return r;
}

static void note_visit(wst__admin_walk_t *w, const wst_admin_t *a, const wst_remote_t *agent) {
    w->last = agent;
    w->turn = a->turn;
    w->visited++;
    memcpy(w->instance, wst_remote_instance(agent), sizeof(w->instance));
}

wst_remote_t *wst__admin_next_agent(wst__admin_walk_t *w, const wst_admin_t *a,
                                    const wst__admin_operator_t *viewer) {
    const wst_server_t *server = a->options.server;
    bool certain = w->visited == 0 || w->turn == a->turn;
    wst_remote_t *r = certain ? wst_server_next_agent(server, w->last) : follow(w, server);
    for (; r != NULL; r = wst_server_next_agent(server, r)) {
        note_visit(w, a, r);
        if (wst__admin_reaches(viewer->tenant, wst_remote_tenant(r)))
            return r;
    }
    return NULL;
}
