/* SPDX-License-Identifier: MIT */
/*
 * Reads the header of the PROXY protocol (proxy_header.h). Sections are those of HAProxy's
 * doc/proxy-protocol.txt.
 *
 * Version 1 is a line of text (section 2.1). Version 2 is a signature, a length and that many
 * bytes, of which the addresses come first (section 2.2); TLVs behind them are counted, not kept.
 * Either is told by its first bytes, and a connection that begins otherwise is refused at the first
 * byte that differs, before a client that waits for an answer does so in vain.
 */
#include "proxy_header.h"

#include <string.h>
#include <wstunnel/error.h>
#include <wstunnel/http.h>

enum {
    FIXED = 16, /* bytes of version 2 before the addresses */
    V2_INET = 2 * 4 + 2 * 2,
    V2_INET6 = 2 * 16 + 2 * 2,
    V2_UNIX = 2 * 108
};

enum { LOCAL = 0, PROXY = 1 };                      /* commands */
enum { UNSPEC = 0, INET = 1, INET6 = 2, UNIX = 3 }; /* families */
enum { STREAM = 1, DGRAM = 2 };                     /* transports; 0: UNSPEC */

static const uint8_t text_signature[] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const uint8_t signature[] = {'\r', '\n', '\r', '\n', 0,   '\r',
                                    '\n', 'Q',  'U',  'I',  'T', '\n'};

static const char absent[] = "no PROXY header";
static const char malformed[] = "malformed PROXY header";

/* Version 1 ---------------------------------------------------------------------------------- */

/* Takes the text before the next space, or all of it. */
static wst_str_t take_word(wst_str_t *rest) {
    const char *space = memchr(rest->ptr, ' ', rest->len);
    size_t len = space != NULL ? (size_t)(space - rest->ptr) : rest->len;
    wst_str_t word = {rest->ptr, len};
    size_t taken = space != NULL ? len + 1 : len;
    *rest = (wst_str_t){rest->ptr + taken, rest->len - taken};
    return word;
}

static bool read_address(wst__ip_t *out, wst_str_t text) {
    return memchr(text.ptr, '%', text.len) == NULL && wst__ip_parse(out, text.ptr, text.len);
}

static bool is_six(wst_str_t text) {
    return memchr(text.ptr, ':', text.len) != NULL;
}

