/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_NEW_FILES_H
#define EXAMPLES_NEW_FILES_H
/*
 * Writes several new files into a directory, all or none. They are for the user of this process
 * alone (0600). Nothing that is there is overwritten, and no link is followed.
 *
 * Each file gets its content under a name of its own first, beginning with a dot. Once all are
 * complete, each gets its name by link(), which fails if that is taken.
 */
#include <stdbool.h>
#include <stddef.h>

enum { NEW_FILES_MAX = 8, NEW_FILES_FAULT_MAX = 512 };

typedef struct new_files {
    const char *path; /* of the directory */
    const char *name[NEW_FILES_MAX];
    size_t count, named;             /* how many are there; how many of these have their name */
    int directory;                   /* descriptor; -1: none */
    bool made;                       /* the directory */
    char fault[NEW_FILES_FAULT_MAX]; /* what has failed, for people; "": nothing */
} new_files_t;

/* Opens a directory, or makes one (0700). One that exists must belong to the user of this process,
 * and nobody else may write to it. `path` is borrowed. False: a fault; nothing is left behind. */
bool new_files_open(new_files_t *n, const char *path);

/* Adds a file, of at most NEW_FILES_MAX. `name` (borrowed) is one without "/". False: a fault;
 * abort then. */
bool new_files_add(new_files_t *n, const char *name, const char *text);

/* Gives all files their names. False: a fault; abort then. */
bool new_files_commit(new_files_t *n);

/* Removes the files, and the directory if it was made; the fault tells what cannot be removed. */
void new_files_abort(new_files_t *n);

/* Closes the directory. */
void new_files_close(new_files_t *n);

#endif
