/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_IP_H
#define WST_LIB_IP_H
/* IP addresses as numbers: IPv4 ones as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wst__ip {
    uint8_t bytes[16];
} wst__ip_t;

enum { WST__IP_TEXT = 46 }; /* the longest text, its end included */

/* Reads an IPv4 or IPv6 address, without brackets; a zone ("%eth0") is skipped. */
bool wst__ip_parse(wst__ip_t *out, const char *text, size_t len);

/* Writes it. */
void wst__ip_text(char out[WST__IP_TEXT], const wst__ip_t *ip);

bool wst__ip_is_v4(const wst__ip_t *ip);

/* The address that a packet to it ends up at, as far as that is known: the IPv4 address within a
 * NAT64 one (RFC 6052), this host's for the unspecified addresses. */
wst__ip_t wst__ip_effective(wst__ip_t ip);

/* Whether it lies in the network: its first `prefix` bits (0..128) are the same. */
bool wst__ip_within(const wst__ip_t *ip, const wst__ip_t *network, unsigned prefix);

#endif
