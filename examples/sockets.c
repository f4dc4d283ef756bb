/* SPDX-License-Identifier: MIT */
#include "sockets.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST = 3, NAME_LEN = 255, TEXT_MAX = NAME_LEN + 16 };

static struct {
    bool read;
    const char *error;
    size_t count; /* passed by the service manager */
    char texts[SOCKETS_MAX][TEXT_MAX];
    const char *list[SOCKETS_MAX + 1];
    char *left; /* by the predecessor: a text a line for each socket, or an empty line */
} passed;

/* `roles`: of that length, may be 0. */
static void add(int fd, const char *roles, size_t len) {
    size_t n = passed.count++;
    snprintf(passed.texts[n], TEXT_MAX, "fd:%d%s%.*s", fd, len > 0 ? "," : "", (int)len, roles);
    passed.list[n] = passed.texts[n];
}

/* The service manager's ---------------------------------------------------------------------- */

/* Names of systemd's own: of the socket's unit, or none. */
static bool is_default_name(const char *name, size_t len) {
    static const char suffix[] = ".socket", unknown[] = "unknown";
    size_t end = sizeof(suffix) - 1;
    return (len == sizeof(unknown) - 1 && memcmp(name, unknown, len) == 0) ||
           (len > end && memcmp(name + len - end, suffix, end) == 0);
}

/* NULL or what is wrong. */
static const char *read_names(int count, const char *names) {
    for (int n = 0; n < count; n++) {
        size_t len = strcspn(names, ":");
        if (len > NAME_LEN)
            return "LISTEN_FDNAMES: a name is too long";
        add(FIRST + n, names, is_default_name(names, len) ? 0 : len);
        names += len;
        if (names[0] == ':')
            names++;
    }
    return names[0] != '\0' ? "LISTEN_FDNAMES has more names than there are sockets" : NULL;
}

/* NULL or what is wrong. Variables meant for another process are none of ours. */
static const char *read_environment(void) {
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    if (pid == NULL || fds == NULL || strtoll(pid, NULL, 10) != getpid())
        return NULL;
    char *end;
    long count = strtol(fds, &end, 10);
    if (end == fds || *end != '\0' || count < 0)
        return "LISTEN_FDS is not a number";
    if (count > SOCKETS_MAX)
        return "LISTEN_FDS: too many sockets";
    return read_names((int)count, names != NULL ? names : "");
}

/* The predecessor's -------------------------------------------------------------------------- */

/* Removes the text from its line, so that it is not found again. */
static void take_line(char *line, size_t len) {
    memmove(line, line + len, strlen(line + len) + 1);
}

/* What a service manager has passed to the first of the predecessors is listed again, with the
 * present numbers. NULL or what is wrong. */
static const char *read_left(const char *texts) {
    passed.left = strdup(texts);
    if (passed.left == NULL)
        return "no memory";
    int fd = FIRST;
    for (char *line = passed.left; line[0] != '\0'; line = strchr(line, '\n') + 1, fd++) {
        size_t len = strcspn(line, "\n"), number = strcspn(line, ",\n");
        if (line[len] == '\0')
            return "WSTUNNEL_SOCKETS is malformed";
        if (strncmp(line, "fd:", 3) != 0)
            continue;
        if (passed.count == SOCKETS_MAX || len - number > NAME_LEN)
            return "WSTUNNEL_SOCKETS is malformed";
        add(fd, line + number + (number < len), len - number - (number < len));
        take_line(line, len);
    }
    return NULL;
}

const char *sockets_take(char out[SOCKETS_TEXT], const char *address) {
    int fd = FIRST;
    size_t wanted = strlen(address);
    for (char *line = passed.left; line != NULL && line[0] != '\0'; fd++) {
        size_t len = strcspn(line, "\n");
        if (len == wanted && memcmp(line, address, len) == 0) {
            take_line(line, len);
            snprintf(out, SOCKETS_TEXT, "fd:%d", fd);
            return out;
        }
        line += len + 1;
    }
    return address;
}

void sockets_close_rest(void) {
    int fd = FIRST;
    for (const char *line = passed.left; line != NULL && line[0] != '\0'; fd++) {
        size_t len = strcspn(line, "\n");
        if (len > 0)
            close(fd);
        line += len + 1;
    }
    free(passed.left);
    passed.left = NULL;
}

/* Both --------------------------------------------------------------------------------------- */

const char *const *sockets_passed(const char **error) {
    const char *left = getenv("WSTUNNEL_SOCKETS");
    if (!passed.read)
        passed.error = left != NULL ? read_left(left) : read_environment();
    passed.read = true;
    unsetenv("WSTUNNEL_SOCKETS");
    *error = passed.error;
    return passed.list;
}
