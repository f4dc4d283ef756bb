/* SPDX-License-Identifier: MIT */
/*
 * What certificates say, and whether they will do (tls_cert.h). Copies everything out of the DER,
 * which the engine may free at any time, and makes texts harmless, as a certificate may contain any
 * bytes.
 */
#include "tls_cert.h"
#include "digest.h"
#include "ip.h"
#include "mem.h"
#include "tls_chain.h"
#include "tls_names.h"
#include "tls_options.h"
#include "utf8.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wstunnel/error.h>

enum { COMMON_NAME_TEXT = 256, FINGERPRINT_TEXT = 65, WHOSE_TEXT = 160 };

struct wst__tls_cert {
    size_t refs;
    const wst_allocator_t *allocator;
    wst_tls_certificate_t is;
};

/* Text --------------------------------------------------------------------------------------- */

typedef struct text {
    char *at;
    size_t left; /* the terminator included */
    bool cut;
} text_t;

static void put_bytes(text_t *text, const char *bytes, size_t len) {
    if (len >= text->left)
        text->cut = true;
    if (text->cut)
        return;
    memcpy(text->at, bytes, len);
    text->at += len;
    text->left -= len;
    text->at[0] = '\0';
}

static void put_value(text_t *text, wst_str_t value, bool escape) {
    const char *at = value.ptr;
    for (size_t i = 0, n; i < value.len; i += n) {
        uint32_t code;
        n = wst__utf8_get(&code, at + i, value.len - i);
        if (n == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
            n = 1;
            put_bytes(text, "?", 1);
            continue;
        }
        if (escape && (code == ',' || code == '+' || code == '\\'))
            put_bytes(text, "\\", 1);
        put_bytes(text, at + i, n);
    }
}

void wst__tls_dn_text(char out[WST__TLS_DN_TEXT], wst_str_t dn) {
    text_t text = {out, WST__TLS_DN_TEXT, false};
    wst__tls_attribute_t attribute;
    out[0] = '\0';
    while (wst__tls_dn_next(&dn, &attribute)) {
        if (text.at != out)
            put_bytes(&text, ", ", 2);
        put_bytes(&text, attribute.type, strlen(attribute.type));
        put_bytes(&text, "=", 1);
        put_value(&text, attribute.value, true);
    }
}

/* Leaves out a name that is too long: cut, it could be that of another. */
static void common_name(char out[COMMON_NAME_TEXT], wst_str_t dn) {
    wst__tls_attribute_t attribute;
    out[0] = '\0';
    while (wst__tls_dn_next(&dn, &attribute)) {
        if (strcmp(attribute.type, "CN") != 0)
            continue;
        text_t text = {out, COMMON_NAME_TEXT, false};
        out[0] = '\0';
        put_value(&text, attribute.value, false);
        if (text.cut)
            out[0] = '\0';
    }
}

/* Fails for lack of memory only. */
static bool sha256(uint8_t digest[32], wst_str_t of) {
    return wst__hash(WST__SHA256, digest, &of, 1) == 0;
}

bool wst__tls_pin_text(char out[WST_TLS_PIN_MAX], const wst__tls_x509_t *crt) {
    uint8_t digest[32];
    memcpy(out, "sha256/", 8);
    if (!sha256(digest, crt->spki))
        return false;
    wst__base64_encode(out + 7, digest, sizeof(digest));
    return true;
}

static bool fingerprint(char out[FINGERPRINT_TEXT], const wst__tls_x509_t *crt) {
    uint8_t digest[32];
    if (!sha256(digest, crt->der))
        return false;
    wst__hex_encode(out, digest, sizeof(digest));
    return true;
}

/* Alternative names -------------------------------------------------------------------------- */

static bool ip_of(wst__ip_t *ip, wst_str_t san) {
    if (san.len == 16) {
        memcpy(ip->bytes, san.ptr, 16);
        return true;
    }
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(ip->bytes, mapped, sizeof(mapped));
    if (san.len == 4)
        memcpy(ip->bytes + 12, san.ptr, 4);
    return san.len == 4;
}

