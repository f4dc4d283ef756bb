/* SPDX-License-Identifier: MIT */
/* The writer of the log: what it keeps, drops and tells, over pipes nobody reads and files that are
 * full. */
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include "log_writer.h"
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LINE = 100, PIPE_SIZE = 4096, END_MS = 10000 };

static size_t notice(char out[LOG_WRITER_NOTICE], uint64_t lines) {
    return (size_t)snprintf(out, LOG_WRITER_NOTICE, "%llu dropped\n", (unsigned long long)lines);
}

static size_t other_notice(char out[LOG_WRITER_NOTICE], uint64_t lines) {
    return (size_t)snprintf(out, LOG_WRITER_NOTICE, "%llu missing\n", (unsigned long long)lines);
}

/* The n-th line: its number, and more up to LINE bytes. */
static void put(unsigned n) {
    char line[LINE + 1];
    snprintf(line, sizeof(line), "%08u%*s\n", n, LINE - 9, "");
    log_writer_put(line, LINE);
}

static void put_lines(unsigned from, unsigned to) {
    for (unsigned n = from; n < to; n++)
        put(n);
    log_writer_flush();
}

static void open_pipe(int fds[2]) {
    assert_int_equal(pipe(fds), 0);
    assert_true(fcntl(fds[1], F_SETPIPE_SZ, PIPE_SIZE) >= PIPE_SIZE);
}

/* Reads lines until one does not have the number that is next, and copies that into `out`; "": the
 * end. Returns how many had. */
static unsigned read_lines(FILE *file, unsigned next, char out[LINE + 1]) {
    unsigned first = next, number;
    out[0] = '\0';
    while (fgets(out, LINE + 1, file) != NULL) {
        if (strlen(out) != LINE || sscanf(out, "%8u", &number) != 1 || number != next)
            return next - first;
        next++;
        out[0] = '\0';
    }
    return next - first;
}

static void test_writes_all(void **state) {
    (void)state;
    int fds[2];
    char line[LINE + 1];
    open_pipe(fds);
    assert_int_equal(log_writer_start(fds[1], notice), 0);
    put_lines(0, 10);
    log_writer_stop(END_MS);
    close(fds[1]);
    FILE *file = fdopen(fds[0], "r");
    assert_int_equal(read_lines(file, 0, line), 10);
    assert_string_equal(line, "");
    fclose(file);
}

/* Lines that nobody flushes are written all the same: the first ones, and those that come while the
 * thread rests or writes. */
static void test_writes_by_itself(void **state) {
    (void)state;
    enum { LINES = 60 };
    int fds[2];
    char line[LINE + 1];
    open_pipe(fds);
    assert_int_equal(log_writer_start(fds[1], notice), 0);
    FILE *file = fdopen(fds[0], "r");
    for (unsigned n = 0; n < LINES; n += 3) {
        put(n);
        put(n + 1);
        put(n + 2);
        for (unsigned i = 0; i < (n % 2 == 0 ? 3 : 0); i++)
            assert_non_null(fgets(line, sizeof(line), file));
    }
    for (unsigned i = 0; i < LINES / 2; i++)
        assert_non_null(fgets(line, sizeof(line), file));
    assert_int_equal(strtoul(line, NULL, 10), LINES - 1);
    log_writer_stop(END_MS);
    close(fds[1]);
    fclose(file);
}

/* Until the thread writes to a pipe that nobody reads. */
static void await_writing(int pipe_fd) {
    int waiting = 0;
    while (waiting == 0) {
        assert_int_equal(ioctl(pipe_fd, FIONREAD, &waiting), 0);
        usleep(1000);
    }
}

/* Nobody reads: neither putting nor stopping waits. What was put before is whole, what was dropped
 * is counted in its place, and more follows. */
static void test_nobody_reads(void **state) {
    (void)state;
    enum { FIRST = 2 * PIPE_SIZE / LINE, LINES = 5000 };
    int fds[2];
    unsigned dropped;
    char line[LINE + 1];
    open_pipe(fds);
    assert_int_equal(log_writer_start(fds[1], notice), 0);
    put_lines(0, FIRST);
    await_writing(fds[0]);
    for (unsigned n = FIRST; n < LINES; n += 10)
        put_lines(n, n + 10 < LINES ? n + 10 : LINES);
    log_writer_set_notice(other_notice);
    FILE *file = fdopen(fds[0], "r");
    unsigned kept = read_lines(file, 0, line);
    assert_int_equal(sscanf(line, "%u missing", &dropped), 1);
    assert_int_equal(kept + dropped, LINES);
    assert_non_null(strstr(line, " missing\n"));
    assert_in_range(kept, LOG_WRITER_BUFFER / LINE, LOG_WRITER_BUFFER / LINE + FIRST);
    put_lines(LINES, LINES + 5);
    log_writer_stop(END_MS);
    close(fds[1]);
    assert_int_equal(read_lines(file, LINES, line), 5);
    assert_string_equal(line, "");
    fclose(file);
}

