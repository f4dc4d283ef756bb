/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_LISTEN_ADDRESS_H
#define EXAMPLES_LISTEN_ADDRESS_H
/* Addresses to listen on, as texts: IP:PORT, [IP]:PORT, :PORT, localhost:PORT, unix:/PATH. */
#include <stdbool.h>
#include <stddef.h>

enum { LISTEN_ADDRESS_MAX = 128 };

/* Whether a text is a port's number, 0 to 65535. */
bool listen_address_is_port(const char *text);

/* Whether a text is an address to listen on. */
bool listen_address_is_valid(const char *text);

bool listen_address_is_unix(const char *text);

/* Writes a valid address of IP with port 0, which is any free one. False: it is a Unix socket. */
bool listen_address_any_port(char out[LISTEN_ADDRESS_MAX], const char *address);

#endif
