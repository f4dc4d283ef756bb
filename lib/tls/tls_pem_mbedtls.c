/* SPDX-License-Identifier: MIT */
/* Reading the texts of TLS configurations (tls_pem_mbedtls.h). */
#include "tls_pem_mbedtls.h"

#include <mbedtls/cipher.h>
#include <mbedtls/error.h>
#include <mbedtls/pem.h>
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

int wst__tls_complain_of(wst_tls_error_t *why, const char *what, int error) {
    if (wst__tls_is_no_memory(error))
        return WST_ENOMEM;
    char text[128];
    mbedtls_strerror(error, text, sizeof(text));
    return wst__tls_complain(why, what, text);
}

int wst__tls_read_certificates(mbedtls_x509_crt *chain, const char *pem, bool lenient,
                               const char *what, wst_tls_error_t *why) {
    int status = wst__tls_check_pem(pem, what, why);
    if (status != 0)
        return status;
    status = mbedtls_x509_crt_parse(chain, (const uint8_t *)pem, strlen(pem) + 1);
    if (status < 0)
        return wst__tls_complain_of(why, what, status);
    if (status == 0 || lenient)
        return 0;
    return wst__tls_complain_unreadable(why, what, (size_t)status);
}
