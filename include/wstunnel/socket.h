/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_SOCKET_H
#define WSTUNNEL_SOCKET_H
/**
 * @file socket.h
 * Streams over TCP connections and Unix sockets.
 *
 * Read buffers are small while few bytes arrive and grow up to 256 KiB when many do; an idle stream
 * holds none. A turn of the loop reads at most 512 KiB from each. A write is tried at once. Only
 * the bytes that the kernel does not take are queued, by reference, and the write answers WST_WAIT.
 */
#include <wstunnel/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_stream_s;

/**
 * Takes over an accepted connection of your own libuv listener: call it in the connection callback
 * in place of uv_accept. `server` is a uv_tcp_t or a uv_pipe_t on the context's loop. Sets
 * TCP_NODELAY, keep-alive (60 s) and, until the stream has been shut down, SO_LINGER of 0 s, as
 * wst_socket_open() does: a process that is killed resets its connections. On a Unix socket that
 * has no effect (stream.h).
 * @return 0; WST_ENOMEM (libuv accepts no further connection until this one has been accepted or
 *         dropped: call again later); or libuv's error.
 */
WST_EXTERN WST_MUST_CHECK int wst_socket_accept(wst_stream_t **out, wst_ctx_t *ctx,
                                                struct uv_stream_s *server);

/**
 * Takes over a connected socket (TCP, or Unix if `is_unix`). On success the stream owns the
 * descriptor; on error the caller still does.
 * @return 0, WST_ENOMEM, UV_ENOTCONN, or another error of the system.
 */
WST_EXTERN WST_MUST_CHECK int wst_socket_open(wst_stream_t **out, wst_ctx_t *ctx, int fd,
                                              bool is_unix);

#ifdef __cplusplus
}
#endif
#endif
