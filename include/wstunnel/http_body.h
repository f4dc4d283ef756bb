/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_HTTP_BODY_H
#define WSTUNNEL_HTTP_BODY_H
/**
 * @file http_body.h
 * Finds the end of the body of an HTTP/1 message (RFC 9112 sections 6 and 7): walks over the bytes
 * behind a head as they arrive, without copying, keeping or changing them. A forwarder learns how
 * many bytes belong to the message, chunk framing included, and passes on exactly these; a reader
 * of the content learns which of them are payload.
 *
 * The chunked coding is read strictly, since leniency has been abused for request smuggling.
 * Refused: a line end other than CR LF, white space around sizes and extensions, sizes that do not
 * fit into 63 bits or have more than 16 digits, malformed extensions and trailer fields, folded
 * trailer fields. So every receiver that follows the RFC finds the end of such a body in the same
 * place.
 */
#include <wstunnel/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most bytes of the line before a chunk: its size and extensions, with the CR LF. */
#define WST_HTTP_CHUNK_LINE_MAX 1024

/** Most bytes behind the last chunk: all trailer fields and the empty line. */
#define WST_HTTP_TRAILER_MAX 8192

/** How the end of a body is marked (RFC 9112 section 6.3). */
typedef enum wst_http_framing {
    WST_HTTP_NO_BODY,    /**< the message has no body, whatever the head says */
    WST_HTTP_LENGTH,     /**< Content-Length */
    WST_HTTP_CHUNKED,    /**< the last chunk and the trailer section behind it */
    WST_HTTP_UNTIL_CLOSE /**< the end of the connection; responses only */
} wst_http_framing_t;

/** A body that is being read. Owns no memory and may be copied. Do not write to its members. */
typedef struct wst_http_body {
    wst_http_framing_t framing; /**< how its end is marked */
    bool complete;              /**< further bytes do not belong to this message */
    bool forbidden_trailer;  /**< a trailer field is one that only a head may have, as it concerns
                                  framing, routing, authentication or the processing of content
                                  (RFC 9110 section 6.5.1); the next receiver might obey it */
    uint64_t payload_length; /**< bytes of payload so far */
    const char *error;       /**< after WST_EHTTP: what is wrong, static text for people */
    /** @privatesection */
    uint64_t left;      /* bytes of payload to come, of the body or of this chunk */
    unsigned line_len;  /* bytes of this chunk's line, or of the trailer section */
    unsigned char step; /* what is expected next */
    unsigned char name_len;
    char name[20]; /* of the trailer field, as far as it fits */
} wst_http_body_t;

/** Starts the body of a request. A CONNECT has none: the bytes behind its head are the tunnel's. */
WST_EXTERN void wst_http_body_request(wst_http_body_t *body, const wst_http_head_t *request);

/**
 * Starts the body of a response to a request of that method. Responses to HEAD, responses 1xx, 204
 * and 304, and responses 2xx to CONNECT have none. A 101 and a 2xx to CONNECT are followed by
 * another protocol, other 1xx by another response.
 */
WST_EXTERN void wst_http_body_response(wst_http_body_t *body, const wst_http_head_t *response,
                                       wst_str_t method);

/**
 * Walks over the next bytes behind the head, each byte once, to the end of the bytes or of the
 * message. Once the message is complete no more bytes are taken.
 *
 * @param payload  NULL: walk to the end. Else the walk stops behind the first payload and sets
 *                 `*payload` to it; length 0: there was none. Call again for the rest, until all
 *                 bytes are taken or the body is complete.
 * @return the number of bytes taken, which belong to the message; or WST_EHTTP, then in all further
 *         calls too. With `payload`, payload before a fault is delivered first.
 */
WST_EXTERN WST_MUST_CHECK int wst_http_body_walk(wst_http_body_t *body, const char *buf, size_t len,
                                                 wst_str_t *payload);

/**
 * Reports the orderly end of the connection, which completes a body of WST_HTTP_UNTIL_CLOSE.
 * @return 0 if the body is complete, else WST_EHTTP: it is truncated.
 */
WST_EXTERN WST_MUST_CHECK int wst_http_body_end(wst_http_body_t *body);

#ifdef __cplusplus
}
#endif
#endif
