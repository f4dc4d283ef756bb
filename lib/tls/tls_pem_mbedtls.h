/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_PEM_MBEDTLS_H
#define WST_LIB_TLS_PEM_MBEDTLS_H
/* mbedTLS: reads the texts of TLS configurations and reports their faults. */
#include "tls_options.h"

#include <mbedtls/x509_crt.h>
#include <wstunnel/tls_types.h>

/* Whether an error of mbedTLS means that memory ran out. */
bool wst__tls_is_no_memory(int mbedtls_error);

/* As wst__tls_complain with mbedTLS's text for its error; or WST_ENOMEM. */
int wst__tls_complain_of(wst_tls_error_t *why, const char *what, int mbedtls_error);

/*
 * Reads certificates, called `what` in errors. All must be valid, or with `lenient` at least one.
 * 0, WST_ETLS or WST_ENOMEM.
 */
int wst__tls_read_certificates(mbedtls_x509_crt *chain, const char *pem, bool lenient,
                               const char *what, wst_tls_error_t *why);

#endif
