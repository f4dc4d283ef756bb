/* SPDX-License-Identifier: MIT */
#ifndef TEST_AGENT_WORLD_H
#define TEST_AGENT_WORLD_H
/*
 * An agent, what it tells, and a real server for it. The agent has a context of its own, made of
 * test_allocator; whatever it has to do with (agent_peers.h) runs on another one in the same loop.
 *
 * What always holds is checked here: no callback runs from inside a call to the agent, none but
 * close_cb and the end of a question after its close, and no line of the log holds the SECRET.
 */
#include "env.h"

#include "ctx.h"
#include <wstunnel/agent.h>
#include <wstunnel/resolver.h>
#include <wstunnel/server.h>

#define SECRET "s3cret"

typedef enum event {
    NOTHING,
    CREDENTIALS,
    DESTINATION,
    DIAL,
    UP,
    DOWN,
    STREAM_OPEN,
    STREAM_CLOSE,
    DRAINED,
    GONE, /* a held question */
    EVENTS
} event_t;

/* How a question is answered. */
typedef enum policy {
    UNASKED, /* no callback */
    ALLOW,   /* with world.fields; on_dial: with world.connection */
    DENY,    /* with world.reason */
    HOLD,    /* not yet: world.held */
    MISFIT   /* by an answer to another question */
} policy_t;

typedef struct world world_t;

struct world {
    test_env_t env; /* the first member: the context's callbacks get it */
    wst_ctx_t *peers;
    size_t peers_closed;
    char address[64]; /* that the agent is to dial */

    wst_server_t *server;
    wst_server_options_t server_options;
    size_t server_ups, server_downs, server_closed;
    int down_error; /* of the last on_agent_down */

    wst_agent_t *agent;
    wst_agent_options_t options;
    const char *path; /* in its URL */
    policy_t credentials, destinations, dials;
    const char *fields, *reason;
    wst_stream_t *connection;
    wst_request_t *held; /* the last one, until it is gone */
    event_t close_in, drain_in;
    void (*act)(world_t *w, event_t event);
    bool busy, close_called;
    size_t closed;
    bool restart; /* makes another agent in close_cb */

    size_t seen[EVENTS];
    wst_agent_failure_t failure; /* the last one; its text: */
    char detail[256];
    char destination[300]; /* of the last question or notice about one */
    char question_peer[96];
    int open_status, close_status;
    uint64_t bytes_to_destination, bytes_to_server;

    size_t lines;           /* of the log, at all levels */
    wst_lookup_t *stuck[8]; /* of names that begin with "stuck" */
    size_t stuck_count;
};

/* Contexts and options: name "probe", small times, no callback that asks. No agent, no server. */
void world_open(world_t *w);

/* Closes the agent and the server if they are there; nothing may be left then. */
void world_free(world_t *w);

/* The server, at `address` ("127.0.0.1:0" if it is ""), which is that of the agent then. */
void world_serve(world_t *w);
/* Closes it and waits for the end. */
void world_stop_serving(world_t *w);

/* Makes the agent. The result of wst_agent_new. */
int world_try_agent(world_t *w);
void world_agent(world_t *w);    /* must succeed */
void world_agent_up(world_t *w); /* must come up at the server, too */
void world_close_agent(world_t *w);
void world_drain_agent(world_t *w);

/* Runs the loop until the event has been seen so often; or until the agent is closed. */
void world_until(world_t *w, event_t event, size_t count);
void world_until_closed(world_t *w);

/* Lets time pass for the agent's deadlines. */
void world_pass(world_t *w, uint64_t ms);

#endif
