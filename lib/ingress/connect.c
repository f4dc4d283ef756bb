/* SPDX-License-Identifier: MIT */
/*
 * CONNECT: makes a flow, answers 200 and relays. Until then the hijack watches the connection: a
 * client that leaves cancels its flow, and bytes that it sends early are kept for the destination.
 * After the 200 the connection belongs to the flow.
 */
#include "http_client.h"

#include "hijack.h"
#include "http_target.h"

/*
 * Writes the 200. RFC 9110 section 9.3.6: no Content-Length, no Transfer-Encoding. It is a write of
 * its own, since some clients lose bytes of the destination that arrive with it.
 */
static int say_established(wst_stream_t *client, int minor_version) {
    static const char ok10[] = "HTTP/1.0 200 Connection established\r\n\r\n";
    static const char ok11[] = "HTTP/1.1 200 Connection established\r\n\r\n";
    const wst_slice_t ok = wst_slice_static(minor_version == 0 ? ok10 : ok11, sizeof(ok11) - 1);
    return wst_stream_write(client, &ok, 1);
}

/* Hands the connection to the flow, with its place among the node's connections. */
static void relay(wst__client_t *c, wst_flow_t *flow, wst_stream_t *client) {
    c->flow = NULL;
    wst__flow_take_seat(flow, &c->connection);
    wst__client_close(c);
    wst__flow_relay(flow, client);
}

static void on_connect_established(wst_flow_t *flow, void *user_data) {
    wst__client_t *c = user_data;
    int minor_version = wst_hijack_request(c->hijack)->minor_version;
    wst_stream_t *client;
    int status = wst_hijack_take(c->hijack, &client);
    if (status != 0) {
        wst__flow_refuse(flow, status, (wst_str_t){NULL, 0});
    } else if (say_established(client, minor_version) < 0) {
        wst_stream_close(client, NULL);
        wst__client_close(c);
    } else {
        relay(c, flow, client);
    }
}

static const wst_flow_callbacks_t callbacks = {.size = sizeof(callbacks),
                                               .on_established = on_connect_established,
                                               .on_refused = wst__client_on_refused};

void wst__client_connect(wst__client_t *c, const wst_http_head_t *head,
                         const wst_authority_t *authority) {
    char destination[WST_DEST_MAX + 1];
    wst__authority_write(destination, sizeof(destination), authority);
    if (head->chunked || head->content_length > 0) { /* RFC 9110 section 9.3.6: no content */
        const wst__refusal_t refusal = {.status = 400,
                                        .reason = "Bad Request: CONNECT with a body",
                                        .error = "http_request_error"};
        wst__client_refuse(c, destination, &refusal, WST_EHTTP);
        return;
    }
    wst_flow_t *flow = wst__client_flow(c, destination, &callbacks);
    if (flow == NULL)
        return;
    wst__hijack_watch(c->hijack);
    wst__flow_start(flow);
}
