/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_PEM_OPENSSL_H
#define WST_LIB_TLS_PEM_OPENSSL_H
/* OpenSSL: reads the texts of TLS configurations and reports their faults. */
#include "tls_options.h"
#include "tls_x509.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* Takes all errors off OpenSSL's queue: the reason of the first one of `library` (ERR_LIB_SSL, ...;
 * 0: of any) in `*error`, 0 if there is none. Returns whether memory ran out. */
bool wst__tls_take_errors(int library, unsigned long *error);

/* As wst__tls_complain with OpenSSL's text for the errors in its queue; or WST_ENOMEM. */
int wst__tls_complain_of(wst_tls_error_t *why, const char *what);

/*
 * Reads certificates, called `what` in errors. All must be valid, or with `lenient` at least one.
 * 0 and a stack to free with wst__tls_free_certificates, WST_ETLS or WST_ENOMEM.
 */
int wst__tls_read_certificates(STACK_OF(X509) * *out, const char *pem, bool lenient,
                               const char *what, wst_tls_error_t *why);
void wst__tls_free_certificates(STACK_OF(X509) * stack); /* NULL is allowed */

/* Reads a private key, RSA or EC: 0, WST_ETLS or WST_ENOMEM. */
int wst__tls_read_key(EVP_PKEY **out, const char *pem, const char *what, wst_tls_error_t *why);

/* The certificate's DER, to be freed with OPENSSL_free, and what it says. 0, WST_ENOMEM, or
 * WST_ETLS if wst__tls_x509_read does not take it. */
int wst__tls_x509_of(uint8_t **der, wst__tls_x509_t *out, const X509 *crt);

#endif
