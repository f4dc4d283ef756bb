/* SPDX-License-Identifier: MIT */
#ifndef WSTUNNEL_TLS_FILES_H
#define WSTUNNEL_TLS_FILES_H
/**
 * @file tls_files.h
 * A server's TLS configuration from certificate files, kept current: to renew a certificate,
 * replace the files, or the symbolic links to them.
 *
 *     static void on_config(wst_tls_files_t *files, wst_tls_config_t *config, void *user_data) {
 *         wst_server_set_tls(user_data, config);
 *     }
 *
 * The files are read at the beginning, every check_interval_ms, and by wst_tls_files_reload(). A
 * new configuration is made from all of them if the content of any has changed, and only then
 * replaces the old one. If anything is wrong with the files the old configuration stays, and the
 * error is logged; the same error is not logged again at the next interval. When a configuration is
 * taken, the log gets the subject, expiry date and pin of each certificate, and a warning for each
 * key file that every user of this system may read. A certificate that expires within 14 days is
 * warned about, at most once a day.
 *
 * Reading blocks the loop, which is short since the files are small: a file over 1 MiB is refused.
 */
#include <wstunnel/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Certificate files that are watched. */
typedef struct wst_tls_files wst_tls_files_t;

/** Paths of a certificate and its private key, in PEM; see wst_tls_identity. */
typedef struct wst_tls_file_pair {
    size_t size;       /**< sizeof the struct (common.h) */
    const char *chain; /**< Required. */
    const char *key;   /**< Required. May be the same file. */
} wst_tls_file_pair_t;

/** Options; copied, the paths too. */
typedef struct wst_tls_files_options {
    size_t size;                       /**< sizeof the struct (common.h) */
    const wst_tls_file_pair_t *pairs;  /**< Required. See wst_tls_server_options.identities. */
    size_t pair_count;                 /**< Required. 1..32. */
    wst_tls_client_cert_t client_cert; /**< Optional (default: none asked for). */
    const char *client_ca;             /**< Required with client_cert: path of a PEM file. */
    uint64_t check_interval_ms;        /**< Optional (default 60000). */
    /** Optional. A new configuration has replaced the old one. It is lent: wst_tls_config_ref()
        keeps it. */
    void (*on_config)(wst_tls_files_t *files, wst_tls_config_t *config, void *user_data);
    void *user_data; /**< For on_config and close_cb. */
} wst_tls_files_options_t;

/**
 * Reads the files, which must all be valid this first time.
 * @param why  NULL, or filled in if WST_ETLS is returned: which file, and what is wrong
 * @return 0; WST_ETLS: a file cannot be read or used; WST_EINVAL: a required member is missing;
 *         WST_ENOMEM.
 */
WST_EXTERN WST_MUST_CHECK int wst_tls_files_new(wst_tls_files_t **out, wst_ctx_t *ctx,
                                                const wst_tls_files_options_t *options,
                                                wst_tls_error_t *why);

/** The current configuration, lent until the next on_config or the close. */
WST_EXTERN wst_tls_config_t *wst_tls_files_config(const wst_tls_files_t *files);

/** Has the files read again now, from the loop (on SIGHUP, say). A new configuration is made even
    if they have not changed, and an error is logged even if it has been logged before. */
WST_EXTERN void wst_tls_files_reload(wst_tls_files_t *files);

/** Stops checking the files. Configurations that are referenced elsewhere live on. */
WST_EXTERN void wst_tls_files_close(wst_tls_files_t *files, wst_close_cb close_cb);

#ifdef __cplusplus
}
#endif
#endif
