/* SPDX-License-Identifier: MIT */
/* Hashes and constant-time comparison (digest.h) by mbedTLS 2.28 or 3. */
#include "digest.h"

#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>
#include <mbedtls/sha1.h>
#include <mbedtls/version.h>
#include <wstunnel/error.h>

int wst__sha1(uint8_t digest[20], const void *data, size_t len) {
#if MBEDTLS_VERSION_MAJOR >= 3
    return mbedtls_sha1(data, len, digest) == 0 ? 0 : WST_EINTERNAL;
#else
    return mbedtls_sha1_ret(data, len, digest) == 0 ? 0 : WST_EINTERNAL;
#endif
}

static const mbedtls_md_info_t *info_of(wst__hash_t hash) {
    return mbedtls_md_info_from_type(hash == WST__MD5 ? MBEDTLS_MD_MD5 : MBEDTLS_MD_SHA256);
}

/* mbedTLS may be built without MD5, and allocates its hash contexts. */
static int error_of(int status) {
    return status == 0 ? 0 : status == MBEDTLS_ERR_MD_ALLOC_FAILED ? WST_ENOMEM : WST_EINTERNAL;
}

int wst__hash(wst__hash_t hash, uint8_t *out, const wst_str_t *parts, size_t count) {
    mbedtls_md_context_t md;
    mbedtls_md_init(&md);
    int status = mbedtls_md_setup(&md, info_of(hash), 0);
    if (status == 0)
        status = mbedtls_md_starts(&md);
    for (size_t i = 0; i < count && status == 0; i++)
        status = mbedtls_md_update(&md, (const uint8_t *)parts[i].ptr, parts[i].len);
    if (status == 0)
        status = mbedtls_md_finish(&md, out);
    mbedtls_md_free(&md);
    return error_of(status);
}

int wst__hmac(uint8_t out[32], const uint8_t *key, size_t key_len, const void *data, size_t len) {
    return error_of(mbedtls_md_hmac(info_of(WST__SHA256), key, key_len, data, len, out));
}

bool wst__equal_constant_time(const void *a, size_t a_len, const void *b, size_t b_len) {
    return a_len == b_len && mbedtls_ct_memcmp(a, b, a_len) == 0;
}
