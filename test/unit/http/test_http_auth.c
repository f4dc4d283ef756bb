/* SPDX-License-Identifier: MIT */
/* The grammar of challenges and credentials. */
#include "support.h"

#include "http_auth.h"

#include <stdio.h>
#include <wstunnel/error.h>
#include <wstunnel/http.h>

/* Writes what a value holds: "scheme token68" or "scheme name=value ..." for the names asked for,
 * with " | " between challenges and "!" where it is malformed. The value ends at a guard page. */
static const char *dump(const char *value, const char *const *names) {
    static char out[1024];
    size_t len = strlen(value), n = 0;
    uint8_t *copy = test_guarded(value, len);
    wst_str_t rest = {(const char *)copy, len};
    wst__auth_t a;
    int status;
    out[0] = '\0';
    while ((status = wst__auth_next(&rest, &a)) == 1) {
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%.*s", n > 0 ? " | " : "",
                              (int)a.scheme.len, a.scheme.ptr);
        if (a.token68.ptr != NULL)
            n += (size_t)snprintf(out + n, sizeof(out) - n, " %.*s", (int)a.token68.len,
                                  a.token68.ptr);
        for (size_t i = 0; names[i] != NULL; i++) {
            char text[64];
            int found = wst__auth_param_copy(&a, names[i], text, sizeof(text));
            if (found != 0)
                n += (size_t)snprintf(out + n, sizeof(out) - n, " %s=%s", names[i],
                                      found == 1 ? text : "!");
        }
    }
    snprintf(out + n, sizeof(out) - n, "%s", status == 0 ? "" : "!");
    test_guarded_free(copy, len);
    return out;
}

static void test_challenges(void **state) {
    (void)state;
    static const char *const names[] = {"realm", "nonce", "q", NULL};
    static const struct {
        const char *value, *expect;
    } cases[] = {
        /* RFC 9110 section 11.6.1 */
        {"Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\"",
         "Basic realm=simple | Newauth realm=apps"},
        {"Digest realm=\"a, b\", nonce=\"x=,\\\"\"", "Digest realm=a, b nonce=x=,\""},
        {"Negotiate", "Negotiate"},
        {"Negotiate, NTLM", "Negotiate | NTLM"},
        {"Negotiate YII=, Basic realm=x", "Negotiate YII= | Basic realm=x"},
        {"Basic realm=\"x\", Negotiate abc==", "Basic realm=x | Negotiate abc=="},
        {"A q = 1 , realm=\"\"", "A realm= q=1"},
        {" , ,Basic , realm=x,,", "Basic realm=x"},
        {"Basic ,", "Basic"},
        {"A a, B b", "A a | B b"},
        {"A q=1, B", "A q=1 | B"},
        {"A q=1, B q=2", "A q=1 | B q=2"},
        {"A REALM=x", "A realm=x"},
        {"A q=\"\\a\\\\\"", "A q=a\\"},
        {"", ""},
        {" ,", ""},
        {"A q=1, q=2", "A q=!"},
        {"A realm=1, q=1;2", "!"},
        /* What follows something malformed is not guessed at. */
        {"A x, b=c", "A x!"},
        {"A b c", "!"},
        {"A b=c d", "!"},
        {"A b=c, d=", "!"},
        {"A b=\"c", "!"},
        {"A b=\"c\\", "!"},
        {"A b=\"c\\\"", "!"},
        {"A b=\"c\"d", "!"},
        {"A b=c, \"d\"", "A!"},
        {"\"A\" b=c", "!"},
        {"A=b", "!"},
        {"A\tb=c", "!"},
        {"A =", "!"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *got = dump(cases[i].value, names);
        if (strcmp(got, cases[i].expect) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", cases[i].value, got, cases[i].expect);
    }
}

/* Whatever it is cut down to, nothing is read behind its end, and what was whole stays so. */
static void test_every_prefix(void **state) {
    (void)state;
    static const char *const names[] = {"realm", "title", NULL};
    char text[] = "Basic realm=\"si\\\"mple\", N abc=, New realm=apps, title=\"Login\\\\\", NTLM";
    size_t first = strlen("Basic realm=\"si\\\"mple\"");
    assert_string_equal(dump(text, names),
                        "Basic realm=si\"mple | N abc= | New realm=apps title=Login\\ | NTLM");
    for (size_t len = strlen(text); len > 0; len--) {
        text[len] = '\0';
        const char *got = dump(text, names);
        assert_int_equal(strncmp(got, "Basic realm=si\"mple", 19) == 0, len >= first);
    }
}

static int read_one(const char *value) {
    wst__auth_t a;
    return wst__auth_read(&a, (wst_str_t){value, strlen(value)});
}

static void test_credentials_are_one(void **state) {
    (void)state;
    assert_int_equal(read_one("Basic QTpi"), 0);
    assert_int_equal(read_one("Digest a=b, c=d"), 0);
    assert_int_equal(read_one("Basic QTpi, Basic QTpi"), WST_EHTTP);
    assert_int_equal(read_one("Digest a=b, Digest"), WST_EHTTP);
    assert_int_equal(read_one("Digest a=b, ="), WST_EHTTP);
    assert_int_equal(read_one(""), WST_EHTTP);
}

static void test_values(void **state) {
    (void)state;
    static const char value[] = "A q=\"1\\23\", r=45";
    wst__auth_t a;
    wst_str_t raw;
    char four[4], three[3];
    assert_int_equal(wst__auth_read(&a, (wst_str_t){value, strlen(value)}), 0);
    assert_int_equal(wst__auth_param(&a, "q", &raw), 1);
    assert_true(wst_str_eq(raw, "1\\23"));
    assert_int_equal(wst__auth_param(&a, "s", &raw), 0);
    assert_int_equal(wst__auth_param_copy(&a, "q", four, sizeof(four)), 1);
    assert_string_equal(four, "123");
    assert_int_equal(wst__auth_param_copy(&a, "q", three, sizeof(three)), WST_EHTTP);
    assert_int_equal(wst__auth_param_copy(&a, "r", three, sizeof(three)), 1);
    assert_string_equal(three, "45");
    assert_int_equal(wst__auth_param_copy(&a, "s", three, sizeof(three)), 0);
    assert_string_equal(three, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_challenges),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_credentials_are_one),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
