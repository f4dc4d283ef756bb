/* SPDX-License-Identifier: MIT */
/* Certificates for tests, by mbedTLS's writer, with the extensions that 2.28 cannot make by hand.
 */
#include "tls_certs.h"
#include "support.h"

#include <arpa/inet.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/oid.h>
#include <mbedtls/rsa.h>
#include <mbedtls/version.h>
#include <mbedtls/x509_crt.h>
#include <stdio.h>
#include <time.h>

int tls_random(void *arg, unsigned char *out, size_t len) {
    static mbedtls_entropy_context entropy;
    static mbedtls_ctr_drbg_context random;
    static bool seeded;
    (void)arg;
    if (!seeded) {
        mbedtls_entropy_init(&entropy);
        mbedtls_ctr_drbg_init(&random);
        assert_int_equal(mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0),
                         0);
        seeded = true;
    }
    return mbedtls_ctr_drbg_random(&random, out, len);
}

static void format_time(char *out, size_t size, const char *format, int days) {
    time_t at = time(NULL) + (time_t)days * 24 * 3600;
    struct tm tm;
    assert_non_null(gmtime_r(&at, &tm));
    assert_true(strftime(out, size, format, &tm) > 0);
}

void tls_date(char out[16], int days) {
    format_time(out, 16, "%Y-%m-%d", days);
}

/* DER ---------------------------------------------------------------------------------------- */

typedef struct der {
    uint8_t bytes[1024];
    size_t len;
} der_t;

static void der_add(der_t *der, uint8_t tag, const void *value, size_t len) {
    assert_true(len < 256 && der->len + len + 3 <= sizeof(der->bytes));
    der->bytes[der->len++] = tag;
    if (len >= 128)
        der->bytes[der->len++] = 0x81;
    der->bytes[der->len++] = (uint8_t)len;
    memcpy(der->bytes + der->len, value, len);
    der->len += len;
}

static void add_extension(mbedtls_x509write_cert *crt, const char *oid, size_t oid_len,
                          const der_t *inner) {
    der_t sequence = {.len = 0};
    der_add(&sequence, 0x30, inner->bytes, inner->len);
    assert_int_equal(
        mbedtls_x509write_crt_set_extension(crt, oid, oid_len, 0, sequence.bytes, sequence.len), 0);
}

static void add_name(der_t *der, const char *name) {
    static const struct {
        const char *kind;
        uint8_t tag;
    } kinds[] = {{"email:", 0x81}, {"dns:", 0x82}, {"uri:", 0x86}};
    uint8_t ip[16];
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        size_t len = strlen(kinds[i].kind);
        if (strncmp(name, kinds[i].kind, len) == 0) {
            der_add(der, kinds[i].tag, name + len, strlen(name + len));
            return;
        }
    }
    assert_memory_equal(name, "ip:", 3);
    if (inet_pton(AF_INET, name + 3, ip) == 1)
        der_add(der, 0x87, ip, 4);
    else if (inet_pton(AF_INET6, name + 3, ip) == 1)
        der_add(der, 0x87, ip, 16);
    else
        fail_msg("no address: %s", name);
}

static void add_names(mbedtls_x509write_cert *crt, const char *names) {
    char copy[512], *state = NULL;
    der_t der = {.len = 0};
    snprintf(copy, sizeof(copy), "%s", names);
    for (char *name = strtok_r(copy, " ", &state); name != NULL; name = strtok_r(NULL, " ", &state))
        add_name(&der, name);
    add_extension(crt, MBEDTLS_OID_SUBJECT_ALT_NAME, MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME),
                  &der);
}

static void add_purpose(mbedtls_x509write_cert *crt, bool servers) {
    der_t der = {.len = 0};
    der_add(&der, 0x06, servers ? MBEDTLS_OID_SERVER_AUTH : MBEDTLS_OID_CLIENT_AUTH,
            MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH));
    add_extension(crt, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                  MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), &der);
}

/* Certificates ------------------------------------------------------------------------------- */

