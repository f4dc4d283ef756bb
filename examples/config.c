/* SPDX-License-Identifier: MIT */
/*
 * Reading a configuration (config.h). cJSON is lenient, so wst_json_check() checks the text first;
 * types, ranges and names are checked here.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "nearest.h"

enum { PLACE_MAX = 256, FAULT_MAX = 640 };

/* Memory ------------------------------------------------------------------------------------- */

typedef struct config_block {
    struct config_block *next;
    size_t size;
    max_align_t data[];
} config_block_t;

/* By a volatile pointer: the compiler may remove a memset before free. */
void config_wipe(void *data, size_t size) {
    volatile unsigned char *at = data;
    while (size-- > 0)
        *at++ = 0;
}

void config_free(config_t *c) {
    while (c->blocks != NULL) {
        config_block_t *block = c->blocks;
        c->blocks = block->next;
        config_wipe(block->data, block->size);
        free(block);
    }
    *c = (config_t){0};
}

static void *get_block(config_t *c, size_t size) {
    config_block_t *block = calloc(1, sizeof(*block) + size);
    if (block == NULL)
        return NULL;
    block->size = size;
    block->next = c->blocks;
    c->blocks = block;
    return block->data;
}

void *config_alloc(config_t *c, size_t size) {
    void *data = get_block(c, size);
    if (data == NULL)
        c->error_count++; /* without a text, since there is no memory for it either */
    return data;
}

char *config_copy(config_t *c, const char *text, size_t len) {
    char *copy = config_alloc(c, len + 1);
    if (copy != NULL)
        memcpy(copy, text, len);
    return copy;
}

/* Faults ------------------------------------------------------------------------------------- */

static void note(config_t *c, const char *place, const char *fmt, va_list args) {
    char text[FAULT_MAX], escaped[2 * FAULT_MAX];
    int n = snprintf(text, sizeof(text), "%s%s%s%s", c->file != NULL ? c->file : "",
                     c->file != NULL ? ": " : "", place != NULL ? place : "",
                     place != NULL ? ": " : "");
    if (n >= 0 && (size_t)n < sizeof(text))
        vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, args);
    /* A member's name may have any characters. */
    size_t len = wst_log_escape(escaped, sizeof(escaped), text, strlen(text));
    if (c->error_count < CONFIG_ERRORS_MAX) {
        char *copy = get_block(c, len + 1);
        if (copy != NULL)
            memcpy(copy, escaped, len);
        c->errors[c->error_count] = copy;
    }
    c->error_count++;
}

void config_fault(config_t *c, const char *place, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    note(c, place, fmt, args);
    va_end(args);
}

/* "users[2].password" */
static void write_place(char *out, size_t size, const config_node_t *node) {
    out[0] = '\0';
    if (node->parent == NULL)
        return;
    write_place(out, size, node->parent);
    size_t len = strlen(out);
    if (node->value->string != NULL)
        snprintf(out + len, size - len, "%s%s", len > 0 ? "." : "", node->value->string);
    else
        snprintf(out + len, size - len, "[%zu]", node->index);
}

void config_wrong(config_t *c, const config_node_t *node, const char *fmt, ...) {
    char place[PLACE_MAX];
    write_place(place, sizeof(place), node);
    va_list args;
    va_start(args, fmt);
    note(c, place[0] != '\0' ? place : NULL, fmt, args);
    va_end(args);
}

/* The text of the n-th fault; NULL after the last. */
static const char *error_at(const config_t *c, size_t n) {
    if (n >= c->error_count || n > CONFIG_ERRORS_MAX)
        return NULL;
    if (n == CONFIG_ERRORS_MAX)
        return "there is more";
    return c->errors[n] != NULL ? c->errors[n] : "out of memory";
}

void config_print(const config_t *c, const char *program, bool refer) {
    for (size_t n = 0; error_at(c, n) != NULL; n++)
        fprintf(stderr, "%s: %s\n", program, error_at(c, n));
    if (refer)
        fprintf(stderr, "Try %s --help\n", program);
}

void config_log(const config_t *c) {
    for (size_t n = 0; error_at(c, n) != NULL; n++)
        log_line(WST_LOG_ERROR, "%s", error_at(c, n));
}