/* Writes the name as text into at least `room` bytes. Returns its length, or 0 to leave it out. */
static size_t san_text(char *out, size_t room, wst_tls_name_kind_t *kind, unsigned tag,
                       wst_str_t san) {
    wst__ip_t ip;
    switch (tag) {
    case WST__TLS_SAN_DNS:
        *kind = WST_TLS_NAME_DNS;
        break;
    case WST__TLS_SAN_EMAIL:
        *kind = WST_TLS_NAME_EMAIL;
        break;
    case WST__TLS_SAN_URI:
        *kind = WST_TLS_NAME_URI;
        break;
    case WST__TLS_SAN_IP:
        *kind = WST_TLS_NAME_IP;
        if (room < WST__IP_TEXT || !ip_of(&ip, san))
            return 0;
        wst__ip_text(out, &ip);
        return strlen(out);
    default:
        return 0;
    }
    for (size_t i = 0; i < san.len; i++)
        if (san.ptr[i] <= 0x20 || san.ptr[i] >= 0x7f)
            return 0;
    if (san.len >= room)
        return 0;
    memcpy(out, san.ptr, san.len);
    out[san.len] = '\0';
    return san.len;
}

bool wst__tls_cert_names(const wst__tls_x509_t *crt, const char *host, size_t len) {
    wst_str_t names = crt->names, san;
    unsigned tag;
    while (wst__tls_san_next(&names, &tag, &san))
        if (tag == WST__TLS_SAN_DNS && wst__tls_name_matches(san.ptr, san.len, host, len))
            return true;
    return false;
}

static bool is_for(const wst__tls_x509_t *crt, const char *host) {
    wst__ip_t wanted, ip;
    if (!wst__ip_parse(&wanted, host, strlen(host)))
        return wst__tls_cert_names(crt, host, strlen(host));
    wst_str_t names = crt->names, san;
    unsigned tag;
    while (wst__tls_san_next(&names, &tag, &san))
        if (tag == WST__TLS_SAN_IP && ip_of(&ip, san) &&
            memcmp(ip.bytes, wanted.bytes, sizeof(ip.bytes)) == 0)
            return true;
    return false;
}

/* For users ---------------------------------------------------------------------------------- */

static const char *pack(char **to, const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*to, text, size);
    *to += size;
    return copy;
}

wst__tls_cert_t *wst__tls_cert_new(const wst_allocator_t *allocator, const wst__tls_x509_t *crt) {
    char subject[WST__TLS_DN_TEXT], issuer[WST__TLS_DN_TEXT], cn[COMMON_NAME_TEXT];
    char print[FINGERPRINT_TEXT], pin[WST_TLS_PIN_MAX];
    if (!fingerprint(print, crt) || !wst__tls_pin_text(pin, crt))
        return NULL;
    wst__tls_dn_text(subject, crt->subject);
    wst__tls_dn_text(issuer, crt->issuer);
    common_name(cn, crt->subject);

    size_t count = 0,
           room = strlen(subject) + strlen(issuer) + strlen(cn) + sizeof(print) + sizeof(pin) + 3;
    wst_str_t left = crt->names, san;
    unsigned tag;
    while (wst__tls_san_next(&left, &tag, &san)) {
        count++;
        room += san.len < WST__IP_TEXT ? (size_t)WST__IP_TEXT : san.len + 1;
    }
    wst__tls_cert_t *cert =
        wst__zalloc(allocator, sizeof(*cert) + count * sizeof(wst_tls_name_t) + room);
    if (cert == NULL)
        return NULL;
    wst_tls_name_t *names = (wst_tls_name_t *)(cert + 1);
    char *at = (char *)(names + count), *end = at + room;
    cert->refs = 1;
    cert->allocator = allocator;
    cert->is.size = sizeof(cert->is);
    cert->is.subject = pack(&at, subject);
    cert->is.issuer = pack(&at, issuer);
    cert->is.common_name = pack(&at, cn);
    cert->is.fingerprint = pack(&at, print);
    cert->is.pin = pack(&at, pin);
    cert->is.not_before = crt->not_before;
    cert->is.not_after = crt->not_after;
    cert->is.names = names;
    left = crt->names;
    while (wst__tls_san_next(&left, &tag, &san)) {
        wst_tls_name_t *name = &names[cert->is.name_count];
        size_t len = san_text(at, (size_t)(end - at), &name->kind, tag, san);
        if (len == 0)
            continue;
        name->text = at;
        at += len + 1;
        cert->is.name_count++;
    }
    return cert;
}

wst__tls_cert_t *wst__tls_cert_ref(wst__tls_cert_t *cert) {
    if (cert != NULL)
        cert->refs++;
    return cert;
}

