/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <assert.h>
#include <string.h>

void wst__text_copy(char *out, size_t size, wst_str_t text) {
    assert(size > 0);
    size_t len = text.len < size ? text.len : size - 1;
    if (len > 0)
        memcpy(out, text.ptr, len);
    out[len] = '\0';
}

char *wst__text_decimal(char *out, uint64_t number) {
    char digits[WST__DECIMAL_MAX];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    size_t len = sizeof(digits) - first;
    memcpy(out, digits + first, len);
    return out + len;
}