void config_note_secret_file(config_t *c, const char *path) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) ||
        (info.st_mode & (S_IROTH | S_IWOTH)) == 0)
        return; /* a missing file is reported by the code that reads it */
    for (size_t i = 0; i < c->exposed_count; i++)
        if (strcmp(c->exposed[i], path) == 0)
            return;
    char *copy = c->exposed_count < CONFIG_EXPOSED_MAX ? config_copy(c, path, strlen(path)) : NULL;
    if (copy != NULL)
        c->exposed[c->exposed_count++] = copy;
}

void config_warn(const config_t *c) {
    for (size_t i = 0; i < c->exposed_count; i++)
        log_line(WST_LOG_WARN,
                 "%s holds secrets, and every user of this system may read or change it",
                 c->exposed[i]);
}

void config_refuse_empty(config_t *c, const config_node_t *node) {
    if (cJSON_IsArray(node->value) && cJSON_GetArraySize(node->value) == 0)
        config_wrong(c, node, "must not be empty");
}

config_node_t config_member(const config_node_t *node, const char *name) {
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(node->value, name);
    return value != NULL ? (config_node_t){.parent = node, .value = value} : *node;
}

/* Fields ------------------------------------------------------------------------------------- */

/* The source of a value: a node of the file, or an option or variable by name. */
typedef struct source {
    const config_node_t *node;
    const char *place;
} source_t;

static void wrong(config_t *c, const source_t *from, const char *fmt, ...) WST_PRINTF(3, 4);
static void wrong(config_t *c, const source_t *from, const char *fmt, ...) {
    char place[PLACE_MAX];
    if (from->node != NULL)
        write_place(place, sizeof(place), from->node);
    va_list args;
    va_start(args, fmt);
    note(c, from->node != NULL ? place : from->place, fmt, args);
    va_end(args);
}

/* Writes "one|two|three" as "one, two or three". */
static void write_choices(char *out, size_t size, const char *choices) {
    size_t len = 0;
    for (const char *at = choices; *at != '\0' && len + 5 < size; at++) {
        const char *between = strchr(at, '|') == strrchr(choices, '|') ? " or " : ", ";
        if (*at != '|')
            out[len++] = *at;
        else
            len += (size_t)snprintf(out + len, size - len, "%s", between);
    }
    out[len] = '\0';
}

static void put_choice(config_t *c, const source_t *from, const config_field_t *field,
                       const char *text, void *at) {
    size_t len = strlen(text);
    int index = 0;
    for (const char *choice = field->choices; choice != NULL; index++) {
        size_t n = strcspn(choice, "|");
        if (n == len && memcmp(choice, text, n) == 0) {
            memcpy(at, &index, sizeof(index));
            return;
        }
        choice = choice[n] == '|' ? choice + n + 1 : NULL;
    }
    char choices[128];
    write_choices(choices, sizeof(choices), field->choices);
    wrong(c, from, "must be %s", choices);
}

static void put_number(config_t *c, const source_t *from, const config_field_t *field, double value,
                       void *at) {
    bool within = value >= (double)field->min && value <= (double)field->max;
    if (!within || value != (double)(uint64_t)value) {
        wrong(c, from, "must be an integer from %" PRIu64 " to %" PRIu64, field->min, field->max);
        return;
    }
    uint64_t wide = (uint64_t)value;
    uint32_t narrow = (uint32_t)wide;
    memcpy(at, field->size == sizeof(narrow) ? (const void *)&narrow : &wide, field->size);
}

static char *copy_text(config_t *c, const source_t *from, const config_field_t *field,
                       const char *text) {
    size_t len = strlen(text), max = field->max > 0 ? (size_t)field->max : 4096;
    if (len == 0 || len > max) {
        wrong(c, from, "must be 1 to %zu bytes long", max);
        return NULL;
    }
    if (config_has_control(text)) {
        wrong(c, from, "must not hold control characters");
        return NULL;
    }
    return config_copy(c, text, len);
}

