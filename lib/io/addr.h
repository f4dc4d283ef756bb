/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ADDR_H
#define WST_LIB_ADDR_H
/* Socket addresses and their text: "192.0.2.7:4711", "[::1]:80", ":8080", "unix:/run/x". */
#include "ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { WST__ADDR_TEXT = 128 }; /* the longest text, with its terminator */

typedef struct wst__addr {
    struct sockaddr_storage storage;
    socklen_t len;
} wst__addr_t;

/*
 * Reads the address of a listener (listener.h). `any` is set if no host was given: the address is
 * that of IPv6 then. 0 or WST_EINVAL.
 */
int wst__addr_parse(wst__addr_t *addr, bool *any, const char *text);

/* The IPv4 address for all interfaces, with the port of `addr`. */
void wst__addr_any4(wst__addr_t *addr);

/* The address and port of AF_INET and AF_INET6. False: it is of another family. */
bool wst__addr_ip(wst__ip_t *ip, uint16_t *port, const struct sockaddr *address);

/* Writes the text. IPv4 within IPv6 shows as IPv4. */
void wst__addr_text(const wst__addr_t *addr, char text[WST__ADDR_TEXT]);

/* Whether it is a loopback address or a Unix socket. */
bool wst__addr_is_local(const wst__addr_t *addr);

#endif
