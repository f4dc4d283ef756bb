/* SPDX-License-Identifier: MIT */
/*
 * Two buffers under one mutex: the caller fills one while the thread writes the other, without the
 * mutex. The lines dropped while a buffer was being filled come after its lines, so the notice
 * stands where they are missing.
 */
#include "log_writer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

typedef struct batch {
    char text[LOG_WRITER_BUFFER];
    size_t len;
    uint64_t dropped; /* lines, behind the text */
} batch_t;

static struct {
    uv_thread_t thread;
    uv_mutex_t mutex; /* guards what follows, except the batch that is being written */
    uv_cond_t changed;
    batch_t batches[2];
    batch_t *filling;
    log_writer_notice_cb notice;
    bool running;  /* for the caller only */
    bool wanted;   /* the thread should not rest */
    bool idle;     /* the thread waits for the first line */
    bool writing;  /* the thread writes the other batch */
    bool stopping; /* the thread ends when nothing is left */
    bool ended;
    /* For the thread only. */
    int fd;
    bool torn;     /* the last line written was cut by an error */
    uint64_t lost; /* lines that could not be written */
} w;

/* Writing ------------------------------------------------------------------------------------ */

/* Returns how much was written; less than `len` after an error. Waits if another process has made
 * the descriptor non-blocking. */
static size_t write_fully(const char *text, size_t len) {
    size_t done = 0;
    while (done < len) {
        ssize_t n = write(w.fd, text + done, len - done);
        if (n >= 0) {
            done += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd writable = {.fd = w.fd, .events = POLLOUT};
            poll(&writable, 1, -1);
        } else if (errno != EINTR) {
            break;
        }
    }
    if (done > 0)
        w.torn = text[done - 1] != '\n';
    return done;
}

/* The first lines that fit into PIPE_BUF bytes, which a pipe takes in one piece, so that the lines
 * of processes that share it do not mix; or one line that is longer. */
static size_t piece_of(const char *text, size_t len) {
    if (len <= PIPE_BUF)
        return len;
    size_t n = PIPE_BUF;
    while (n > 0 && text[n - 1] != '\n')
        n--;
    return n > 0 ? n : (size_t)((const char *)memchr(text, '\n', len) - text) + 1;
}

static uint64_t count_lines(const char *text, size_t len) {
    uint64_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

/* Writes the notice about the lines lost so far. False: that failed as well. */
static bool write_notice(log_writer_notice_cb notice) {
    char line[LOG_WRITER_NOTICE];
    if (w.lost == 0)
        return true;
    if (w.torn && write_fully("\n", 1) == 0)
        return false;
    size_t len = notice(line, w.lost);
    if (write_fully(line, len) < len)
        return false;
    w.lost = 0;
    return true;
}

static void write_batch(batch_t *batch, log_writer_notice_cb notice) {
    size_t at = 0;
    bool works = write_notice(notice); /* about an earlier batch */
    while (works && at < batch->len) {
        size_t n = piece_of(batch->text + at, batch->len - at);
        size_t done = write_fully(batch->text + at, n);
        works = done == n;
        at += done;
    }
    w.lost += count_lines(batch->text + at, batch->len - at) + batch->dropped;
    batch->len = 0;
    batch->dropped = 0;
    if (works)
        (void)write_notice(notice); /* if not now, before the next batch */
}

/* The thread --------------------------------------------------------------------------------- */

static bool is_empty(const batch_t *batch) {
    return batch->len == 0 && batch->dropped == 0;
}

/* Lets lines gather, which need not wake the thread meanwhile. Called with the mutex held. */
static void rest(void) {
    uint64_t end = uv_hrtime() + (uint64_t)LOG_WRITER_REST_MS * 1000000, now;
    while (!w.wanted && !w.stopping && (now = uv_hrtime()) < end)
        uv_cond_timedwait(&w.changed, &w.mutex, end - now);
}

static void run(void *arg) {
    (void)arg;
    uv_mutex_lock(&w.mutex);
    for (;;) {
        while (!w.stopping && is_empty(w.filling)) {
            w.idle = true;
            uv_cond_wait(&w.changed, &w.mutex);
        }
        w.idle = false;
        if (is_empty(w.filling))
            break;
        batch_t *batch = w.filling;
        log_writer_notice_cb notice = w.notice;
        w.filling = batch == &w.batches[0] ? &w.batches[1] : &w.batches[0];
        w.writing = true;
        w.wanted = false;
        uv_mutex_unlock(&w.mutex);
        write_batch(batch, notice);
        uv_mutex_lock(&w.mutex);
        w.writing = false;
        rest();
    }
    w.ended = true;
    uv_cond_broadcast(&w.changed);
    uv_mutex_unlock(&w.mutex);
}

int log_writer_start(int fd, log_writer_notice_cb notice) {
    w.fd = fd;
    w.notice = notice;
    w.filling = &w.batches[0];
    w.wanted = w.idle = w.writing = w.stopping = w.ended = w.torn = false;
    w.lost = 0;
    int status = uv_mutex_init(&w.mutex);
    if (status != 0)
        return status;
    status = uv_cond_init(&w.changed);
    if (status == 0) {
        status = uv_thread_create(&w.thread, run, NULL);
        if (status != 0)
            uv_cond_destroy(&w.changed);
    }
    if (status != 0)
        uv_mutex_destroy(&w.mutex);
    w.running = status == 0;
    return status;
}

void log_writer_stop(uint64_t timeout_ms) {
    if (!w.running)
        return;
    w.running = false;
    uint64_t end = uv_hrtime() + timeout_ms * 1000000, now;
    uv_mutex_lock(&w.mutex);
    w.stopping = true;
    uv_cond_broadcast(&w.changed);
    while (!w.ended && (now = uv_hrtime()) < end)
        uv_cond_timedwait(&w.changed, &w.mutex, end - now);
    bool ended = w.ended;
    uv_mutex_unlock(&w.mutex);
    if (!ended)
        return;
    uv_thread_join(&w.thread);
    uv_cond_destroy(&w.changed);
    uv_mutex_destroy(&w.mutex);
}

/* The caller --------------------------------------------------------------------------------- */

void log_writer_set_notice(log_writer_notice_cb notice) {
    if (!w.running)
        return;
    uv_mutex_lock(&w.mutex);
    w.notice = notice;
    uv_mutex_unlock(&w.mutex);
}

/* Called with the mutex held. Returns whether to wake the thread, without the mutex, which it would
 * have to wait for. */
static bool want_writing(void) {
    w.wanted = true;
    return !w.writing; /* then it looks again by itself */
}

void log_writer_put(const char *line, size_t len) {
    uv_mutex_lock(&w.mutex);
    batch_t *batch = w.filling;
    if (batch->dropped == 0 && len <= sizeof(batch->text) - batch->len) {
        memcpy(batch->text + batch->len, line, len);
        batch->len += len;
    } else {
        batch->dropped++;
    }
    bool wake = w.idle;
    w.idle = false;
    if (!w.wanted && batch->len > sizeof(batch->text) / 2)
        wake = want_writing() || wake;
    uv_mutex_unlock(&w.mutex);
    if (wake)
        uv_cond_signal(&w.changed);
}

void log_writer_flush(void) {
    uv_mutex_lock(&w.mutex);
    bool wake = !w.wanted && !is_empty(w.filling) && want_writing();
    uv_mutex_unlock(&w.mutex);
    if (wake)
        uv_cond_signal(&w.changed);
}
