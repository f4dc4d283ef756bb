/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_OPTIONS_H
#define EXAMPLES_OPTIONS_H
/*
 * A program's command line. It is kept, so that it overrides the file again whenever the
 * configuration is reloaded.
 */
#include "config.h"

enum { OPTIONS_MAX = 128 };

typedef struct options {
    const char *config_file; /* --config; NULL: none */
    const char *argument;    /* the one that is not an option; NULL: none */
    size_t count;
    struct {
        const config_field_t *field;
        const char *text;
    } given[OPTIONS_MAX];
} options_t;

/* Parses a command line; `takes_argument`: it may have one argument that is not an option. False:
 * end the program with *status (after --help, --version, or a fault, which has been printed). */
bool options_parse(options_t *o, const config_fields_t *fields, const char *usage,
                   bool takes_argument, int argc, char **argv, int *status);

/* Reads file, environment and command line, in this order, into a struct. */
void options_read(config_t *c, const options_t *o, const config_fields_t *fields, void *target);

/* A secret can be given as a text, NAME, or by a file, NAME_file. If both are set, the one from the
 * stronger source is kept: NAME_file of the command line, else NAME of the environment. If both are
 * in the configuration file, that is a fault. */
void options_pick_secret(config_t *c, const options_t *o, const char *name, const char **secret,
                         const char **file, const char *variable);

#endif
