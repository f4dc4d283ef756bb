/* SPDX-License-Identifier: MIT */
/*
 * Listeners. They watch their descriptor by uv_poll and accept themselves instead of using
 * uv_listen. So connections stay in the kernel's backlog while a listener is paused, and also when
 * descriptors run out, where libuv would drop them (and, without its spare descriptor, call back
 * for ever without returning to the loop).
 */
#include "listener.h"

#include "addr.h"
#include "ctx.h"
#include "defaults.h"
#include "sized.h"
#include "socket.h"
#include "sockopt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <wstunnel/socket.h>

enum {
    ACCEPTS_PER_TURN = 64, /* then other handles have their turn */
    RETRY_MS = 100,
    DESCRIPTOR_DIGITS = 9 /* fit into an int */
};

struct wst_listener {
    wst_ctx_t *ctx;
    uv_poll_t poll;
    int fd;
    wst__addr_t addr;
    char address[WST__ADDR_TEXT];
    dev_t file_dev; /* of the file that we made for a Unix socket */
    ino_t file_ino;
    bool inherited; /* the socket */
    bool shared;    /* others use the file, too */
    bool tunes;     /* its connections have their options from it */
    void (*on_accept)(wst_listener_t *listener, wst_stream_t *stream, void *user_data);
    wst_close_cb close_cb;
    void *user_data;
    bool paused;           /* by the owner */
    bool leaves_spare;     /* descriptors, to others */
    bool starved;          /* accepting failed and was logged; until the backlog is empty */
    wst__deadline_t retry; /* set: paused until then */
};

static bool is_closing(const wst_listener_t *listener) {
    return uv_is_closing((const uv_handle_t *)&listener->poll) != 0;
}

static const char *path_of(const wst__addr_t *addr) {
    return ((const struct sockaddr_un *)&addr->storage)->sun_path;
}

