/* SPDX-License-Identifier: MIT */
/* UTF-8, a character at a time. RFC 3629 section 3 gives the bits, section 4 what is well-formed.
 */
#include "utf8.h"

#include <string.h>

size_t wst__utf8_get(uint32_t *code, const char *at, size_t len) {
    static const uint32_t least[] = {0x80, 0x800, 0x10000};
    const uint8_t *bytes = (const uint8_t *)at;
    uint8_t first = bytes[0];
    if (first < 0x80) {
        *code = first;
        return 1;
    }
    size_t n = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || n > len)
        return 0;
    uint32_t value = first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3fu);
    }
    if (value < least[n - 2] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return 0;
    *code = value;
    return n;
}

size_t wst__utf8_put(char *out, uint32_t code) {
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(n == 1 ? code : lead[n] | code);
    return n;
}

bool wst__utf8_is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

size_t wst__utf8_plain(const char *text, size_t len) {
    size_t n = 0;
    while (n < len && text[n] >= 0x20 && text[n] < 0x7f)
        n++;
    return n;
}

void wst__utf8_cut(char *out, size_t size, const char *text) {
    size_t len = strlen(text);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && (text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(out, text, len);
    out[len] = '\0';
}
