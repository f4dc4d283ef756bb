/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_NEXT_COMMAND_H
#define EXAMPLES_NEXT_COMMAND_H
/* The command that starts an agent for a server. */
#include "server_config.h"

/* What the command depends on. */
typedef struct next_command {
    const server_config_t *config;
    const char *address;                      /* where it listens for agents, as IP:PORT */
    bool tls;                                 /* there */
    bool token;                               /* agents must authenticate */
    const wst_tls_certificate_t *certificate; /* with TLS: the server's first */
} next_command_t;

/* Writes the command; false: there is none for such an address, or it is too long. */
bool next_command_write(char *out, size_t size, const next_command_t *next);

#endif
