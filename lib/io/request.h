/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REQUEST_H
#define WST_LIB_REQUEST_H
/*
 * The inside of a question to the embedder: asked once, answered once, under a deadline; the
 * embedder is told if the asker goes. The asker's function never runs from inside
 * wst_request_allow & co.
 */
#include "ctx.h"

#include <wstunnel/request.h>

enum { WST__CREDENTIAL_LEN = 32 };

/* Bounds of a user's and of a tenant's name, in bytes. */
enum { WST__USER_MAX = 127, WST__TENANT_MAX = 127 };

/* How a request ended. */
typedef enum wst__answer_kind {
    WST__ALLOWED,
    WST__DENIED,
    WST__CHOSEN,
    WST__CONNECTED,
    WST__UNANSWERED /* the deadline passed */
} wst__answer_kind_t;

typedef struct wst__answer {
    wst__answer_kind_t kind;
    int status;                /* denied: HTTP status; connected: error or 0 */
    const char *reason;        /* denied: NULL or text */
    const char *fields;        /* allowed, denied: NULL or header lines */
    const char *error;         /* denied: NULL or a proxy error type of RFC 9209 */
    const char *claimed_user;  /* denied: wst_request_denial.claimed_user or "" */
    const char *cause;         /* denied: wst_request_denial.cause or "" */
    const char *user;          /* wst_request_set_user or "" */
    const char *tenant;        /* likewise */
    const uint8_t *credential; /* wst_request_set_credential or zeros */
    const char *const *labels; /* wst_request_set_labels or NULL */
    wst_remote_t *remote;      /* chosen, ... */
    const char *networks;      /* ... and wst_request_set_networks or NULL, */
    bool early;                /* wst_request_allow_early */
    wst_stream_t *stream;      /* connected: belongs to the asker now */
} wst__answer_t;

/* The answer is valid during the call; the request is gone afterwards. */
typedef void (*wst__answer_cb)(const wst__answer_t *answer, void *user_data);

typedef struct wst__ask {
    const wst_http_head_t *head;   /* NULL, or valid until the answer or cancel */
    const wst_auth_basic_t *login; /* likewise: given by another way than a head */
    const char *destination, *peer, *user, *tenant, *address; /* copied; may be NULL */
    bool authenticated;                                       /* user and tenant are verified */
    wst_remote_t *remote;
    const struct wst_tls_info *tls;
    uint64_t timeout_ms; /* 0: WST__STEP_TIMEOUT_MS */
    wst__answer_cb on_answer;
    void *user_data;
} wst__ask_t;

/*
 * Makes a request; hand it to the embedder's callback then. 0 or WST_ENOMEM. on_answer runs once,
 * from the loop or from wst__request_settle, unless cancelled.
 */
int wst__request_new(wst_request_t **out, wst_ctx_t *ctx, const wst__ask_t *ask);

/*
 * Right after the embedder's callback: if that has answered, on_answer runs in here, unless the
 * answer is held back. The request may have been cancelled, too. It may be gone on return.
 */
void wst__request_settle(wst_request_t *request);

/* The asker's user_data if `on_answer` is its function; else NULL. */
void *wst__request_asker(const wst_request_t *request, wst__answer_cb on_answer);

/* The asker goes: tells the embedder (on_gone); on_answer will not run. */
void wst__request_cancel(wst_request_t *request);

#endif
