/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_TLS_CONFIG_H
#define WST_LIB_TLS_CONFIG_H
/* The inside of a configuration. */
#include "ctx.h"
#include "tls_engine.h"

#include <wstunnel/tls.h>

struct wst_tls_config {
    wst_ctx_t *ctx; /* held */
    size_t refs;
    wst__tls_engine_t *engine;
};

#endif
