/* SPDX-License-Identifier: MIT */
/* The reader of the programs' configurations: what each kind of field takes, what is said of what
 * it does not, which source is the stronger one, what is told to have changed. */
#include "support.h"

#include <stdio.h>
#include <unistd.h>

#include "options.h"

typedef struct inner {
    const char *word;
    uint32_t number;
} inner_t;

typedef struct outer {
    bool flag;
    const char *text, *secret, *secret_file;
    const char **list;
    int choice;
    uint64_t number;
    inner_t *inner;
    size_t inner_count;
} outer_t;

static const config_field_t inner_members[] = {
    {.name = "word", .kind = CONFIG_TEXT, .offset = offsetof(inner_t, word), .max = 3},
    {.name = "number",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(inner_t, number),
     .size = sizeof(uint32_t),
     .max = UINT32_MAX},
};
static const config_fields_t inner_fields = {inner_members, 2};

static void check_inner(config_t *c, const config_node_t *node, void *target) {
    const inner_t *inner = target;
    const config_node_t member = config_member(node, "word");
    if (inner->word != NULL && strcmp(inner->word, "bad") == 0)
        config_wrong(c, &member, "is bad");
    if (inner->word == NULL)
        config_wrong(c, node, "no word");
}

static void read_inner(config_t *c, const config_node_t *node, void *target) {
    outer_t *outer = target;
    outer->inner = config_read_array(c, node, &inner_fields, sizeof(inner_t), &outer->inner_count,
                                     check_inner);
}

static const config_field_t outer_members[] = {
    {.name = "flag", .kind = CONFIG_FLAG, .offset = offsetof(outer_t, flag), .fixed = true},
    {.name = "text", .kind = CONFIG_TEXT, .offset = offsetof(outer_t, text), .fixed = true},
    {.name = "secret_file", .kind = CONFIG_TEXT, .offset = offsetof(outer_t, secret_file)},
    {.name = "secret",
     .kind = CONFIG_SECRET,
     .offset = offsetof(outer_t, secret),
     .variable = "TEST_CONFIG_SECRET"},
    {.name = "a_list", .kind = CONFIG_LIST, .offset = offsetof(outer_t, list), .fixed = true},
    {.name = "choice",
     .kind = CONFIG_CHOICE,
     .offset = offsetof(outer_t, choice),
     .choices = "one|two|three",
     .fixed = true},
    {.name = "number",
     .kind = CONFIG_NUMBER,
     .offset = offsetof(outer_t, number),
     .size = sizeof(uint64_t),
     .min = 5,
     .max = (uint64_t)1 << 40,
     .fixed = true},
    {.name = "inner", .kind = CONFIG_OTHER, .read = read_inner},
};
static const config_fields_t outer_fields = {outer_members, 8};

/* Reads a text that ends at an inaccessible page. */
static void read_text(config_t *c, outer_t *outer, const char *text) {
    size_t len = strlen(text);
    uint8_t *copy = test_guarded(text, len);
    *c = (config_t){.file = "f"};
    *outer = (outer_t){0};
    config_read_json(c, (const char *)copy, len, &outer_fields, outer);
    test_guarded_free(copy, len); /* nothing refers to it any more */
}

static void test_right(void **state) {
    (void)state;
    config_t c;
    outer_t o;
    read_text(&c, &o,
              "{\"flag\": true, \"text\": \"\\u00e4\", \"secret\": \"s\", \"a_list\": [\"x\", "
              "\"y\"], \"choice\": \"three\", \"number\": 1099511627776, \"inner\": "
              "[{\"word\": \"abc\", \"number\": 4294967295}, {\"word\": \"d\"}]}");
    assert_int_equal(c.error_count, 0);
    assert_true(o.flag);
    assert_string_equal(o.text, "\xc3\xa4");
    assert_string_equal(o.secret, "s");
    assert_string_equal(o.list[0], "x");
    assert_string_equal(o.list[1], "y");
    assert_null(o.list[2]);
    assert_int_equal(o.choice, 2);
    assert_true(o.number == (uint64_t)1 << 40);
    assert_int_equal(o.inner_count, 2);
    assert_int_equal(o.inner[0].number, UINT32_MAX);
    assert_string_equal(o.inner[1].word, "d");
    assert_int_equal(o.inner[1].number, 0);
    config_free(&c);
    read_text(&c, &o, "{\"a_list\": \"z\", \"inner\": []}");
    assert_int_equal(c.error_count, 0);
    assert_string_equal(o.list[0], "z");
    assert_null(o.list[1]);
    assert_int_equal(o.inner_count, 0);
    config_free(&c);
    assert_null(c.blocks);
}

