/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DOCTOR_TUNNEL_H
#define EXAMPLES_DOCTOR_TUNNEL_H
/*
 * What a client does: it asks the server, its proxy, for a tunnel to a destination. The destination
 * of a diagnosis sends back what it gets, so that one side alone can measure both directions.
 */
#include "doctor_reach.h"

/* The client's way, of a command line. */
typedef struct doctor_tunnel {
    const char *proxy;            /* URL; NULL: none is given */
    const char *user, *user_file; /* USER:PASSWORD; at most one */
    const char *ca;               /* path */
    const char *to, *echo;        /* "HOST:PORT"; at most one. `echo` sends back what it gets */

    /* Set by doctor_tunnel_prepare(). */
    wst_proxy_options_t options;
    doctor_place_t place;
    wst_authority_t destination;
} doctor_tunnel_t;

/* Reads what the options name, and checks them; there must be a proxy. False: a fault, which has
 * been noted. Release it in either case. */
bool doctor_tunnel_prepare(doctor_tunnel_t *tunnel, doctor_t *d, config_t *c);
void doctor_tunnel_release(doctor_tunnel_t *tunnel);

/* The steps "connect" and, with an echo, "round-trip" and "bulk"; skipped without a destination. */
bool doctor_tunnel(doctor_t *d, const doctor_tunnel_t *tunnel);

#endif
