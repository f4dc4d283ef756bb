/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKET_H
#define WST_LIB_SOCKET_H
/*
 * The inside of socket streams, for the makers of sockets: dial and the listener.
 *
 * A socket begins without a stream: make it, connect it (wst__socket_connect, or uv_pipe_connect
 * with its libuv handle, whose `data` is the socket's: use that of the request), then turn it into
 * a stream or close it. The callback of a pending request then gets UV_ECANCELED.
 */
#include "ctx.h"

#include <wstunnel/socket.h>

typedef struct wst__socket wst__socket_t;

/* Makes an unconnected socket of AF_INET, AF_INET6 or AF_UNIX; or of AF_UNSPEC: a TCP socket whose
 * descriptor comes later. 0, WST_ENOMEM, or libuv's error. */
int wst__socket_new(wst__socket_t **out, wst_ctx_t *ctx, int family);

/* As uv_tcp_connect, to an address of the socket's family. */
int wst__socket_connect(wst__socket_t *socket, uv_connect_t *request,
                        const struct sockaddr_storage *address, uv_connect_cb cb);

/* The libuv handle of a Unix socket. */
uv_pipe_t *wst__socket_pipe(wst__socket_t *socket);

/*
 * Turns a connected socket into a stream, paused, with TCP_NODELAY and keep-alive (60 s) set. On
 * success the socket belongs to the stream, on error to the caller still.
 * Returns 0, WST_ENOMEM, or the system's error if it is not connected (any more).
 */
int wst__socket_stream(wst__socket_t *socket, wst_stream_t **out);

/* As wst_socket_open, for a connection of TCP that has its options (wst__sockopt_tune) from its
 * listener. */
int wst__socket_open_tuned(wst_stream_t **out, wst_ctx_t *ctx, int fd);

/* Closes a socket that is not a stream, with a reset if it is connected. It is freed later. */
void wst__socket_close(wst__socket_t *socket);

/*
 * Limits the kernel to about `bytes` unsent bytes, so that the next bytes are chosen late. Does
 * nothing for other kinds of stream, and where the system cannot.
 */
void wst__socket_set_notsent_lowat(wst_stream_t *stream, size_t bytes);

/*
 * During a transfer, acknowledges bytes as soon as they are read. A relay on the way that uses
 * Nagle's algorithm holds back a short segment until the one before is acknowledged. Our messages
 * come in short segments, and may be what the peer needs to send more: with delayed
 * acknowledgements, all would wait for 40 ms. Does nothing for other kinds of stream.
 */
void wst__socket_ack_at_once(wst_stream_t *stream);

/* Reads at most so many bytes in a turn of the loop, and never more than 512 KiB, which 0 stands
 * for. Does nothing for other kinds of stream. */
void wst__socket_set_turn_max(wst_stream_t *stream, size_t bytes);

/*
 * A short answer often comes with the end of its connection: tells both in one turn of the loop, so
 * that they cost a tunnel one message. For an owner to whom the end is no error: bytes that it has
 * just passed on may be lost if it then resets something. Does nothing for other kinds of stream.
 */
void wst__socket_look_for_end(wst_stream_t *stream);

/*
 * Takes what has arrived already, up to `size` bytes, without waiting for the loop to tell; before
 * anybody reads the stream. Returns a slice of a new chunk of `size` bytes, or an empty one:
 * nothing has arrived, there is no memory, or it is another kind of stream.
 */
wst_slice_t wst__socket_take(wst_stream_t *stream, size_t size);

/* Segments that TCP has sent again so far; 0 where that is not known. */
uint32_t wst__socket_retransmits(const wst_stream_t *stream);

#endif
