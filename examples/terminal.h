/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_TERMINAL_H
#define EXAMPLES_TERMINAL_H
/*
 * The terminal at standard input and output, for a program that draws its whole screen: ECMA-48
 * sequences, which every terminal of today knows, and termios. One of them for a process.
 */
#include "screen.h"

#include <stdint.h>

/* Keys beside characters; those are bytes of what was typed. */
enum terminal_key {
    TERMINAL_BACKSPACE = 256,
    TERMINAL_ENTER,
    TERMINAL_ESCAPE,
    TERMINAL_TAB,
    TERMINAL_UP,
    TERMINAL_DOWN,
    TERMINAL_PAGE_UP,
    TERMINAL_PAGE_DOWN,
    TERMINAL_HOME,
    TERMINAL_END,
    TERMINAL_UNKNOWN /* a sequence of another key */
};

/* Whether both are a terminal that can do more than print lines (TERM=dumb cannot). */
bool terminal_is_there(void);

/* Takes the terminal: what is typed does not appear and is read key by key, though Ctrl-C, Ctrl-\
 * and Ctrl-Z keep their meaning; the screen is another one, empty and without a cursor. A fault of
 * the program restores it. May be called again after terminal_restore(). 0 or an errno. */
int terminal_take(void);

/* Gives the terminal back as it was. Does nothing if it has not been taken. May be called in signal
 * handlers. */
void terminal_restore(void);

/* Its size now; 24 by 80 if it does not tell. */
void terminal_size(size_t *rows, size_t *columns);

/* Shows a screen in place of the last one. False: the terminal is gone. */
bool terminal_show(const screen_t *screen);

/* Takes the first key off what was typed, `*len` > 0 bytes. A sequence must be there as a whole: an
 * ESC that ends the bytes is the key. */
int terminal_key(const char **typed, size_t *len);

#endif
