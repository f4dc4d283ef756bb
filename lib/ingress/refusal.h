/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REFUSAL_H
#define WST_LIB_REFUSAL_H
/*
 * What a client is told when it cannot be served: one table from errors to an HTTP status, a reason
 * phrase (most clients show nothing else), a Proxy-Status (RFC 9209) and a short text. Front ends
 * that speak another protocol map the error code.
 */
#include "request.h"

/* The server's own causes, which have no error code. */
enum wst__cause {
    WST__NO_DECISION = 1, /* a question to the embedder was not answered in time */
    WST__BAD_ANSWER,      /* the answer does not fit the question */
    WST__TOO_MANY_PENDING,
    WST__TOO_MANY_AGENTS,
    WST__DRAINING,
    WST__NOT_OFFERED,     /* a client at an address without that role */
    WST__NEEDS_CONNECT,   /* a scheme that is not forwarded */
    WST__LOOP,            /* a request that has been here before */
    WST__SELF,            /* its destination is this server */
    WST__LAST_HOP,        /* one that may go no further */
    WST__CODING,          /* a transfer coding that is not understood */
    WST__ORIGIN_ENDED,    /* the origin closed before it had answered */
    WST__ORIGIN_MALFORMED /* its answer is no HTTP, or cannot be forwarded */
};

typedef struct wst__refusal {
    int status;         /* HTTP status */
    const char *reason; /* any text; written as a phrase of at most WST__PHRASE_MAX */
    const char *error;  /* RFC 9209 section 2.3: proxy error type */
    bool retry;         /* a retry may succeed soon */
} wst__refusal_t;

/* For an error code of error.h or a cause above. */
wst__refusal_t wst__refusal_of(int error);

/* The code of error.h that stands for it; a code stands for itself. */
int wst__refusal_code(int cause);

/*
 * Whether the embedder said yes: 0 if the answer is of the expected kind, else WST_EDENIED,
 * WST__NO_DECISION or WST__BAD_ANSWER.
 */
int wst__answer_verdict(const wst__answer_t *answer, wst__answer_kind_t expected);

/* For a denial of the embedder: a status that is none becomes 403; `reason` NULL: a standard one.
 */
wst__refusal_t wst__refusal_denied(int status, const char *reason);

enum { WST__PHRASE_MAX = 79, WST__DETAIL_MAX = 256 };

/* The parts of the answer, terminated. */
typedef struct wst__refusal_text {
    char reason[WST__PHRASE_MAX + 1];
    char fields[2 * WST__DETAIL_MAX + 128]; /* complete lines */
    char body[WST__PHRASE_MAX + WST__DETAIL_MAX + 3];
} wst__refusal_text_t;

/*
 * Writes them. `detail` says more, may be empty, and need not be trusted: what may not stand in a
 * header field is replaced, what is too long is cut.
 */
void wst__refusal_write(wst__refusal_text_t *out, const wst__refusal_t *refusal, wst_str_t detail);

#endif
