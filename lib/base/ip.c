/* SPDX-License-Identifier: MIT */
/* IP addresses as numbers (ip.h). */
#include "ip.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t MAPPED[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t NAT64[12] = {[0] = 0x00, [1] = 0x64, [2] = 0xff, [3] = 0x9b};

bool wst__ip_parse(wst__ip_t *out, const char *text, size_t len) {
    char copy[WST__IP_TEXT];
    const char *zone = memchr(text, '%', len);
    if (zone != NULL)
        len = (size_t)(zone - text);
    if (len >= sizeof(copy) || memchr(text, '\0', len) != NULL)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    wst__ip_t ip;
    memcpy(ip.bytes, MAPPED, sizeof(MAPPED));
    if ((zone != NULL || inet_pton(AF_INET, copy, ip.bytes + 12) != 1) &&
        inet_pton(AF_INET6, copy, ip.bytes) != 1)
        return false;
    *out = ip;
    return true;
}

bool wst__ip_is_v4(const wst__ip_t *ip) {
    return memcmp(ip->bytes, MAPPED, sizeof(MAPPED)) == 0;
}

void wst__ip_text(char out[WST__IP_TEXT], const wst__ip_t *ip) {
    if (wst__ip_is_v4(ip))
        inet_ntop(AF_INET, ip->bytes + 12, out, WST__IP_TEXT);
    else
        inet_ntop(AF_INET6, ip->bytes, out, WST__IP_TEXT);
}

wst__ip_t wst__ip_effective(wst__ip_t ip) {
    static const uint8_t nowhere[16];
    static const uint8_t here[4] = {127, 0, 0, 1};
    if (memcmp(ip.bytes, NAT64, sizeof(NAT64)) == 0)
        memcpy(ip.bytes, MAPPED, sizeof(MAPPED));
    if (memcmp(ip.bytes, nowhere, sizeof(nowhere)) == 0)
        ip.bytes[15] = 1;
    else if (wst__ip_is_v4(&ip) && memcmp(ip.bytes + 12, nowhere, 4) == 0)
        memcpy(ip.bytes + 12, here, sizeof(here));
    return ip;
}

bool wst__ip_within(const wst__ip_t *ip, const wst__ip_t *network, unsigned prefix) {
    unsigned whole = prefix / 8, rest = prefix % 8;
    if (memcmp(ip->bytes, network->bytes, whole) != 0)
        return false;
    return rest == 0 || ((ip->bytes[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}
