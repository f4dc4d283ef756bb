/* SPDX-License-Identifier: MIT */
/* New files, all or none: what the names are at each step, and races for them. */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "new_files.h"

static char base[64], dir[80];

static int make_base(void **state) {
    (void)state;
    snprintf(base, sizeof(base), "/tmp/test_new_files.XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(dir, sizeof(dir), "%s/dir", base);
    return 0;
}

static int remove_base(void **state) {
    (void)state;
    return rmdir(base);
}

/* How many entries the directory has; -1: there is none. */
static int entries(void) {
    DIR *d = opendir(dir);
    int count = 0;
    if (d == NULL)
        return -1;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        count += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(d);
    return count;
}

static void path_of(char out[128], const char *name) {
    snprintf(out, 128, "%s/%s", dir, name);
}

static void write_file(const char *name, const char *text) {
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void assert_content(const char *name, const char *text) {
    char path[128], got[64] = "";
    path_of(path, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fread(got, 1, sizeof(got) - 1, file), strlen(text));
    fclose(file);
    assert_string_equal(got, text);
}

static void discard(const char *name) {
    char path[128];
    path_of(path, name);
    assert_int_equal(unlink(path), 0);
}

/* No file has its name before all are complete, and no other name is left. */
static void test_commit(void **state) {
    (void)state;
    new_files_t n;
    char path[128];
    assert_true(new_files_open(&n, dir));
    assert_true(new_files_add(&n, "a", "one"));
    assert_true(new_files_add(&n, "b", ""));
    path_of(path, "a");
    assert_int_not_equal(access(path, F_OK), 0);
    assert_true(new_files_commit(&n));
    new_files_close(&n);
    assert_int_equal(entries(), 2);
    assert_content("a", "one");
    assert_content("b", "");
    discard("a");
    discard("b");
    assert_int_equal(rmdir(dir), 0);
}

/* Somebody else takes the second name in the meantime: the first one is undone, theirs stays. */
static void test_name_taken_at_last(void **state) {
    (void)state;
    new_files_t n;
    char expected[256];
    assert_true(new_files_open(&n, dir));
    assert_true(new_files_add(&n, "a", "one"));
    assert_true(new_files_add(&n, "b", "two"));
    write_file("b", "theirs");
    assert_false(new_files_commit(&n));
    new_files_abort(&n);
    snprintf(expected, sizeof(expected),
             "%s/b: exists, and nothing is overwritten; the directory is left behind: "
             "Directory not empty",
             dir);
    assert_string_equal(n.fault, expected);
    assert_int_equal(entries(), 1);
    assert_content("b", "theirs");
    discard("b");
    assert_int_equal(rmdir(dir), 0);
}

/* The directory goes only if it was made. */
static void test_abort(void **state) {
    (void)state;
    new_files_t n;
    assert_true(new_files_open(&n, dir));
    assert_true(new_files_add(&n, "a", "one"));
    new_files_abort(&n);
    assert_string_equal(n.fault, "");
    assert_int_equal(entries(), -1);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_true(new_files_open(&n, dir));
    assert_true(new_files_add(&n, "a", "one"));
    new_files_abort(&n);
    assert_string_equal(n.fault, "");
    assert_int_equal(entries(), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* A link in the place of a draft leads nowhere. */
static void test_draft_is_a_link(void **state) {
    (void)state;
    new_files_t n;
    char draft[32], path[128], target[128];
    assert_int_equal(mkdir(dir, 0700), 0);
    write_file("target", "kept");
    snprintf(draft, sizeof(draft), ".a.%ld.new", (long)getpid());
    path_of(path, draft);
    path_of(target, "target");
    assert_int_equal(symlink(target, path), 0);
    assert_true(new_files_open(&n, dir));
    assert_false(new_files_add(&n, "a", "one"));
    new_files_abort(&n);
    assert_content("target", "kept");
    assert_int_equal(entries(), 2);
    discard("target");
    discard(draft);
    assert_int_equal(rmdir(dir), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commit), cmocka_unit_test(test_name_taken_at_last),
        cmocka_unit_test(test_abort), cmocka_unit_test(test_draft_is_a_link)};
    return cmocka_run_group_tests(tests, make_base, remove_base);
}
