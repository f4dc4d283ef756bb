/* SPDX-License-Identifier: MIT */
/* Configurations: the engine's, with references, and the system's trust store. */
#include "tls_config.h"

#include "read_file.h"
#include "sized.h"

#include <stdio.h>

enum { TRUST_STORE_MAX = 16 * 1024 * 1024 };

/* Trust stores of systems. */
static const char *const trust_stores[] = {
    "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Ubuntu, Alpine, Arch, Gentoo */
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
    "/etc/ssl/ca-bundle.pem",                            /* openSUSE */
    "/etc/ssl/cert.pem",                                 /* BSDs, macOS */
    "/usr/local/share/certs/ca-root-nss.crt",            /* FreeBSD */
};

static int read_trust_store(wst__file_t *out, wst_ctx_t *ctx, wst_tls_error_t *why) {
    for (size_t i = 0; i < sizeof(trust_stores) / sizeof(trust_stores[0]); i++) {
        int status = wst__read_file(out, ctx, trust_stores[i], TRUST_STORE_MAX);
        if (status == 0 || status == WST_ENOMEM)
            return status;
    }
    if (why != NULL)
        snprintf(why->text, sizeof(why->text),
                 "no trust store on this system (looked for %s and others)", trust_stores[0]);
    return WST_ETLS;
}

static int config_new(wst_tls_config_t **out, wst_ctx_t *ctx, wst__tls_engine_t *engine) {
    wst_tls_config_t *config = wst__zalloc(&ctx->allocator, sizeof(*config));
    if (config == NULL) {
        wst__tls_engine_free(engine);
        return WST_ENOMEM;
    }
    config->ctx = ctx;
    config->refs = 1;
    config->engine = engine;
    wst__ctx_hold(ctx);
    *out = config;
    return 0;
}

int wst_tls_server_config(wst_tls_config_t **out, wst_ctx_t *ctx,
                          const wst_tls_server_options_t *given, wst_tls_error_t *why) {
    wst_tls_server_options_t options;
    wst__tls_engine_t *engine;
    if (wst__sized_read(&options, sizeof(options), given) != 0)
        return WST_EINVAL;
    int status = wst__tls_engine_server(&engine, &ctx->allocator, &options, why);
    return status != 0 ? status : config_new(out, ctx, engine);
}

int wst_tls_client_config(wst_tls_config_t **out, wst_ctx_t *ctx,
                          const wst_tls_client_options_t *options, wst_tls_error_t *why) {
    wst_tls_client_options_t o;
    if (wst__sized_read(&o, sizeof(o), options) != 0)
        return WST_EINVAL;
    wst__file_t store = {0};
    if (o.ca_pem == NULL && !o.insecure) {
        int status = read_trust_store(&store, ctx, why);
        bool pinned = o.pins != NULL && o.pins[0] != NULL; /* a self-signed one needs no store */
        if (status != 0 && !(status == WST_ETLS && pinned))
            return status;
        o.ca_pem = store.text;
    }
    wst__tls_engine_t *engine;
    int status = wst__tls_engine_client(&engine, &ctx->allocator, &o, store.text != NULL, why);
    wst__file_free(&store, ctx);
    return status != 0 ? status : config_new(out, ctx, engine);
}

wst_tls_config_t *wst_tls_config_ref(wst_tls_config_t *config) {
    if (config != NULL)
        config->refs++;
    return config;
}

void wst_tls_config_unref(wst_tls_config_t *config) {
    if (config == NULL || --config->refs > 0)
        return;
    wst_ctx_t *ctx = config->ctx;
    wst__tls_engine_free(config->engine);
    wst__free(&ctx->allocator, config);
    wst__ctx_release(ctx);
}

int64_t wst_tls_config_expiry(const wst_tls_config_t *config, const char **subject) {
    return wst__tls_engine_expiry(config->engine, subject);
}

const wst_tls_certificate_t *wst_tls_config_certificate(const wst_tls_config_t *config, size_t n) {
    return wst__tls_engine_certificate(config->engine, n);
}
