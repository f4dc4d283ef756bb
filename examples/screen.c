/* SPDX-License-Identifier: MIT */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* wcwidth */
#endif
#include "screen.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wstunnel/ctx.h>

enum { TEXT_MAX = 512, FIRST_SIZE = 4096 };

/* Characters --------------------------------------------------------------------------------- */

typedef struct character {
    const char *at;
    size_t len, columns;
} character_t;

static size_t bytes_of(unsigned char first) {
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* The first character of a text, which is UTF-8 without control characters. */
static character_t first_of(const char *text) {
    static const character_t unknown = {"?", 1, 1};
    size_t len = bytes_of((unsigned char)*text);
    mbstate_t state = {0};
    wchar_t wide;
    if (len == 1)
        return (character_t){text, 1, 1};
    int columns = mbrtowc(&wide, text, len, &state) == len ? wcwidth(wide) : -1;
    return columns < 0 ? unknown : (character_t){text, len, (size_t)columns};
}

static size_t width_of(const char *harmless) {
    size_t columns = 0;
    for (; *harmless != '\0'; harmless += bytes_of((unsigned char)*harmless))
        columns += first_of(harmless).columns;
    return columns;
}

/* A text longer than TEXT_MAX bytes is cut. */
static void make_harmless(char out[6 * TEXT_MAX + 1], const char *text) {
    size_t len = strlen(text);
    wst_log_escape(out, 6 * TEXT_MAX + 1, text, len < TEXT_MAX ? len : TEXT_MAX);
}

size_t screen_width(const char *text) {
    char harmless[6 * TEXT_MAX + 1];
    make_harmless(harmless, text);
    return width_of(harmless);
}

/* Lines -------------------------------------------------------------------------------------- */

void screen_begin(screen_t *s, size_t rows, size_t columns) {
    s->rows = rows < SCREEN_ROWS_MAX ? rows : SCREEN_ROWS_MAX;
    s->columns = columns < SCREEN_COLUMNS_MAX ? columns : SCREEN_COLUMNS_MAX;
    s->len = s->row = s->line = s->used = 0;
    s->failed = false;
    if (s->rows > 0 && s->styles == NULL)
        s->styles = malloc(SCREEN_ROWS_MAX);
    if (s->rows > 0 && s->styles == NULL)
        s->failed = true;
}

void screen_free(screen_t *s) {
    free(s->text);
    free(s->styles);
    *s = (screen_t){0};
}

static void append(screen_t *s, const char *data, size_t len) {
    if (s->size - s->len < len) {
        size_t size = s->size > 0 ? 2 * s->size : FIRST_SIZE; /* more than a character */
        char *text = realloc(s->text, size);
        if (text == NULL) {
            s->failed = true;
            return;
        }
        s->text = text;
        s->size = size;
    }
    memcpy(s->text + s->len, data, len);
    s->len += len;
}

static void put_blanks(screen_t *s, size_t count) {
    s->used += count;
    while (count-- > 0)
        append(s, " ", 1);
}

/* Puts what fits into `width` columns. */
static void put_cut(screen_t *s, const char *harmless, size_t width) {
    size_t used = 0, keep = width > 0 ? width - 1 : 0; /* the last one is for the mark */
    for (; *harmless != '\0'; harmless += bytes_of((unsigned char)*harmless)) {
        const character_t c = first_of(harmless);
        if (used + c.columns > keep)
            break;
        append(s, c.at, c.len);
        used += c.columns;
    }
    if (width > 0)
        append(s, "~", 1);
    s->used += used + (width > 0);
}

static void put_whole(screen_t *s, const char *harmless) {
    for (; *harmless != '\0'; harmless += bytes_of((unsigned char)*harmless)) {
        const character_t c = first_of(harmless);
        append(s, c.at, c.len);
        s->used += c.columns;
    }
}

void screen_put(screen_t *s, const char *text, size_t width, bool right) {
    char harmless[6 * TEXT_MAX + 1];
    make_harmless(harmless, text);
    size_t wanted = width_of(harmless), left = s->columns - s->used, end;
    if (width == 0)
        width = wanted;
    if (s->columns > 0 && width > left)
        width = left;
    end = s->used + width;
    if (wanted > width) {
        put_cut(s, harmless, width);
    } else {
        if (right)
            put_blanks(s, width - wanted);
        put_whole(s, harmless);
    }
    put_blanks(s, end - s->used);
}

void screen_end_line(screen_t *s, screen_style_t style) {
    while (s->len > s->line && s->text[s->len - 1] == ' ')
        s->len--;
    if (s->rows > 0 && s->row == s->rows) {
        s->len = s->line;
    } else {
        append(s, "\n", 1);
        if (s->rows > 0 && !s->failed)
            s->styles[s->row] = (unsigned char)style;
        s->row++;
    }
    s->line = s->len;
    s->used = 0;
}
