/* SPDX-License-Identifier: MIT */
/* Files that are read at once: what is a text, how large it may be, and what is none of either. */
#include "env.h"

#include "read_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[64];

static void write_file(const char *data, size_t len, mode_t mode) {
    snprintf(path, sizeof(path), "/tmp/read_file_test_%d", (int)getpid());
    unlink(path);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static int read_file(test_env_t *env, wst__file_t *file, size_t max) {
    return wst__read_file(file, env->ctx, path, max);
}

static void test_text(void **state) {
    (void)state;
    test_env_t env;
    wst__file_t file;
    test_env_open(&env);
    write_file("hello\n", 6, 0600);
    assert_int_equal(read_file(&env, &file, 6), 0);
    assert_string_equal(file.text, "hello\n");
    assert_int_equal(file.len, 6);
    assert_false(file.everybody);
    wst__file_free(&file, env.ctx);
    assert_null(file.text);
    write_file("", 0, 0640);
    assert_int_equal(read_file(&env, &file, 6), 0);
    assert_string_equal(file.text, "");
    assert_false(file.everybody);
    wst__file_free(&file, env.ctx);
    write_file("x", 1, 0604);
    assert_int_equal(read_file(&env, &file, 6), 0);
    assert_true(file.everybody);
    wst__file_free(&file, env.ctx);
    unlink(path);
    test_env_close(&env);
}

static void test_refused(void **state) {
    (void)state;
    test_env_t env;
    wst__file_t file;
    test_env_open(&env);
    write_file("hello\n", 6, 0600);
    assert_int_equal(read_file(&env, &file, 5), WST_EMSGBIG);
    write_file("he\0llo\n", 7, 0600);
    assert_int_equal(read_file(&env, &file, 100), UV_EFTYPE);
    unlink(path);
    assert_int_equal(read_file(&env, &file, 100), UV_ENOENT);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes to it: no wait for that */
    assert_int_equal(read_file(&env, &file, 100), UV_EFTYPE);
    unlink(path);
    assert_int_equal(wst__read_file(&file, env.ctx, "/", 100), UV_EFTYPE);
    test_env_close(&env);
}

static void read_once(void *arg) {
    test_env_t *env = arg;
    wst__file_t file;
    int status = read_file(env, &file, 100);
    assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
    if (status == 0)
        wst__file_free(&file, env->ctx);
}

/* No memory for the text, and no descriptor left behind. */
static void test_no_memory(void **state) {
    (void)state;
    test_env_t env;
    test_env_open(&env);
    write_file("hello\n", 6, 0600);
    int before = dup(0);
    close(before);
    test_alloc_fail(1);
    read_once(&env);
    test_alloc_fail(0);
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
    unlink(path);
    test_env_close(&env);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
