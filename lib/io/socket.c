/* SPDX-License-Identifier: MIT */
/*
 * Streams on uv_tcp_t and uv_pipe_t.
 *
 * Reading: a chunk is allocated when libuv is about to read, and released when the bytes have been
 * delivered; its size follows the traffic. Writing: while the context is corked, `out` gathers what
 * is written; else bytes that the kernel takes at once are never queued. The rest waits in `out`,
 * of which one uv_write at a time covers the front. A shutdown waits until `out` is empty. If the
 * peer has reset the connection, the bytes that it sent before can still be read (perhaps the
 * reason of its refusal): a reader gets them, and then the error.
 *
 * Life: made, connected by its owner (dial, accept), then a stream; gone when libuv has closed the
 * handle. libuv completes pending requests before that, and they see a closing handle.
 */
#include "socket.h"
#include "addr.h"
#include "bufq.h"
#include "cork.h"
#include "sockopt.h"
#include "stream.h"

#include <assert.h>

enum {
    READ_MIN = 4096,
    /* The most that is read in a turn of the loop: libuv would fill 32 buffers before others have
     * their turn. So much can wait, for example behind a packet that TCP has sent again. */
    TURN_MAX = 524288,
    FIT_MIN = 16384,     /* chunks larger than this fit what is read */
    SHORT_BYTES = 65536, /* an answer of no more may come with the end of its connection */
    BUSY_BYTES = 1024,
    BUSY_MS = 100,
    WRITE_ROOM = 65536,
    WRITE_SLICES = 64 /* in one system call */
};

/* Kept small: an idle tunnel has one at either end. */
struct wst__socket {
    wst_ctx_t *ctx;
    wst_stream_t *stream; /* NULL until the socket is a stream */
    int broken;           /* the error to tell when all has been read */
    bool failing : 1;     /* it will be told in the next turn: libuv may not read any more */
    bool is_unix : 1;
    bool acks_at_once : 1;  /* wst__socket_ack_at_once */
    bool looks_for_end : 1; /* wst__socket_look_for_end */
    bool shutdown_wanted : 1;
    bool reading;           /* libuv may read on when this is false: socket_read_stop */
    bool declined;          /* to read right now: on_alloc gave libuv no buffer */
    uint64_t busy_until_ms; /* with acks_at_once: until when reads are acknowledged, */
    uint32_t moved;         /* and bytes either way up to the last read */

    uint32_t turn_max; /* bytes that may be read in a turn */
    uint32_t turn_left;
    uint32_t turn; /* in which turn_left holds: the low bits of its number */

    uint32_t read_size; /* of the next chunk */
    uint32_t read_max;  /* the reader's bound, or 0 */
    wst_chunk_t *chunk; /* libuv reads into it right now */

