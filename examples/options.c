/* SPDX-License-Identifier: MIT */
/* Command lines (options.h), parsed by getopt_long with options made from the table of fields. */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 64, NAME_MAX_LEN = 48 };
enum { CONFIG = 128, HELP, VERSION, FIELD = 256 }; /* distinct from the '?' of getopt */

static bool is_option(const config_field_t *field) {
    return !field->file_only && field->kind != CONFIG_OTHER && field->kind != CONFIG_SECRET;
}

/* The field's name, with "-" for "_". */
static void write_name(char *out, size_t size, const char *name) {
    snprintf(out, size, "%s", name);
    for (char *at = out; *at != '\0'; at++)
        if (*at == '_')
            *at = '-';
}

static const char *program_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Returns a copy of a URL, and overwrites the user information in the original, which every user
 * can see in the process list. NULL: no memory. */
static const char *hide(char *text) {
    char *copy = strdup(text), *scheme = strstr(text, "://"), *at = strrchr(text, '@');
    char *start = scheme != NULL ? scheme + 3 : text;
    if (copy != NULL && at != NULL && at > start)
        memset(start, '*', (size_t)(at - start));
    return copy;
}

static bool keep(options_t *o, const char *program, const config_field_t *field, char *text) {
    if (o->count == OPTIONS_MAX) {
        fprintf(stderr, "%s: more than %d options\n", program, OPTIONS_MAX);
        return false;
    }
    const char *kept = field->hides ? hide(text) : text;
    if (field->hides && kept == NULL) {
        fprintf(stderr, "%s: out of memory\n", program);
        return false;
    }
    o->given[o->count].field = field;
    o->given[o->count++].text = kept;
    return true;
}

bool options_parse(options_t *o, const config_fields_t *fields, const char *usage,
                   bool takes_argument, int argc, char **argv, int *status) {
    struct option longs[FIELDS_MAX + 4] = {{"config", required_argument, NULL, CONFIG},
                                           {"help", no_argument, NULL, HELP},
                                           {"version", no_argument, NULL, VERSION}};
    char names[FIELDS_MAX][NAME_MAX_LEN];
    const char *program = program_name(argv[0]);
    size_t n = 3;
    for (size_t i = 0; i < fields->count && i < FIELDS_MAX; i++) {
        if (!is_option(&fields->fields[i]))
            continue;
        bool flag = fields->fields[i].kind == CONFIG_FLAG;
        write_name(names[i], sizeof(names[i]), fields->fields[i].name);
        longs[n++] =
            (struct option){names[i], flag ? no_argument : required_argument, NULL, FIELD + (int)i};
    }
    *status = 2;
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == CONFIG) {
            o->config_file = optarg;
        } else if (c == HELP) {
            fputs(usage, stdout);
            *status = 0;
            return false;
        } else if (c == VERSION) {
            printf("%s %s (%s)\n", program, wst_version(), wst_tls_engine());
            *status = 0;
            return false;
        } else if (c < FIELD) {
            fprintf(stderr, "Try %s --help\n", program);
            return false;
        } else if (!keep(o, program, &fields->fields[c - FIELD], optarg)) {
            return false;
        }
    }
    if (optind < argc && takes_argument)
        o->argument = argv[optind++];
    if (optind == argc)
        return true;
    fprintf(stderr, "%s: unexpected argument '%s'\nTry %s --help\n", program, argv[optind],
            program);
    return false;
}

static bool is_first(const options_t *o, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (o->given[i].field == o->given[n].field)
            return false;
    return true;
}

void options_read(config_t *c, const options_t *o, const config_fields_t *fields, void *target) {
    if (o->config_file != NULL)
        config_read_file(c, o->config_file, fields, target);
    for (size_t i = 0; i < fields->count; i++) {
        const config_field_t *field = &fields->fields[i];
        const char *value = field->variable != NULL ? getenv(field->variable) : NULL;
        if (value != NULL)
            config_read_text(c, field->variable, field, value, true, target);
    }
    for (size_t i = 0; i < o->count; i++) {
        char place[NAME_MAX_LEN + 2] = "--";
        write_name(place + 2, sizeof(place) - 2, o->given[i].field->name);
        config_read_text(c, place, o->given[i].field, o->given[i].text, is_first(o, i), target);
    }
}

void options_pick_secret(config_t *c, const options_t *o, const char *name, const char **secret,
                         const char **file, const char *variable) {
    size_t len = strlen(name);
    bool given = false;
    if (*secret == NULL || *file == NULL)
        return;
    for (size_t i = 0; i < o->count; i++)
        given = given || (strncmp(o->given[i].field->name, name, len) == 0 &&
                          strcmp(o->given[i].field->name + len, "_file") == 0);
    if (given)
        *secret = NULL;
    else if (getenv(variable) != NULL)
        *file = NULL;
    else
        config_fault(c, name, "only one of it and %s_file may be there", name);
}
