/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HTTP_OFFER_H
#define WST_LIB_HTTP_OFFER_H
/*
 * The client's side of authentication: reads the offers in the challenges of a proxy or a server,
 * and writes the credentials that answer the strongest one: Digest with SHA-256, Digest with MD5,
 * Basic.
 */
#include "digest.h"

#include <wstunnel/http.h>

/* The strongest offer. Text is copied and terminated. */
typedef struct wst__offer {
    enum { WST__OFFER_NONE, WST__OFFER_BASIC, WST__OFFER_DIGEST } kind;
    char schemes[128]; /* all schemes offered, for people: "Negotiate, NTLM, Basic"; "" for none */

    /* Digest only. */
    wst__hash_t hash;
    bool session; /* "-sess" */
    bool stale;   /* the credentials were right but for their nonce: answer again, with no new
                     password */
    bool has_opaque;
    char realm[256], nonce[256], opaque[256];
} wst__offer_t;

/*
 * Reads all challenges in the fields of that name, "Proxy-Authenticate" or "WWW-Authenticate". A
 * challenge that is malformed or cannot be answered (without qop "auth", texts beyond 255 bytes)
 * only adds its name to `schemes`.
 */
void wst__offer_read(wst__offer_t *out, const wst_http_head_t *head, const char *field);

/* The credentials, and the request that they are for. */
typedef struct wst__offer_answer {
    const char *user, *password;
    const char *method, *uri; /* of the request: the target as it is sent */
    uint8_t cnonce[16];       /* fresh random bytes */
    uint32_t nc;              /* 1 for the first use of the nonce, then 2, ... */
} wst__offer_answer_t;

/*
 * Writes the value of Proxy-Authorization or Authorization, terminated, and returns its length; or
 * WST_ESTATE: no offer can be answered; WST_EINVAL: the scheme cannot carry this user or password
 * (control characters, a colon in a user of Basic); WST_EHEADBIG: it does not
 * fit; WST_ENOMEM, WST_EINTERNAL. Wipe `out` afterwards: Basic contains the password.
 */
int wst__offer_answer(char *out, size_t size, const wst__offer_t *offer,
                      const wst__offer_answer_t *answer);

#endif