    wst__bufq_t out;
    size_t in_flight; /* bytes of `out` that a pending write covers; 0: none is pending */
    wst__corked_t corked;
    uv_write_t *request; /* NULL: none is pending */
    wst__defer_t defer;
    union { /* last, since a TCP socket has no memory behind `tcp` */
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
};

static bool is_closing(const wst__socket_t *sock) {
    return uv_is_closing(&sock->uv.handle) != 0;
}

static int fd_of(const wst__socket_t *sock) {
    uv_os_fd_t fd;
    return uv_fileno(&sock->uv.handle, &fd) == 0 ? fd : -1;
}

/* Drops unsent bytes, except those that libuv is writing. */
static void drop_queue(wst__socket_t *sock) {
    if (sock->in_flight == 0)
        wst__bufq_reset(&sock->out);
}

/* Ends a broken connection. Reporting the error stops reading, too. */
static void socket_failed(wst__socket_t *sock, int error) {
    drop_queue(sock);
    wst_stream_emit_error(sock->stream, error);
}

static void on_broken(wst__defer_t *defer) {
    wst__socket_t *sock = WST__CONTAINER(defer, wst__socket_t, defer);
    socket_failed(sock, sock->broken);
}

/* Fails in the next turn, so that bytes just read get through: a tunnel drops its bytes when it is
 * reset. */
static void fail_later(wst__socket_t *sock, int error) {
    sock->broken = error;
    sock->failing = true;
    uv_read_stop(&sock->uv.stream);
    wst__defer(sock->ctx, &sock->defer, on_broken);
}

/* Reading ------------------------------------------------------------------------------------ */

/*
 * The largest class of chunks (pool.h) that `size` bytes and what waits in the kernel fill: the
 * reader of such a bound keeps the bytes for a time, and would have to copy them out of a chunk
 * that is half empty.
 */
static size_t fitting(const wst__socket_t *sock, size_t size) {
    size_t waiting = wst__sockopt_readable(fd_of(sock)), fit = FIT_MIN;
    while (2 * fit <= size && 2 * fit <= waiting)
        fit *= 2;
    return fit;
}

/* Whether something may be read in this turn. What is left waits in the kernel, which reports it
 * again in the next one. */
static bool has_turn(wst__socket_t *sock) {
    uint32_t turn = (uint32_t)sock->ctx->turns.count;
    if (turn != sock->turn)
        sock->turn_left = sock->turn_max;
    sock->turn = turn;
    return sock->turn_left > 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf) {
    wst__socket_t *sock = handle->data;
    (void)suggested;
    wst__turns_woken(&sock->ctx->turns);
    buf->len = 0; /* makes libuv report UV_ENOBUFS, and go on to other sockets */
    sock->declined = !sock->reading || !has_turn(sock);
    if (sock->declined)
        return;
    size_t size = sock->read_size < WST__PIECE_MAX ? sock->read_size : (size_t)WST__BATCH_MAX;
    if (sock->read_max > 0 && size > sock->read_max)
        size = sock->read_max;
    if (sock->read_max > 0 && size > FIT_MIN)
        size = fitting(sock, size);
    if (size > sock->turn_left)
        size = sock->turn_left;
    sock->chunk = wst_chunk_new(sock->ctx, size);
    if (sock->chunk == NULL)
        return;
    buf->base = (char *)wst_chunk_data(sock->chunk);
    buf->len = size;
}

/* Doubles the size after a full buffer, halves it after a mostly empty one. */
static void adapt_read_size(wst__socket_t *sock, size_t offered, size_t got) {
    if (got == offered && offered == sock->read_size && sock->read_size < WST__PIECE_MAX)
        sock->read_size *= 2;
    else if (got < offered && got < sock->read_size / 4 && sock->read_size > READ_MIN)
        sock->read_size /= 2;
}

static uint32_t moved(const wst__socket_t *sock, size_t more) {
    return (uint32_t)(sock->stream->bytes_read + sock->stream->bytes_written + more);
}

/* A request and its answer acknowledge each other: packets of their own would only cost. */
static void ack_if_busy(wst__socket_t *sock, size_t len) {
    uint32_t before = sock->moved;
    uint64_t now = wst__now(sock->ctx);
    sock->moved = moved(sock, len);
    if (sock->moved - before >= BUSY_BYTES)
        sock->busy_until_ms = now + BUSY_MS;
    if (now < sock->busy_until_ms)
        wst__sockopt_ack_now(fd_of(sock));
}

/*
 * The error that libuv takes for an end, or 0: a hang-up together with the last bytes is an end to
 * it even if it is a reset (its POLLHUP short cut). The kernel still has the error, or has told it
 * to a write that libuv reports in its next turn. An end that the peer sent before its reset counts
 * as broken, too: the kernel does not tell them apart.
 */
static int error_at_end(const wst__socket_t *sock) {
    int error = wst__sockopt_error(fd_of(sock));
    if (error == 0 && sock->in_flight > 0 && !sock->is_unix && wst__sockopt_is_broken(fd_of(sock)))
        error = UV_ECONNRESET;
    return error;
}

/* `error`: UV_EOF, or why nothing can be read any more. */
static void end_reading(wst__socket_t *sock, int error) {
    if (sock->broken != 0)
        error = sock->broken;
    if (error == UV_EOF)
        error = error_at_end(sock);
    if (error == 0)
        wst_stream_emit_end(sock->stream);
    else
        fail_later(sock, error);
}

/* Behind bytes that were not followed by more. A first question is hardly followed by the end, so
 * it is looked for only when something has been written. */
static void look_for_end(wst__socket_t *sock) {
    const wst_stream_t *stream = sock->stream;
    if (is_closing(sock) || !sock->reading || sock->failing || stream->bytes_written == 0 ||
        stream->bytes_read > SHORT_BYTES)
        return;
    int end = wst__sockopt_at_end(fd_of(sock));
    if (end == 0)
        return;
    uv_read_stop(&sock->uv.stream);
    end_reading(sock, end);
}

static void on_socket_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *buf) {
    wst__socket_t *sock = handle->data;
    wst_chunk_t *chunk = sock->chunk;
    sock->chunk = NULL;
    if (!sock->reading)
        uv_read_stop(handle);
    if (sock->declined || !sock->reading)
        return;
    if (nread > 0) {
        sock->turn_left -= (uint32_t)nread;
        if (sock->acks_at_once)
            ack_if_busy(sock, (size_t)nread);
        adapt_read_size(sock, buf->len, (size_t)nread);
        wst_slice_t data = {chunk, (const uint8_t *)buf->base, (size_t)nread};
        wst__cork(sock->ctx);
        wst_stream_emit_read(sock->stream, data);
        if (sock->looks_for_end && (size_t)nread < buf->len)
            look_for_end(sock);
        wst__uncork(sock->ctx);
    }
    wst_chunk_unref(chunk);
    if (nread < 0)
        end_reading(sock, chunk == NULL && nread == UV_ENOBUFS ? (int)WST_ENOMEM : (int)nread);
}

