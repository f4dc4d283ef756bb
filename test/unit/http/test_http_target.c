/* SPDX-License-Identifier: MIT */
/* Request targets and authorities: which destination a target names, and what names none. */
#include "http_target.h"
#include "support.h"

#include <stdio.h>
#include <wstunnel/error.h>
#include <wstunnel/http.h>

typedef struct vector {
    const char *name, *input, *expect; /* of targets the name is the method */
} vector_t;

/* "host port", IPv6 in brackets; "!why" if refused. */
static const vector_t authorities[] = {
    {"name", "example.com:443", "example.com 443"},
    {"one letter", "a:1", "a 1"},
    {"greatest port", "a:65535", "a 65535"},
    {"five digits", "a:00080", "a 80"},
    {"underscore, hyphen, digits", "_x-1.a_b.3com:80", "_x-1.a_b.3com 80"},
    {"trailing dot", "example.com.:443", "example.com. 443"},
    {"IDNA as sent",
     "b\xc3\xbc"
     "cher.example:80",
     "b\xc3\xbc"
     "cher.example 80"},
    {"IPv4", "192.0.2.255:80", "192.0.2.255 80"},
    {"hex word is a name", "0xg:80", "0xg 80"},
    {"number not last", "127.1.example:80", "127.1.example 80"},
    {"IPv6", "[2001:db8::1]:443", "[2001:db8::1] 443"},
    {"IPv6 with IPv4", "[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.1] 443"},
    {"IPv6 from apt", "2001:db8::1:443", "[2001:db8::1] 443"},
    {"shortest IPv6 from apt", ":::80", "[::] 80"},
    {"IPv6 from ncat", "[2001:db8::1]:443]", "[2001:db8::1] 443"},
    {"nothing", "", "!no host"},
    {"no port (RFC 9110, 9.3.6)", "example.com", "!no port"},
    {"IPv6 without port", "[::1]", "!no port"},
    {"empty port", "example.com:", "!port is not a number from 1 to 65535"},
    {"port 0", "a:0", "!port is not a number from 1 to 65535"},
    {"port too great", "a:65536", "!port is not a number from 1 to 65535"},
    {"port that wraps", "a:65616", "!port is not a number from 1 to 65535"},
    {"long port", "a:000080", "!port is not a number from 1 to 65535"},
    {"signed port", "a:+80", "!port is not a number from 1 to 65535"},
    {"port name", "a:http", "!port is not a number from 1 to 65535"},
    {"space in the port", "a: 80", "!port is not a number from 1 to 65535"},
    {"bracket behind a name's port", "a:80]", "!port is not a number from 1 to 65535"},
    {"two brackets behind", "[::1]:80]]", "!port is not a number from 1 to 65535"},
    {"bracket for a port", "[::1]:]", "!port is not a number from 1 to 65535"},
    {"no host", ":80", "!no host"},
    {"only a dot", ".:80", "!empty label in the host name"},
    {"leading dot", ".a:80", "!empty label in the host name"},
    {"two dots", "a..b:80", "!empty label in the host name"},
    {"two trailing dots", "a..:80", "!empty label in the host name"},
    {"user information", "u@a:80", "!character not allowed in a host name"},
    {"path", "a/b:80", "!character not allowed in a host name"},
    {"percent", "%61:80", "!character not allowed in a host name"},
    {"space", "a b:80", "!character not allowed in a host name"},
    {"backslash", "a\\b:80", "!character not allowed in a host name"},
    {"closing bracket only", "::1]:80", "!colon in a host that is no IPv6 address"},
    {"no closing bracket", "[::1:80", "!no closing bracket"},
    {"text behind the bracket", "[::1]a:80", "!text behind the closing bracket"},
    {"empty brackets", "[]:80", "!not an IPv6 address"},
    {"name in brackets", "[a]:80", "!not an IPv6 address"},
    {"IPv4 in brackets", "[192.0.2.1]:80", "!not an IPv6 address"},
    {"zone", "[fe80::1%25eth0]:80", "!not an IPv6 address"},
    {"two compressions", "[1::2::3]:80", "!not an IPv6 address"},
    {"long IPv6", "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80", "!not an IPv6 address"},
    {"seven groups from apt", "1:2:3:4:5:6:7:80", "!colon in a host that is no IPv6 address"},
    {"name with two ports", "a:80:80", "!colon in a host that is no IPv6 address"},
    {"octet too great", "256.0.0.1:80", "!not an IPv4 address"},
    {"five octets", "1.2.3.4.5:80", "!not an IPv4 address"},
    {"short IPv4", "127.1:80", "!not an IPv4 address"},
    {"number", "2130706433:80", "!not an IPv4 address"},
    {"octal octet", "0177.0.0.1:80", "!not an IPv4 address"},
    {"hex", "0x7F000001:80", "!not an IPv4 address"},
    {"hex octet", "127.0.0.0X1:80", "!not an IPv4 address"},
    {"IPv4 with a trailing dot", "192.0.2.1.:80", "!not an IPv4 address"},
};