/* Accepting ---------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events);

/* Watches the descriptor or not, after a change of state. */
static void update_poll(wst_listener_t *listener) {
    if (is_closing(listener))
        return;
    if (listener->paused || listener->retry.set)
        uv_poll_stop(&listener->poll);
    else
        uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

static void on_retry(wst__deadline_t *deadline, uint64_t now_ms) {
    (void)now_ms;
    update_poll(WST__CONTAINER(deadline, wst_listener_t, retry));
}

static void starve(wst_listener_t *listener, const char *why) {
    if (!listener->starved)
        wst_ctx_log(listener->ctx, WST_LOG_WARN, "listener %s: cannot accept: %s; trying again",
                    listener->address, why);
    listener->starved = true;
    wst__deadline_in(listener->ctx, &listener->retry, RETRY_MS, on_retry);
    update_poll(listener);
}

/* Accepts the next connection. Returns whether to continue. */
static bool accept_one(wst_listener_t *listener) {
    if (listener->leaves_spare && wst__sockopt_only_spare(listener->fd)) {
        starve(listener, "the last descriptors are left to other addresses");
        return false;
    }
    int fd = wst__sockopt_accept(listener->fd);
    switch (fd) {
    case UV_EAGAIN:
        listener->starved = false;
        return false;
    case UV_EINTR:
    case UV_ECONNABORTED: /* the connection is gone already */
        return true;
    }
    if (fd < 0) {
        starve(listener, wst_strerror(fd));
        return false;
    }
    wst_stream_t *stream;
    bool is_unix = listener->addr.storage.ss_family == AF_UNIX;
    int status = listener->tunes ? wst__socket_open_tuned(&stream, listener->ctx, fd)
                                 : wst_socket_open(&stream, listener->ctx, fd, is_unix);
    if (status != 0) {
        close(fd);
        if (status != WST_ENOMEM)
            return true; /* not connected any more */
        starve(listener, wst_strerror(status));
        return false;
    }
    listener->on_accept(listener, stream, listener->user_data);
    return true;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    wst_listener_t *listener = poll->data;
    (void)events;
    wst__turns_woken(&listener->ctx->turns);
    if (status < 0) { /* libuv has stopped watching */
        starve(listener, wst_strerror(status));
        return;
    }
    for (int i = 0; i < ACCEPTS_PER_TURN; i++)
        if (!accept_one(listener) || listener->paused || is_closing(listener))
            return;
}

void wst_listener_pause(wst_listener_t *listener) {
    listener->paused = true;
    update_poll(listener);
}

void wst_listener_resume(wst_listener_t *listener) {
    listener->paused = false;
    update_poll(listener);
}

void wst__listener_leave_spare(wst_listener_t *listener, bool leave) {
    listener->leaves_spare = leave;
}

bool wst__listener_is_inherited(const wst_listener_t *listener) {
    return listener->inherited;
}

void wst__listener_share(wst_listener_t *listener) {
    listener->shared = true;
}

/* Binding ------------------------------------------------------------------------------------ */

/* Removes the file of a Unix socket without a listener. Returns whether to bind again. */
static bool remove_stale(const wst__addr_t *addr) {
    struct stat file;
    if (lstat(path_of(addr), &file) != 0 || !S_ISSOCK(file.st_mode))
        return false;
    return wst__sockopt_probe(addr) == UV_ECONNREFUSED && unlink(path_of(addr)) == 0;
}

static int listen_on(wst_listener_t *listener, bool any, int backlog) {
    wst__addr_t *addr = &listener->addr;
    int fd = wst__sockopt_listen(addr, backlog);
    if (fd == UV_EADDRINUSE && addr->storage.ss_family == AF_UNIX && remove_stale(addr))
        fd = wst__sockopt_listen(addr, backlog);
    if (any && (fd == UV_EAFNOSUPPORT || fd == UV_EADDRNOTAVAIL || fd == UV_ENOPROTOOPT)) {
        wst__addr_any4(addr); /* a machine without IPv6 */
        fd = wst__sockopt_listen(addr, backlog);
    }
    return fd;
}

/* Takes over the descriptor of that number. 0 or an error. */
static int inherit(wst_listener_t *listener, const char *number) {
    size_t digits = strspn(number, "0123456789");
    if (digits == 0 || digits > DESCRIPTOR_DIGITS || number[digits] != '\0')
        return WST_EINVAL;
    listener->fd = (int)strtol(number, NULL, 10);
    listener->inherited = listener->shared = true;
    return wst__sockopt_inherit(listener->fd, &listener->addr);
}

/* Sets the descriptor and its address. 0 or an error. */
static int open_socket(wst_listener_t *listener, const char *address, int backlog) {
    static const char prefix[] = "fd:";
    bool any;
    if (strncmp(address, prefix, sizeof(prefix) - 1) == 0)
        return inherit(listener, address + sizeof(prefix) - 1);
    int status = wst__addr_parse(&listener->addr, &any, address);
    if (status == 0)
        status = listen_on(listener, any, backlog);
    if (status < 0)
        return status;
    listener->fd = status;
    return 0;
}

/* Records the socket's name: its port, or the file to remove later. */
static int note_name(wst_listener_t *listener) {
    if (listener->addr.storage.ss_family == AF_UNIX) {
        struct stat file;
        if (!listener->shared && lstat(path_of(&listener->addr), &file) == 0) {
            listener->file_dev = file.st_dev;
            listener->file_ino = file.st_ino;
        }
    } else {
        int status = wst__sockopt_sockname(listener->fd, &listener->addr);
        if (status != 0)
            return status;
    }
    wst__addr_text(&listener->addr, listener->address);
    return 0;
}

/* Removes the file before the descriptor, so as not to mistake a new file of that name for ours. */
static void stop_listening(wst_listener_t *listener) {
    struct stat file;
    if (!listener->shared && listener->addr.storage.ss_family == AF_UNIX &&
        lstat(path_of(&listener->addr), &file) == 0 && file.st_dev == listener->file_dev &&
        file.st_ino == listener->file_ino)
        unlink(path_of(&listener->addr));
    close(listener->fd);
}

int wst_listener_new(wst_listener_t **out, wst_ctx_t *ctx, const wst_listener_options_t *given) {
    wst_listener_options_t options;
    if (wst__sized_read(&options, sizeof(options), given) != 0 || options.address == NULL ||
        options.on_accept == NULL || options.backlog < 0)
        return WST_EINVAL;
    wst_listener_t *listener = wst__zalloc(&ctx->allocator, sizeof(*listener));
    if (listener == NULL)
        return WST_ENOMEM;
    int status = open_socket(listener, options.address,
                             options.backlog > 0 ? options.backlog : WST__BACKLOG);
    if (status != 0)
        goto fail;
    status = note_name(listener);
    if (status == 0)
        status = uv_poll_init(ctx->loop, &listener->poll, listener->fd);
    if (status != 0) {
        if (!listener->inherited) /* else it stays the caller's */
            stop_listening(listener);
        goto fail;
    }
    listener->tunes =
        listener->addr.storage.ss_family != AF_UNIX && wst__sockopt_tune(listener->fd);
    listener->ctx = ctx;
    listener->poll.data = listener;
    listener->on_accept = options.on_accept;
    listener->user_data = options.user_data;
    wst__ctx_hold(ctx);
    update_poll(listener);
    *out = listener;
    return 0;

fail:
    wst__free(&ctx->allocator, listener);
    return status;
}

/* Life --------------------------------------------------------------------------------------- */

const char *wst_listener_address(const wst_listener_t *listener) {
    return listener->address;
}

int wst_listener_descriptor(const wst_listener_t *listener) {
    return listener->fd;
}

bool wst_listener_is_local(const wst_listener_t *listener) {
    return wst__addr_is_local(&listener->addr);
}

static void on_poll_closed(uv_handle_t *handle) {
    wst_listener_t *listener = handle->data;
    wst_ctx_t *ctx = listener->ctx;
    if (listener->close_cb != NULL)
        listener->close_cb(listener->user_data);
    wst__free(&ctx->allocator, listener);
    wst__ctx_release(ctx);
}

void wst_listener_close(wst_listener_t *listener, wst_close_cb close_cb) {
    if (is_closing(listener))
        return;
    listener->close_cb = close_cb;
    wst__deadline_clear(&listener->ctx->deadlines, &listener->retry);
    uv_close((uv_handle_t *)&listener->poll, on_poll_closed);
    stop_listening(listener);
}
