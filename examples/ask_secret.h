/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_ASK_SECRET_H
#define EXAMPLES_ASK_SECRET_H
/* Reads a secret that somebody types, or that a program writes to standard input. */
#include <stdbool.h>
#include <stddef.h>

/*
 * Reads a line of standard input, without its end. If that is a terminal, writes `prompt` to
 * standard error, and what is typed does not appear; a signal that ends the program first restores
 * the terminal. `out` gets at most `size` - 1 bytes, and is terminated. False: it is longer, or
 * holds a zero byte, or there is none; `*why` says so, for people.
 */
bool ask_secret(char *out, size_t size, const char *prompt, const char **why);

#endif
