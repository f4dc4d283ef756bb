/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_OPERATORS_H
#define EXAMPLES_OPERATORS_H
/* The operators of a program: their accounts in its configuration, where they may be served, and
 * what they do. */
#include "config.h"

typedef struct admin_config {
    wst_admin_account_t *accounts;
    size_t count;
} admin_config_t;

/* Reads the member "admins". */
void admin_config_read(config_t *c, const config_node_t *node, admin_config_t *admins);

/* Whether an address to listen on, as it is written or as it is, is of this machine alone. Names
 * are not looked up: "127." begins no name. */
bool operators_are_local(const char *address);

/* Logs what an operator has done. */
void operators_log(const wst_admin_action_t *action);

#endif
