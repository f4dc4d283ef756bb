/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_TLS_TYPES_H
#define WSTUNNEL_TLS_TYPES_H
/**
 * @file tls_types.h
 * Options of TLS configurations, and facts about certificates and sessions. tls.h includes it.
 */
#include <wstunnel/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The TLS library in use, which is chosen when libwstunnel is built, and its version: "mbedTLS
 * 2.28.3", "OpenSSL 3.0.19 27 Jan 2026". Valid as long as the calling thread.
 */
WST_EXTERN const char *wst_tls_engine(void);

/** The fault, for people: "identity 2: the key does not belong to the certificate". */
typedef struct wst_tls_error {
    char text[256]; /**< terminated */
} wst_tls_error_t;

/** A certificate and its private key. */
typedef struct wst_tls_identity {
    size_t size;           /**< sizeof the struct (common.h) */
    const char *chain_pem; /**< Required. The certificate, then those of its issuers. */
    const char *key_pem;   /**< Required. Not encrypted. RSA, or EC on P-256, P-384, P-521. */
} wst_tls_identity_t;

/** Whether a server asks its clients for certificates. */
typedef enum wst_tls_client_cert {
    WST_TLS_CLIENT_NONE,     /**< it does not ask for a certificate */
    WST_TLS_CLIENT_OPTIONAL, /**< a client may have none; an invalid one fails the handshake */
    WST_TLS_CLIENT_REQUIRED  /**< a client without one fails the handshake */
} wst_tls_client_cert_t;

/** A server's configuration; copied. */
typedef struct wst_tls_server_options {
    size_t size; /**< sizeof the struct (common.h) */
    /** Required. The server shows the identity whose certificate has the DNS name that the client
        asks for (SNI, RFC 6066 section 3), wildcards included; the first identity if no name
        matches or the client asks for none. */
    const wst_tls_identity_t *identities;
    size_t identity_count;             /**< Required. 1..32. */
    wst_tls_client_cert_t client_cert; /**< Optional (default: none asked for). */
    const char *client_ca_pem; /**< Required with client_cert: certificates of the issuers of
                                    clients' certificates. */
} wst_tls_server_options_t;

/** A client's configuration; copied. */
typedef struct wst_tls_client_options {
    size_t size; /**< sizeof the struct (common.h) */
    /** Optional (default: the system's trust store). Certificates of trusted issuers. */
    const char *ca_pem;
    /** Optional, NULL-terminated, at most 16: "sha256/BASE64", the SHA-256 of a public key
        (SubjectPublicKeyInfo, as RFC 7469 section 2.4 has it). A certificate of the verified chain
        must have one of these keys, in addition to all other checks. A self-signed certificate with
        such a key is trusted without an issuer in ca_pem; its names, dates and purpose are checked
        like those of others. */
    const char *const *pins;
    const wst_tls_identity_t *identity; /**< Optional. Shown to servers that ask for one. */
    bool insecure; /**< No verification: anyone can pose as the server. Pins, if given, still hold,
                        for the server's own certificate. */
} wst_tls_client_options_t;

/** A kind of name in a certificate (subjectAltName, RFC 5280 section 4.2.1.6). */
typedef enum wst_tls_name_kind {
    WST_TLS_NAME_DNS,   /**< dNSName */
    WST_TLS_NAME_IP,    /**< iPAddress, as text, without brackets */
    WST_TLS_NAME_EMAIL, /**< rfc822Name */
    WST_TLS_NAME_URI    /**< uniformResourceIdentifier */
} wst_tls_name_kind_t;

/** A name in a certificate, of printable ASCII. Names of other characters or kinds are left out. */
typedef struct wst_tls_name {
    wst_tls_name_kind_t kind; /**< which kind of name */
    const char *text;         /**< the name */
} wst_tls_name_t;

/** A certificate. */
typedef struct wst_tls_certificate {
    size_t size;                 /**< set by the library (common.h) */
    const char *subject;         /**< "C=DE, O=Example, CN=agent.example"; UTF-8; control characters
                                      and invalid UTF-8 become "?"; commas, plus signs and backslashes
                                      in a value are escaped by a backslash; cut at 511 bytes */
    const char *common_name;     /**< the last CN of the subject; "": none, or over 255 bytes */
    const char *issuer;          /**< as `subject` */
    const wst_tls_name_t *names; /**< `name_count` of them */
    size_t name_count;           /**< of `names` */
    const char *fingerprint;     /**< SHA-256 of the certificate, 64 hexadecimal digits */
    const char *pin;    /**< "sha256/BASE64" of its public key; see wst_tls_client_options */
    int64_t not_before; /**< seconds since 1970 */
    int64_t not_after;  /**< the same */
} wst_tls_certificate_t;

/** The most certificates of a peer that are kept: its own, eight of issuers and a root, as many as
    verification needs at most. */
#define WST_TLS_CHAIN_MAX 10

/** A certificate of the chain that a peer has sent (wst_tls_handshake_chain). */
typedef struct wst_tls_link {
    size_t size;                              /**< set by the library (common.h) */
    const wst_tls_certificate_t *certificate; /**< NULL: it cannot be read */
    bool used;         /**< it is the peer's own, or on the way from there to a trusted one; the
                            others are not needed, and not verified */
    const char *fault; /**< why it is not accepted, for people: "certificate expired on 2026-01-01",
                            "issuer not trusted: CN=Example Intermediate"; "": no fault */
} wst_tls_link_t;

/** Facts about a TLS session. */
typedef struct wst_tls_info {
    size_t size;              /**< set by the library (common.h) */
    const char *version;      /**< "TLSv1.2" or "TLSv1.3" */
    const char *cipher_suite; /**< its IANA name, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" */
    const char *alpn;         /**< the protocol agreed on; "": none */
    const char *server_name;  /**< the name the client asked for (SNI); "": none */
    bool resumed;             /**< resumes an earlier session, with the peer of that session */
    bool peer_verified;       /**< the certificate `peer` has been verified */
    const wst_tls_certificate_t *peer; /**< the peer's certificate; NULL: it showed none */
    const char *failure; /**< after on_error: the cause, for people; "": not a failure of TLS */
} wst_tls_info_t;

#ifdef __cplusplus
}
#endif
#endif
