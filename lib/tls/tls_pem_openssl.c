/* SPDX-License-Identifier: MIT */
/* Reading the texts of TLS configurations (tls_pem_openssl.h). */
#include "tls_pem_openssl.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

static const char cert_begin[] = "-----BEGIN CERTIFICATE-----";
static const char cert_end[] = "-----END CERTIFICATE-----";

bool wst__tls_take_errors(int library, unsigned long *error) {
    bool no_memory = false;
    unsigned long next;
    *error = 0;
    while ((next = ERR_get_error()) != 0) {
        no_memory = no_memory || ERR_GET_REASON(next) == ERR_R_MALLOC_FAILURE;
        if (*error == 0 && (library == 0 || ERR_GET_LIB(next) == library))
            *error = next;
    }
    return no_memory;
}

int wst__tls_complain_of(wst_tls_error_t *why, const char *what) {
    unsigned long error;
    if (wst__tls_take_errors(0, &error))
        return WST_ENOMEM;
    const char *text = error != 0 ? ERR_reason_error_string(error) : NULL;
    return wst__tls_complain(why, what, text != NULL ? text : "it cannot be read");
}

/* There is no password; without a callback OpenSSL would ask for one at the terminal. */
static int no_password(char *buf, int size, int writing, void *arg) {
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

/* Reads the certificate in these bytes: 1, 0 if it is not valid, or WST_ENOMEM. */
static int add_certificate(STACK_OF(X509) * stack, const char *pem, size_t len) {
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    X509 *crt = bio != NULL ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (crt != NULL && sk_X509_push(stack, crt) > 0)
        return 1;
    X509_free(crt);
    unsigned long error;
    bool no_memory = wst__tls_take_errors(0, &error);
    return no_memory || crt != NULL || bio == NULL ? (int)WST_ENOMEM : 0;
}

int wst__tls_read_certificates(STACK_OF(X509) * *out, const char *pem, bool lenient,
                               const char *what, wst_tls_error_t *why) {
    int status = wst__tls_check_pem(pem, what, why);
    if (status != 0)
        return status;
    STACK_OF(X509) *stack = sk_X509_new_null();
    size_t bad = 0;
    status = stack != NULL ? 0 : WST_ENOMEM;
    ERR_clear_error();
    for (const char *at = pem; status >= 0 && (at = strstr(at, cert_begin)) != NULL;) {
        const char *end = strstr(at, cert_end);
        size_t len = end != NULL ? (size_t)(end - at) + strlen(cert_end) : strlen(at);
        status = add_certificate(stack, at, len);
        bad += status == 0;
        at += len;
    }
    if (status >= 0 && (sk_X509_num(stack) == 0 || (bad > 0 && !lenient)))
        status = wst__tls_complain_unreadable(why, what, bad);
    if (status < 0) {
        wst__tls_free_certificates(stack);
        return status;
    }
    *out = stack;
    return 0;
}

void wst__tls_free_certificates(STACK_OF(X509) * stack) {
    sk_X509_pop_free(stack, X509_free);
}

int wst__tls_read_key(EVP_PKEY **out, const char *pem, const char *what, wst_tls_error_t *why) {
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    if (key == NULL)
        return wst__tls_complain_of(why, what);
    ERR_clear_error();
    if (!EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "EC")) {
        EVP_PKEY_free(key);
        return wst__tls_complain(why, what, "neither RSA nor EC");
    }
    *out = key;
    return 0;
}

int wst__tls_x509_of(uint8_t **der, wst__tls_x509_t *out, const X509 *crt) {
    *der = NULL;
    int len = i2d_X509(crt, der);
    if (len < 0) {
        ERR_clear_error();
        return WST_ENOMEM;
    }
    if (wst__tls_x509_read(out, *der, (size_t)len))
        return 0;
    OPENSSL_free(*der);
    *der = NULL;
    return WST_ETLS;
}
