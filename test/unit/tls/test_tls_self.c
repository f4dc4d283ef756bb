/* SPDX-License-Identifier: MIT */
/* Self-signed certificates: their names, what they are for, who trusts them; pins of PEM texts. */
#include "support.h"
#include "tls_pki.h"
#include "tls_rig.h"
#include "tls_self.h"

#include <stdio.h>
#include <time.h>
#include <wstunnel/tls_certificate.h>

enum { DAY_S = 24 * 60 * 60 };

static void sign(wst_tls_self_signed_t *out, const char *const *names) {
    wst__tls_self_t self = {.not_before = (int64_t)time(NULL) - DAY_S,
                            .not_after = (int64_t)time(NULL) + 30 * DAY_S};
    wst_tls_error_t why = {""};
    assert_true(wst__tls_self_names(&self, names));
    if (wst__tls_engine_self_sign(out, &self, &why) != 0)
        fail_msg("%s", why.text);
}

/* -- Names --------------------------------------------------------------------------------------
 */

static void test_names_in_der(void **state) {
    (void)state;
    static const char *const names[] = {"a.test", "*.b.test", "192.0.2.7", "2001:db8::1", NULL};
    static const uint8_t der[] = {0x30, 42,  0x82, 6,   'a',  '.', 't',  'e',  's',  't',  0x82,
                                  8,    '*', '.',  'b', '.',  't', 'e',  's',  't',  0x87, 4,
                                  192,  0,   2,    7,   0x87, 16,  0x20, 0x01, 0x0d, 0xb8, 0,
                                  0,    0,   0,    0,   0,    0,   0,    0,    0,    0,    1};
    wst__tls_self_t self;
    assert_true(wst__tls_self_names(&self, names));
    assert_int_equal(self.san_len, sizeof(der));
    assert_memory_equal(self.san, der, sizeof(der));
    assert_string_equal(self.common_name, "a.test");
}

/* The longest that there can be: lengths of DER in all sizes, too long for a common name. */
static void test_most_names(void **state) {
    (void)state;
    char longest[256];
    const char *names[WST_TLS_SELF_NAMES_MAX + 2] = {NULL};
    for (size_t i = 0; i < 253; i++)
        longest[i] = i % 64 == 63 ? '.' : 'x';
    longest[253] = '\0';
    for (size_t i = 0; i < WST_TLS_SELF_NAMES_MAX; i++)
        names[i] = longest;
    wst_tls_self_signed_t made;
    sign(&made, names);
    const wst_tls_client_options_t options = {.size = sizeof(options),
                                              .ca_pem = made.certificate_pem};
    wst__tls_engine_t *client = tls_client_with(&options);
    wst__tls_engine_free(client);
    wst__tls_self_t self;
    names[WST_TLS_SELF_NAMES_MAX] = "one.more";
    assert_false(wst__tls_self_names(&self, names));
    assert_true(wst__tls_self_names(&self, (const char *const[]){longest, NULL}));
    assert_string_equal(self.common_name, "self-signed");
}

static void test_bad_names(void **state) {
    (void)state;
    static const char *const bad[] = {"",   "a b",          "a..b",  ".a",  "*",
                                      "*.", "a.*.b",        "[::1]", "a/b", "a:1",
                                      "ä",  "fe80::1%eth0", "**.a"};
    wst__tls_self_t self;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (wst__tls_self_names(&self, (const char *const[]){"good.test", bad[i], NULL}))
            fail_msg("taken: %s", bad[i]);
    assert_false(wst__tls_self_names(&self, (const char *const[]){NULL}));
}

/* -- Certificates -------------------------------------------------------------------------------
 */