/* Appends to a list by replacing it with a longer copy, so that it is complete at any time. */
static void put_item(config_t *c, const source_t *from, const config_field_t *field,
                     const char *text, void *at) {
    const char **old, **list;
    memcpy(&old, at, sizeof(old));
    size_t count = config_count(old);
    char *copy = copy_text(c, from, field, text);
    list = copy != NULL ? config_alloc(c, (count + 2) * sizeof(*list)) : NULL;
    if (list == NULL)
        return;
    if (count > 0)
        memcpy(list, old, count * sizeof(*list));
    list[count] = copy;
    memcpy(at, &list, sizeof(list));
}

static void put_text(config_t *c, const source_t *from, const config_field_t *field,
                     const char *text, void *at) {
    char *copy = copy_text(c, from, field, text);
    if (copy != NULL)
        memcpy(at, &copy, sizeof(copy));
}

/* The pointer stored at `at`. */
static const void *pointer_at(const void *at) {
    const void *pointer;
    memcpy(&pointer, at, sizeof(pointer));
    return pointer;
}

static bool same_list(const char *const *a, const char *const *b) {
    if (a == NULL || b == NULL)
        return a == b;
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

static bool same_value(const config_field_t *field, const void *a, const void *b) {
    switch (field->kind) {
    case CONFIG_FLAG:
        return memcmp(a, b, sizeof(bool)) == 0;
    case CONFIG_CHOICE:
        return memcmp(a, b, sizeof(int)) == 0;
    case CONFIG_NUMBER:
        return memcmp(a, b, field->size) == 0;
    case CONFIG_TEXT:
    case CONFIG_SECRET:
        return config_same_text(pointer_at(a), pointer_at(b));
    case CONFIG_LIST:
        return same_list(pointer_at(a), pointer_at(b));
    case CONFIG_OTHER:
        break;
    }
    return true;
}

void config_compare(char *out, size_t size, const config_fields_t *fields, const void *old,
                    const void *now) {
    for (size_t i = 0; i < fields->count; i++) {
        const config_field_t *field = &fields->fields[i];
        size_t len = strlen(out);
        if (field->fixed && !same_value(field, (const char *)old + field->offset,
                                        (const char *)now + field->offset))
            snprintf(out + len, size - len, "%s%s", len > 0 ? ", " : "", field->name);
    }
}

/* The file ----------------------------------------------------------------------------------- */

static void read_list(config_t *c, const config_node_t *node, const config_field_t *field,
                      void *at) {
    size_t count = (size_t)cJSON_GetArraySize(node->value);
    const char **list = NULL;
    if (cJSON_IsString(node->value)) {
        memcpy(at, &list, sizeof(list));
        put_item(c, &(source_t){.node = node}, field, node->value->valuestring, at);
        return;
    }
    if (!cJSON_IsArray(node->value)) {
        config_wrong(c, node, "must be a string or an array of strings");
        return;
    }
    config_refuse_empty(c, node);
    list = config_alloc(c, (count + 1) * sizeof(*list));
    if (list == NULL)
        return;
    size_t used = 0;
    config_node_t item = {.parent = node, .value = node->value->child};
    for (; item.value != NULL; item.value = item.value->next, item.index++) {
        const source_t from = {.node = &item};
        if (!cJSON_IsString(item.value))
            config_wrong(c, &item, "must be a string");
        else if ((list[used] = copy_text(c, &from, field, item.value->valuestring)) != NULL)
            used++;
    }
    memcpy(at, &list, sizeof(list));
}

static void read_field(config_t *c, const config_node_t *node, const config_field_t *field,
                       void *target) {
    const source_t from = {.node = node};
    const cJSON *value = node->value;
    void *at = (char *)target + field->offset;
    bool on = cJSON_IsTrue(value);
    if (field->kind == CONFIG_SECRET ||
        (field->hides && cJSON_IsString(value) && strchr(value->valuestring, '@') != NULL))
        c->has_secret = true;
    switch (field->kind) {
    case CONFIG_FLAG:
        if (cJSON_IsBool(value))
            memcpy(at, &on, sizeof(on));
        else
            config_wrong(c, node, "must be true or false");
        break;
    case CONFIG_TEXT:
    case CONFIG_SECRET:
    case CONFIG_CHOICE:
        if (!cJSON_IsString(value))
            config_wrong(c, node, "must be a string");
        else if (field->kind == CONFIG_CHOICE)
            put_choice(c, &from, field, value->valuestring, at);
        else
            put_text(c, &from, field, value->valuestring, at);
        break;
    case CONFIG_LIST:
        read_list(c, node, field, at);
        break;
    case CONFIG_NUMBER:
        put_number(c, &from, field, cJSON_IsNumber(value) ? value->valuedouble : -1, at);
        break;
    case CONFIG_OTHER:
        field->read(c, node, target);
        break;
    }
}

static void complain_unknown(config_t *c, const config_node_t *member,
                             const config_fields_t *fields) {
    nearest_t nearest = {NULL, 0};
    for (size_t i = 0; i < fields->count; i++)
        if (!fields->fields[i].line_only)
            nearest_try(&nearest, member->value->string, fields->fields[i].name);
    if (nearest.word != NULL)
        config_wrong(c, member, "unknown member; did you mean \"%s\"?", nearest.word);
    else
        config_wrong(c, member, "unknown member");
}

void config_read_object(config_t *c, const config_node_t *node, const config_fields_t *fields,
                        void *target) {
    if (!cJSON_IsObject(node->value)) {
        config_wrong(c, node, "must be an object");
        return;
    }
    config_node_t member = {.parent = node, .value = node->value->child};
    for (; member.value != NULL; member.value = member.value->next) {
        size_t i = 0;
        while (i < fields->count && (fields->fields[i].line_only ||
                                     strcmp(fields->fields[i].name, member.value->string) != 0))
            i++;
        if (i < fields->count)
            read_field(c, &member, &fields->fields[i], target);
        else
            complain_unknown(c, &member, fields);
    }
}

void *config_read_array(config_t *c, const config_node_t *node, const config_fields_t *fields,
                        size_t size, size_t *count,
                        void (*check)(config_t *c, const config_node_t *node, void *target)) {
    *count = 0;
    if (!cJSON_IsArray(node->value)) {
        config_wrong(c, node, "must be an array of objects");
        return NULL;
    }
    size_t wanted = (size_t)cJSON_GetArraySize(node->value);
    char *all = wanted > 0 ? config_alloc(c, wanted * size) : NULL;
    if (all == NULL)
        return NULL;
    config_node_t item = {.parent = node, .value = node->value->child};
    for (; item.value != NULL; item.value = item.value->next, item.index++) {
        size_t before = c->error_count;
        config_read_object(c, &item, fields, all + item.index * size);
        if (check != NULL && c->error_count == before)
            check(c, &item, all + item.index * size);
    }
    *count = wanted;
    return all;
}

/* Reads the content of a file, which the caller frees. NULL: an error, which has been noted. */
static char *read_whole(config_t *c, const char *path, size_t *len) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        config_fault(c, NULL, "cannot open it: %s", strerror(errno));
        return NULL;
    }
    char *text = malloc(CONFIG_FILE_MAX + 1);
    *len = text != NULL ? fread(text, 1, CONFIG_FILE_MAX + 1, file) : 0;
    int failed = text == NULL ? ENOMEM : ferror(file) ? errno : 0;
    fclose(file);
    if (failed == 0 && *len <= CONFIG_FILE_MAX)
        return text;
    if (failed != 0)
        config_fault(c, NULL, "cannot read it: %s", strerror(failed));
    else
        config_fault(c, NULL, "longer than %d bytes", CONFIG_FILE_MAX);
    if (text != NULL)
        config_wipe(text, CONFIG_FILE_MAX + 1);
    free(text);
    return NULL;
}

