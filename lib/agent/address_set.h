/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_ADDRESS_SET_H
#define WST_LIB_ADDRESS_SET_H
/* The addresses of a host that connections are kept to, as answers of the resolver come and differ.
 * Knows no resolver and no clock. */
#include <stdbool.h>
#include <stddef.h>

#include <sys/socket.h>

enum { WST__ADDRESS_SET_MAX = 16, WST__ADDRESS_TEXT = 64 };

/* A zeroed set is empty. */
typedef struct wst__address_set {
    char texts[WST__ADDRESS_SET_MAX][WST__ADDRESS_TEXT]; /* IP literals, IPv6 without brackets */
    size_t count;
} wst__address_set_t;

/*
 * Takes an answer: addresses that it lacks go, those that it has stay, and new ones come, in its
 * order, as long as there is room. So an answer with too many addresses moves no connection.
 */
void wst__address_set_update(wst__address_set_t *set, const struct sockaddr_storage *answer,
                             size_t count);

bool wst__address_set_has(const wst__address_set_t *set, const char *text);

#endif
