/* SPDX-License-Identifier: MIT */
#include "cork.h"

#include <assert.h>

void wst__cork(wst_ctx_t *ctx) {
    ctx->corks++;
}

void wst__uncork(wst_ctx_t *ctx) {
    assert(ctx->corks > 0);
    if (--ctx->corks > 0)
        return;
    wst__list_t *node;
    while ((node = wst__list_first(&ctx->corked)) != NULL) {
        wst__list_remove(node);
        wst__corked_t *corked = WST__CONTAINER(node, wst__corked_t, node);
        corked->uncork(corked);
    }
}

bool wst__is_corked(const wst_ctx_t *ctx) {
    return ctx->corks > 0;
}

void wst__cork_add(wst_ctx_t *ctx, wst__corked_t *corked) {
    if (wst__list_empty(&corked->node))
        wst__list_append(&ctx->corked, &corked->node);
}
