/* SPDX-License-Identifier: MIT */
/* The protocol of a connection, and the answer of an address that does not take it (server.h). */
#include "server.h"

#include "socks5_server.h"
#include "socks5_wire.h"

wst__spoken_t wst__spoken_of(uint8_t first) {
    switch (first) {
    case 22: /* a handshake record (RFC 8446 section 5.1) */
        return WST__SPEAKS_TLS;
    case WST__SOCKS4_VERSION:
        return WST__SPEAKS_SOCKS4;
    case WST__SOCKS5_VERSION:
        return WST__SPEAKS_SOCKS5;
    default:
        return WST__SPEAKS_HTTP;
    }
}

static const char *name_of(wst__spoken_t spoken) {
    static const char *const names[] = {"HTTP", "TLS", "SOCKS4", "SOCKS5"};
    return names[spoken];
}

/* What the operator can do about it. */
static const char *remedy(wst__spoken_t spoken, bool lacks_tls) {
    if (lacks_tls)
        return "the client must speak TLS, or the address plain";
    switch (spoken) {
    case WST__SPEAKS_TLS:
        return "make it speak tls";
    case WST__SPEAKS_SOCKS4:
        return "the client must speak SOCKS5";
    case WST__SPEAKS_SOCKS5:
        return "give it the role socks";
    default:
        return "give it a role of HTTP (connect, agents, health)";
    }
}

static void log_stranger(wst_server_t *s, const char *peer, wst__spoken_t spoken, bool lacks_tls) {
    wst_ctx_log(s->node.ctx, WST_LOG_INFO,
                "connection from %s: speaks %s%s, which this address does not take: %s", peer,
                name_of(spoken), lacks_tls ? " without TLS" : "", remedy(spoken, lacks_tls));
}

static wst_str_t answer_in(wst__spoken_t spoken) {
    static const char http[] = "HTTP/1.1 400 Bad Request: this address speaks SOCKS5\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\n"
                               "Content-Length: 28\r\n"
                               "Connection: close\r\n\r\n"
                               "This address speaks SOCKS5.\n";
    static const char tls[] = {21, 3, 1, 0, 2, 2, 40}; /* an alert, fatal: handshake_failure */
    switch (spoken) {
    case WST__SPEAKS_TLS:
        return (wst_str_t){tls, sizeof(tls)};
    case WST__SPEAKS_SOCKS4:
        return wst__socks4_refusal();
    case WST__SPEAKS_SOCKS5:
        return wst__socks5_refusal();
    default:
        return (wst_str_t){http, sizeof(http) - 1};
    }
}

wst_str_t wst__spoken_refuse(wst_server_t *s, const wst_stream_t *stream, unsigned roles,
                             wst__spoken_t spoken) {
    bool tls_only = (roles & (WST_LISTEN_TLS | WST_LISTEN_PLAIN)) == WST_LISTEN_TLS;
    bool lacks_tls = tls_only && wst_stream_tls(stream) == NULL && spoken != WST__SPEAKS_TLS;
    log_stranger(s, wst_stream_peer(stream), spoken, lacks_tls);
    return answer_in(spoken);
}
