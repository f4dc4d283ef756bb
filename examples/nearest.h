/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_NEAREST_H
#define EXAMPLES_NEAREST_H
/* What was probably meant by a word that is mistyped. */
#include <stddef.h>

/* The nearest one found so far. A zeroed one is ready for use. */
typedef struct nearest {
    const char *word; /* NULL: none is near */
    size_t distance;
} nearest_t;

/*
 * Compares a known word with the one that was typed. It is near if it takes few changes, at most a
 * third of its length: a character more or less, another one, two neighbours exchanged; the first
 * such word of those with the fewest stays. Words of 48 characters and more are near to none.
 */
void nearest_try(nearest_t *n, const char *typed, const char *known);

#endif
