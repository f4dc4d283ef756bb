/* SPDX-License-Identifier: MIT */
/* What is read out of certificates, and how they are judged. */
#include "support.h"
#include "tls_cert.h"
#include "tls_certs.h"

#include <stdio.h>
#include <time.h>

static void parse(mbedtls_x509_crt *crt, const tls_made_t *made) {
    mbedtls_x509_crt_init(crt);
    assert_int_equal(mbedtls_x509_crt_parse(crt, (const uint8_t *)made->own, strlen(made->own) + 1),
                     0);
}

static void test_read(void **state) {
    (void)state;
    tls_made_t made;
    mbedtls_x509_crt crt;
    tls_make(&made,
             &(tls_spec_t){.subject = "C=DE,O=B\xc3\xbcro,CN=agent 7",
                           .names = "dns:*.a.example ip:192.0.2.1 ip:2001:db8::7 "
                                    "email:me@a.example uri:urn:device:7",
                           .from_days = -2,
                           .to_days = 5},
             NULL);
    parse(&crt, &made);
    wst__tls_cert_t *cert = wst__tls_cert_new(&test_allocator, &crt);
    mbedtls_x509_crt_free(&crt); /* nothing points there */
    const wst_tls_certificate_t *c = wst__tls_cert_public(cert);
    assert_string_equal(c->subject, "C=DE, O=B\xc3\xbcro, CN=agent 7");
    assert_string_equal(c->issuer, c->subject);
    assert_string_equal(c->common_name, "agent 7");
    static const wst_tls_name_t names[] = {{WST_TLS_NAME_DNS, "*.a.example"},
                                           {WST_TLS_NAME_IP, "192.0.2.1"},
                                           {WST_TLS_NAME_IP, "2001:db8::7"},
                                           {WST_TLS_NAME_EMAIL, "me@a.example"},
                                           {WST_TLS_NAME_URI, "urn:device:7"}};
    assert_int_equal(c->name_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(c->names[i].kind, names[i].kind);
        assert_string_equal(c->names[i].text, names[i].text);
    }
    assert_int_equal(strlen(c->fingerprint), 64);
    assert_int_equal(strspn(c->fingerprint, "0123456789abcdef"), 64);
    assert_int_equal(strlen(c->pin), 51);
    assert_memory_equal(c->pin, "sha256/", 7);
    int64_t now = (int64_t)time(NULL), day = 24 * 3600;
    assert_true(c->not_before >= now - 2 * day - 60 && c->not_before <= now - 2 * day);
    assert_true(c->not_after >= now + 5 * day - 60 && c->not_after <= now + 5 * day);
    wst__tls_cert_t *again = wst__tls_cert_ref(cert);
    wst__tls_cert_unref(cert);
    assert_string_equal(wst__tls_cert_public(again)->common_name, "agent 7");
    wst__tls_cert_unref(again);
    assert_int_equal(test_alloc_live(), 0);
    tls_made_free(&made);
}

