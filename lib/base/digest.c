/* SPDX-License-Identifier: MIT */
/*
 * Hex and base64. Passwords and tokens are written in base64, so no branch and no table look-up
 * depends on a character's value.
 */
#include "digest.h"

#include <string.h>

size_t wst__hash_len(wst__hash_t hash) {
    return hash == WST__MD5 ? 16 : 32;
}

void wst__hex_encode(char *out, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool wst__hex_decode(uint8_t *out, size_t len, wst_str_t text) {
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text.ptr[2 * i]), low = hex_value(text.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* 0xff if low <= value <= high, else 0; all below 256. */
static unsigned mask_within(unsigned value, unsigned low, unsigned high) {
    return ((low - 1 - value) & (value - high - 1)) >> 8 & 0xff;
}

static char base64_char(unsigned value) {
    return (char)((mask_within(value, 0, 25) & (value + 'A')) |
                  (mask_within(value, 26, 51) & (value - 26 + 'a')) |
                  (mask_within(value, 52, 61) & (value - 52 + '0')) |
                  (mask_within(value, 62, 62) & '+') | (mask_within(value, 63, 63) & '/'));
}

/* 0x100 if the character is not of the alphabet. */
static unsigned base64_value(char character) {
    unsigned c = (unsigned char)character;
    unsigned plus_one = (mask_within(c, 'A', 'Z') & (c - 'A' + 1)) |
                        (mask_within(c, 'a', 'z') & (c - 'a' + 27)) |
                        (mask_within(c, '0', '9') & (c - '0' + 53)) |
                        (mask_within(c, '+', '+') & 63) | (mask_within(c, '/', '/') & 64);
    return (plus_one - 1) & 0x1ff;
}

size_t wst__base64_encode(char *out, const void *data, size_t len) {
    const uint8_t *in = data;
    char *at = out;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t bits = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                        (left > 2 ? in[i + 2] : 0);
        *at++ = base64_char(bits >> 18);
        *at++ = base64_char(bits >> 12 & 63);
        *at++ = left > 1 ? base64_char(bits >> 6 & 63) : '=';
        *at++ = left > 2 ? base64_char(bits & 63) : '=';
    }
    *at = '\0';
    return (size_t)(at - out);
}

bool wst__base64_decode(uint8_t *out, size_t *out_len, const char *text, size_t text_len) {
    size_t pad = 0;
    uint8_t *at = out; /* never ahead of what is read: `out` may be `text` */
    unsigned bad = 0;
    if (text_len % 4 != 0)
        return false;
    if (text_len > 0 && text[text_len - 1] == '=')
        pad = text[text_len - 2] == '=' ? 2 : 1;
    for (size_t i = 0; i < text_len; i += 4) {
        size_t digits = i + 4 < text_len ? 4 : 4 - pad;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4; k++) {
            unsigned value = k < digits ? base64_value(text[i + k]) : 0;
            bad |= value & 0x100;
            bits = bits << 6 | (value & 63);
        }
        uint32_t unused = digits == 4 ? 0 : digits == 3 ? 0xff : 0xffff;
        bad |= bits & unused;
        *at++ = (uint8_t)(bits >> 16);
        if (digits > 2)
            *at++ = (uint8_t)(bits >> 8);
        if (digits > 3)
            *at++ = (uint8_t)bits;
    }
    if (bad == 0)
        *out_len = (size_t)(at - out);
    return bad == 0;
}