static void socket_read_start(wst_stream_t *stream, size_t max, void *impl) {
    wst__socket_t *sock = impl;
    (void)stream;
    sock->read_max = max < WST__BATCH_MAX ? (uint32_t)max : (uint32_t)WST__BATCH_MAX;
    if (sock->failing)
        return;
    sock->reading = true;
    int status = uv_read_start(&sock->uv.stream, on_alloc, on_socket_read);
    assert(status == 0 || status == UV_EALREADY);
    (void)status;
}

/* Leaves libuv reading until bytes come: most pauses end before, and each would take two system
 * calls. */
static void socket_read_stop(wst_stream_t *stream, void *impl) {
    wst__socket_t *sock = impl;
    (void)stream;
    sock->reading = false;
    if (sock->broken != 0) /* nothing else would report it */
        fail_later(sock, sock->broken);
}

/* Writing ------------------------------------------------------------------------------------ */

static void on_write(uv_write_t *req, int status);

static uv_buf_t buf_of(wst_slice_t slice) {
    uv_buf_t buf;
    buf.base = (char *)(uintptr_t)slice.data; /* libuv only reads, but lacks the const */
    buf.len = slice.len;
    return buf;
}

/* Whether reading will report the error of a write, behind the bytes that the peer sent before. */
static bool is_told_by_reading(wst__socket_t *sock, int error) {
    if (!wst_stream_reading(sock->stream) || (error != UV_EPIPE && error != UV_ECONNRESET))
        return false;
    if (sock->broken == 0)
        sock->broken = error;
    drop_queue(sock);
    return true;
}

/* The front of `out`, for one system call. Returns how many buffers, `*len` bytes together. */
static unsigned front_of(const wst__socket_t *sock, uv_buf_t bufs[WRITE_SLICES], size_t *len) {
    unsigned count = 0;
    *len = 0;
    while (count < WRITE_SLICES && *len < sock->out.len) {
        wst_slice_t slice = wst__bufq_peek(&sock->out, *len, SIZE_MAX);
        bufs[count++] = buf_of(slice);
        *len += slice.len;
    }
    return count;
}

/* 0 or WST_ENOMEM. */
static int make_request(wst__socket_t *sock) {
    assert(sock->request == NULL);
    sock->request = wst__alloc(&sock->ctx->allocator, sizeof(*sock->request));
    return sock->request != NULL ? 0 : WST_ENOMEM;
}

