/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_HTTP_BODY_H
#define WSTUNNEL_HTTP_BODY_H
/**
 * @file http_body.h
 * Where the body of an HTTP/1 message ends (RFC 9112 sections 6 and 7): walks over the bytes behind
 * a head as they come in, without copying, keeping or changing them. A forwarder learns how many of
 * them belong to the message, chunk framing included, and passes on those very bytes; who wants the
 * content learns which of them are payload.
 *
 * The chunked coding is read strictly, where leniency has been abused for request smuggling.
 * Refused: a line end other than CR LF, white space around sizes and extensions, sizes that do not
 * fit into 63 bits or have more than 16 digits, extensions and trailer fields against their
 * grammar, folded trailer fields. So all who follow the RFC see the end of such a body in the same
 * place.
 */
#include <wstunnel/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes of the line before a chunk: its size and extensions, with the CR LF. */
#define WST_HTTP_CHUNK_LINE_MAX 1024

/** Bytes behind the last chunk: all trailer fields and the empty line. */
#define WST_HTTP_TRAILER_MAX 8192

/** What tells the end of a body (RFC 9112 section 6.3). */
typedef enum wst_http_framing {
    WST_HTTP_NO_BODY,    /**< there is none, whatever the head says */
    WST_HTTP_LENGTH,     /**< Content-Length */
    WST_HTTP_CHUNKED,    /**< the last chunk and the trailer section behind it */
    WST_HTTP_UNTIL_CLOSE /**< the end of the connection; responses only */
} wst_http_framing_t;

/** How far a body has been read. It owns nothing, and may be copied. Read only. */
typedef struct wst_http_body {
    wst_http_framing_t framing;
    bool complete;           /**< what follows is not of this message */
    bool forbidden_trailer;  /**< a trailer field was met that may only stand in a head, since it is
                                  about framing, routing, authentication or how to process the
                                  content (RFC 9110 section 6.5.1); somebody behind might heed it */
    uint64_t payload_length; /**< bytes of payload met so far */
    const char *error;       /**< after WST_EHTTP: what is wrong, static text for people */
    /** @privatesection */
    uint64_t left;      /* bytes of payload to come, of the body or of this chunk */
    unsigned line_len;  /* bytes of this chunk's line, or of the trailer section */
    unsigned char step; /* what is expected next */
    unsigned char name_len;
    char name[20]; /* of the trailer field, as far as it fits */
} wst_http_body_t;

/** Starts on the body of a request. One of CONNECT has none: what follows is for the tunnel. */
WST_EXTERN void wst_http_body_request(wst_http_body_t *body, const wst_http_head_t *request);

/**
 * Starts on the body of a response to a request of that method. There is none for HEAD, in answers
 * 1xx, 204 and 304, and in answers 2xx to CONNECT; behind 101 and those to CONNECT follows another
 * protocol, behind other 1xx another response.
 */
WST_EXTERN void wst_http_body_response(wst_http_body_t *body, const wst_http_head_t *response,
                                       wst_str_t method);

/**
 * Walks over the next bytes behind the head, each byte once, until they or the message end; once
 * that is complete it takes nothing more.
 *
 * @param payload  NULL: go on to the end. Else stop behind the first payload, which `*payload`
 * gets; its length is 0 if none was met. Call again for the rest, until all is taken or the body is
 * complete.
 * @return how many bytes belong to the message, or WST_EHTTP, now and in all further calls (but
 * with `payload`, what precedes the fault is given first)
 */
WST_EXTERN WST_MUST_CHECK int wst_http_body_walk(wst_http_body_t *body, const char *buf, size_t len,
                                                 wst_str_t *payload);

/**
 * The connection has ended in an orderly way: this completes a body that goes on until then.
 * @return 0 if the body is complete, else WST_EHTTP: it is truncated.
 */
WST_EXTERN WST_MUST_CHECK int wst_http_body_end(wst_http_body_t *body);

#ifdef __cplusplus
}
#endif
#endif