/* Decimal, without leading zeros. */
static bool read_port(uint16_t *out, wst_str_t text) {
    unsigned value = 0;
    if (text.len == 0 || text.len > 5 || (text.ptr[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    *out = (uint16_t)value;
    return value <= UINT16_MAX;
}

/* Reads the line, without its end. The destination, which is not used, may be of the other family,
 * as nginx writes it if its clients' addresses were told by another proxy. */
static int read_line(wst__proxy_header_t *h, const char **why) {
    wst_str_t rest = {(const char *)h->kept + sizeof(text_signature),
                      h->kept_len - sizeof(text_signature) - 2};
    wst__ip_t destination;
    uint16_t port;
    wst_str_t family = take_word(&rest);
    if (wst_str_eq(family, "UNKNOWN"))
        return 0;
    bool six = wst_str_eq(family, "TCP6");
    wst_str_t source = take_word(&rest);
    bool right = (six || wst_str_eq(family, "TCP4")) && is_six(source) == six &&
                 read_address(&h->source, source) && read_address(&destination, take_word(&rest)) &&
                 read_port(&h->source_port, take_word(&rest)) && read_port(&port, rest);
    h->has_source = right;
    *why = malformed;
    return right ? 0 : WST_EPROTO;
}

static int step_text(wst__proxy_header_t *h, const char **why) {
    const uint8_t *end = h->kept + h->kept_len;
    if (end[-1] != '\n') {
        *why = "PROXY header too long";
        return h->kept_len < WST__PROXY_TEXT_MAX ? WST_WAIT : WST_EPROTO;
    }
    *why = malformed;
    return end[-2] == '\r' ? read_line(h, why) : WST_EPROTO;
}

/* Version 2 ---------------------------------------------------------------------------------- */

static unsigned big_endian(const uint8_t bytes[2]) {
    return (unsigned)bytes[0] << 8 | bytes[1];
}

/* Bytes of the addresses that family and transport require. */
static size_t addresses_len(unsigned family, unsigned transport) {
    static const uint8_t lens[] = {0, V2_INET, V2_INET6, V2_UNIX};
    return transport != UNSPEC ? lens[family] : 0;
}

/* Bytes of the addresses that are kept: those of TCP. Other valid combinations count as UNSPEC. */
static size_t kept_addresses(const wst__proxy_header_t *h) {
    unsigned family = h->kept[13] >> 4, transport = h->kept[13] & 15;
    bool tcp =
        (h->kept[12] & 15) == PROXY && transport == STREAM && (family == INET || family == INET6);
    return tcp ? addresses_len(family, transport) : 0;
}

/* Checks the fixed part. */
static int check_fixed(const wst__proxy_header_t *h, const char **why) {
    unsigned command = h->kept[12] & 15, family = h->kept[13] >> 4, transport = h->kept[13] & 15;
    size_t len = big_endian(h->kept + 14);
    *why = "PROXY header too long";
    if (FIXED + len > WST__PROXY_HEADER_MAX)
        return WST_EPROTO;
    *why = malformed;
    if (h->kept[12] >> 4 != 2 || command > PROXY)
        return WST_EPROTO;
    if (command == LOCAL)
        return 0;
    return family <= UNIX && transport <= DGRAM && len >= addresses_len(family, transport)
               ? 0
               : WST_EPROTO;
}

static void read_source(wst__proxy_header_t *h, size_t addresses) {
    const uint8_t *at = h->kept + FIXED;
    if (addresses == V2_INET) {
        h->source = (wst__ip_t){{[10] = 0xff, [11] = 0xff}};
        memcpy(h->source.bytes + 12, at, 4);
        h->source_port = (uint16_t)big_endian(at + 8);
    } else {
        memcpy(h->source.bytes, at, 16);
        h->source_port = (uint16_t)big_endian(at + 32);
    }
    h->has_source = true;
}

static int step_binary(wst__proxy_header_t *h, const char **why) {
    if (h->kept_len < FIXED)
        return WST_WAIT;
    if (h->kept_len == FIXED) {
        int status = check_fixed(h, why);
        if (status != 0)
            return status;
    }
    size_t addresses = kept_addresses(h);
    if (h->kept_len < FIXED + addresses)
        return WST_WAIT;
    if (addresses > 0)
        read_source(h, addresses);
    h->skip = big_endian(h->kept + 14) - addresses;
    h->skipping = true;
    return h->skip > 0 ? WST_WAIT : 0;
}

/* Both --------------------------------------------------------------------------------------- */

void wst__proxy_header_init(wst__proxy_header_t *h) {
    *h = (wst__proxy_header_t){0};
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Takes one more byte into account, the last one kept. */
static int step(wst__proxy_header_t *h, const char **why) {
    size_t n = h->kept_len;
    if (h->kept[0] == text_signature[0]) {
        *why = absent;
        if (memcmp(h->kept, text_signature, least(n, sizeof(text_signature))) != 0)
            return WST_EPROTO;
        return n > sizeof(text_signature) ? step_text(h, why) : WST_WAIT;
    }
    *why = absent;
    if (memcmp(h->kept, signature, least(n, sizeof(signature))) != 0)
        return WST_EPROTO;
    return step_binary(h, why);
}

int wst__proxy_header_read(wst__proxy_header_t *h, const uint8_t *data, size_t len, size_t *used,
                           const char **why) {
    int status = WST_WAIT;
    *used = 0;
    while (*used < len && status == WST_WAIT) {
        if (h->skipping) {
            size_t n = least(h->skip, len - *used);
            h->skip -= n;
            *used += n;
            status = h->skip > 0 ? WST_WAIT : 0;
        } else {
            h->kept[h->kept_len++] = data[(*used)++];
            status = step(h, why);
        }
    }
    return status;
}
