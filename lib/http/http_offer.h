/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_OFFER_H
#define WST_LIB_HTTP_OFFER_H
/*
 * The client's side of authentication: what a proxy or a server offers by its challenges, and the
 * credentials that answer the strongest offer: Digest with SHA-256, Digest with MD5, Basic.
 */
#include "digest.h"

#include <wstunnel/http.h>

/* What is offered. Text is copied and terminated. */
typedef struct wst__offer {
    enum { WST__OFFER_NONE, WST__OFFER_BASIC, WST__OFFER_DIGEST } kind; /* the strongest */
    char schemes[128]; /* the names of all, for people: "Negotiate, NTLM, Basic"; "" for none */

    /* Of Digest. */
    wst__hash_t hash;
    bool session; /* "-sess" */
    bool stale;   /* credentials it answers were right but for their nonce: answer this one without
                     asking anybody for another password */
    bool has_opaque;
    char realm[256], nonce[256], opaque[256];
} wst__offer_t;

/*
 * Reads all challenges in the fields of that name, "Proxy-Authenticate" or "WWW-Authenticate". What
 * is malformed, or cannot be answered (without qop "auth", texts beyond 255 bytes), counts as a
 * name in `schemes` only.
 */
void wst__offer_read(wst__offer_t *out, const wst_http_head_t *head, const char *field);

/* Who answers, and for what. */
typedef struct wst__offer_answer {
    const char *user, *password;
    const char *method, *uri; /* of the request: the target as it is sent */
    uint8_t cnonce[16];       /* fresh random bytes */
    uint32_t nc;              /* 1 for the first use of the nonce, then 2, ... */
} wst__offer_answer_t;

/*
 * Writes the value of Proxy-Authorization or Authorization, terminated, and returns its length; or
 * WST_ESTATE: nothing is offered that could be answered; WST_EINVAL: a user or password that the
 * scheme cannot carry (control characters, a colon in a user of Basic); WST_EHEADBIG: it does not
 * fit; WST_ENOMEM, WST_EINTERNAL. Wipe it when done: Basic is the password itself.
 */
int wst__offer_answer(char *out, size_t size, const wst__offer_t *offer,
                      const wst__offer_answer_t *answer);

#endif
