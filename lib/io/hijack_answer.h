/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_HIJACK_ANSWER_H
#define WST_LIB_HIJACK_ANSWER_H
/* The bytes of a hijack's answers. */
#include <wstunnel/hijack.h>

/* Bound of an answer. */
enum { WST__ANSWER_MAX = 65536 };

/*
 * Composes the answer to the request `head`, with more fields (complete lines) or NULL;
 * `keep_alive` says whether it keeps the connection. The caller owns the slice's reference. 0,
 * WST_EINVAL or WST_ENOMEM.
 */
int wst__answer(wst_slice_t *out, wst_ctx_t *ctx, const wst_http_head_t *head,
                const wst_response_t *response, const char *more_fields, bool keep_alive);

/*
 * Composes the answer to a faulty request: `error` is WST_EHTTP (`why` is its cause), WST_EHEADBIG,
 * WST_ETARGETBIG or WST_ETIMEOUT. As wst__answer otherwise.
 */
int wst__answer_refusal(wst_slice_t *out, wst_ctx_t *ctx, int error, const char *why,
                        const char *more_fields);

#endif
