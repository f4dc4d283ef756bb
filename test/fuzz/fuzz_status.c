/* SPDX-License-Identifier: MIT */
/*
 * What a server says of itself, in the table of `wstunnel-server status`. The input is rows,
 * columns, a key, and the status.
 *
 * Checked: no byte of it that could control a terminal is drawn, no line is wider than the screen,
 * and a screen has just its rows.
 */
#include "../../examples/status_data.h"
#include "../../examples/status_view.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 3, STATUS_MAX = 8192 };

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "fuzz_status: %s\n", what);
    abort();
}

static void check_line(const char *line, size_t len, size_t columns) {
    char text[8 * SCREEN_COLUMNS_MAX];
    for (size_t i = 0; i < len; i++)
        require((unsigned char)line[i] >= ' ' && line[i] != 0x7f, "a control character");
    if (columns == 0)
        return; /* it may be longer than what is measured at once */
    require(len < sizeof(text), "a long line");
    memcpy(text, line, len);
    text[len] = '\0';
    require(len > 512 || screen_width(text) <= columns, "a wide line");
}

static void check_screen(const screen_t *s) {
    size_t rows = 0;
    const char *line = s->text, *end = s->text + s->len;
    for (; line < end; rows++) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        require(next != NULL, "a line without an end");
        check_line(line, (size_t)(next - line), s->columns);
        line = next + 1;
    }
    require(rows == s->row && (s->rows == 0 || rows == s->rows), "another number of rows");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    status_data_t status;
    status_view_t view = {.address = "unix:/run/admin"};
    screen_t screen = {0};
    const char *why;
    if (size < HEAD || size > HEAD + STATUS_MAX)
        return 0;
    setlocale(LC_CTYPE, "C.UTF-8");
    if (!status_data_read(&status, (const char *)data + HEAD, size - HEAD, &why))
        return 0;
    view.trouble = data[2] % 2 != 0 ? status.version : NULL;
    for (size_t i = 0; i < 3; i++) {
        status_view_draw(&screen, &view, &status, data[0], data[1]);
        require(!screen.failed, "no memory");
        check_screen(&screen);
        (void)status_view_press(&view, data[2]);
    }
    status_data_free(&status);
    screen_free(&screen);
    return 0;
}
