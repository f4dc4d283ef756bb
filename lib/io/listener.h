/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_LISTENER_H
#define WST_LIB_LISTENER_H
/* Listeners, beyond the public interface. */
#include <stdbool.h>
#include <wstunnel/listener.h>

/*
 * Whether to leave the process's last descriptors (wst__budget_spare) to others: while no other is
 * free, connections wait in the kernel, and the listener retries every 100 ms.
 */
void wst__listener_leave_spare(wst_listener_t *listener, bool leave);

/* Whether it has taken over a descriptor. */
bool wst__listener_is_inherited(const wst_listener_t *listener);

/* Other processes listen on the same socket, so the file of a Unix socket stays. */
void wst__listener_share(wst_listener_t *listener);

#endif
