/* SPDX-License-Identifier: MIT */
/* Challenges read and answered (http_offer.h). */
#include "http_offer.h"

#include "http_auth.h"
#include "http_digest.h"
#include "http_text.h"
#include "mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

/* Reading ------------------------------------------------------------------------------------ */

static bool is_listed(const char *list, wst_str_t name) {
    wst_str_t rest = {list, strlen(list)}, element;
    while (wst__http_list_next(&rest, &element)) {
        if (wst__same_text(element, name))
            return true;
    }
    return false;
}

static void list_scheme(wst__offer_t *offer, wst_str_t name) {
    size_t len = strlen(offer->schemes);
    if (!is_listed(offer->schemes, name) && len + 2 + name.len < sizeof(offer->schemes))
        snprintf(offer->schemes + len, sizeof(offer->schemes) - len, "%s%.*s", len > 0 ? ", " : "",
                 (int)name.len, name.ptr);
}

static bool read_algorithm(wst__offer_t *out, const wst__auth_t *challenge) {
    static const char sess[] = "-sess";
    char name[16];
    int found = wst__auth_param_copy(challenge, "algorithm", name, sizeof(name));
    wst_str_t text = {name, strlen(name)};
    if (found < 0)
        return false;
    if (found == 1 && text.len > strlen(sess)) {
        const wst_str_t end = {text.ptr + text.len - strlen(sess), strlen(sess)};
        out->session = wst_str_ieq(end, sess);
        text.len -= out->session ? strlen(sess) : 0;
    }
    out->hash =
        found == 1 && wst_str_ieq(text, wst__digest_name(WST__SHA256)) ? WST__SHA256 : WST__MD5;
    return found == 0 || wst_str_ieq(text, wst__digest_name(out->hash));
}

static bool offers_auth(const wst__auth_t *challenge) {
    char qop[64];
    return wst__auth_param_copy(challenge, "qop", qop, sizeof(qop)) == 1 &&
           is_listed(qop, (wst_str_t){"auth", 4});
}

static bool read_digest(wst__offer_t *out, const wst__auth_t *challenge) {
    char stale[8];
    int opaque = wst__auth_param_copy(challenge, "opaque", out->opaque, sizeof(out->opaque));
    int is_stale = wst__auth_param_copy(challenge, "stale", stale, sizeof(stale));
    out->kind = WST__OFFER_DIGEST;
    out->has_opaque = opaque == 1;
    out->stale = is_stale == 1 && wst_str_ieq((wst_str_t){stale, strlen(stale)}, "true");
    return opaque >= 0 && is_stale >= 0 && read_algorithm(out, challenge) &&
           offers_auth(challenge) &&
           wst__auth_param_copy(challenge, "realm", out->realm, sizeof(out->realm)) == 1 &&
           wst__auth_param_copy(challenge, "nonce", out->nonce, sizeof(out->nonce)) == 1;
}

static int strength(const wst__offer_t *offer) {
    return offer->kind == WST__OFFER_DIGEST && offer->hash == WST__SHA256 ? 3 : (int)offer->kind;
}

static void consider(wst__offer_t *offer, const wst__auth_t *challenge) {
    wst__offer_t other = {.kind = WST__OFFER_NONE};
    list_scheme(offer, challenge->scheme);
    if (wst_str_ieq(challenge->scheme, "Basic"))
        other.kind = WST__OFFER_BASIC;
    else if (!wst_str_ieq(challenge->scheme, "Digest") || !read_digest(&other, challenge))
        return;
    if (strength(&other) > strength(offer)) {
        memcpy(other.schemes, offer->schemes, sizeof(other.schemes));
        *offer = other;
    }
}

void wst__offer_read(wst__offer_t *out, const wst_http_head_t *head, const char *field) {
    *out = (wst__offer_t){.kind = WST__OFFER_NONE};
    const wst_http_header_t *h = NULL;
    while ((h = wst_http_header(head, field, h)) != NULL) {
        wst_str_t rest = h->value;
        wst__auth_t challenge;
        while (wst__auth_next(&rest, &challenge) == 1)
            consider(out, &challenge);
    }
}

/* Answering ---------------------------------------------------------------------------------- */

typedef struct writer {
    char *buf;
    size_t size, len;
    int status;
} writer_t;