static void test_wrong(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{\"flag\": 1}", "f: flag: must be true or false"},
        {"{\"flag\": null}", "f: flag: must be true or false"},
        {"{\"text\": [\"a\"]}", "f: text: must be a string"},
        {"{\"text\": \"\"}", "f: text: must be 1 to 4096 bytes long"},
        {"{\"text\": \"a\\u007f\"}", "f: text: must not hold control characters"},
        {"{\"Text\": \"a\"}", "f: Text: unknown member; did you mean \"text\"?"},
        {"{\"a-list\": \"a\"}", "f: a-list: unknown member; did you mean \"a_list\"?"},
        {"{\"a_list\": [\"a\", []]}", "f: a_list[1]: must be a string"},
        {"{\"a_list\": null}", "f: a_list: must be a string or an array of strings"},
        {"{\"choice\": \"tw\"}", "f: choice: must be one, two or three"},
        {"{\"choice\": \"two|\"}", "f: choice: must be one, two or three"},
        {"{\"choice\": 1}", "f: choice: must be a string"},
        {"{\"number\": 4}", "f: number: must be an integer from 5 to 1099511627776"},
        {"{\"number\": 5.5}", "f: number: must be an integer from 5 to 1099511627776"},
        {"{\"number\": 1099511627777}", "f: number: must be an integer from 5 to 1099511627776"},
        {"{\"number\": -5}", "f: number: must be an integer from 5 to 1099511627776"},
        {"{\"number\": 1e999}", "f: number: must be an integer from 5 to 1099511627776"},
        {"{\"number\": \"7\"}", "f: number: must be an integer from 5 to 1099511627776"},
        {"{\"inner\": {}}", "f: inner: must be an array of objects"},
        {"{\"inner\": [1]}", "f: inner[0]: must be an object"},
        {"{\"inner\": [{\"word\": \"abcd\"}]}", "f: inner[0].word: must be 1 to 3 bytes long"},
        {"{\"inner\": [{\"word\": \"a\"}, {\"word\": \"bad\"}]}", "f: inner[1].word: is bad"},
        {"{\"inner\": [{}]}", "f: inner[0]: no word"},
        {"{\"inner\": [{\"word\": \"a\", \"number\": 4294967296}]}",
         "f: inner[0].number: must be an integer from 0 to 4294967295"},
        {"{\"flag\": true,}", "f:1:15: JSON member name expected"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        config_t c;
        outer_t o;
        read_text(&c, &o, cases[i][0]);
        assert_int_equal(c.error_count, 1);
        assert_string_equal(c.errors[0], cases[i][1]);
        config_free(&c);
    }
}

/* All that is wrong, in order; but for memory, however much it is. */
static void test_many(void **state) {
    (void)state;
    config_t c;
    outer_t o;
    read_text(&c, &o, "{\"flag\": 1, \"inner\": [{\"word\": 1, \"x\\ny\": 1}, 2], \"z\": 1}");
    assert_int_equal(c.error_count, 5);
    assert_string_equal(c.errors[1], "f: inner[0].word: must be a string");
    assert_string_equal(c.errors[2], "f: inner[0].x\\u000ay: unknown member");
    assert_string_equal(c.errors[3], "f: inner[1]: must be an object");
    assert_string_equal(c.errors[4], "f: z: unknown member");
    config_free(&c);

    char text[2048] = "{\"a_list\": [1";
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), ",%d", i);
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "]}");
    read_text(&c, &o, text);
    assert_int_equal(c.error_count, 101);
    assert_string_equal(c.errors[CONFIG_ERRORS_MAX - 1], "f: a_list[19]: must be a string");
    config_free(&c);
}