static void free_request(wst__socket_t *sock) {
    wst__free(&sock->ctx->allocator, sock->request);
    sock->request = NULL;
}

/* Lets libuv write the front of `out`. 0 or an error. */
static int send_queued(wst__socket_t *sock) {
    int status = make_request(sock);
    if (status != 0)
        return status;
    uv_buf_t bufs[WRITE_SLICES];
    size_t len;
    unsigned count = front_of(sock, bufs, &len);
    sock->request->data = sock;
    status = uv_write(sock->request, &sock->uv.stream, bufs, count, on_write);
    if (status == 0)
        sock->in_flight = len;
    else
        free_request(sock);
    return status;
}

static void on_shut_down(wst__defer_t *defer) {
    wst__socket_t *sock = WST__CONTAINER(defer, wst__socket_t, defer);
    int status = wst__sockopt_shut_down(fd_of(sock));
    if (status == UV_ENOTCONN) /* after a reset meanwhile, the socket has no peer */
        status = UV_ECONNRESET;
    if (status != 0) {
        if (!is_told_by_reading(sock, status))
            socket_failed(sock, status);
        return;
    }
    if (!sock->is_unix)
        wst__sockopt_reset_on_close(fd_of(sock), false);
    wst_stream_emit_shutdown(sock->stream);
}

/* Called once all is written: uv_shutdown would wait for another event. It happens in the next
 * turn, so that the connection is reset if its owner closes it before. */
static void shut_down(wst__socket_t *sock) {
    if (sock->broken == 0)
        wst__defer(sock->ctx, &sock->defer, on_shut_down);
}

static void on_write(uv_write_t *req, int status) {
    wst__socket_t *sock = req->data;
    wst__turns_woken(&sock->ctx->turns);
    free_request(sock);
    if (is_closing(sock))
        return;
    wst__bufq_consume(&sock->out, sock->in_flight);
    sock->in_flight = 0;
    bool drained = sock->out.len == 0;
    if (status == 0 && !drained)
        status = send_queued(sock);
    else if (status == 0 && sock->shutdown_wanted)
        shut_down(sock);
    if (status == 0 && drained)
        wst_stream_emit_drain(sock->stream);
    else if (status < 0 && !is_told_by_reading(sock, status))
        socket_failed(sock, status);
}

/*
 * Offers slices to the kernel. `*done` counts the slices taken completely, `*part` the bytes taken
 * of the next one. 0 (also if none was taken) or libuv's error.
 */
static int try_write(wst__socket_t *sock, const wst_slice_t *slices, size_t count, size_t *done,
                     size_t *part) {
    while (*done < count) {
        uv_buf_t bufs[WRITE_SLICES];
        unsigned n = 0;
        size_t offered = 0;
        for (size_t i = *done; i < count && n < WRITE_SLICES; i++) {
            bufs[n++] = buf_of(slices[i]);
            offered += slices[i].len;
        }
        int status = uv_try_write(&sock->uv.stream, bufs, n);
        if (status < 0)
            return status == UV_EAGAIN ? 0 : status;
        size_t taken = (size_t)status;
        *part = taken;
        while (*done < count && *part >= slices[*done].len)
            *part -= slices[(*done)++].len;
        if (taken < offered)
            break;
    }
    return 0;
}

/* Keeps what the kernel has not taken. In compact chunks, unless a slice fills its own: gathered
 * slices may each pin a large chunk. */
static int settle(wst__socket_t *sock) {
    wst_slice_t slice;
    int status = 0;
    for (size_t n = sock->out.count; n > 0 && status == 0; n--) {
        wst__bufq_pop(&sock->out, &slice);
        status = wst__bufq_push(&sock->out, slice);
    }
    return status;
}

/* Writes what has been gathered, the rest by libuv. 0 or an error. */
static int write_gathered(wst__socket_t *sock) {
    int status = 0;
    while (sock->out.len > 0 && status == 0) {
        uv_buf_t bufs[WRITE_SLICES];
        size_t len;
        unsigned count = front_of(sock, bufs, &len);
        int taken = uv_try_write(&sock->uv.stream, bufs, count);
        if (taken < 0)
            status = taken;
        else
            wst__bufq_consume(&sock->out, (size_t)taken);
        if (taken >= 0 && (size_t)taken < len)
            break;
    }
    if (status != 0 && status != UV_EAGAIN)
        return status;
    if (sock->out.len == 0)
        return 0;
    status = settle(sock);
    return status == 0 ? send_queued(sock) : status;
}

