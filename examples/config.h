/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_CONFIG_H
#define EXAMPLES_CONFIG_H
/*
 * Reads a configuration, from a JSON file, the environment and the command line, into a struct that
 * a table of fields describes. The whole is read before any of it takes effect, so a faulty file
 * changes nothing. As many faults as possible are found at once, each reported with its place:
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

/* The memory of a configuration that is read, and its faults. A zeroed one is ready for use. */
typedef struct config {
    struct config_block *blocks;
    const char *file; /* being read; NULL: none */
    char *errors[CONFIG_ERRORS_MAX];
    size_t error_count; /* counts also those that `errors` has no room for */
    bool has_secret;    /* the file has a member that is a secret */
    const char *exposed[CONFIG_EXPOSED_MAX];
    size_t exposed_count;
} config_t;

/* Wipes and frees all memory. */
void config_free(config_t *c);

/* Wipes memory that held a secret. */
void config_wipe(void *data, size_t size);

/* Zeroed memory, and a copy of a text, which live as long as the configuration. NULL: no memory,
 * which has been noted. */
void *config_alloc(config_t *c, size_t size);
char *config_copy(config_t *c, const char *text, size_t len);

/* Notes a fault at `place` (NULL: the file as a whole). */
void config_fault(config_t *c, const char *place, const char *fmt, ...) WST_PRINTF(3, 4);

/* Reports the faults: on stderr, for a program that cannot start, and refers to its --help; in the
 * log. */
void config_print(const config_t *c, const char *program, bool refer);
void config_log(const config_t *c);

/* config_note_secret_file() notes a file with secrets if every user of this system may read or
 * change it, and keeps the first CONFIG_EXPOSED_MAX. config_warn() warns of them in the log. */
void config_note_secret_file(config_t *c, const char *path);
void config_warn(const config_t *c);

/* A value in the file. */
typedef struct config_node {
    const struct config_node *parent; /* NULL: the outermost object */
    const cJSON *value;
    size_t index; /* in an array */
} config_node_t;

/* Notes a fault at a value's place, such as "users[2].password". */
void config_wrong(config_t *c, const config_node_t *node, const char *fmt, ...) WST_PRINTF(3, 4);

/* Notes a fault if an array is empty, which must not be taken for "all" or "anybody". */
void config_refuse_empty(config_t *c, const config_node_t *node);

/* The member of an object, to note a fault at; `node` itself if the object lacks it. */
config_node_t config_member(const config_node_t *node, const char *name);

/* -- Fields ---------------------------------------------------------------------------------- */

/* The kind of a field, and its C type in the struct. */
typedef enum config_kind {
    CONFIG_FLAG,   /* true or false; without a value on the command line: bool */
    CONFIG_TEXT,   /* 1 to `max` (0: 4096) bytes, no control characters: const char * */
    CONFIG_SECRET, /* a text that is not allowed on the command line, which every user can see */
    CONFIG_LIST,   /* a text or an array of texts; may be repeated: const char **, ends with NULL */
    CONFIG_CHOICE, /* one of several words: int, its index */
    CONFIG_NUMBER, /* an integer from `min` to `max`: unsigned, of `size` bytes */
    CONFIG_OTHER   /* read by the function `read`; in the file only */
} config_kind_t;

typedef struct config_field {
    const char *name; /* in the file; on the command line with "-" for "_" */
    config_kind_t kind;
    size_t offset; /* in the struct */
    size_t size;   /* NUMBER: 4 or 8 */
    uint64_t min, max;
    const char *choices;       /* "one|two|three" */
    const char *variable;      /* of the environment: overrides the file, and is overridden by the
                                  command line; NULL: none */
    bool file_only, line_only; /* in the file only, on the command line only */
    bool fixed;                /* a change takes effect with the next start only */
    bool hides;                /* a URL whose user information is hidden from the process list */
    void (*read)(config_t *c, const config_node_t *node, void *target);
} config_field_t;

/* A table of fields. */
typedef struct config_fields {
    const config_field_t *fields;
    size_t count;
} config_fields_t;

/* Appends to `out` the names of the fixed fields that differ, separated by ", ". */
void config_compare(char *out, size_t size, const config_fields_t *fields, const void *old,
                    const void *now);

/* Reads an object into a struct. */
void config_read_object(config_t *c, const config_node_t *node, const config_fields_t *fields,
                        void *target);

/* Reads a text from the command line or the environment into a struct; `place` is the name of the
 * option or variable. `first`: a list is replaced, not extended. */
void config_read_text(config_t *c, const char *place, const config_field_t *field, const char *text,
                      bool first, void *target);

/* Reads an array of objects into an array of `*count` structs of `size` bytes. NULL: no objects, or
 * an error, which has been noted. `check` (may be NULL) is called for each object without fault. */
void *config_read_array(config_t *c, const config_node_t *node, const config_fields_t *fields,
                        size_t size, size_t *count,
                        void (*check)(config_t *c, const config_node_t *node, void *target));

/* Read a file, or the text of `c->file`, into a struct. */
void config_read_file(config_t *c, const char *path, const config_fields_t *fields, void *target);
void config_read_json(config_t *c, const char *text, size_t len, const config_fields_t *fields,
                      void *target);

/* Reads the first line of a file, 1..CONFIG_SECRET_MAX bytes. NULL: an error, which has been noted
 * at `node` or, if that is NULL, at `place`. */
char *config_read_secret(config_t *c, const config_node_t *node, const char *place,
                         const char *path);

/* Reads a text file, such as one of certificates, of at most CONFIG_FILE_MAX bytes. NULL: `path` is
 * NULL, or no memory. Faults are noted at `place`. */
char *config_read_pem(config_t *c, const char *place, const char *path);

/* Reads a secret's file into `*secret`, if the object `node` gives it by the member "NAME_file",
 * not as a text by the member "NAME"; one of both may be there. */
void config_resolve_secret(config_t *c, const config_node_t *node, const char *name,
                           const char **secret, const char *file);

/* -- Texts ----------------------------------------------------------------------------------- */

/* Whether a text has control characters of ASCII. */
bool config_has_control(const char *text);

/* Whether a text, which may be empty, is a name that needs no quotes anywhere. CONFIG_NAME_FAULT is
 * the error text for one that is not. */
bool config_is_name(const char *text);
#define CONFIG_NAME_FAULT "must be of A-Z a-z 0-9 . _ -"

/* Whether two texts are the same; NULL is the same as NULL only. */
bool config_same_text(const char *a, const char *b);

/* How many texts a list has that ends with NULL; 0 if it is NULL itself. */
size_t config_count(const char *const *list);

/* Whether a text can be presented as a bearer token (RFC 6750 section 2.1). CONFIG_TOKEN_FAULT is
 * the error text for one that cannot. */
bool config_is_token(const char *text);
#define CONFIG_TOKEN_FAULT "must be of letters, digits and -._~+/="

#endif
