/* SPDX-License-Identifier: MIT */
/*
 * How the agent reaches its server, one step after the other: the connection, then the WebSocket.
 * Each attempt goes through it anew; whatever fails ends the attempt (wst__agent_fail).
 */
#include "agent.h"

#include <stdio.h>
#include <wstunnel/websocket.h>

/* The server's address as text for the Host field and the path, terminated. */
static int connect_websocket(wst_agent_t *a, wst_stream_t *stream) {
    const wst_allocator_t *al = &a->ctx->allocator;
    char *host = wst__strndup(al, a->target.authority.ptr, a->target.authority.len);
    char *path = wst__strndup(al, a->target.path.ptr, a->target.path.len);
    wst_websocket_options_t options = {.open_timeout_ms = a->o.connect_timeout_ms,
                                       .host = host,
                                       .path = path,
                                       .fields = a->fields};
    int status = WST_ENOMEM;
    if (host != NULL && path != NULL)
        status = a->o.protocol == WST_PROTOCOL_TALK ? wst__agent_talk_connect(a, stream, &options)
                                                    : wst__agent_link_connect(a, stream, &options);
    wst__free(al, host);
    wst__free(al, path);
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

static void on_dialled(int status, wst_stream_t *stream, void *user_data) {
    wst_agent_t *a = user_data;
    a->dial = NULL;
    if (status == 0)
        upgrade(a, stream);
    else
        wst__agent_fail(a, status, 0, "");
}

void wst__agent_connect(wst_agent_t *a) {
    a->phase = WST__AGENT_DIALLING;
    char host[WST__AUTHORITY_MAX + 1];
    snprintf(host, sizeof(host), "%.*s", (int)a->target.host.len, a->target.host.ptr);
    const wst_dial_options_t options = {
        .host = host, .port = a->target.port, .timeout_ms = a->o.connect_timeout_ms};
    int status = wst_dial(&a->dial, a->ctx, &options, on_dialled, a);
    if (status != 0)
        wst__agent_fail(a, status, 0, "");
}

void wst__agent_connect_cancel(wst_agent_t *a) {
    if (a->dial != NULL)
        wst_dial_cancel(a->dial);
    a->dial = NULL;
}
