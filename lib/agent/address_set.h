/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ADDRESS_SET_H
#define WST_LIB_ADDRESS_SET_H
/* The addresses of a host that connections are kept to, as answers of the resolver come and differ.
 * Knows no resolver and no clock. */
#include <stdbool.h>
#include <stddef.h>

#include <sys/socket.h>

enum {
    WST__ADDRESS_SET_MAX = 16,
    WST__ADDRESS_TEXT = 64,
    WST__ADDRESS_MISSES = 4 /* answers in a row that lack an address that is gone */
};

/* A zeroed set is empty. */
typedef struct wst__address_set {
    char texts[WST__ADDRESS_SET_MAX][WST__ADDRESS_TEXT]; /* IP literals, IPv6 without brackets */
    unsigned misses[WST__ADDRESS_SET_MAX];               /* the last answers that lack it */
    size_t count;
} wst__address_set_t;

/*
 * Takes an answer. Its new addresses come, as long as there is room: so one with too many addresses
 * moves no connection. An address that some answers lack stays, since many name servers tell a part
 * of the addresses only, each time another one; but it makes room for a new one.
 */
void wst__address_set_update(wst__address_set_t *set, const struct sockaddr_storage *answer,
                             size_t count);

bool wst__address_set_has(const wst__address_set_t *set, const char *text);

#endif