void wst__tls_cert_unref(wst__tls_cert_t *cert) {
    if (cert != NULL && --cert->refs == 0)
        wst__free(cert->allocator, cert);
}

const wst_tls_certificate_t *wst__tls_cert_public(const wst__tls_cert_t *cert) {
    return cert != NULL ? &cert->is : NULL;
}

/* Judging ------------------------------------------------------------------------------------ */

static void complain(wst__tls_found_t *found, const char *text) {
    size_t len = strlen(found->text);
    snprintf(found->text + len, sizeof(found->text) - len, "%s%s", len > 0 ? "; " : "", text);
}

static void complain_about_date(wst__tls_found_t *found, const char *whose, const char *what,
                                int64_t at) {
    char text[sizeof(found->text)];
    time_t seconds = (time_t)at;
    struct tm date = {0};
    (void)gmtime_r(&seconds, &date);
    snprintf(text, sizeof(text), "%s %s %04d-%02d-%02d", whose, what, date.tm_year + 1900,
             date.tm_mon + 1, date.tm_mday);
    complain(found, text);
}

/* "certificate is for other names: a.example, b.example" */
static void complain_about_names(wst__tls_found_t *found, const wst__tls_x509_t *crt) {
    char text[sizeof(found->text)] = "certificate is for other names: ";
    size_t begin = strlen(text), len = begin;
    wst_str_t left = crt->names, san;
    unsigned tag;
    while (wst__tls_san_next(&left, &tag, &san)) {
        char name[WST__TLS_NAME_MAX + 1];
        wst_tls_name_kind_t kind;
        if (san_text(name, sizeof(name), &kind, tag, san) == 0 ||
            (kind != WST_TLS_NAME_DNS && kind != WST_TLS_NAME_IP))
            continue;
        len +=
            (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len > begin ? ", " : "", name);
        if (len >= sizeof(text)) { /* enough for people */
            memcpy(text + sizeof(text) - 4, "...", 4);
            break;
        }
    }
    complain(found,
             len > begin ? text : "certificate has no subjectAltName, and so is for no host");
}

static bool is_self_issued(const wst__tls_x509_t *crt) {
    return crt->issuer.len == crt->subject.len &&
           memcmp(crt->issuer.ptr, crt->subject.ptr, crt->issuer.len) == 0;
}

static void complain_about_trust(wst__tls_found_t *found, const wst__tls_x509_t *crt,
                                 bool may_be_pinned) {
    char text[sizeof(found->text)], dn[WST__TLS_DN_TEXT], pin[WST_TLS_PIN_MAX];
    bool self_issued = is_self_issued(crt);
    wst__tls_dn_text(dn, crt->issuer);
    if (self_issued && may_be_pinned && wst__tls_pin_text(pin, crt))
        snprintf(text, sizeof(text),
                 "self-signed certificate, not trusted: %.140s, with the pin %s", dn, pin);
    else
        snprintf(text, sizeof(text), "%s: %.200s",
                 self_issued ? "self-signed certificate, not trusted" : "issuer not trusted", dn);
    complain(found, text);
}

/* A certificate as a text about the whole chain calls it. */
static void name_certificate(char out[WHOSE_TEXT], const wst__tls_x509_t *crt, int depth) {
    char dn[WST__TLS_DN_TEXT];
    snprintf(out, WHOSE_TEXT, "certificate");
    if (depth == 0)
        return;
    wst__tls_dn_text(dn, crt->subject);
    snprintf(out, WHOSE_TEXT, "certificate of the issuer %.100s", dn);
}

static void complain_about_chain(const wst__tls_expect_t *expect, wst__tls_found_t *found,
                                 const wst__tls_x509_t *crt, int depth, const char *whose,
                                 unsigned faults, const char *other) {
    char text[sizeof(found->text)];
    if ((faults & WST__TLS_EXPIRED) != 0)
        complain_about_date(found, whose, "expired on", crt->not_after);
    if ((faults & WST__TLS_TOO_EARLY) != 0)
        complain_about_date(found, whose, "is not valid before", crt->not_before);
    if ((faults & WST__TLS_NOT_TRUSTED) != 0)
        complain_about_trust(found, crt, depth == 0 && !expect->client && expect->pin_count == 0);
    const struct {
        unsigned fault;
        const char *text;
    } others[] = {
        {WST__TLS_WEAK_SIGNATURE, "is signed with a weak algorithm"},
        {WST__TLS_WEAK_KEY, "has a weak key, or its issuer has"},
        {WST__TLS_BAD_USAGE, "has a key that is not for this use"},
        {WST__TLS_OTHER_FAULT, other != NULL ? other : "is not valid"},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if ((faults & others[i].fault) == 0)
            continue;
        snprintf(text, sizeof(text), "%.200s %s", whose, others[i].text);
        complain(found, text);
    }
}

