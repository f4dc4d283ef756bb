/* SPDX-License-Identifier: MIT */
/* IP addresses as numbers (ip.h). */
#include "ip.h"

#include "text.h"

#include <arpa/inet.h>
#include <limits.h>
#include <string.h>

enum { V4_PREFIX = 96 }; /* bits of 128 before an IPv4 address */

static const uint8_t MAPPED[12] = {[10] = 0xff, [11] = 0xff};

/* Takes a number of up to three digits without leading zeros, 0..255, off the front. */
static bool take_octet(uint8_t *out, const char **at, const char *end) {
    const char *first = *at, *p = first;
    unsigned value = 0;
    for (; p < end && p - first < 3 && *p >= '0' && *p <= '9'; p++)
        value = value * 10 + (unsigned)(*p - '0');
    if (p == first || value > 255 || (*first == '0' && p - first > 1))
        return false;
    *out = (uint8_t)value;
    *at = p;
    return true;
}

bool wst__ip4_parse(uint8_t out[4], const char *text, size_t len) {
    const char *at = text, *end = text + len;
    uint8_t bytes[4];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        if (i > 0 && (at == end || *at++ != '.'))
            return false;
        if (!take_octet(&bytes[i], &at, end))
            return false;
    }
    if (at != end)
        return false;
    memcpy(out, bytes, sizeof(bytes));
    return true;
}

bool wst__ip6_parse(uint8_t out[16], const char *text, size_t len) {
    char copy[WST__IP_TEXT];
    if (len >= sizeof(copy) || memchr(text, ':', len) == NULL || memchr(text, '\0', len) != NULL)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return inet_pton(AF_INET6, copy, out) == 1;
}

wst__ip_t wst__ip_of_v4(const uint8_t bytes[4]) {
    wst__ip_t ip;
    memcpy(ip.bytes, MAPPED, sizeof(MAPPED));
    memcpy(ip.bytes + sizeof(MAPPED), bytes, 4);
    return ip;
}

bool wst__ip_parse(wst__ip_t *out, const char *text, size_t len) {
    uint8_t v4[4];
    if (wst__ip4_parse(v4, text, len)) {
        *out = wst__ip_of_v4(v4);
        return true;
    }
    wst__ip_t ip;
    const char *zone = memchr(text, '%', len);
    if (!wst__ip6_parse(ip.bytes, text, zone != NULL ? (size_t)(zone - text) : len))
        return false;
    *out = ip;
    return true;
}

bool wst__ip_of_peer(wst__ip_t *out, const char *peer) {
    const char *colon = strrchr(peer, ':');
    if (colon == NULL)
        return false;
    size_t len = (size_t)(colon - peer);
    if (len >= 2 && peer[0] == '[' && peer[len - 1] == ']') {
        peer++;
        len -= 2;
    }
    return wst__ip_parse(out, peer, len);
}

bool wst__ip_source_of_peer(wst__ip_t *out, const char *peer) {
    if (!wst__ip_of_peer(out, peer))
        return false;
    if (!wst__ip_is_v4(out))
        memset(out->bytes + 8, 0, 8);
    return true;
}

void wst__ip_to_peer(char out[WST__IP_PEER], const wst__ip_t *ip, uint16_t port) {
    bool v4 = wst__ip_is_v4(ip);
    char *at = out;
    if (!v4)
        *at++ = '[';
    wst__ip_text(at, ip);
    at += strlen(at);
    if (!v4)
        *at++ = ']';
    *at++ = ':';
    *wst__text_decimal(at, port) = '\0';
}

bool wst__ip_is_v4(const wst__ip_t *ip) {
    return memcmp(ip->bytes, MAPPED, sizeof(MAPPED)) == 0;
}

bool wst__ip_is_loopback(const wst__ip_t *ip) {
    static const wst__ip_t six = {{[15] = 1}};
    static const wst__ip_t four = {{[10] = 0xff, [11] = 0xff, [12] = 127}};
    return wst__ip_within(ip, &six, 128) || wst__ip_within(ip, &four, V4_PREFIX + 8);
}

/* Less than a tenth of what inet_ntop takes, which uses sprintf. */
static void put_v4(char *out, const uint8_t bytes[4]) {
    for (size_t i = 0; i < 4; i++) {
        out = wst__text_decimal(out, bytes[i]);
        *out++ = i < 3 ? '.' : '\0';
    }
}

void wst__ip_text(char out[WST__IP_TEXT], const wst__ip_t *ip) {
    if (wst__ip_is_v4(ip))
        put_v4(out, ip->bytes + 12);
    else
        inet_ntop(AF_INET6, ip->bytes, out, WST__IP_TEXT);
}

