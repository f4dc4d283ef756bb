/* SPDX-License-Identifier: MIT */
/*
 * How the agent reaches its server, one step after the other: the connection, through a proxy if
 * there is one, TLS with wss://, then the WebSocket. Each attempt goes through it anew; whatever
 * fails ends the attempt (wst__agent_fail).
 */
#include "agent.h"
#include "head_writer.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/websocket.h>

/* The options -------------------------------------------------------------------------------- */

enum { HEAD_MAX = 16384 }; /* of the upgrade request */

static int refuse(wst_agent_t *a, int error, const char *why) {
    wst__log(a->ctx, WST_LOG_ERROR, "%s", why);
    return error;
}

/* Whether a line of fields has a name that the upgrade request has anyway. */
static bool is_reserved(const char *line) {
    static const char *const names[] = {"Host:", "Connection:", "Upgrade:", "Sec-WebSocket-"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);
        if (strnlen(line, len) == len && wst_str_ieq((wst_str_t){line, len}, names[i]))
            return true;
    }
    return false;
}

static int check_host(wst_agent_t *a) {
    wst_authority_t authority;
    const char *why = "";
    if (a->host == NULL ||
        wst__url_authority(&authority, (wst_str_t){a->host, strlen(a->host)}, 80, &why) == 0)
        return 0;
    wst__log(a->ctx, WST_LOG_ERROR, "Host field: %s", why);
    return WST_EINVAL;
}

/* Said now, not at each attempt. */
static int check_fields(wst_agent_t *a) {
    char *buffer = wst__alloc(&a->ctx->allocator, HEAD_MAX);
    if (buffer == NULL)
        return WST_ENOMEM;
    wst__head_writer_t head;
    wst__head_init(&head, buffer, HEAD_MAX);
    wst__head_lines(&head, a->static_fields);
    int status = wst__head_end(&head, NULL, 0);
    wst__wipe(buffer, HEAD_MAX);
    wst__free(&a->ctx->allocator, buffer);
    if (status < 0)
        return refuse(a, WST_EINVAL, "the header fields given are not complete lines");
    for (const char *line = a->static_fields; line != NULL && *line != '\0';
         line = strstr(line, "\r\n") + 2)
        if (is_reserved(line))
            return refuse(a, WST_EINVAL, "the header fields given belong to the upgrade itself");
    return 0;
}

int wst_agent_set_tls(wst_agent_t *a, wst_tls_config_t *tls) {
    wst_tls_error_t why;
    int status = 0;
    if (!a->target.tls)
        return tls == NULL ? 0 : refuse(a, WST_EINVAL, "TLS options need a wss:// URL");
    if (tls == NULL)
        status = wst_tls_client_config(&tls, a->ctx, NULL, &why);
    else
        wst_tls_config_ref(tls);
    if (status != 0)
        return status == WST_ETLS ? refuse(a, status, why.text) : status;
    wst_tls_config_unref(a->tls);
    a->tls = tls;
    return 0;
}

static int init_tls(wst_agent_t *a) {
    if (!a->target.tls && a->sni != NULL)
        return refuse(a, WST_EINVAL, "TLS options need a wss:// URL");
    return wst_agent_set_tls(a, a->o.tls);
}

int wst__agent_connect_init(wst_agent_t *a) {
    const wst_allocator_t *al = &a->ctx->allocator;
    a->sni = wst__strdup(al, a->o.sni);
    a->host = wst__strdup(al, a->o.host);
    a->static_fields = wst__strdup(al, a->o.fields);
    if ((a->sni == NULL) != (a->o.sni == NULL) || (a->host == NULL) != (a->o.host == NULL) ||
        (a->static_fields == NULL) != (a->o.fields == NULL))
        return WST_ENOMEM;
    int status = check_host(a);
    if (status == 0)
        status = check_fields(a);
    if (status == 0)
        status = init_tls(a);
    return status == 0 ? wst__agent_proxy_init(a) : status;
}

void wst__agent_connect_free(wst_agent_t *a) {
    const wst_allocator_t *al = &a->ctx->allocator;
    wst__agent_proxy_free(a);
    wst_tls_config_unref(a->tls);
    wst__free(al, a->sni);
    wst__free(al, a->host);
    wst__free_secret(al, a->static_fields);
}

/* The steps ---------------------------------------------------------------------------------- */

