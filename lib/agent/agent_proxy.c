/* SPDX-License-Identifier: MIT */
/* The agent's connection to its server through a proxy. */
#include "agent.h"
#include "proxy_http.h"
#include "proxy_url.h"

#include <string.h>

static void wipe_and_free(wst_agent_t *a, const char *text) {
    wst__free_secret(&a->ctx->allocator, (char *)(uintptr_t)text); /* ours */
}

void wst__agent_proxy_free(wst_agent_t *a) {
    wipe_and_free(a, a->proxy.url);
    wipe_and_free(a, a->proxy.credentials);
    wipe_and_free(a, a->proxy.fields);
    wst_tls_config_unref(a->proxy.tls);
}

/* NULL stays NULL. */
static int copy_text(const wst_agent_t *a, const char **out, const char *text) {
    *out = wst__strdup(&a->ctx->allocator, text);
    return *out != NULL || text == NULL ? 0 : WST_ENOMEM;
}

static int check(const wst_proxy_options_t *o, bool *tls, const char **why) {
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

int wst__agent_proxy_init(wst_agent_t *a) {
    const wst_proxy_options_t *o = a->o.proxy;
    if (o == NULL)
        return 0;
    a->o.proxy = NULL; /* the copy is what counts */
    bool tls;
    const char *why;
    wst_tls_error_t tls_why;
    int status = check(o, &tls, &why);
    if (status == 0 && tls && o->tls == NULL) {
        /* Here, for all attempts: reading the trust store takes its time. */
        status = wst_tls_client_config(&a->proxy.tls, a->ctx, NULL, &tls_why);
        why = status == WST_ETLS ? tls_why.text : wst_strerror(status);
    } else if (status == 0) {
        a->proxy.tls = wst_tls_config_ref(o->tls);
    }
    if (status != 0) {
        wst__log(a->ctx, WST_LOG_ERROR, "proxy: %s", why);
        return status;
    }
    a->proxy.on_challenge = o->on_challenge;
    a->proxy.user_data = o->user_data;
    if (copy_text(a, &a->proxy.url, o->url) != 0 ||
        copy_text(a, &a->proxy.credentials, o->credentials) != 0 ||
        copy_text(a, &a->proxy.fields, o->fields) != 0)
        return WST_ENOMEM;
    return 0;
}

static void on_dialled(int status, wst_stream_t *stream, const wst_proxy_failure_t *failure,
                       void *user_data) {
    wst_agent_t *a = user_data;
    a->proxy_dial = NULL;
    if (status == 0)
        wst__agent_connected(a, stream);
    else
        wst__agent_fail(a, status, failure->http_status, failure->detail);
}

void wst__agent_proxy_dial(wst_agent_t *a, const char *host) {
    const wst_proxy_dial_options_t options = {.proxy = a->proxy,
                                              .host = host,
                                              .port = a->target.port,
                                              .timeout_ms = a->o.connect_timeout_ms};
    int status = wst_proxy_dial(&a->proxy_dial, a->ctx, &options, NULL, on_dialled, a);
    if (status != 0)
        wst__agent_fail(a, status, 0, "");
}
