/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_CODEC_H
#define WSTUNNEL_CODEC_H
/**
 * @file codec.h
 * The messages of the tunnel protocol and their two encodings. No I/O. The protocol is specified in
 * lib/PROTOCOL.md; one WebSocket message carries one protocol message.
 *
 *  - JSON (subprotocol `wstunnel.v1.json`): every message is a JSON text in a text message.
 *  - binary (subprotocol `wstunnel.v1.bin`): communication, credit, end, reset and yield are
 *    compact binary messages; the others are JSON texts in text messages, as above. It is an
 *    error to send a message in the other form.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Encoding of messages. */
typedef enum wst_encoding {
    WST_ENCODING_BINARY = 0, /**< subprotocol "wstunnel.v1.bin" */
    WST_ENCODING_JSON = 1    /**< subprotocol "wstunnel.v1.json" */
} wst_encoding_t;

/** Protocol of server and agent. */
typedef enum wst_protocol {
    WST_PROTOCOL_WSTUNNEL = 0, /**< the tunnel protocol */
    /** The protocol of the Go Conference 2022 talk: JSON, no subprotocol, no hello, no ids; a
        WebSocket carries one tunnel. No half-close: the side that ends first breaks off the other
        direction, and such a stream has the status WST_EWSCLOSED there. No reasons, no names, no
        liveness (lib/PROTOCOL.md); options for these have no effect. A library built without it
        (meson: -Dtalk=false) refuses it for servers and agents: WST_EINVAL, and a log line. */
    WST_PROTOCOL_TALK
} wst_protocol_t;

/** The kinds of message; the values are those on the wire. */
typedef enum wst_method {
    WST_MSG_HANDSHAKE = 1,     /**< asks to open a connection to `dest` as stream `id` */
    WST_MSG_COMPLETED = 2,     /**< stream `id` is open, or could not be opened (`error`) */
    WST_MSG_COMMUNICATION = 3, /**< bytes of stream `id` */
    WST_MSG_HELLO = 4,         /**< first message of either side */
    WST_MSG_CREDIT = 5,        /**< bytes `received` in order; the peer may send up to `credit` */
    WST_MSG_END = 6,           /**< no byte follows `offset` (half-close) */
    WST_MSG_RESET = 7,         /**< stream `id` is gone, because of `error` */
    WST_MSG_PING = 8,          /**< to be answered by a pong with the same `seq` */
    WST_MSG_PONG = 9,          /**< answers a ping */
    WST_MSG_GOAWAY = 10, /**< asks for no new streams; `last`: the last one that will be served */
    WST_MSG_YIELD = 11,  /**< gives back the part of `credit` at or beyond `offset` */
    WST_MSG_BYE = 12     /**< the session is over for good, because of `error` */
} wst_method_t;

/** Version of the protocol, sent in hello. */
#define WST_PROTOCOL_VERSION 1

/** Largest grace_ms of a hello: a day. */
#define WST_GRACE_MAX_MS UINT64_C(86400000)

/** Ids, offsets and sequence numbers are below this (2^53), so that every JSON reader copes. */
#define WST_NUMBER_LIMIT UINT64_C(9007199254740992)

#define WST_NAME_MAX         64    /**< bytes of an agent's name */
#define WST_DEST_MAX         272   /**< bytes of a destination: [host]:port, host up to 255 */
#define WST_ERROR_TEXT_MAX   256   /**< bytes of an error's text; longer ones are cut on writing */
#define WST_FRAME_MAX_LIMIT  65536 /**< largest max_frame a hello may state */
#define WST_FRAME_MIN_LIMIT  1024  /**< smallest */
#define WST_BINARY_HEAD_MAX  32    /**< bytes before the payload of a binary communication */
#define WST_JSON_CONTROL_MAX 4096  /**< bytes of a JSON text other than a communication */
/** Largest encoding of a communication with `len` bytes as JSON. */
#define WST_JSON_DATA_MAX(len) (((size_t)(len) + 2) / 3 * 4 + 64)

/** The first message of either side. Unknown features and members are ignored by the receiver. */
typedef struct wst_hello {
    size_t size;             /**< sizeof the struct (common.h) */
    uint32_t version;        /**< WST_PROTOCOL_VERSION; a higher one is answered with ours */
    uint32_t max_frame;      /**< most payload bytes the sender takes in one communication;
                                  WST_FRAME_MIN_LIMIT..WST_FRAME_MAX_LIMIT */
    uint64_t initial_credit; /**< bytes that may be sent on a new stream at once; 1..2^31 */
    uint32_t max_streams;    /**< streams the sender lets the other side have open at a time; 0:
                                  none */
    bool yields;             /**< feature "yield": gives credit back, and takes it back */
    wst_str_t name;          /**< agent: [A-Za-z0-9._-]{1,64}; server: absent */
    uint8_t instance[16];    /**< agent: random per process; 32 hex digits in JSON */
    bool has_instance;       /**< `instance` is set */
    uint32_t conn;           /**< agent: index of this WebSocket among the agent's, from 0 */
    uint64_t epoch;          /**< agent: number of the attempt, rising */
    bool networks;           /**< feature "networks": obeys the networks of a handshake */
    bool resumes;            /**< feature "resume": the session can outlive its WebSocket */

    /** Server, to an agent that can resume (lib/PROTOCOL.md, "Resuming"): the next four are set.
        Without `resumes` they are not. */
    bool has_session;
    uint8_t session[16]; /**< names the session; 32 hex digits in JSON */
    uint8_t secret[32];  /**< by which the agent proves, next time, that the session is its own; 64
                              hex digits in JSON. New with each hello. Wipe it. */
    uint64_t grace_ms;   /**< how long the server keeps the session without a WebSocket; 0: it does
                              not; at most WST_GRACE_MAX_MS */
    bool resumed;        /**< it is the session that the agent asked for */

    bool early; /**< feature "early": takes bytes of a stream that it has not answered yet */
} wst_hello_t;

