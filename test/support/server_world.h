/* SPDX-License-Identifier: MIT */
#ifndef TEST_SERVER_WORLD_H
#define TEST_SERVER_WORLD_H
/*
 * A server on a loopback port, clients that speak raw bytes, and agents that do what they are told.
 * What the server tells is kept as text, a line each notice.
 */
#include "env.h"

#include "mux.h"
#include "tunnel.h"

#include <wstunnel/access.h>
#include <wstunnel/admin.h>
#include <wstunnel/server.h>

/* How a question is answered. */
typedef enum server_policy {
    SERVER_ALLOW,  /* at once; on_choose: the first agent */
    SERVER_DENY,   /* at once: world.deny_status & co */
    SERVER_HOLD,   /* not yet: world.held */
    SERVER_ACCESS, /* by world.access */
    SERVER_UNASKED /* no callback */
} server_policy_t;

typedef struct server_world {
    test_env_t env;
    wst_server_t *server;
    wst_server_options_t options;
    wst_server_limits_t limits;
    wst_http_limits_t http;
    server_policy_t clients, agents, choice, reached, logins;
    int deny_status;
    const char *deny_reason, *deny_fields;
    char address[64]; /* the first one */

    wst_access_t *access;                                  /* freed with the world */
    const char *agent_name, *agent_tenant, *client_tenant; /* said when they are allowed */
    const char *const *agent_labels;                       /* likewise */
    bool headless;                                         /* the flows are of no HTTP request */
    bool proxied; /* a proxy tells the addresses of clients and agents */

    wst_request_t *held;
    char question[128]; /* the last one: destination and user */
    size_t client_questions, agent_questions, choice_questions, reached_questions;
    size_t login_questions;
    char login_what[600];                      /* "NAME:PASSWORD" of the last one, or "" */
    char reached_what[128];                    /* address and agent of the last one */
    size_t gone;                               /* held questions that were taken back */
    void (*in_choice)(struct server_world *w); /* before the answer */
    void (*in_agent_request)(struct server_world *w);
    char close_at; /* closes the server in this callback: see server_world.c */
    char notices[4096];
    size_t ups, downs, opens, closes, refusals, drained, suspensions, resumes;
    wst_agent_suspended_info_t last_suspended; /* without the detail */
    wst_agent_resumed_info_t last_resumed;
    wst_stream_info_t last_close; /* its figures; no strings */
    char last_refusal[512];       /* its user|tenant|agent|address|error|detail */
    char last_client[128];        /* the address in the last notice of a stream or refusal */
    char asked_by[128];           /* the address in the last question about a client or agent */
    wst_remote_t *last_up;
    bool admits_operators;
    wst_admin_t *admin;         /* serves them; or NULL */
    wst_stream_t *admin_stream; /* the last one's connection; the test closes it */
    bool close_called;
    size_t closed;
} server_world_t;

/* Options and policies at their simplest: no callback asks, and nobody is refused. */
void server_world_init(server_world_t *w);

/* Makes the server and listens with all roles. */
void server_world_start(server_world_t *w);
bool server_world_try_start(server_world_t *w); /* false: an allocation failed */
void server_world_open(server_world_t *w);      /* both */

/* Closes everything; nothing may be left then. */
void server_world_close(server_world_t *w);
void server_world_free(server_world_t *w);

/* Runs the loop until the notices contain a text. */
void server_world_until_notice(server_world_t *w, const char *text);
/* Runs the loop until the server has so many connections. */
void server_world_until_connections(server_world_t *w, size_t n);
void server_world_assert_notice(const server_world_t *w, const char *text);
void server_world_assert_logged(const server_world_t *w, const char *text); /* the last line */

wst_server_stats_t server_world_stats(const server_world_t *w);
/* Lets the time of the server's deadlines pass. */
void server_world_pass(server_world_t *w, uint64_t ms);

/* What clients and agents share: how they connect, and what comes next, to be forgotten then. */
void server_world_dial(server_world_t *w, const char *address, wst_dial_cb callback,
                       void *user_data);
void server_world_expect(server_world_t *w, char *got, size_t *got_len, const void *bytes,
                         size_t len);

/* -- A client, raw -- */

typedef struct server_client {
    server_world_t *w;
    wst_stream_t *stream;
    char got[65536];
    size_t got_len;
    size_t ended;  /* the server has finished sending */
    size_t broken; /* or has reset the connection */
    size_t closed, connected;
} server_client_t;

