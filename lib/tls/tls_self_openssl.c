/* SPDX-License-Identifier: MIT */
/* Self-signed certificates and pins by OpenSSL 3 (tls_self.h). */
#include "tls_self.h"
#include "tls_cert.h"
#include "tls_pem_openssl.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <wstunnel/error.h>

/* A random number, positive and without leading zeroes (RFC 5280 section 4.1.2.2). */
static bool set_serial(X509 *crt) {
    uint8_t serial[WST__TLS_SERIAL_LEN];
    if (RAND_bytes(serial, sizeof(serial)) != 1)
        return false;
    serial[0] = (serial[0] & 0x3f) | 0x40;
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    bool good = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(crt)) != NULL;
    BN_free(number);
    return good;
}

static bool set_validity(X509 *crt, const wst__tls_self_t *self) {
    return ASN1_TIME_set(X509_getm_notBefore(crt), (time_t)self->not_before) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(crt), (time_t)self->not_after) != NULL;
}

/* Subject and issuer are the same. */
static bool set_subject(X509 *crt, const wst__tls_self_t *self) {
    X509_NAME *name = X509_get_subject_name(crt);
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      (const unsigned char *)self->common_name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(crt, name) == 1;
}

/* Adds an extension whose value is given in DER. */
static bool add_der(X509 *crt, int kind, const uint8_t *der, size_t len) {
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    if (value != NULL && ASN1_OCTET_STRING_set(value, der, (int)len) == 1)
        extension = X509_EXTENSION_create_by_NID(NULL, kind, 0, value);
    bool good = extension != NULL && X509_add_ext(crt, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    return good;
}

/* Adds an extension whose value is given in OpenSSL's words. */
static bool add_text(X509 *crt, int kind, const char *text) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, crt, crt, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, text);
    bool good = extension != NULL && X509_add_ext(crt, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

static bool add_extensions(X509 *crt, const wst__tls_self_t *self) {
    return add_der(crt, NID_subject_alt_name, self->san, self->san_len) &&
           add_text(crt, NID_basic_constraints, "critical,CA:FALSE") &&
           add_text(crt, NID_key_usage, "critical,digitalSignature") &&
           add_der(crt, NID_ext_key_usage, wst__tls_self_purpose, sizeof(wst__tls_self_purpose)) &&
           add_text(crt, NID_subject_key_identifier, "hash");
}

static bool make_certificate(X509 *crt, EVP_PKEY *key, const wst__tls_self_t *self) {
    return X509_set_version(crt, X509_VERSION_3) == 1 && set_serial(crt) &&
           set_validity(crt, self) && set_subject(crt, self) && X509_set_pubkey(crt, key) == 1 &&
           add_extensions(crt, self) && X509_sign(crt, key, EVP_sha256()) > 0;
}

/* Moves what was written to a terminated text. */
static bool take_text(char *out, size_t size, BIO *bio) {
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    if (len <= 0 || (size_t)len >= size)
        return false;
    memcpy(out, data, (size_t)len);
    out[len] = '\0';
    return true;
}

static bool write_texts(wst_tls_self_signed_t *out, X509 *crt, EVP_PKEY *key) {
    BIO *public = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_secmem());
    bool good = public != NULL && secret != NULL && PEM_write_bio_X509(public, crt) == 1 &&
                PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1 &&
                take_text(out->certificate_pem, sizeof(out->certificate_pem), public) &&
                take_text(out->key_pem, sizeof(out->key_pem), secret);
    BIO_free(public);
    BIO_free(secret);
    return good;
}

int wst__tls_engine_self_sign(wst_tls_self_signed_t *out, const wst__tls_self_t *self,
                              wst_tls_error_t *why) {
    ERR_clear_error();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *crt = X509_new();
    bool good = key != NULL && crt != NULL && make_certificate(crt, key, self) &&
                write_texts(out, crt, key);
    X509_free(crt);
    EVP_PKEY_free(key);
    int status = good ? 0 : wst__tls_complain_of(why, "self-signed certificate");
    ERR_clear_error();
    return status;
}

int wst__tls_engine_pin(char out[WST_TLS_PIN_MAX], const char *chain_pem, wst_tls_error_t *why) {
    STACK_OF(X509) *chain = NULL;
    uint8_t *der = NULL;
    wst__tls_x509_t is;
    int status = wst__tls_read_certificates(&chain, chain_pem, false, "certificate", why);
    if (status != 0)
        return status;
    status = wst__tls_x509_of(&der, &is, sk_X509_value(chain, 0));
    if (status == WST_ETLS)
        status = wst__tls_complain_unreadable(why, "certificate", 1);
    if (status == 0 && !wst__tls_pin_text(out, &is))
        status = WST_ENOMEM;
    OPENSSL_free(der);
    wst__tls_free_certificates(chain);
    return status;
}
