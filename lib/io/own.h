/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_OWN_H
#define WST_LIB_OWN_H
/*
 * Where this machine listens itself: what connects on behalf of others must not lead them there,
 * since a listener may trust connections from this machine.
 */
#include "ip.h"

/* Reads "ADDRESS:PORT" or "[ADDRESS]:PORT", as listeners and streams write it. False: it is not. */
bool wst__own_read(wst__ip_t *ip, uint16_t *port, const char *text);

/* Whether an interface of this machine has the address. Fails closed: if the interfaces cannot be
 * listed, the address is treated as ours. */
bool wst__own_is_here(const wst__ip_t *ip);

/* Whether a connection from this machine to that address and port reaches what listens at
 * `listens`. */
bool wst__own_leads_to(const char *listens, const wst__ip_t *ip, uint16_t port);

#endif
