/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_PORT_CONFIG_H
#define EXAMPLES_PORT_CONFIG_H
/* The ports of the server's configuration: the member "ports", and --port. */
#include "access_config.h"

enum { PORTS_MAX = 64 };

typedef struct port_config {
    const char *listen; /* with an address before the number */
    const char *destination;
    const char *agent, *user; /* NULL: none */
    bool open;
    const char *text; /* as written on the command line; NULL: from the file */
    size_t index;     /* in the file */
} port_config_t;

typedef struct ports_config {
    port_config_t *list;
    size_t count;
} ports_config_t;

/* Reads the member "ports". */
void port_config_read(config_t *c, const config_node_t *node, ports_config_t *ports);

/* Appends the ports of the command line. `texts` ends with NULL, or is NULL. */
void port_config_add(config_t *c, ports_config_t *ports, const char *const *texts);

/* Notes conflicts between ports, and missing or unknown users; `file`: the one read, or NULL. */
void port_config_check(config_t *c, const ports_config_t *ports, const access_config_t *access,
                       const char *file);

/* Whether two ports are the same in all that matters to an open one. */
bool port_config_same(const port_config_t *a, const port_config_t *b);

#endif