/* Names made to deceive. */
static void test_deceptive_subjects(void **state) {
    (void)state;
    static uint8_t oid_cn[] = {0x55, 4, 3}, oid_other[] = {0x55, 4, 99};
    static const struct {
        const char *value;
        size_t len;
        const char *text, *common_name;
    } cases[] = {
        {"admin\0.evil", 11, "CN=admin?.evil", "admin?.evil"},
        {"x, CN=admin", 11, "CN=x\\, CN=admin", "x, CN=admin"},
        {"a+b\\c", 5, "CN=a\\+b\\\\c", "a+b\\c"},
        {"a\nb\x7f", 4, "CN=a?b?", "a?b?"},
        {"\xff\xfe", 2, "CN=??", "??"},
        {"", 0, "CN=", ""},
    };
    mbedtls_x509_crt crt;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mbedtls_x509_crt_init(&crt);
        crt.subject.oid = (mbedtls_asn1_buf){.p = oid_cn, .len = 3, .tag = 6};
        crt.subject.val = (mbedtls_asn1_buf){
            .p = (uint8_t *)(uintptr_t)cases[i].value, .len = cases[i].len, .tag = 12};
        wst__tls_cert_t *cert = wst__tls_cert_new(&test_allocator, &crt);
        assert_string_equal(wst__tls_cert_public(cert)->subject, cases[i].text);
        assert_string_equal(wst__tls_cert_public(cert)->common_name, cases[i].common_name);
        wst__tls_cert_unref(cert);
    }
    /* Too long: the subject is cut, the common name is none. */
    static uint8_t name[600];
    memset(name, 'n', sizeof(name));
    mbedtls_x509_crt_init(&crt);
    crt.subject.oid = (mbedtls_asn1_buf){.p = oid_cn, .len = 3, .tag = 6};
    crt.subject.val = (mbedtls_asn1_buf){.p = name, .len = 256, .tag = 12};
    wst__tls_cert_t *cert = wst__tls_cert_new(&test_allocator, &crt);
    assert_string_equal(wst__tls_cert_public(cert)->common_name, "");
    assert_int_equal(strlen(wst__tls_cert_public(cert)->subject), 259);
    wst__tls_cert_unref(cert);
    crt.subject.val.len = 600;
    cert = wst__tls_cert_new(&test_allocator, &crt);
    assert_true(strlen(wst__tls_cert_public(cert)->subject) < 512);
    wst__tls_cert_unref(cert);
    /* The last one counts. */
    mbedtls_x509_name last = {.oid = crt.subject.oid, .val = {.p = name, .len = 2, .tag = 12}};
    crt.subject.val.len = 1;
    crt.subject.next = &last;
    cert = wst__tls_cert_new(&test_allocator, &crt);
    assert_string_equal(wst__tls_cert_public(cert)->subject, "CN=n, CN=nn");
    assert_string_equal(wst__tls_cert_public(cert)->common_name, "nn");
    wst__tls_cert_unref(cert);
    crt.subject.next = NULL;
    /* A type that nobody knows. */
    crt.subject.oid.p = oid_other;
    crt.subject.val.len = 1;
    cert = wst__tls_cert_new(&test_allocator, &crt);
    assert_string_equal(wst__tls_cert_public(cert)->subject, "?=n");
    wst__tls_cert_unref(cert);
    assert_int_equal(test_alloc_live(), 0);
}