/* A place that is longer than any buffer. */
static void test_long_name(void **state) {
    (void)state;
    static char text[8192] = "{\"inner\": [{\"";
    memset(text + strlen(text), 'n', 4000);
    snprintf(text + strlen(text), 16, "\": 1}]}");
    config_t c;
    outer_t o;
    read_text(&c, &o, text);
    assert_int_equal(c.error_count, 1);
    assert_memory_equal(c.errors[0], "f: inner[0].nnn", 15);
    config_free(&c);
}

/* -- Without memory ---------------------------------------------------------------------------- */

static size_t fail_at; /* 0: never; else it counts down */

/* The linker puts it in the place of calloc, where the reader's memory is from. */
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size) {
    if (fail_at > 0 && --fail_at == 0)
        return NULL;
    return __real_calloc(count, size);
}

/* Whichever allocation fails, it is a fault, and nothing leaks. */
static void test_no_memory(void **state) {
    (void)state;
    static const char text[] = "{\"text\": \"t\", \"a_list\": [\"1\", \"2\"], \"secret\": \"s\", "
                               "\"inner\": [{\"word\": \"a\"}, {\"word\": \"b\"}]}";
    size_t failures = 0;
    for (bool met = true; met; failures++) {
        config_t c = {.file = "f"};
        outer_t o = {0};
        fail_at = failures + 1;
        config_read_json(&c, text, strlen(text), &outer_fields, &o);
        met = fail_at == 0;
        fail_at = 0;
        assert_int_equal(c.error_count > 0, met);
        config_free(&c);
    }
    assert_int_equal(failures, 9); /* t, list, 1, 2, s, array, a, b; and the run without */
}

/* -- Command line ------------------------------------------------------------------------------ */

static const char *path;

static void write_file(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Reads file, environment and a command line of up to five words. */
static void read_all(config_t *c, outer_t *outer, const char *const words[5]) {
    static char program[] = "dir/prog";
    char *argv[10] = {program};
    char copies[5][32];
    int argc = 1, status;
    for (int i = 0; i < 5 && words[i] != NULL; i++) {
        snprintf(copies[i], sizeof(copies[i]), "%s", words[i]);
        argv[argc++] = copies[i];
    }
    options_t options = {0};
    const options_syntax_t syntax = {.program = "prog", .usage = "", .fields = &outer_fields};
    optind = 0;
    assert_true(options_parse(&options, &syntax, argc, argv, &status));
    *c = (config_t){0};
    *outer = (outer_t){0};
    options.config_file = path;
    options_read(c, &options, &outer_fields, outer);
    options_pick_secret(c, &options, "secret", &outer->secret, &outer->secret_file,
                        "TEST_CONFIG_SECRET");
}

static void test_precedence(void **state) {
    (void)state;
    config_t c;
    outer_t o;
    write_file(
        "{\"text\": \"file\", \"a_list\": [\"1\", \"2\"], \"number\": 6, \"secret\": \"f\"}");
    read_all(&c, &o, (const char *[5]){"--number", "7", "--a-list=3", "--a-list=4", "--flag"});
    assert_int_equal(c.error_count, 0);
    assert_string_equal(o.text, "file");
    assert_int_equal(o.number, 7);
    assert_true(o.flag);
    assert_string_equal(o.list[0], "3");
    assert_string_equal(o.list[1], "4");
    assert_null(o.list[2]);
    assert_string_equal(o.secret, "f");
    config_free(&c);

    setenv("TEST_CONFIG_SECRET", "e", 1);
    read_all(&c, &o, (const char *[5]){NULL});
    assert_string_equal(o.secret, "e");
    assert_string_equal(o.list[1], "2");
    config_free(&c);
    read_all(&c, &o, (const char *[5]){"--secret-file", "s"});
    assert_null(o.secret);
    assert_string_equal(o.secret_file, "s");
    config_free(&c);

    write_file("{\"secret_file\": \"s\"}");
    read_all(&c, &o, (const char *[5]){NULL});
    assert_string_equal(o.secret, "e");
    assert_null(o.secret_file);
    config_free(&c);
    unsetenv("TEST_CONFIG_SECRET");

    write_file("{\"secret_file\": \"s\", \"secret\": \"f\"}");
    read_all(&c, &o, (const char *[5]){NULL});
    assert_int_equal(c.error_count, 1);
    assert_string_equal(c.errors[0], "secret: only one of it and secret_file may be there");
    config_free(&c);
}

static void test_wrong_words(void **state) {
    (void)state;
    static const struct {
        const char *words[5];
        const char *fault;
    } cases[] = {
        {{"--number", "4"}, "--number: must be an integer from 5 to 1099511627776"},
        {{"--number", "+7"}, "--number: must be an integer from 5 to 1099511627776"},
        {{"--number", "7 "}, "--number: must be an integer from 5 to 1099511627776"},
        {{"--number", ""}, "--number: must be an integer from 5 to 1099511627776"},
        {{"--number", "99999999999999999999"},
         "--number: must be an integer from 5 to 1099511627776"},
        {{"--choice", "One"}, "--choice: must be one, two or three"},
        {{"--a-list", ""}, "--a-list: must be 1 to 4096 bytes long"},
        {{"--text", "a\nb"}, "--text: must not hold control characters"},
    };
    write_file("{}");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        config_t c;
        outer_t o;
        read_all(&c, &o, cases[i].words);
        assert_int_equal(c.error_count, 1);
        assert_string_equal(c.errors[0], cases[i].fault);
        config_free(&c);
    }
}

