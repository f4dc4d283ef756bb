/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_SUCCESSION_H
#define EXAMPLES_SUCCESSION_H
/*
 * Starts the program again, perhaps a newer one of the same name, with the same command line, and
 * hands it the listening sockets (sockets.h). The predecessor goes on until its successor listens.
 */
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

enum { SUCCESSION_MAX = 256 }; /* sockets */

/* A socket and what it is for: the address that sockets_take is asked for, or what sockets_passed
 * said of it. */
typedef struct succession_socket {
    int fd;
    const char *text;
} succession_socket_t;

/* The successor listens. Not called if it fails to: that is logged, and nothing has changed. */
typedef void (*succession_cb)(int pid, void *user_data);

/* Starts it. One at a time: while one starts, UV_EALREADY. 0 or libuv's error. A successor that
 * does not listen after a minute is killed. */
int succession_start(uv_loop_t *loop, char **argv, const succession_socket_t *sockets, size_t count,
                     succession_cb on_ready, void *user_data);

/* Whether one starts. */
bool succession_is_under_way(void);

/* Ends a successor that does not listen yet, and closes the handles. */
void succession_cancel(void);

/* In the successor: it listens. Otherwise this does nothing. */
void succession_tell_ready(void);

#endif