static void on_uncork(wst__corked_t *corked) {
    wst__socket_t *sock = WST__CONTAINER(corked, wst__socket_t, corked);
    int status = write_gathered(sock);
    if (status == 0 && sock->out.len == 0 && sock->shutdown_wanted)
        shut_down(sock);
    if (status < 0 && !is_told_by_reading(sock, status))
        socket_failed(sock, status);
}

static bool has_gathered(const wst__socket_t *sock) {
    return !wst__list_empty(&sock->corked.node);
}

/* Behind gathered bytes, too, while others are being uncorked: bytes keep their order. */
static bool is_gathering(const wst__socket_t *sock) {
    return (wst__is_corked(sock->ctx) || has_gathered(sock)) && sock->in_flight == 0 &&
           sock->broken == 0;
}

static int gather(wst__socket_t *sock, const wst_slice_t *slices, size_t count) {
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        if (status == 0)
            status = wst__bufq_push_ref(&sock->out, slices[i]);
        else
            wst_slice_unref(slices[i]);
    }
    wst__cork_add(sock->ctx, &sock->corked);
    if (status != 0 || sock->out.len < WST__BATCH_MAX)
        return status;
    wst__list_remove(&sock->corked.node);
    status = write_gathered(sock);
    if (status < 0)
        return is_told_by_reading(sock, status) ? (int)WST_WAIT : status;
    return sock->out.len > 0 ? WST_WAIT : 0;
}

static int socket_write(wst_stream_t *stream, const wst_slice_t *slices, size_t count, void *impl) {
    wst__socket_t *sock = impl;
    (void)stream;
    if (is_gathering(sock))
        return gather(sock, slices, count);
    size_t done = 0, part = 0;
    int status = 0;
    if (sock->broken != 0)
        status = sock->broken;
    else if (sock->in_flight == 0) /* else earlier bytes come first, even if libuv has sent them */
        status = try_write(sock, slices, count, &done, &part);
    for (size_t i = 0; i < count; i++) {
        wst_slice_t rest = slices[i];
        if (i < done || status < 0) {
            wst_slice_unref(rest);
            continue;
        }
        if (i == done) {
            rest.data += part;
            rest.len -= part;
        }
        status = wst__bufq_push(&sock->out, rest);
    }
    if (status == 0 && sock->out.len == 0)
        return 0;
    if (status == 0 && sock->in_flight == 0)
        status = send_queued(sock);
    return status == 0 || is_told_by_reading(sock, status) ? (int)WST_WAIT : status;
}

static size_t socket_room(const wst_stream_t *stream, const void *impl) {
    const wst__socket_t *sock = impl;
    (void)stream;
    if (is_gathering(sock))
        return WRITE_ROOM;
    return sock->out.len < WRITE_ROOM && sock->broken == 0 ? WRITE_ROOM - sock->out.len : 0;
}

static int socket_shutdown(wst_stream_t *stream, void *impl) {
    wst__socket_t *sock = impl;
    (void)stream;
    sock->shutdown_wanted = true;
    if (sock->out.len == 0)
        shut_down(sock);
    return 0;
}

/* Closing ------------------------------------------------------------------------------------ */

static void on_socket_closed(uv_handle_t *handle) {
    wst__socket_t *sock = handle->data;
    wst_ctx_t *ctx = sock->ctx;
    wst_stream_t *stream = sock->stream;
    wst__bufq_reset(&sock->out);
    wst__free(&ctx->allocator, sock);
    if (stream != NULL)
        wst_stream_closed(stream);
    else
        wst__ctx_release(ctx);
}

