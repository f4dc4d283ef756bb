/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKOPT_H
#define WST_LIB_SOCKOPT_H
/*
 * Socket calls that libuv lacks. A system without an option ignores it. Functions that return a
 * descriptor return libuv's (negative) error otherwise.
 */
#include "addr.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether closing the descriptor, which the system does if we are killed, sends RST and drops
 * unsent bytes. */
void wst__sockopt_reset_on_close(int fd, bool on);

/* TCP_NOTSENT_LOWAT: not writable while more than `bytes` are unsent. */
void wst__sockopt_notsent_lowat(int fd, size_t bytes);

/* TCP_CONGESTION of a socket that listens on a loopback address, or is about to connect to one:
 * Reno, which what it accepts inherits. BBR, where it is the system's, would set a timer for each
 * 64 KiB, to spare a network that is not there. Does nothing for other addresses, and where the
 * system refuses. */
void wst__sockopt_congestion(int fd, const wst__addr_t *addr);

/* TCP_QUICKACK, now: acknowledges what has been received, without the usual delay. */
void wst__sockopt_ack_now(int fd);

/* `wanted` or, if the process may have fewer descriptors, as many as remain when others have had
 * 64, or a quarter. */
size_t wst__sockopt_descriptors(size_t wanted);

/* Whether only the process's last descriptors (wst__budget_spare) are free, if any. `fd`: one that
 * is open. */
bool wst__sockopt_only_spare(int fd);

/* TCP_INFO: segments sent again so far; 0 if that is not known. */
uint32_t wst__sockopt_retransmits(int fd);

/* FIONREAD: bytes that can be read at once; 0 if that is not known. */
size_t wst__sockopt_readable(int fd);

enum { WST__KEEPALIVE_S = 60 };

/*
 * Linux: gives a connection of TCP, or a listener, whose connections inherit them, TCP_NODELAY,
 * keepalive after WST__KEEPALIVE_S of silence, and a reset on close. False: it may lack some.
 */
bool wst__sockopt_tune(int fd);

/* TCP_USER_TIMEOUT: the connection breaks if data stays unacknowledged for so long. */
void wst__sockopt_user_timeout(int fd, unsigned ms);

/* Reads up to `size` bytes that have arrived. 0: none, or an error. */
size_t wst__sockopt_take(int fd, void *to, size_t size);

/* The error that broke the connection and that no other call has reported yet, or 0. */
int wst__sockopt_error(int fd);

/* What would be read now: 0: bytes, or nothing yet; UV_EOF: the end; or the error, which other
 * calls may not report any more. */
int wst__sockopt_at_end(int fd);

/* Ends the direction to the peer (TCP: FIN). 0 or libuv's error. */
int wst__sockopt_shut_down(int fd);

/* Whether a TCP connection that this end has not ended is broken, even if its error has been
 * reported: it takes no bytes. Sends none. */
bool wst__sockopt_is_broken(int fd);

/* A bound, listening stream socket; non-blocking, closed on exec. IPv6 includes IPv4. */
int wst__sockopt_listen(const wst__addr_t *addr, int backlog);

/* Makes a descriptor non-blocking and closed on exec. 0 or the error. */
int wst__sockopt_prepare(int fd);

/* Takes over a descriptor: 0 if it is a stream socket, of TCP or Unix, that listens; it is
 * non-blocking and closed on exec then, and `addr` is its name. UV_ENOTSUP: another socket; or the
 * error. */
int wst__sockopt_inherit(int fd, wst__addr_t *addr);

/* The next connection of a listening socket, non-blocking, closed on exec. */
int wst__sockopt_accept(int fd);

/* Tries to connect to a Unix socket, and disconnects at once. 0 or the error. */
int wst__sockopt_probe(const wst__addr_t *addr);

/* The peer's address, and our own. 0 or the error. */
int wst__sockopt_peername(int fd, wst__addr_t *addr);
int wst__sockopt_sockname(int fd, wst__addr_t *addr);

#endif
