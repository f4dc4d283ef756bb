/* SPDX-License-Identifier: MIT */
/* Reads files by libuv's synchronous calls. */
#include "read_file.h"

#include <string.h>
#include <sys/stat.h>

static int open_file(uv_loop_t *loop, const char *path) {
    uv_fs_t req;
    /* Without O_NONBLOCK, opening a pipe waits for a writer. */
    int fd =
        uv_fs_open(loop, &req, path, UV_FS_O_RDONLY | UV_FS_O_NONBLOCK | UV_FS_O_NOCTTY, 0, NULL);
    uv_fs_req_cleanup(&req);
    return fd;
}

static void close_file(uv_loop_t *loop, int fd) {
    uv_fs_t req;
    (void)uv_fs_close(loop, &req, fd, NULL);
    uv_fs_req_cleanup(&req);
}

static int stat_file(uv_loop_t *loop, int fd, uv_stat_t *out) {
    uv_fs_t req;
    int status = uv_fs_fstat(loop, &req, fd, NULL);
    if (status == 0)
        *out = req.statbuf;
    uv_fs_req_cleanup(&req);
    return status;
}

/* Reads to the end, or `size` bytes. Returns their number or an error. */
static int read_all(uv_loop_t *loop, int fd, char *out, size_t size) {
    size_t len = 0;
    while (len < size) {
        uv_buf_t buf = uv_buf_init(out + len, (unsigned)(size - len));
        uv_fs_t req;
        int n = uv_fs_read(loop, &req, fd, &buf, 1, -1, NULL);
        uv_fs_req_cleanup(&req);
        if (n < 0)
            return n;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (int)len;
}

static int read_open(wst__file_t *file, wst_ctx_t *ctx, int fd, size_t max) {
    uv_stat_t stat;
    int status = stat_file(ctx->loop, fd, &stat);
    if (status != 0)
        return status;
    if (!S_ISREG(stat.st_mode))
        return UV_EFTYPE;
    if (stat.st_size > max)
        return WST_EMSGBIG;
    size_t size = (size_t)stat.st_size + 1; /* a further byte tells that the file has grown */
    *file = (wst__file_t){.text = wst__alloc(&ctx->allocator, size),
                          .everybody = (stat.st_mode & (S_IROTH | S_IWOTH)) != 0};
    if (file->text == NULL)
        return WST_ENOMEM;
    int n = read_all(ctx->loop, fd, file->text, size);
    file->len = n > 0 ? (size_t)n : 0;
    if (n < 0)
        return n;
    if (file->len == size) /* the file is being written: retry later */
        return UV_EBUSY;
    file->text[file->len] = '\0';
    return strlen(file->text) == file->len ? 0 : UV_EFTYPE;
}

int wst__read_file(wst__file_t *out, wst_ctx_t *ctx, const char *path, size_t max) {
    int fd = open_file(ctx->loop, path);
    if (fd < 0)
        return fd;
    wst__file_t file = {0};
    int status = read_open(&file, ctx, fd, max);
    close_file(ctx->loop, fd);
    if (status == 0)
        *out = file;
    else
        wst__file_free(&file, ctx);
    return status;
}

void wst__file_free(wst__file_t *file, wst_ctx_t *ctx) {
    if (file->text != NULL)
        wst__wipe(file->text, file->len);
    wst__free(&ctx->allocator, file->text);
    *file = (wst__file_t){0};
}
