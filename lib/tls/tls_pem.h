/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_PEM_H
#define WST_LIB_TLS_PEM_H
/* Reads the texts of TLS configurations and reports their faults. */
#include <mbedtls/x509_crt.h>
#include <wstunnel/tls_types.h>

enum { WST__TLS_PINS_MAX = 16 };

/* Whether an error of mbedTLS means that memory ran out. */
bool wst__tls_is_no_memory(int mbedtls_error);

/* "what: text", cut; `why` may be NULL. WST_ETLS. */
int wst__tls_complain(wst_tls_error_t *why, const char *what, const char *text);

/* The same with mbedTLS's text for its error; or WST_ENOMEM. */
int wst__tls_complain_of(wst_tls_error_t *why, const char *what, int mbedtls_error);

/*
 * Reads certificates, called `what` in errors. All must be valid, or with `lenient` at least one.
 * 0, WST_ETLS or WST_ENOMEM.
 */
int wst__tls_read_certificates(mbedtls_x509_crt *chain, const char *pem, bool lenient,
                               const char *what, wst_tls_error_t *why);

/* Reads pins; NULL: none. 0 or WST_ETLS. */
int wst__tls_read_pins(uint8_t digests[WST__TLS_PINS_MAX][32], size_t *count,
                       const char *const *pins, wst_tls_error_t *why);

#endif
