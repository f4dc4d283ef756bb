/* SPDX-License-Identifier: MIT */
/* Connections that one process passes to another (passing.h). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MSG_CMSG_CLOEXEC */
#endif
#include "passing.h"

#include "sockopt.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MESSAGES_PER_TURN = 16 }; /* then other handles have their turn */

/* Both keep messages apart; macOS has only the second one, which does not tell that the other side
 * is gone. */
#ifdef __APPLE__
enum { MESSAGES = SOCK_DGRAM };
#else
enum { MESSAGES = SOCK_SEQPACKET };
#endif

/* Without them, descriptors are closed on exec a moment later, and SIGPIPE is the program's to
 * ignore. */
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

struct wst__passing {
    wst_ctx_t *ctx;
    uv_poll_t poll;
    int fd;
    wst__passing_cb on_message;
    void *user_data;
};

/* Pairs -------------------------------------------------------------------------------------- */

static int make_pair(int pair[2], int type) {
    if (socketpair(AF_UNIX, type, 0, pair) != 0)
        return uv_translate_sys_error(errno);
    int status = wst__sockopt_prepare(pair[0]);
    if (status == 0)
        status = wst__sockopt_prepare(pair[1]);
    if (status == 0)
        return 0;
    close(pair[0]);
    close(pair[1]);
    return status;
}

int wst__passing_pair(int pair[2]) {
    return make_pair(pair, MESSAGES);
}

int wst__passing_connection(int pair[2]) {
    return make_pair(pair, SOCK_STREAM);
}

/* Messages ----------------------------------------------------------------------------------- */

/* Room for one descriptor, aligned. */
typedef union control {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(int))];
} control_t;

int wst__passing_send(int fd, const void *data, size_t len, int passed) {
    struct iovec part = {.iov_base = (void *)data, .iov_len = len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    control_t control;
    memset(&control, 0, sizeof(control));
    if (passed >= 0) {
        message.msg_control = control.room;
        message.msg_controllen = sizeof(control.room);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &passed, sizeof(int));
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL) >= 0 ? 0 : uv_translate_sys_error(errno);
}

/* The descriptor of a message, or -1: more than one do not fit. */
static int passed_with(struct msghdr *message) {
    int passed = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len >= CMSG_LEN(sizeof(int)))
        memcpy(&passed, CMSG_DATA(header), sizeof(int));
    return passed;
}

ssize_t wst__passing_receive(int fd, void *data, size_t size, int *passed) {
    struct iovec part = {.iov_base = data, .iov_len = size};
    control_t control;
    memset(&control, 0, sizeof(control));
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof(control.room)};
    *passed = -1;
    ssize_t len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (len < 0)
        return uv_translate_sys_error(errno);
    *passed = passed_with(&message);
    int status = *passed >= 0 ? wst__sockopt_prepare(*passed) : 0;
    if ((message.msg_flags & MSG_TRUNC) != 0)
        status = UV_EMSGSIZE;
    if (status == 0)
        return len;
    if (*passed >= 0)
        close(*passed);
    *passed = -1;
    return status;
}

/* The receiver ------------------------------------------------------------------------------- */

static bool is_passing_closed(const wst__passing_t *p) {
    return uv_is_closing((const uv_handle_t *)&p->poll) != 0;
}

/* Receives the next one. Returns whether to continue. A message that is too long is skipped. */
static bool receive_one(wst__passing_t *p) {
    char data[WST__PASSING_MAX];
    int passed;
    ssize_t len = wst__passing_receive(p->fd, data, sizeof(data), &passed);
    if (len == UV_EAGAIN)
        return false;
    if (len == UV_EINTR || len == UV_EMSGSIZE)
        return true;
    if (len > 0) {
        p->on_message(passed, data, (size_t)len, p->user_data);
        return !is_passing_closed(p);
    }
    if (passed >= 0)
        close(passed);
    uv_poll_stop(&p->poll);
    p->on_message(-1, NULL, 0, p->user_data);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events) {
    wst__passing_t *p = poll->data;
    (void)events, (void)status; /* what is wrong, recvmsg tells as well */
    wst__turns_woken(&p->ctx->turns);
    for (int i = 0; i < MESSAGES_PER_TURN && receive_one(p); i++)
        ;
}

int wst__passing_new(wst__passing_t **out, wst_ctx_t *ctx, int fd, wst__passing_cb on_message,
                     void *user_data) {
    wst__passing_t *p = wst__zalloc(&ctx->allocator, sizeof(*p));
    if (p == NULL)
        return WST_ENOMEM;
    *p = (wst__passing_t){.ctx = ctx, .fd = fd, .on_message = on_message, .user_data = user_data};
    int status = uv_poll_init(ctx->loop, &p->poll, fd);
    if (status != 0) {
        wst__free(&ctx->allocator, p);
        return status;
    }
    p->poll.data = p;
    wst__ctx_hold(ctx);
    uv_poll_start(&p->poll, UV_READABLE, on_readable);
    *out = p;
    return 0;
}

static void on_poll_closed(uv_handle_t *handle) {
    wst__passing_t *p = handle->data;
    wst_ctx_t *ctx = p->ctx;
    wst__free(&ctx->allocator, p);
    wst__ctx_release(ctx);
}

void wst__passing_close(wst__passing_t *p) {
    if (is_passing_closed(p))
        return;
    uv_close((uv_handle_t *)&p->poll, on_poll_closed);
    close(p->fd);
}
