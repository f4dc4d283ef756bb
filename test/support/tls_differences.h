/* SPDX-License-Identifier: MIT */
#ifndef TEST_TLS_DIFFERENCES_H
#define TEST_TLS_DIFFERENCES_H
/* Where the TLS engines differ, as far as tests see it. */
#include <mbedtls/version.h>
#include <stdbool.h>

#if defined(WST_TLS_OPENSSL)

#define TLS_OLD_VERSION "no version in common: the peer wants none of TLS 1.2 and 1.3"
#define TLS_NO_SUITE    "no cipher suite, or parameter for one, in common"
#define TLS_TOO_LONG    "the peer sent a message that is too long"
enum {
    TLS_HAS_13 = true,
    TLS_SAYS_OPTIONAL = false,
    TLS_CLIENT_HEARS_LATER = false,
    TLS_ALERT_NO_CERTIFICATE = 116,
    TLS_ALERT_SSL3 = 40, /* which had no alert for versions */
    TLS_ALERT_TOO_LONG = 47,
    TLS_EMPTY_RECORDS = 32
};

#else

#if MBEDTLS_VERSION_MAJOR >= 3
#define TLS_OLD_VERSION "no version in common: the peer wants none of TLS 1.2 and 1.3"
#define TLS_NO_SUITE    "no cipher suite, or parameter for one, in common"
#define TLS_TOO_LONG                                                                               \
    "the peer sent a key that is not valid, or a record or message that is too long"
enum { TLS_HAS_13 = true, TLS_ALERT_NO_CERTIFICATE = 116 };
#else
#define TLS_OLD_VERSION "no version in common: the peer does not want TLS 1.2"
#define TLS_NO_SUITE    "no cipher suite in common"
#define TLS_TOO_LONG    "the peer sent a message that is longer than its record"
enum { TLS_HAS_13 = false, TLS_ALERT_NO_CERTIFICATE = 40 };
#endif
enum {
    TLS_SAYS_OPTIONAL = true,            /* alert 49 for all faults of an optional certificate */
    TLS_CLIENT_HEARS_LATER = TLS_HAS_13, /* that its certificate is refused, and in old keys */
    TLS_ALERT_SSL3 = 70,
    TLS_ALERT_TOO_LONG = 40,
    TLS_EMPTY_RECORDS = 3 /* taken in a row */
};

#endif
#endif
