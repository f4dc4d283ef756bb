/* SPDX-License-Identifier: MIT */
/*
 * Reading certificates (tls_cert.h). Copies everything out of the parsed form, which mbedTLS may
 * free at any time, and makes texts harmless, as a certificate may contain any bytes.
 */
#include "tls_cert.h"
#include "digest.h"
#include "ip.h"
#include "mem.h"
#include "tls_names.h"
#include "utf8.h"

#include <assert.h>
#include <mbedtls/md.h>
#include <mbedtls/oid.h>
#include <stdio.h>
#include <string.h>

enum { COMMON_NAME_TEXT = 256, FINGERPRINT_TEXT = 65, PIN_TEXT = 7 + 44 + 1 };

/* Types of GeneralName (RFC 5280 section 4.2.1.6), as mbedTLS tags them. */
enum { SAN_EMAIL = 0x81, SAN_DNS = 0x82, SAN_URI = 0x86, SAN_IP = 0x87 };

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

static void put_value(text_t *text, const mbedtls_asn1_buf *value, bool escape) {
    const char *at = (const char *)value->p;
    for (size_t i = 0, n; i < value->len; i += n) {
        uint32_t code;
        n = wst__utf8_get(&code, at + i, value->len - i);
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

void wst__tls_dn_text(char out[WST__TLS_DN_TEXT], const mbedtls_x509_name *dn) {
    text_t text = {out, WST__TLS_DN_TEXT, false};
    out[0] = '\0';
    for (; dn != NULL; dn = dn->next) {
        const char *type = NULL;
        if (dn->oid.p == NULL)
            continue;
        if (mbedtls_oid_get_attr_short_name(&dn->oid, &type) != 0)
            type = "?";
        if (text.at != out)
            put_bytes(&text, ", ", 2);
        put_bytes(&text, type, strlen(type));
        put_bytes(&text, "=", 1);
        put_value(&text, &dn->val, true);
    }
}

/* Leaves out a name that is too long: cut, it could be that of another. */
static void common_name(char out[COMMON_NAME_TEXT], const mbedtls_x509_name *dn) {
    out[0] = '\0';
    for (; dn != NULL; dn = dn->next) {
        if (dn->oid.p == NULL || MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &dn->oid) != 0)
            continue;
        text_t text = {out, COMMON_NAME_TEXT, false};
        out[0] = '\0';
        put_value(&text, &dn->val, false);
        if (text.cut)
            out[0] = '\0';
    }
}

/* Days since 1970 of a Gregorian date, computed with years that begin in March. */
static int64_t days(int year, int month, int day) {
    int64_t y = month > 2 ? year : year - 1;
    int64_t m = month > 2 ? month - 3 : month + 9;
    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

int64_t wst__tls_time(const mbedtls_x509_time *t) {
    return ((days(t->year, t->mon, t->day) * 24 + t->hour) * 60 + t->min) * 60 + t->sec;
}

static void sha256(uint8_t digest[32], const mbedtls_x509_buf *of) {
    int status = mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), of->p, of->len, digest);
    assert(status == 0); /* it needs no memory */
    (void)status;
}

void wst__tls_spki(uint8_t digest[32], const mbedtls_x509_crt *crt) {
    sha256(digest, &crt->pk_raw);
}

static void pin_text(char out[PIN_TEXT], const mbedtls_x509_crt *crt) {
    uint8_t digest[32];
    wst__tls_spki(digest, crt);
    memcpy(out, "sha256/", 7);
    wst__base64_encode(out + 7, digest, sizeof(digest));
}

