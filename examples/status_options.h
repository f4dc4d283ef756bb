/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_STATUS_OPTIONS_H
#define EXAMPLES_STATUS_OPTIONS_H
/* The command line of `wstunnel-server status`: where to ask, as whom, and what to show. */
#include "server_config.h"
#include "status_client.h"

#define STATUS_PROGRAM "wstunnel-server status"

typedef struct status_options {
    config_t config; /* the faults */
    const char *file, *user, *password_file, *ca;
    const char **pins;
    int order; /* status_order_t */
    unsigned interval;
    bool once, json;

    server_config_t server;      /* of --config */
    bool secure, by_server_file; /* TLS; with the certificate that the server's file names */
    const char *address;         /* for people */
    status_place_t place;
    char password[CONFIG_SECRET_MAX + 1]; /* asked for */
} status_options_t;

/* The table of its options. */
extern const config_fields_t status_options_fields;

/* Reads the command line and the server's file. False: `o->config` has the faults, or those of the
 * server's file have been printed. Free it in either case. */
bool status_options_read(status_options_t *o, const options_t *options);

/* Asks for the password if it is needed and not known. False: there is none, which has been noted.
 */
bool status_options_ask(status_options_t *o);

/* Makes what TLS needs, which the caller unrefs; NULL: no TLS. With the server's own file the key
 * of its first certificate is the one that counts, whatever its names: the address may be one of
 * this machine. False: a fault, which has been noted. */
bool status_options_tls(status_options_t *o, wst_ctx_t *ctx, wst_tls_config_t **out);

/* Wipes it, too. */
void status_options_free(status_options_t *o);

#endif
