/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_HIJACK_H
#define WSTUNNEL_HIJACK_H
/**
 * @file hijack.h
 * Takes over an HTTP connection: reads the head of a request, then either hands over the connection
 * as a stream, which starts with the bytes received after the head, or answers the request itself.
 */
#include <wstunnel/http.h>
#include <wstunnel/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/** An HTTP connection whose requests are read. */
typedef struct wst_hijack wst_hijack_t;

/** Options of a hijack. */
typedef struct wst_hijack_options {
    size_t size;                     /**< sizeof the struct (common.h) */
    const wst_http_limits_t *limits; /**< Optional: bounds of heads. */
    uint64_t head_timeout_ms;        /**< Optional (default 10000). For the whole head. */
    /**
     * Required. A request's head is complete; it is valid until the connection is taken or
     * answered. Take it, answer it or close, now or later: meanwhile nothing is read, and there is
     * no deadline.
     */
    void (*on_request)(wst_hijack_t *hijack, const wst_http_head_t *head, void *user_data);
    /**
     * Required. No (further) request follows, and the answer, if any, has been sent. Close the
     * hijack. `status` is 0 if the client closed or was answered; WST_EHTTP, WST_EHEADBIG,
     * WST_ETARGETBIG or WST_ETIMEOUT if the library answered 400, 431, 414 or 408 (a connection
     * without any byte is closed silently); else the error of the connection.
     */
    void (*on_done)(wst_hijack_t *hijack, int status, void *user_data);
    void *user_data; /**< For the callbacks here and close_cb. */

    /** Optional. Fields of every answer, the library's own to malformed requests among them, beside
        those of wst_response: complete lines as there. Borrowed for the hijack's life. If they are
        malformed themselves, such a request is not answered: on_done gets WST_EINVAL. */
    const char *fields;
} wst_hijack_options_t;

/**
 * Starts reading a request from a connection. Takes the stream on success, not on error.
 * @return 0, WST_ENOMEM, or WST_EINVAL.
 */
WST_EXTERN WST_MUST_CHECK int wst_hijack_new(wst_hijack_t **out, wst_ctx_t *ctx,
                                             wst_stream_t *connection,
                                             const wst_hijack_options_t *options);

/**
 * Hands over the connection, paused, without callbacks, with the bytes behind the head put back
 * into it. Only while a request is unanswered. The head stays valid until the hijack's close_cb;
 * close the hijack, which no longer touches the connection.
 * @return 0; WST_ESTATE; WST_ENOMEM (the hijack still has the connection).
 */
WST_EXTERN WST_MUST_CHECK int wst_hijack_take(wst_hijack_t *hijack, wst_stream_t **connection);

/** The head of the request that waits for an answer; NULL if none does. */
WST_EXTERN const wst_http_head_t *wst_hijack_request(const wst_hijack_t *hijack);

/** An answer. Strings are copied into it by wst_hijack_respond. */
typedef struct wst_response {
    size_t size;        /**< sizeof the struct (common.h) */
    int status;         /**< Required: 200..599. */
    const char *reason; /**< Required: the reason phrase. */
    /** Optional. Further fields, complete lines: "Name: value\r\n". Date is added if missing. */
    const char *fields;
    /** Optional. Sent with its length, as text/plain; charset=utf-8 unless `fields` have a
        Content-Type. */
    const char *body;
    /** Keep the connection for another request, if the client agrees and no bytes followed the
        head; on_request follows then. Otherwise the answer says `Connection: close`. */
    bool keep_alive;
} wst_response_t;

/**
 * Answers the request. Unless kept alive the connection is then shut down, drained of up to 16 MiB
 * for up to 5 s so that the client can read the answer (RFC 9112 section 9.6), and on_done follows.
 * Bytes after the head are never taken for another request then.
 * @return 0; WST_ESTATE; WST_EINVAL (control characters, too long); WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_hijack_respond(wst_hijack_t *hijack,
                                                 const wst_response_t *response);

/** The connection, for its peer's address; the hijack still owns it. NULL once taken. */
WST_EXTERN const wst_stream_t *wst_hijack_connection(const wst_hijack_t *hijack);

/** Closes the hijack, and the connection unless it was taken: by reset unless an answer has been
    sent. */
WST_EXTERN void wst_hijack_close(wst_hijack_t *hijack, wst_close_cb close_cb);

#ifdef __cplusplus
}
#endif
#endif