void server_client_open(server_world_t *w, server_client_t *c);
void server_client_open_at(server_world_t *w, server_client_t *c, const char *address);
void server_client_use(server_world_t *w, server_client_t *c, wst_stream_t *stream);
void server_client_say(server_client_t *c, const char *text);
void server_client_send(server_client_t *c, const void *data, size_t len);
void server_client_end(server_client_t *c);
/* What comes next is exactly this, or contains that; it is forgotten then. */
void server_client_expect(server_client_t *c, const char *text);
void server_client_expect_bytes(server_client_t *c, const void *bytes, size_t len);
void server_client_expect_end(server_client_t *c);
void server_client_expect_reset(server_client_t *c);
/* Says a request and gets an answer, which ends the connection. */
void server_client_ask(server_world_t *w, const char *request, const char *answer);
void server_client_close(server_client_t *c); /* by RST, and waits until it is gone */

/* Opens a tunnel to "host:22"; the agent accepts. */
void server_client_connect(server_world_t *w, server_client_t *c);

/* -- An agent, on a mux -- */

typedef enum server_treatment {
    SERVER_AGENT_ACCEPT,
    SERVER_AGENT_REFUSE,
    SERVER_AGENT_KEEP
} server_treatment_t;

typedef struct server_agent {
    server_world_t *w;
    const char *fields;    /* of its upgrade request; NULL: none */
    wst__uplink_t *uplink; /* NULL: not connected yet */
    wst_hello_t hello;
    bool resumes;   /* its sessions outlive their connections, if the server lets them */
    int fd;         /* of the connection of one that resumes */
    wst_ctx_t *ctx; /* that it runs on, set before the start; NULL: the server's */
    size_t suspended, resumed;
    server_treatment_t treatment;
    int reason; /* refused with this */
    const char *text;
    const char *address;       /* told when it accepts */
    wst__incoming_t *incoming; /* kept */
    wst_stream_t *stream;      /* the last one accepted */
    char destination[WST_DEST_MAX + 1];
    char got[65536];
    size_t got_len, stream_ended, stream_broken, streams_closed;
    bool forgets; /* what it gets is counted, and not kept */
    size_t forgotten;
    size_t asked, cancelled;
    size_t connected, up, goaways, down, closed;
    int down_error;
    char detail[200];
} server_agent_t;

/* Of that name; instance, conn 0, epoch 1. */
void server_agent_init(server_world_t *w, server_agent_t *a, const char *name, uint8_t instance);
void server_agent_start(server_agent_t *a); /* does not wait */
void server_agent_start_from(server_agent_t *a,
                             const char *address); /* likewise; an IPv4 address of this host */
void server_agent_open(server_world_t *w, server_agent_t *a, const char *name,
                       uint8_t instance); /* waits: up */
/* The same for one that resumes. */
void server_agent_open_lasting(server_world_t *w, server_agent_t *a, const char *name,
                               uint8_t instance, uint32_t conn);
void server_world_open_lasting(server_world_t *w, server_agent_t *a); /* a world with one */
wst_websocket_t *server_agent_websocket(const server_agent_t *a);
/* Ends the connection of one that resumes, without a close frame, and waits: suspended. */
void server_agent_cut(server_agent_t *a);
void server_agent_close(server_agent_t *a);  /* at once, and waits until it is gone */
void server_agent_accept(server_agent_t *a); /* the stream that it has kept */
void server_agent_say(server_agent_t *a, const char *text);
void server_agent_expect(server_agent_t *a, const char *text);
/* The client's stream, which is the agent's last one, carries bytes both ways. */
void server_agent_expect_alive(server_agent_t *a, server_client_t *c);

/* -- Another connection of an agent, by which it wants to continue its session -- */

typedef struct server_attempt {
    server_agent_t *agent;
    const char *fields; /* of its upgrade request, beside the claim; NULL: none */
    wst_hello_t hello;
    wst__resume_field_t claim;
    int fd;
    wst__uplink_t *uplink;
    size_t asked, up, resumed, down, closed; /* asked: hellos of the server */
    int down_error, http_status;
    char detail[200];
    bool closing;
} server_attempt_t;

/* With the agent's hello, the next epoch and a true claim. */
void server_attempt_init(server_agent_t *a, server_attempt_t *t);
void server_attempt_start(server_attempt_t *t); /* does not wait */
void server_attempt_close(server_attempt_t *t); /* at once, and waits until it is gone */
void server_agent_resume(server_agent_t *a);    /* all of that, and waits: resumed */

#endif