/** A message. Members that do not belong to its method are zero. */
typedef struct wst_message {
    size_t size;         /**< sizeof the struct (common.h) */
    wst_method_t method; /**< its kind */
    uint64_t id; /**< of the stream, from 1; handshake, completed, communication, credit, end,
                      reset, yield */

    wst_str_t dest; /**< handshake: "host:port", not checked further than its length and characters
                         (no control characters, no spaces) */

    wst_str_t address; /**< completed without an error: the IP address that was reached, without
                            brackets; empty: not told */

    int error;            /**< completed: 0 or a reason (error.h); reset, goaway, bye: a reason.
                               Unknown negative numbers become WST_EINTERNAL on reading */
    wst_str_t error_text; /**< what happened, for people; may be empty */

    const uint8_t *data; /**< communication: `len` > 0 bytes */
    size_t len;          /**< communication: bytes of `data` */

    uint64_t received; /**< credit: offset up to which all bytes have been received; one more once
                            the end has been received too */
    uint64_t credit;   /**< credit: offset up to which the peer may send; yield: the last
                            credit received */
    uint64_t offset;   /**< end: offset at which the direction ends; yield: up to which the sender
                            will send without another credit, at most `credit` */
    uint64_t seq;      /**< ping, pong */
    uint64_t last;     /**< goaway: highest id that will be served, 0: none */

    const wst_hello_t *hello; /**< hello: required; of a decoder valid until its next call */

    wst_str_t networks; /**< handshake: which addresses of the destination may be tried
                             (wst_rules_networks), at most WST_NETWORKS_MAX bytes of printable ASCII
                             without quotation marks and backslashes, not checked further; empty:
                             all. For peers with the feature "networks" */
} wst_message_t;

/**
 * Writes a message into `buf`.
 *
 * Of a binary communication only the head is written; the payload follows it in the same WebSocket
 * message. All other messages are written whole. A buffer of WST_JSON_CONTROL_MAX, or
 * WST_JSON_DATA_MAX(len) for a JSON communication, always suffices.
 *
 * @param text  set to whether the WebSocket message is text (else binary)
 * @return bytes written; WST_EINVAL if the message breaks a rule of the protocol (a range, a
 *         character) or the buffer is too small; WST_ENOMEM
 */
WST_EXTERN WST_MUST_CHECK int wst_message_encode(const wst_message_t *message,
                                                 wst_encoding_t encoding, void *buf, size_t cap,
                                                 bool *text);

/** Reads messages. */
typedef struct wst_decoder wst_decoder_t;

/** Options of a decoder. */
typedef struct wst_decoder_options {
    size_t size;                      /**< sizeof the struct (common.h) */
    wst_encoding_t encoding;          /**< Optional (default binary). */
    const wst_allocator_t *allocator; /**< NULL: the C library's; borrowed for the decoder's life */
    uint32_t max_frame;               /**< Optional (default 65536). Most payload bytes accepted in
                                           a communication, as in our hello. */
} wst_decoder_options_t;

/** Makes a decoder. @return 0, WST_EINVAL or WST_ENOMEM. */
WST_EXTERN WST_MUST_CHECK int wst_decoder_new(wst_decoder_t **out,
                                              const wst_decoder_options_t *options);

/** Frees the decoder. NULL is allowed. */
WST_EXTERN void wst_decoder_free(wst_decoder_t *decoder);

/**
 * Takes in a piece of a WebSocket message; `fin` marks the last piece, the next call starts the
 * next message. `text` is whether the WebSocket message is a text; it is the same for all its
 * pieces.
 *
 * The payload of a binary communication is handed on as it arrives: each piece with payload gives
 * its own message, whose `data` points into the piece. All other messages are gathered whole
 * (bounded by WST_JSON_CONTROL_MAX, or WST_JSON_DATA_MAX(max_frame)) and their pointers point
 * into the decoder. Both kinds are valid until the next call.
 *
 * Ignored (0 is returned at the end of such a message): JSON objects with an unknown method,
 * unknown members, unknown hello features.
 *
 * @return 1: `*message` is filled; 0: nothing yet; WST_EPROTO (malformed, out of range, an empty
 *         communication, ...), WST_EMSGBIG, WST_ENOMEM. These errors are final: every later call
 *         returns the same. WST_EINVAL: `message->size` is not set; the piece was not taken.
 */
WST_EXTERN WST_MUST_CHECK int wst_decoder_push(wst_decoder_t *decoder, bool text,
                                               const uint8_t *piece, size_t len, bool fin,
                                               wst_message_t *message);

/** Text of the last error, for people. Static; "" without an error. */
WST_EXTERN const char *wst_decoder_error_detail(const wst_decoder_t *decoder);

#ifdef __cplusplus
}
#endif
#endif