static void test_deceptive_names(void **state) {
    (void)state;
    static const struct {
        int tag;
        const char *value;
        size_t len;
        const char *text; /* NULL: left out */
    } cases[] = {
        {0x82, "a.example\0.evil", 15, NULL},
        {0x82, "a.example", 9, "a.example"},
        {0x82, "a example", 9, NULL},
        {0x87, "\x7f\0\0\1", 4, "127.0.0.1"},
        {0x87, "\x7f\0\0", 3, NULL},
        {0x87, "\x7f\0\0\1\xff\0\0\0", 8, NULL}, /* a network, as in name constraints */
        {0x87, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16, "::1"},
        {0x81, "\xc3\xbc@a.example", 12, NULL},
        {0xa0, "whatever", 8, NULL},
        {0x88, "\x55\4\3", 3, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mbedtls_x509_crt crt;
        mbedtls_x509_crt_init(&crt);
        crt.subject_alt_names.buf = (mbedtls_asn1_buf){
            .p = (uint8_t *)(uintptr_t)cases[i].value, .len = cases[i].len, .tag = cases[i].tag};
        wst__tls_cert_t *cert = wst__tls_cert_new(&test_allocator, &crt);
        const wst_tls_certificate_t *c = wst__tls_cert_public(cert);
        assert_int_equal(c->name_count, cases[i].text != NULL);
        if (cases[i].text != NULL)
            assert_string_equal(c->names[0].text, cases[i].text);
        wst__tls_cert_unref(cert);
    }
}

static void test_time(void **state) {
    (void)state;
    assert_int_equal(wst__tls_time(&(mbedtls_x509_time){1970, 1, 1, 0, 0, 0}), 0);
    assert_int_equal(wst__tls_time(&(mbedtls_x509_time){2000, 2, 29, 23, 59, 59}), 951868799);
    assert_int_equal(wst__tls_time(&(mbedtls_x509_time){2000, 3, 1, 0, 0, 0}), 951868800);
    assert_int_equal(wst__tls_time(&(mbedtls_x509_time){1969, 12, 31, 23, 59, 59}), -1);
    assert_true(wst__tls_time(&(mbedtls_x509_time){9999, 12, 31, 23, 59, 59}) ==
                INT64_C(253402300799));
}

static void test_purpose(void **state) {
    (void)state;
    static const struct {
        bool only_clients, only_servers, as_client;
        const char *text;
    } cases[] = {
        {false, false, false, ""},
        {false, false, true, ""},
        {true, false, true, ""},
        {true, false, false, "certificate is not for servers (extendedKeyUsage)"},
        {false, true, false, ""},
        {false, true, true, "certificate is not for clients (extendedKeyUsage)"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tls_made_t made;
        mbedtls_x509_crt crt;
        tls_make(&made,
                 &(tls_spec_t){.subject = "CN=x",
                               .only_clients = cases[i].only_clients,
                               .only_servers = cases[i].only_servers},
                 NULL);
        parse(&crt, &made);
        assert_int_equal(wst__tls_cert_serves(&crt), !cases[i].only_clients);
        wst__tls_found_t found = {.text = ""};
        uint32_t flags = 0;
        wst__tls_judge(&(wst__tls_expect_t){.client = cases[i].as_client}, &found, &crt, 0, &flags);
        assert_string_equal(found.text, cases[i].text);
        assert_int_equal(flags != 0, cases[i].text[0] != '\0');
        assert_int_equal(found.bad, flags != 0);
        mbedtls_x509_crt_free(&crt);
        tls_made_free(&made);
    }
}

/* However many names there are, and however much is wrong, the text fits. */
static void test_long_complaints(void **state) {
    (void)state;
    tls_made_t made;
    mbedtls_x509_crt crt;
    tls_make(&made, &(tls_spec_t){.subject = "CN=x", .names = "dns:a.example"}, NULL);
    parse(&crt, &made);
    mbedtls_x509_sequence many[20];
    static char name[] = "a-very-long-name-of-a-host-somewhere.example";
    for (size_t i = 0; i < 20; i++) {
        many[i].buf =
            (mbedtls_asn1_buf){.p = (uint8_t *)name, .len = sizeof(name) - 1, .tag = 0x82};
        many[i].next = i + 1 < 20 ? &many[i + 1] : NULL;
    }
    mbedtls_x509_sequence *next = crt.subject_alt_names.next;
    crt.subject_alt_names.next = many;
    wst__tls_found_t found = {.text = ""};
    uint32_t flags = 0;
    wst__tls_judge(&(wst__tls_expect_t){.host = "b.example"}, &found, &crt, 0, &flags);
    assert_memory_equal(found.text, "certificate is for other names: a.example, a-very", 49);
    assert_string_equal(found.text + strlen(found.text) - 3, "...");
    flags = UINT32_MAX;
    wst__tls_judge(&(wst__tls_expect_t){.host = "b.example"}, &found, &crt, 3, &flags);
    assert_true(strlen(found.text) < sizeof(found.text));
    crt.subject_alt_names.next = next;
    mbedtls_x509_crt_free(&crt);
    tls_made_free(&made);
}

/* What mbedTLS 2.28 asks about if a server sends a list of certificates that is empty. */
static void test_no_certificate(void **state) {
    (void)state;
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    for (int insecure = 0; insecure < 2; insecure++) {
        wst__tls_found_t found = {.text = ""};
        uint32_t flags = MBEDTLS_X509_BADCERT_NOT_TRUSTED;
        wst__tls_judge(&(wst__tls_expect_t){.host = "a.example", .insecure = insecure != 0}, &found,
                       &crt, 0, &flags);
        assert_true(flags != 0 && found.bad && !found.pinned);
        assert_string_equal(found.text, "the peer has sent no certificate");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_deceptive_subjects),
        cmocka_unit_test(test_deceptive_names),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_purpose),
        cmocka_unit_test(test_long_complaints),
        cmocka_unit_test(test_no_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
