/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_AGENT_CONFIG_H
#define EXAMPLES_AGENT_CONFIG_H
/* The configuration of wstunnel-agent: wstunnel.json(5), and the same options on its command line.
 */
#include "operators.h"
#include "rules_config.h"

typedef struct agent_config {
    config_t config;
    int log_level, log_format;      /* wst_log_level_t, log_format_t */
    int encoding, protocol;         /* wst_encoding_t, wst_protocol_t */
    const char **urls;              /* also options.urls */
    const char *token, *token_file; /* at most one; the file is read at each attempt */
    bool exit_on_refusal;
    uint64_t max_age;            /* of a connection, in seconds; 0: none */
    const char *ca, *cert, *key; /* paths */
    const char **pins, **headers;
    bool insecure;
    const char *proxy;                        /* URL, or "none"; NULL: by the environment */
    const char *proxy_user, *proxy_user_file; /* at most one */
    const char *proxy_ca;
    const char **allow, **deny; /* of the command line, also in `listed` */
    rules_config_t listed;
    wst_rules_t *rules; /* made of `listed`; NULL: none */
    const char *admin;  /* where operators are served; NULL: nowhere */
    admin_config_t admins;
    wst_agent_options_t options; /* all but callbacks, user_data, proxy, tls */
    size_t memory_budget;
} agent_config_t;

/* The table of its options. */
extern const config_fields_t agent_config_fields;

/* Reads a configuration. False: `config->config` has the faults. Free it in either case. */
bool agent_config_read(agent_config_t *config, const options_t *options);
void agent_config_free(agent_config_t *config);

/* The token to present, in memory of `c`. NULL: none is configured, or it cannot be read, which has
 * been noted. */
const char *agent_config_token(config_t *c, const agent_config_t *config);

/* Makes the TLS configuration that the options describe (NULL: no options for TLS); the caller
 * unrefs it. False: an error, which has been logged. */
bool agent_config_tls(wst_tls_config_t **out, const agent_config_t *config, wst_ctx_t *ctx);

/* Fills in the proxy that the options or the environment name, in memory of `c`; the caller unrefs
 * `tls`. `url` is NULL without a proxy. False: an error, which has been noted. */
bool agent_config_proxy(wst_proxy_options_t *out, config_t *c, const agent_config_t *config,
                        wst_ctx_t *ctx);

/* Writes the names of the fixed options that differ, separated by ", "; "" if none do. */
void agent_config_compare(char *out, size_t size, const agent_config_t *old,
                          const agent_config_t *now);

#endif
