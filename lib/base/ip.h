/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_IP_H
#define WST_LIB_IP_H
/* IP addresses as numbers: IPv4 addresses as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wstunnel/common.h>

typedef struct wst__ip {
    uint8_t bytes[16];
} wst__ip_t;

/* The longest texts, with their terminator: of an address, and of a peer (wst_stream_peer). */
enum { WST__IP_TEXT = 46, WST__IP_PEER = WST__IP_TEXT + 8 };

wst__ip_t wst__ip_of_v4(const uint8_t bytes[4]);

/* Reads four decimal numbers, 0..255 without leading zeros, with dots between them: exactly what
 * inet_pton(AF_INET) takes. */
bool wst__ip4_parse(uint8_t out[4], const char *text, size_t len);

/* Reads an IPv6 address, without brackets and zone. */
bool wst__ip6_parse(uint8_t out[16], const char *text, size_t len);

/* Reads an IPv4 or IPv6 address, without brackets; a zone of the latter ("%eth0") is skipped. */
bool wst__ip_parse(wst__ip_t *out, const char *text, size_t len);

/* Writes an address, without brackets. */
void wst__ip_text(char out[WST__IP_TEXT], const wst__ip_t *ip);

/* Reads the address of a stream's peer: "ADDRESS:PORT" or "[ADDRESS]:PORT". False without one. */
bool wst__ip_of_peer(wst__ip_t *out, const char *peer);

/* The source that a peer counts as: its IPv4 address, or the first 64 bits of its IPv6 address,
 * since such a network belongs to one customer. False: the peer has no IP address. */
bool wst__ip_source_of_peer(wst__ip_t *out, const char *peer);

/* Writes the text of a peer, as wst__ip_of_peer reads it. */
void wst__ip_to_peer(char out[WST__IP_PEER], const wst__ip_t *ip, uint16_t port);

bool wst__ip_is_v4(const wst__ip_t *ip);

/* Whether the address is 0.0.0.0 or ::. */
bool wst__ip_is_unspecified(const wst__ip_t *ip);

/* A prefix of a network's NAT64 (RFC 6052 section 2.2). */
typedef struct wst__nat64 {
    wst__ip_t prefix;
    unsigned length; /* 32, 40, 48, 56, 64 or 96 */
} wst__nat64_t;

/* Whether the prefix is one: a length of RFC 6052, no bit behind it, bits 64 to 71 zero, and not
 * that of the IPv4-mapped addresses. */
bool wst__nat64_is_valid(const wst__nat64_t *nat64);

enum { WST__IP_TARGETS = 4 };

/*
 * The addresses that a packet to `ip` may reach, as far as known; returns how many, at least 1:
 *
 *  - within one of the `own` NAT64 prefixes (the longest counts), or 64:ff9b::/96 (RFC 6052): the
 *    IPv4 address in it;
 *  - within 64:ff9b:1::/48 (RFC 8215), of which a network uses some part as its prefix, of unknown
 *    length: the IPv4 address of each length, but for those in 0.0.0.0/8, which nothing has;
 *  - within 2002::/16 (6to4, RFC 3056): the IPv4 address of the router there;
 *  - else the address itself.
 *
 * An unspecified address leads to this host: it counts as 127.0.0.1 or ::1.
 */
size_t wst__ip_targets(wst__ip_t out[WST__IP_TARGETS], const wst__ip_t *ip, const wst__nat64_t *own,
                       size_t count);

/* Whether it is an address of this machine alone: 127.0.0.0/8 (RFC 1122 section 3.2.1.3) or ::1. */
bool wst__ip_is_loopback(const wst__ip_t *ip);

/* Whether the address lies in the network: the first `prefix` bits (0..128) are equal. */
bool wst__ip_within(const wst__ip_t *ip, const wst__ip_t *network, unsigned prefix);

/* Reads the length of a network's prefix, as it is written behind the "/", into bits of 128. NULL,
 * or what is wrong with it. */
const char *wst__ip_read_prefix(unsigned *prefix, const wst__ip_t *network, wst_str_t text);

#endif
