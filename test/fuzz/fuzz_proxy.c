/* SPDX-License-Identifier: MIT */
/*
 * What a proxy may say. The first byte of the input chooses: bit 0 SOCKS5 or HTTP, bit 1 whether
 * there are credentials, bit 2 whether the embedder is asked; the rest is what comes in, over as
 * many legs as it lasts for.
 *
 * Checked: it comes to an end within its bounds, a text says why, and neither the outcome of the
 * first leg nor where the tunnel begins depends on how that is cut.
 */
#include "proxy_http.h"
#include "socks5.h"

#include <stdlib.h>
#include <string.h>
#include <wstunnel/error.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *user, *password, *fields; /* fields: of the embedder's answers */
static bool asks;

static void require(bool ok) {
    if (!ok)
        abort();
}

/* What came of it, and of how many bytes. */
typedef struct outcome {
    int step;
    bool open;
    size_t used;
    char why[WST__PROXY_WHY_MAX];
} outcome_t;

/* Copies a piece into a block of its own. */
static uint8_t *piece_of(const uint8_t *data, size_t len) {
    uint8_t *piece = malloc(len);
    require(piece != NULL);
    memcpy(piece, data, len);
    return piece;
}

/* One leg, in pieces of `cut` bytes. */
static int http_leg(wst__proxy_http_t *p, const uint8_t *data, size_t len, size_t cut,
                    size_t *total) {
    int step = WST__PROXY_READ;
    while (step == WST__PROXY_READ && *total < len) {
        size_t n = len - *total < cut ? len - *total : cut, used;
        uint8_t *piece = piece_of(data + *total, n);
        step = wst__proxy_http_feed(p, (const char *)piece, n, &used);
        free(piece);
        require(used <= n && (step != WST__PROXY_READ || used == n));
        *total += used;
    }
    return step == WST__PROXY_READ ? wst__proxy_http_end(p, 0) : step;
}

static outcome_t http(const uint8_t *data, size_t len, size_t cut) {
    static const uint8_t random[16];
    static char request[WST__PROXY_REQUEST_MAX];
    const wst__proxy_http_options_t options = {
        .target = "h:1", .user = user, .password = password, .asks = asks};
    wst__proxy_http_t p;
    outcome_t first = {0};
    wst__proxy_http_init(&p, &wst__default_allocator, &options);
    size_t used = 0, legs = 0;
    int step = WST__PROXY_SEND;
    while (step == WST__PROXY_SEND || step == WST__PROXY_RECONNECT) {
        step = wst__proxy_http_request(&p, request, random);
        if (step >= 0)
            step = http_leg(&p, data, len, cut, &used);
        if (legs++ == 0)
            first = (outcome_t){.step = step, .open = step == WST__PROXY_OPEN, .used = used};
        if (step == WST__PROXY_CHALLENGED)
            step = wst__proxy_http_answer(&p, fields);
        require(legs <= WST__PROXY_REQUESTS_MAX);
    }
    require(step < 0 || step == WST__PROXY_OPEN);
    require(step >= 0 || p.why[0] != '\0');
    for (const char *c = p.why; *c != '\0'; c++)
        require(*c >= ' ' && *c <= '~');
    if (legs == 1)
        memcpy(first.why, p.why, sizeof(first.why));
    wst__proxy_http_free(&p);
    /* The same but for what the connection is worth, which hangs on what came in with it. */
    if (first.step == WST__PROXY_RECONNECT)
        first.step = WST__PROXY_SEND;
    return first;
}

static outcome_t socks(const uint8_t *data, size_t len, size_t cut) {
    wst__socks5_t s;
    outcome_t all = {.step = WST__SOCKS5_READ};
    wst__socks5_init(&s, "h", 1, user, password);
    while ((all.step == WST__SOCKS5_READ || all.step == WST__SOCKS5_WRITE) && all.used < len) {
        size_t n = len - all.used < cut ? len - all.used : cut, used;
        uint8_t *piece = piece_of(data + all.used, n);
        all.step = wst__socks5_feed(&s, piece, n, &used);
        free(piece);
        require(used <= n && s.out_len <= sizeof(s.out));
        all.used += used;
    }
    require(all.step >= 0 || s.why[0] != '\0');
    all.open = all.step == WST__SOCKS5_OPEN;
    memcpy(all.why, s.why, sizeof(s.why));
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    outcome_t (*play)(const uint8_t *, size_t, size_t) = (data[0] & 1) != 0 ? socks : http;
    user = (data[0] & 2) != 0 ? "ann" : NULL;
    password = "secret";
    asks = (data[0] & 4) != 0;
    fields = (data[0] & 8) != 0 ? "Proxy-Authorization: x\r\n" : NULL;
    const outcome_t whole = play(data + 1, size - 1, size);
    for (size_t cut = 1; cut <= 3; cut++) {
        const outcome_t again = play(data + 1, size - 1, cut);
        require(again.step == whole.step && (!again.open || again.used == whole.used));
        require(strcmp(again.why, whole.why) == 0);
    }
    return 0;
}
