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

/* The place of an address; `count`: it is not there. */
static size_t find_address(const wst__address_set_t *set, const char *text) {
    size_t i = 0;
    while (i < set->count && strcmp(set->texts[i], text) != 0)
        i++;
    return i;
}

bool wst__address_set_has(const wst__address_set_t *set, const char *text) {
    return find_address(set, text) < set->count;
}

static void remove_address(wst__address_set_t *set, size_t i) {
    set->count--;
    memmove(set->texts[i], set->texts[i + 1], (set->count - i) * sizeof(set->texts[0]));
    memmove(&set->misses[i], &set->misses[i + 1], (set->count - i) * sizeof(set->misses[0]));
}

/* Removes the address that has been missed for longest, if there is one. */
static void remove_missed(wst__address_set_t *set) {
    size_t most = 0;
    for (size_t i = 1; i < set->count; i++)
        most = set->misses[i] > set->misses[most] ? i : most;
    if (set->misses[most] > 0)
        remove_address(set, most);
}

/* Adds an address, if there is room. */
static void add_address(wst__address_set_t *set, const char *text) {
    if (set->count == WST__ADDRESS_SET_MAX)
        remove_missed(set);
    if (set->count == WST__ADDRESS_SET_MAX)
        return;
    snprintf(set->texts[set->count], WST__ADDRESS_TEXT, "%s", text);
    set->misses[set->count++] = 0;
}

/* What the set has and the answer, too, is not missed any more. */
static void count_misses(wst__address_set_t *set, const struct sockaddr_storage *answer,
                         size_t count) {
    char text[WST__ADDRESS_TEXT];
    for (size_t i = 0; i < set->count; i++)
        set->misses[i]++;
    for (size_t i = 0; i < count; i++) {
        write_address(text, &answer[i]);
        size_t at = find_address(set, text);
        if (at < set->count)
            set->misses[at] = 0;
    }
}

void wst__address_set_update(wst__address_set_t *set, const struct sockaddr_storage *answer,
                             size_t count) {
    char text[WST__ADDRESS_TEXT];
    count_misses(set, answer, count);
    for (size_t i = set->count; i-- > 0;)
        if (set->misses[i] == WST__ADDRESS_MISSES)
            remove_address(set, i);
    for (size_t i = 0; i < count; i++) {
        write_address(text, &answer[i]);
        if (text[0] != '\0' && !wst__address_set_has(set, text))
            add_address(set, text);
    }
}
