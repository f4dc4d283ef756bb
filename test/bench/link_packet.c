/* SPDX-License-Identifier: MIT */
#include "link_packet.h"

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <string.h>

enum {
    VIRTIO = sizeof(struct virtio_net_hdr),
    IP_MIN = 20,
    IP_LENGTH_AT = 2, /* offsets in an IPv4 header */
    IP_ID_AT = 4,
    IP_PROTOCOL_AT = 9,
    IP_CHECKSUM_AT = 10,
    IP_ADDRESSES_AT = 12,
    TCP_MIN = 20,
    TCP_SEQUENCE_AT = 4, /* offsets in a TCP header */
    TCP_OFFSET_AT = 12,
    TCP_FLAGS_AT = 13,
    TCP_CHECKSUM_AT = 16,
    FIN_PSH = 0x09,
    CWR = 0x80
};

_Static_assert(VIRTIO == 10, "PACKET_MAX counts the header");

static uint32_t get16(const uint8_t *at) {
    return (uint32_t)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t get32(const uint8_t *at) {
    return get16(at) << 16 | get16(at + 2);
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, value >> 16);
    put16(at + 2, value);
}

/* `sum` and `len` bytes, an even number, added up in one's complement (RFC 1071). */
static uint32_t sum16(uint32_t sum, const uint8_t *data, size_t len) {
    for (size_t i = 0; i < len; i += 2)
        sum += get16(data + i);
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static size_t ip_len(const uint8_t *ip) {
    return (size_t)(ip[0] & 0xf) * 4;
}

static size_t tcp_len(const uint8_t *tcp) {
    return (size_t)(tcp[TCP_OFFSET_AT] >> 4) * 4;
}

/* The length of the IPv4 and TCP headers, or 0 if they are malformed or of another protocol. */
static size_t headers_of(const uint8_t *ip, size_t len) {
    if (len < IP_MIN || ip[0] >> 4 != 4 || ip[IP_PROTOCOL_AT] != IPPROTO_TCP)
        return 0;
    const size_t tcp_at = ip_len(ip);
    if (tcp_at < IP_MIN || len < tcp_at + TCP_MIN)
        return 0;
    const size_t tcp = tcp_len(ip + tcp_at);
    return tcp >= TCP_MIN && len > tcp_at + tcp ? tcp_at + tcp : 0;
}

packet_t packet_of(const uint8_t *data, size_t len) {
    packet_t p = {.data = data, .len = len, .segments = 1};
    struct virtio_net_hdr virtio;
    if (len <= VIRTIO)
        return p;
    memcpy(&virtio, data, VIRTIO);
    if ((virtio.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) != VIRTIO_NET_HDR_GSO_TCPV4 ||
        virtio.gso_size == 0)
        return p;
    const size_t headers = headers_of(data + VIRTIO, len - VIRTIO);
    if (headers == 0 || len - VIRTIO - headers <= virtio.gso_size)
        return p;
    p.headers = headers;
    p.payload = virtio.gso_size;
    p.segments = (len - VIRTIO - headers + p.payload - 1) / p.payload;
    return p;
}

/* The payload of `count` segments from `first` on. */
static size_t payload_of(const packet_t *p, size_t first, size_t count) {
    const size_t all = p->len - VIRTIO - p->headers, begin = first * p->payload;
    const size_t len = count * p->payload;
    return len < all - begin ? len : all - begin;
}

size_t packet_wire(const packet_t *p, size_t index) {
    return p->segments == 1 ? p->len - VIRTIO : p->headers + payload_of(p, index, 1);
}

/* A single segment must not ask for segmentation. */
static void write_virtio(const packet_t *p, size_t count, uint8_t *out) {
    struct virtio_net_hdr virtio;
    memcpy(&virtio, p->data, VIRTIO);
    virtio.hdr_len = (uint16_t)p->headers;
    if (count == 1) {
        virtio.gso_type = VIRTIO_NET_HDR_GSO_NONE;
        virtio.gso_size = 0;
    }
    memcpy(out, &virtio, VIRTIO);
}

static void write_ip(uint8_t *ip, size_t first, size_t len) {
    put16(ip + IP_LENGTH_AT, (uint32_t)len);
    put16(ip + IP_ID_AT, get16(ip + IP_ID_AT) + (uint32_t)first);
    put16(ip + IP_CHECKSUM_AT, 0);
    put16(ip + IP_CHECKSUM_AT, ~sum16(0, ip, ip_len(ip)));
}

/* The checksum covers the pseudo header only; the receiving kernel completes it. */
static void write_tcp(const packet_t *p, size_t first, size_t count, uint8_t *ip, size_t len) {
    uint8_t *tcp = ip + ip_len(ip);
    const uint32_t tcp_and_payload = (uint32_t)(len - ip_len(ip));
    put32(tcp + TCP_SEQUENCE_AT, get32(tcp + TCP_SEQUENCE_AT) + (uint32_t)(first * p->payload));
    if (first + count < p->segments)
        tcp[TCP_FLAGS_AT] &= (uint8_t)~FIN_PSH;
    if (first > 0)
        tcp[TCP_FLAGS_AT] &= (uint8_t)~CWR;
    put16(tcp + TCP_CHECKSUM_AT, sum16(IPPROTO_TCP + tcp_and_payload, ip + IP_ADDRESSES_AT, 8));
}

size_t packet_cut(const packet_t *p, size_t first, size_t count, uint8_t *out) {
    const size_t payload = payload_of(p, first, count), len = p->headers + payload;
    uint8_t *ip = out + VIRTIO;
    write_virtio(p, count, out);
    memcpy(ip, p->data + VIRTIO, p->headers);
    memcpy(ip + p->headers, p->data + VIRTIO + p->headers + first * p->payload, payload);
    write_ip(ip, first, len);
    write_tcp(p, first, count, ip, len);
    return VIRTIO + len;
}
