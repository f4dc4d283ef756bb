/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_PASSING_H
#define WST_LIB_PASSING_H
/*
 * Passes connections from one process to another: as messages with a descriptor (SCM_RIGHTS), by a
 * pair of sockets that one process has from the other. They have no name, so no third process can
 * send or receive. Descriptors are non-blocking and closed on exec.
 */
#include "ctx.h"

enum { WST__PASSING_MAX = 8192 }; /* bytes of a message */

/* Makes such a pair. 0 or libuv's error. */
int wst__passing_pair(int pair[2]);

/* Makes a pair of connected stream sockets, of which one is to be passed. 0 or libuv's error. */
int wst__passing_connection(int pair[2]);

/* Sends a message of at least one byte. `passed`: of which the receiver gets a copy; -1: none. 0;
 * UV_EAGAIN: the receiver has many that it has not read yet; or the error, as of a receiver that is
 * gone. */
int wst__passing_send(int fd, const void *data, size_t len, int passed);

/* Receives a message of up to `size` bytes. `passed` is set to its descriptor, or to -1. Returns
 * the length; 0: the other side is gone (not on macOS); UV_EAGAIN: there is none; UV_EMSGSIZE: it
 * was longer, and is dropped; or the error. */
ssize_t wst__passing_receive(int fd, void *data, size_t size, int *passed);

/* Receives from the loop. */
typedef struct wst__passing wst__passing_t;

/* A message has come; the callback owns the descriptor, -1: none. Or, with `data` NULL, the other
 * side is gone: the last call. It may close the receiver. */
typedef void (*wst__passing_cb)(int passed, const char *data, size_t len, void *user_data);

/* Takes `fd` on success. 0, WST_ENOMEM or libuv's error. */
int wst__passing_new(wst__passing_t **out, wst_ctx_t *ctx, int fd, wst__passing_cb on_message,
                     void *user_data);

void wst__passing_close(wst__passing_t *passing);

#endif
