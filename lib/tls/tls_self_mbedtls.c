/* SPDX-License-Identifier: MIT */
/* Self-signed certificates and pins by mbedTLS 2.28 or 3.6 (tls_self.h). */
#include "tls_self.h"
#include "tls_cert.h"
#include "tls_mbedtls.h"

#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/x509_csr.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#if MBEDTLS_VERSION_MAJOR >= 3
#include <psa/crypto.h>
#endif

typedef struct maker {
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_pk_context key;
    mbedtls_x509write_cert crt;
} maker_t;

/* 0, or an error of mbedTLS. */
static int maker_open(maker_t *m) {
    mbedtls_entropy_init(&m->entropy);
    mbedtls_ctr_drbg_init(&m->random);
    mbedtls_pk_init(&m->key);
    mbedtls_x509write_crt_init(&m->crt);
#if MBEDTLS_VERSION_MAJOR >= 3
    psa_status_t psa = psa_crypto_init(); /* signatures may be PSA's */
    if (psa != PSA_SUCCESS)
        return psa == PSA_ERROR_INSUFFICIENT_MEMORY ? MBEDTLS_ERR_PK_ALLOC_FAILED
                                                    : MBEDTLS_ERR_PK_BAD_INPUT_DATA;
#endif
    return mbedtls_ctr_drbg_seed(&m->random, mbedtls_entropy_func, &m->entropy, NULL, 0);
}

static void maker_close(maker_t *m) {
    mbedtls_x509write_crt_free(&m->crt);
    mbedtls_pk_free(&m->key);
    mbedtls_ctr_drbg_free(&m->random);
    mbedtls_entropy_free(&m->entropy);
}

static int make_key(maker_t *m) {
    int status = mbedtls_pk_setup(&m->key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (status == 0)
        status = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(m->key),
                                     mbedtls_ctr_drbg_random, &m->random);
    return status;
}

/* A random number, positive and without leading zeroes (RFC 5280 section 4.1.2.2). */
static int set_serial(maker_t *m) {
    uint8_t serial[WST__TLS_SERIAL_LEN];
    int status = mbedtls_ctr_drbg_random(&m->random, serial, sizeof(serial));
    serial[0] = (serial[0] & 0x3f) | 0x40;
    if (status != 0)
        return status;
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_x509write_crt_set_serial_raw(&m->crt, serial, sizeof(serial));
#else
    mbedtls_mpi number;
    mbedtls_mpi_init(&number);
    status = mbedtls_mpi_read_binary(&number, serial, sizeof(serial));
    if (status == 0)
        status = mbedtls_x509write_crt_set_serial(&m->crt, &number);
    mbedtls_mpi_free(&number);
    return status;
#endif
}

static int write_time(char out[16], int64_t seconds) {
    time_t when = (time_t)seconds;
    struct tm utc;
    return gmtime_r(&when, &utc) != NULL && strftime(out, 16, "%Y%m%d%H%M%S", &utc) == 14
               ? 0
               : MBEDTLS_ERR_X509_INVALID_DATE;
}

static int set_validity(maker_t *m, const wst__tls_self_t *self) {
    char from[16], to[16];
    int status = write_time(from, self->not_before);
    if (status == 0)
        status = write_time(to, self->not_after);
    return status != 0 ? status : mbedtls_x509write_crt_set_validity(&m->crt, from, to);
}

/* Subject and issuer are the same. */
static int set_subject(maker_t *m, const wst__tls_self_t *self) {
    char name[WST__TLS_COMMON_NAME_MAX + 4];
    snprintf(name, sizeof(name), "CN=%s", self->common_name);
    int status = mbedtls_x509write_crt_set_subject_name(&m->crt, name);
    return status != 0 ? status : mbedtls_x509write_crt_set_issuer_name(&m->crt, name);
}

static int set_extensions(maker_t *m, const wst__tls_self_t *self) {
    int status = mbedtls_x509write_crt_set_extension(&m->crt, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                                     MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME),
                                                     0, self->san, self->san_len);
    if (status == 0)
        status = mbedtls_x509write_crt_set_basic_constraints(&m->crt, 0, -1);
    if (status == 0)
        status = mbedtls_x509write_crt_set_key_usage(&m->crt, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    if (status == 0)
        status = mbedtls_x509write_crt_set_extension(
            &m->crt, MBEDTLS_OID_EXTENDED_KEY_USAGE,
            MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0, wst__tls_self_purpose,
            sizeof(wst__tls_self_purpose));
    return status != 0 ? status : mbedtls_x509write_crt_set_subject_key_identifier(&m->crt);
}

static int make_certificate(maker_t *m, const wst__tls_self_t *self) {
    mbedtls_x509write_crt_set_version(&m->crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&m->crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&m->crt, &m->key);
    mbedtls_x509write_crt_set_issuer_key(&m->crt, &m->key);
    int status = set_serial(m);
    if (status == 0)
        status = set_validity(m, self);
    if (status == 0)
        status = set_subject(m, self);
    return status != 0 ? status : set_extensions(m, self);
}

int wst__tls_engine_self_sign(wst_tls_self_signed_t *out, const wst__tls_self_t *self,
                              wst_tls_error_t *why) {
    maker_t m;
    int status = maker_open(&m);
    if (status == 0)
        status = make_key(&m);
    if (status == 0)
        status = make_certificate(&m, self);
    if (status == 0)
        status = mbedtls_x509write_crt_pem(&m.crt, (uint8_t *)out->certificate_pem,
                                           sizeof(out->certificate_pem), mbedtls_ctr_drbg_random,
                                           &m.random);
    if (status == 0)
        status = mbedtls_pk_write_key_pem(&m.key, (uint8_t *)out->key_pem, sizeof(out->key_pem));
    maker_close(&m);
    if (wst__tls_mbedtls_no_memory(status))
        return WST_ENOMEM;
    return status != 0 ? wst__tls_complain_of(why, "self-signed certificate", status) : 0;
}

int wst__tls_engine_pin(char out[WST_TLS_PIN_MAX], const char *chain_pem, wst_tls_error_t *why) {
    mbedtls_x509_crt chain;
    wst__tls_x509_t is;
    mbedtls_x509_crt_init(&chain);
    int status = wst__tls_read_certificates(&chain, chain_pem, false, "certificate", why);
    if (status == 0 && !wst__tls_x509_read(&is, chain.raw.p, chain.raw.len))
        status = wst__tls_complain_unreadable(why, "certificate", 1);
    if (status == 0 && !wst__tls_pin_text(out, &is))
        status = WST_ENOMEM;
    mbedtls_x509_crt_free(&chain);
    return status;
}
