/* SPDX-License-Identifier: MIT */
/* Socket addresses from and to text. Names are not addresses, except "localhost". */
#include "addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>
#include <wstunnel/error.h>

enum { HOST_SIZE = 64 }; /* an IPv6 address with a zone */

static const char UNIX_PREFIX[] = "unix:";

static int parse_port(const char *text, int *port) {
    int value = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9' && digits < 5; digits++)
        value = value * 10 + (text[digits] - '0');
    if (digits == 0 || text[digits] != '\0' || value > 65535)
        return WST_EINVAL;
    *port = value;
    return 0;
}

static int parse_unix(wst__addr_t *addr, const char *path) {
    struct sockaddr_un *un = (struct sockaddr_un *)&addr->storage;
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(un->sun_path))
        return WST_EINVAL;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path, len + 1);
    addr->len = (socklen_t)sizeof(*un);
    return 0;
}

static int parse_ip4(wst__addr_t *addr, const char *host, int port) {
    addr->len = (socklen_t)sizeof(struct sockaddr_in);
    return uv_ip4_addr(host, port, (struct sockaddr_in *)&addr->storage) == 0 ? 0 : WST_EINVAL;
}

static int parse_ip6(wst__addr_t *addr, const char *host, int port) {
    addr->len = (socklen_t)sizeof(struct sockaddr_in6);
    return uv_ip6_addr(host, port, (struct sockaddr_in6 *)&addr->storage) == 0 ? 0 : WST_EINVAL;
}

int wst__addr_parse(wst__addr_t *addr, bool *any, const char *text) {
    memset(addr, 0, sizeof(*addr));
    *any = false;
    if (strncmp(text, UNIX_PREFIX, sizeof(UNIX_PREFIX) - 1) == 0)
        return parse_unix(addr, text + sizeof(UNIX_PREFIX) - 1);

    const char *colon = strrchr(text, ':');
    int port;
    if (colon == NULL || parse_port(colon + 1, &port) != 0)
        return WST_EINVAL;
    size_t len = (size_t)(colon - text);
    char host[HOST_SIZE];
    if (len >= sizeof(host))
        return WST_EINVAL;
    memcpy(host, text, len);
    host[len] = '\0';
    if (len == 0) {
        *any = true;
        return parse_ip6(addr, "::", port);
    }
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        return parse_ip6(addr, host + 1, port);
    }
    return parse_ip4(addr, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, port);
}

void wst__addr_any4(wst__addr_t *addr) {
    in_port_t port = ((struct sockaddr_in6 *)&addr->storage)->sin6_port;
    memset(addr, 0, sizeof(*addr));
    struct sockaddr_in *in = (struct sockaddr_in *)&addr->storage;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_ANY);
    in->sin_port = port;
    addr->len = (socklen_t)sizeof(*in);
}

bool wst__addr_ip(wst__ip_t *ip, uint16_t *port, const struct sockaddr *address) {
    const void *storage = address;
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = storage;
        *ip = wst__ip_of_v4((const uint8_t *)&in->sin_addr);
        *port = ntohs(in->sin_port);
        return true;
    }
    if (address->sa_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *in6 = storage;
    memcpy(ip->bytes, &in6->sin6_addr, sizeof(ip->bytes));
    *port = ntohs(in6->sin6_port);
    return true;
}

/* A path need not be terminated; an abstract name (Linux) begins with a zero byte. */
static void unix_text(const struct sockaddr_un *un, socklen_t len, char *text, size_t size) {
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    size_t max = len > offset ? len - offset : 0;
    if (max > sizeof(un->sun_path))
        max = sizeof(un->sun_path);
    char path[sizeof(un->sun_path)];
    memcpy(path, un->sun_path, max);
    if (max > 1 && path[0] == '\0')
        path[0] = '@';
    snprintf(text, size, "%s%.*s", UNIX_PREFIX, (int)max, path);
}

void wst__addr_text(const wst__addr_t *addr, char text[WST__ADDR_TEXT]) {
    wst__ip_t ip;
    uint16_t port;
    if (wst__addr_ip(&ip, &port, (const struct sockaddr *)&addr->storage))
        wst__ip_to_peer(text, &ip, port);
    else
        unix_text((const struct sockaddr_un *)&addr->storage, addr->len, text, WST__ADDR_TEXT);
}

static bool is_loopback4(const uint8_t *bytes) {
    return bytes[0] == 127; /* RFC 1122 section 3.2.1.3 (g) */
}

bool wst__addr_is_local(const wst__addr_t *addr) {
    const void *storage = &addr->storage;
    switch (addr->storage.ss_family) {
    case AF_INET:
        return is_loopback4(
            (const uint8_t *)&((const struct sockaddr_in *)storage)->sin_addr.s_addr);
    case AF_INET6: {
        const struct in6_addr *in6 = &((const struct sockaddr_in6 *)storage)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in6) ||
               (IN6_IS_ADDR_V4MAPPED(in6) && is_loopback4(&in6->s6_addr[12]));
    }
    default:
        return true;
    }
}
