/* SPDX-License-Identifier: MIT */
#include "ask_secret.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* The signal that arrived while the terminal was silent; 0: none. */
static volatile sig_atomic_t caught;

static void on_signal(int number) {
    caught = number;
}

/* Reads byte by byte: what follows the line belongs to whoever reads next. */
static bool read_line(char *out, size_t size, const char **why) {
    size_t len = 0;
    bool cut = false;
    for (char c;;) {
        ssize_t got = read(STDIN_FILENO, &c, 1);
        if (got < 0) {
            *why = errno == EINTR ? "interrupted" : strerror(errno);
            return false;
        }
        if (got == 0 && len == 0 && !cut) {
            *why = "nothing to read";
            return false;
        }
        if (got == 0 || c == '\n')
            break;
        cut = cut || len + 1 == size || c == '\0';
        if (!cut)
            out[len++] = c;
    }
    out[len] = '\0';
    if (len > 0 && out[len - 1] == '\r')
        out[len - 1] = '\0';
    *why = cut ? "too long, or with a zero byte" : NULL;
    return !cut;
}

/* The signals that end the program; to stop it (SIGTSTP) would leave the terminal silent. */
static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
enum { SIGNALS = sizeof(signals) / sizeof(signals[0]) };

/* Reads while the terminal does not show what is typed. */
static bool read_silently(char *out, size_t size, const struct termios *shown, const char **why) {
    struct termios silent = *shown;
    struct sigaction before[SIGNALS];
    const struct sigaction catch = {.sa_handler = on_signal}; /* read() returns then */
    silent.c_lflag &= ~(tcflag_t)ECHO;
    silent.c_lflag |= ECHONL;
    caught = 0;
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &catch, &before[i]);
    bool done = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
    if (done)
        done = read_line(out, size, why);
    else
        *why = strerror(errno);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, shown);
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(signals[i], &before[i], NULL);
    if (caught != 0) {
        fputc('\n', stderr);
        raise(caught == SIGTSTP ? SIGINT : caught);
    }
    return done;
}

bool ask_secret(char *out, size_t size, const char *prompt, const char **why) {
    struct termios shown;
    if (tcgetattr(STDIN_FILENO, &shown) != 0)
        return read_line(out, size, why);
    fprintf(stderr, "%s: ", prompt);
    return read_silently(out, size, &shown, why);
}