void config_read_file(config_t *c, const char *path, const config_fields_t *fields, void *target) {
    size_t len;
    c->file = path;
    char *text = read_whole(c, path, &len);
    if (text != NULL) {
        config_read_json(c, text, len, fields, target);
        config_wipe(text, len);
    }
    free(text);
    if (c->has_secret)
        config_note_secret_file(c, path);
    c->file = NULL;
}

void config_read_json(config_t *c, const char *text, size_t len, const config_fields_t *fields,
                      void *target) {
    wst_json_error_t error;
    if (wst_json_check(text, len, &error) != 0) {
        const char *file = c->file;
        char place[PLACE_MAX];
        snprintf(place, sizeof(place), "%s:%zu:%zu", file, error.line, error.column);
        c->file = NULL;
        config_fault(c, place, "%s", error.why);
        c->file = file;
        return;
    }
    cJSON *root = cJSON_ParseWithLength(text, len);
    if (root != NULL)
        config_read_object(c, &(config_node_t){.value = root}, fields, target);
    else /* the only error left */
        config_fault(c, NULL, "out of memory");
    cJSON_Delete(root);
}

/* Other texts -------------------------------------------------------------------------------- */

void config_read_text(config_t *c, const char *place, const config_field_t *field, const char *text,
                      bool first, void *target) {
    const source_t from = {.place = place};
    void *at = (char *)target + field->offset;
    bool on = true;
    char *end;
    const char **none = NULL;
    switch (field->kind) {
    case CONFIG_FLAG:
        memcpy(at, &on, sizeof(on));
        break;
    case CONFIG_CHOICE:
        put_choice(c, &from, field, text, at);
        break;
    case CONFIG_NUMBER: {
        unsigned long long value = strtoull(text, &end, 10);
        bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0';
        put_number(c, &from, field, digits ? (double)value : -1, at);
        break;
    }
    case CONFIG_LIST:
        if (first)
            memcpy(at, &none, sizeof(none));
        put_item(c, &from, field, text, at);
        break;
    case CONFIG_TEXT:
    case CONFIG_SECRET:
        put_text(c, &from, field, text, at);
        break;
    case CONFIG_OTHER: /* in the file only */
        break;
    }
}

