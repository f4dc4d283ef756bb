/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_SERVER_PORTS_H
#define EXAMPLES_SERVER_PORTS_H
/* The server's open ports. Closing the server closes them. */
#include "port_config.h"

typedef struct server_port {
    const port_config_t *config;
    wst_port_t *port; /* NULL: it could not be opened */
} server_port_t;

typedef struct server_ports {
    server_port_t list[PORTS_MAX];
    size_t count;
} server_ports_t;

/*
 * Opens the ports of a configuration, at most PORTS_MAX. The configuration must live until the next
 * change. Ports that are the same as before stay open; other earlier ports are closed, while their
 * connections go on. A port that cannot be opened is logged, and tried again by the next change. 0,
 * or the first error.
 */
int server_ports_change(server_ports_t *ports, wst_server_t *server, const ports_config_t *config);

/* Opens each port for a moment, at a free port of its address, to see whether it could be opened;
 * not Unix sockets. 0 or the first error; failures are logged. */
int server_ports_check(wst_server_t *server, const ports_config_t *config);

#endif
