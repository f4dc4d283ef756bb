/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKOPT_H
#define WST_LIB_SOCKOPT_H
/*
 * What libuv has no call for. The options are wishes: a system that lacks one ignores it. Functions
 * that return a descriptor return libuv's (negative) error otherwise.
 */
#include "addr.h"

#include <stdbool.h>

/* Whether closing the descriptor, which the system does if we are killed, sends RST and drops what
 * is unsent. */
void wst__sockopt_reset_on_close(int fd, bool on);

/* TCP_NOTSENT_LOWAT: not writable while more bytes than that wait to be sent. */
void wst__sockopt_notsent_lowat(int fd, size_t bytes);

/* TCP_USER_TIMEOUT: the connection breaks if what was sent is not acknowledged for so long. */
void wst__sockopt_user_timeout(int fd, unsigned ms);

/* What broke the connection and has not been reported by another call yet. 0 or the error. */
int wst__sockopt_error(int fd);

/* A stream socket that is bound and listens; non-blocking, closed on exec. IPv6 takes IPv4 too. */
int wst__sockopt_listen(const wst__addr_t *addr, int backlog);

/* The next connection of a listening socket, non-blocking, closed on exec. */
int wst__sockopt_accept(int fd);

/* Tries to connect to a Unix socket, and hangs up at once. 0 or the error. */
int wst__sockopt_probe(const wst__addr_t *addr);

/* The address at the other end, or our own. 0 or the error. */
int wst__sockopt_peername(int fd, wst__addr_t *addr);
int wst__sockopt_sockname(int fd, wst__addr_t *addr);

#endif
