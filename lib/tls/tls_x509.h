/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_X509_H
#define WST_LIB_TLS_X509_H
/*
 * Reads a certificate's DER (RFC 5280 section 4), so that what the library says about certificates
 * and demands of them does not depend on the engine. The engine verifies signatures and chains.
 * Bytes only: no allocation, nothing is copied.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wstunnel/common.h>

/* A certificate, valid as long as its DER. */
typedef struct wst__tls_x509 {
    wst_str_t der;
    wst_str_t spki;                /* SubjectPublicKeyInfo, with its header */
    wst_str_t subject, issuer;     /* contents of the Name; see wst__tls_dn_next */
    wst_str_t names;               /* contents of subjectAltName; see wst__tls_san_next */
    int64_t not_before, not_after; /* seconds since 1970 */
    bool for_servers, for_clients; /* by extendedKeyUsage, or because there is none */
    bool for_signatures;           /* by keyUsage, or because there is none */
} wst__tls_x509_t;

/* Reads a certificate; all that is in it has been checked then. Returns whether it is valid. */
bool wst__tls_x509_read(wst__tls_x509_t *out, const uint8_t *der, size_t len);

/* An attribute of a name: "CN" or "?", and the value's bytes, which may be any. */
typedef struct wst__tls_attribute {
    const char *type;
    wst_str_t value;
} wst__tls_attribute_t;

/* Takes the next attribute off a Name of a certificate that has been read; false: no more. */
bool wst__tls_dn_next(wst_str_t *dn, wst__tls_attribute_t *out);

/* Tags of GeneralName (RFC 5280 section 4.2.1.6). */
enum {
    WST__TLS_SAN_EMAIL = 0x81,
    WST__TLS_SAN_DNS = 0x82,
    WST__TLS_SAN_URI = 0x86,
    WST__TLS_SAN_IP = 0x87
};

/* Takes the next name off `names` of a certificate that has been read; false: no more. */
bool wst__tls_san_next(wst_str_t *names, unsigned *tag, wst_str_t *value);

#endif
