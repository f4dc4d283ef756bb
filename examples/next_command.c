/* SPDX-License-Identifier: MIT */
#include "next_command.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum { HOST_SIZE = 256 };

/* The first name of a certificate that a URL can have; NULL: none. */
static const wst_tls_name_t *name_of(const wst_tls_certificate_t *certificate) {
    for (size_t i = 0; i < certificate->name_count; i++) {
        const wst_tls_name_t *name = &certificate->names[i];
        if ((name->kind == WST_TLS_NAME_DNS && name->text[0] != '*') ||
            name->kind == WST_TLS_NAME_IP)
            return name;
    }
    return NULL;
}

static bool is_any(const char *host, size_t len) {
    return (len == 7 && memcmp(host, "0.0.0.0", len) == 0) ||
           (len == 4 && memcmp(host, "[::]", len) == 0);
}

/* Writes the host by which an agent reaches the server: a name that the certificate has, or the
 * address itself, or this machine's name. */
static void write_host(char out[HOST_SIZE], const next_command_t *next, size_t address_len) {
    size_t size = HOST_SIZE;
    const wst_tls_name_t *name = next->tls ? name_of(next->certificate) : NULL;
    if (name != NULL && name->kind == WST_TLS_NAME_IP && strchr(name->text, ':') != NULL)
        snprintf(out, size, "[%s]", name->text);
    else if (name != NULL)
        snprintf(out, size, "%s", name->text);
    else if (!is_any(next->address, address_len))
        snprintf(out, size, "%.*s", (int)address_len, next->address);
    else if (uv_os_gethostname(out, &size) != 0)
        snprintf(out, HOST_SIZE, "HOST");
}

bool next_command_write(char *out, size_t size, const next_command_t *next) {
    const server_config_t *c = next->config;
    const char *colon = strrchr(next->address, ':');
    if (strncmp(next->address, "unix:", 5) == 0 || colon == NULL)
        return false;
    char host[HOST_SIZE];
    write_host(host, next, (size_t)(colon - next->address));
    bool own = next->tls && strcmp(next->certificate->subject, next->certificate->issuer) == 0;
    int len = snprintf(out, size, "wstunnel-agent%s%s%s%s%s %s://%s%s%s",
                       c->protocol == WST_PROTOCOL_TALK ? " --protocol talk" : "",
                       next->token ? " --token-file agent.token" : "", own ? " --pin " : "",
                       own ? next->certificate->pin : "",
                       c->certified ? " --cert FILE --key FILE" : "", next->tls ? "wss" : "ws",
                       host, colon, c->options.path != NULL ? c->options.path : "");
    return len > 0 && (size_t)len < size;
}