/* "form scheme host port path" as far as they apply. */
static const vector_t targets[] = {
    /* RFC 9112 section 3.2.1 */
    {"GET", "/", "origin /"},
    {"GET", "/a?b=http://c/", "origin /a?b=http://c/"},
    {"OPTIONS", "//x", "origin //x"},
    /* section 3.2.2 */
    {"GET", "http://a", "absolute http a 80 /"},
    {"GET", "http://a/", "absolute http a 80 /"},
    {"GET", "http://a:8080/b?c@d:e", "absolute http a 8080 /b?c@d:e"},
    {"GET", "http://a:/b", "absolute http a 80 /b"},
    {"GET", "HTTPS://A/", "absolute HTTPS A 443 /"},
    {"GET", "ws://a/", "absolute ws a 80 /"},
    {"GET", "wss://a/", "absolute wss a 443 /"},
    {"GET", "x+y-z.1://a:1/", "absolute x+y-z.1 a 1 /"},
    {"OPTIONS", "http://[::1]", "absolute http [::1] 80 /"},
    {"GET", "http://[::1]:81/x", "absolute http [::1] 81 /x"},
    {"GET", "http://2001:db8::1:80/", "!IPv6 address without brackets"},
    {"GET", "http://[::1]:81]/", "!port is not a number from 1 to 65535"},
    {"GET", "http://", "!no host"},
    {"GET", "http:///x", "!no host"},
    {"GET", "http://:80/", "!no host"},
    {"GET", "http://a:0/", "!port is not a number from 1 to 65535"},
    {"GET", "http://a:x/", "!port is not a number from 1 to 65535"},
    {"GET", "http://u:p@a/", "!user information in the target"},
    {"GET", "http://a?b", "absolute http a 80 ?b"},
    {"GET", "http://a:81?b/c", "absolute http a 81 ?b/c"},
    {"GET", "http://[::1]?", "absolute http [::1] 80 ?"},
    {"GET", "http://?b", "!no host"},
    {"GET", "http://127.1/", "!not an IPv4 address"},
    {"GET", "http://a\\@b/", "!user information in the target"},
    {"GET", "http://a#@b/", "!fragment in the target"},
    {"GET", "/a#b", "!fragment in the target"},
    {"GET", "http:/a", "!target is neither a path nor an absolute URI"},
    {"GET", "http", "!target is neither a path nor an absolute URI"},
    {"GET", "1a://b/", "!target is neither a path nor an absolute URI"},
    {"GET", "://b/", "!target is neither a path nor an absolute URI"},
    {"GET", "a:443", "!target is neither a path nor an absolute URI"},
    {"GET", "a", "!target is neither a path nor an absolute URI"},
    {"GET", "", "!target is neither a path nor an absolute URI"},
    /* section 3.2.3 */
    {"CONNECT", "a:443", "authority a 443"},
    {"CONNECT", "2001:db8::1:443", "authority [2001:db8::1] 443"},
    {"CONNECT", "a", "!no port"},
    {"CONNECT", "/", "!no port"},
    {"CONNECT", "*", "!no port"},
    {"CONNECT", "http://a:80/", "!colon in a host that is no IPv6 address"},
    {"connect", "a:443", "!target is neither a path nor an absolute URI"},
    /* section 3.2.4 */
    {"OPTIONS", "*", "asterisk"},
    {"GET", "*", "!target * with another method than OPTIONS"},
    {"OPTIONS", "**", "!target is neither a path nor an absolute URI"},
};

static int show_authority(char *out, size_t size, const wst_authority_t *a) {
    return snprintf(out, size, a->ipv6 ? "[%.*s] %d" : "%.*s %d", (int)a->host.len, a->host.ptr,
                    a->port);
}

static void check_authority(const char *name, wst_str_t text, const char *expect) {
    wst_authority_t a = {.port = 7};
    char out[600];
    const char *why = NULL;
    int rc = wst_parse_authority(&a, text, &why);
    if (rc == 0) {
        assert_null(why);
        show_authority(out, sizeof(out), &a);
    } else {
        assert_int_equal(rc, WST_EDEST);
        assert_true(a.port == 7 && a.host.ptr == NULL);
        snprintf(out, sizeof(out), "!%s", why);
    }
    if (strcmp(out, expect) != 0)
        fail_msg("%s: %s", name, out);
    assert_int_equal(wst_parse_authority(&a, text, NULL), rc);
}

