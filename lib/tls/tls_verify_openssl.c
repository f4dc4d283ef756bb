/* SPDX-License-Identifier: MIT */
/*
 * Verifying chains (tls_verify_openssl.h). OpenSSL builds the chain, and checks signatures, dates,
 * and that issuers may issue; all its faults are collected, so that the text names them all. Key
 * sizes, curves and hashes have a rule of their own here, the same as with mbedTLS.
 */
#include "tls_verify_openssl.h"
#include "tls_chain.h"
#include "tls_pem_openssl.h"

#include <openssl/crypto.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <wstunnel/error.h>

enum { INTERMEDIATES_MAX = 8, CHAIN_MAX = INTERMEDIATES_MAX + 2, RSA_BITS_MIN = 2048 };

typedef struct chain {
    unsigned faults[CHAIN_MAX]; /* by depth */
    const char *other[CHAIN_MAX];
} chain_t;

static void add_fault(chain_t *chain, int depth, unsigned fault) {
    chain->faults[depth < 0 ? 0 : depth < CHAIN_MAX ? depth : CHAIN_MAX - 1] |= fault;
}

/* Notes a fault, and goes on. */
static int on_checked(int good, X509_STORE_CTX *ctx) {
    chain_t *chain = X509_STORE_CTX_get_ex_data(ctx, 0);
    int error = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);
    if (good)
        return 1;
    switch (error) {
    case X509_V_ERR_OUT_OF_MEM:
        return 0;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        add_fault(chain, depth, WST__TLS_EXPIRED);
        return 1;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        add_fault(chain, depth, WST__TLS_TOO_EARLY);
        return 1;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REJECTED:
    case X509_V_ERR_SUBJECT_ISSUER_MISMATCH:
    case X509_V_ERR_AKID_SKID_MISMATCH:
    case X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH:
        add_fault(chain, depth, WST__TLS_NOT_TRUSTED);
        return 1;
    case X509_V_ERR_INVALID_CA: /* of the issuer, which cannot have issued the one below */
    case X509_V_ERR_INVALID_NON_CA:
    case X509_V_ERR_PATH_LENGTH_EXCEEDED:
    case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
        add_fault(chain, depth - 1, WST__TLS_NOT_TRUSTED);
        return 1;
    default:
        add_fault(chain, depth, WST__TLS_OTHER_FAULT);
        if (depth >= 0 && depth < CHAIN_MAX)
            chain->other[depth] = X509_verify_cert_error_string(error);
        return 1;
    }
}

static bool is_key_strong(X509 *crt) {
    static const int curves[] = {NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1};
    EVP_PKEY *key = X509_get0_pubkey(crt);
    char name[64];
    if (key == NULL)
        return false;
    if (EVP_PKEY_is_a(key, "RSA"))
        return EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
    if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, name, sizeof(name), NULL) != 1)
        return false;
    for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
        if (OBJ_txt2nid(name) == curves[i])
            return true;
    return false;
}

static bool is_signature_strong(X509 *crt) {
    int hash;
    return X509_get_signature_info(crt, &hash, NULL, NULL, NULL) == 1 &&
           (hash == NID_sha256 || hash == NID_sha384 || hash == NID_sha512);
}

/* A trust anchor's own signature is not checked, and no certificate but a self-issued one is an
 * anchor for itself. */
static void check_strength(chain_t *chain, STACK_OF(X509) * certs) {
    int count = sk_X509_num(certs);
    for (int i = 0; i < count; i++) {
        X509 *crt = sk_X509_value(certs, i);
        if (!is_key_strong(crt))
            add_fault(chain, i - 1, WST__TLS_WEAK_KEY);
        if (i + 1 < count && !is_signature_strong(crt))
            add_fault(chain, i, WST__TLS_WEAK_SIGNATURE);
    }
    X509 *leaf = sk_X509_value(certs, 0);
    if (count == 1 && X509_NAME_cmp(X509_get_subject_name(leaf), X509_get_issuer_name(leaf)) != 0)
        add_fault(chain, 0, WST__TLS_NOT_TRUSTED);
}

