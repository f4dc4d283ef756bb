/* SPDX-License-Identifier: MIT */
/* The content of each upgrade request to the server (upgrade.h). */
#include "upgrade.h"
#include "head_writer.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/version.h>

#define PRODUCT "User-Agent: libwstunnel/%s\r\n"

enum { HEAD_MAX = 16384 }; /* of the upgrade request */

static int refuse_upgrade(const wst__upgrade_t *u, const char *why) {
    wst_ctx_log(u->ctx, WST_LOG_ERROR, "%s", why);
    return WST_EINVAL;
}

static int check_host(const wst__upgrade_t *u, const char *host) {
    wst_authority_t authority;
    const char *why = "";
    if (host == NULL ||
        wst__url_authority(&authority, (wst_str_t){host, strlen(host)}, 80, &why) == 0)
        return 0;
    wst_ctx_log(u->ctx, WST_LOG_ERROR, "Host field: %s", why);
    return WST_EINVAL;
}

static bool begins_with(const char *line, const char *name) {
    size_t len = strlen(name);
    return strnlen(line, len) == len && wst_str_ieq((wst_str_t){line, len}, name);
}

/* Whether the line's field is one that the upgrade request sets itself. */
static bool is_reserved(const char *line) {
    static const char *const names[] = {"Host:", "Connection:", "Upgrade:", "Sec-WebSocket-",
                                        WST__RESUME_FIELD ":"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (begins_with(line, names[i]))
            return true;
    return false;
}

/* Checks the embedder's fields once, not at each attempt. */
static int check_fields(wst__upgrade_t *u) {
    char *buffer = wst__alloc(&u->ctx->allocator, HEAD_MAX);
    if (buffer == NULL)
        return WST_ENOMEM;
    wst__head_writer_t head;
    wst__head_init(&head, buffer, HEAD_MAX);
    wst__head_lines(&head, u->fields);
    int status = wst__head_end(&head, NULL, 0);
    wst__wipe(buffer, HEAD_MAX);
    wst__free(&u->ctx->allocator, buffer);
    if (status == WST_EHEADBIG)
        return refuse_upgrade(u, "the header fields given are longer than 16 KiB");
    if (status < 0)
        return refuse_upgrade(u, "the header fields given are not complete lines");
    for (const char *line = u->fields; *line != '\0'; line = strstr(line, "\r\n") + 2) {
        if (is_reserved(line))
            return refuse_upgrade(u, "the header fields given belong to the upgrade itself");
        u->names_product = u->names_product || begins_with(line, "User-Agent:");
    }
    return 0;
}

int wst__upgrade_init(wst__upgrade_t *u, wst_ctx_t *ctx, const wst__url_t *url, const char *host,
                      const char *fields) {
    const wst_allocator_t *al = &ctx->allocator;
    *u = (wst__upgrade_t){.ctx = ctx};
    u->host = host != NULL ? wst__strdup(al, host)
                           : wst__strndup(al, url->authority.ptr, url->authority.len);
    u->path = wst__strndup(al, url->path.ptr, url->path.len);
    u->fields = wst__strdup(al, fields != NULL ? fields : "");
    if (u->host == NULL || u->path == NULL || u->fields == NULL)
        return WST_ENOMEM;
    int status = check_host(u, host);
    return status == 0 ? check_fields(u) : status;
}

void wst__upgrade_free(wst__upgrade_t *u) {
    if (u->ctx == NULL)
        return;
    wst__free(&u->ctx->allocator, u->host);
    wst__free(&u->ctx->allocator, u->path);
    wst__free_secret(&u->ctx->allocator, u->fields);
}

char *wst__upgrade_fields(const wst__upgrade_t *u, const char *more,
                          const wst__resume_field_t *claim) {
    char value[WST__RESUME_FIELD_MAX] = "";
    if (more == NULL)
        more = "";
    if (claim != NULL)
        wst__resume_field_write(value, claim);
    char product[sizeof(PRODUCT) + 32] = "";
    if (!u->names_product)
        snprintf(product, sizeof(product), PRODUCT, wst_version());
    size_t size = sizeof(product) + strlen(u->fields) + strlen(more) + sizeof(WST__RESUME_FIELD) +
                  sizeof(value) + 8;
    char *fields = wst__alloc(&u->ctx->allocator, size);
    if (fields != NULL) /* those of others last: they may lack the end of their line */
        snprintf(fields, size, "%s%s%s%s%s%s", product, claim != NULL ? WST__RESUME_FIELD ": " : "",
                 value, claim != NULL ? "\r\n" : "", u->fields, more);
    wst__wipe(value, sizeof(value));
    return fields;
}
