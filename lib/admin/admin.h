/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ADMIN_H
#define WST_LIB_ADMIN_H
/*
 * The inside of an admin (wstunnel/admin.h), and of the connections of operators that it serves.
 * What they see of flows and agents is written some at a time, a turn of the loop for each part.
 */
#include "admin_text.h"
#include "attempts.h"
#include "deadline.h"
#include "list.h"
#include "mem.h"

#include <string.h>
#include <uv.h>
#include <wstunnel/admin.h>
#include <wstunnel/auth.h>
#include <wstunnel/error.h>
#include <wstunnel/hijack.h>

enum {
    WST__ADMIN_CONNECTIONS = 32,
    WST__ADMIN_ACCOUNTS = 256,
    WST__ADMIN_GONE = 64,       /* agents that have left */
    WST__ADMIN_RATES = 16384,   /* flows whose last look is kept; a power of two */
    WST__ADMIN_FORM_MAX = 4096, /* bytes */
    WST__ADMIN_PART = 32768,    /* bytes of an answer that are written at a time */
    WST__ADMIN_HEAD_MS = 10000, /* for a head; for a form */
    WST__ADMIN_ANSWER_MS = 120000,
    WST__ADMIN_LINGER_MS = 5000,
    WST__ADMIN_LINGER_MAX = 1 << 20, /* bytes that are read after the last answer */
    WST__ADMIN_NAME = 128,           /* of an account or a tenant, terminated */
    WST__ADMIN_INSTANCE = 33
};

typedef struct wst__admin_account {
    char name[WST__ADMIN_NAME];
    uint8_t password[32]; /* its HMAC by wst_admin.key */
    char tenant[WST__ADMIN_NAME];
    bool read_only;
} wst__admin_account_t;

/* Whose request it is. */
typedef struct wst__admin_operator {
    char name[WST__ADMIN_NAME];   /* "": there are no accounts */
    char tenant[WST__ADMIN_NAME]; /* "": all */
    bool read_only;
} wst__admin_operator_t;

/* An agent that has left. */
typedef struct wst__admin_gone {
    char name[65], instance[WST__ADMIN_INSTANCE], tenant[WST__ADMIN_NAME], address[96], why[128];
    uint64_t at_ms;
} wst__admin_gone_t;

/* The last look at a flow. */
typedef struct wst__admin_rate {
    uint64_t id, bytes, at_ms, rate;
} wst__admin_rate_t;

struct wst_admin {
    wst_allocator_t allocator; /* the context may go first */
    wst_ctx_t *ctx;
    wst_admin_options_t options; /* without accounts */
    wst__admin_account_t *accounts;
    size_t account_count;
    uint8_t key[32];
    wst__attempts_t *attempts; /* NULL: there have been no accounts yet */
    uint64_t since_ms;
    int64_t since; /* in seconds since 1970 */

    wst__list_t conns, turns;      /* turns: of connections that want one, in order */
    size_t conn_count, open_count; /* all; those that are not being closed */
    char *part;                    /* WST__ADMIN_PART bytes, for the connection whose turn it is */
    uint64_t turn;                 /* its number */

    wst__admin_gone_t *gone;  /* a ring; NULL: none has left yet */
    size_t gone_count;        /* so far */
    wst__admin_rate_t *rates; /* by the lower bits of the flow's number; NULL: none yet */

    wst__deadlines_t deadlines;
    uv_timer_t timer;
    uv_idle_t idle; /* active while there are turns */
    size_t handles; /* of libuv, that are not closed yet */
    bool closing;
    wst_close_cb close_cb;
};

/* When the certificate in use expires, in seconds since 1970; INT64_MAX: not known. */
static inline int64_t wst__admin_expiry(const wst_admin_t *a) {
    const wst_admin_options_t *o = &a->options;
    return o->certificate_expires != NULL ? o->certificate_expires(o->user_data) : INT64_MAX;
}

/* Whether operators of the tenant `own` ("": of all) reach what belongs to a tenant. */
static inline bool wst__admin_reaches(const char *own, const char *tenant) {
    return own[0] == '\0' || strcmp(own, tenant) == 0;
}

/* -- admin_agents.c -------------------------------------------------------------------------- */

/* Where a walk over the agents is, which may come and go between its steps. Zeroed: before the
 * first. */
typedef struct wst__admin_walk {
    const wst_remote_t *last; /* visited last; may be gone, unless that was in this turn */
    uint64_t turn;
    char instance[WST__ADMIN_INSTANCE];
    size_t visited;
} wst__admin_walk_t;

/* The next agent that the operator may see; NULL: there is none. Each is visited once; if some go
 * meanwhile, others may be left out. */
wst_remote_t *wst__admin_next_agent(wst__admin_walk_t *walk, const wst_admin_t *admin,
                                    const wst__admin_operator_t *viewer);

/* -- admin_rates.c --------------------------------------------------------------------------- */

