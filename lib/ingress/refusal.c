/* SPDX-License-Identifier: MIT */
/* The table of refusals (refusal.h), and their text. Error types: RFC 9209 section 2.3. */
#include "refusal.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

enum { RETRY_AFTER_S = 5 };

static const struct row {
    int error;
    wst__refusal_t refusal;
} rows[] = {
    /* The agent's answers about the destination. */
    {WST_EREFUSED, {502, "Connection refused by destination", "connection_refused", false}},
    {WST_EUNREACHABLE, {502, "Destination unreachable", "destination_ip_unroutable", false}},
    {WST_ENAME, {502, "Name of destination not found", "dns_error", false}},
    {WST_ENAMETIMEOUT, {504, "Name lookup of destination timed out", "dns_timeout", false}},
    {WST_EDIALTIMEOUT, {504, "Connection to destination timed out", "connection_timeout", false}},
    {WST_EIDLE, {504, "Connection to destination timed out", "connection_timeout", false}},
    {WST_ERESET, {502, "Connection reset by destination", "connection_terminated", false}},
    {WST_EDENIED, {403, "Destination denied by the agent", "http_request_denied", false}},
    {WST_EFILTERED, {403, "Denied by a rule of the server", "destination_ip_prohibited", false}},
    {WST_EDEST, {400, "Invalid destination", "http_request_error", false}},
    {WST_ECANCELLED, {502, "Connection cancelled by agent", "connection_terminated", false}},
    {WST_EINTERNAL, {502, "Agent failed to connect", "proxy_internal_error", false}},

    /* No agent has answered. */
    {WST_ENOAGENT, {503, "No agent available", "destination_unavailable", true}},
    {WST_EGOAWAY, {503, "Agent is shutting down", "destination_unavailable", true}},
    {WST_ELOST, {503, "Agent lost", "destination_unavailable", true}},
    {WST_ELIMIT, {503, "Agent has too many streams", "connection_limit_reached", true}},
    {WST__AWAY, {503, "Agent is reconnecting", "destination_unavailable", true}},
    {WST_EMEMORY, {503, "Out of memory", "connection_limit_reached", true}},
    {WST_ETIMEOUT, {504, "Agent did not answer in time", "connection_timeout", false}},

    /* The server's own decisions. */
    {WST__NO_DECISION, {504, "No decision in time", "proxy_internal_response", false}},
    {WST__BAD_ANSWER, {500, "Unfit decision", "proxy_internal_error", false}},
    {WST__TOO_MANY_PENDING,
     {503, "Too many connections being opened", "connection_limit_reached", true}},
    {WST__USER_DIALS,
     {429, "Your share of connections being opened is used up", "connection_limit_reached", true}},
    {WST__USER_AGENT_DIALS,
     {429, "Your share of connections the agent is opening is used up", "connection_limit_reached",
      true}},
    {WST__TENANT_DIALS,
     {503, "Your tenant's share of connections being opened is used up", "connection_limit_reached",
      true}},
    {WST__TOO_MANY_FLOWS, {503, "Too many streams", "connection_limit_reached", true}},
    {WST__USER_FLOWS,
     {429, "Your share of the streams is used up", "connection_limit_reached", true}},
    {WST__TENANT_FLOWS,
     {503, "Your tenant's share of the streams is used up", "connection_limit_reached", true}},
    {WST__USER_MEMORY,
     {429, "Your share of the memory budget is used up", "connection_limit_reached", true}},
    {WST__TENANT_MEMORY,
     {503, "Your tenant's share of the memory budget is used up", "connection_limit_reached",
      true}},
    {WST__SOURCE_CONNECTIONS,
     {503, "Too many connections from this source", "connection_limit_reached", true}},
    {WST__SOURCE_MEMORY,
     {503, "Too much memory for connections from this source", "connection_limit_reached", true}},
    {WST__TOO_MANY_AGENTS, {503, "Too many agents", "connection_limit_reached", true}},
    {WST__REVOKED, {403, "No longer allowed", "http_request_denied", false}},
    {WST__DRAINING, {503, "Server is shutting down", "proxy_internal_response", true}},
    {WST__NOT_OFFERED,
     {403, "Clients are not served at this address", "http_request_denied", false}},

    {WST__BY_PROXY,
     {403, "Came by a proxy, but needs no authentication here", "http_request_denied", false}},
    {WST__SELF, {403, "The destination is this proxy", "proxy_loop_detected", false}},

    /* Forwarded requests. */
    {WST_EHTTP, {400, "Malformed body of the request", "http_request_error", false}},
    {WST_EHEADBIG, {431, "Request Header Fields Too Large", "http_request_error", false}},
    {WST__NEEDS_CONNECT, {400, "This scheme needs CONNECT", "http_request_error", false}},
    {WST__LOOP, {502, "Proxy loop detected", "proxy_loop_detected", false}},
    {WST__LAST_HOP, {501, "May not be forwarded further", "proxy_internal_response", false}},
    {WST__CODING, {501, "Transfer coding not supported", "proxy_internal_response", false}},
    {WST__ORIGIN_ENDED,
     {502, "Destination closed without an answer", "connection_terminated", false}},
    {WST__ORIGIN_MALFORMED, {502, "Malformed answer of destination", "http_protocol_error", false}},
};

static const wst__refusal_t *find_refusal(int error) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].error == error)
            return &rows[i].refusal;
    return NULL;
}

wst__refusal_t wst__refusal_of(int error) {
    const wst__refusal_t *found = find_refusal(error);
    if (found == NULL)
        found = find_refusal(wst_reason_of(error)); /* every reason has a row */
    return *found;
}

