/* SPDX-License-Identifier: MIT */
/*
 * The strict JSON scanner: recursive descent, one pass, no memory. Keeps the first
 * error, a static text, with its position.
 */
#include "json_scan.h"

#include <string.h>
#include <wstunnel/codec.h>
#include <wstunnel/error.h>
#include <wstunnel/json.h>

#include "utf8.h"

typedef struct scanner {
    const char *text, *at, *end;
    char *writable; /* the same text, or NULL if it must not change */
    const char *why, *where;
    size_t max_members;
    wst__json_member_t *wanted;
    size_t wanted_count;
} scanner_t;

static bool scan_value(scanner_t *s, size_t depth);

static bool wrong_at(scanner_t *s, const char *where, const char *why) {
    s->where = where;
    s->why = why;
    return false;
}

static bool wrong(scanner_t *s, const char *why) {
    return wrong_at(s, s->at, why);
}

/* NUL at the end, which is not part of any token. */
static char peek(const scanner_t *s) {
    return s->at < s->end ? *s->at : '\0';
}

static bool accept(scanner_t *s, char c) {
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static void skip_space(scanner_t *s) {
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
}

static bool read_hex4(const char *at, const char *end, uint32_t *unit) {
    if (end - at < 4)
        return false;
    *unit = 0;
    for (size_t i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = (uint32_t)c - '0';
        if (c >= 'a' && c <= 'f')
            digit = (uint32_t)c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (uint32_t)c - 'A' + 10;
        else if (c < '0' || c > '9')
            return false;
        *unit = *unit << 4 | digit;
    }
    return true;
}

/* `*at` is behind "\u". Two escapes make a character above U+FFFF (RFC 8259 section 7). */
static const char *read_unicode_escape(const char **at, const char *end, uint32_t *code) {
    uint32_t low;
    if (!read_hex4(*at, end, code))
        return "malformed escape in a JSON string";
    *at += 4;
    if (*code == 0)
        return "U+0000 in a JSON string";
    if (*code < 0xd800 || *code > 0xdfff)
        return NULL;
    if (*code > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' ||
        !read_hex4(*at + 2, end, &low) || low < 0xdc00 || low > 0xdfff)
        return "lone surrogate in a JSON string";
    *at += 6;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return NULL;
}

/* The next character of a string, escaped or not; there is at least a byte. */
static const char *next_code(const char **at, const char *end, uint32_t *code) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (**at != '\\') {
        size_t n = wst__utf8_get(code, *at, (size_t)(end - *at));
        *at += n;
        if (n == 0)
            return "JSON text is not UTF-8";
        return *code < 0x20 ? "control character in a JSON string" : NULL;
    }
    if (end - *at < 2)
        return "JSON string without end";
    char escape = (*at)[1];
    *at += 2;
    if (escape == 'u')
        return read_unicode_escape(at, end, code);
    const char *letter = memchr(letters, escape, sizeof(letters) - 1);
    if (letter == NULL)
        return "malformed escape in a JSON string";
    *code = (uint32_t)meanings[letter - letters];
    return NULL;
}

static bool scan_string(scanner_t *s) {
    const char *start = s->at++;
    while (s->at < s->end) {
        uint8_t c = (uint8_t)*s->at;
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c >= 0x20 && c < 0x80 && c != '\\') { /* fast path, as for base64 */
            s->at++;
            continue;
        }
        uint32_t code;
        const char *at = s->at;
        const char *why = next_code(&at, s->end, &code);
        if (why != NULL)
            return wrong(s, why);
        s->at = at;
    }
    return wrong_at(s, start, "JSON string without end");
}

/* The next character of a scanned string; names have mostly plain ones. */
static uint32_t scanned_code(const char **at, const char *end) {
    const char *first = *at;
    uint32_t code = (uint8_t)*first;
    if (code < 0x80 && code != '\\')
        (*at)++;
    else
        next_code(at, end, &code);
    return code;
}

/* Whether two scanned strings are equal; `a` and `b` are behind the opening quotes. */
static bool same_string(const char *a, const char *b, const char *end) {
    while (*a != '"' && *b != '"')
        if (scanned_code(&a, end) != scanned_code(&b, end))
            return false;
    return *a == *b;
}

/* `name` is not empty. */
static bool is_named(const char *string, const char *name, const char *end) {
    if (*string != *name && *string != '\\') /* most are told apart here */
        return false;
    while (*string != '"')
        if (*name == '\0' || scanned_code(&string, end) != (uint8_t)*name++)
            return false;
    return *name == '\0';
}

static void note_member(scanner_t *s, const char *name, const char *value) {
    for (size_t i = 0; i < s->wanted_count; i++) {
        if (is_named(name, s->wanted[i].name, s->end)) {
            s->wanted[i].value = s->writable + (value - s->text);
            s->wanted[i].len = (size_t)(s->at - value);
        }
    }
}

