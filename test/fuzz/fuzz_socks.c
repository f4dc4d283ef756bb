/* SPDX-License-Identifier: MIT */
/*
 * What a SOCKS client may say. The first byte of the input chooses how it is answered: bits 0 and 1
 * the method, bit 2 whether its login is right; the rest is what it says.
 *
 * Checked: neither what comes of it, nor after how many bytes, nor what is answered depends on how
 * that is cut; a destination is one that CONNECT would take, in the same words; answers are those
 * of the RFCs.
 */
#include "socks5_server.h"

#include <stdlib.h>
#include <string.h>
#include <wstunnel/error.h>
#include <wstunnel/http.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
    if (!ok)
        abort();
}

typedef struct outcome {
    int event;
    size_t used, said_len;
    char said[64];
    wst__socks5_server_t s;
} outcome_t;

static void say(outcome_t *o, wst_str_t text) {
    require(text.len <= sizeof(o->said) - o->said_len);
    for (size_t i = 0; i < text.len; i++)
        o->said[o->said_len++] = text.ptr[i];
}

static void check_destination(const wst__socks5_server_t *s) {
    wst_authority_t a;
    require(wst_parse_authority(&a, (wst_str_t){s->destination, strlen(s->destination)}, NULL) ==
            0);
    require(a.port > 0);
}

static void answer(outcome_t *o, uint8_t how) {
    static const uint8_t methods[] = {0, 2, 0xff, 1};
    switch (o->event) {
    case WST__SOCKS5_MORE:
        break;
    case WST__SOCKS5_GREETED:
        say(o, wst__socks5_server_choose(&o->s, methods[how & 3]));
        break;
    case WST__SOCKS5_CREDENTIALS:
        require(memchr(o->s.login.user, '\0', sizeof(o->s.login.user)) != NULL);
        require(memchr(o->s.login.password, '\0', sizeof(o->s.login.password)) != NULL);
        say(o, wst__socks5_server_login(&o->s, (how & 4) != 0));
        break;
    case WST__SOCKS5_REQUEST:
        check_destination(&o->s);
        say(o, wst__socks5_server_reply(&o->s, how));
        break;
    default:
        require(o->event == WST_EPROTO || o->event == WST_EDEST);
        require(o->s.why[0] != '\0');
        for (const char *c = o->s.destination; *c != '\0'; c++)
            require(*c >= ' ' && *c <= '~');
        say(o, o->s.answer);
    }
}

static void play(outcome_t *o, const uint8_t *data, size_t len, size_t cut, uint8_t how) {
    *o = (outcome_t){.event = WST__SOCKS5_MORE};
    while (o->used < len && o->event >= 0 && o->s.phase != WST__SOCKS5_OVER) {
        size_t n = len - o->used < cut ? len - o->used : cut, used;
        uint8_t *piece = malloc(n);
        require(piece != NULL);
        memcpy(piece, data + o->used, n);
        o->event = wst__socks5_server_feed(&o->s, piece, n, &used);
        free(piece);
        require(used > 0 && used <= n && (o->event != WST__SOCKS5_MORE || used == n));
        o->used += used;
        answer(o, how);
    }
    if (o->event >= 0 && o->s.phase != WST__SOCKS5_OVER)
        say(o, wst__socks5_server_give_up(&o->s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static outcome_t whole, again;
    if (size < 2)
        return 0;
    play(&whole, data + 1, size - 1, size, data[0]);
    for (size_t cut = 1; cut <= 3; cut++) {
        play(&again, data + 1, size - 1, cut, data[0]);
        require(again.event == whole.event && again.used == whole.used);
        require(again.said_len == whole.said_len &&
                memcmp(again.said, whole.said, whole.said_len) == 0);
        require(strcmp(again.s.destination, whole.s.destination) == 0);
    }
    return 0;
}
