/* SPDX-License-Identifier: MIT */
/* Command lines (options.h), parsed by getopt_long with options made from the table of fields. */
#include "nearest.h"
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

const char *options_hide_user(char *text) {
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
    const char *kept = field->hides ? options_hide_user(text) : text;
    if (field->hides && kept == NULL) {
        fprintf(stderr, "%s: out of memory\n", program);
        return false;
    }
    o->given[o->count].field = field;
    o->given[o->count++].text = kept;
    return true;
}

/* Faults ------------------------------------------------------------------------------------- */

static bool refer_to_help(const char *program) {
    fprintf(stderr, "Try %s --help\n", program);
    return false;
}

/* Complains of a long option that is unknown, or that begins like several. */
static void complain_unknown(const options_syntax_t *syntax, const struct option *longs,
                             const char *typed) {
    size_t len = strcspn(typed, "="), begin = 0;
    char word[NAME_MAX_LEN];
    nearest_t nearest = {NULL, 0};
    snprintf(word, sizeof(word), "%.*s", (int)(len < NAME_MAX_LEN ? len : NAME_MAX_LEN), typed);
    for (; longs->name != NULL; longs++) {
        begin += strncmp(longs->name, typed, len) == 0;
        nearest_try(&nearest, word, longs->name);
    }
    fprintf(stderr, "%s: %s option --%.*s", syntax->program, begin > 1 ? "ambiguous" : "unknown",
            (int)len, typed);
    if (nearest.word != NULL)
        fprintf(stderr, "; did you mean --%s?", nearest.word);
    fputc('\n', stderr);
}

/* Complains of what getopt_long has not taken: `c` is what it returned. */
static bool complain(const options_syntax_t *syntax, const struct option *longs, int c,
                     const char *typed) {
    bool is_long = strncmp(typed, "--", 2) == 0;
    if (c == ':')
        fprintf(stderr, "%s: option %s needs a value\n", syntax->program, typed);
    else if (is_long && optopt != 0)
        fprintf(stderr, "%s: option %.*s takes no value\n", syntax->program,
                (int)strcspn(typed, "="), typed);
    else if (is_long)
        complain_unknown(syntax, longs, typed + 2);
    else
        fprintf(stderr, "%s: unknown option -%c\n", syntax->program, optopt);
    return refer_to_help(syntax->program);
}

/* Options ------------------------------------------------------------------------------------ */

typedef struct longs {
    struct option list[FIELDS_MAX + 4];
    char names[FIELDS_MAX][NAME_MAX_LEN];
} longs_t;

/* The i-th field, of both tables; NULL: there are no more. */
static const config_field_t *field_at(const options_syntax_t *syntax, size_t i) {
    if (i < syntax->fields->count)
        return &syntax->fields->fields[i];
    i -= syntax->fields->count;
    return syntax->more != NULL && i < syntax->more->count ? &syntax->more->fields[i] : NULL;
}

/* Makes an option of each field. */
static void make_longs(longs_t *longs, const options_syntax_t *syntax) {
    const config_field_t *field;
    size_t n = 0;
    *longs = (longs_t){.names = {""}};
    longs->list[n++] = (struct option){"help", no_argument, NULL, HELP};
    longs->list[n++] = (struct option){"version", no_argument, NULL, VERSION};
    if (syntax->takes_config)
        longs->list[n++] = (struct option){"config", required_argument, NULL, CONFIG};
    for (size_t i = 0; i < FIELDS_MAX && (field = field_at(syntax, i)) != NULL; i++) {
        if (!is_option(field))
            continue;
        write_name(longs->names[i], NAME_MAX_LEN, field->name);
        longs->list[n++] = (struct option){
            longs->names[i], field->kind == CONFIG_FLAG ? no_argument : required_argument, NULL,
            FIELD + (int)i};
    }
}

/* Prints what --help or --version asks for. */
static bool print(const options_syntax_t *syntax, int c, int *status) {
    *status = 0;
    if (c == VERSION)
        printf("%s %s (%s)\n", syntax->program, wst_version(), wst_tls_engine());
    else
        fputs(syntax->usage, stdout);
    return false;
}

bool options_parse(options_t *o, const options_syntax_t *syntax, int argc, char **argv,
                   int *status) {
    longs_t longs;
    make_longs(&longs, syntax);
    *status = 2;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, syntax->takes_check ? ":ht" : ":h", longs.list,
                                 NULL)) != -1;) {
        if (c == CONFIG)
            o->config_file = optarg;
        else if (c == 't')
            o->check = true;
        else if (c == 'h' || c == HELP || c == VERSION)
            return print(syntax, c, status);
        else if (c < FIELD)
            return complain(syntax, longs.list, c, argv[optind - 1]);
        else if (!keep(o, syntax->program, field_at(syntax, (size_t)c - FIELD), optarg))
            return false;
    }
    o->arguments = argv + optind;
    if (optind == argc || syntax->takes_arguments)
        return true;
    fprintf(stderr, "%s: unexpected argument '%s'\n", syntax->program, argv[optind]);
    return refer_to_help(syntax->program);
}

/* Sources ------------------------------------------------------------------------------------ */

static bool is_first(const options_t *o, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (o->given[i].field == o->given[n].field)
            return false;
    return true;
}

static bool has_field(const config_fields_t *fields, const config_field_t *field) {
    size_t i = 0;
    while (i < fields->count && &fields->fields[i] != field)
        i++;
    return i < fields->count;
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
        if (!has_field(fields, o->given[i].field))
            continue;
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
