/* SPDX-License-Identifier: MIT */
/*
 * The server's side of SOCKS5 (socks5_server.h). Gathers each message exactly to its end,
 * since bytes for the destination may follow the last one. Refuses a fault at once, even in an
 * incomplete message.
 */
#include "socks5_server.h"

#include "http_target.h"
#include "ip.h"
#include "mem.h"
#include "socks5_wire.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>
#include <wstunnel/http.h>

/* Answers ------------------------------------------------------------------------------------ */

enum { REPLY_LEN = 10, REPLIES = 9 };
enum {
    SUCCEEDED,
    FAILED,
    NOT_ALLOWED,
    HOST_UNREACHABLE = 4,
    REFUSED,
    TTL_EXPIRED,
    BAD_COMMAND,
    BAD_ADDRESS
};

static wst_str_t method_text(uint8_t method) {
    switch (method) {
    case WST__SOCKS5_METHOD_NONE:
        return (wst_str_t){"\5\0", 2};
    case WST__SOCKS5_METHOD_LOGIN:
        return (wst_str_t){"\5\2", 2};
    default:
        return (wst_str_t){"\5\377", 2};
    }
}

wst_str_t wst__socks5_refusal(void) {
    return method_text(WST__SOCKS5_METHOD_REFUSED);
}

static wst_str_t login_text(bool right) {
    return (wst_str_t){right ? "\1\0" : "\1\1", 2};
}

/* RFC 1928 section 6, with the address 0.0.0.0:0, which clients do not need. */
static wst_str_t reply_text(uint8_t reply) {
    static const char texts[REPLIES][REPLY_LEN] = {
        {5, 0, 0, 1}, {5, 1, 0, 1}, {5, 2, 0, 1}, {5, 3, 0, 1}, {5, 4, 0, 1},
        {5, 5, 0, 1}, {5, 6, 0, 1}, {5, 7, 0, 1}, {5, 8, 0, 1},
    };
    return (wst_str_t){texts[reply < REPLIES ? reply : FAILED], REPLY_LEN};
}

/* 91: "request rejected or failed". */
wst_str_t wst__socks4_refusal(void) {
    static const char text[] = {0, 91, 0, 0, 0, 0, 0, 0};
    return (wst_str_t){text, sizeof(text)};
}

uint8_t wst__socks5_reply_of(int error) {
    switch (error) {
    case 0:
        return SUCCEEDED;
    case WST_EDENIED:
        return NOT_ALLOWED;
    case WST_EUNREACHABLE:
    case WST_ENAME:
        return HOST_UNREACHABLE;
    case WST_EREFUSED:
        return REFUSED;
    case WST_EDIALTIMEOUT:
    case WST_ENAMETIMEOUT:
        return TTL_EXPIRED;
    default:
        return FAILED;
    }
}

/* Messages in -------------------------------------------------------------------------------- */

static int broken(wst__socks5_server_t *s, int error, wst_str_t answer, const char *why) {
    s->phase = WST__SOCKS5_OVER;
    s->answer = answer;
    s->why = why;
    return error;
}

static size_t login_len(const wst__socks5_server_t *s) { /* RFC 1929 section 2 */
    size_t user_end = 2u + (s->in_len > 1 ? s->in[1] : 0);
    return s->in_len <= user_end ? user_end + 1 : user_end + 1 + s->in[user_end];
}

/* The length of the message being received, or a lower bound: unless the message is complete, at
 * least one byte more than has arrived. */
static size_t message_len(const wst__socks5_server_t *s) {
    switch (s->phase) {
    case WST__SOCKS5_IN_GREETING:
        return s->in_len < 2 ? 2 : 2u + s->in[1];
    case WST__SOCKS5_IN_LOGIN:
        return login_len(s);
    default: /* the length of a name is the fifth byte */
        return s->in_len < 5 ? 5 : 4 + wst__socks5_addr_len(s->in[3], s->in[4]) + 2;
    }
}

/* Checks a message after each byte. */
static int check_prefix(wst__socks5_server_t *s) {
    uint8_t version = s->in[0];
    switch (s->phase) {
    case WST__SOCKS5_IN_GREETING:
        if (version == WST__SOCKS4_VERSION)
            return broken(s, WST_EPROTO, wst__socks4_refusal(), "SOCKS4 is not served");
        if (version != WST__SOCKS5_VERSION)
            return broken(s, WST_EPROTO, (wst_str_t){0}, "not SOCKS");
        return 0;
    case WST__SOCKS5_IN_LOGIN:
        if (version != WST__SOCKS5_LOGIN_VERSION)
            return broken(s, WST_EPROTO, login_text(false), "unknown version of the login");
        return 0;
    default:
        if (version != WST__SOCKS5_VERSION)
            return broken(s, WST_EPROTO, reply_text(FAILED), "unknown version of the request");
        if (s->in_len == 4 && wst__socks5_addr_len(s->in[3], 0) == 0)
            return broken(s, WST_EDEST, reply_text(BAD_ADDRESS), "unknown type of address");
        return 0;
    }
}

static int read_greeting(wst__socks5_server_t *s) {
    s->offers_none = memchr(s->in + 2, WST__SOCKS5_METHOD_NONE, s->in[1]) != NULL;
    s->offers_login = memchr(s->in + 2, WST__SOCKS5_METHOD_LOGIN, s->in[1]) != NULL;
    return WST__SOCKS5_GREETED;
}

