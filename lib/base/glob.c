/* SPDX-License-Identifier: MIT */
/* Patterns (glob.h). */
#include "glob.h"

static char fold_case(char c, bool fold) {
    return fold && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Only the last star met is retried: it can match whatever an earlier star could. */
static bool matches(const char *pattern, wst_str_t text, bool fold) {
    const char *star = NULL;
    size_t i = 0, retry = 0;
    while (i < text.len) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = i;
        } else if (*pattern != '\0' && *pattern == fold_case(text.ptr[i], fold)) {
            pattern++;
            i++;
        } else if (star != NULL) {
            pattern = star;
            i = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool wst__glob(const char *pattern, wst_str_t text) {
    return matches(pattern, text, false);
}

bool wst__glob_fold(const char *pattern, wst_str_t text) {
    return matches(pattern, text, true);
}

/* The number of characters before the first star. */
static size_t fixed_head(const char *pattern) {
    size_t n = 0;
    while (pattern[n] != '\0' && pattern[n] != '*')
        n++;
    return n;
}

static size_t length(const char *pattern) {
    size_t n = 0;
    while (pattern[n] != '\0')
        n++;
    return n;
}

/* The number of characters behind the last star of a pattern that has one. */
static size_t fixed_tail(const char *pattern) {
    size_t len = length(pattern), n = 0;
    while (pattern[len - 1 - n] != '*')
        n++;
    return n;
}

/*
 * With a star in both patterns, only the text before the first and behind the last star can
 * contradict: in between, the middle of one pattern may follow that of the other.
 */
bool wst__globs_meet(const char *a, const char *b) {
    size_t head_a = fixed_head(a), head_b = fixed_head(b);
    if (a[head_a] == '\0')
        return wst__glob(b, (wst_str_t){a, head_a});
    if (b[head_b] == '\0')
        return wst__glob(a, (wst_str_t){b, head_b});
    size_t head = head_a < head_b ? head_a : head_b;
    for (size_t i = 0; i < head; i++) {
        if (a[i] != b[i])
            return false;
    }
    size_t tail_a = fixed_tail(a), tail_b = fixed_tail(b);
    size_t tail = tail_a < tail_b ? tail_a : tail_b;
    const char *end_a = a + length(a), *end_b = b + length(b);
    for (size_t i = 1; i <= tail; i++) {
        if (end_a[-(long)i] != end_b[-(long)i])
            return false;
    }
    return true;
}
