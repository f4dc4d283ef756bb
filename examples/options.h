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
    bool check;              /* -t */
    char **arguments;        /* those that are not options; ends with NULL */
    size_t count;
    struct {
        const config_field_t *field;
        const char *text;
    } given[OPTIONS_MAX];
} options_t;

/* What a command line may have, beside --help, -h and --version. */
typedef struct options_syntax {
    const char *program, *usage;
    const config_fields_t *fields; /* an option for each */
    const config_fields_t *more;   /* likewise, of another struct; NULL: none */
    bool takes_config;             /* --config */
    bool takes_check;              /* -t */
    bool takes_arguments;          /* arguments that are not options */
} options_syntax_t;

/* Parses a command line. False: end the program with *status (after --help, --version, or a fault,
 * which has been printed). */
bool options_parse(options_t *o, const options_syntax_t *syntax, int argc, char **argv,
                   int *status);

/* Reads file, environment and command line, in this order, into the struct of these fields. */
void options_read(config_t *c, const options_t *o, const config_fields_t *fields, void *target);

/* Returns a copy of a URL, and overwrites the user information in the original, which every user
 * can see in the process list. NULL: no memory. */
const char *options_hide_user(char *text);

/* A secret can be given as a text, NAME, or by a file, NAME_file. If both are set, the one from the
 * stronger source is kept: NAME_file of the command line, else NAME of the environment. If both are
 * in the configuration file, that is a fault. */
void options_pick_secret(config_t *c, const options_t *o, const char *name, const char **secret,
                         const char **file, const char *variable);

#endif
