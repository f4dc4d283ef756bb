/* SPDX-License-Identifier: MIT */
/* Writing heads: the bytes, that nothing can break out of its place, that the buffer bounds all. */
#include "support.h"

#include "head_writer.h"
#include <wstunnel/error.h>
#include <wstunnel/http.h>

static void test_response(void **state) {
    (void)state;
    wst__head_writer_t w;
    char buf[200];
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_response(&w, 1, 503, "No agent");
    wst__head_field(&w, "Content-Length", "%zu", (size_t)5);
    wst__head_field(&w, "Retry-After", "%s", "");
    int len = wst__head_end(&w, "later", 5);
    const char *expect = "HTTP/1.1 503 No agent\r\nContent-Length: 5\r\nRetry-After: \r\n\r\nlater";
    assert_int_equal(len, strlen(expect));
    assert_memory_equal(buf, expect, strlen(expect));
}

/* An HTTP/1.0 client gets "HTTP/1.0 200": old nc accepts nothing else. */
static void test_response_1_0(void **state) {
    (void)state;
    wst__head_writer_t w;
    char buf[100];
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_response(&w, 0, 200, "Connection established");
    int len = wst__head_end(&w, NULL, 0);
    assert_int_equal(len, 39);
    assert_memory_equal(buf, "HTTP/1.0 200 Connection established\r\n\r\n", 39);
}

static void test_request(void **state) {
    (void)state;
    wst__head_writer_t w;
    char buf[100];
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_request(&w, "GET", "/tunnel?a=\xc3\xbc");
    wst__head_field(&w, "Host", "%s:%d", "a", 80);
    int len = wst__head_end(&w, NULL, 0);
    const char *expect = "GET /tunnel?a=\xc3\xbc HTTP/1.1\r\nHost: a:80\r\n\r\n";
    assert_int_equal(len, strlen(expect));
    assert_memory_equal(buf, expect, strlen(expect));
}

/* Parts of a parsed head, which are not terminated; checked like any other. */
static void test_copies(void **state) {
    (void)state;
    wst__head_writer_t w;
    char buf[200];
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_copy_request(&w, (wst_str_t){"GETX", 3}, "", (wst_str_t){"/a b", 2});
    wst__head_copy_field(&w, (wst_str_t){"Name: x", 4}, (wst_str_t){"v\xff\tw\r\n", 4});
    wst__head_copy_field(&w, (wst_str_t){"Empty", 5}, (wst_str_t){NULL, 0});
    int len = wst__head_end(&w, NULL, 0);
    const char *expect = "GET /a HTTP/1.1\r\nName: v\xff\tw\r\nEmpty: \r\n\r\n";
    assert_int_equal(len, strlen(expect));
    assert_memory_equal(buf, expect, strlen(expect));

    wst__head_init(&w, buf, sizeof(buf));
    wst__head_copy_response(&w, 1, 200, (wst_str_t){"Oh yes", 2});
    len = wst__head_end(&w, NULL, 0);
    assert_int_equal(len, 19);
    assert_memory_equal(buf, "HTTP/1.1 200 Oh\r\n\r\n", 19);

    const struct bad {
        wst_str_t target, name, value;
    } bad[] = {{{"", 0}, {"A", 1}, {"b", 1}},    {{"/ ", 2}, {"A", 1}, {"b", 1}},
               {{"/\0", 2}, {"A", 1}, {"b", 1}}, {{"/", 1}, {"", 0}, {"b", 1}},
               {{"/", 1}, {"A\0", 2}, {"b", 1}}, {{"/", 1}, {"A", 1}, {"b\0c", 3}},
               {{"/", 1}, {"A", 1}, {"b\n", 2}}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wst__head_init(&w, buf, sizeof(buf));
        wst__head_copy_request(&w, (wst_str_t){"GET", 3}, "", bad[i].target);
        wst__head_copy_field(&w, bad[i].name, bad[i].value);
        assert_int_equal(wst__head_end(&w, NULL, 0), WST_EINVAL);
    }
}

static void test_lists(void **state) {
    (void)state;
    wst__head_writer_t w;
    char buf[200];
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_list(&w, "A");
    wst__head_element(&w, (wst_str_t){NULL, 0});
    wst__head_element(&w, (wst_str_t){"one", 3});
    wst__head_element(&w, (wst_str_t){"", 0});
    wst__head_element(&w, (wst_str_t){"two", 3});
    wst__head_list_end(&w);
    wst__head_list(&w, "B");
    wst__head_element(&w, (wst_str_t){"three", 5});
    wst__head_list_end(&w);
    int len = wst__head_end(&w, NULL, 0);
    assert_int_equal(len, 25);
    assert_memory_equal(buf, "A: one, two\r\nB: three\r\n\r\n", 25);
    wst__head_list(&w, "C");
    wst__head_element(&w, (wst_str_t){"a\r", 2});
    wst__head_list_end(&w);
    assert_int_equal(wst__head_end(&w, NULL, 0), WST_EINVAL);
}