static bool is_pinned(const wst__tls_expect_t *expect, const wst__tls_x509_t *crt) {
    uint8_t digest[32];
    if (expect->pin_count == 0 || !sha256(digest, crt->spki))
        return false;
    for (size_t i = 0; i < expect->pin_count; i++)
        if (memcmp(digest, expect->pins[i], sizeof(digest)) == 0)
            return true;
    return false;
}

/* Checks that apply to the peer's own certificate only. Returns further faults. */
static unsigned judge_peer(const wst__tls_expect_t *expect, wst__tls_found_t *found,
                           const wst__tls_x509_t *crt) {
    unsigned faults = 0;
    if (expect->client ? !crt->for_clients : !crt->for_servers) {
        faults |= WST__TLS_BAD_PURPOSE;
        complain(found, expect->client ? "certificate is not for clients (extendedKeyUsage)"
                                       : "certificate is not for servers (extendedKeyUsage)");
    }
    if (!crt->for_signatures) {
        faults |= WST__TLS_BAD_USAGE;
        complain(found, "certificate has a key that is not for signatures (keyUsage)");
    }
    if (expect->host != NULL && !is_for(crt, expect->host)) {
        faults |= WST__TLS_OTHER_NAME;
        complain_about_names(found, crt);
    }
    return faults;
}

/* All faults of a certificate that must be verified. */
static unsigned judge_all(const wst__tls_expect_t *expect, wst__tls_found_t *found,
                          const wst__tls_x509_t *crt, int depth, const char *whose, unsigned faults,
                          const char *other) {
    complain_about_chain(expect, found, crt, depth, whose, faults, other);
    return depth == 0 ? faults | judge_peer(expect, found, crt) : faults;
}

unsigned wst__tls_judge(const wst__tls_expect_t *expect, wst__tls_found_t *found,
                        const wst__tls_x509_t *crt, int depth, unsigned faults, const char *other) {
    wst__tls_found_t own = {.text = ""}; /* about this certificate alone, for the chain */
    char whose[WHOSE_TEXT];
    if (crt == NULL) {
        complain(found, "the peer has sent no certificate");
        found->bad = true;
        return faults | WST__TLS_NO_CERTIFICATE;
    }
    /* An unverified issuer could be any name on any key. */
    bool pinned = (depth == 0 || !expect->insecure) && is_pinned(expect, crt);
    found->pinned = found->pinned || pinned;
    if (expect->insecure) {
        faults = 0;
    } else {
        if (depth == 0 && pinned && is_self_issued(crt))
            faults &= ~(unsigned)WST__TLS_NOT_TRUSTED; /* nobody else vouches for this key */
        name_certificate(whose, crt, depth);
        if (found->chain != NULL)
            (void)judge_all(expect, &own, crt, depth, "certificate", faults, other);
        faults = judge_all(expect, found, crt, depth, whose, faults, other);
    }
    if (depth == 0 && expect->pin_count > 0 && !found->pinned) {
        char text[96] = "public key is not pinned: ";
        (void)wst__tls_pin_text(text + strlen(text), crt);
        faults |= WST__TLS_NOT_PINNED;
        complain(found, text);
        complain(&own, text);
    }
    if (found->chain != NULL)
        wst__tls_chain_judged(found->chain, crt, own.text);
    found->bad = found->bad || faults != 0;
    return faults;
}

int wst__tls_accept_identity(wst__tls_cert_t **out, wst__tls_expiry_t *expiry,
                             const wst_allocator_t *allocator, const wst__tls_x509_t *is,
                             bool server, const char *what, wst_tls_error_t *why) {
    if (server && !is->for_servers)
        return wst__tls_complain(why, what, "the certificate is not for servers");
    if (is->not_after < expiry->at) {
        expiry->at = is->not_after;
        wst__tls_dn_text(expiry->subject, is->subject);
    }
    *out = wst__tls_cert_new(allocator, is);
    return *out != NULL ? 0 : (int)WST_ENOMEM;
}