/* What a client with these options says of the certificate; "" if it takes it. */
static const char *judgement(const wst_tls_self_signed_t *made, const char *name,
                             const wst_tls_client_options_t *options) {
    static char text[256];
    wst_tls_error_t why;
    const wst_tls_identity_t identity = {sizeof(identity), made->certificate_pem, made->key_pem};
    const wst_tls_server_options_t offer = {
        .size = sizeof(offer), .identities = &identity, .identity_count = 1};
    wst__tls_engine_t *server, *client = tls_client_with(options);
    if (wst__tls_engine_server(&server, &test_allocator, &offer, &why) != 0)
        fail_msg("%s", why.text);
    tls_rig_t rig;
    tls_connect(&rig, client, server, name);
    snprintf(text, sizeof(text), "%s", tls_end_failure(&rig.client));
    tls_rig_close(&rig);
    wst__tls_engine_free(client);
    wst__tls_engine_free(server);
    return text;
}

/* By itself as an issuer and by its pin, for all its names and no others. */
static void test_trusted(void **state) {
    (void)state;
    static const char *const names[] = {"server.test", "192.0.2.7", "2001:db8::1", NULL};
    static const char others[] =
        "certificate is for other names: server.test, 192.0.2.7, 2001:db8::1";
    wst_tls_self_signed_t made, other;
    char pin[WST_TLS_PIN_MAX];
    sign(&made, names);
    sign(&other, names);
    assert_int_equal(wst__tls_engine_pin(pin, made.certificate_pem, NULL), 0);
    const wst_tls_client_options_t by_itself = {.size = sizeof(by_itself),
                                                .ca_pem = made.certificate_pem};
    const wst_tls_client_options_t by_pin = {.size = sizeof(by_pin),
                                             .ca_pem = tls_pki.root.own,
                                             .pins = (const char *const[]){pin, NULL}};
    const wst_tls_client_options_t by_neither = {.size = sizeof(by_neither),
                                                 .ca_pem = tls_pki.root.own};
    for (const char *const *name = names; *name != NULL; name++) {
        assert_string_equal(judgement(&made, *name, &by_itself), "");
        assert_string_equal(judgement(&made, *name, &by_pin), "");
    }
    assert_string_equal(judgement(&made, "other.test", &by_itself), others);
    assert_string_equal(judgement(&made, "other.test", &by_pin), others);
    char text[256];
    snprintf(text, sizeof(text),
             "self-signed certificate, not trusted: CN=server.test, with the pin %s", pin);
    assert_string_equal(judgement(&made, "server.test", &by_neither), text);
    assert_memory_equal(judgement(&other, "server.test", &by_pin), "self-signed certificate, not",
                        strlen("self-signed certificate, not"));
}

/* No two have the same key or number. */
static void test_all_different(void **state) {
    (void)state;
    wst_tls_self_signed_t a, b;
    sign(&a, (const char *const[]){"a.test", NULL});
    sign(&b, (const char *const[]){"a.test", NULL});
    assert_string_not_equal(a.key_pem, b.key_pem);
    assert_string_not_equal(a.certificate_pem, b.certificate_pem);
}

static void test_pin(void **state) {
    (void)state;
    char pin[WST_TLS_PIN_MAX];
    wst_tls_error_t why;
    assert_int_equal(wst__tls_engine_pin(pin, tls_pki.leaf.chain, &why), 0);
    assert_int_equal(strlen(pin), WST_TLS_PIN_MAX - 1);
    assert_memory_equal(pin, "sha256/", 7);
    assert_int_equal(wst__tls_engine_pin(pin, "no certificate", &why), WST_ETLS);
    assert_string_equal(why.text, "certificate: there is no certificate in it");
    assert_int_equal(wst__tls_engine_pin(pin,
                                         "-----BEGIN CERTIFICATE-----\nAAAA\n"
                                         "-----END CERTIFICATE-----\n",
                                         &why),
                     WST_ETLS);
    assert_int_equal(wst__tls_engine_pin(pin, "", NULL), WST_ETLS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_in_der),  cmocka_unit_test(test_most_names),
        cmocka_unit_test(test_bad_names),     cmocka_unit_test(test_trusted),
        cmocka_unit_test(test_all_different), cmocka_unit_test(test_pin),
    };
    return cmocka_run_group_tests(tests, tls_pki_make, tls_pki_free);
}