/* Writes a request with these parts into `size` bytes on the heap, where ASan sees one too many. */
static int write_request(size_t size, const char *method, const char *target, const char *name,
                         const char *value) {
    wst__head_writer_t w;
    char *buf = malloc(size);
    assert_non_null(buf);
    wst__head_init(&w, buf, size);
    wst__head_request(&w, method, target);
    wst__head_field(&w, name, "%s", value);
    int rc = wst__head_end(&w, "body", 4);
    free(buf);
    return rc;
}

static int write_status(int minor_version, int status, const char *reason) {
    wst__head_writer_t w;
    char buf[100];
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_response(&w, minor_version, status, reason);
    wst__head_field(&w, "A", "b");
    return wst__head_end(&w, NULL, 0);
}

/* Every byte in every place: written exactly if our parser, which is strict, takes it there. */
static void test_no_smuggling(void **state) {
    (void)state;
    for (unsigned c = 1; c < 256; c++) {
        char text[] = "a?b", path[] = "/?b";
        text[1] = path[1] = (char)c;
        bool token = strchr("!#$%&'*+-.^_`|~", (int)c) != NULL || (c >= '0' && c <= '9') ||
                     (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool value = c == '\t' || (c >= ' ' && c != 0x7f);
        bool target = value && c != ' ' && c != '\t';
        assert_int_equal(write_request(100, text, "/", "A", "b"), token ? 28 : WST_EINVAL);
        assert_int_equal(write_request(100, "GET", path, "A", "b"), target ? 30 : WST_EINVAL);
        assert_int_equal(write_request(100, "GET", "/", text, "b"), token ? 30 : WST_EINVAL);
        assert_int_equal(write_request(100, "GET", "/", "A", text), value ? 30 : WST_EINVAL);
        assert_int_equal(write_status(1, 200, text), value ? 26 : WST_EINVAL);
    }
    assert_int_equal(write_request(100, "", "/", "A", "b"), WST_EINVAL);
    assert_int_equal(write_request(100, "GET", "", "A", "b"), WST_EINVAL);
    assert_int_equal(write_request(100, "GET", "/", "", "b"), WST_EINVAL);
    assert_int_equal(write_status(1, 99, "x"), WST_EINVAL);
    assert_int_equal(write_status(1, 1000, "x"), WST_EINVAL);
    assert_int_equal(write_status(2, 200, "x"), WST_EINVAL);
    assert_int_equal(write_status(-1, 200, "x"), WST_EINVAL);

    wst__head_writer_t w;
    char buf[100];
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_request(&w, "GET", "/");
    wst__head_field(&w, "A", "x%cy", '\0');
    assert_int_equal(wst__head_end(&w, NULL, 0), WST_EINVAL);
}

/* Any buffer smaller than the head fails, whichever part it ends in; the exact size does not. */
static void test_every_size(void **state) {
    (void)state;
    int full = write_request(100, "GET", "/path", "Name", "value");
    assert_int_equal(full, 39);
    for (size_t size = 1; size < 39; size++)
        assert_int_equal(write_request(size, "GET", "/path", "Name", "value"), WST_EHEADBIG);
    assert_int_equal(write_request(39, "GET", "/path", "Name", "value"), 39);
}

/* The first failure stays, and nothing is written behind it. */
static void test_failure_stays(void **state) {
    (void)state;
    wst__head_writer_t w;
    char buf[30];
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_response(&w, 1, 200, "OK");
    wst__head_field(&w, "Long", "%s", "does not fit into the buffer");
    wst__head_field(&w, "A", "b");
    wst__head_field(&w, "A", "%s", "\n");
    wst__head_field(&w, "a b", "c");
    assert_int_equal(wst__head_end(&w, NULL, 0), WST_EHEADBIG);
    assert_true(w.len <= sizeof(buf));
    assert_int_equal(wst__head_end(&w, NULL, 0), WST_EHEADBIG);
}

/* What we write is what our parser reads. */
static void test_read_back(void **state) {
    (void)state;
    wst__head_writer_t w;
    wst_http_head_t head;
    char buf[200];
    size_t scanned = 0;
    wst__head_init(&w, buf, sizeof(buf));
    wst__head_response(&w, 0, 407, "Proxy Authentication Required");
    wst__head_field(&w, "Content-Length", "%d", 3);
    wst__head_field(&w, "Connection", "keep-alive");
    int len = wst__head_end(&w, "no\n", 3);
    assert_true(len > 0);
    int end = wst_http_parse_response(&head, buf, (size_t)len, &scanned, NULL);
    assert_int_equal(end, len - 3);
    assert_int_equal(head.status, 407);
    assert_int_equal(head.minor_version, 0);
    assert_true(head.keep_alive);
    assert_int_equal(head.content_length, 3);
    assert_true(wst_str_eq(head.reason, "Proxy Authentication Required"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_response),   cmocka_unit_test(test_response_1_0),
        cmocka_unit_test(test_request),    cmocka_unit_test(test_copies),
        cmocka_unit_test(test_lists),      cmocka_unit_test(test_no_smuggling),
        cmocka_unit_test(test_every_size), cmocka_unit_test(test_failure_stays),
        cmocka_unit_test(test_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
