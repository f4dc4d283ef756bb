/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_SOCKS5_WIRE_H
#define WST_LIB_SOCKS5_WIRE_H
/* The numbers of SOCKS5 (RFC 1928, RFC 1929), for both of its sides. */
#include <stddef.h>
#include <stdint.h>

enum { WST__SOCKS4_VERSION = 4, WST__SOCKS5_VERSION = 5, WST__SOCKS5_LOGIN_VERSION = 1 };

/* Methods of authentication (RFC 1928 section 3). */
enum {
    WST__SOCKS5_METHOD_NONE = 0,
    WST__SOCKS5_METHOD_LOGIN = 2,
    WST__SOCKS5_METHOD_REFUSED = 0xff
};

/* Commands (section 4). */
enum { WST__SOCKS5_CMD_CONNECT = 1, WST__SOCKS5_CMD_BIND = 2, WST__SOCKS5_CMD_UDP = 3 };

/* Types of address (section 5). */
enum { WST__SOCKS5_ADDR_IPV4 = 1, WST__SOCKS5_ADDR_NAME = 3, WST__SOCKS5_ADDR_IPV6 = 4 };

/* Bytes of an address of that type that begins with `first`, without its port; 0: unknown type. */
static inline size_t wst__socks5_addr_len(uint8_t type, uint8_t first) {
    switch (type) {
    case WST__SOCKS5_ADDR_IPV4:
        return 4;
    case WST__SOCKS5_ADDR_IPV6:
        return 16;
    case WST__SOCKS5_ADDR_NAME:
        return 1u + first;
    default:
        return 0;
    }
}

#endif
