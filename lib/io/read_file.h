/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_READ_FILE_H
#define WST_LIB_READ_FILE_H
/* Small text files, read synchronously: blocks the loop. */
#include "ctx.h"

typedef struct wst__file {
    char *text; /* terminated; contains no NUL byte */
    size_t len;
    bool everybody; /* all users of the system may read or change it */
} wst__file_t;

/*
 * Reads a regular file of at most `max` bytes. Never waits for a pipe or a device. 0 or an error:
 * WST_EMSGBIG if it is larger, UV_EFTYPE if it is not a regular file or not text, WST_ENOMEM, or
 * the system's.
 */
int wst__read_file(wst__file_t *out, wst_ctx_t *ctx, const char *path, size_t max);

/* Wipes and frees the text. */
void wst__file_free(wst__file_t *file, wst_ctx_t *ctx);

#endif
