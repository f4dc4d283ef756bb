/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HAPPY_EYEBALLS_H
#define WST_LIB_HAPPY_EYEBALLS_H
/* What Happy Eyeballs (RFC 8305) decides without doing any I/O. */
#include <stddef.h>
#include <uv.h>

/* Between the starts of two attempts: the default of RFC 8305 section 8. */
enum { WST__ATTEMPT_DELAY_MS = 250 };

/*
 * Puts IPv4 and IPv6 addresses, preferred ones first, into the order in which to try them (section
 * 4): families alternate, beginning with that of the first address; within a family the order
 * stays. An address given twice is tried once. Writes at most `max`; returns how many.
 */
size_t wst__happy_eyeballs_order(struct sockaddr_storage *out, size_t max,
                                 const struct sockaddr_storage *addresses, size_t count);

/*
 * Which of two errors of attempts to report when all have failed, `last` being the later one: what
 * is wrong here, then what a host said, then what the network said, then that there is no way at
 * all.
 */
int wst__more_telling(int error, int last);

#endif
