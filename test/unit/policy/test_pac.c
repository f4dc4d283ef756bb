/* SPDX-License-Identifier: MIT */
/* Proxy auto-config files: what patterns become, and that nothing gets out of its string. What the
 * files mean to a browser is tested end to end. */
#include "pac.h"
#include "support.h"

#include <stdio.h>
#include <wstunnel/error.h>

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static int make(wst_pac_t **out, const char *const *destinations, const char *proxy,
                wst_pac_error_t *error) {
    const wst_pac_options_t options = {.size = sizeof(options),
                                       .destinations = destinations,
                                       .proxy = proxy,
                                       .allocator = &test_allocator};
    return wst_pac_new(out, &options, error);
}

static wst_str_t text(const char *chars) {
    return (wst_str_t){chars, strlen(chars)};
}

static void assert_has(const char *file, const char *part) {
    if (strstr(file, part) == NULL)
        fail_msg("%s is not in:\n%s", part, file);
}

static void test_patterns(void **state) {
    static const struct {
        const char *pattern, *condition;
    } cases[] = {
        {"wiki", "name == \"wiki\""},
        {"Wiki.Intranet.Example.", "name == \"wiki.intranet.example\""},
        {"a-b_c.1x", "name == \"a-b_c.1x\""},
        {"*.intranet.example", "!address && shExpMatch(name, \"*.intranet.example\")"},
        {"10*", "!address && shExpMatch(name, \"10*\")"},
        {"*", "true"},
        {"**.", "true"},
        {"*:22", "true && (port == 22)"},
        {"wiki:*", "name == \"wiki\""},
        {"wiki:80,443,8000-8999",
         "name == \"wiki\" && (port == 80 || port == 443 || port >= 8000 && port <= 8999)"},
        {"10.0.0.0/8", "within(address, \"10.0.0.0\", 8)"},
        {"10.1.2.3", "within(address, \"10.1.2.3\", 32)"},
        {"0.0.0.0/0", "within(address, \"0.0.0.0\", 0)"},
        {"10.0.0.0/8:22", "within(address, \"10.0.0.0\", 8) && (port == 22)"},
        {"[2001:DB8::]/32:443", "within(address, \"2001:db8::\", 32) && (port == 443)"},
        {"::1", "within(address, \"::1\", 128)"},
        {"::/0", "within(address, \"::\", 0)"},
        {"[::ffff:10.0.0.0]/8", "within(address, \"10.0.0.0\", 8)"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char file[WST_PAC_MAX], condition[256];
        wst_pac_t *pac;
        assert_int_equal(make(&pac, LIST(cases[i].pattern), NULL, NULL), 0);
        int len = wst__pac_write(pac, false, text("h"), file);
        assert_int_equal(len, strlen(file));
        snprintf(condition, sizeof(condition),
                 "port = portOf(url);\n    if (%s)\n        return proxy;\n"
                 "    return \"DIRECT\";\n}\n",
                 cases[i].condition);
        assert_has(file, condition);
        wst_pac_free(pac);
    }
}

static void test_order(void **state) {
    char file[WST_PAC_MAX];
    wst_pac_t *pac;
    (void)state;
    assert_int_equal(make(&pac, LIST("a", "10.0.0.0/8", "b"), NULL, NULL), 0);
    assert_true(wst__pac_write(pac, false, text("h"), file) > 0);
    assert_has(file, "    if (name == \"a\")\n        return proxy;\n"
                     "    if (within(address, \"10.0.0.0\", 8))\n        return proxy;\n"
                     "    if (name == \"b\")\n        return proxy;\n    return \"DIRECT\";\n}\n");
    wst_pac_free(pac);
}

/* What the client asks for names the proxy, or the configuration does. */
static void test_proxy(void **state) {
    static const struct {
        const char *proxy;
        bool tls;
        const char *host, *line; /* NULL: refused */
    } cases[] = {
        {NULL, false, "proxy.example:8080", "PROXY proxy.example:8080"},
        {NULL, true, "proxy.example:8443", "HTTPS proxy.example:8443"},
        {NULL, false, "Proxy_1", "PROXY Proxy_1:80"},
        {NULL, true, "proxy.example", "HTTPS proxy.example:443"},
        {NULL, false, "192.0.2.1:3128", "PROXY 192.0.2.1:3128"},
        {NULL, true, "[2001:db8::1]", "HTTPS [2001:db8::1]:443"},
        {NULL, false, "[::1]:1", "PROXY [::1]:1"},
        {"https://other.example", false, "proxy.example:8080", "HTTPS other.example:443"},
        {"http://other.example:81", true, "x", "PROXY other.example:81"},
        {"https://[::1]:444", false, "", "HTTPS [::1]:444"},
        {"https://other.example", false, "\"; evil(); \"", "HTTPS other.example:443"},
        {NULL, false, "", NULL},
        {NULL, false, ":80", NULL},
        {NULL, false, "a:", NULL},
        {NULL, false, "a:0", NULL},
        {NULL, false, "a:65536", NULL},
        {NULL, false, "a b:80", NULL},
        {NULL, false, "a:80; DIRECT", NULL},
        {NULL, false, "a:80\"; evil(); \"", NULL},
        {NULL, false, "a\";evil();\":80", NULL},
        {NULL, false, "a\\:80", NULL},
        {NULL, false, "a'b", NULL},
        {NULL, false, "a,b", NULL},
        {NULL, false, "a\tb", NULL},
        {NULL, false, "user@a:80", NULL},
        {NULL, false, "</script>", NULL},
        {NULL, false, "a/b", NULL},
        {NULL, false, "\xc3\xa4", NULL},
        {NULL, false, "a\xe2\x80\xa8", NULL},
        {NULL, false, "2001:db8::1:80", NULL},
        {NULL, false, "[2001:db8::1", NULL},
        {NULL, false, "[\"]:80", NULL},
        {NULL, false, "[fe80::1%eth0]:80", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char file[WST_PAC_MAX], line[400];
        wst_pac_t *pac;
        assert_int_equal(make(&pac, LIST("wiki"), cases[i].proxy, NULL), 0);
        size_t len = strlen(cases[i].host);
        uint8_t *host = test_guarded(cases[i].host, len);
        int rc = wst__pac_write(pac, cases[i].tls, (wst_str_t){(const char *)host, len}, file);
        test_guarded_free(host, len);
        wst_pac_free(pac);
        if (cases[i].line == NULL) {
            if (rc != WST_EDEST)
                fail_msg("Host %s is taken", cases[i].host);
            continue;
        }
        assert_int_equal(rc, strlen(file));
        snprintf(line, sizeof(line), "\nvar proxy = \"%s\";\n", cases[i].line);
        assert_has(file, line);
    }
}

static void test_faults(void **state) {
    static const struct {
        const char *pattern, *proxy, *why;
    } cases[] = {
        {"10.*", NULL, "not an address, nor a network such as 10.0.0.0/8"},
        {"a\"b", NULL, "character not allowed in a host name"},
        {"a\nb", NULL, "character not allowed in a host name"},
        {"", NULL, "no host"},
        {"wiki:0", NULL, "ports must be numbers from 1 to 65535, ranges of them, or *"},
        {"\xc3\xa4.example", NULL, "not ASCII: browsers ask for such a name as xn--..."},
        {"wiki", "proxy.example:80", "not a http:// or https:// URL"},
        {"wiki", "socks5://proxy.example", "not a http:// or https:// URL"},
        {"wiki", "", "not a http:// or https:// URL"},
        {"wiki", "https://", "no host"},
        {"wiki", "https://a/b", "character not allowed in a host name"},
        {"wiki", "https://\xc3\xa4", "not ASCII: browsers ask for such a name as xn--..."},
    };
    wst_pac_error_t error;
    wst_pac_t *pac;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const *list = LIST("good", cases[i].pattern);
        assert_int_equal(make(&pac, list, cases[i].proxy, &error), WST_EINVAL);
        assert_string_equal(error.why, cases[i].why);
        assert_ptr_equal(error.text, cases[i].proxy != NULL ? cases[i].proxy : list[1]);
    }
    const char *const none[] = {NULL};
    assert_int_equal(make(&pac, none, NULL, &error), WST_EINVAL);
    assert_null(error.text);
    assert_string_equal(error.why, "no patterns");
    assert_int_equal(make(&pac, NULL, NULL, NULL), WST_EINVAL);
    assert_int_equal(wst_pac_new(&pac, &(const wst_pac_options_t){0}, NULL), WST_EINVAL);
    wst_pac_free(NULL);
    assert_int_equal(test_alloc_live(), 0);
}

/* As many patterns as the bound allows, and the longest proxy, make a whole file; one more, none.
 */
static void test_bound(void **state) {
    static const char end[] = "    return \"DIRECT\";\n}\n";
    static const char *list[2000];
    char host[256], file[WST_PAC_MAX];
    wst_pac_error_t error;
    wst_pac_t *pac;
    size_t count = 0;
    (void)state;
    memset(host, 'h', sizeof(host) - 1);
    host[sizeof(host) - 1] = '\0';
    int status = 0;
    while (status == 0) {
        assert_true(count + 1 < sizeof(list) / sizeof(list[0]));
        list[count++] = "*.intranet.example:80,443";
        status = make(&pac, list, NULL, &error);
        if (status == 0) {
            int len = wst__pac_write(pac, true, text(host), file);
            assert_in_range(len, 1, WST_PAC_MAX - 1);
            assert_int_equal(strlen(file), len);
            assert_string_equal(file + len - strlen(end), end);
            wst_pac_free(pac);
        }
    }
    assert_int_equal(status, WST_EINVAL);
    assert_string_equal(error.why, "the file would be longer than 16 KiB");
    assert_true(count > 100);
    assert_int_equal(test_alloc_live(), 0);
}

static void make_one(void *made) {
    wst_pac_t *pac;
    int status = make(&pac, LIST("wiki", "10.0.0.0/8:22", "*.x"), "https://p", NULL);
    assert_int_equal(status, test_alloc_failed() ? WST_ENOMEM : 0);
    if (status == 0) {
        ++*(size_t *)made;
        wst_pac_free(pac);
    }
}

static void test_no_memory(void **state) {
    size_t made = 0;
    (void)state;
    assert_in_range(test_alloc_each(make_one, &made), 4, 20);
    assert_int_equal(made, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns), cmocka_unit_test(test_order),
        cmocka_unit_test(test_proxy),    cmocka_unit_test(test_faults),
        cmocka_unit_test(test_bound),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
