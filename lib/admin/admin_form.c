/* SPDX-License-Identifier: MIT */
#include "admin_form.h"

#include "digest.h"

#include <string.h>

/* Finds the raw value of a field. As wst__admin_form_text. */
static int find_field(wst_str_t *value, wst_str_t form, const char *name) {
    int found = 0;
    size_t name_len = strlen(name);
    while (form.len > 0) {
        const char *end = memchr(form.ptr, '&', form.len);
        size_t len = end != NULL ? (size_t)(end - form.ptr) : form.len;
        if (len > name_len && form.ptr[name_len] == '=' && memcmp(form.ptr, name, name_len) == 0) {
            if (found != 0)
                return -1;
            found = 1;
            *value = (wst_str_t){form.ptr + name_len + 1, len - name_len - 1};
        }
        size_t step = end != NULL ? len + 1 : len;
        form = (wst_str_t){form.ptr + step, form.len - step};
    }
    return found;
}

/* Takes a character off the value. Returns how many bytes stand for it; 0: malformed. */
static size_t take_char(uint8_t *out, const char *at, size_t len) {
    *out = (uint8_t)(at[0] == '+' ? ' ' : at[0]);
    if (at[0] != '%')
        return *out != 0 ? 1 : 0;
    return len >= 3 && wst__hex_decode(out, 1, (wst_str_t){at + 1, 2}) && *out != 0 ? 3 : 0;
}

int wst__admin_form_text(const char *form, size_t len, const char *name, char *out, size_t size) {
    wst_str_t value = {0};
    int found = find_field(&value, (wst_str_t){form, len}, name);
    if (found <= 0)
        return found;
    size_t at = 0, n = 0;
    for (size_t used; at < value.len; at += used) {
        uint8_t byte;
        used = take_char(&byte, value.ptr + at, value.len - at);
        if (used == 0 || n + 1 >= size)
            return -1;
        out[n++] = (char)byte;
    }
    out[n] = '\0';
    return 1;
}

int wst__admin_form_number(const char *form, size_t len, const char *name, uint64_t *out) {
    char digits[21];
    int found = wst__admin_form_text(form, len, name, digits, sizeof(digits));
    if (found <= 0)
        return found;
    uint64_t number = 0;
    for (const char *at = digits; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || number > (UINT64_MAX - (uint64_t)(*at - '0')) / 10)
            return -1;
        number = 10 * number + (uint64_t)(*at - '0');
    }
    *out = number;
    return digits[0] != '\0' ? 1 : -1;
}
