/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_UPGRADE_H
#define WST_LIB_UPGRADE_H
/* The content of each upgrade request to the server: Host, path and the embedder's fields. */
#include "ctx.h"
#include "resume.h"
#include "url.h"

typedef struct wst__upgrade {
    wst_ctx_t *ctx;
    char *host;
    char *path;
    char *fields;       /* complete lines, or "" */
    bool names_product; /* by a User-Agent among the fields */
} wst__upgrade_t;

/* Copies and checks the content. `host`: the Host field; NULL: the URL's host and port. `fields`:
 * complete lines, or NULL. 0; WST_EINVAL, which has been logged; WST_ENOMEM. Free the content after
 * an error, too. */
int wst__upgrade_init(wst__upgrade_t *upgrade, wst_ctx_t *ctx, const wst__url_t *url,
                      const char *host, const char *fields);

/* Frees the texts; wipes the fields. Zeroed content is allowed. */
void wst__upgrade_free(wst__upgrade_t *upgrade);

/* All fields of one attempt: the embedder's, `more` (or NULL), and what it says about a session (or
 * NULL). They may hold credentials: free them with wst__free_secret. NULL: no memory. */
char *wst__upgrade_fields(const wst__upgrade_t *upgrade, const char *more,
                          const wst__resume_field_t *claim);

#endif
