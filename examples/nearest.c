/* SPDX-License-Identifier: MIT */
#include "nearest.h"

#include <string.h>

enum { WORD_MAX = 48 };

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

/* The number of changes: the optimal string alignment distance, row by row. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len) {
    size_t rows[3][WORD_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void nearest_try(nearest_t *n, const char *typed, const char *known) {
    size_t typed_len = strlen(typed), known_len = strlen(known);
    if (typed_len >= WORD_MAX || known_len >= WORD_MAX)
        return;
    size_t found = distance(typed, typed_len, known, known_len);
    if (found > known_len / 3 || (n->word != NULL && found >= n->distance))
        return;
    n->word = known;
    n->distance = found;
}
