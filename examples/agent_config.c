/* SPDX-License-Identifier: MIT */
/* The configuration of the agent (agent_config.h). */
#include "agent_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "listen_address.h"
#include "log.h"

enum { DAY_MS = 86400000, YEAR_S = 31536000, URL = 0, URLS_MAX = 16 };

/* A member of "limits" that sets the library's option of the same name. */
#define LIMIT(member, low, high)                                                                   \
    {                                                                                              \
        .name = #member, .kind = CONFIG_NUMBER,                                                    \
        .offset = offsetof(agent_config_t, options.member),                                        \
        .size = sizeof(((agent_config_t *)NULL)->options.member), .min = (low), .max = (high),     \
        .fixed = true                                                                              \
    }

static const config_field_t limit_members[] = {
    LIMIT(max_streams, 1, 1000000),
    LIMIT(max_pending, 1, 1000000),
    LIMIT(stream_window, 1024, 1 << 30),
    LIMIT(stream_window_max, 1024, 1 << 30),
    LIMIT(dial_timeout_ms, 1, DAY_MS),
    LIMIT(connect_timeout_ms, 1, DAY_MS),
    LIMIT(half_closed_timeout_ms, 1, DAY_MS),
    LIMIT(ping_interval_ms, 1, DAY_MS),
    LIMIT(dead_after_ms, 1, DAY_MS),
    LIMIT(backoff_min_ms, 1, DAY_MS),
    LIMIT(backoff_max_ms, 1, DAY_MS),
    LIMIT(drain_timeout_ms, 1, DAY_MS),
    LIMIT(probe_after_ms, 1, DAY_MS),
    {.name = "memory_budget",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(agent_config_t, memory_budget),
     .size = sizeof(size_t),
     .min = 1 << 20,
     .max = (uint64_t)1 << 40,
     .fixed = true},
};
static const config_fields_t limits = {limit_members,
                                       sizeof(limit_members) / sizeof(limit_members[0])};

static void read_admins(config_t *c, const config_node_t *node, void *target) {
    admin_config_read(c, node, &((agent_config_t *)target)->admins);
}

static void read_limits(config_t *c, const config_node_t *node, void *target) {
    config_read_object(c, node, &limits, target);
}

static void read_rules(config_t *c, const config_node_t *node, void *target) {
    agent_config_t *config = target;
    rules_config_read(c, node, false, &config->listed);
}

