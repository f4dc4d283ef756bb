/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_CONFIG_H
#define EXAMPLES_CONFIG_H
/*
 * Reading a configuration: a JSON file, environment and command line into a struct that a table of
 * fields describes. Nothing is in force before all of it has been read, so a faulty file changes
 * nothing; as much as possible of what is wrong is found at once, each with where it stands:
 *
 *     server.json:3:14: ',' or '}' expected in a JSON object
 *     server.json: users[2].password: must be a string
 *     --log-level: must be error, warn, info or debug
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <wstunnel/wstunnel.h>

enum {
    CONFIG_FILE_MAX = 1 << 20,
    CONFIG_ERRORS_MAX = 20,
    CONFIG_SECRET_MAX = 255,
    CONFIG_EXPOSED_MAX = 16
};

/* The memory of what is read, and what is wrong with it. Zeroed it is ready for use. */
typedef struct config {
    struct config_block *blocks;
    const char *file; /* that is being read; NULL: none */
    char *errors[CONFIG_ERRORS_MAX];
    size_t error_count; /* may be higher than there is room for */
    bool has_secret;    /* a member of the file has been one */
    const char *exposed[CONFIG_EXPOSED_MAX];
    size_t exposed_count;
} config_t;

/* Wipes and frees all memory. */
void config_free(config_t *c);

/* Wipes memory that held a secret. */
void config_wipe(void *data, size_t size);

/* Zeroed memory, and a copy of a text, for as long as the configuration lives. NULL: no memory,
 * which is noted as an error. */
void *config_alloc(config_t *c, size_t size);
char *config_copy(config_t *c, const char *text, size_t len);

/* Notes a fault at `place` (NULL: the file as a whole). */
void config_fault(config_t *c, const char *place, const char *fmt, ...) WST_PRINTF(3, 4);

/* Reports the faults: on stderr, as a program that cannot start does; in the log. */
void config_print(const config_t *c, const char *program);
void config_log(const config_t *c);

/* Notes a file with secrets in it if every user of this system may read or change it, the first
 * CONFIG_EXPOSED_MAX of them; and warns of them in the log. */
void config_note_secret_file(config_t *c, const char *path);
void config_warn(const config_t *c);

/* A value in the file. */
typedef struct config_node {
    const struct config_node *parent; /* NULL: the outermost object */
    const cJSON *value;
    size_t index; /* in an array */
} config_node_t;

/* The same for a value, at "users[2].password". */
void config_wrong(config_t *c, const config_node_t *node, const char *fmt, ...) WST_PRINTF(3, 4);

/* The member of an object that has been read before, for complaints about it; `node` itself if it
 * is not there. */
config_node_t config_member(const config_node_t *node, const char *name);

/* -- Fields ------------------------------------------------------------------------------------ */

/* What a field is, and the type of what its offset leads to. */
typedef enum config_kind {
    CONFIG_FLAG,   /* true or false; alone on the command line: bool */
    CONFIG_TEXT,   /* 1 to `max` (0: 4096) bytes, no control characters: const char * */
    CONFIG_SECRET, /* a text that may not stand on a command line, where all can see it */
    CONFIG_LIST,   /* a text or an array of texts; may be repeated: const char **, ends with NULL */
    CONFIG_CHOICE, /* one of several words: int, its index */
    CONFIG_NUMBER, /* an integer from `min` to `max`: of `size` bytes, unsigned */
    CONFIG_OTHER   /* read by a function; in the file only */
} config_kind_t;

typedef struct config_field {
    const char *name; /* in the file; on the command line with "-" for "_" */
    config_kind_t kind;
    size_t offset; /* in the struct */
    size_t size;   /* NUMBER: 4 or 8 */
    uint64_t min, max;
    const char *choices;  /* "one|two|three" */
    const char *variable; /* of the environment; stronger than the file, weaker than the command
                             line; NULL: none */
    bool file_only, line_only; /* the other one knows it not */
    bool fixed;                /* a change takes effect with the next start only */
    bool hides;                /* a URL whose user information is taken out of the process list */
    void (*read)(config_t *c, const config_node_t *node, void *target);
} config_field_t;

/* A table of them. */
typedef struct config_fields {
    const config_field_t *fields;
    size_t count;
} config_fields_t;

/* Writes the names of fixed fields that differ, separated by ", "; appends to what `out` holds. */
void config_compare(char *out, size_t size, const config_fields_t *fields, const void *old,
                    const void *now);

/* Reads an object into a struct. */
void config_read_object(config_t *c, const config_node_t *node, const config_fields_t *fields,
                        void *target);

/* Reads a text, as it stands on a command line or in the environment, into a struct; `place` says
 * which. `first`: a list begins anew. */
void config_read_text(config_t *c, const char *place, const config_field_t *field, const char *text,
                      bool first, void *target);

/* Reads an array of objects: `size` bytes each, as many as `*count` says afterwards. NULL: none, or
 * no memory. `check` is called for each that has been read, and may be NULL. */
void *config_read_array(config_t *c, const config_node_t *node, const config_fields_t *fields,
                        size_t size, size_t *count,
                        void (*check)(config_t *c, const config_node_t *node, void *target));

/* Reads a file into a struct; and a text, that of `c->file`. */
void config_read_file(config_t *c, const char *path, const config_fields_t *fields, void *target);
void config_read_json(config_t *c, const char *text, size_t len, const config_fields_t *fields,
                      void *target);

/* The first line of a file, 1..CONFIG_SECRET_MAX bytes. NULL: it cannot be had, which has been
 * noted for `node`, or, if that is NULL, for `place`. */
char *config_read_secret(config_t *c, const config_node_t *node, const char *place,
                         const char *path);

/* Whether it can be presented as a bearer token (RFC 6750 section 2.1). If not, CONFIG_TOKEN_FAULT
 * says so. */
bool config_is_token(const char *text);
#define CONFIG_TOKEN_FAULT "must be of letters, digits and -._~+/="

#endif
