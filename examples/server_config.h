/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_SERVER_CONFIG_H
#define EXAMPLES_SERVER_CONFIG_H
/* The configuration of wstunnel-server: wstunnel.json(5), and the same options on its command line.
 */
#include "access_config.h"
#include "options.h"
#include "port_config.h"
#include "operators.h"

enum { SERVER_LISTENERS_MAX = 16, SERVER_PAIRS_MAX = 32 };

/* For which a server whose sockets outlive it still serves the connections that it has accepted. */
enum { SERVER_HANDOVER_MS = 1000 };

/* Which open tunnels a reload ends; the order of the choices of "kick". */
enum { KICK_NONE, KICK_USERS, KICK_ALL };

typedef struct server_listener {
    const char *address;
    unsigned roles; /* of enum wst_role and wst_listen_flag; 0: the library's default */
} server_listener_t;

typedef struct server_config {
    config_t config;
    int log_level, log_format; /* wst_log_level_t, log_format_t */
    int protocol;              /* wst_protocol_t */
    const char **listen;       /* as written */
    const char **trust;        /* networks of proxies */
    server_listener_t listeners[SERVER_LISTENERS_MAX];
    size_t listener_count;
    const char **certs, **keys; /* as written */
    wst_tls_file_pair_t pairs[SERVER_PAIRS_MAX];
    size_t pair_count;
    const char *client_ca;
    int client_cert;  /* wst_tls_client_cert_t */
    bool certified;   /* every client and agent must show a certificate */
    const char *file; /* the file read; NULL: none */
    const char *agent_token, *agent_token_file, *user_file;
    access_config_t access;
    int kick;          /* KICK_... */
    const char **port; /* as written on the command line */
    ports_config_t ports;
    admin_config_t admins;
    wst_pac_options_t pac;
    bool open_to_operators;       /* of other machines, without accounts */
    uint64_t resume_grace;        /* of the command line, in s; UINT64_MAX: not given */
    wst_server_options_t options; /* only path, allow_open, no_resume, trust and protocol */
    wst_server_limits_t limits;
    size_t memory_budget;
} server_config_t;

/* The table of its options. */
extern const config_fields_t server_config_fields;

/* Reads a configuration. False: `config->config` has the faults. Free it in either case. */
bool server_config_read(server_config_t *config, const options_t *options);
void server_config_free(server_config_t *config);

/* Makes the access object of a configuration, once only. 0 or an error, which has been noted. */
int server_config_make_access(server_config_t *config, wst_ctx_t *ctx, wst_access_t **out);

/* Makes the proxy auto-config file of a configuration; NULL if it has none. 0 or an error, which
 * has been noted. */
int server_config_make_pac(server_config_t *config, wst_pac_t **out);

/* Whether the certificates are from the same files. */
bool server_config_same_pairs(const server_config_t *a, const server_config_t *b);

/* Writes the names of the fixed options that differ, separated by ", "; "" if none do. */
void server_config_compare(char *out, size_t size, const server_config_t *old,
                           const server_config_t *now);

#endif
