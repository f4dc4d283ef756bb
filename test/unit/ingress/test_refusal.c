/* SPDX-License-Identifier: MIT */
/* The table of refusals and their text. */
#include "refusal.h"
#include "support.h"

#include <wstunnel/error.h>

static wst__refusal_text_t written(const wst__refusal_t *refusal, const char *detail) {
    wst__refusal_text_t text;
    memset(&text, 'x', sizeof(text));
    wst__refusal_write(&text, refusal, (wst_str_t){detail, strlen(detail)});
    return text;
}

/* What goes into a head: printable ASCII, and in quotes only escaped ones. */
static void assert_clean(const wst__refusal_text_t *text) {
    assert_in_range(strlen(text->reason), 1, WST__PHRASE_MAX);
    for (const char *p = text->reason; *p != '\0'; p++)
        assert_in_range(*p, ' ', '~');
    const char *p = strstr(text->fields, "details=\"") + 9;
    for (; *p != '"'; p++) {
        p += *p == '\\';
        assert_in_range(*p, ' ', '~');
    }
    assert_memory_equal(p, "\"\r\n", 3);
    for (p = text->body; *p != '\0'; p++)
        assert_true(*p == '\n' || (unsigned char)*p >= ' ');
}

/* RFC 9209 section 2.3 and the IANA registry made by it. */
static bool is_registered(const char *type) {
    static const char *const types[] = {"dns_timeout",
                                        "dns_error",
                                        "destination_not_found",
                                        "destination_unavailable",
                                        "destination_ip_prohibited",
                                        "destination_ip_unroutable",
                                        "connection_refused",
                                        "connection_terminated",
                                        "connection_timeout",
                                        "connection_limit_reached",
                                        "http_request_error",
                                        "http_request_denied",
                                        "proxy_internal_response",
                                        "proxy_internal_error",
                                        "proxy_configuration_error",
                                        "proxy_loop_detected",
                                        "http_protocol_error"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i], type) == 0)
            return true;
    return false;
}

static void check(int error) {
    wst__refusal_t refusal = wst__refusal_of(error);
    assert_in_range(refusal.status, 400, 599);
    assert_true(is_registered(refusal.error));
    assert_true(strlen(refusal.reason) <= WST__PHRASE_MAX);
    /* Worth another try: just what 503 and 429 mean. */
    assert_int_equal(refusal.retry, refusal.status == 503 || refusal.status == 429);
    wst__refusal_text_t text = written(&refusal, "");
    assert_string_equal(text.reason, refusal.reason);
    assert_clean(&text);
}

static void test_every_error(void **state) {
    (void)state;
    static const int errors[] = {
#define VALUE(name, value, text) value,
        WST_ERROR_MAP(VALUE) WST_REASON_MAP(VALUE)
#undef VALUE
            WST_ENOMEM,
        -1,
        -99999,
    };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        check(errors[i]);
    for (int cause = WST__NO_DECISION; cause <= WST__ORIGIN_MALFORMED; cause++)
        check(cause);
    assert_int_equal(wst__refusal_of(WST_EREFUSED).status, 502);
    assert_int_equal(wst__refusal_of(WST_ENOMEM).status, 503);
}

static void test_text(void **state) {
    (void)state;
    wst__refusal_t refusal = wst__refusal_of(WST_ELOST);
    wst__refusal_text_t text = written(&refusal, "");
    assert_string_equal(text.reason, "Agent lost");
    assert_string_equal(text.fields, "Proxy-Status: libwstunnel; error=destination_unavailable; "
                                     "details=\"Agent lost\"\r\nRetry-After: 5\r\n");
    assert_string_equal(text.body, "Agent lost\n");
    text = written(&refusal, "since noon");
    assert_string_equal(text.fields, "Proxy-Status: libwstunnel; error=destination_unavailable; "
                                     "details=\"since noon\"\r\nRetry-After: 5\r\n");
    assert_string_equal(text.body, "Agent lost\nsince noon\n");
}

/* An agent may say what it likes. */
static void test_hostile_detail(void **state) {
    (void)state;
    wst__refusal_t refusal = wst__refusal_of(WST_EREFUSED);
    wst__refusal_text_t text =
        written(&refusal, "a\"b\\c\r\nX: y\x7f\xc3\xa4\xe2\x82\xac\xff\x80z");
    assert_clean(&text);
    assert_non_null(strstr(text.fields, "details=\"a\\\"b\\\\c??X: y????z\"\r\n"));
    assert_string_equal(
        text.body,
        "Connection refused by destination\na\"b\\c  X: y \xc3\xa4\xe2\x82\xac\xff\x80z\n");

    char longest[1000];
    memset(longest, '"', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    text = written(&refusal, longest);
    assert_clean(&text);
    assert_int_equal(strlen(text.body), strlen(refusal.reason) + 1 + WST__DETAIL_MAX + 1);
    refusal.reason = longest;
    refusal.retry = true; /* the longest of all */
    text = written(&refusal, longest);
    assert_clean(&text);
    assert_int_equal(strlen(text.reason), WST__PHRASE_MAX);
    assert_non_null(strstr(text.fields, "\r\nRetry-After: 5\r\n"));
}

static void test_denied(void **state) {
    (void)state;
    wst__refusal_t refusal = wst__refusal_denied(403, "Not you");
    assert_int_equal(refusal.status, 403);
    assert_string_equal(refusal.reason, "Not you");
    assert_string_equal(refusal.error, "http_request_denied");
    assert_string_equal(wst__refusal_denied(407, NULL).reason, "Proxy Authentication Required");
    assert_string_equal(wst__refusal_denied(418, "").reason, "Denied");
    assert_string_equal(wst__refusal_denied(503, NULL).error, "proxy_internal_response");
    assert_int_equal(wst__refusal_denied(200, NULL).status, 403); /* no is no */
    assert_int_equal(wst__refusal_denied(600, NULL).status, 403);

    /* A reason that is too long for a phrase is whole in the body. */
    char reason[201];
    memset(reason, 'r', 200);
    reason[200] = '\0';
    refusal = wst__refusal_denied(403, reason);
    wst__refusal_text_t text = written(&refusal, "");
    assert_int_equal(strlen(text.reason), WST__PHRASE_MAX);
    assert_string_equal(text.body + WST__PHRASE_MAX + 1 + 200, "\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_error),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_hostile_detail),
        cmocka_unit_test(test_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