static const config_field_t members[] = {
    [URL] = {.name = "url",
             .kind = CONFIG_LIST,
             .offset = offsetof(agent_config_t, urls),
             .file_only = true, /* on the command line they are arguments */
             .fixed = true},
    {.name = "name",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, options.name),
     .max = WST_NAME_MAX,
     .fixed = true},
    {.name = "token_file", .kind = CONFIG_TEXT, .offset = offsetof(agent_config_t, token_file)},
    {.name = "token",
     .kind = CONFIG_SECRET,
     .offset = offsetof(agent_config_t, token),
     .max = CONFIG_SECRET_MAX,
     .variable = "WSTUNNEL_TOKEN"},
    {.name = "ca", .kind = CONFIG_TEXT, .offset = offsetof(agent_config_t, ca)},
    {.name = "pin", .kind = CONFIG_LIST, .offset = offsetof(agent_config_t, pins)},
    {.name = "cert", .kind = CONFIG_TEXT, .offset = offsetof(agent_config_t, cert)},
    {.name = "key", .kind = CONFIG_TEXT, .offset = offsetof(agent_config_t, key)},
    {.name = "insecure", .kind = CONFIG_FLAG, .offset = offsetof(agent_config_t, insecure)},
    {.name = "sni",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, options.sni),
     .fixed = true},
    {.name = "host",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, options.host),
     .fixed = true},
    {.name = "header",
     .kind = CONFIG_LIST,
     .offset = offsetof(agent_config_t, headers),
     .fixed = true},
    {.name = "proxy",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, proxy),
     .fixed = true,
     .hides = true},
    {.name = "proxy_user_file",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, proxy_user_file),
     .fixed = true},
    {.name = "proxy_user",
     .kind = CONFIG_SECRET,
     .offset = offsetof(agent_config_t, proxy_user),
     .max = 2 * CONFIG_SECRET_MAX,
     .variable = "WSTUNNEL_PROXY_USER",
     .fixed = true},
    {.name = "proxy_ca",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, proxy_ca),
     .fixed = true},
    {.name = "encoding",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(agent_config_t, encoding),
     .choices = "binary|json",
     .fixed = true},
    {.name = "protocol",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(agent_config_t, protocol),
     .choices = "wstunnel|talk",
     .fixed = true},
    {.name = "spare_connections",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(agent_config_t, options.spare_connections),
     .size = sizeof(size_t),
     .min = 1,
     .max = 1000,
     .fixed = true},
    {.name = "no_resume",
     .kind = CONFIG_FLAG,
     .offset = offsetof(agent_config_t, options.no_resume),
     .fixed = true},
    {.name = "max_age",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(agent_config_t, max_age),
     .size = sizeof(uint64_t),
     .min = 1,
     .max = YEAR_S,
     .fixed = true},
    {.name = "connections",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(agent_config_t, options.connections),
     .size = sizeof(uint32_t),
     .min = 1,
     .max = 64,
     .fixed = true},
    {.name = "all_addresses",
     .kind = CONFIG_FLAG,
     .offset = offsetof(agent_config_t, options.all_addresses),
     .fixed = true},
    {.name = "exit_on_refusal",
     .kind = CONFIG_FLAG,
     .offset = offsetof(agent_config_t, exit_on_refusal)},
    {.name = "log_level",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(agent_config_t, log_level),
     .choices = LOG_LEVELS},
    {.name = "log_format",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(agent_config_t, log_format),
     .choices = LOG_FORMATS},
    {.name = "rules", .kind = CONFIG_OTHER, .read = read_rules},
    {.name = "nat64",
     .kind = CONFIG_LIST,
     .offset = offsetof(agent_config_t, listed.nat64),
     .file_only = true},
    {.name = "allow",
     .kind = CONFIG_LIST,
     .offset = offsetof(agent_config_t, allow),
     .line_only = true},
    {.name = "deny",
     .kind = CONFIG_LIST,
     .offset = offsetof(agent_config_t, deny),
     .line_only = true},
    {.name = "limits", .kind = CONFIG_OTHER, .read = read_limits},
    {.name = "admin",
     .kind = CONFIG_TEXT,
     .offset = offsetof(agent_config_t, admin),
     .fixed = true},
    {.name = "admins", .kind = CONFIG_OTHER, .read = read_admins},
};
const config_fields_t agent_config_fields = {members, sizeof(members) / sizeof(members[0])};

/* The headers as complete lines, for wst_agent_options.fields; NULL: none. */
static const char *join_headers(agent_config_t *config) {
    size_t size = 1;
    for (size_t i = 0; config->headers != NULL && config->headers[i] != NULL; i++)
        size += strlen(config->headers[i]) + 2;
    char *lines = size > 1 ? config_alloc(&config->config, size) : NULL;
    char *at = lines;
    for (size_t i = 0; lines != NULL && config->headers[i] != NULL; i++)
        at += snprintf(at, size - (size_t)(at - lines), "%s\r\n", config->headers[i]);
    return lines;
}

/* Notes the files with secrets that are read later: at each attempt, or when TLS is set up. */
static void note_secret_files(agent_config_t *config) {
    const char *const paths[] = {config->token_file, config->proxy_user_file, config->key};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (paths[i] != NULL)
            config_note_secret_file(&config->config, paths[i]);
}

