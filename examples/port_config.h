/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_PORT_CONFIG_H
#define EXAMPLES_PORT_CONFIG_H
/* What the server's configuration says about ports: the member "ports", and --port. */
#include "access_config.h"

enum { PORTS_MAX = 64 };

typedef struct port_config {
    const char *listen; /* with an address before the number */
    const char *destination;
    const char *agent, *user; /* NULL: none */
    bool open;
    const char *text; /* as written on the command line; NULL: it is of the file */
    size_t index;     /* in the file */
} port_config_t;

typedef struct ports_config {
    port_config_t *list;
    size_t count;
} ports_config_t;

/* Reads the member "ports". */
void port_config_read(config_t *c, const config_node_t *node, ports_config_t *ports);

/* Behind those of the configuration file: those of the command line. `texts` ends with NULL; may be
 * NULL. */
void port_config_add(config_t *c, ports_config_t *ports, const char *const *texts);

/* Notes what is wrong between ports, and with their users; `file`: that was read, or NULL. */
void port_config_check(config_t *c, const ports_config_t *ports, const access_config_t *access,
                       const char *file);

/* Whether they are the same port. */
bool port_config_same(const port_config_t *a, const port_config_t *b);

#endif
