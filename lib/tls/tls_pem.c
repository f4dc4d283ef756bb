/* SPDX-License-Identifier: MIT */
/* Reading the texts of TLS configurations (tls_pem.h). */
#include "tls_pem.h"
#include "digest.h"

#include <mbedtls/cipher.h>
#include <mbedtls/error.h>
#include <mbedtls/pem.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

bool wst__tls_is_no_memory(int error) {
    /* mbedTLS adds a high-level and a low-level error. */
    switch (-(-error & 0xff80)) {
    case MBEDTLS_ERR_X509_ALLOC_FAILED:
    case MBEDTLS_ERR_PK_ALLOC_FAILED:
    case MBEDTLS_ERR_PEM_ALLOC_FAILED:
    case MBEDTLS_ERR_ECP_ALLOC_FAILED:
    case MBEDTLS_ERR_MD_ALLOC_FAILED:
    case MBEDTLS_ERR_CIPHER_ALLOC_FAILED:
        return true;
    default:
        break;
    }
    int low = -(-error & 0x7f);
    return low == MBEDTLS_ERR_MPI_ALLOC_FAILED || low == MBEDTLS_ERR_ASN1_ALLOC_FAILED;
}

int wst__tls_complain(wst_tls_error_t *why, const char *what, const char *text) {
    if (why != NULL)
        snprintf(why->text, sizeof(why->text), "%.100s: %.150s", what, text);
    return WST_ETLS;
}

int wst__tls_complain_of(wst_tls_error_t *why, const char *what, int error) {
    if (wst__tls_is_no_memory(error))
        return WST_ENOMEM;
    char text[128];
    mbedtls_strerror(error, text, sizeof(text));
    return wst__tls_complain(why, what, text);
}

int wst__tls_read_certificates(mbedtls_x509_crt *chain, const char *pem, bool lenient,
                               const char *what, wst_tls_error_t *why) {
    if (strstr(pem, "-----BEGIN CERTIFICATE-----") == NULL)
        return wst__tls_complain(why, what, "there is no certificate in it");
    int status = mbedtls_x509_crt_parse(chain, (const uint8_t *)pem, strlen(pem) + 1);
    if (status < 0)
        return wst__tls_complain_of(why, what, status);
    if (status == 0 || lenient)
        return 0;
    char text[64];
    snprintf(text, sizeof(text), "%d of them cannot be read", status);
    return wst__tls_complain(why, what, text);
}

static bool read_pin(uint8_t digest[32], const char *pin) {
    uint8_t bytes[33];
    size_t len = 0;
    if (strncmp(pin, "sha256/", 7) != 0 || strlen(pin) != 7 + WST__BASE64_LEN(32) ||
        !wst__base64_decode(bytes, &len, pin + 7, WST__BASE64_LEN(32)) || len != 32)
        return false;
    memcpy(digest, bytes, 32);
    return true;
}

int wst__tls_read_pins(uint8_t digests[WST__TLS_PINS_MAX][32], size_t *count,
                       const char *const *pins, wst_tls_error_t *why) {
    for (*count = 0; pins != NULL && *pins != NULL; pins++) {
        if (*count == WST__TLS_PINS_MAX)
            return wst__tls_complain(why, "pins", "more than 16 of them");
        if (!read_pin(digests[*count], *pins))
            return wst__tls_complain(why, "not a pin (sha256/ and 44 characters)", *pins);
        ++*count;
    }
    return 0;
}