/* Returns the URL of a WebSocket for one of HTTP. NULL: a fault, which has been noted. */
static const char *complete_url(config_t *c, const char *url) {
    static const struct {
        const char *http, *ws;
    } schemes[] = {{"https://", "wss://"}, {"http://", "ws://"}};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].http);
        if (strncasecmp(url, schemes[i].http, len) != 0)
            continue;
        size_t size = strlen(url) + 1;
        char *out = config_alloc(c, size);
        if (out != NULL)
            snprintf(out, size, "%s%s", schemes[i].ws, url + len);
        return out;
    }
    if (strstr(url, "://") != NULL)
        return url;
    config_fault(c, "URL", "'%s' has no scheme: write wss://%s, or without TLS ws://%s", url, url,
                 url);
    return NULL;
}

/* Those of the command line replace those of the file. */
static void read_urls(agent_config_t *config, const options_t *options) {
    config_t *c = &config->config;
    size_t count = 0;
    for (size_t i = 0; options->arguments != NULL && options->arguments[i] != NULL; i++)
        config_read_text(c, "URL", &members[URL], options->arguments[i], i == 0, config);
    for (; config->urls != NULL && config->urls[count] != NULL; count++) {
        const char *complete = complete_url(c, config->urls[count]);
        if (complete != NULL)
            config->urls[count] = complete;
    }
    if (count == 0)
        config_fault(c, NULL, "a URL is needed: ws[s]://HOST[:PORT][/PATH]");
    if (count > URLS_MAX)
        config_fault(c, "url", "must be at most %d", URLS_MAX);
    config->options.urls = config->urls;
}

/* Where operators are served, and who they are. */
static void check_admin(agent_config_t *config) {
    config_t *c = &config->config;
    for (size_t i = 0; i < config->admins.count; i++)
        if (config->admins.accounts[i].tenant != NULL)
            config_fault(c, "admins", "an agent has no tenants");
    if (config->admin == NULL)
        return;
    if (!listen_address_is_valid(config->admin))
        config_fault(c, "admin",
                     "not IP:PORT, [IP]:PORT, :PORT, localhost:PORT or unix:/PATH "
                     "(names are not looked up)");
    else if (config->admins.count == 0 && !operators_are_local(config->admin))
        config_fault(c, "admin",
                     "beyond this machine operators need accounts: configure "
                     "\"admins\"");
}

bool agent_config_read(agent_config_t *config, const options_t *options) {
    *config = (agent_config_t){.log_level = WST_LOG_INFO, .options.size = sizeof(config->options)};
    options_read(&config->config, options, &agent_config_fields, config);
    read_urls(config, options);
    if (config->options.name != NULL && !config_is_name(config->options.name))
        config_fault(&config->config, "name", CONFIG_NAME_FAULT);
    if ((config->cert == NULL) != (config->key == NULL))
        config_fault(&config->config, config->cert != NULL ? "cert" : "key",
                     "cert and key go together");
    config->options.fields = join_headers(config);
    options_pick_secret(&config->config, options, "token", &config->token, &config->token_file,
                        "WSTUNNEL_TOKEN");
    if (config->token != NULL && !config_is_token(config->token))
        config_fault(&config->config, "token", "%s", CONFIG_TOKEN_FAULT);
    options_pick_secret(&config->config, options, "proxy_user", &config->proxy_user,
                        &config->proxy_user_file, "WSTUNNEL_PROXY_USER");
    config->options.encoding = (wst_encoding_t)config->encoding;
    config->options.protocol = (wst_protocol_t)config->protocol;
    config->options.max_age_ms = config->max_age * 1000;
    rules_config_add_line(&config->config, options, &config->listed);
    config->rules = rules_config_make(&config->config, &config->listed);
    config->options.rules = config->rules;
    note_secret_files(config);
    check_admin(config);
    return config->config.error_count == 0;
}

void agent_config_free(agent_config_t *config) {
    wst_rules_free(config->rules);
    config_free(&config->config);
    *config = (agent_config_t){0};
}

const char *agent_config_token(config_t *c, const agent_config_t *config) {
    if (config->token != NULL || config->token_file == NULL)
        return config->token;
    const char *token = config_read_secret(c, NULL, "token_file", config->token_file);
    if (token == NULL || config_is_token(token))
        return token;
    config_fault(c, "token_file", "%s", CONFIG_TOKEN_FAULT);
    return NULL;
}

