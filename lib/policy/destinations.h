/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_DESTINATIONS_H
#define WST_LIB_DESTINATIONS_H
/* The destinations of rules, parsed, for those who say them in another language. */
#include "ip.h"

#include <wstunnel/rules.h>

typedef struct wst__port_range {
    uint16_t first, last;
} wst__port_range_t;

typedef struct wst__destination {
    const char *name;  /* a pattern of names, in lower case without a final dot; NULL: a network */
    wst__ip_t network; /* its address, ... */
    unsigned prefix;   /* ... of 128 bits */
    const wst__port_range_t *ports;
    size_t port_count; /* 0: any */
} wst__destination_t;

/* The n-th destination of a rule, borrowed from the rules; false behind the last. Both numbers are
 * from 0. The rule exists, and has no list of users or agents. */
bool wst__rules_destination(const wst_rules_t *rules, size_t rule, size_t n,
                            wst__destination_t *out);

#endif
