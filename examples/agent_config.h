/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_AGENT_CONFIG_H
#define EXAMPLES_AGENT_CONFIG_H
/* The configuration of wstunnel-agent: wstunnel.json(5), and the same options on its command line.
 */
#include "options.h"

typedef struct agent_config {
    config_t config;
    int log_level, log_format;      /* wst_log_level_t, log_format_t */
    int encoding, protocol;         /* wst_encoding_t, wst_protocol_t */
    const char *token, *token_file; /* at most one is set; the file is read at each attempt */
    bool exit_on_refusal;
    const char *ca, *cert, *key; /* paths */
    const char **pins, **headers;
    bool insecure;
    const char *proxy;                        /* URL, or "none"; NULL: what the environment says */
    const char *proxy_user, *proxy_user_file; /* at most one is set */
    const char *proxy_ca;
    wst_rules_t *rules;          /* NULL: none */
    wst_agent_options_t options; /* url, name, sni, host, fields, numbers; nothing else */
    size_t memory_budget;
} agent_config_t;

/* The table of its options. */
extern const config_fields_t agent_config_fields;

/* Reads it anew. Whether all is right; `config->config` says what is not. In either case it is to
 * be freed. */
bool agent_config_read(agent_config_t *config, const options_t *options);
void agent_config_free(agent_config_t *config);

/* The token to present, NULL: it cannot be had; in memory of `c`. */
const char *agent_config_token(config_t *c, const agent_config_t *config);

/* Makes what the options for TLS say (NULL: nothing); the caller's to unref. False: it cannot,
 * which has been logged. */
bool agent_config_tls(wst_tls_config_t **out, const agent_config_t *config, wst_ctx_t *ctx);

/* What the options and the environment say about a proxy, in memory of `c`; `tls` is the caller's
 * to unref. url NULL: none. False: something is wrong, which has been noted. */
bool agent_config_proxy(wst_proxy_options_t *out, config_t *c, const agent_config_t *config,
                        wst_ctx_t *ctx);

/* The fixed options that differ: names, separated by ", "; "": none. */
void agent_config_compare(char *out, size_t size, const agent_config_t *old,
                          const agent_config_t *now);

#endif