/* Looks at a flow or stream that has carried so many bytes in the time that it is open: its rate in
 * bytes per second. */
uint64_t wst__admin_rate(wst_admin_t *admin, uint64_t id, uint64_t bytes, uint64_t open_ms);

/* -- page.c, made of page.html and what it loads --------------------------------------------- */

typedef struct wst__admin_file {
    const char *path, *type;
    const unsigned char *data;
    size_t len;
    bool of_server, of_agent;
} wst__admin_file_t;

extern const wst__admin_file_t wst__admin_files[];
extern const size_t wst__admin_file_count;

/* -- admin_gate.c ---------------------------------------------------------------------------- */

/* Whether a request may be served; how it is to be refused, and how long the answer, whichever, has
 * to be held back. */
typedef struct wst__admin_verdict {
    int status; /* 0: it may */
    const char *reason;
    char fields[128];
    uint64_t wait_ms;
} wst__admin_verdict_t;

/* Judges the client and its credentials; `viewer` is filled in if it may be served. */
void wst__admin_admit(wst__admin_verdict_t *out, wst_admin_t *admin, const wst_http_head_t *head,
                      const char *peer, wst__admin_operator_t *viewer);

/* Why a POST is not one that the operator has meant to send; NULL: it may be. */
const char *wst__admin_forged(const wst_http_head_t *head);

/* -- admin_accounts.c ------------------------------------------------------------------------ */

/* The account of these credentials, or NULL; a time that does not tell which part is wrong. */
const wst__admin_account_t *wst__admin_find_account(const wst_admin_t *admin,
                                                    const wst_auth_basic_t *credentials);

/* -- admin_conn.c ---------------------------------------------------------------------------- */

typedef struct wst__admin_conn wst__admin_conn_t;

/* Writes the next part of an answer: WST__ADMIN_MORE, _FULL (there is no room for it now) or _LAST,
 * or an error. */
typedef int (*wst__admin_step_t)(wst__admin_conn_t *conn, wst__admin_text_t *text);
enum { WST__ADMIN_LAST, WST__ADMIN_MORE, WST__ADMIN_FULL };

/* Counts the descriptors of this process, some at a time. */
typedef struct wst__admin_count {
    uint64_t open, limit, next;
} wst__admin_count_t;

/* Which flows to end: that with a number, or those of a user. Or which stream of an agent. */
typedef struct wst__admin_picking {
    uint64_t id;                  /* 0: any */
    char user[WST__ADMIN_NAME];   /* "": of any */
    char tenant[WST__ADMIN_NAME]; /* "": of any */
    size_t count;                 /* ended */
    char what[512];               /* the last one, for people */
} wst__admin_picking_t;

/* How far a status, the metrics or the work are. */
typedef struct wst__admin_progress {
    unsigned section;
    size_t items; /* written, of the section */
    size_t gone;  /* looked at */
    wst__admin_walk_t agents;
    wst_flow_walk_t *flows;
    size_t connections; /* of an agent, written */
    wst_agent_walk_t *streams;
    wst__admin_count_t descriptors;
} wst__admin_progress_t;

typedef enum wst__admin_state {
    WST__ADMIN_HEAD,   /* the hijack reads */
    WST__ADMIN_HELD,   /* the answer is held back, since passwords were wrong */
    WST__ADMIN_FORM,   /* a form is read */
    WST__ADMIN_WORK,   /* flows are looked through before the answer, some each turn */
    WST__ADMIN_ANSWER, /* an answer is written in parts */
    WST__ADMIN_SENT,   /* an answer has been written, and waits for its way */
    WST__ADMIN_LINGER, /* the last answer has been written */
    WST__ADMIN_CLOSED
} wst__admin_state_t;

struct wst__admin_conn {
    wst__list_t node; /* of conns */
    wst__list_t turn; /* of turns, or unlinked */
    wst_admin_t *admin;
    wst__admin_state_t state;
    wst_hijack_t *hijack; /* HEAD, else NULL */
    wst_stream_t *stream; /* NULL: the hijack has it */
    wst__deadline_t deadline;
    char peer[96];

    /* The request. */
    wst__admin_verdict_t verdict;
    wst__admin_operator_t viewer;
    void (*serve)(wst__admin_conn_t *conn); /* answers it, once its form has been read */
    bool head_only, keep_alive, expects_continue;
    bool drains; /* the server or agent drains once this has been answered */
    int minor_version;
    const wst__admin_file_t *file;
    char form[WST__ADMIN_FORM_MAX];
    size_t form_len, form_due;

    /* The answer. */
    void (*work)(wst__admin_conn_t *conn); /* before it */
    wst__admin_picking_t picking;
    wst__admin_step_t step;
    wst__admin_progress_t progress;
    size_t lingered;
};