/* The error that OpenSSL makes the fitting alert of. */
static int error_for_alert(unsigned faults) {
    static const struct {
        unsigned faults;
        int error;
    } errors[] = {
        {WST__TLS_NOT_PINNED, X509_V_ERR_APPLICATION_VERIFICATION},
        {WST__TLS_OTHER_NAME, X509_V_ERR_HOSTNAME_MISMATCH},
        {WST__TLS_BAD_PURPOSE | WST__TLS_BAD_USAGE, X509_V_ERR_INVALID_PURPOSE},
        {WST__TLS_EXPIRED, X509_V_ERR_CERT_HAS_EXPIRED},
        {WST__TLS_NOT_TRUSTED, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY},
        {WST__TLS_TOO_EARLY, X509_V_ERR_CERT_NOT_YET_VALID},
        {WST__TLS_WEAK_KEY, X509_V_ERR_EE_KEY_TOO_SMALL},
        {WST__TLS_WEAK_SIGNATURE, X509_V_ERR_CA_MD_TOO_WEAK},
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if ((faults & errors[i].faults) != 0)
            return errors[i].error;
    return X509_V_ERR_CERT_REJECTED;
}

/* Judges one certificate of the chain. */
static int judge_one(X509 *crt, int depth, const chain_t *chain, const wst_allocator_t *allocator,
                     const wst__tls_expect_t *expect, wst__tls_found_t *found,
                     wst__tls_cert_t **peer) {
    uint8_t *der;
    wst__tls_x509_t is;
    int status = wst__tls_x509_of(&der, &is, crt);
    if (status == WST_ENOMEM)
        return X509_V_ERR_OUT_OF_MEM;
    if (status != 0) {
        snprintf(found->text, sizeof(found->text), "%s", WST__TLS_UNREADABLE);
        found->bad = true;
        return X509_V_ERR_CERT_REJECTED;
    }
    int at = depth < CHAIN_MAX ? depth : CHAIN_MAX - 1;
    unsigned faults =
        wst__tls_judge(expect, found, &is, depth, chain->faults[at], chain->other[at]);
    int error = faults != 0 ? error_for_alert(faults) : X509_V_OK;
    if (depth == 0) {
        *peer = wst__tls_cert_new(allocator, &is);
        if (*peer == NULL)
            error = X509_V_ERR_OUT_OF_MEM;
    }
    OPENSSL_free(der);
    return error;
}

/* Adds the certificates that the peer sent, in its order. False: no memory. */
static bool add_sent(wst__tls_chain_t *chain, STACK_OF(X509) * sent) {
    int count = sent != NULL ? sk_X509_num(sent) : 0;
    bool added = true;
    for (int i = 0; i < count && added; i++) {
        uint8_t *der = NULL;
        wst__tls_x509_t is;
        int status = wst__tls_x509_of(&der, &is, sk_X509_value(sent, i));
        if (status == WST_ENOMEM)
            return false;
        added = wst__tls_chain_sent(chain, status == 0 ? &is : NULL);
        if (status == 0)
            OPENSSL_free(der);
    }
    return added;
}

int wst__tls_verify(X509_STORE_CTX *ctx, const wst_allocator_t *allocator,
                    const wst__tls_expect_t *expect, wst__tls_found_t *found,
                    wst__tls_cert_t **peer) {
    chain_t chain = {.faults = {0}};
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    /* The purpose is judged by tls_cert.h, strength below. Issuers may be trusted by themselves. */
    if (X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY) != 1 ||
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1 ||
        X509_STORE_CTX_set_ex_data(ctx, 0, &chain) != 1)
        return X509_V_ERR_OUT_OF_MEM;
    X509_VERIFY_PARAM_set_auth_level(param, 0);
    X509_VERIFY_PARAM_set_depth(param, INTERMEDIATES_MAX);
    X509_STORE_CTX_set_verify_cb(ctx, on_checked);
    int verified = X509_verify_cert(ctx), error = X509_STORE_CTX_get_error(ctx);
    (void)X509_STORE_CTX_set_ex_data(ctx, 0, NULL);
    STACK_OF(X509) *certs = X509_STORE_CTX_get0_chain(ctx);
    int count = certs != NULL ? sk_X509_num(certs) : 0;
    if (verified < 0 || (verified == 0 && error == X509_V_ERR_OUT_OF_MEM))
        return X509_V_ERR_OUT_OF_MEM;
    if (verified != 1 || count == 0 || count > CHAIN_MAX)
        add_fault(&chain, 0, WST__TLS_OTHER_FAULT);
    if (count > 0)
        check_strength(&chain, certs);
    int result = X509_V_OK;
    for (int depth = count - 1; depth >= 0; depth--) {
        int status =
            judge_one(sk_X509_value(certs, depth), depth, &chain, allocator, expect, found, peer);
        if (status == X509_V_ERR_OUT_OF_MEM)
            return status;
        if (status != X509_V_OK)
            result = status;
    }
    if (found->chain != NULL && !add_sent(found->chain, X509_STORE_CTX_get0_untrusted(ctx)))
        return X509_V_ERR_OUT_OF_MEM;
    if (count == 0) {
        (void)wst__tls_judge(expect, found, NULL, 0, 0, NULL);
        result = X509_V_ERR_CERT_REJECTED;
    }
    return found->bad && result == X509_V_OK ? X509_V_ERR_CERT_REJECTED : result;
}