/* `depth` counts the enclosing objects and arrays, this one included. */
static bool scan_object(scanner_t *s, size_t depth) {
    const char *names[WST_JSON_MEMBERS];
    size_t count = 0;
    s->at++;
    skip_space(s);
    if (accept(s, '}'))
        return true;
    do {
        skip_space(s);
        if (peek(s) != '"')
            return wrong(s, "JSON member name expected");
        if (count == s->max_members)
            return wrong(s, "too many members in a JSON object");
        names[count] = s->at + 1;
        if (!scan_string(s))
            return false;
        for (size_t i = 0; i < count; i++)
            if (same_string(names[i], names[count], s->end))
                return wrong_at(s, names[count] - 1, "duplicate member in a JSON object");
        skip_space(s);
        if (!accept(s, ':'))
            return wrong(s, "':' expected in a JSON object");
        skip_space(s);
        const char *value = s->at;
        if (!scan_value(s, depth))
            return false;
        if (depth == 1)
            note_member(s, names[count], value);
        count++;
        skip_space(s);
    } while (accept(s, ','));
    return accept(s, '}') || wrong(s, "',' or '}' expected in a JSON object");
}

static bool scan_array(scanner_t *s, size_t depth) {
    s->at++;
    skip_space(s);
    if (accept(s, ']'))
        return true;
    do {
        skip_space(s);
        if (!scan_value(s, depth))
            return false;
        skip_space(s);
    } while (accept(s, ','));
    return accept(s, ']') || wrong(s, "',' or ']' expected in a JSON array");
}

static bool skip_digits(scanner_t *s) {
    const char *start = s->at;
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return s->at > start;
}

/* Whether digits without a leading zero are a number below 2^53, then in `*value`. */
static bool read_digits(const char *digits, size_t len, uint64_t *value) {
    if (len == 0 || len > 16) /* 2^53 has 16 digits */
        return false;
    *value = 0;
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        *value = *value * 10 + (uint64_t)(digits[i] - '0');
    }
    return *value < WST_NUMBER_LIMIT;
}

static bool scan_number(scanner_t *s) {
    const char *start = s->at;
    bool negative = accept(s, '-');
    const char *digits = s->at;
    uint64_t value;
    /* No leading zeros (section 6): a digit behind a zero is unexpected then. */
    if (!accept(s, '0') && !skip_digits(s))
        return wrong(s, "malformed JSON number");
    bool exact = read_digits(digits, (size_t)(s->at - digits), &value) && !(negative && value == 0);
    if (accept(s, '.')) {
        exact = false;
        if (!skip_digits(s))
            return wrong(s, "malformed JSON number");
    }
    if (accept(s, 'e') || accept(s, 'E')) {
        exact = false;
        if (!accept(s, '+'))
            accept(s, '-');
        if (!skip_digits(s))
            return wrong(s, "malformed JSON number");
    }
    if (!exact && s->writable != NULL) { /* at least 2 characters long */
        char *out = s->writable + (start - s->text);
        memset(out, ' ', (size_t)(s->at - start));
        memcpy(out, "{}", 2);
    }
    return true;
}

static bool scan_word(scanner_t *s, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
        return wrong(s, "JSON value expected");
    s->at += len;
    return true;
}

static bool scan_value(scanner_t *s, size_t depth) {
    char c = peek(s);
    switch (c) {
    case '{':
    case '[':
        if (depth == WST__JSON_DEPTH)
            return wrong(s, "JSON nested too deep");
        return c == '{' ? scan_object(s, depth + 1) : scan_array(s, depth + 1);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        if (c != '-' && (c < '0' || c > '9'))
            return wrong(s, "JSON value expected");
        return scan_number(s);
    }
}

/* NULL, or the error text; `where` is its position. */
static const char *scan(scanner_t *s) {
    skip_space(s);
    if (peek(s) != '{')
        wrong(s, "not a JSON object");
    else if (scan_value(s, 0)) {
        skip_space(s);
        if (s->at != s->end)
            wrong(s, "text behind the JSON object");
    }
    return s->why;
}

const char *wst__json_scan(char *text, size_t len, wst__json_member_t *wanted, size_t count) {
    scanner_t s = {.text = text,
                   .at = text,
                   .end = text + len,
                   .writable = text,
                   .max_members = WST__JSON_MEMBERS,
                   .wanted = wanted,
                   .wanted_count = count};
    for (size_t i = 0; i < count; i++) {
        wanted[i].value = NULL;
        wanted[i].len = 0;
    }
    return scan(&s);
}

int wst_json_check(const char *text, size_t len, wst_json_error_t *error) {
    scanner_t s = {.text = text, .at = text, .end = text + len, .max_members = WST_JSON_MEMBERS};
    const char *why = scan(&s);
    if (why == NULL)
        return 0;
    if (error != NULL) {
        *error = (wst_json_error_t){.line = 1, .column = 1, .why = why};
        for (const char *at = text; at < s.where; at++) {
            if (*at == '\n') {
                error->line++;
                error->column = 1;
            } else if ((*at & 0xc0) != 0x80) { /* where a character begins */
                error->column++;
            }
        }
    }
    return WST_EINVAL;
}

bool wst__json_member_uint(const wst__json_member_t *member, uint64_t *value) {
    return member->value != NULL && read_digits(member->value, member->len, value);
}

bool wst__json_member_string(wst__json_member_t *member, char **value, size_t *len) {
    if (member->value == NULL || member->value[0] != '"')
        return false;
    *value = member->value + 1;
    *len = member->len - 2;
    if (memchr(*value, '\\', *len) == NULL)
        return true;
    const char *at = *value, *end = *value + *len;
    char *out = *value;
    while (at < end) {
        uint32_t code = 0;
        next_code(&at, end, &code);
        out += wst__utf8_put(out, code); /* never longer than the input read */
    }
    *len = (size_t)(out - *value);
    return true;
}
