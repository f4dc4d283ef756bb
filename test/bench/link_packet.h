/* SPDX-License-Identifier: MIT */
#ifndef TEST_BENCH_LINK_PACKET_H
#define TEST_BENCH_LINK_PACKET_H
/*
 * Packets of a TUN device with IFF_VNET_HDR: a struct virtio_net_hdr, then an IP packet. The kernel
 * hands over a run of TCP/IPv4 segments as one packet of up to 64 KiB. On a wire each segment has
 * headers of its own and is lost alone, so a packet can be cut into the segments that survive.
 */
#include <stddef.h>
#include <stdint.h>

/* The largest packet, with its struct virtio_net_hdr. */
#define PACKET_MAX (10 + 65535)

typedef struct packet {
    const uint8_t *data; /* with the struct virtio_net_hdr */
    size_t len;
    size_t headers;  /* IP and TCP headers, which each segment repeats; 0 unless segments > 1 */
    size_t payload;  /* of each segment but the last, which may be shorter */
    size_t segments; /* at least 1 */
} packet_t;

/* Reads the headers of `len` bytes at `data`, which the packet borrows. What is no well-formed run
 * of TCP/IPv4 segments counts as one segment. */
packet_t packet_of(const uint8_t *data, size_t len);

/* The length of the IP packet that carries segment `index` on a wire. */
size_t packet_wire(const packet_t *p, size_t index);

/* Writes `count` segments from `first` on to `out`, which has room for PACKET_MAX bytes, as a
 * packet of their own. Returns its length. Requires p->segments > 1. */
size_t packet_cut(const packet_t *p, size_t first, size_t count, uint8_t *out);

#endif
