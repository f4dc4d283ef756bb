/* SPDX-License-Identifier: MIT */
/* Copies and checks the options of an endpoint (endpoint.h). */
#include "endpoint.h"
#include "proxy_http.h"
#include "proxy_url.h"
#include "sized.h"

static int refuse_endpoint(const wst__endpoint_t *e, int error, const char *why) {
    wst_ctx_log(e->ctx, WST_LOG_ERROR, "%s", why);
    return error;
}

/* TLS ---------------------------------------------------------------------------------------- */

int wst__endpoint_set_tls(wst__endpoint_t *e, wst_tls_config_t *tls) {
    wst_tls_error_t why;
    int status = 0;
    if (!e->secure)
        return tls == NULL ? 0 : refuse_endpoint(e, WST_EINVAL, "TLS options need a wss:// URL");
    if (tls == NULL)
        status = wst_tls_client_config(&tls, e->ctx, NULL, &why);
    else
        wst_tls_config_ref(tls);
    if (status != 0)
        return status == WST_ETLS ? refuse_endpoint(e, status, why.text) : status;
    wst_tls_config_unref(e->tls);
    e->tls = tls;
    return 0;
}

/* The proxy ---------------------------------------------------------------------------------- */

static int check_proxy(const wst_proxy_options_t *o, bool *tls, const char **why) {
    wst__proxy_url_t url = {.kind = WST__PROXY_HTTP};
    *why = "no URL";
    int status =
        o->url != NULL ? wst__proxy_url_parse(&url, o->url, o->credentials, why) : WST_EINVAL;
    if (status == 0)
        status = wst__proxy_http_check_fields(o->fields, why);
    *tls = url.kind == WST__PROXY_HTTPS;
    wst__wipe(&url, sizeof(url));
    return status;
}

/* The copy of NULL is NULL. */
static int copy_text(const wst__endpoint_t *e, const char **out, const char *text) {
    *out = wst__strdup(&e->ctx->allocator, text);
    return *out != NULL || text == NULL ? 0 : WST_ENOMEM;
}

static int init_proxy(wst__endpoint_t *e, const wst_proxy_options_t *given) {
    wst_proxy_options_t o;
    if (wst__sized_read(&o, sizeof(o), given) != 0) {
        wst_ctx_log(e->ctx, WST_LOG_ERROR, "proxy: no size, or options that are not known");
        return WST_EINVAL;
    }
    bool tls;
    const char *why;
    wst_tls_error_t tls_why;
    int status = check_proxy(&o, &tls, &why);
    if (status == 0 && tls && o.tls == NULL) {
        status = wst_tls_client_config(&e->proxy.tls, e->ctx, NULL, &tls_why);
        why = status == WST_ETLS ? tls_why.text : wst_strerror(status);
    } else if (status == 0) {
        e->proxy.tls = wst_tls_config_ref(o.tls);
    }
    if (status != 0) {
        wst_ctx_log(e->ctx, WST_LOG_ERROR, "proxy: %s", why);
        return status;
    }
    e->proxy.size = sizeof(e->proxy);
    e->proxy.on_challenge = o.on_challenge;
    e->proxy.user_data = o.user_data;
    if (copy_text(e, &e->proxy.url, o.url) != 0 ||
        copy_text(e, &e->proxy.credentials, o.credentials) != 0 ||
        copy_text(e, &e->proxy.fields, o.fields) != 0)
        return WST_ENOMEM;
    return 0;
}

/* Life --------------------------------------------------------------------------------------- */

int wst__endpoint_init(wst__endpoint_t *e, wst_ctx_t *ctx, const wst__endpoint_options_t *options) {
    const wst_allocator_t *al = &ctx->allocator;
    const wst__url_t *url = options->url;
    *e = (wst__endpoint_t){.ctx = ctx, .port = url->port, .secure = url->tls};
    e->authority = wst__strndup(al, url->authority.ptr, url->authority.len);
    e->host = wst__strndup(al, url->host.ptr, url->host.len);
    e->sni = wst__strdup(al, options->sni);
    if (e->authority == NULL || e->host == NULL || (e->sni == NULL) != (options->sni == NULL))
        return WST_ENOMEM;
    if (!e->secure && e->sni != NULL)
        return refuse_endpoint(e, WST_EINVAL, "TLS options need a wss:// URL");
    int status = wst__endpoint_set_tls(e, options->tls);
    if (status == 0 && options->proxy != NULL)
        status = init_proxy(e, options->proxy);
    return status;
}

static void wipe_and_free(const wst__endpoint_t *e, const char *text) {
    wst__free_secret(&e->ctx->allocator, (char *)(uintptr_t)text); /* our own copy */
}

void wst__endpoint_free(wst__endpoint_t *e) {
    if (e->ctx == NULL)
        return;
    wipe_and_free(e, e->proxy.url);
    wipe_and_free(e, e->proxy.credentials);
    wipe_and_free(e, e->proxy.fields);
    wst_tls_config_unref(e->proxy.tls);
    wst_tls_config_unref(e->tls);
    wst__free(&e->ctx->allocator, e->authority);
    wst__free(&e->ctx->allocator, e->host);
    wst__free(&e->ctx->allocator, e->sni);
}