static void test_compare(void **state) {
    (void)state;
    static const char *const base = "{\"text\": \"t\", \"a_list\": [\"1\", \"2\"], \"number\": 6}";
    static const char *const cases[][2] = {
        {"{\"text\": \"t\", \"a_list\": [\"1\", \"2\"], \"number\": 6, \"secret\": \"new\"}", ""},
        {"{\"text\": \"u\", \"a_list\": [\"1\", \"2\"], \"number\": 6}", "text"},
        {"{\"a_list\": [\"1\", \"3\"], \"number\": 7}", "text, a_list, number"},
        {"{\"text\": \"t\", \"a_list\": [\"1\"], \"number\": 6, \"flag\": true}", "flag, a_list"},
        {"{\"text\": \"t\", \"number\": 6, \"choice\": \"two\"}", "a_list, choice"},
    };
    config_t c, other;
    outer_t o, changed;
    read_text(&c, &o, base);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[128] = "", back[128] = "";
        read_text(&other, &changed, cases[i][0]);
        config_compare(out, sizeof(out), &outer_fields, &o, &changed);
        config_compare(back, sizeof(back), &outer_fields, &changed, &o);
        assert_string_equal(out, cases[i][1]);
        assert_string_equal(back, cases[i][1]);
        config_free(&other);
    }
    config_free(&c);
}

static void test_secret_file(void **state) {
    (void)state;
    static const struct {
        const char *content, *secret, *fault;
    } cases[] = {
        {"s3\n", "s3", NULL},
        {"s3\r\nmore\n", "s3", NULL},
        {"s3", "s3", NULL},
        {" s3 \n", " s3 ", NULL},
        {"", NULL, "must be 1 to 255 bytes long"},
        {"\ns3\n", NULL, "must be 1 to 255 bytes long"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        config_t c = {0};
        write_file(cases[i].content);
        const char *secret = config_read_secret(&c, NULL, "place", path);
        if (cases[i].secret != NULL)
            assert_string_equal(secret, cases[i].secret);
        else
            assert_non_null(strstr(c.errors[0], cases[i].fault));
        assert_int_equal(c.error_count, cases[i].secret == NULL);
        config_free(&c);
    }
    char line[300];
    for (size_t len = 254; len <= 258; len++) {
        config_t c = {0};
        memset(line, 'x', len);
        line[len] = '\0';
        write_file(line);
        assert_int_equal(config_read_secret(&c, NULL, "place", path) != NULL, len <= 255);
        config_free(&c);
    }
}

static int remove_file(void **state) {
    (void)state;
    return remove(path);
}

static int make_file(void **state) {
    static char name[] = "/tmp/test_config.XXXXXX";
    (void)state;
    int fd = mkstemp(name);
    path = name;
    return fd < 0 ? -1 : close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_right),      cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_many),       cmocka_unit_test(test_long_name),
        cmocka_unit_test(test_precedence), cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_compare),    cmocka_unit_test(test_secret_file),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
