/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_LOG_WRITER_H
#define EXAMPLES_LOG_WRITER_H
/*
 * Writes the lines of a log to a descriptor in a thread of its own, so that a descriptor that
 * nobody reads, or a disk that hangs, never stops the caller.
 *
 * Why a thread: stderr is inherited, and other processes share it. O_NONBLOCK belongs to the open
 * file, so setting it would change their writes as well. A poll() before the write does not
 * suffice: another process can fill the pipe in between, and a terminal that is stopped by Ctrl-S
 * still looks writable. A second open file (/proc/self/fd/2) does not exist for sockets, such as
 * journald's, and may be forbidden after a change of user. A thread serves pipes, sockets,
 * terminals and files alike and changes nothing about the descriptor.
 *
 * To wake the thread costs a busy loop more than the line. So the thread writes a line at once when
 * it has had nothing to do, and then rests for LOG_WRITER_REST_MS, in which lines gather, unless
 * half of the buffer is full or log_writer_flush is called.
 *
 * Bounds: LOG_WRITER_BUFFER bytes of lines that wait, and as many that are being written. A line
 * that does not fit is dropped whole, and so are the lines after it until the waiting lines are
 * taken by the thread; a notice then stands in their place. Lines that could not be written (no
 * space left) are counted as well.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_WRITER_BUFFER = 65536, LOG_WRITER_NOTICE = 256, LOG_WRITER_REST_MS = 20 };

/* Writes the line that says how many lines are missing, its newline included; returns its length.
 * Runs in the writer's thread. */
typedef size_t (*log_writer_notice_cb)(char out[LOG_WRITER_NOTICE], uint64_t lines);

/* There is one writer. Starts it; `fd` is borrowed until log_writer_stop. 0 or libuv's error. */
int log_writer_start(int fd, log_writer_notice_cb notice);

/* Changes the form of the notice from now on. */
void log_writer_set_notice(log_writer_notice_cb notice);

/* Adds a line, which ends with a newline, or counts it as dropped. Never waits. */
void log_writer_put(const char *line, size_t len);

/* Has the lines so far written without a rest. Never waits. */
void log_writer_flush(void);

/* Waits until all lines are written, for at most `timeout_ms`, and ends the thread, or abandons it
 * in a write that does not return: then the process should exit. Without a writer it does
 * nothing. */
void log_writer_stop(uint64_t timeout_ms);

#endif