static void put_char(writer_t *w, char c) {
    if (w->len + 1 >= w->size)
        w->status = w->status != 0 ? w->status : WST_EHEADBIG;
    else
        w->buf[w->len++] = c;
}

static void put_plain(writer_t *w, const char *text) {
    while (*text != '\0')
        put_char(w, *text++);
}

/* `name="text"`, as a quoted-string. */
static void put_quoted(writer_t *w, const char *name, const char *text) {
    put_plain(w, name);
    put_plain(w, "=\"");
    for (; *text != '\0'; text++) {
        if (wst__is_ctl(*text))
            w->status = WST_EINVAL;
        if (*text == '"' || *text == '\\')
            put_char(w, '\\');
        put_char(w, *text);
    }
    put_plain(w, "\"");
}

static void put_basic(writer_t *w, const wst__offer_answer_t *a) {
    enum { PAIR_MAX = 2 * WST_AUTH_MAX };
    char pair[PAIR_MAX], text[WST__BASE64_LEN(PAIR_MAX) + 1];
    int len = snprintf(pair, sizeof(pair), "%s:%s", a->user, a->password);
    bool fits = len >= 0 && len < PAIR_MAX;
    for (int i = 0; fits && i < len; i++)
        w->status = wst__is_ctl(pair[i]) ? WST_EINVAL : w->status;
    if (strchr(a->user, ':') != NULL) /* RFC 7617 section 2 */
        w->status = WST_EINVAL;
    if (!fits) {
        w->status = WST_EHEADBIG;
    } else {
        wst__base64_encode(text, pair, (size_t)len);
        put_plain(w, "Basic ");
        put_plain(w, text);
        wst__wipe(text, sizeof(text));
    }
    wst__wipe(pair, sizeof(pair));
}

static int compute_digest(char response[WST__HASH_TEXT], const wst__offer_t *o,
                          const wst__offer_answer_t *a, const char *cnonce) {
    char ha1[WST__HASH_TEXT];
    const wst__digest_input_t input = {.hash = o->hash,
                                       .ha1 = ha1,
                                       .session = o->session,
                                       .method = {a->method, strlen(a->method)},
                                       .uri = {a->uri, strlen(a->uri)},
                                       .nonce = {o->nonce, strlen(o->nonce)},
                                       .cnonce = {cnonce, strlen(cnonce)},
                                       .nc = a->nc};
    int status = wst__digest_ha1(ha1, o->hash, a->user, o->realm, a->password);
    if (status == 0)
        status = wst__digest_response(response, &input);
    wst__wipe(ha1, sizeof(ha1));
    return status;
}

/* RFC 7616 section 3.4 says which values are quoted. */
static void put_digest(writer_t *w, const wst__offer_t *o, const wst__offer_answer_t *a) {
    char cnonce[2 * sizeof(a->cnonce) + 1], response[WST__HASH_TEXT] = "", nc[9];
    wst__hex_encode(cnonce, a->cnonce, sizeof(a->cnonce));
    w->status = compute_digest(response, o, a, cnonce);
    snprintf(nc, sizeof(nc), "%08x", a->nc);
    put_quoted(w, "Digest username", a->user);
    put_quoted(w, ", realm", o->realm);
    put_quoted(w, ", nonce", o->nonce);
    put_quoted(w, ", uri", a->uri);
    put_plain(w, ", algorithm=");
    put_plain(w, wst__digest_name(o->hash));
    put_plain(w, o->session ? "-sess" : "");
    put_quoted(w, ", response", response);
    put_plain(w, ", qop=auth, nc=");
    put_plain(w, nc);
    put_quoted(w, ", cnonce", cnonce);
    if (o->has_opaque)
        put_quoted(w, ", opaque", o->opaque);
}

int wst__offer_answer(char *out, size_t size, const wst__offer_t *offer,
                      const wst__offer_answer_t *answer) {
    writer_t w = {.buf = out, .size = size};
    if (offer->kind == WST__OFFER_NONE)
        return WST_ESTATE;
    if (offer->kind == WST__OFFER_BASIC)
        put_basic(&w, answer);
    else
        put_digest(&w, offer, answer);
    if (w.status != 0)
        return w.status;
    out[w.len] = '\0';
    return (int)w.len;
}
