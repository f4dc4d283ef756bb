/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_SOCKETS_H
#define EXAMPLES_SOCKETS_H
/*
 * The listening sockets that the program is started with: those that a service manager has opened
 * (sd_listen_fds(3)), in LISTEN_FDS their number, in LISTEN_FDNAMES what they are for; or all those
 * of its predecessor (succession.h). They are there from the start to the end.
 */

enum { SOCKETS_MAX = 16, SOCKETS_TEXT = 32 };

/* The sockets of a service manager as --listen would say it: "fd:3", "fd:4,agents,tls". A socket's
 * name has its roles, separated by commas; one that systemd gives by itself (that of a unit,
 * "unknown") has none. The list ends with NULL; without sockets it is empty. `*error`: what is
 * wrong with the environment, or NULL. */
const char *const *sockets_passed(const char **error);

/* What to listen on for an address of the configuration: "fd:N" if the predecessor listened there,
 * once for each of its sockets; else the address. */
const char *sockets_take(char out[SOCKETS_TEXT], const char *address);

/* Closes the sockets of the predecessor that the configuration does not name any more. */
void sockets_close_rest(void);

#endif
