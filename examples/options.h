/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H
/*
 * A program's command line, kept to be applied to each configuration that is read: whatever the
 * file says, and says when it is read again, the command line is stronger.
 */
#include "config.h"

enum { OPTIONS_MAX = 128 };

typedef struct options {
    const char *config_file; /* --config; NULL: none */
    const char *argument;    /* that is no option; NULL: none */
    size_t count;
    struct {
        const config_field_t *field;
        const char *text;
    } given[OPTIONS_MAX];
} options_t;

/* Parses it; `takes_argument`: one that is no option may stand there. Whether to go on; if not
 * (--help, --version, or something is wrong and has been said on stderr), *status is the exit
 * status. */
bool options_parse(options_t *o, const config_fields_t *fields, const char *usage,
                   bool takes_argument, int argc, char **argv, int *status);

/* Reads file, environment and command line, in this order, into a struct. */
void options_read(config_t *c, const options_t *o, const config_fields_t *fields, void *target);

/* A secret can be given as itself or as a file, NAME and NAME_file. If both are there, only the one
 * from the stronger source is left: NAME_file on the command line, NAME in the environment. Both in
 * the file: a fault. */
void options_pick_secret(config_t *c, const options_t *o, const char *name, const char **secret,
                         const char **file, const char *variable);

#endif
