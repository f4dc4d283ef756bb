/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_SELF_H
#define WST_LIB_TLS_SELF_H
/* Self-signed certificates, and pins of certificates in PEM. */
#include <stdint.h>
#include <wstunnel/tls_certificate.h>

enum {
    WST__TLS_COMMON_NAME_MAX = 64, /* RFC 5280 appendix A.1: ub-common-name */
    WST__TLS_SELF_SAN_MAX = WST_TLS_SELF_NAMES_MAX * (255 + 3) + 4,
    WST__TLS_SERIAL_LEN = 16
};

/* The facts that a certificate states of itself. */
typedef struct wst__tls_self {
    char common_name[WST__TLS_COMMON_NAME_MAX + 1];
    uint8_t san[WST__TLS_SELF_SAN_MAX]; /* subjectAltName, DER */
    size_t san_len;
    int64_t not_before, not_after; /* seconds since 1970 */
} wst__tls_self_t;

/* Checks names (see wst_tls_self_sign_options.names) and takes them over. False: not valid. */
bool wst__tls_self_names(wst__tls_self_t *self, const char *const *names);

/* id-kp-serverAuth as the value of extendedKeyUsage, DER. */
extern const uint8_t wst__tls_self_purpose[12];

/* -- The engine's files ---------------------------------------------------------------------- */

/* As wst_tls_self_sign; leaves the wiping to the caller. */
int wst__tls_engine_self_sign(wst_tls_self_signed_t *out, const wst__tls_self_t *self,
                              wst_tls_error_t *why);

/* As wst_tls_pin. */
int wst__tls_engine_pin(char out[WST_TLS_PIN_MAX], const char *chain_pem, wst_tls_error_t *why);

#endif
