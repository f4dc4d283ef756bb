/* SPDX-License-Identifier: MIT */
/*
 * Hashes, base64, hex and constant-time comparison, by mbedTLS 2.28 or 3. Refuses base64 that
 * mbedTLS reads leniently: line breaks, a missing end, unused bits that are not zero.
 */
#include "digest.h"
#include "mem.h"

#include <assert.h>
#include <mbedtls/base64.h>
#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>
#include <mbedtls/sha1.h>
#include <mbedtls/version.h>
#include <string.h>
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

size_t wst__hash_len(wst__hash_t hash) {
    return hash == WST__MD5 ? 16 : 32;
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

void wst__hex_encode(char *out, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool wst__hex_decode(uint8_t *out, size_t len, wst_str_t text) {
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text.ptr[2 * i]), low = hex_value(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

size_t wst__base64_encode(char *out, const void *data, size_t len) {
    size_t out_len = 0;
    out[0] = '\0'; /* mbedTLS writes nothing for empty input */
    int status =
        mbedtls_base64_encode((uint8_t *)out, WST__BASE64_LEN(len) + 1, &out_len, data, len);
    assert(status == 0); /* fails only if `out` is too small */
    (void)status;
    return out_len;
}

bool wst__base64_decode(uint8_t *out, size_t *out_len, const char *text, size_t text_len) {
    char last[4], canonical[4 + 1];
    size_t pad = 0, len = 0;
    if (text_len == 0) {
        *out_len = 0;
        return true;
    }
    if (text_len % 4 != 0)
        return false;
    memcpy(last, text + text_len - 4, 4); /* `out` may be `text` */
    pad = last[3] != '=' ? 0 : last[2] != '=' ? 1 : 2;
    if (mbedtls_base64_decode(out, text_len / 4 * 3, &len, (const uint8_t *)text, text_len) != 0)
        return false;
    /* A shorter result: mbedTLS has skipped white space. */
    if (len != text_len / 4 * 3 - pad)
        return false;
    wst__base64_encode(canonical, out + len - (3 - pad), 3 - pad);
    if (memcmp(canonical, last, 4) != 0)
        return false;
    *out_len = len;
    return true;
}

bool wst__equal_constant_time(const void *a, size_t a_len, const void *b, size_t b_len) {
    return a_len == b_len && mbedtls_ct_memcmp(a, b, a_len) == 0;
}
