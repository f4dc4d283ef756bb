/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HAPPY_EYEBALLS_H
#define WST_LIB_HAPPY_EYEBALLS_H
/* The decisions of Happy Eyeballs (RFC 8305), without I/O. */
#include <stddef.h>
#include <uv.h>

/* Time between the starts of two attempts: the default of RFC 8305 section 8. */
enum { WST__ATTEMPT_DELAY_MS = 250 };

/*
 * Orders IPv4 and IPv6 addresses, preferred ones first, as they are to be tried (section 4):
 * families alternate, beginning with that of the first address; within a family the order stays.
 * Drops duplicates. Writes at most `max` addresses; returns their number.
 */
size_t wst__happy_eyeballs_order(struct sockaddr_storage *out, size_t max,
                                 const struct sockaddr_storage *addresses, size_t count);

/*
 * The error to report of two failed attempts, `last` being the later one. Local faults come first,
 * then errors of a host, then errors of the network, then the lack of a route.
 */
int wst__more_telling(int error, int last);

#endif
