/* SPDX-License-Identifier: MIT */
#include "terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* Another screen (DEC's private modes), no cursor, lines that are too long are cut. */
#define TAKE    "\033[?1049h\033[?25l\033[?7l"
#define RESTORE "\033[m\033[?7h\033[?25h\033[?1049l"
/* The upper left corner; what is right of the cursor, and below it, becomes blank. */
#define HOME        "\033[H"
#define CLEAR_LINE  "\033[K"
#define CLEAR_BELOW "\033[J"

static const char *const styles[] = {
    [SCREEN_PLAIN] = "\033[m", [SCREEN_BOLD] = "\033[0;1m", [SCREEN_REVERSED] = "\033[0;7m"};

/* The signals of a program that fails. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

static struct {
    volatile sig_atomic_t taken;
    struct termios before;
    struct sigaction handlers[FAULTS]; /* before */
    bool watched;                      /* faults are */
} t;

bool terminal_is_there(void) {
    const char *kind = getenv("TERM");
    return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0 && kind != NULL &&
           kind[0] != '\0' && strcmp(kind, "dumb") != 0;
}

/* Writes all, whatever signals arrive. */
static bool write_all(const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, len);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return true;
}

void terminal_restore(void) {
    int kept = errno;
    if (t.taken != 0) {
        t.taken = 0;
        (void)write_all(RESTORE, sizeof(RESTORE) - 1);
        tcsetattr(STDIN_FILENO, TCSANOW, &t.before); /* to wait for output could take for ever */
        tcflush(STDIN_FILENO, TCIFLUSH);
    }
    errno = kept;
}

/* Restores the terminal. What handled the fault before does so now: the fault occurs again, by
 * itself or, if it was sent, by raise(). */
static void on_fault(int number, siginfo_t *info, void *context) {
    (void)context;
    terminal_restore();
    for (size_t i = 0; i < FAULTS; i++)
        sigaction(faults[i], &t.handlers[i], NULL);
    if (info->si_code <= 0)
        raise(number);
}

static void watch_faults(void) {
    const struct sigaction handler = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    for (size_t i = 0; i < FAULTS && !t.watched; i++)
        sigaction(faults[i], &handler, &t.handlers[i]);
    t.watched = true;
}

int terminal_take(void) {
    if (t.taken != 0)
        return 0;
    if (tcgetattr(STDIN_FILENO, &t.before) != 0)
        return errno;
    struct termios keys = t.before;
    keys.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    watch_faults();
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys) != 0)
        return errno;
    t.taken = 1;
    return write_all(TAKE, sizeof(TAKE) - 1) ? 0 : errno;
}

void terminal_size(size_t *rows, size_t *columns) {
    struct winsize size = {0};
    bool told = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
    *rows = told && size.ws_row > 0 ? size.ws_row : 24;
    *columns = told && size.ws_col > 0 ? size.ws_col : 80;
}

static char *add(char *at, const char *text) {
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

bool terminal_show(const screen_t *s) {
    enum { AROUND_LINE = 32 }; /* more than the sequences of a line */
    char *frame = malloc(s->len + (s->row + 1) * AROUND_LINE), *at = frame;
    const char *line = s->text, *end = s->text + s->len;
    if (frame == NULL)
        return true; /* the last one stays */
    at = add(at, HOME);
    for (size_t i = 0; line < end; i++) {
        const char *next = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
        at = add(at, styles[s->styles[i]]);
        memcpy(at, line, (size_t)(next - line) - 1);
        at += next - line - 1;
        at = add(at, CLEAR_LINE);
        if (next < end)
            at = add(at, "\r\n");
        line = next;
    }
    at = add(at, styles[SCREEN_PLAIN]);
    if (s->row < s->rows)
        at = add(at, CLEAR_BELOW);
    bool written = write_all(frame, (size_t)(at - frame));
    free(frame);
    return written;
}

/* Keys --------------------------------------------------------------------------------------- */

/* The key of a control sequence's parameter and final byte (xterm's, and those of VT220). */
static int key_of(int parameter, char final) {
    static const struct {
        int parameter;
        char final;
        int key;
    } keys[] = {{0, 'A', TERMINAL_UP},      {0, 'B', TERMINAL_DOWN},      {0, 'H', TERMINAL_HOME},
                {0, 'F', TERMINAL_END},     {1, '~', TERMINAL_HOME},      {4, '~', TERMINAL_END},
                {5, '~', TERMINAL_PAGE_UP}, {6, '~', TERMINAL_PAGE_DOWN}, {7, '~', TERMINAL_HOME},
                {8, '~', TERMINAL_END}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (keys[i].parameter == parameter && keys[i].final == final)
            return keys[i].key;
    return TERMINAL_UNKNOWN;
}

static char take(const char **typed, size_t *len) {
    char c = **typed;
    ++*typed;
    --*len;
    return c;
}

/* What follows ESC [ or ESC O: parameters, then a byte from '@' on. */
static int sequence_key(const char **typed, size_t *len) {
    int parameter = 0;
    while (*len > 0) {
        char c = take(typed, len);
        if (c >= '@')
            return key_of(parameter, c);
        if (c >= '0' && c <= '9' && parameter < 100)
            parameter = 10 * parameter + (c - '0');
    }
    return TERMINAL_UNKNOWN;
}

int terminal_key(const char **typed, size_t *len) {
    char c = take(typed, len);
    switch (c) {
    case '\033':
        if (*len == 0 || (**typed != '[' && **typed != 'O'))
            return TERMINAL_ESCAPE;
        (void)take(typed, len);
        return sequence_key(typed, len);
    case '\b':
    case 0x7f:
        return TERMINAL_BACKSPACE;
    case '\r':
    case '\n':
        return TERMINAL_ENTER;
    case '\t':
        return TERMINAL_TAB;
    default:
        return (unsigned char)c;
    }
}
