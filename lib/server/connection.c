/* SPDX-License-Identifier: MIT */
/*
 * One HTTP connection of a server. The request tells whether the peer is a client (CONNECT, a
 * request in absolute form, or for the proxy auto-config file), an agent (the upgrade) or a
 * monitor. The roles tell what an address offers; requests for anything else are refused here.
 */
#include "server.h"

#include "forwarded.h"
#include "guard_fields.h"
#include "http_target.h"
#include "pac.h"

#include <stdio.h>
#include <string.h>

static wst__conn_t *conn_of(wst__client_t *client) {
    return WST__CONTAINER(client, wst__conn_t, client);
}

/* Answers ------------------------------------------------------------------------------------ */

static void respond(wst__conn_t *c, int status, const char *reason, const char *fields,
                    const char *body) {
    const wst_response_t response = {.size = sizeof(response),
                                     .status = status,
                                     .reason = reason,
                                     .fields = fields,
                                     .body = body};
    wst__client_respond(&c->client, &response);
}

static void bad_request(wst__conn_t *c, const wst_http_head_t *head, const char *why) {
    char reason[WST__PHRASE_MAX + 1], destination[WST_DEST_MAX + 1];
    snprintf(reason, sizeof(reason), "Bad Request: %s", why);
    const wst__refusal_t refusal = {.status = 400, .reason = reason, .error = "http_request_error"};
    if (!wst_str_eq(head->method, "CONNECT")) {
        wst__client_respond_refusal(&c->client, &refusal);
        return;
    }
    snprintf(destination, sizeof(destination), "%.*s", (int)head->target.len, head->target.ptr);
    wst__client_refuse(&c->client, destination, &refusal, WST_EHTTP);
}

static void refuse_destination(wst__conn_t *c, const wst_authority_t *authority, int cause) {
    char destination[WST_DEST_MAX + 1];
    const wst__refusal_t refusal = wst__refusal_of(cause);
    wst__authority_write(destination, sizeof(destination), authority);
    wst__client_refuse(&c->client, destination, &refusal, wst__refusal_code(cause));
}

/* Answers a monitor, which may ask again on the same connection. */
static void respond_health(wst__conn_t *c, bool well, const char *body) {
    const wst_response_t response = {.size = sizeof(response),
                                     .status = well ? 200 : 503,
                                     .reason = well ? "OK" : "Service Unavailable",
                                     .fields = "Cache-Control: no-store\r\n",
                                     .body = body,
                                     .keep_alive = true};
    wst__client_respond(&c->client, &response);
}

static void respond_ready(wst__conn_t *c) {
    wst_server_t *s = c->server;
    bool ready = s->ingress.remotes.ready > 0;
    if (s->leaving)
        respond_health(c, false, "shutting down\n");
    else
        respond_health(c, ready, ready ? "ready\n" : "no agent available\n");
}

/* Answers a browser that looks for its proxy. No web page is to read the names in the file. */
static void respond_pac(wst__conn_t *c, const wst_http_head_t *head) {
    const wst_http_header_t *field = wst_http_header(head, "Host", NULL);
    const wst_str_t host = field != NULL ? field->value : (wst_str_t){"", 0};
    char file[WST_PAC_MAX], fields[1024];
    if (wst__pac_write(c->server->pac, c->client.tls != NULL, host, file) < 0) {
        bad_request(c, head, "the field Host must be HOST or HOST:PORT");
        return;
    }
    snprintf(fields, sizeof(fields), "Content-Type: application/x-ns-proxy-autoconfig\r\n%s",
             wst__guard_fields);
    const wst_response_t response = {.size = sizeof(response),
                                     .status = 200,
                                     .reason = "OK",
                                     .fields = fields,
                                     .body = file,
                                     .keep_alive = true};
    wst__client_respond(&c->client, &response);
}

/* Requests ----------------------------------------------------------------------------------- */

static bool is_read_method(const wst_http_head_t *head) {
    return wst_str_eq(head->method, "GET") || wst_str_eq(head->method, "HEAD");
}

static void serve_path(wst__conn_t *c, const wst_http_head_t *head, wst_str_t path) {
    const char *query = path.len > 0 ? memchr(path.ptr, '?', path.len) : NULL;
    if (query != NULL)
        path.len = (size_t)(query - path.ptr);
    bool health = wst_str_eq(path, "/healthz") && (c->roles & WST_ROLE_HEALTH) != 0;
    bool readiness = wst_str_eq(path, "/readyz") && (c->roles & WST_ROLE_HEALTH) != 0;
    bool pac = wst_str_eq(path, "/proxy.pac") && (c->roles & WST_ROLE_CONNECT) != 0 &&
               c->server->pac != NULL;
    bool agents = wst_str_eq(path, c->server->path) && (c->roles & WST_ROLE_AGENTS) != 0;
    if ((health || readiness || pac) && !is_read_method(head))
        respond(c, 405, "Method Not Allowed", "Allow: GET, HEAD\r\n", NULL);
    else if (health)
        respond_health(c, true, "ok\n");
    else if (readiness)
        respond_ready(c);
    else if (pac)
        respond_pac(c, head);
    else if (agents && !wst_str_eq(head->method, "GET"))
        respond(c, 405, "Method Not Allowed", "Allow: GET\r\n", NULL);
    else if (agents)
        wst__agent_request(c, head);
    else
        respond(c, 404, "Not Found", NULL, "Nothing is served here.\n");
}

/* Whether a handshake should have come first. */
static bool speaks_plain_to_tls(const wst__conn_t *c) {
    return c->client.tls == NULL &&
           (c->roles & (WST_LISTEN_TLS | WST_LISTEN_PLAIN)) == WST_LISTEN_TLS;
}

