/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_REFUSAL_H
#define WST_LIB_REFUSAL_H
/*
 * The answer to a client that cannot be served: one table maps errors to an HTTP status, a reason
 * phrase (most clients show nothing else), a Proxy-Status (RFC 9209) and a short text. Front ends
 * of other protocols map the error code.
 */
#include "request.h"
#include "uplink.h"

/* The server's own causes, which have no error code. */
enum wst__cause {
    WST__AWAY =
        WST__UPLINK_AWAY,  /* the agent's connection is lost, and has not come back in time */
    WST__NO_DECISION,      /* a question to the embedder was not answered in time */
    WST__BAD_ANSWER,       /* the answer does not fit the question */
    WST__TOO_MANY_PENDING, /* in all; of one user, here, at one agent; of one tenant: */
    WST__USER_DIALS,
    WST__USER_AGENT_DIALS,
    WST__TENANT_DIALS,
    WST__TOO_MANY_FLOWS,
    WST__USER_FLOWS,
    WST__TENANT_FLOWS,
    WST__USER_MEMORY,
    WST__TENANT_MEMORY,
    WST__SOURCE_CONNECTIONS, /* of connections that are closed before a request */
    WST__SOURCE_MEMORY,
    WST__TOO_MANY_AGENTS,
    WST__DRAINING,
    WST__REVOKED,         /* allowed before, but no longer */
    WST__NOT_OFFERED,     /* the address does not serve clients */
    WST__BY_PROXY,        /* a proxy passed it on to where nobody must authenticate */
    WST__NEEDS_CONNECT,   /* the request's scheme is not forwarded */
    WST__LOOP,            /* the request has passed this server before */
    WST__SELF,            /* the destination is this server */
    WST__LAST_HOP,        /* the request's Max-Forwards is 0 */
    WST__CODING,          /* the request's transfer coding is not supported */
    WST__ORIGIN_ENDED,    /* the origin closed before its final response */
    WST__ORIGIN_MALFORMED /* the origin's response is not HTTP, or cannot be forwarded */
};

typedef struct wst__refusal {
    int status;         /* HTTP status */
    const char *reason; /* any text; written as a phrase of at most WST__PHRASE_MAX */
    const char *error;  /* RFC 9209 section 2.3: proxy error type */
    bool retry;         /* a retry may succeed soon */
} wst__refusal_t;

/* The refusal for an error code of error.h or a cause above. */
wst__refusal_t wst__refusal_of(int error);

/* The error code (error.h) of a cause; an error code is returned unchanged. */
int wst__refusal_code(int cause);

/*
 * Judges the embedder's answer: 0 if it is of the expected kind, else WST_EDENIED, WST__NO_DECISION
 * or WST__BAD_ANSWER (a stream in such an answer is closed).
 */
int wst__answer_verdict(const wst__answer_t *answer, wst__answer_kind_t expected);

/* The refusal for a denial by the embedder. A status outside of 400 to 599 becomes 403. `reason`
 * NULL or "": the standard one. */
wst__refusal_t wst__refusal_denied(int status, const char *reason);

enum { WST__PHRASE_MAX = 79, WST__DETAIL_MAX = 256 };

/* The parts of the answer, NUL-terminated. */
typedef struct wst__refusal_text {
    char reason[WST__PHRASE_MAX + 1];
    char fields[2 * WST__DETAIL_MAX + 128]; /* complete header lines */
    char body[WST__PHRASE_MAX + WST__DETAIL_MAX + 3];
} wst__refusal_text_t;

/*
 * Writes the answer's parts. `detail`: more about the cause; may be empty or untrusted: characters
 * not allowed in a header field are replaced, excess length is cut.
 */
void wst__refusal_write(wst__refusal_text_t *out, const wst__refusal_t *refusal, wst_str_t detail);

/* Refusals, by kind. Begins as zeros. */
enum { WST__REFUSAL_KINDS = 16 };
typedef struct wst__refusals {
    uint64_t count, of_kind[WST__REFUSAL_KINDS];
} wst__refusals_t;

/* `error`: as wst_refusal_info.error. */
void wst__refusals_count(wst__refusals_t *refusals, const char *error);

/* Answers wst_server_refusals. */
bool wst__refusals_nth(const wst__refusals_t *refusals, size_t n, const char **error,
                       uint64_t *count);

#endif
