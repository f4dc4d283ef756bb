/* SPDX-License-Identifier: MIT */
/* JSON texts, read by cJSON (included nowhere else) and written. */
#include "json.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <wstunnel/error.h>
#include <wstunnel/json.h>

#include "digest.h"
#include "utf8.h"

int wst__json_parse(wst__json_t **out, const char *text, size_t len) {
    wst__json_t *root = cJSON_ParseWithLength(text, len);
    if (root == NULL) /* a scanned text has no other fault */
        return WST_ENOMEM;
    *out = root;
    return 0;
}

void wst__json_free(wst__json_t *root) {
    cJSON_Delete(root);
}

const wst__json_t *wst__json_get(const wst__json_t *object, const char *name) {
    const wst__json_t *value = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNull(value) ? NULL : value;
}

bool wst__json_integer(const wst__json_t *value, int64_t min, int64_t max, int64_t *out) {
    /* The scanner has left only numbers that a double holds exactly. */
    if (!cJSON_IsNumber(value) || (int64_t)value->valuedouble < min ||
        (int64_t)value->valuedouble > max)
        return false;
    *out = (int64_t)value->valuedouble;
    return true;
}

bool wst__json_string(const wst__json_t *value, wst_str_t *out) {
    if (!cJSON_IsString(value))
        return false;
    *out = (wst_str_t){value->valuestring, strlen(value->valuestring)};
    return true;
}

bool wst__json_boolean(const wst__json_t *value, bool *out) {
    *out = cJSON_IsTrue(value);
    return cJSON_IsBool(value);
}

bool wst__json_is_object(const wst__json_t *value) {
    return cJSON_IsObject(value);
}

bool wst__json_is_array_of_strings(const wst__json_t *value) {
    if (!cJSON_IsArray(value))
        return false;
    for (const wst__json_t *item = value->child; item != NULL; item = item->next)
        if (!cJSON_IsString(item))
            return false;
    return true;
}

bool wst__json_array_has(const wst__json_t *array, const char *text) {
    const wst__json_t *item = array->child;
    while (item != NULL && strcmp(item->valuestring, text) != 0)
        item = item->next;
    return item != NULL;
}

static void put_raw(wst__json_writer_t *w, const char *bytes, size_t len) {
    if (w->overflow || len > (size_t)(w->end - w->at)) {
        w->overflow = true;
        return;
    }
    memcpy(w->at, bytes, len);
    w->at += len;
}

void wst__json_put(wst__json_writer_t *w, const char *text) {
    put_raw(w, text, strlen(text));
}

void wst__json_put_uint(wst__json_writer_t *w, uint64_t value) {
    char digits[20];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_raw(w, digits + start, sizeof(digits) - start);
}

/* A character below U+10000. */
static void put_escape(wst__json_writer_t *w, uint32_t code) {
    static const char hex[] = "0123456789abcdef";
    const char escape[] = {
        '\\', 'u', hex[code >> 12 & 15], hex[code >> 8 & 15], hex[code >> 4 & 15], hex[code & 15]};
    put_raw(w, escape, sizeof(escape));
}

/* A character of a string, escaped where it must be. */
static void put_character(wst__json_writer_t *w, const char *at, size_t n) {
    const char escaped[] = {'\\', *at};
    if (*at == '"' || *at == '\\')
        put_raw(w, escaped, sizeof(escaped));
    else if ((unsigned char)*at < 0x20)
        put_escape(w, (unsigned char)*at);
    else
        put_raw(w, at, n);
}

void wst__json_put_string(wst__json_writer_t *w, wst_str_t text) {
    wst__json_put(w, "\"");
    for (size_t i = 0; i < text.len; i++)
        put_character(w, text.ptr + i, 1);
    wst__json_put(w, "\"");
}

void wst__json_put_base64(wst__json_writer_t *w, const void *data, size_t len) {
    wst__json_put(w, "\"");
    /* the quote replaces the terminator of the base64 */
    if (w->overflow || WST__BASE64_LEN(len) + 1 > (size_t)(w->end - w->at)) {
        w->overflow = true;
        return;
    }
    w->at += wst__base64_encode(w->at, data, len);
    wst__json_put(w, "\"");
}

size_t wst_json_quote(char *out, size_t size, const char *text, size_t len) {
    wst__json_writer_t w = {out, out + size - 2, false}; /* room for the quote and the end */
    put_raw(&w, "\"", 1);
    for (const char *at = text; at < text + len && !w.overflow;) {
        uint32_t code;
        size_t n = wst__utf8_get(&code, at, (size_t)(text + len - at));
        if (n > 0 && wst__utf8_is_control(code)) /* more than JSON asks for: terminals obey these */
            put_escape(&w, code);
        else if (n > 0)
            put_character(&w, at, n);
        else
            put_raw(&w, "\xef\xbf\xbd", 3);
        at += n > 0 ? n : 1;
    }
    memcpy(w.at, "\"", 2);
    return (size_t)(w.at + 1 - out);
}
