/* SPDX-License-Identifier: MIT */
#ifndef TEST_SERVER_WORLD_H
#define TEST_SERVER_WORLD_H
/*
 * A server on a loopback port, clients that speak raw bytes, and agents that do what they are told.
 * What the server tells is kept as text, a line each notice.
 */
#include "env.h"

#include "link.h"
#include "tunnel.h"

#include <wstunnel/access.h>
#include <wstunnel/server.h>

/* How a question is answered. */
typedef enum policy {
    ALLOW,  /* at once; on_choose: the first agent */
    DENY,   /* at once: world.deny_status & co */
    HOLD,   /* not yet: world.held */
    ACCESS, /* by world.access */
    UNASKED /* no callback */
} policy_t;

typedef struct world {
    test_env_t env;
    wst_server_t *server;
    wst_server_options_t options;
    policy_t clients, agents, choice, reached;
    int deny_status;
    const char *deny_reason, *deny_fields;
    char address[64]; /* the first one */

    wst_access_t *access;                                  /* freed with the world */
    const char *agent_name, *agent_tenant, *client_tenant; /* said when they are allowed */

    wst_request_t *held;
    char question[128]; /* the last one: destination and user */
    size_t client_questions, agent_questions, choice_questions, reached_questions;
    char reached_what[128];             /* address and agent of the last one */
    size_t gone;                        /* held questions that were taken back */
    void (*in_choice)(struct world *w); /* before the answer */
    char close_at;                      /* closes the server in this callback: see server_world.c */
    char notices[4096];
    size_t ups, downs, opens, closes, refusals, drained;
    wst_stream_info_t last_close; /* its figures; no strings */
    char last_refusal[512];       /* its user|tenant|agent|address|error|detail */
    wst_remote_t *last_up;
    bool close_called;
    size_t closed;
} world_t;

/* Options and policies at their simplest: no callback asks, and nobody is refused. */
void server_world_init(world_t *w);

/* Makes the server and listens with all roles. */
void server_world_start(world_t *w);
bool server_world_try_start(world_t *w); /* false: an allocation failed */
void server_world_open(world_t *w);      /* both */

/* Closes everything; nothing may be left then. */
void server_world_close(world_t *w);
void server_world_free(world_t *w);

/* Runs the loop until the notices contain a text. */
void server_world_until_notice(world_t *w, const char *text);
/* Runs the loop until the server has so many connections. */
void server_world_until_connections(world_t *w, size_t n);
void server_world_assert_notice(const world_t *w, const char *text);

/* -- A client, raw -- */

typedef struct client {
    world_t *w;
    wst_stream_t *stream;
    char got[65536];
    size_t got_len;
    size_t ended;  /* the server has finished sending */
    size_t broken; /* or has reset the connection */
    size_t closed, connected;
} client_t;

void client_open(world_t *w, client_t *c);
void client_open_at(world_t *w, client_t *c, const char *address);
void client_use(world_t *w, client_t *c, wst_stream_t *stream);
void client_say(client_t *c, const char *text);
void client_send(client_t *c, const void *data, size_t len);
void client_end(client_t *c);
/* What comes next is exactly this, or contains that; it is forgotten then. */
void client_expect(client_t *c, const char *text);
void client_expect_end(client_t *c);
void client_expect_reset(client_t *c);
/* Says a request and gets an answer, which ends the connection. */
void client_ask(world_t *w, const char *request, const char *answer);
void client_close(client_t *c); /* by RST, and waits until it is gone */

/* Opens a tunnel to "host:22"; the agent accepts. */
void client_connect(world_t *w, client_t *c);

/* -- An agent, on a link -- */

typedef enum treatment { ACCEPT, REFUSE, KEEP } treatment_t;

typedef struct agent {
    world_t *w;
    const char *fields; /* of its upgrade request; NULL: none */
    wst__link_t *link;
    wst_hello_t hello;
    treatment_t treatment;
    int reason; /* refused with this */
    const char *text;
    const char *address;       /* told when it accepts */
    wst__incoming_t *incoming; /* kept */
    wst_stream_t *stream;      /* the last one accepted */
    char destination[WST_DEST_MAX + 1];
    char got[65536];
    size_t got_len, stream_ended, stream_broken, streams_closed;
    size_t asked, cancelled;
    size_t connected, up, goaways, down, closed;
    int down_error;
    char detail[200];
} agent_t;

/* Of that name; instance, conn 0, epoch 1. */
void agent_init(world_t *w, agent_t *a, const char *name, uint8_t instance);
void agent_start(agent_t *a);                           /* does not wait */
void agent_start_from(agent_t *a, const char *address); /* likewise; an IPv4 address of this host */
void agent_open(world_t *w, agent_t *a, const char *name, uint8_t instance); /* waits: up */
void agent_close(agent_t *a); /* at once, and waits until it is gone */
void agent_expect(agent_t *a, const char *text);

#endif
