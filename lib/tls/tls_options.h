/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_OPTIONS_H
#define WST_LIB_TLS_OPTIONS_H
/* What the options of TLS configurations have in common for all engines, and reports of faults. */
#include <wstunnel/tls_types.h>

enum {
    WST__TLS_PINS_MAX = 16,
    WST__TLS_IDENTITIES_MAX = 32,
    WST__TLS_TICKET_LIFETIME_S = 3600,

    /* Answers to messages that a peer should not send: renegotiation. */
    WST__TLS_UNASKED_MAX = 16
};

/* "what: text", cut; `why` may be NULL. WST_ETLS. */
int wst__tls_complain(wst_tls_error_t *why, const char *what, const char *text);

/* Whether a server's options are complete: 0 or WST_EINVAL. */
int wst__tls_check_server(const wst_tls_server_options_t *options);

/* Whether a client's options say how to verify servers: 0 or WST_EINVAL. */
int wst__tls_check_client(const wst_tls_client_options_t *options);

/* Whether the text has a certificate in it: 0, or WST_ETLS, with `what` in the error. */
int wst__tls_check_pem(const char *pem, const char *what, wst_tls_error_t *why);

/* "N of them cannot be read": WST_ETLS. */
int wst__tls_complain_unreadable(wst_tls_error_t *why, const char *what, size_t count);

/* Reads pins; NULL: none. 0 or WST_ETLS. */
int wst__tls_read_pins(uint8_t digests[WST__TLS_PINS_MAX][32], size_t *count,
                       const char *const *pins, wst_tls_error_t *why);

#endif
