/* SPDX-License-Identifier: MIT */
#include "admin_text.h"

#include "utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <wstunnel/json.h>

static void put_raw(wst__admin_text_t *t, const char *data, size_t len) {
    if (len > wst__admin_text_room(t)) {
        t->full = true;
        return;
    }
    memcpy(t->at + t->len, data, len);
    t->len += len;
}

void wst__admin_put(wst__admin_text_t *t, const char *text) {
    put_raw(t, text, strlen(text));
}

void wst__admin_put_number(wst__admin_text_t *t, uint64_t number) {
    char digits[24];
    put_raw(t, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number));
}

void wst__admin_put_signed(wst__admin_text_t *t, int64_t number) {
    char digits[24];
    put_raw(t, digits, (size_t)snprintf(digits, sizeof(digits), "%" PRId64, number));
}

void wst__admin_put_bool(wst__admin_text_t *t, bool value) {
    wst__admin_put(t, value ? "true" : "false");
}

void wst__admin_put_seconds(wst__admin_text_t *t, uint64_t us) {
    char digits[32];
    int len =
        snprintf(digits, sizeof(digits), "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
    while (digits[len - 1] == '0' && digits[len - 2] != '.')
        len--;
    put_raw(t, digits, (size_t)len);
}

void wst__admin_put_ms(wst__admin_text_t *t, uint64_t us) {
    char digits[32];
    put_raw(
        t, digits,
        (size_t)snprintf(digits, sizeof(digits), "%" PRIu64 ".%03" PRIu64, us / 1000, us % 1000));
}

void wst__admin_put_json(wst__admin_text_t *t, const char *text) {
    size_t len = strlen(text);
    if (wst__admin_text_room(t) < 6 * len + 3)
        t->full = true;
    else
        t->len += wst_json_quote(t->at + t->len, wst__admin_text_room(t), text, len);
}

void wst__admin_put_label(wst__admin_text_t *t, const char *text) {
    size_t len = strlen(text);
    put_raw(t, "\"", 1);
    while (len > 0) {
        uint32_t code;
        size_t n = wst__utf8_get(&code, text, len);
        if (n == 0)
            put_raw(t, "\xef\xbf\xbd", 3);
        else if (code == '\n')
            put_raw(t, "\\n", 2);
        else if (code == '"' || code == '\\')
            put_raw(t, code == '"' ? "\\\"" : "\\\\", 2);
        else
            put_raw(t, text, n);
        n = n > 0 ? n : 1;
        text += n;
        len -= n;
    }
    put_raw(t, "\"", 1);
}
