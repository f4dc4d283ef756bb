/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_CORK_H
#define WST_LIB_CORK_H
/*
 * Writes that are gathered. While bytes that have arrived are handed on, the context is corked:
 * sockets keep what is written to them. Uncorking writes it, by one system call for each socket.
 */
#include "ctx.h"

/* Most bytes that the pump takes from a stream at a time, and that are read or gathered for one
 * system call: such a piece with the heads of its frames. */
enum { WST__PIECE_MAX = 262144, WST__BATCH_MAX = WST__PIECE_MAX + 4096 };

/* Of what can be corked; embedded in its object. */
struct wst__corked {
    wst__list_t node;
    void (*uncork)(wst__corked_t *corked);
};

/* Corks nest; the outermost uncork runs `uncork` of everything added, once, in order. */
void wst__cork(wst_ctx_t *ctx);
void wst__uncork(wst_ctx_t *ctx);
bool wst__is_corked(const wst_ctx_t *ctx);

/* May be added again, and removed by wst__list_remove. */
void wst__cork_add(wst_ctx_t *ctx, wst__corked_t *corked);

#endif