static void make_key(mbedtls_pk_context *pk, unsigned rsa_bits, bool weak_curve) {
    mbedtls_pk_init(pk);
    mbedtls_pk_type_t type = rsa_bits > 0 ? MBEDTLS_PK_RSA : MBEDTLS_PK_ECKEY;
    assert_int_equal(mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(type)), 0);
    if (rsa_bits > 0)
        assert_int_equal(
            mbedtls_rsa_gen_key(mbedtls_pk_rsa(*pk), tls_random, NULL, rsa_bits, 65537), 0);
    else
        assert_int_equal(
            mbedtls_ecp_gen_key(weak_curve ? MBEDTLS_ECP_DP_SECP192R1 : MBEDTLS_ECP_DP_SECP256R1,
                                mbedtls_pk_ec(*pk), tls_random, NULL),
            0);
}

static void set_serial(mbedtls_x509write_cert *crt) {
    static uint8_t last;
    uint8_t serial[2] = {1, ++last};
#if MBEDTLS_VERSION_MAJOR >= 3
    assert_int_equal(mbedtls_x509write_crt_set_serial_raw(crt, serial, sizeof(serial)), 0);
#else
    mbedtls_mpi number;
    mbedtls_mpi_init(&number);
    assert_int_equal(mbedtls_mpi_read_binary(&number, serial, sizeof(serial)), 0);
    assert_int_equal(mbedtls_x509write_crt_set_serial(crt, &number), 0);
    mbedtls_mpi_free(&number);
#endif
}

static void set_validity(mbedtls_x509write_cert *crt, const tls_spec_t *spec) {
    bool given = spec->from_days != 0 || spec->to_days != 0;
    char from[16], to[16];
    format_time(from, sizeof(from), "%Y%m%d%H%M%S", given ? spec->from_days : -1);
    format_time(to, sizeof(to), "%Y%m%d%H%M%S", given ? spec->to_days : 30);
    assert_int_equal(mbedtls_x509write_crt_set_validity(crt, from, to), 0);
}

void tls_make(tls_made_t *made, const tls_spec_t *spec, tls_made_t *issuer) {
    memset(made, 0, sizeof(*made));
    made->root = issuer == NULL;
    snprintf(made->subject, sizeof(made->subject), "%s", spec->subject);
    make_key(&made->pk, spec->rsa_bits, spec->weak_curve);
    mbedtls_x509write_cert crt;
    mbedtls_x509write_crt_init(&crt);
    mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&crt, spec->sha1 ? MBEDTLS_MD_SHA1 : MBEDTLS_MD_SHA256);
    set_serial(&crt);
    set_validity(&crt, spec);
    const char *by = issuer != NULL ? issuer->subject : spec->subject;
    assert_int_equal(mbedtls_x509write_crt_set_subject_name(&crt, spec->subject), 0);
    assert_int_equal(mbedtls_x509write_crt_set_issuer_name(&crt, by), 0);
    mbedtls_x509write_crt_set_subject_key(&crt, &made->pk);
    mbedtls_x509write_crt_set_issuer_key(&crt, issuer != NULL ? &issuer->pk : &made->pk);
    assert_int_equal(mbedtls_x509write_crt_set_basic_constraints(&crt, spec->ca, -1), 0);
    if (spec->names != NULL)
        add_names(&crt, spec->names);
    if (spec->only_servers || spec->only_clients)
        add_purpose(&crt, spec->only_servers);
    assert_int_equal(
        mbedtls_x509write_crt_pem(&crt, (uint8_t *)made->own, sizeof(made->own), tls_random, NULL),
        0);
    mbedtls_x509write_crt_free(&crt);
    strcpy(made->chain, made->own);
    if (issuer != NULL && !issuer->root) {
        assert_true(strlen(made->own) + strlen(issuer->chain) < sizeof(made->chain));
        strcat(made->chain, issuer->chain);
    }
    assert_int_equal(mbedtls_pk_write_key_pem(&made->pk, (uint8_t *)made->key, sizeof(made->key)),
                     0);
}

void tls_made_free(tls_made_t *made) {
    mbedtls_pk_free(&made->pk);
}

size_t tls_der(const tls_made_t *made, uint8_t out[4096]) {
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    assert_int_equal(
        mbedtls_x509_crt_parse(&crt, (const uint8_t *)made->own, strlen(made->own) + 1), 0);
    size_t len = crt.raw.len;
    assert_true(len <= 4096);
    memcpy(out, crt.raw.p, len);
    mbedtls_x509_crt_free(&crt);
    return len;
}

wst_tls_identity_t tls_identity(const tls_made_t *made) {
    return (wst_tls_identity_t){sizeof(wst_tls_identity_t), made->chain, made->key};
}
