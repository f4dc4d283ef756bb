/* SPDX-License-Identifier: MIT */
/*
 * SOCKS5 (socks5.h). Gathers the proxy's messages byte by byte, each exactly to its end, since the
 * destination's bytes follow the last one.
 */
#include "socks5.h"
#include "ip.h"
#include "socks5_wire.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

static void put_byte(wst__socks5_t *s, uint8_t byte) {
    s->out[s->out_len++] = byte;
}

static void put_bytes(wst__socks5_t *s, const void *bytes, size_t len) {
    memcpy(s->out + s->out_len, bytes, len);
    s->out_len += len;
}

static void put_counted(wst__socks5_t *s, const char *text) {
    size_t len = strnlen(text, 255);
    put_byte(s, (uint8_t)len);
    put_bytes(s, text, len);
}

static int expect(wst__socks5_t *s, wst__socks5_state_t state) {
    s->state = state;
    s->in_len = 0;
    return WST__SOCKS5_WRITE;
}

void wst__socks5_init(wst__socks5_t *s, const char *host, uint16_t port, const char *user,
                      const char *password) {
    *s = (wst__socks5_t){.host = host, .port = port, .user = user, .password = password};
    put_byte(s, WST__SOCKS5_VERSION);
    put_byte(s, user != NULL ? 2 : 1);
    put_byte(s, WST__SOCKS5_METHOD_NONE);
    if (user != NULL)
        put_byte(s, WST__SOCKS5_METHOD_LOGIN);
    expect(s, WST__SOCKS5_METHOD);
}

static int send_login(wst__socks5_t *s) { /* RFC 1929 section 2 */
    s->out_len = 0;
    put_byte(s, WST__SOCKS5_LOGIN_VERSION);
    put_counted(s, s->user);
    put_counted(s, s->password);
    return expect(s, WST__SOCKS5_LOGIN);
}

static int send_request(wst__socks5_t *s) { /* RFC 1928 section 4 */
    wst__ip_t ip;
    s->out_len = 0;
    put_byte(s, WST__SOCKS5_VERSION);
    put_byte(s, WST__SOCKS5_CMD_CONNECT);
    put_byte(s, 0);
    if (!wst__ip_parse(&ip, s->host, strlen(s->host))) {
        put_byte(s, WST__SOCKS5_ADDR_NAME);
        put_counted(s, s->host);
    } else if (wst__ip_is_v4(&ip)) {
        put_byte(s, WST__SOCKS5_ADDR_IPV4);
        put_bytes(s, ip.bytes + 12, 4);
    } else {
        put_byte(s, WST__SOCKS5_ADDR_IPV6);
        put_bytes(s, ip.bytes, 16);
    }
    put_byte(s, (uint8_t)(s->port >> 8));
    put_byte(s, (uint8_t)s->port);
    return expect(s, WST__SOCKS5_REPLY);
}

static int fail_socks5(wst__socks5_t *s, int error, const char *why) {
    s->state = WST__SOCKS5_DONE;
    snprintf(s->why, sizeof(s->why), "%s", why);
    return error;
}

/* The length of the message being received, or a lower bound of at least one byte more than has
 * arrived. */
static size_t message_len(const wst__socks5_t *s) {
    if (s->state != WST__SOCKS5_REPLY)
        return 2;
    if (s->in_len < 5) /* the length of a name is the fifth byte */
        return 5;
    return 4 + wst__socks5_addr_len(s->in[3], s->in[4]) + 2;
}

static int read_method(wst__socks5_t *s) {
    if (s->in[0] != WST__SOCKS5_VERSION)
        return fail_socks5(s, WST_EPROTO, "does not speak SOCKS5");
    switch (s->in[1]) {
    case WST__SOCKS5_METHOD_NONE:
        return send_request(s);
    case WST__SOCKS5_METHOD_LOGIN:
        if (s->user != NULL)
            return send_login(s);
        return fail_socks5(s, WST_EPROTO, "chose a method of authentication that was not offered");
    case WST__SOCKS5_METHOD_REFUSED:
        return fail_socks5(s, WST_EPROXYAUTH,
                           s->user == NULL
                               ? "wants authentication"
                               : "wants another authentication than user name and password");
    default:
        return fail_socks5(s, WST_EPROTO, "chose a method of authentication that was not offered");
    }
}

static int read_login_answer(wst__socks5_t *s) {
    if (s->in[1] != 0) /* ignores the version: some proxies send 5 */
        return fail_socks5(s, WST_EPROXYAUTH, "refused the user name or password");
    return send_request(s);
}

/* RFC 1928 section 6. */
static const char *const replies[] = {
    [1] = "failed",
    [2] = "does not allow this connection",
    [3] = "says: network unreachable",
    [4] = "says: host unreachable, or no such name",
    [5] = "says: connection refused",
    [6] = "says: TTL expired",
    [7] = "does not know CONNECT",
    [8] = "does not know this type of address",
};

static int read_reply_code(wst__socks5_t *s) {
    uint8_t code = s->in[1];
    if (code < sizeof(replies) / sizeof(replies[0]))
        snprintf(s->why, sizeof(s->why), "%s (SOCKS reply %u)", replies[code], code);
    else
        snprintf(s->why, sizeof(s->why), "refused (SOCKS reply %u)", code);
    s->state = WST__SOCKS5_DONE;
    return WST_EPROXY;
}

/* Checks a reply after each byte: some proxies end a refusal early. */
static int check_reply(wst__socks5_t *s) {
    if (s->in[0] != WST__SOCKS5_VERSION)
        return fail_socks5(s, WST_EPROTO, "does not speak SOCKS5");
    if (s->in_len >= 2 && s->in[1] != 0)
        return read_reply_code(s);
    if (s->in_len >= 4 && wst__socks5_addr_len(s->in[3], 0) == 0)
        return fail_socks5(s, WST_EPROTO, "answered with an unknown type of address");
    return WST__SOCKS5_READ;
}

int wst__socks5_feed(wst__socks5_t *s, const uint8_t *data, size_t len, size_t *used) {
    *used = 0;
    if (s->state == WST__SOCKS5_DONE)
        return WST_ESTATE;
    while (s->in_len < message_len(s)) {
        if (*used == len)
            return WST__SOCKS5_READ;
        s->in[s->in_len++] = data[(*used)++];
        int rc = s->state == WST__SOCKS5_REPLY ? check_reply(s) : WST__SOCKS5_READ;
        if (rc < 0)
            return rc;
    }
    switch (s->state) {
    case WST__SOCKS5_METHOD:
        return read_method(s);
    case WST__SOCKS5_LOGIN:
        return read_login_answer(s);
    default:
        s->state = WST__SOCKS5_DONE;
        return WST__SOCKS5_OPEN;
    }
}
