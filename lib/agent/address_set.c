/* SPDX-License-Identifier: MIT */
/* The addresses of a host (address_set.h). */
#include "address_set.h"

#include <stdio.h>
#include <string.h>

#include <netinet/in.h>
#include <uv.h>

/* The zone of a link-local address belongs to it. "": of another family. */
static void write_address(char text[WST__ADDRESS_TEXT], const struct sockaddr_storage *address) {
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
    text[0] = '\0';
    if (address->ss_family == AF_INET)
        (void)uv_ip4_name((const struct sockaddr_in *)(const void *)address, text,
                          WST__ADDRESS_TEXT);
    else if (address->ss_family == AF_INET6)
        (void)uv_ip6_name(in6, text, WST__ADDRESS_TEXT);
    size_t len = strlen(text);
    if (address->ss_family == AF_INET6 && in6->sin6_scope_id != 0)
        snprintf(text + len, WST__ADDRESS_TEXT - len, "%%%u", (unsigned)in6->sin6_scope_id);
}

bool wst__address_set_has(const wst__address_set_t *set, const char *text) {
    size_t i = 0;
    while (i < set->count && strcmp(set->texts[i], text) != 0)
        i++;
    return i < set->count;
}

/* Adds an address unless it is there, or there is no room. */
static void add_address(wst__address_set_t *set, const char *text) {
    if (text[0] != '\0' && set->count < WST__ADDRESS_SET_MAX && !wst__address_set_has(set, text))
        snprintf(set->texts[set->count++], WST__ADDRESS_TEXT, "%s", text);
}

void wst__address_set_update(wst__address_set_t *set, const struct sockaddr_storage *answer,
                             size_t count) {
    wst__address_set_t next = {.count = 0};
    char text[WST__ADDRESS_TEXT];
    for (size_t i = 0; i < count; i++) {
        write_address(text, &answer[i]);
        if (wst__address_set_has(set, text))
            add_address(&next, text);
    }
    for (size_t i = 0; i < count; i++) {
        write_address(text, &answer[i]);
        add_address(&next, text);
    }
    *set = next;
}