/* Each vector ends at a guarded page: nothing behind the text is looked at. */
static void test_authorities(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(authorities) / sizeof(authorities[0]); i++) {
        const vector_t *v = &authorities[i];
        size_t len = strlen(v->input);
        uint8_t *copy = test_guarded(v->input, len);
        check_authority(v->name, (wst_str_t){(const char *)copy, len}, v->expect);
        test_guarded_free(copy, len);
    }
    check_authority("absent", (wst_str_t){0}, "!no host");
}

/* Bytes a C string would end at or that would end a line further on. */
static void test_odd_bytes(void **state) {
    (void)state;
    check_authority("NUL in a name", (wst_str_t){"a\0b:80", 6},
                    "!character not allowed in a host name");
    check_authority("NUL in IPv6", (wst_str_t){"[::1\0x]:80", 10}, "!not an IPv6 address");
    check_authority("NUL in a port", (wst_str_t){"a:80\0", 5},
                    "!port is not a number from 1 to 65535");
    for (unsigned c = 0; c < 256; c++) {
        char text[] = "a?b:80";
        text[1] = (char)c;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool legal = letter || c >= 0x80 || c == '-' || c == '_' || c == '.';
        wst_authority_t a;
        int rc = wst_parse_authority(&a, (wst_str_t){text, 6}, NULL);
        if (rc != (legal ? 0 : WST_EDEST))
            fail_msg("byte %02x: %d", c, rc);
    }
}

static void test_long_name(void **state) {
    (void)state;
    char text[300];
    memset(text, 'a', sizeof(text));
    memcpy(text + 255, ":80", 3);
    wst_authority_t a;
    const char *why;
    assert_int_equal(wst_parse_authority(&a, (wst_str_t){text, 258}, NULL), 0);
    assert_int_equal(a.host.len, 255);
    text[255] = 'a';
    memcpy(text + 256, ":80", 3);
    assert_int_equal(wst_parse_authority(&a, (wst_str_t){text, 259}, &why), WST_EDEST);
    assert_string_equal(why, "host name too long");
}

static void show_target(char *out, size_t size, const wst_http_target_t *t) {
    static const char *const forms[] = {"origin", "absolute", "authority", "asterisk"};
    int n = snprintf(out, size, "%s", forms[t->form]);
    if (t->scheme.ptr != NULL)
        n += snprintf(out + n, size - (size_t)n, " %.*s", (int)t->scheme.len, t->scheme.ptr);
    if (t->authority.host.ptr != NULL) {
        n += snprintf(out + n, size - (size_t)n, " ");
        n += show_authority(out + n, size - (size_t)n, &t->authority);
    }
    if (t->path.ptr != NULL)
        snprintf(out + n, size - (size_t)n, " %.*s", (int)t->path.len, t->path.ptr);
}

static void test_targets(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        const vector_t *v = &targets[i];
        size_t len = strlen(v->input);
        uint8_t *copy = test_guarded(v->input, len);
        wst_http_head_t head = {.method = {v->name, strlen(v->name)},
                                .target = {(const char *)copy, len}};
        wst_http_target_t t = {.form = WST_HTTP_ASTERISK, .path = {"kept", 4}};
        char out[600];
        const char *why = NULL;
        int rc = wst_http_parse_target(&t, &head, &why);
        if (rc == 0) {
            assert_null(why);
            show_target(out, sizeof(out), &t);
        } else {
            assert_int_equal(rc, WST_EHTTP);
            assert_string_equal(t.path.ptr, "kept");
            snprintf(out, sizeof(out), "!%s", why);
        }
        if (strcmp(out, v->expect) != 0)
            fail_msg("%s %s: %s", v->name, v->input, out);
        assert_int_equal(wst_http_parse_target(&t, &head, NULL), rc);
        test_guarded_free(copy, len);
    }
}

/* In memory of every size: cut there, and terminated. */
static void test_writing(void **state) {
    (void)state;
    static const struct {
        wst_authority_t a;
        const char *text;
    } cases[] = {
        {{.host = {"site.test", 9}, .port = 8}, "site.test:8"},
        {{.host = {"192.0.2.1", 9}, .port = 65535}, "192.0.2.1:65535"},
        {{.host = {"2001:db8::7", 11}, .port = 443, .ipv6 = true}, "[2001:db8::7]:443"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t whole = strlen(cases[i].text);
        for (size_t size = 1; size <= whole + 2; size++) {
            char *out = malloc(size);
            wst__authority_write(out, size, &cases[i].a);
            size_t len = size <= whole ? size - 1 : whole;
            assert_int_equal(strlen(out), len);
            assert_memory_equal(out, cases[i].text, len);
            free(out);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorities), cmocka_unit_test(test_odd_bytes),
        cmocka_unit_test(test_long_name),   cmocka_unit_test(test_targets),
        cmocka_unit_test(test_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
