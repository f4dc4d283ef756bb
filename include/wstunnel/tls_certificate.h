/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_TLS_CERTIFICATE_H
#define WSTUNNEL_TLS_CERTIFICATE_H
/**
 * @file tls_certificate.h
 * Makes a self-signed certificate with its key, for a server that no public authority certifies,
 * and tells the pin of a certificate. Needs no loop and no context.
 *
 *     const char *const names[] = {"server.example", "192.0.2.7", NULL};
 *     const wst_tls_self_sign_options_t options = {
 *         .size = sizeof(options), .names = names, .days = 3650};
 *     wst_tls_self_signed_t made;
 *     int status = wst_tls_self_sign(&made, &options, NULL);
 *
 * Clients trust such a certificate by the certificate itself (wst_tls_client_options.ca_pem, `curl
 * --cacert`) or by its pin (wst_tls_client_options.pins). It certifies no others: its key signs
 * handshakes, not certificates.
 */
#include <wstunnel/tls_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Size in bytes of a pin, "sha256/BASE64", with the terminator. */
#define WST_TLS_PIN_MAX 52

/** Most names of a certificate made here. */
#define WST_TLS_SELF_NAMES_MAX 8

/** A certificate and its key, as terminated PEM texts. */
typedef struct wst_tls_self_signed {
    char certificate_pem[4096]; /**< the certificate */
    char key_pem[512];          /**< A secret: wipe it after use. */
} wst_tls_self_signed_t;

/** What certificate to make. */
typedef struct wst_tls_self_sign_options {
    size_t size; /**< sizeof the struct (common.h) */
    /** Required. NULL-terminated, 1 to WST_TLS_SELF_NAMES_MAX: DNS names, whose first label may be
        "*", and IP addresses without brackets. They become the subjectAltName (RFC 5280 section
        4.2.1.6); the first one is the subject's common name as well, unless it is longer than 64
        bytes. */
    const char *const *names;
    unsigned days; /**< Required. 1 to 36500: how long it is valid from now on. It is also valid
                        for the day before, since clocks differ. */
} wst_tls_self_sign_options_t;

/**
 * Makes a key (EC, P-256) and a certificate for it that it has signed itself (ECDSA with SHA-256):
 * for servers (extendedKeyUsage), for signatures (keyUsage), no authority (basicConstraints). Key
 * and serial number are of the TLS library's random generator.
 * @param out  filled in on success; wiped on failure
 * @param why  NULL, or filled in if WST_ETLS is returned
 * @return 0; WST_EINVAL: a required member is missing or out of range, or a name is neither a DNS
 *         name nor an IP address; WST_ETLS: the TLS library failed; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_tls_self_sign(wst_tls_self_signed_t *out,
                                                const wst_tls_self_sign_options_t *options,
                                                wst_tls_error_t *why);

/**
 * Writes the pin of the first certificate in a PEM text, as wst_tls_client_options.pins takes it:
 * "sha256/" and the SHA-256 of its public key (SubjectPublicKeyInfo) in base64.
 * @param why  NULL, or filled in if WST_ETLS is returned
 * @return 0; WST_ETLS: there is no certificate, or one cannot be read; WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_tls_pin(char out[WST_TLS_PIN_MAX], const char *chain_pem,
                                          wst_tls_error_t *why);

#ifdef __cplusplus
}
#endif
#endif
