/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_VERIFY_OPENSSL_H
#define WST_LIB_TLS_VERIFY_OPENSSL_H
/* OpenSSL: verifies a peer's chain, names the faults, and leaves the judgement to tls_cert.h. */
#include "tls_cert.h"

#include <openssl/x509_vfy.h>

/*
 * Verifies the chain of a context that is set up. Returns X509_V_OK, or the error that stands for
 * the alert to send; X509_V_ERR_OUT_OF_MEM if memory ran out. `*peer` (NULL before) becomes the
 * peer's certificate, unless that cannot be read.
 */
int wst__tls_verify(X509_STORE_CTX *ctx, const wst_allocator_t *allocator,
                    const wst__tls_expect_t *expect, wst__tls_found_t *found,
                    wst__tls_cert_t **peer);

#endif
