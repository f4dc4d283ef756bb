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

#define AGENT_SECRET "s3cret"

typedef enum agent_event {
    AGENT_NOTHING,
    AGENT_CREDENTIALS,
    AGENT_DESTINATION,
    AGENT_DIAL,
    AGENT_UP,
    AGENT_DOWN,
    AGENT_STREAM_OPEN,
    AGENT_STREAM_CLOSE,
    AGENT_DRAINED,
    AGENT_CONNECTION,
    AGENT_GONE, /* a held question */
    AGENT_EVENTS
} agent_event_t;

/* How a question is answered. */
typedef enum agent_policy {
    AGENT_UNASKED, /* no callback */
    AGENT_ALLOW,   /* with world.fields; on_dial: with world.connection */
    AGENT_DENY,    /* with world.reason */
    AGENT_HOLD,    /* not yet: world.held */
    AGENT_MISFIT   /* by an answer to another question */
} agent_policy_t;

typedef struct agent_world agent_world_t;

struct agent_world {
    test_env_t env; /* the first member: the context's callbacks get it */
    wst_ctx_t *peers;
    size_t peers_closed;
    char address[64]; /* that the agent is to dial */

    wst_server_t *server;
    wst_server_options_t server_options;
    wst_server_callbacks_t server_callbacks;
    wst_server_limits_t server_limits;
    size_t server_ups, server_downs, server_closed;
    int down_error; /* of the last on_agent_down */

    wst_agent_t *agent;
    wst_agent_options_t options;
    wst_rules_t *rules; /* of the options: loopback, where all peers are, is allowed, too */
    const char *path;   /* in its URL, which is made if the options have none */
    agent_policy_t credentials, destinations, dials;
    const char *fields, *reason;
    wst_stream_t *connection;
    wst_request_t *held; /* the last one, until it is gone */
    agent_event_t close_in, drain_in;
    void (*act)(agent_world_t *w, agent_event_t event);
    bool busy, close_called;
    size_t closed;
    bool restart; /* makes another agent in close_cb */

    size_t seen[AGENT_EVENTS];
    wst_agent_failure_t failure; /* the last one; its text: */
    char detail[256];
    char destination[300]; /* of the last question or notice about one */
    char question_peer[96];
    uint64_t conns;               /* a bit for each connection that is up */
    size_t conns_up, conn_losses; /* connections up now, and times that one was not */
    uint32_t conn;                /* of the last notice about one, and its URL */
    char conn_url[128];
    int open_status, close_status;
    uint64_t bytes_to_destination, bytes_to_server;

    size_t lines;     /* of the log, at all levels */
    int many_status;  /* of "many.test"; 0: 127.0.0.N, for each of */
    uint8_t many[20]; /* these, ended by 0 */
    size_t many_asked;
    wst_lookup_t *stuck[8]; /* of names that begin with "stuck" */
    size_t stuck_count;
};

/* Contexts and options: name "probe", small times, all destinations allowed, no callback that asks.
 * No agent, no server. */
void agent_world_open(agent_world_t *w);

/* Closes the agent and the server if they are there; nothing may be left then. */
void agent_world_free(agent_world_t *w);

/* The server, at `address` ("127.0.0.1:0" if it is ""), which is that of the agent then. */
void agent_world_serve(agent_world_t *w);
/* Closes it and waits for the end. */
void agent_world_stop_serving(agent_world_t *w);

/* Makes the agent. The result of wst_agent_new. */
int agent_world_try_start(agent_world_t *w);
void agent_world_start(agent_world_t *w);    /* must succeed */
void agent_world_start_up(agent_world_t *w); /* must come up at the server, too */
void agent_world_close_agent(agent_world_t *w);
void agent_world_drain_agent(agent_world_t *w);

/* Runs the loop until the event has been seen so often; or until the agent is closed. */
void agent_world_until(agent_world_t *w, agent_event_t event, size_t count);
void agent_world_until_closed(agent_world_t *w);

/* Lets time pass for the agent's deadlines. */
void agent_world_pass(agent_world_t *w, uint64_t ms);

#endif