char *config_read_secret(config_t *c, const config_node_t *node, const char *place,
                         const char *path) {
    const source_t from = {.node = node, .place = place};
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        wrong(c, &from, "cannot open %s: %s", path, strerror(errno));
        return NULL;
    }
    config_note_secret_file(c, path);
    char line[CONFIG_SECRET_MAX + 3];
    size_t got = fread(line, 1, sizeof(line) - 1, file);
    fclose(file);
    line[got] = '\0';
    size_t len = strcspn(line, "\r\n");
    char *secret = NULL;
    if (line[len] == '\0' && len < got) /* UTF-16, say: the bytes before it are not the secret */
        wrong(c, &from, "the first line of %s holds a zero byte", path);
    else if (len == 0 || len > CONFIG_SECRET_MAX)
        wrong(c, &from, "the first line of %s must be 1 to %d bytes long", path, CONFIG_SECRET_MAX);
    else
        secret = config_copy(c, line, len);
    config_wipe(line, sizeof(line));
    return secret;
}

char *config_read_pem(config_t *c, const char *place, const char *path) {
    char *text = path != NULL ? config_alloc(c, CONFIG_FILE_MAX + 1) : NULL;
    if (text == NULL)
        return NULL;
    FILE *file = fopen(path, "r");
    size_t len = file != NULL ? fread(text, 1, CONFIG_FILE_MAX + 1, file) : 0;
    if (file == NULL || ferror(file))
        config_fault(c, place, "cannot read %s: %s", path, strerror(errno));
    else if (len > CONFIG_FILE_MAX || strlen(text) != len)
        config_fault(c, place, "%s: not a text of at most 1 MiB", path);
    if (file != NULL)
        fclose(file);
    return text;
}

void config_resolve_secret(config_t *c, const config_node_t *node, const char *name,
                           const char **secret, const char *file) {
    char file_name[32];
    snprintf(file_name, sizeof(file_name), "%s_file", name);
    const config_node_t member = config_member(node, file_name);
    if (*secret != NULL && file != NULL)
        config_wrong(c, node, "only one of \"%s\" and \"%s\" may be there", name, file_name);
    else if (file != NULL)
        *secret = config_read_secret(c, &member, NULL, file);
}

/* Texts -------------------------------------------------------------------------------------- */

bool config_has_control(const char *text) {
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

bool config_is_name(const char *text) {
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                             "0123456789._-")] == '\0';
}

bool config_same_text(const char *a, const char *b) {
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

size_t config_count(const char *const *list) {
    size_t count = 0;
    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

bool config_is_token(const char *text) {
    size_t len =
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/");
    return len > 0 && text[len + strspn(text + len, "=")] == '\0';
}
