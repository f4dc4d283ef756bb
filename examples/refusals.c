/* SPDX-License-Identifier: MIT */
#include "refusals.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

static const char others[] = "all others";

/* Writes the /64 of an address. False: it is not of IPv6, or an IPv4 address in that form. */
static bool write_prefix(char out[REFUSALS_SOURCE_SIZE], const char *address) {
    struct in6_addr ip;
    char text[INET6_ADDRSTRLEN];
    if (uv_inet_pton(AF_INET6, address, &ip) != 0 || IN6_IS_ADDR_V4MAPPED(&ip))
        return false;
    memset(ip.s6_addr + 8, 0, 8);
    if (uv_inet_ntop(AF_INET6, &ip, text, sizeof(text)) != 0)
        return false;
    snprintf(out, REFUSALS_SOURCE_SIZE, "%s/64", text);
    return true;
}

/* The source of "192.0.2.1:80", "[2001:db8::1]:80" or "unix:". */
static void write_source(char out[REFUSALS_SOURCE_SIZE], const char *client) {
    char address[REFUSALS_SOURCE_SIZE];
    const char *from = client[0] == '[' ? client + 1 : client;
    const char *colon = strrchr(client, ':'), *end = colon != NULL ? colon : from + strlen(from);
    if (from > client && end > from && end[-1] == ']')
        end--;
    snprintf(address, sizeof(address), "%.*s", (int)(end - from), from);
    address[strcspn(address, "%")] = '\0'; /* the zone of a link-local address */
    if (!write_prefix(out, address))
        snprintf(out, REFUSALS_SOURCE_SIZE, "%s",
                 address[0] != '\0' ? address : "a client without an address");
}

/* The place of a source; the last place if there is no room. */
static refusal_source_t *find(refusals_t *r, const char *name) {
    refusal_source_t *place = &r->sources[REFUSALS_SOURCES];
    for (size_t i = REFUSALS_SOURCES; i-- > 0;) {
        refusal_source_t *s = &r->sources[i];
        if (s->count == 0)
            place = s;
        else if (strcmp(s->name, name) == 0)
            return s;
    }
    return place;
}

bool refusals_count(refusals_t *r, const char *client, uint64_t now_ms) {
    char name[REFUSALS_SOURCE_SIZE];
    write_source(name, client);
    refusal_source_t *s = find(r, name);
    if (s->count == 0) {
        bool last = s == &r->sources[REFUSALS_SOURCES];
        memcpy(s->name, last ? others : name, last ? sizeof(others) : sizeof(name));
        s->since_ms = now_ms;
    }
    return ++s->count <= REFUSALS_EACH;
}

/* Ends a window of a source, which began some time ago. */
static void end_window(refusal_source_t *s, uint64_t now_ms, refusals_more_cb more) {
    if (s->count > REFUSALS_EACH)
        more(s->name, s->count - REFUSALS_EACH, (now_ms - s->since_ms + 999) / 1000);
    s->count = 0;
}

bool refusals_end(refusals_t *r, uint64_t now_ms, refusals_more_cb more) {
    bool others_go_on = false;
    for (size_t i = 0; i <= REFUSALS_SOURCES; i++) {
        refusal_source_t *s = &r->sources[i];
        if (s->count > 0 && now_ms - s->since_ms >= REFUSALS_WINDOW_MS)
            end_window(s, now_ms, more);
        others_go_on = others_go_on || s->count > 0;
    }
    return others_go_on;
}

void refusals_end_all(refusals_t *r, uint64_t now_ms, refusals_more_cb more) {
    for (size_t i = 0; i <= REFUSALS_SOURCES; i++)
        end_window(&r->sources[i], now_ms, more);
}