static void close_socket(wst__socket_t *sock, bool reset) {
    wst__defer_cancel(&sock->defer);
    if (has_gathered(sock)) { /* as if it had been written at once */
        wst__list_remove(&sock->corked.node);
        (void)write_gathered(sock);
    }
    if (reset && !sock->is_unix)
        wst__sockopt_reset_on_close(fd_of(sock), true);
    uv_close(&sock->uv.handle, on_socket_closed);
}

static void socket_close(wst_stream_t *stream, int reset_reason, void *impl) {
    (void)stream;
    close_socket(impl, reset_reason != 0);
}

void wst__socket_close(wst__socket_t *sock) {
    assert(sock->stream == NULL);
    close_socket(sock, true);
}

/* Making ------------------------------------------------------------------------------------- */

static const wst_stream_ops_t socket_ops = {.size = sizeof(socket_ops),
                                            .read_start = socket_read_start,
                                            .read_stop = socket_read_stop,
                                            .write = socket_write,
                                            .room = socket_room,
                                            .shutdown = socket_shutdown,
                                            .close = socket_close};

int wst__socket_new(wst__socket_t **out, wst_ctx_t *ctx, int family) {
    bool is_unix = family == AF_UNIX;
    size_t handle_size = is_unix ? sizeof(uv_pipe_t) : sizeof(uv_tcp_t);
    wst__socket_t *sock = wst__zalloc(&ctx->allocator, offsetof(wst__socket_t, uv) + handle_size);
    if (sock == NULL)
        return WST_ENOMEM;
    int status = is_unix ? uv_pipe_init(ctx->loop, &sock->uv.pipe, 0)
                         : uv_tcp_init_ex(ctx->loop, &sock->uv.tcp, (unsigned)family);
    if (status != 0) {
        wst__free(&ctx->allocator, sock);
        return status;
    }
    sock->ctx = ctx;
    sock->is_unix = is_unix;
    sock->uv.handle.data = sock;
    sock->read_size = READ_MIN;
    sock->turn_max = sock->turn_left = TURN_MAX;
    wst__bufq_init(&sock->out, &ctx->pool);
    wst__defer_init(&sock->defer);
    wst__list_init(&sock->corked.node);
    sock->corked.uncork = on_uncork;
    wst__ctx_hold(ctx);
    *out = sock;
    return 0;
}

int wst__socket_connect(wst__socket_t *sock, uv_connect_t *request,
                        const struct sockaddr_storage *address, uv_connect_cb cb) {
    assert(!sock->is_unix);
    wst__addr_t addr = {*address, sizeof(*address)};
    wst__sockopt_congestion(fd_of(sock), &addr);
    return uv_tcp_connect(request, &sock->uv.tcp, (const struct sockaddr *)address, cb);
}

uv_pipe_t *wst__socket_pipe(wst__socket_t *sock) {
    assert(sock->is_unix);
    return &sock->uv.pipe;
}

/* Makes the stream of a connected descriptor, which the handle may not own yet. */
static int make_stream(wst__socket_t *sock, int fd) {
    wst__addr_t addr, own;
    int status = wst__sockopt_peername(fd, &addr);
    if (status != 0)
        return status;
    /* The peer of a Unix socket usually has no name; then ours tells more. */
    if (sock->is_unix && addr.len <= sizeof(sa_family_t) && wst__sockopt_sockname(fd, &own) == 0)
        addr = own;
    char peer[WST__ADDR_TEXT];
    wst__addr_text(&addr, peer);
    status = wst_stream_new(&sock->stream, sock->ctx, &socket_ops, sock, peer);
    if (status == 0)
        wst__ctx_release(sock->ctx); /* the stream holds it now */
    return status;
}

/* Ignores failures: such a connection works as well, or is about to fail anyway. */
static void tune(wst__socket_t *sock) {
    if (sock->is_unix || wst__sockopt_tune(fd_of(sock)))
        return;
    uv_tcp_nodelay(&sock->uv.tcp, 1);
    uv_tcp_keepalive(&sock->uv.tcp, 1, WST__KEEPALIVE_S);
    /* Until the shutdown: if we are killed, cut-off data must not look complete. */
    wst__sockopt_reset_on_close(fd_of(sock), true);
}