static int read_login(wst__socks5_server_t *s) {
    const uint8_t *user = s->in + 2, *password = user + s->in[1] + 1;
    size_t user_len = s->in[1], password_len = password[-1];
    s->login_whole =
        memchr(user, '\0', user_len) == NULL && memchr(password, '\0', password_len) == NULL;
    if (s->login_whole) {
        memcpy(s->login.user, user, user_len);
        memcpy(s->login.password, password, password_len);
    }
    wst__wipe(s->in, sizeof(s->in));
    return WST__SOCKS5_CREDENTIALS;
}

/* Writes the destination as requested. */
static void write_destination(wst__socks5_server_t *s) {
    const uint8_t *address = s->in + 4, *port = s->in + s->in_len - 2;
    char host[WST__SOCKS5_SERVER_HOST_MAX + 1];
    wst__ip_t ip = {.bytes = {[10] = 0xff, [11] = 0xff}};
    wst_authority_t a = {.port = (uint16_t)(port[0] << 8 | port[1]),
                         .ipv6 = s->in[3] == WST__SOCKS5_ADDR_IPV6};
    if (s->in[3] == WST__SOCKS5_ADDR_NAME) {
        a.host = (wst_str_t){(const char *)address + 1, address[0]};
    } else {
        memcpy(a.ipv6 ? ip.bytes : ip.bytes + 12, address, a.ipv6 ? 16 : 4);
        wst__ip_text(host, &ip);
        a.ipv6 = !wst__ip_is_v4(&ip);
        a.host = (wst_str_t){host, strlen(host)};
    }
    wst__authority_write(s->destination, sizeof(s->destination), &a);
}

static const char *command_error(uint8_t command) {
    switch (command) {
    case WST__SOCKS5_CMD_CONNECT:
        return NULL;
    case WST__SOCKS5_CMD_BIND:
        return "BIND is not supported";
    case WST__SOCKS5_CMD_UDP:
        return "UDP ASSOCIATE is not supported";
    default:
        return "unknown command";
    }
}

static void make_printable(char *text) {
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

static int read_request(wst__socks5_server_t *s) {
    const char *why = command_error(s->in[1]);
    bool has_nul = s->in[3] == WST__SOCKS5_ADDR_NAME && memchr(s->in + 5, '\0', s->in[4]) != NULL;
    wst_authority_t a;
    write_destination(s);
    const wst_str_t text = {s->destination, strlen(s->destination)};
    uint8_t reply = why != NULL ? BAD_COMMAND : FAILED;
    if (why == NULL && has_nul)
        why = "character not allowed in a host name";
    if (why == NULL && wst_parse_authority(&a, text, &why) == 0) {
        char canonical[sizeof(s->destination)];
        wst__authority_write(canonical, sizeof(canonical), &a);
        memcpy(s->destination, canonical, sizeof(canonical));
        return WST__SOCKS5_REQUEST;
    }
    make_printable(s->destination);
    return broken(s, WST_EDEST, reply_text(reply), why);
}

static int read_message(wst__socks5_server_t *s) {
    wst__socks5_phase_t phase = s->phase;
    s->phase = WST__SOCKS5_UNANSWERED;
    switch (phase) {
    case WST__SOCKS5_IN_GREETING:
        return read_greeting(s);
    case WST__SOCKS5_IN_LOGIN:
        return read_login(s);
    default:
        return read_request(s);
    }
}

int wst__socks5_server_feed(wst__socks5_server_t *s, const uint8_t *data, size_t len,
                            size_t *used) {
    *used = 0;
    if (s->phase >= WST__SOCKS5_UNANSWERED)
        return WST_ESTATE;
    while (s->in_len < message_len(s)) {
        if (*used == len)
            return WST__SOCKS5_MORE;
        s->in[s->in_len++] = data[(*used)++];
        int rc = check_prefix(s);
        if (rc < 0)
            return rc;
    }
    return read_message(s);
}

/* Events answered ---------------------------------------------------------------------------- */

static wst_str_t go_on(wst__socks5_server_t *s, wst__socks5_phase_t phase, wst_str_t answer) {
    s->phase = phase;
    s->in_len = 0;
    return answer;
}

wst_str_t wst__socks5_server_choose(wst__socks5_server_t *s, uint8_t method) {
    wst__socks5_phase_t next = method == WST__SOCKS5_METHOD_NONE    ? WST__SOCKS5_IN_REQUEST
                               : method == WST__SOCKS5_METHOD_LOGIN ? WST__SOCKS5_IN_LOGIN
                                                                    : WST__SOCKS5_OVER;
    return go_on(s, next, method_text(method));
}

wst_str_t wst__socks5_server_login(wst__socks5_server_t *s, bool right) {
    return go_on(s, right ? WST__SOCKS5_IN_REQUEST : WST__SOCKS5_OVER, login_text(right));
}

wst_str_t wst__socks5_server_reply(wst__socks5_server_t *s, uint8_t reply) {
    return go_on(s, WST__SOCKS5_OVER, reply_text(reply));
}

wst_str_t wst__socks5_server_give_up(wst__socks5_server_t *s) {
    wst__socks5_phase_t phase = s->phase;
    s->phase = WST__SOCKS5_OVER;
    switch (phase) {
    case WST__SOCKS5_IN_GREETING:
        return wst__socks5_refusal();
    case WST__SOCKS5_IN_LOGIN:
        return login_text(false);
    default:
        return reply_text(FAILED);
    }
}

void wst__socks5_server_wipe(wst__socks5_server_t *s) {
    wst__wipe(s->in, sizeof(s->in));
    wst__wipe(&s->login, sizeof(s->login));
}
