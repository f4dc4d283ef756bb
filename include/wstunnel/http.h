/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_HTTP_H
#define WSTUNNEL_HTTP_H
/**
 * @file http.h
 * Heads of HTTP/1.0 and HTTP/1.1 messages (RFC 9112), parsed in place: no copy, no allocation, no
 * I/O. Bodies are not looked at.
 *
 * The parser is strict where leniency has been abused for request smuggling. Refused as WST_EHTTP:
 * white space before a field's colon, folded fields, control characters (NUL, bare CR, ...), field
 * names that are not tokens, repeated or malformed Content-Length, Transfer-Encoding together with
 * Content-Length or in HTTP/1.0, a final coding other than "chunked", tabs in these two fields,
 * more than one Host, versions other than 1.0 and 1.1, white space in a request line other than two
 * single spaces. Accepted, because real peers send it: a bare LF as the end of a line, empty lines
 * before a request line (RFC 9112 section 2.2; they and the method must fit into 64 bytes), a
 * request without Host, a status line that ends after the status code.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** More header fields than this make a head too large (WST_EHEADBIG). */
#define WST_HTTP_MAX_HEADERS 100

/** One header field. The name is as sent (compare without case); the value is trimmed. */
typedef struct wst_http_header {
    wst_str_t name;  /**< as sent */
    wst_str_t value; /**< without white space around it */
} wst_http_header_t;

/** A parsed head. All text points into the buffer that was parsed and lives as long as that. */
typedef struct wst_http_head {
    wst_str_t method;       /**< request: GET, CONNECT, ...; case matters */
    wst_str_t target;       /**< request: as sent; see wst_http_parse_target */
    int status;             /**< response: 100..999 */
    wst_str_t reason;       /**< response: may be empty */
    int minor_version;      /**< 0 or 1 */
    bool keep_alive;        /**< the sender lets the connection persist (RFC 9112 section 9.3):
                                 by Connection, Proxy-Connection and version */
    bool chunked;           /**< Transfer-Encoding ends in chunked */
    int64_t content_length; /**< -1: none given */
    size_t header_count;    /**< of `headers` */
    wst_http_header_t headers[WST_HTTP_MAX_HEADERS]; /**< in the order as sent */
    const char *error; /**< after WST_EHTTP: what is wrong, static text for people */
} wst_http_head_t;

/** Bounds of a head; zero members mean the default. */
typedef struct wst_http_limits {
    size_t size;       /**< sizeof the struct (common.h) */
    size_t head_max;   /**< bytes of the whole head, default 16384; beyond: WST_EHEADBIG (431) */
    size_t target_max; /**< bytes of a request target, default 8192; beyond: WST_ETARGETBIG (414) */
} wst_http_limits_t;

/**
 * Parses a request head at the start of `buf`.
 *
 * Incremental: while it returns 0, call again with the same bytes and more behind them (the buffer
 * may have moved). `*scanned`, 0 at first, records how far the end of the head has been searched
 * for, so that even a head that arrives byte by byte costs linear time.
 *
 * @param head    filled on success; on WST_EHTTP only `head->error` is valid
 * @param limits  NULL: defaults
 * @return the length of the head (the bytes behind it belong to the body or the tunnel); 0:
 *         incomplete; WST_EHTTP, WST_EHEADBIG, WST_ETARGETBIG. A line that is certainly wrong may
 *         be refused before the head is complete; a head beyond its bounds always is.
 */
WST_EXTERN WST_MUST_CHECK int wst_http_parse_request(wst_http_head_t *head, const char *buf,
                                                     size_t len, size_t *scanned,
                                                     const wst_http_limits_t *limits);

/** As wst_http_parse_request, for a response head (RFC 9112 section 4). */
WST_EXTERN WST_MUST_CHECK int wst_http_parse_response(wst_http_head_t *head, const char *buf,
                                                      size_t len, size_t *scanned,
                                                      const wst_http_limits_t *limits);

/** The first field of that name (case ignored) behind `after` (NULL: from the start), or NULL. */
WST_EXTERN const wst_http_header_t *wst_http_header(const wst_http_head_t *head, const char *name,
                                                    const wst_http_header_t *after);

/** Whether a comma-separated list holds the token, ignoring case. All fields of that name form one
    list. */
WST_EXTERN bool wst_http_has_token(const wst_http_head_t *head, const char *name,
                                   const char *token);

/** Whether two texts are equal, ignoring ASCII case. */
WST_EXTERN bool wst_str_ieq(wst_str_t a, const char *b);

/** Whether two texts are equal. */
WST_EXTERN bool wst_str_eq(wst_str_t a, const char *b);

/** A host and a port, as in the target of CONNECT. */
typedef struct wst_authority {
    wst_str_t host; /**< without brackets; may be a name, an IPv4 or an IPv6 literal */
    uint16_t port;  /**< 1..65535 */
    bool ipv6;      /**< the host is an IPv6 literal */
} wst_authority_t;

/** Forms of a request target (RFC 9112 section 3.2). */
typedef enum wst_http_form {
    WST_HTTP_ORIGIN,    /**< /path?query */
    WST_HTTP_ABSOLUTE,  /**< "http://host:port/path" */
    WST_HTTP_AUTHORITY, /**< host:port, CONNECT only */
    WST_HTTP_ASTERISK   /**< *, OPTIONS only */
} wst_http_form_t;

/** The parts of a request target; their text points into it. */
typedef struct wst_http_target {
    wst_http_form_t form;      /**< which of the parts there are */
    wst_str_t scheme;          /**< absolute form: as sent */
    wst_authority_t authority; /**< absolute and authority form. In absolute form a missing port is
                                    80, or 443 for https and wss */
    wst_str_t path;            /**< origin and absolute form: path and query; "/" if there is
                                    neither. In absolute form the path alone may be missing: then
                                    the text begins with '?'; add a "/" before you pass it on */
} wst_http_target_t;

/**
 * Splits the target of a parsed request by the rules of its method. Refused: fragments, user
 * information, and in absolute form IPv6 without brackets.
 * @param why  NULL, or set to the fault on error: static text for people
 * @return 0, or WST_EHTTP.
 */
WST_EXTERN WST_MUST_CHECK int wst_http_parse_target(wst_http_target_t *out,
                                                    const wst_http_head_t *head, const char **why);

/**
 * Parses "host:port". Accepted hosts: names (letters, digits, '-', '_', '.', a trailing dot, bytes
 * from 0x80 on: IDNA stays as sent; at most 255 bytes), IPv4, IPv6 in brackets, and IPv6 without
 * them (the last colon splits, as apt sends it). A name whose last label is a number must be an
 * IPv4 address of four numbers, since resolvers take texts like "127.1" for addresses. The port is
 * required (RFC 9110 section 9.3.6).
 * @param why  NULL, or set to the fault on error: static text for people
 * @return 0, or WST_EDEST.
 */
WST_EXTERN WST_MUST_CHECK int wst_parse_authority(wst_authority_t *out, wst_str_t text,
                                                  const char **why);

#ifdef __cplusplus
}
#endif
#endif
