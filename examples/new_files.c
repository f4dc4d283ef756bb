/* SPDX-License-Identifier: MIT */
#include "new_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <wstunnel/common.h>

enum { NAME_SIZE = 64 };

/* Appends to the fault. Always false. */
WST_PRINTF(2, 3)
static bool fail(new_files_t *n, const char *fmt, ...) {
    size_t len = strlen(n->fault);
    va_list args;
    va_start(args, fmt);
    vsnprintf(n->fault + len, sizeof(n->fault) - len, fmt, args);
    va_end(args);
    return false;
}

/* The name of a file that is not complete. */
static void write_draft(char out[NAME_SIZE], const char *name) {
    snprintf(out, NAME_SIZE, ".%s.%ld.new", name, (long)getpid());
}

/* The directory -------------------------------------------------------------------------------- */

static bool check_directory(new_files_t *n) {
    struct stat info;
    if ((n->made && fchmod(n->directory, S_IRWXU) != 0) || fstat(n->directory, &info) != 0)
        return fail(n, "%s: %s", n->path, strerror(errno));
    if (info.st_uid != geteuid())
        return fail(n, "%s belongs to another user", n->path);
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fail(n, "%s: other users may write to it", n->path);
    return true;
}

bool new_files_open(new_files_t *n, const char *path) {
    *n = (new_files_t){.path = path, .directory = -1};
    n->made = mkdir(path, S_IRWXU) == 0;
    if (!n->made && errno != EEXIST)
        return fail(n, "%s: %s", path, strerror(errno));
    n->directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (n->directory < 0)
        fail(n, "%s: %s", path,
             errno == ELOOP || errno == ENOTDIR ? "is no directory" : strerror(errno));
    else if (check_directory(n))
        return true;
    new_files_abort(n);
    return false;
}

/* Files ---------------------------------------------------------------------------------------- */

/* 0, or -1 with errno. */
static int write_all(int file, const char *text, size_t len) {
    while (len > 0) {
        ssize_t done = write(file, text, len);
        if (done < 0 && errno != EINTR)
            return -1;
        text += done > 0 ? done : 0;
        len -= done > 0 ? (size_t)done : 0;
    }
    return fsync(file);
}

/* Complains of a file that is there, before any is written. */
static bool is_free(new_files_t *n, const char *name) {
    struct stat info;
    if (fstatat(n->directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
        return fail(n, "%s/%s exists, and nothing is overwritten", n->path, name);
    return errno == ENOENT || fail(n, "%s/%s: %s", n->path, name, strerror(errno));
}

bool new_files_add(new_files_t *n, const char *name, const char *text) {
    char draft[NAME_SIZE];
    if (!is_free(n, name))
        return false;
    write_draft(draft, name);
    int file = openat(n->directory, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                      S_IRUSR | S_IWUSR);
    if (file < 0)
        return fail(n, "%s/%s: %s", n->path, draft, strerror(errno));
    n->name[n->count++] = name;
    int status = fchmod(file, S_IRUSR | S_IWUSR); /* the umask may have taken some */
    if (status == 0)
        status = write_all(file, text, strlen(text));
    int error = errno;
    if (close(file) != 0 && status == 0) {
        status = -1;
        error = errno;
    }
    return status == 0 || fail(n, "%s/%s: cannot write it: %s", n->path, name, strerror(error));
}

bool new_files_commit(new_files_t *n) {
    char draft[NAME_SIZE];
    for (; n->named < n->count; n->named++) {
        const char *name = n->name[n->named];
        write_draft(draft, name);
        if (linkat(n->directory, draft, n->directory, name, 0) != 0)
            return fail(n, "%s/%s: %s", n->path, name,
                        errno == EEXIST ? "exists, and nothing is overwritten" : strerror(errno));
    }
    for (size_t i = 0; i < n->count; i++) {
        write_draft(draft, n->name[i]);
        if (unlinkat(n->directory, draft, 0) != 0)
            return fail(n, "%s/%s: %s", n->path, draft, strerror(errno));
    }
    return fsync(n->directory) == 0 || fail(n, "%s: %s", n->path, strerror(errno));
}

/* The end -------------------------------------------------------------------------------------- */

static void discard(new_files_t *n, const char *name) {
    if (unlinkat(n->directory, name, 0) != 0 && errno != ENOENT)
        fail(n, "; %s/%s is left behind: %s", n->path, name, strerror(errno));
}

void new_files_abort(new_files_t *n) {
    char draft[NAME_SIZE];
    for (size_t i = 0; i < n->count; i++) {
        write_draft(draft, n->name[i]);
        discard(n, draft);
        if (i < n->named)
            discard(n, n->name[i]);
    }
    if (n->made && rmdir(n->path) != 0)
        fail(n, "; the directory is left behind: %s", strerror(errno));
    new_files_close(n);
}

void new_files_close(new_files_t *n) {
    if (n->directory >= 0)
        close(n->directory);
    n->directory = -1;
}
