/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_ALERT_H
#define WST_LIB_TLS_ALERT_H

/* The name of a TLS alert (RFC 8446 section 6.2, RFC 5246 section 7.2). */
const char *wst__tls_alert_name(unsigned alert);

/* A client's first record cannot be read: mbedTLS's TLS 1.3 server refuses certificates by an alert
 * in old keys. */
#define WST__TLS_FIRST_RECORD                                                                      \
    "the first record cannot be decrypted: it has been changed on the way, or the server does "    \
    "not accept our certificate"

#endif
