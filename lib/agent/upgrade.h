/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_UPGRADE_H
#define WST_LIB_UPGRADE_H
/* The content of each upgrade request to the server: Host, path, and fields of the embedder's. */
#include "ctx.h"
#include "url.h"

typedef struct wst__upgrade {
    wst_ctx_t *ctx;
    char *host;
    char *path;
    char *fields; /* complete lines, or "" */
} wst__upgrade_t;

/* Copies and checks: `host`: instead of the URL's host and port, or NULL; `fields`: complete lines,
 * or NULL. 0; WST_EINVAL, which has been logged; WST_ENOMEM. It is to be freed on an error, too. */
int wst__upgrade_init(wst__upgrade_t *upgrade, wst_ctx_t *ctx, const wst__url_t *url,
                      const char *host, const char *fields);

/* Also frees a zeroed one. */
void wst__upgrade_free(wst__upgrade_t *upgrade);

/* Its fields and those of one attempt (NULL: none), which may be secret. NULL: no memory. */
char *wst__upgrade_fields(const wst__upgrade_t *upgrade, const char *more);

#endif
