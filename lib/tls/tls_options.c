/* SPDX-License-Identifier: MIT */
#include "tls_options.h"
#include "digest.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/error.h>

int wst__tls_complain(wst_tls_error_t *why, const char *what, const char *text) {
    if (why != NULL)
        snprintf(why->text, sizeof(why->text), "%.100s: %.150s", what, text);
    return WST_ETLS;
}

int wst__tls_check_server(const wst_tls_server_options_t *options) {
    bool client_certs = options->client_cert != WST_TLS_CLIENT_NONE;
    return options->identities != NULL && options->identity_count > 0 &&
                   options->identity_count <= WST__TLS_IDENTITIES_MAX &&
                   options->client_cert <= WST_TLS_CLIENT_REQUIRED &&
                   (!client_certs || options->client_ca_pem != NULL)
               ? 0
               : (int)WST_EINVAL;
}

int wst__tls_check_client(const wst_tls_client_options_t *options) {
    bool pinned = options->pins != NULL && options->pins[0] != NULL;
    return options->ca_pem != NULL || options->insecure || pinned ? 0 : (int)WST_EINVAL;
}

int wst__tls_check_pem(const char *pem, const char *what, wst_tls_error_t *why) {
    return strstr(pem, "-----BEGIN CERTIFICATE-----") != NULL
               ? 0
               : wst__tls_complain(why, what, "there is no certificate in it");
}

int wst__tls_complain_unreadable(wst_tls_error_t *why, const char *what, size_t count) {
    char text[64];
    snprintf(text, sizeof(text), "%zu of them cannot be read", count);
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
