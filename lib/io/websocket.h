/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_WEBSOCKET_H
#define WST_LIB_WEBSOCKET_H
/* WebSockets for the layers above, beyond the public interface: sending many messages at once, and
 * the details of the end. */
#include <wstunnel/websocket.h>

/*
 * Queues a message whose payload begins with `head` (at most 64 bytes, copied). Takes one reference
 * of the slice. Nothing is written before wst__websocket_flush. 0 or an error as of
 * wst_websocket_send.
 */
int wst__websocket_queue(wst_websocket_t *ws, bool text, const void *head, size_t head_len,
                         wst_slice_t payload);

/* Bytes queued and not yet written. */
size_t wst__websocket_queued(const wst_websocket_t *ws);

/* Writes queued messages. 0: all written; WST_WAIT: on_drain follows; or an error. */
int wst__websocket_flush(wst_websocket_t *ws);

/* Limits the kernel's unsent bytes, so that the next message is chosen late. */
void wst__websocket_set_notsent_lowat(wst_websocket_t *ws, size_t bytes);

/* As wst__socket_ack_at_once. */
void wst__websocket_ack_at_once(wst_websocket_t *ws);

/* Bytes that may be written in a turn of the loop; 0: no bound. */
size_t wst__websocket_turn_max(const wst_websocket_t *ws);

/* Bounds the bytes that are read from the network in a turn of the loop, as
 * wst__socket_set_turn_max; TLS may have a tighter bound, and reads a record whole. */
void wst__websocket_set_read_turn(wst_websocket_t *ws, size_t bytes);

/* Segments that TCP has sent again so far; 0 where that is not known. */
uint32_t wst__websocket_retransmits(const wst_websocket_t *ws);

/* Whether messages can be sent: it is open, and neither side has begun to close it. */
bool wst__websocket_is_open(const wst_websocket_t *ws);

/* As wst_websocket_end, with a timeout of its own for the peer's close frame, which comes after the
 * peer has read all frames before ours. */
void wst__websocket_end_within(wst_websocket_t *ws, int code, const char *reason,
                               uint64_t timeout_ms);

/* The close code (RFC 6455, section 7.4.1) to end with because of an error in a message. */
int wst__websocket_code_of(int error);

/* The code of the peer's close frame, 1005 if it held none; 0 without a close frame. */
int wst__websocket_close_code(const wst_websocket_t *ws);

#endif