/* Makes a connection and reads its first request. Takes the stream on success. 0 or an error. */
int wst__admin_conn_new(wst_admin_t *admin, wst_stream_t *stream);
void wst__admin_conn_close(wst__admin_conn_t *conn);

/* Its turn, in WORK and ANSWER: goes on with the work, or writes the next part of the answer. */
void wst__admin_conn_turn(wst__admin_conn_t *conn);

/* From now on `work` runs in each turn, until it answers. */
void wst__admin_begin_work(wst__admin_conn_t *conn, void (*work)(wst__admin_conn_t *conn));

/* A whole answer. */
typedef struct wst__admin_answer {
    int status;
    const char *reason;
    const char *type;   /* of the body; NULL: text/plain */
    const char *fields; /* complete lines; NULL: none */
    wst_str_t body;     /* .ptr NULL: the reason, as a line */
    bool is_static;     /* the body lives for ever */
} wst__admin_answer_t;

void wst__admin_answer(wst__admin_conn_t *conn, const wst__admin_answer_t *answer);

/* Answers 200, in parts. */
void wst__admin_answer_in_parts(wst__admin_conn_t *conn, const char *type, wst__admin_step_t step);

/* -- admin_route.c --------------------------------------------------------------------------- */

/* Sets the connection's verdict, and what serves the request if it is good. */
void wst__admin_route(wst__admin_conn_t *conn, const wst_http_head_t *head);

/* -- admin.c --------------------------------------------------------------------------------- */

/* A connection is gone. */
void wst__admin_conn_gone(wst_admin_t *admin, wst__list_t *node);

/* Gives the connection a turn. */
void wst__admin_wants_turn(wst__admin_conn_t *conn);

/* -- admin_members.c ------------------------------------------------------------------------- */

/* Write a member of a status; `before` is what stands before its value. A `known` number is null if
 * it is 0. */
void wst__admin_put_text_member(wst__admin_text_t *text, const char *before, const char *value);
void wst__admin_put_number_member(wst__admin_text_t *text, const char *before, uint64_t number);
void wst__admin_put_known_member(wst__admin_text_t *text, const char *before, uint64_t number);

/* What stands before an item of a list. */
void wst__admin_put_comma(wst__admin_text_t *text, wst__admin_conn_t *conn);

/* Goes on to the next section; returns WST__ADMIN_MORE. */
int wst__admin_next_section(wst__admin_conn_t *conn);

/* The first members of a status, behind its bracket. */
void wst__admin_put_beginning(wst__admin_text_t *text, const wst__admin_conn_t *conn,
                              bool draining);

/* The members of its health that tell of the process; descriptors have been counted. */
void wst__admin_put_process(wst__admin_text_t *text, const wst__admin_conn_t *conn);

/* -- admin_families.c ------------------------------------------------------------------------ */

#define WST__ADMIN_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

enum { WST__ADMIN_FAMILY_ROOM = 8192 }; /* of families; the largest is a histogram */

/* `unit`: the end of the name, or NULL. */
void wst__admin_put_family(wst__admin_text_t *text, const char *name, const char *type,
                           const char *unit, const char *help);
void wst__admin_put_sample(wst__admin_text_t *text, const char *name, const char *suffix,
                           uint64_t value);
void wst__admin_put_gauge(wst__admin_text_t *text, const char *name, const char *unit,
                          const char *help, uint64_t value);
void wst__admin_put_counter(wst__admin_text_t *text, const char *name, const char *help,
                            uint64_t value);

/* Goes on to the next family; returns WST__ADMIN_MORE. */
int wst__admin_next_family(wst__admin_conn_t *conn);

/* Steps: the families of the program and of its context. */
int wst__admin_put_program(wst__admin_conn_t *conn, wst__admin_text_t *text);
int wst__admin_put_context(wst__admin_conn_t *conn, wst__admin_text_t *text);

/* -- admin_agent_status.c, admin_agent_metrics.c --------------------------------------------- */

void wst__admin_serve_agent_status(wst__admin_conn_t *conn);
void wst__admin_serve_agent_metrics(wst__admin_conn_t *conn);

/* -- admin_status.c, admin_metrics.c, admin_post.c ------------------------------------------- */

void wst__admin_serve_status(wst__admin_conn_t *conn);
void wst__admin_serve_metrics(wst__admin_conn_t *conn);
void wst__admin_reconnect(wst__admin_conn_t *conn);
void wst__admin_end_flow(wst__admin_conn_t *conn);
void wst__admin_end_agent(wst__admin_conn_t *conn);
void wst__admin_end_user(wst__admin_conn_t *conn);
void wst__admin_end_stream(wst__admin_conn_t *conn);
void wst__admin_drain(wst__admin_conn_t *conn);

/* -- admin_count.c --------------------------------------------------------------------------- */

/* Goes on counting; false: `open` and `limit` are known. */
bool wst__admin_count_descriptors(wst__admin_count_t *count);

#endif
