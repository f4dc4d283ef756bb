/* SPDX-License-Identifier: MIT */
#include "listen_address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <uv.h>

bool listen_address_is_port(const char *text) {
    size_t len = strlen(text);
    return len > 0 && len <= 5 && strspn(text, "0123456789") == len && atoi(text) <= 65535;
}

static bool is_ip(const char *host, size_t len) {
    char text[64];
    unsigned char ip[16];
    bool six = len >= 2 && host[0] == '[' && host[len - 1] == ']';
    if (len >= sizeof(text))
        return false;
    snprintf(text, sizeof(text), "%.*s", (int)len - (six ? 2 : 0), six ? host + 1 : host);
    return uv_inet_pton(six ? AF_INET6 : AF_INET, text, ip) == 0;
}

bool listen_address_is_unix(const char *text) {
    return strncmp(text, "unix:", 5) == 0;
}

bool listen_address_is_valid(const char *text) {
    if (listen_address_is_unix(text))
        return text[5] != '\0' && strlen(text + 5) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !listen_address_is_port(colon + 1))
        return false;
    size_t len = (size_t)(colon - text);
    return len == 0 || (len == 9 && memcmp(text, "localhost", len) == 0) || is_ip(text, len);
}

bool listen_address_any_port(char out[LISTEN_ADDRESS_MAX], const char *address) {
    if (listen_address_is_unix(address))
        return false;
    size_t len = (size_t)(strrchr(address, ':') - address);
    snprintf(out, LISTEN_ADDRESS_MAX, "%.*s:0", (int)len, address);
    return true;
}