static wst_str_t refuse_spoken(wst__conn_t *c, wst__spoken_t spoken) {
    const wst_stream_t *stream = wst_hijack_connection(c->client.hijack);
    return wst__spoken_refuse(c->server, stream, c->roles, spoken);
}

static wst_str_t on_stranger(wst__client_t *client, uint8_t first) {
    wst__spoken_t spoken = wst__spoken_of(first);
    return spoken != WST__SPEAKS_HTTP ? refuse_spoken(conn_of(client), spoken)
                                      : (wst_str_t){NULL, 0};
}

static void refuse_plain(wst__conn_t *c, const wst_http_head_t *head) {
    refuse_spoken(c, WST__SPEAKS_HTTP);
    bad_request(c, head, "this address speaks TLS (https://, wss://)");
}

/* Notes on whose behalf the request comes. */
static void note_client(wst__conn_t *c, const wst_http_head_t *head) {
    const wst_stream_t *stream = wst_hijack_connection(c->client.hijack);
    wst__claim_of_request(c->server, c->client.peer, wst_stream_peer(stream), head);
}

/* Whether a proxy has passed on a client's request and the server admits every client. On this
 * machine alone that is meant; by the proxy anybody may have come. */
static bool comes_past_authentication(const wst__conn_t *c, const wst_http_head_t *head) {
    const wst_server_t *s = c->server;
    return s->callbacks.on_client_request == NULL && !s->allow_open && wst__forwarded_any(head);
}

static void on_request(wst__client_t *client, const wst_http_head_t *head) {
    wst__conn_t *c = conn_of(client);
    bool clients = (c->roles & WST_ROLE_CONNECT) != 0;
    wst_http_target_t target;
    const char *why = "";
    note_client(c, head);
    if (speaks_plain_to_tls(c))
        refuse_plain(c, head);
    else if (wst_http_parse_target(&target, head, &why) != 0)
        bad_request(c, head, why);
    else if (target.form == WST_HTTP_AUTHORITY && !clients)
        refuse_destination(c, &target.authority, WST__NOT_OFFERED);
    else if (target.form == WST_HTTP_AUTHORITY && comes_past_authentication(c, head))
        refuse_destination(c, &target.authority, WST__BY_PROXY);
    else if (target.form == WST_HTTP_AUTHORITY)
        wst__client_connect(client, head, &target.authority);
    else if (target.form == WST_HTTP_ABSOLUTE && clients && comes_past_authentication(c, head))
        refuse_destination(c, &target.authority, WST__BY_PROXY);
    else if (target.form == WST_HTTP_ABSOLUTE && clients)
        wst__client_forward(client, head, &target);
    else if (target.form == WST_HTTP_ASTERISK)
        respond(c, 405, "Method Not Allowed", "Allow: CONNECT, GET\r\n", NULL);
    else
        serve_path(c, head, target.path);
}

/* Life --------------------------------------------------------------------------------------- */

static void on_client_close(wst__client_t *client) {
    wst__conn_t *c = conn_of(client);
    if (c->request != NULL)
        wst__request_cancel(c->request);
    c->request = NULL;
    if (c->handback != NULL)
        wst__handback_free(c->handback);
}

static void on_client_closed(wst__client_t *client) {
    wst__conn_t *c = conn_of(client);
    wst__list_remove(&c->node);
    wst__free(&c->server->node.ctx->allocator, c->introduction);
    wst__free(&c->server->node.ctx->allocator, c);
}

int wst__conn_new(wst_server_t *s, wst_stream_t *stream, wst__seat_t *seat, unsigned roles,
                  wst__introduction_t *introduction) {
    wst__conn_t *c = wst__zalloc(&s->node.ctx->allocator, sizeof(*c));
    if (c == NULL)
        return WST_ENOMEM;
    c->server = s;
    c->roles = roles;
    const wst__client_options_t *options = &s->conns.options[(roles & WST_ROLE_ADMIN) != 0];
    int status = wst__client_init(&c->client, &s->ingress, stream, seat, options);
    if (status != 0) {
        wst__free(&s->node.ctx->allocator, c);
        return status;
    }
    c->introduction = introduction;
    wst__list_init(&c->node);
    wst__list_append(&s->conns.list, &c->node);
    return 0;
}

static void drain_conns(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, conns.part);
    WST__LIST_EACH(wst__conn_t, c, &s->conns.list, node)
        wst__client_drain(&c->client);
}

static void close_conns(wst__part_t *part) {
    wst_server_t *s = WST__CONTAINER(part, wst_server_t, conns.part);
    WST__LIST_EACH(wst__conn_t, c, &s->conns.list, node)
        wst__client_close(&c->client);
}

void wst__conns_update(wst_server_t *s) {
    for (size_t i = 0; i < 2; i++) {
        s->conns.options[i].limits = s->http;
        s->conns.options[i].head_timeout_ms = s->limits.head_timeout_ms;
    }
}

void wst__conns_init(wst_server_t *s) {
    const wst__client_options_t options = {.pseudonym = s->pseudonym,
                                           .on_request = on_request,
                                           .on_stranger = on_stranger,
                                           .on_close = on_client_close,
                                           .on_closed = on_client_closed};
    s->conns.options[false] = s->conns.options[true] = options;
    s->conns.options[true].fields = wst__guard_fields;
    wst__conns_update(s);
    s->conns.part = (wst__part_t){.drain = drain_conns, .close = close_conns};
    wst__list_init(&s->conns.list);
    wst__node_add(&s->node, &s->conns.part);
}