int wst__refusal_code(int cause) {
    switch (cause) {
    case WST__TOO_MANY_PENDING:
    case WST__USER_DIALS:
    case WST__USER_AGENT_DIALS:
    case WST__TENANT_DIALS:
    case WST__TOO_MANY_FLOWS:
    case WST__USER_FLOWS:
    case WST__TENANT_FLOWS:
    case WST__SOURCE_CONNECTIONS:
    case WST__TOO_MANY_AGENTS:
        return WST_ELIMIT;
    case WST__AWAY:
        return WST_ELOST;
    case WST__USER_MEMORY:
    case WST__TENANT_MEMORY:
    case WST__SOURCE_MEMORY:
        return WST_EMEMORY;
    case WST__DRAINING:
        return WST_EGOAWAY;
    case WST__NOT_OFFERED:
    case WST__REVOKED:
    case WST__BY_PROXY:
    case WST__NO_DECISION: /* the embedder has not allowed it */
    case WST__SELF:
    case WST__LOOP:
        return WST_EDENIED;
    case WST__ORIGIN_ENDED:
        return WST_ERESET;
    case WST__BAD_ANSWER:
        return WST_EINTERNAL;
    default:
        return cause < 0 ? cause : (int)WST_EHTTP;
    }
}

int wst__answer_verdict(const wst__answer_t *answer, wst__answer_kind_t expected) {
    if (answer->kind == expected)
        return 0;
    if (answer->kind == WST__DENIED)
        return WST_EDENIED;
    if (answer->kind == WST__UNANSWERED)
        return WST__NO_DECISION;
    if (answer->stream != NULL) /* the asker owns it all the same */
        wst_stream_close(answer->stream, NULL);
    return WST__BAD_ANSWER;
}

static const char *standard_reason(int status) {
    switch (status) {
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 407:
        return "Proxy Authentication Required";
    case 429:
        return "Too Many Requests";
    case 503:
        return "Service Unavailable";
    default:
        return "Denied";
    }
}

wst__refusal_t wst__refusal_denied(int status, const char *reason) {
    if (status < 400 || status > 599)
        status = 403;
    return (wst__refusal_t){
        .status = status,
        .reason = reason != NULL && reason[0] != '\0' ? reason : standard_reason(status),
        .error = status < 500 ? "http_request_denied" : "proxy_internal_response",
    };
}

/* Copies into a buffer of `size` with '?' for each character that is not printable ASCII. */
static void copy_ascii(char *out, size_t size, wst_str_t text) {
    size_t n = 0;
    for (size_t i = 0; i < text.len && n + 1 < size; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c & 0xc0) != 0x80) /* a UTF-8 character is replaced once: skip the rest */
            out[n++] = c >= ' ' && c < 0x7f ? (char)c : '?';
    }
    out[n] = '\0';
}

/* Copies for a body, which is UTF-8: only control characters are replaced. */
static void copy_line(char *out, size_t size, wst_str_t text) {
    size_t n = text.len < size - 1 ? text.len : size - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        out[i] = c >= ' ' && c != 0x7f ? (char)c : ' ';
    }
    out[n] = '\0';
}

/* The inside of an sf-string (RFC 8941 section 3.3.3) of printable ASCII. `out` has room for twice
 * its length. */
static void escape(char *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *out++ = '\\';
        *out++ = *text;
    }
    *out = '\0';
}

void wst__refusal_write(wst__refusal_text_t *out, const wst__refusal_t *refusal, wst_str_t detail) {
    char details[WST__DETAIL_MAX + 1], quoted[2 * WST__DETAIL_MAX + 1], line[WST__DETAIL_MAX + 1];
    const wst_str_t reason = {refusal->reason, strlen(refusal->reason)};
    copy_ascii(out->reason, sizeof(out->reason), reason);
    if (detail.len == 0)
        detail = reason; /* which may be longer than the phrase */
    copy_ascii(details, sizeof(details), detail);
    copy_line(line, sizeof(line), detail);
    escape(quoted, details);

    int n =
        snprintf(out->fields, sizeof(out->fields),
                 "Proxy-Status: libwstunnel; error=%s; details=\"%s\"\r\n", refusal->error, quoted);
    if (refusal->retry)
        snprintf(out->fields + n, sizeof(out->fields) - (size_t)n, "Retry-After: %d\r\n",
                 RETRY_AFTER_S);
    bool more = strcmp(line, out->reason) != 0;
    snprintf(out->body, sizeof(out->body), "%s\n%s%s", out->reason, more ? line : "",
             more ? "\n" : "");
}

/* Counting ----------------------------------------------------------------------------------- */

/* Types of RFC 9209 that are in the table or that callers name; the last one stands for others. */
static const char *const kinds[WST__REFUSAL_KINDS] = {
    "connection_limit_reached",
    "connection_refused",
    "connection_terminated",
    "connection_timeout",
    "destination_ip_prohibited",
    "destination_ip_unroutable",
    "destination_unavailable",
    "dns_error",
    "dns_timeout",
    "http_protocol_error",
    "http_request_denied",
    "http_request_error",
    "proxy_internal_error",
    "proxy_internal_response",
    "proxy_loop_detected",
    "other",
};

void wst__refusals_count(wst__refusals_t *r, const char *error) {
    size_t i = 0;
    while (i < WST__REFUSAL_KINDS - 1 && strcmp(kinds[i], error) != 0)
        i++;
    r->of_kind[i]++;
    r->count++;
}

bool wst__refusals_nth(const wst__refusals_t *r, size_t n, const char **error, uint64_t *count) {
    if (n >= WST__REFUSAL_KINDS)
        return false;
    *error = kinds[n];
    *count = r->of_kind[n];
    return true;
}
