/* SPDX-License-Identifier: MIT */
/*
 * The header of the PROXY protocol, versions 1 and 2, at the beginning of a connection. The first
 * byte of the input is a number of pieces, 0 to 15, and as many bytes behind it are their lengths,
 * over and over; the rest is what the connection brings.
 *
 * Checked: the outcome does not depend on how the bytes are cut, and not on what follows the
 * header; a header has its bounds, and the address is the one that its bytes say. Each piece is a
 * block of its own, so that ASan sees a read behind it.
 */
#include "proxy_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wstunnel/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FIXED = 16 }; /* bytes of version 2 before the addresses */

typedef struct outcome {
    int status;
    size_t used;
    bool has_source;
    char peer[WST__IP_PEER];
    wst__ip_t source;
    uint16_t port;
    const char *why;
} outcome_t;

typedef struct cuts {
    const uint8_t *lens;
    size_t count, next;
} cuts_t;

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "fuzz_proxy_header: %s\n", what);
    abort();
}

/* Reads a piece from a block of exactly its size. */
static int read_piece(wst__proxy_header_t *h, const uint8_t *data, size_t len, size_t *used,
                      const char **why) {
    uint8_t *block = malloc(len > 0 ? len : 1);
    require(block != NULL, "no memory");
    uint8_t *piece = block + (len > 0 ? 0 : 1);
    memcpy(piece, data, len);
    int status = wst__proxy_header_read(h, piece, len, used, why);
    free(block);
    require(*used <= len, "more bytes are used than there are");
    require(status != WST_WAIT || *used == len, "it waits although there are bytes");
    return status;
}

/* Without lengths all bytes are one piece. A length of 0 is a read without bytes; a round of these
 * counts as one byte. */
static size_t next_len(cuts_t *cuts, size_t left) {
    if (cuts->count == 0)
        return left;
    size_t len = cuts->lens[cuts->next++ % cuts->count];
    if (len == 0 && cuts->next % cuts->count == 0)
        len = 1;
    return len < left ? len : left;
}

static outcome_t read_header(const uint8_t *data, size_t len, cuts_t cuts) {
    wst__proxy_header_t h;
    outcome_t o = {.status = WST_WAIT};
    wst__proxy_header_init(&h);
    while (o.status == WST_WAIT && o.used < len) {
        size_t used;
        o.status = read_piece(&h, data + o.used, next_len(&cuts, len - o.used), &used, &o.why);
        o.used += used;
    }
    if (o.status != 0)
        return o;
    o.has_source = h.has_source;
    o.source = h.source;
    o.port = h.source_port;
    if (o.has_source)
        wst__ip_to_peer(o.peer, &h.source, h.source_port);
    return o;
}

static void require_same(const outcome_t *a, const outcome_t *b, const char *what) {
    require(a->status == b->status && a->used == b->used, what);
    require(a->has_source == b->has_source && strcmp(a->peer, b->peer) == 0, what);
    require(a->status != WST_EPROTO || strcmp(a->why, b->why) == 0, what);
}

/* The address as text leads to the same address, so it is one. */
static void check_address(const outcome_t *o) {
    wst__ip_t ip;
    require(wst__ip_of_peer(&ip, o->peer), "the address is none");
    require(memcmp(&ip, &o->source, sizeof(ip)) == 0, "the address is another one as text");
}

/* "PROXY TCP4 SOURCE DESTINATION PORT PORT\r\n" */
static void check_line(const uint8_t *data, const outcome_t *o) {
    char line[WST__PROXY_TEXT_MAX + 1], source[WST__IP_TEXT], destination[WST__IP_TEXT], end;
    unsigned family, port, other;
    wst__ip_t ip;
    require(o->used <= WST__PROXY_TEXT_MAX, "a line is longer than any");
    require(memcmp(data + o->used - 2, "\r\n", 2) == 0, "a line without its end");
    if (!o->has_source)
        return;
    memcpy(line, data, o->used);
    line[o->used] = '\0';
    require(sscanf(line, "PROXY TCP%u %45s %45s %u %u%c", &family, source, destination, &port,
                   &other, &end) == 6 &&
                end == '\r',
            "a line of another form is taken");
    require(wst__ip_parse(&ip, source, strlen(source)) && memcmp(&ip, &o->source, sizeof(ip)) == 0,
            "not the source of the line");
    require(port == o->port, "not the port of the line");
    require(family == (strchr(source, ':') != NULL ? 6 : 4), "an address of the other family");
}

static void check_binary(const uint8_t *data, const outcome_t *o) {
    size_t len = (size_t)data[14] << 8 | data[15];
    require(o->used == FIXED + len && o->used <= WST__PROXY_HEADER_MAX, "not the header's length");
    require(data[12] == 0x20 || data[12] == 0x21, "another version or command");
    require(o->has_source == (data[12] == 0x21 && (data[13] == 0x11 || data[13] == 0x21)),
            "an address where there is none, or none where there is one");
    if (!o->has_source)
        return;
    bool six = data[13] == 0x21;
    const uint8_t *at = data + FIXED, *port = at + (six ? 32 : 8);
    size_t bytes = six ? 16 : 4;
    require(memcmp(o->source.bytes + 16 - bytes, at, bytes) == 0, "not the source");
    require(six || wst__ip_is_v4(&o->source), "IPv4, but not as such");
    require(o->port == (port[0] << 8 | port[1]), "not the port");
}

static void check_header(const uint8_t *data, const outcome_t *o) {
    if (o->has_source)
        check_address(o);
    if (data[0] == 'P')
        check_line(data, o);
    else
        check_binary(data, o);
}

/* The same bytes with others behind them. */
static void check_rest(const uint8_t *data, size_t len, const outcome_t *o) {
    uint8_t *other = malloc(len + 1);
    require(other != NULL, "no memory");
    memcpy(other, data, o->used);
    memset(other + o->used, 'P', len + 1 - o->used);
    outcome_t again = read_header(other, len + 1, (cuts_t){0});
    require_same(o, &again, "what follows the header changes it");
    free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t one = 1;
    if (size == 0 || size < 1 + (data[0] & 15u))
        return 0;
    const cuts_t cuts = {.lens = data + 1, .count = data[0] & 15};
    const uint8_t *bytes = data + 1 + cuts.count;
    size_t len = size - 1 - cuts.count;
    outcome_t whole = read_header(bytes, len, (cuts_t){0});
    outcome_t split = read_header(bytes, len, cuts);
    outcome_t single = read_header(bytes, len, (cuts_t){.lens = &one, .count = 1});
    require_same(&whole, &split, "another outcome if it is cut");
    require_same(&whole, &single, "another outcome byte by byte");
    require(whole.status == 0 || whole.status == WST_WAIT || whole.status == WST_EPROTO,
            "an outcome that is not documented");
    require(whole.status != WST_WAIT || len < WST__PROXY_HEADER_MAX, "it waits beyond its bound");
    if (whole.status == 0)
        check_header(bytes, &whole);
    if (whole.status != WST_WAIT)
        check_rest(bytes, len, &whole);
    return 0;
}