int wst__socket_stream(wst__socket_t *sock, wst_stream_t **out) {
    int status = make_stream(sock, fd_of(sock));
    if (status != 0)
        return status;
    tune(sock);
    *out = sock->stream;
    return 0;
}

int wst_socket_accept(wst_stream_t **out, wst_ctx_t *ctx, uv_stream_t *server) {
    if (server->type != UV_TCP && server->type != UV_NAMED_PIPE)
        return WST_EINVAL;
    wst__socket_t *sock;
    int status = wst__socket_new(&sock, ctx, server->type == UV_NAMED_PIPE ? AF_UNIX : AF_UNSPEC);
    if (status != 0)
        return status;
    status = uv_accept(server, &sock->uv.stream);
    if (status == 0)
        status = wst__socket_stream(sock, out);
    if (status != 0)
        wst__socket_close(sock);
    return status;
}

static int open_descriptor(wst_stream_t **out, wst_ctx_t *ctx, int fd, bool is_unix, bool tuned) {
    wst__socket_t *sock;
    int status = wst__socket_new(&sock, ctx, is_unix ? AF_UNIX : AF_UNSPEC);
    if (status != 0)
        return status;
    status = make_stream(sock, fd);
    if (status != 0) {
        wst__socket_close(sock);
        return status;
    }
    status = is_unix ? uv_pipe_open(&sock->uv.pipe, fd) : uv_tcp_open(&sock->uv.tcp, fd);
    if (status != 0) {
        wst_stream_close(sock->stream, NULL);
        return status;
    }
    if (!tuned)
        tune(sock);
    *out = sock->stream;
    return 0;
}

int wst_socket_open(wst_stream_t **out, wst_ctx_t *ctx, int fd, bool is_unix) {
    return open_descriptor(out, ctx, fd, is_unix, false);
}

int wst__socket_open_tuned(wst_stream_t **out, wst_ctx_t *ctx, int fd) {
    return open_descriptor(out, ctx, fd, false, true);
}

void wst__socket_set_notsent_lowat(wst_stream_t *stream, size_t bytes) {
    if (stream->ops != &socket_ops)
        return;
    const wst__socket_t *sock = stream->impl;
    if (!sock->is_unix)
        wst__sockopt_notsent_lowat(fd_of(sock), bytes);
}

uint32_t wst__socket_retransmits(const wst_stream_t *stream) {
    if (stream->ops != &socket_ops)
        return 0;
    const wst__socket_t *sock = stream->impl;
    return sock->is_unix ? 0 : wst__sockopt_retransmits(fd_of(sock));
}

void wst__socket_set_turn_max(wst_stream_t *stream, size_t bytes) {
    if (stream->ops != &socket_ops)
        return;
    wst__socket_t *sock = stream->impl;
    sock->turn_max = sock->turn_left = bytes > 0 && bytes < TURN_MAX ? (uint32_t)bytes : TURN_MAX;
}

wst_slice_t wst__socket_take(wst_stream_t *stream, size_t size) {
    assert(!stream->reading && stream->unread == NULL);
    wst_slice_t taken = {0};
    const wst__socket_t *sock = stream->ops == &socket_ops ? stream->impl : NULL;
    /* Asked first, since reading would take an error away from who reads later. */
    if (sock == NULL || wst__sockopt_readable(fd_of(sock)) == 0)
        return taken;
    taken.chunk = wst_chunk_new(sock->ctx, size);
    if (taken.chunk == NULL)
        return taken;
    taken.data = wst_chunk_data(taken.chunk);
    taken.len = wst__sockopt_take(fd_of(sock), wst_chunk_data(taken.chunk), size);
    stream->bytes_read += taken.len;
    return taken;
}

void wst__socket_look_for_end(wst_stream_t *stream) {
    if (stream->ops == &socket_ops)
        ((wst__socket_t *)stream->impl)->looks_for_end = true;
}

void wst__socket_ack_at_once(wst_stream_t *stream) {
    if (stream->ops != &socket_ops)
        return;
    wst__socket_t *sock = stream->impl;
    sock->acks_at_once = !sock->is_unix;
    sock->moved = moved(sock, 0);
}
