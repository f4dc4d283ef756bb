/* SPDX-License-Identifier: MIT */
/* Messages with descriptors between two processes; here both ends are in one. */
#include "env.h"
#include "passing.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

typedef struct rig {
    test_env_t env;
    wst__passing_t *passing;
    int pair[2]; /* the second one is the receiver's */
    size_t messages, descriptors, ends;
    char last[64];
    int passed;        /* the last descriptor, which is the test's */
    bool closes_early; /* at the first message */
} rig_t;

static void on_message(int passed, const char *data, size_t len, void *user_data) {
    rig_t *r = user_data;
    assert_int_equal(r->ends, 0);
    if (data == NULL) {
        assert_int_equal(passed, -1);
        r->ends++;
        return;
    }
    r->messages++;
    r->descriptors += passed >= 0;
    if (r->passed >= 0)
        close(r->passed);
    r->passed = passed;
    snprintf(r->last, sizeof(r->last), "%.*s", (int)len, data);
    if (r->closes_early)
        wst__passing_close(r->passing);
}

static void rig_open(rig_t *r) {
    memset(r, 0, sizeof(*r));
    r->passed = -1;
    test_env_open(&r->env);
    assert_int_equal(wst__passing_pair(r->pair), 0);
    assert_int_equal(wst__passing_new(&r->passing, r->env.ctx, r->pair[1], on_message, r), 0);
}

static void rig_close(rig_t *r) {
    wst__passing_close(r->passing);
    close(r->pair[0]);
    if (r->passed >= 0)
        close(r->passed);
    test_env_close(&r->env);
}

static void send_text(rig_t *r, const char *text, int passed) {
    assert_int_equal(wst__passing_send(r->pair[0], text, strlen(text), passed), 0);
}

static void assert_prepared(int fd) {
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

/* Messages keep apart and in order; the copy of a descriptor works when the original is closed. */
static void test_messages(void **state) {
    (void)state;
    rig_t r;
    int connection[2];
    char byte;
    rig_open(&r);
    assert_int_equal(wst__passing_connection(connection), 0);
    for (int i = 0; i < 2; i++) {
        assert_prepared(r.pair[i]);
        assert_prepared(connection[i]);
    }
    send_text(&r, "one", -1);
    test_env_until_count(&r.env, &r.messages, 1);
    assert_string_equal(r.last, "one");
    assert_int_equal(r.passed, -1);
    send_text(&r, "two", connection[1]);
    close(connection[1]);
    send_text(&r, "three", -1);
    test_env_until_count(&r.env, &r.descriptors, 1);
    test_env_until_count(&r.env, &r.messages, 3);
    assert_string_equal(r.last, "three");
    send_text(&r, "four", connection[0]);
    test_env_until_count(&r.env, &r.messages, 4);
    assert_prepared(r.passed);
    assert_int_equal(write(r.passed, "x", 1), -1); /* "two"'s was closed by the next message */
    assert_int_equal(read(connection[0], &byte, 1), 0);
    close(connection[0]);
    rig_close(&r);
}

/* Many at once: all arrive, and other handles have their turn. */
static void test_many(void **state) {
    (void)state;
    rig_t r;
    char text[16];
    size_t sent = 0;
    int status;
    rig_open(&r);
    do {
        snprintf(text, sizeof(text), "%zu", sent);
        status = wst__passing_send(r.pair[0], text, strlen(text), -1);
        sent += status == 0;
    } while (status == 0);
    assert_int_equal(status, UV_EAGAIN);
    assert_true(sent > 1);
    test_env_until_count(&r.env, &r.messages, sent);
    snprintf(text, sizeof(text), "%zu", sent - 1);
    assert_string_equal(r.last, text);
    send_text(&r, "more", -1);
    test_env_until_count(&r.env, &r.messages, sent + 1);
    rig_close(&r);
}

static bool is_hung_up(void *arg) {
    struct pollfd other = {.fd = *(const int *)arg, .events = POLLIN};
    return poll(&other, 1, 0) == 1 && (other.revents & (POLLIN | POLLHUP)) != 0;
}

/* A message that is too long is dropped, with its descriptor; the next one arrives. */
static void test_too_long(void **state) {
    (void)state;
    rig_t r;
    int connection[2];
    static char text[WST__PASSING_MAX + 1];
    rig_open(&r);
    assert_int_equal(wst__passing_connection(connection), 0);
    assert_int_equal(wst__passing_send(r.pair[0], text, sizeof(text), connection[1]), 0);
    close(connection[1]);
    send_text(&r, "next", -1);
    test_env_until_count(&r.env, &r.messages, 1);
    assert_string_equal(r.last, "next");
    test_env_until(&r.env, is_hung_up, &connection[0]);
    assert_int_equal(wst__passing_send(r.pair[0], text, WST__PASSING_MAX, -1), 0);
    test_env_until_count(&r.env, &r.messages, 2);
    close(connection[0]);
    rig_close(&r);
}

/* Descriptors that a receiver has not looked at are closed with it. */
static void test_closed(void **state) {
    (void)state;
    rig_t r;
    int connection[2];
    rig_open(&r);
    r.closes_early = true;
    assert_int_equal(wst__passing_connection(connection), 0);
    send_text(&r, "one", -1);
    send_text(&r, "two", connection[1]);
    close(connection[1]);
    test_env_until(&r.env, is_hung_up, &connection[0]);
    assert_int_equal(r.messages, 1);
    int status = wst__passing_send(r.pair[0], "three", 5, -1); /* the former: "two" was not read */
    assert_true(status == UV_ECONNRESET || status == UV_EPIPE);
    close(connection[0]);
    rig_close(&r);
}

/* What was sent before the end arrives. */
static void test_end(void **state) {
    (void)state;
    rig_t r;
    rig_open(&r);
    send_text(&r, "last", -1);
    close(r.pair[0]);
    test_env_until_count(&r.env, &r.ends, 1);
    assert_int_equal(r.messages, 1);
    test_env_turns(&r.env, 5);
    r.pair[0] = -1;
    rig_close(&r);
}

static void test_errors(void **state) {
    (void)state;
    char data[4];
    int pipes[2], passed;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(wst__passing_receive(pipes[0], data, sizeof(data), &passed), UV_ENOTSOCK);
    assert_int_equal(passed, -1);
    assert_int_equal(wst__passing_send(pipes[1], "x", 1, -1), UV_ENOTSOCK);
    close(pipes[0]);
    close(pipes[1]);
    assert_int_equal(wst__passing_receive(pipes[0], data, sizeof(data), &passed), UV_EBADF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), cmocka_unit_test(test_many),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_closed),
        cmocka_unit_test(test_end),      cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