/* A process that shares the descriptor has made it non-blocking. */
static void test_non_blocking(void **state) {
    (void)state;
    int fds[2];
    char line[LINE + 1];
    open_pipe(fds);
    assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(log_writer_start(fds[1], notice), 0);
    put_lines(0, 500);
    FILE *file = fdopen(fds[0], "r");
    for (unsigned n = 0; n < 500; n++) {
        assert_non_null(fgets(line, sizeof(line), file));
        assert_int_equal(strtoul(line, NULL, 10), n);
    }
    log_writer_stop(END_MS);
    close(fds[1]);
    fclose(file);
}

/* A file that may not grow: stopping does not try for ever. */
static void test_no_space(void **state) {
    (void)state;
    enum { ROOM = 2 * LINE + 30 };
    FILE *file = tmpfile();
    struct rlimit old;
    char line[LINE + 1];
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit small = {.rlim_cur = ROOM, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(log_writer_start(fileno(file), notice), 0);
    put_lines(0, 5);
    log_writer_stop(END_MS);
    setrlimit(RLIMIT_FSIZE, &old);
    rewind(file);
    assert_int_equal(read_lines(file, 0, line), 2);
    assert_int_equal(strlen(line), 30);
    fclose(file);
}

/* There is room again: the line that was cut is ended, and the count follows. */
static void test_space_again(void **state) {
    (void)state;
    enum { ROOM = 2 * LINE + 30 };
    FILE *file = tmpfile();
    struct rlimit old;
    char line[LINE + 1];
    int file_fd = fileno(file);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    const struct rlimit small = {.rlim_cur = ROOM, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(log_writer_start(file_fd, notice), 0);
    put_lines(0, 5);
    while (lseek(file_fd, 0, SEEK_CUR) < ROOM)
        usleep(1000);
    put_lines(5, 7); /* fails as well */
    usleep(20000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    put_lines(7, 9);
    log_writer_stop(END_MS);
    rewind(file);
    assert_int_equal(read_lines(file, 0, line), 2);
    assert_int_equal(strlen(line), 31); /* a part of a line, ended */
    assert_non_null(fgets(line, sizeof(line), file));
    assert_string_equal(line, "5 dropped\n");
    assert_int_equal(read_lines(file, 7, line), 2);
    assert_string_equal(line, "");
    fclose(file);
}

/* One line that is longer than what a pipe takes at once, and one that no buffer holds. */
static void test_long_lines(void **state) {
    (void)state;
    static char text[LOG_WRITER_BUFFER + 1];
    FILE *file = tmpfile();
    char line[LINE + 1];
    memset(text, 'x', sizeof(text));
    text[9999] = text[sizeof(text) - 1] = '\n';
    assert_int_equal(log_writer_start(fileno(file), notice), 0);
    log_writer_put(text, 10000);
    log_writer_put(text + 10000 - LINE, LINE);
    log_writer_put(text, sizeof(text));
    log_writer_stop(END_MS);
    assert_int_equal(lseek(fileno(file), 0, SEEK_END), 10000 + LINE + strlen("1 dropped\n"));
    fseek(file, 10000 + LINE, SEEK_SET);
    assert_non_null(fgets(line, sizeof(line), file));
    assert_string_equal(line, "1 dropped\n");
    fclose(file);
}

/* Last, since the thread stays: stopping gives up. */
static void test_stop_gives_up(void **state) {
    (void)state;
    int fds[2];
    open_pipe(fds);
    assert_int_equal(log_writer_start(fds[1], notice), 0);
    put_lines(0, 1000);
    log_writer_stop(20);
    log_writer_stop(END_MS); /* does nothing */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_all),   cmocka_unit_test(test_writes_by_itself),
        cmocka_unit_test(test_nobody_reads), cmocka_unit_test(test_non_blocking),
        cmocka_unit_test(test_no_space),     cmocka_unit_test(test_space_again),
        cmocka_unit_test(test_long_lines),   cmocka_unit_test(test_stop_gives_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