bool wst__ip_within(const wst__ip_t *ip, const wst__ip_t *network, unsigned prefix) {
    unsigned whole = prefix / 8, rest = prefix % 8;
    if (memcmp(ip->bytes, network->bytes, whole) != 0)
        return false;
    return rest == 0 || ((ip->bytes[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}

const char *wst__ip_read_prefix(unsigned *prefix, const wst__ip_t *network, wst_str_t text) {
    bool v4 = wst__ip_is_v4(network);
    unsigned bits = 0;
    for (size_t i = 0; i < text.len && bits <= 128; i++)
        bits = text.ptr[i] >= '0' && text.ptr[i] <= '9' ? bits * 10 + (unsigned)(text.ptr[i] - '0')
                                                        : UINT_MAX;
    if (text.len == 0 || bits > (v4 ? 32 : 128))
        return v4 ? "the network's length must be 0 to 32"
                  : "the network's length must be 0 to 128";
    *prefix = bits + (v4 ? V4_PREFIX : 0);
    for (unsigned i = *prefix; i < 128; i++) {
        if ((network->bytes[i / 8] >> (7 - i % 8) & 1) != 0)
            return "the address has bits behind the network's length";
    }
    return NULL;
}

/* Translated addresses ----------------------------------------------------------------------- */

bool wst__ip_is_unspecified(const wst__ip_t *ip) {
    static const uint8_t zeros[16];
    return memcmp(ip->bytes, zeros, sizeof(zeros)) == 0 ||
           (wst__ip_is_v4(ip) && memcmp(ip->bytes + 12, zeros, 4) == 0);
}

bool wst__nat64_is_valid(const wst__nat64_t *n) {
    if (n->length != 96 && (n->length < 32 || n->length > 64 || n->length % 8 != 0))
        return false;
    for (size_t i = n->length / 8; i < sizeof(n->prefix.bytes); i++)
        if (n->prefix.bytes[i] != 0)
            return false;
    return n->prefix.bytes[8] == 0 && !wst__ip_is_v4(&n->prefix);
}

/* The IPv4 address behind a NAT64 prefix of that length; byte 8 is never a part of it. */
static wst__ip_t v4_behind(const wst__ip_t *ip, unsigned length) {
    uint8_t bytes[4];
    for (size_t i = 0, at = length / 8; i < sizeof(bytes); i++, at++) {
        at += at == 8;
        bytes[i] = ip->bytes[at];
    }
    return wst__ip_of_v4(bytes);
}

/* The addresses behind any prefix within 64:ff9b:1::/48. Translators may ignore what RFC 6052 wants
 * to be zero, so that does not tell the length. */
static size_t local_targets(wst__ip_t out[WST__IP_TARGETS], const wst__ip_t *ip) {
    static const unsigned lengths[WST__IP_TARGETS] = {96, 64, 56, 48};
    size_t count = 0;
    for (size_t i = 0; i < WST__IP_TARGETS; i++) {
        wst__ip_t target = v4_behind(ip, lengths[i]);
        if (target.bytes[12] != 0)
            out[count++] = target;
    }
    if (count == 0)
        out[count++] = v4_behind(ip, 96);
    return count;
}

/* The longest of the prefixes that contains the address; NULL: none does. */
static const wst__nat64_t *find_nat64(const wst__ip_t *ip, const wst__nat64_t *own, size_t count) {
    const wst__nat64_t *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (wst__ip_within(ip, &own[i].prefix, own[i].length) &&
            (found == NULL || own[i].length > found->length))
            found = &own[i];
    return found;
}

static size_t translate(wst__ip_t out[WST__IP_TARGETS], const wst__ip_t *ip,
                        const wst__nat64_t *own, size_t count) {
    static const wst__ip_t well_known = {{0x00, 0x64, 0xff, 0x9b}},
                           local = {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}},
                           six_to_four = {{0x20, 0x02}};
    const wst__nat64_t *nat64 = find_nat64(ip, own, count);
    if (nat64 == NULL && wst__ip_within(ip, &local, 48))
        return local_targets(out, ip);
    if (nat64 != NULL)
        *out = v4_behind(ip, nat64->length);
    else if (wst__ip_within(ip, &well_known, 96))
        *out = v4_behind(ip, 96);
    else if (wst__ip_within(ip, &six_to_four, 16))
        *out = wst__ip_of_v4(ip->bytes + 2);
    else
        *out = *ip;
    return 1;
}

size_t wst__ip_targets(wst__ip_t out[WST__IP_TARGETS], const wst__ip_t *ip, const wst__nat64_t *own,
                       size_t count) {
    static const wst__ip_t here = {{[10] = 0xff, 0xff, 127, 0, 0, 1}}, here_v6 = {{[15] = 1}};
    count = translate(out, ip, own, count);
    for (size_t i = 0; i < count; i++)
        if (wst__ip_is_unspecified(&out[i]))
            out[i] = wst__ip_is_v4(&out[i]) ? here : here_v6;
    return count;
}
