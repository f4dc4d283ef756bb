/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_ALERT_H
#define WST_LIB_TLS_ALERT_H

/* The name of a TLS alert (RFC 8446 section 6.2, RFC 5246 section 7.2). */
const char *wst__tls_alert_name(unsigned alert);

#endif
