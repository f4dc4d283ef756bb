/* SPDX-License-Identifier: MIT */
/*
 * The successor gets its sockets as descriptors 3, 4, ..., their texts in WSTUNNEL_SOCKETS, one a
 * line, and in WSTUNNEL_READY the descriptor by which it tells that it listens.
 */
#include "succession.h"

#include "log.h"
#include "notify.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STDIO = 3, PATIENCE_MS = 60000, VARIABLE_MAX = 160 };

static struct {
    enum { IDLE, STARTING, ENDING } state;
    uv_process_t process;
    uv_pipe_t news;
    uv_timer_t patience;
    bool late;   /* it has been killed */
    int handles; /* to be closed */
    succession_cb on_ready;
    void *user_data;
    char byte[16];
} s;

/* The environment of the successor ----------------------------------------------------------- */

/* Whether a variable is of this process alone. */
static bool is_ours(const char *variable) {
    static const char *const names[] = {
        "LISTEN_PID=",    "LISTEN_FDS=",       "LISTEN_FDNAMES=", "WATCHDOG_PID=",
        "NOTIFY_SOCKET=", "WSTUNNEL_SOCKETS=", "WSTUNNEL_READY="};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* "WSTUNNEL_SOCKETS=" and the texts; malloc'ed, NULL: no memory. */
static char *join_texts(const succession_socket_t *sockets, size_t count) {
    size_t size = sizeof("WSTUNNEL_SOCKETS=");
    for (size_t i = 0; i < count; i++)
        size += strlen(sockets[i].text) + 1;
    char *text = malloc(size);
    if (text == NULL)
        return NULL;
    size_t len = (size_t)snprintf(text, size, "WSTUNNEL_SOCKETS=");
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, size - len, "%s\n", sockets[i].text);
    return text;
}

/* The present environment with these variables, of which the last may be empty; free it. NULL: no
 * memory. */
static char **make_environment(char *sockets, char *ready, char *notify) {
    extern char **environ;
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **made = calloc(count + 4 /* these, and the end */, sizeof(*made));
    if (made == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (!is_ours(environ[i]))
            made[kept++] = environ[i];
    made[kept++] = sockets;
    made[kept++] = ready;
    if (notify[0] != '\0')
        made[kept] = notify;
    return made;
}

/* Starting ----------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle) {
    (void)handle;
    if (--s.handles == 0)
        s.state = IDLE;
}

/* The process itself goes on, unless it is killed. */
static void end(void) {
    if (s.state != STARTING)
        return;
    s.state = ENDING;
    s.handles = 3;
    uv_close((uv_handle_t *)&s.process, on_handle_closed);
    uv_close((uv_handle_t *)&s.news, on_handle_closed);
    uv_close((uv_handle_t *)&s.patience, on_handle_closed);
}

static void fail(const char *why) {
    log_line(WST_LOG_ERROR, "the successor %s: nothing has changed", why);
    end();
}

static void on_exit_of_process(uv_process_t *process, int64_t status, int number) {
    (void)process, (void)status, (void)number;
    fail(s.late ? "did not listen in time and was killed" : "has ended before it listened");
}

/* Its exit follows. What it may have said just before does not count. */
static void on_patience(uv_timer_t *timer) {
    (void)timer;
    s.late = true;
    uv_read_stop((uv_stream_t *)&s.news);
    uv_process_kill(&s.process, SIGKILL);
}

static void on_buffer(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
    (void)handle, (void)size;
    *buffer = uv_buf_init(s.byte, sizeof(s.byte));
}

static void on_news(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer) {
    (void)buffer;
    if (len < 0)
        uv_read_stop(stream); /* its exit follows */
    if (len <= 0)
        return;
    int pid = uv_process_get_pid(&s.process);
    end();
    s.on_ready(pid, s.user_data);
}

/* Starts the process, whose handles are initialized. 0 or libuv's error. */
static int spawn(uv_loop_t *loop, char **argv, const succession_socket_t *sockets, size_t count,
                 char **environment) {
    static uv_stdio_container_t stdio[STDIO + SUCCESSION_MAX + 1];
    for (size_t i = 0; i < STDIO + count; i++) {
        stdio[i].flags = UV_INHERIT_FD;
        stdio[i].data.fd = i < STDIO ? (int)i : sockets[i - STDIO].fd;
    }
    stdio[STDIO + count].flags = (uv_stdio_flags)(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
    stdio[STDIO + count].data.stream = (uv_stream_t *)&s.news;
    const uv_process_options_t options = {.exit_cb = on_exit_of_process,
                                          .file = argv[0],
                                          .args = argv,
                                          .env = environment,
                                          .stdio_count = (int)(STDIO + count + 1),
                                          .stdio = stdio};
    return uv_spawn(loop, &s.process, &options);
}

/* Initializes the handles and starts. 0 or libuv's error. */
static int begin(uv_loop_t *loop, char **argv, const succession_socket_t *sockets, size_t count,
                 char **environment) {
    s.state = STARTING;
    s.late = false;
    uv_timer_init(loop, &s.patience);
    uv_pipe_init(loop, &s.news, 0);
    int status = spawn(loop, argv, sockets, count, environment);
    if (status != 0) {
        end();
        return status;
    }
    uv_timer_start(&s.patience, on_patience, PATIENCE_MS, 0);
    return uv_read_start((uv_stream_t *)&s.news, on_buffer, on_news);
}

int succession_start(uv_loop_t *loop, char **argv, const succession_socket_t *sockets, size_t count,
                     succession_cb on_ready, void *user_data) {
    char ready[VARIABLE_MAX], notify[VARIABLE_MAX] = "";
    if (s.state != IDLE)
        return UV_EALREADY;
    if (count > SUCCESSION_MAX)
        return UV_E2BIG;
    s.on_ready = on_ready;
    s.user_data = user_data;
    char *texts = join_texts(sockets, count);
    snprintf(ready, sizeof(ready), "WSTUNNEL_READY=%zu", STDIO + count);
    if (notify_address()[0] != '\0')
        snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s", notify_address());
    char **environment = texts != NULL ? make_environment(texts, ready, notify) : NULL;
    int status = environment != NULL ? begin(loop, argv, sockets, count, environment) : UV_ENOMEM;
    free(environment);
    free(texts);
    return status;
}

bool succession_is_under_way(void) {
    return s.state != IDLE;
}

void succession_cancel(void) {
    if (s.state != STARTING)
        return;
    uv_process_kill(&s.process, SIGTERM);
    end();
}

/* The successor ------------------------------------------------------------------------------ */

void succession_tell_ready(void) {
    const char *ready = getenv("WSTUNNEL_READY");
    if (ready == NULL)
        return;
    int fd = (int)strtol(ready, NULL, 10);
    unsetenv("WSTUNNEL_READY");
    if (fd < STDIO) /* not of a predecessor */
        return;
    if (write(fd, "1", 1) != 1)
        log_line(WST_LOG_WARN, "the predecessor is gone: %s", strerror(errno));
    close(fd);
}