static char *copy_of(const wst_agent_t *a, wst_str_t text) {
    return wst__strndup(&a->ctx->allocator, text.ptr, text.len);
}

/* The fields of the options and those of this attempt. */
static char *all_fields(const wst_agent_t *a) {
    const char *fixed = a->static_fields != NULL ? a->static_fields : "";
    const char *current = a->fields != NULL ? a->fields : "";
    size_t size = strlen(fixed) + strlen(current) + 1;
    char *fields = wst__alloc(&a->ctx->allocator, size);
    if (fields != NULL)
        snprintf(fields, size, "%s%s", fixed, current);
    return fields;
}

static int connect_websocket(wst_agent_t *a, wst_stream_t *stream) {
    const wst_allocator_t *al = &a->ctx->allocator;
    char *host = copy_of(a, a->target.authority), *path = copy_of(a, a->target.path);
    char *fields = all_fields(a);
    wst_websocket_options_t options = {.open_timeout_ms = a->o.connect_timeout_ms,
                                       .host = a->host != NULL ? a->host : host,
                                       .path = path,
                                       .fields = fields};
    int status = WST_ENOMEM;
    if (host != NULL && path != NULL && fields != NULL)
        status = a->o.protocol == WST_PROTOCOL_TALK ? wst__agent_talk_connect(a, stream, &options)
                                                    : wst__agent_link_connect(a, stream, &options);
    wst__free(al, host);
    wst__free(al, path);
    wst__free_secret(al, fields);
    return status;
}

/* The last step. Takes the stream. */
static void upgrade(wst_agent_t *a, wst_stream_t *stream) {
    a->phase = WST__AGENT_CONNECTING;
    int status = connect_websocket(a, stream);
    if (status == 0)
        return;
    wst_stream_close(stream, NULL);
    wst__agent_fail(a, status, 0,
                    status == WST_EINVAL ? "the fields given are not complete lines" : "");
}

static void on_tls(int status, wst_stream_t *stream, const char *detail, void *user_data) {
    wst_agent_t *a = user_data;
    a->handshake = NULL;
    if (status == 0)
        upgrade(a, stream);
    else
        wst__agent_fail(a, status, 0, detail);
}

/* With wss://. Takes the stream. */
static void start_tls(wst_agent_t *a, wst_stream_t *stream) {
    char *name = copy_of(a, a->target.host);
    const wst_tls_handshake_options_t options = {.config = a->tls,
                                                 .server_name = name,
                                                 .sni = a->sni,
                                                 .timeout_ms = a->o.connect_timeout_ms};
    int status = WST_ENOMEM;
    if (name != NULL)
        status = wst_tls_handshake(&a->handshake, stream, &options, on_tls, a);
    wst__free(&a->ctx->allocator, name);
    if (status == 0)
        return;
    wst_stream_close(stream, NULL);
    wst__agent_fail(a, status, 0, "");
}

void wst__agent_connected(wst_agent_t *a, wst_stream_t *stream) {
    if (a->tls != NULL)
        start_tls(a, stream);
    else
        upgrade(a, stream);
}

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    wst_agent_t *a = user_data;
    a->dial = NULL;
    if (status == 0)
        wst__agent_connected(a, stream);
    else
        wst__agent_fail(a, status, 0, "");
}

void wst__agent_connect(wst_agent_t *a) {
    a->phase = WST__AGENT_DIALLING;
    char host[WST__AUTHORITY_MAX + 1];
    snprintf(host, sizeof(host), "%.*s", (int)a->target.host.len, a->target.host.ptr);
    if (a->proxy.url != NULL) {
        wst__agent_proxy_dial(a, host);
        return;
    }
    const wst_dial_options_t options = {
        .host = host, .port = a->target.port, .timeout_ms = a->o.connect_timeout_ms};
    int status = wst_dial(&a->dial, a->ctx, &options, on_dialled, a);
    if (status != 0)
        wst__agent_fail(a, status, 0, "");
}

void wst__agent_connect_cancel(wst_agent_t *a) {
    if (a->dial != NULL)
        wst_dial_cancel(a->dial);
    if (a->proxy_dial != NULL)
        wst_proxy_dial_cancel(a->proxy_dial);
    if (a->handshake != NULL)
        wst_tls_handshake_cancel(a->handshake);
    a->dial = NULL;
    a->proxy_dial = NULL;
    a->handshake = NULL;
}