static void fingerprint(char out[FINGERPRINT_TEXT], const mbedtls_x509_crt *crt) {
    uint8_t digest[32];
    sha256(digest, &crt->raw);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* Alternative names -------------------------------------------------------------------------- */

static bool ip_of(wst__ip_t *ip, const mbedtls_asn1_buf *san) {
    if (san->len == 16) {
        memcpy(ip->bytes, san->p, 16);
        return true;
    }
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(ip->bytes, mapped, sizeof(mapped));
    if (san->len == 4)
        memcpy(ip->bytes + 12, san->p, 4);
    return san->len == 4;
}

/* NULL if there are none: mbedTLS's list begins with an empty entry then. */
static const mbedtls_x509_sequence *sans(const mbedtls_x509_crt *crt) {
    const mbedtls_x509_sequence *first = &crt->subject_alt_names;
    return first->buf.p != NULL ? first : NULL;
}

/* Writes the name as text into at least `room` bytes. Returns its length, or 0 to leave it out. */
static size_t san_text(char *out, size_t room, wst_tls_name_kind_t *kind,
                       const mbedtls_asn1_buf *san) {
    wst__ip_t ip;
    switch (san->tag) {
    case SAN_DNS:
        *kind = WST_TLS_NAME_DNS;
        break;
    case SAN_EMAIL:
        *kind = WST_TLS_NAME_EMAIL;
        break;
    case SAN_URI:
        *kind = WST_TLS_NAME_URI;
        break;
    case SAN_IP:
        *kind = WST_TLS_NAME_IP;
        if (room < WST__IP_TEXT || !ip_of(&ip, san))
            return 0;
        wst__ip_text(out, &ip);
        return strlen(out);
    default:
        return 0;
    }
    for (size_t i = 0; i < san->len; i++)
        if (san->p[i] <= 0x20 || san->p[i] >= 0x7f)
            return 0;
    if (san->len >= room)
        return 0;
    memcpy(out, san->p, san->len);
    out[san->len] = '\0';
    return san->len;
}

bool wst__tls_cert_names(const mbedtls_x509_crt *crt, const char *host, size_t len) {
    for (const mbedtls_x509_sequence *san = sans(crt); san != NULL; san = san->next)
        if (san->buf.tag == SAN_DNS &&
            wst__tls_name_matches((const char *)san->buf.p, san->buf.len, host, len))
            return true;
    return false;
}

static bool is_for(const mbedtls_x509_crt *crt, const char *host) {
    wst__ip_t wanted, ip;
    if (!wst__ip_parse(&wanted, host, strlen(host)))
        return wst__tls_cert_names(crt, host, strlen(host));
    for (const mbedtls_x509_sequence *san = sans(crt); san != NULL; san = san->next)
        if (san->buf.tag == SAN_IP && ip_of(&ip, &san->buf) &&
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

wst__tls_cert_t *wst__tls_cert_new(const wst_allocator_t *allocator, const mbedtls_x509_crt *crt) {
    char subject[WST__TLS_DN_TEXT], issuer[WST__TLS_DN_TEXT], cn[COMMON_NAME_TEXT];
    char print[FINGERPRINT_TEXT], pin[PIN_TEXT];
    wst__tls_dn_text(subject, &crt->subject);
    wst__tls_dn_text(issuer, &crt->issuer);
    common_name(cn, &crt->subject);
    fingerprint(print, crt);
    pin_text(pin, crt);

    size_t count = 0,
           room = strlen(subject) + strlen(issuer) + strlen(cn) + sizeof(print) + sizeof(pin) + 3;
    for (const mbedtls_x509_sequence *san = sans(crt); san != NULL; san = san->next) {
        count++;
        room += san->buf.len < WST__IP_TEXT ? (size_t)WST__IP_TEXT : san->buf.len + 1;
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
    cert->is.not_before = wst__tls_time(&crt->valid_from);
    cert->is.not_after = wst__tls_time(&crt->valid_to);
    cert->is.names = names;
    for (const mbedtls_x509_sequence *san = sans(crt); san != NULL; san = san->next) {
        wst_tls_name_t *name = &names[cert->is.name_count];
        size_t len = san_text(at, (size_t)(end - at), &name->kind, &san->buf);
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
                                const mbedtls_x509_time *date) {
    char text[sizeof(found->text)];
    snprintf(text, sizeof(text), "%s %s %04d-%02d-%02d", whose, what, date->year, date->mon,
             date->day);
    complain(found, text);
}

/* "certificate is for other names: a.example, b.example" */
static void complain_about_names(wst__tls_found_t *found, const mbedtls_x509_crt *crt) {
    char text[sizeof(found->text)] = "certificate is for other names: ";
    size_t begin = strlen(text), len = begin;
    for (const mbedtls_x509_sequence *san = sans(crt); san != NULL; san = san->next) {
        char name[WST__TLS_NAME_MAX + 1];
        wst_tls_name_kind_t kind;
        if (san_text(name, sizeof(name), &kind, &san->buf) == 0 ||
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

/* Says why the chain is not trusted: mbedTLS flags the last certificate with a known issuer. */
static void complain_about_trust(wst__tls_found_t *found, const mbedtls_x509_crt *crt) {
    char text[sizeof(found->text)], dn[WST__TLS_DN_TEXT];
    wst__tls_dn_text(dn, &crt->issuer);
    bool self_signed = crt->issuer_raw.len == crt->subject_raw.len &&
                       memcmp(crt->issuer_raw.p, crt->subject_raw.p, crt->issuer_raw.len) == 0;
    snprintf(text, sizeof(text), "%s: %.200s",
             self_signed ? "self-signed certificate, not trusted" : "issuer not trusted", dn);
    complain(found, text);
}

static void complain_about_flags(wst__tls_found_t *found, const mbedtls_x509_crt *crt, int depth,
                                 uint32_t flags) {
    char whose[WST__TLS_DN_TEXT + 32] = "certificate", text[sizeof(found->text)];
    if (depth > 0) {
        char dn[WST__TLS_DN_TEXT];
        wst__tls_dn_text(dn, &crt->subject);
        snprintf(whose, sizeof(whose), "certificate of the issuer %.100s", dn);
    }
    if ((flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0)
        complain_about_date(found, whose, "expired on", &crt->valid_to);
    if ((flags & MBEDTLS_X509_BADCERT_FUTURE) != 0)
        complain_about_date(found, whose, "is not valid before", &crt->valid_from);
    if ((flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0)
        complain_about_trust(found, crt);
    static const struct {
        uint32_t flags;
        const char *text;
    } others[] = {
        {MBEDTLS_X509_BADCERT_BAD_MD | MBEDTLS_X509_BADCERT_BAD_PK,
         "is signed with a weak algorithm"},
        {MBEDTLS_X509_BADCERT_BAD_KEY, "has a weak key, or its issuer has"},
        {MBEDTLS_X509_BADCERT_KEY_USAGE, "has a key that is not for this use (keyUsage)"},
        {MBEDTLS_X509_BADCERT_NS_CERT_TYPE, "has a key that is not for this use (nsCertType)"},
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if ((flags & others[i].flags) == 0)
            continue;
        snprintf(text, sizeof(text), "%.200s %s", whose, others[i].text);
        complain(found, text);
    }
}

static bool is_pinned(const wst__tls_expect_t *expect, const mbedtls_x509_crt *crt) {
    uint8_t digest[32];
    wst__tls_spki(digest, crt);
    for (size_t i = 0; i < expect->pin_count; i++)
        if (memcmp(digest, expect->pins[i], sizeof(digest)) == 0)
            return true;
    return false;
}

static bool is_for_purpose(const mbedtls_x509_crt *crt, bool client) {
    const char *purpose = client ? MBEDTLS_OID_CLIENT_AUTH : MBEDTLS_OID_SERVER_AUTH;
    return mbedtls_x509_crt_check_extended_key_usage(
               crt, purpose, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) == 0;
}

bool wst__tls_cert_serves(const mbedtls_x509_crt *crt) {
    return is_for_purpose(crt, false);
}

/* Checks that apply to the peer's own certificate only. */
static void judge_peer(const wst__tls_expect_t *expect, wst__tls_found_t *found,
                       const mbedtls_x509_crt *crt, uint32_t *flags) {
    if (!is_for_purpose(crt, expect->client)) {
        *flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
        complain(found, expect->client ? "certificate is not for clients (extendedKeyUsage)"
                                       : "certificate is not for servers (extendedKeyUsage)");
    }
    if (mbedtls_x509_crt_check_key_usage(crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE) != 0) {
        *flags |= MBEDTLS_X509_BADCERT_KEY_USAGE;
        complain(found, "certificate has a key that is not for signatures (keyUsage)");
    }
    if (expect->host != NULL && !is_for(crt, expect->host)) {
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
        complain_about_names(found, crt);
    }
}

void wst__tls_judge(const wst__tls_expect_t *expect, wst__tls_found_t *found,
                    const mbedtls_x509_crt *crt, int depth, uint32_t *flags) {
    *flags &= ~(uint32_t)MBEDTLS_X509_BADCERT_CN_MISMATCH;
    if (crt->raw.len == 0) { /* how 2.28 presents an empty list of certificates */
        *flags |= MBEDTLS_X509_BADCERT_MISSING;
        complain(found, "the peer has sent no certificate");
        found->bad = true;
        return;
    }
    if (expect->insecure) {
        *flags = 0;
    } else {
        complain_about_flags(found, crt, depth, *flags);
        if (depth == 0)
            judge_peer(expect, found, crt, flags);
    }
    /* An unverified issuer could be any name on any key. */
    if ((depth == 0 || !expect->insecure) && is_pinned(expect, crt))
        found->pinned = true;
    if (depth == 0 && expect->pin_count > 0 && !found->pinned) {
        char text[96] = "public key is not pinned: ";
        pin_text(text + strlen(text), crt);
        *flags |= MBEDTLS_X509_BADCERT_OTHER;
        complain(found, text);
    }
    found->bad = found->bad || *flags != 0;
}