bool agent_config_tls(wst_tls_config_t **out, const agent_config_t *config, wst_ctx_t *ctx) {
    config_t scratch = {0};
    wst_tls_error_t why = {""};
    *out = NULL;
    if (config->ca == NULL && config->cert == NULL && config->pins == NULL && !config->insecure)
        return true;
    const wst_tls_identity_t identity = {sizeof(identity),
                                         config_read_pem(&scratch, "cert", config->cert),
                                         config_read_pem(&scratch, "key", config->key)};
    const wst_tls_client_options_t options = {.size = sizeof(options),
                                              .ca_pem = config_read_pem(&scratch, "ca", config->ca),
                                              .pins = config->pins,
                                              .identity = config->cert != NULL ? &identity : NULL,
                                              .insecure = config->insecure};
    int status = 0;
    if (scratch.error_count == 0)
        status = wst_tls_client_config(out, ctx, &options, &why);
    if (status != 0)
        config_fault(&scratch, NULL, "%s", status == WST_ETLS ? why.text : wst_strerror(status));
    config_log(&scratch);
    bool ok = scratch.error_count == 0;
    config_free(&scratch);
    if (ok && config->insecure)
        log_line(WST_LOG_WARN, "insecure: the server is not verified, anyone can pose as it");
    return ok;
}

/* The proxy ---------------------------------------------------------------------------------- */

static const char *either(const char *name, const char *other) {
    const char *value = getenv(name);
    return value != NULL ? value : getenv(other);
}

/* Ignores HTTP_PROXY: in a program that a web server runs (CGI), a client's Proxy field sets it. */
static const char *proxy_of_environment(const char *url) {
    const wst_proxy_env_t env = {.http_proxy = getenv("http_proxy"),
                                 .https_proxy = either("https_proxy", "HTTPS_PROXY"),
                                 .all_proxy = either("all_proxy", "ALL_PROXY"),
                                 .no_proxy = either("no_proxy", "NO_PROXY")};
    return wst_proxy_choose(&env, url);
}

/* False: not one for all URLs, which has been noted. */
static bool find_proxy(const char **out, config_t *c, const char *const *urls) {
    *out = proxy_of_environment(urls[0]);
    for (size_t i = 1; urls[i] != NULL; i++) {
        const char *other = proxy_of_environment(urls[i]);
        if (*out == other || (*out != NULL && other != NULL && strcmp(*out, other) == 0))
            continue;
        config_fault(c, "proxy", "the environment has different ones for these URLs: name one");
        return false;
    }
    return true;
}

bool agent_config_proxy(wst_proxy_options_t *out, config_t *c, const agent_config_t *config,
                        wst_ctx_t *ctx) {
    wst_tls_error_t why = {""};
    *out = (wst_proxy_options_t){.size = sizeof(wst_proxy_options_t),
                                 .url = config->proxy,
                                 .credentials = config->proxy_user};
    if (out->url == NULL && !find_proxy(&out->url, c, config->urls))
        return false;
    if (config->proxy != NULL && strcmp(config->proxy, "none") == 0)
        out->url = NULL;
    if (out->url == NULL)
        return true;
    if (config->proxy_user_file != NULL)
        out->credentials = config_read_secret(c, NULL, "proxy_user_file", config->proxy_user_file);
    if (config->proxy_ca == NULL)
        return c->error_count == 0;
    const wst_tls_client_options_t tls = {
        .size = sizeof(tls), .ca_pem = config_read_pem(c, "proxy_ca", config->proxy_ca)};
    int status = c->error_count == 0 ? wst_tls_client_config(&out->tls, ctx, &tls, &why) : 0;
    if (status != 0)
        config_fault(c, "proxy_ca", "%s", status == WST_ETLS ? why.text : wst_strerror(status));
    return c->error_count == 0;
}

void agent_config_compare(char *out, size_t size, const agent_config_t *old,
                          const agent_config_t *now) {
    out[0] = '\0';
    config_compare(out, size, &agent_config_fields, old, now);
    config_compare(out, size, &limits, old, now);
}
