/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_IP_H
#define WST_LIB_IP_H
/* IP addresses as numbers: IPv4 addresses as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wst__ip {
    uint8_t bytes[16];
} wst__ip_t;

enum { WST__IP_TEXT = 46 }; /* the longest text, with its terminator */

/* Reads an IPv4 or IPv6 address, without brackets; a zone ("%eth0") is skipped. */
bool wst__ip_parse(wst__ip_t *out, const char *text, size_t len);

void wst__ip_text(char out[WST__IP_TEXT], const wst__ip_t *ip);

bool wst__ip_is_v4(const wst__ip_t *ip);

/* The address that a packet to `ip` reaches, as far as known: the IPv4 address within a NAT64
 * address (RFC 6052), the loopback address for an unspecified one. */
wst__ip_t wst__ip_effective(wst__ip_t ip);

/* Whether the address lies in the network: the first `prefix` bits (0..128) are equal. */
bool wst__ip_within(const wst__ip_t *ip, const wst__ip_t *network, unsigned prefix);

#endif
