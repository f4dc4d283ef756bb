/* SPDX-License-Identifier: MIT */
/* The public functions of tls_certificate.h: what they take, and what a server makes of it. */
#include "env.h"
#include "support.h"

#include <time.h>
#include <wstunnel/error.h>
#include <wstunnel/tls.h>
#include <wstunnel/tls_certificate.h>

enum { DAY_S = 24 * 60 * 60 };

static const char *const names[] = {"server.test", "192.0.2.7", NULL};

static void test_a_server_takes_it(void **state) {
    (void)state;
    test_env_t env;
    wst_tls_self_signed_t made;
    wst_tls_config_t *config;
    const char *subject;
    const wst_tls_self_sign_options_t options = {
        .size = sizeof(options), .names = names, .days = 100};
    assert_int_equal(wst_tls_self_sign(&made, &options, NULL), 0);
    const wst_tls_identity_t identity = {sizeof(identity), made.certificate_pem, made.key_pem};
    const wst_tls_server_options_t server = {
        .size = sizeof(server), .identities = &identity, .identity_count = 1};
    test_env_open(&env);
    assert_int_equal(wst_tls_server_config(&config, env.ctx, &server, NULL), 0);
    int64_t left = wst_tls_config_expiry(config, &subject) - (int64_t)time(NULL);
    assert_string_equal(subject, "CN=server.test");
    assert_in_range(left, 100 * DAY_S - 60, 100 * DAY_S);
    wst_tls_config_unref(config);
    test_env_close(&env);
}

/* From the shortest to a century, beyond the years that a UTCTime has (RFC 5280 section 4.1.2.5).
 */
/* What was there before may have been a key. */
static void assert_wiped(const wst_tls_self_signed_t *made) {
    static const wst_tls_self_signed_t wiped;
    assert_memory_equal(made, &wiped, sizeof(wiped));
}

static void test_days(void **state) {
    (void)state;
    static const unsigned good[] = {1, 36500}, bad[] = {0, 36501, 4294967295u};
    wst_tls_self_signed_t made;
    for (size_t i = 0; i < 2; i++) {
        const wst_tls_self_sign_options_t o = {.size = sizeof(o), .names = names, .days = good[i]};
        char pin[WST_TLS_PIN_MAX];
        assert_int_equal(wst_tls_self_sign(&made, &o, NULL), 0);
        assert_int_equal(wst_tls_pin(pin, made.certificate_pem, NULL), 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const wst_tls_self_sign_options_t o = {.size = sizeof(o), .names = names, .days = bad[i]};
        assert_int_equal(wst_tls_self_sign(&made, &o, NULL), WST_EINVAL);
        assert_wiped(&made);
    }
}

static void test_what_is_missing(void **state) {
    (void)state;
    static const char *const none[] = {NULL}, *const wrong[] = {"a b", NULL};
    const wst_tls_self_sign_options_t options[] = {
        {.size = 0, .names = names, .days = 1},
        {.size = sizeof(options[0]), .names = NULL, .days = 1},
        {.size = sizeof(options[0]), .names = none, .days = 1},
        {.size = sizeof(options[0]), .names = wrong, .days = 1},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        wst_tls_self_signed_t made;
        memset(&made, 'x', sizeof(made));
        assert_int_equal(wst_tls_self_sign(&made, &options[i], NULL), WST_EINVAL);
        assert_wiped(&made);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_server_takes_it),
                                       cmocka_unit_test(test_days),
                                       cmocka_unit_test(test_what_is_missing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
