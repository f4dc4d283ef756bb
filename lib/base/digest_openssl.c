/* SPDX-License-Identifier: MIT */
/* Hashes and constant-time comparison (digest.h) by OpenSSL 3. */
#include "digest.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <wstunnel/error.h>

/* OpenSSL may be configured without MD5 or SHA-1, and allocates its contexts. */
static int hash_failed(void) {
    unsigned long error = ERR_get_error();
    ERR_clear_error();
    return error != 0 && ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ? (int)WST_ENOMEM
                                                                       : (int)WST_EINTERNAL;
}

int wst__sha1(uint8_t digest[20], const void *data, size_t len) {
    return EVP_Digest(data, len, digest, NULL, EVP_sha1(), NULL) == 1 ? 0 : hash_failed();
}

int wst__hash(wst__hash_t hash, uint8_t *out, const wst_str_t *parts, size_t count) {
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good =
        md != NULL && EVP_DigestInit_ex(md, hash == WST__MD5 ? EVP_md5() : EVP_sha256(), NULL) == 1;
    for (size_t i = 0; i < count && good; i++)
        good = EVP_DigestUpdate(md, parts[i].ptr, parts[i].len) == 1;
    good = good && EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return good ? 0 : hash_failed();
}

int wst__hmac(uint8_t out[32], const uint8_t *key, size_t key_len, const void *data, size_t len) {
    static const uint8_t empty[1];
    if (key_len > INT_MAX)
        return WST_EINVAL;
    unsigned out_len = 32;
    return HMAC(EVP_sha256(), key_len > 0 ? key : empty, (int)key_len, data, len, out, &out_len) !=
                   NULL
               ? 0
               : hash_failed();
}

bool wst__equal_constant_time(const void *a, size_t a_len, const void *b, size_t b_len) {
    return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}
