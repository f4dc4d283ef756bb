/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_SCREEN_H
#define EXAMPLES_SCREEN_H
/*
 * Lines of text of a bounded width, put together for a terminal or a file. What may have come from
 * a peer is made harmless: control characters, and those that change the direction of text, appear
 * escaped as in the log (wst_log_escape), characters that the locale (LC_CTYPE) does not know as
 * '?'. No I/O.
 */
#include <stdbool.h>
#include <stddef.h>

enum { SCREEN_ROWS_MAX = 512, SCREEN_COLUMNS_MAX = 1024 };

typedef enum screen_style { SCREEN_PLAIN, SCREEN_BOLD, SCREEN_REVERSED } screen_style_t;

typedef struct screen {
    size_t rows, columns; /* most of them; 0: any number */
    char *text;           /* lines, each ended by '\n'; not terminated */
    size_t len, size;
    size_t row;            /* lines that have been ended */
    size_t line, used;     /* where the present line begins, and columns of it in use */
    unsigned char *styles; /* of each line; only if there is a bound of rows */
    bool failed;           /* there was no memory: the text must not be used */
} screen_t;

/* Begins an empty screen. Bounds beyond the constants above are lowered to them. A zeroed screen is
 * ready for this; one that was used before keeps its memory. */
void screen_begin(screen_t *s, size_t rows, size_t columns);
void screen_free(screen_t *s);

/* Adds a text to the line, padded with blanks to `width` columns or cut with a '~' at their end; to
 * the left or to the right. `width` 0: as wide as it is. What goes beyond the line is cut. */
void screen_put(screen_t *s, const char *text, size_t width, bool right);

/* Ends the line. Blanks at its end are taken away. Lines beyond the last row are dropped. */
void screen_end_line(screen_t *s, screen_style_t style);

/* How many columns a text takes. */
size_t screen_width(const char *text);

#endif
