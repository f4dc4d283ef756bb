/* SPDX-License-Identifier: MIT */
#include "notify.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_MS = 1000, STATE_MAX = 64, MESSAGE_MAX = STATE_MAX + NOTIFY_STATUS_MAX + 16 };

static struct {
    bool started;                                                 /* there is a manager */
    char address[sizeof(((struct sockaddr_un *)NULL)->sun_path)]; /* as it was given */
    int fd;
    struct sockaddr_un manager;
    socklen_t len;
    uv_timer_t watchdog, tick;
    notify_status_cb describe;
    void *user_data;
    bool changed;                   /* the status may have */
    char status[NOTIFY_STATUS_MAX]; /* as the manager knows it */
    char state[STATE_MAX];          /* that it has not taken yet */
} n;

/* Messages ----------------------------------------------------------------------------------- */

/* False: the manager's queue is full. Other failures are not ours to mend: it is gone. */
static bool send_text(const char *text) {
    ssize_t sent = sendto(n.fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&n.manager, n.len);
    return sent >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS);
}

/* Replaces the status that is to be sent. False: it is the same as before. */
static bool renew_status(char out[NOTIFY_STATUS_MAX]) {
    char text[NOTIFY_STATUS_MAX] = "";
    if (n.changed && n.describe != NULL)
        n.describe(text, n.user_data);
    n.changed = false;
    wst_log_escape(out, NOTIFY_STATUS_MAX, text, strlen(text)); /* a line end would begin another */
    return out[0] != '\0' && strcmp(out, n.status) != 0;
}

/* Sends what the manager does not know; waits a second before the next time. */
static void on_tick(uv_timer_t *timer) {
    char message[MESSAGE_MAX], status[NOTIFY_STATUS_MAX];
    bool renewed = renew_status(status);
    if (!renewed && n.state[0] == '\0') {
        uv_timer_stop(timer);
        return;
    }
    snprintf(message, sizeof(message), "%s%s%s%s", n.state, renewed ? "STATUS=" : "",
             renewed ? status : "", renewed ? "\n" : "");
    uv_timer_start(timer, on_tick, STATUS_MS, STATUS_MS);
    if (!send_text(message)) {
        n.changed = true;
        return;
    }
    n.state[0] = '\0';
    if (renewed)
        memcpy(n.status, status, sizeof(n.status));
}

/* A state does not wait for its turn. It replaces one that the manager has not taken yet. */
static void tell_state(const char *fmt, ...) {
    va_list args;
    if (!n.started)
        return;
    va_start(args, fmt);
    vsnprintf(n.state, sizeof(n.state), fmt, args);
    va_end(args);
    n.changed = true;
    on_tick(&n.tick);
}

void notify_ready(void) {
    tell_state("READY=1\n");
}

void notify_reloading(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    tell_state("RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n",
               (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

void notify_stopping(void) {
    tell_state("STOPPING=1\n");
}

void notify_changed(void) {
    n.changed = true;
    if (n.started && !uv_is_active((const uv_handle_t *)&n.tick))
        uv_timer_start(&n.tick, on_tick, 0, STATUS_MS);
}

/* Life --------------------------------------------------------------------------------------- */

/* Reads "/path" or "@name", an abstract one. False: it is neither. */
static bool read_address(const char *text) {
    size_t len = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(n.manager.sun_path))
        return false;
    n.manager.sun_family = AF_UNIX;
    memcpy(n.address, text, len + 1);
    memcpy(n.manager.sun_path, text, len + 1);
    bool abstract = text[0] == '@';
    if (abstract)
        n.manager.sun_path[0] = '\0';
    n.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + !abstract);
    return true;
}

static void on_watchdog(uv_timer_t *timer) {
    (void)timer;
    (void)send_text("WATCHDOG=1\n"); /* the next one follows */
}

/* How often the manager wants to hear of us; 0: it does not watch. */
static uint64_t watchdog_ms(void) {
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t ms = usec != NULL ? strtoull(usec, NULL, 10) / 2000 : 0;
    return pid != NULL && strtoll(pid, NULL, 10) != getpid() ? 0 : ms;
}

static int open_socket(void) {
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    n.fd = fd;
    n.started = true;
    return 0;
}

static int start_timer(uv_loop_t *loop, uv_timer_t *timer, uv_timer_cb callback, uint64_t ms) {
    uv_timer_init(loop, timer);
    uv_unref((uv_handle_t *)timer);
    return ms > 0 ? uv_timer_start(timer, callback, ms, ms) : 0;
}

int notify_start(uv_loop_t *loop, notify_status_cb status, void *user_data) {
    const char *text = getenv("NOTIFY_SOCKET");
    if (text == NULL)
        return 0;
    bool valid = read_address(text);
    if (!valid)
        log_line(WST_LOG_WARN, "NOTIFY_SOCKET is neither a path nor @NAME: %s", text);
    unsetenv("NOTIFY_SOCKET");
    int error = valid ? open_socket() : 0;
    if (!valid || error != 0)
        return error;
    n.describe = status;
    n.user_data = user_data;
    start_timer(loop, &n.tick, on_tick, 0); /* not yet */
    return start_timer(loop, &n.watchdog, on_watchdog, watchdog_ms());
}

const char *notify_address(void) {
    return n.address;
}

void notify_hand_over(int pid) {
    tell_state("MAINPID=%d\n", pid);
    notify_end();
}

void notify_end(void) {
    if (!n.started)
        return;
    uv_close((uv_handle_t *)&n.tick, NULL);
    uv_close((uv_handle_t *)&n.watchdog, NULL);
    close(n.fd);
    n.started = false;
}
