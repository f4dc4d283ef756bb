/* SPDX-License-Identifier: MIT */
/*
 * Challenges and credentials: whatever a field holds, reading stays within it and what it finds
 * lies within it; what our client answers to an offer, our server reads.
 */
#include "http_auth.h"
#include "http_digest.h"
#include "http_offer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition) {
    if (!condition)
        abort();
}

static bool within(wst_str_t part, wst_str_t whole) {
    return part.ptr == NULL || (part.ptr >= whole.ptr && part.len <= whole.len &&
                                (size_t)(part.ptr - whole.ptr) <= whole.len - part.len);
}

static void read_back(const wst__offer_t *offer) {
    const wst__offer_answer_t answer = {
        .user = "us\"er", .password = "pass", .method = "CONNECT", .uri = "a:1", .nc = 1};
    char out[4096];
    int len = wst__offer_answer(out, sizeof(out), offer, &answer);
    if (len < 0)
        return;
    wst__auth_t auth;
    wst__digest_credentials_t c;
    check(wst__auth_read(&auth, (wst_str_t){out, (size_t)len}) == 0);
    if (offer->kind == WST__OFFER_BASIC)
        check(auth.token68.len > 0);
    else if (!offer->session && offer->nonce[0] != '\0' && strchr(offer->nonce, '\\') == NULL &&
             strchr(offer->nonce, '"') == NULL && strlen(offer->realm) < WST_AUTH_MAX)
        check(wst__digest_read(&c, &auth) == 0 && strcmp(c.user, "us\"er") == 0 &&
              strcmp(c.realm, offer->realm) == 0 && wst_str_eq(c.nonce, offer->nonce));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* A value has no control characters: the parser of heads refuses them. */
    char *text = malloc(size + 1);
    check(text != NULL);
    for (size_t i = 0; i < size; i++)
        text[i] = (data[i] < ' ' && data[i] != '\t') || data[i] == 0x7f ? ' ' : (char)data[i];
    const wst_str_t value = {text, size};
    wst_str_t rest = value;
    wst__auth_t auth;
    size_t count = 0;
    while (wst__auth_next(&rest, &auth) == 1) {
        check(++count <= size);
        check(auth.scheme.len > 0 && within(auth.scheme, value) && within(auth.token68, value) &&
              within(auth.params, value) && within(rest, value));
        wst__digest_credentials_t c;
        if (wst__digest_read(&c, &auth) == 0)
            check(within(c.uri, value) && within(c.nonce, value) && within(c.cnonce, value));
    }
    static wst_http_head_t head;
    head.header_count = 1;
    head.headers[0] = (wst_http_header_t){.name = {"A", 1}, .value = value};
    wst__offer_t offer;
    wst__offer_read(&offer, &head, "A");
    read_back(&offer);
    free(text);
    return 0;
}
