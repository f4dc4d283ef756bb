/* SPDX-License-Identifier: MIT */
/*
 * SHA-1, base64 and constant-time comparison, by mbedTLS 2.28 or 3. What mbedTLS's base64 reads
 * leniently (line breaks, a missing end, unused bits) is refused here.
 */
#include "digest.h"

#include <assert.h>
#include <mbedtls/base64.h>
#include <mbedtls/constant_time.h>
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

size_t wst__base64_encode(char *out, const void *data, size_t len) {
    size_t out_len = 0;
    out[0] = '\0'; /* of nothing, mbedTLS writes nothing */
    int status =
        mbedtls_base64_encode((uint8_t *)out, WST__BASE64_LEN(len) + 1, &out_len, data, len);
    assert(status == 0); /* it fails for lack of room only */
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
    /* White space that was skipped is missing here. */
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
