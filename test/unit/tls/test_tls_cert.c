/* SPDX-License-Identifier: MIT */
/* What is read out of certificates, and how they are judged. */
#include "support.h"
#include "tls_cert.h"
#include "tls_certs.h"

#include <time.h>

static void parse(wst__tls_x509_t *crt, uint8_t der[4096], const tls_made_t *made) {
    assert_true(wst__tls_x509_read(crt, der, tls_der(made, der)));
}

/* DER of certificates that nobody would sign ----------------------------------------------------
 */

typedef struct der {
    uint8_t bytes[4096];
    size_t len;
} der_t;

static void der_add(der_t *der, unsigned tag, const void *value, size_t len) {
    assert_true(len < 65536 && der->len + len + 4 <= sizeof(der->bytes));
    der->bytes[der->len++] = (uint8_t)tag;
    if (len >= 256) {
        der->bytes[der->len++] = 0x82;
        der->bytes[der->len++] = (uint8_t)(len >> 8);
    } else if (len >= 128) {
        der->bytes[der->len++] = 0x81;
    }
    der->bytes[der->len++] = (uint8_t)len;
    if (len > 0)
        memcpy(der->bytes + der->len, value, len);
    der->len += len;
}

static void der_put(der_t *der, unsigned tag, const der_t *inner) {
    der_add(der, tag, inner->bytes, inner->len);
}

/* An attribute of a name in a SET of its own. */
static void der_attribute(der_t *name, const char *oid, const void *value, size_t len) {
    der_t pair = {.len = 0}, sequence = {.len = 0};
    der_add(&pair, 6, oid, 3);
    der_add(&pair, 12, value, len);
    der_put(&sequence, 0x30, &pair);
    der_put(name, 0x31, &sequence);
}

static void der_extension(der_t *list, const char *oid, const der_t *content) {
    der_t sequence = {.len = 0}, value = {.len = 0};
    der_put(&value, 0x30, content);
    der_add(&sequence, 6, oid, 3);
    der_put(&sequence, 4, &value);
    der_put(list, 0x30, &sequence);
}

/* What is special about a certificate; NULL: nothing. */
typedef struct der_parts {
    const der_t *subject, *names, *dates;
    const der_t *extensions; /* further ones */
} der_parts_t;

static void der_certificate(der_t *out, const der_parts_t *parts) {
    static const der_t empty = {.len = 0};
    der_t tbs = {.len = 0}, dates = {.len = 0}, list = {.len = 0}, outer = {.len = 0};
    der_add(&tbs, 2, "\1", 1);
    der_put(&tbs, 0x30, &empty);
    der_put(&tbs, 0x30, &empty);
    der_add(&dates, 23, "700101000000Z", 13);
    der_add(&dates, 24, "99991231235959Z", 15);
    der_put(&tbs, 0x30, parts->dates != NULL ? parts->dates : &dates);
    der_put(&tbs, 0x30, parts->subject != NULL ? parts->subject : &empty);
    der_put(&tbs, 0x30, &empty);
    if (parts->names != NULL)
        der_extension(&list, "\x55\x1d\x11", parts->names);
    if (parts->extensions != NULL) {
        memcpy(list.bytes + list.len, parts->extensions->bytes, parts->extensions->len);
        list.len += parts->extensions->len;
    }
    der_put(&outer, 0x30, &list);
    if (list.len > 0)
        der_put(&tbs, 0xa3, &outer);
    der_t whole = {.len = 0};
    der_put(&whole, 0x30, &tbs);
    out->len = 0;
    der_put(out, 0x30, &whole);
}

static const char oid_cn[] = "\x55\x04\x03", oid_other[] = "\x55\x04\x63";

static wst__tls_cert_t *read_made(const der_t *subject, const der_t *names) {
    der_t der;
    wst__tls_x509_t crt;
    der_certificate(&der, &(der_parts_t){.subject = subject, .names = names});
    assert_true(wst__tls_x509_read(&crt, der.bytes, der.len));
    return wst__tls_cert_new(&test_allocator, &crt);
}

/* What they say ---------------------------------------------------------------------------------
 */

static void test_read(void **state) {
    (void)state;
    tls_made_t made;
    uint8_t der[4096];
    wst__tls_x509_t crt;
    tls_make(&made,
             &(tls_spec_t){.subject = "C=DE,O=B\xc3\xbcro,CN=agent 7",
                           .names = "dns:*.a.example ip:192.0.2.1 ip:2001:db8::7 "
                                    "email:me@a.example uri:urn:device:7",
                           .from_days = -2,
                           .to_days = 5},
             NULL);
    parse(&crt, der, &made);
    wst__tls_cert_t *cert = wst__tls_cert_new(&test_allocator, &crt);
    memset(der, 0, sizeof(der)); /* nothing points there */
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
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        der_t subject = {.len = 0};
        der_attribute(&subject, oid_cn, cases[i].value, cases[i].len);
        wst__tls_cert_t *cert = read_made(&subject, NULL);
        assert_string_equal(wst__tls_cert_public(cert)->subject, cases[i].text);
        assert_string_equal(wst__tls_cert_public(cert)->common_name, cases[i].common_name);
        wst__tls_cert_unref(cert);
    }
    /* Too long: the subject is cut, the common name is none. */
    static uint8_t name[600];
    memset(name, 'n', sizeof(name));
    static const size_t lens[] = {256, 600};
    for (size_t i = 0; i < 2; i++) {
        der_t subject = {.len = 0};
        der_attribute(&subject, oid_cn, name, lens[i]);
        wst__tls_cert_t *cert = read_made(&subject, NULL);
        size_t len = strlen(wst__tls_cert_public(cert)->subject);
        assert_true(i == 0 ? len == 259 : len < 512);
        assert_string_equal(wst__tls_cert_public(cert)->common_name, "");
        wst__tls_cert_unref(cert);
    }
    /* The last one counts. A type that nobody knows has no name. */
    der_t subject = {.len = 0};
    der_attribute(&subject, oid_cn, "n", 1);
    der_attribute(&subject, oid_cn, "nn", 2);
    der_attribute(&subject, oid_other, "o", 1);
    wst__tls_cert_t *cert = read_made(&subject, NULL);
    assert_string_equal(wst__tls_cert_public(cert)->subject, "CN=n, CN=nn, ?=o");
    assert_string_equal(wst__tls_cert_public(cert)->common_name, "nn");
    wst__tls_cert_unref(cert);
    assert_int_equal(test_alloc_live(), 0);
}

static void test_deceptive_names(void **state) {
    (void)state;
    static const struct {
        unsigned tag;
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
        der_t names = {.len = 0};
        der_add(&names, cases[i].tag, cases[i].value, cases[i].len);
        wst__tls_cert_t *cert = read_made(NULL, &names);
        const wst_tls_certificate_t *c = wst__tls_cert_public(cert);
        assert_int_equal(c->name_count, cases[i].text != NULL);
        if (cases[i].text != NULL)
            assert_string_equal(c->names[0].text, cases[i].text);
        wst__tls_cert_unref(cert);
    }
}

/* Reads one with these dates; false: it is not taken. */
static bool read_dates(const char *from, const char *to, wst__tls_x509_t *crt) {
    der_t der, dates = {.len = 0};
    der_add(&dates, strlen(from) == 13 ? 23 : 24, from, strlen(from));
    der_add(&dates, strlen(to) == 13 ? 23 : 24, to, strlen(to));
    der_certificate(&der, &(der_parts_t){.dates = &dates});
    return wst__tls_x509_read(crt, der.bytes, der.len);
}

static void test_time(void **state) {
    (void)state;
    wst__tls_x509_t crt;
    assert_true(read_dates("700101000000Z", "20000229235959Z", &crt));
    assert_int_equal(crt.not_before, 0);
    assert_int_equal(crt.not_after, 951868799);
    assert_true(read_dates("691231235959Z", "20000301000000Z", &crt));
    assert_int_equal(crt.not_before, -1);
    assert_int_equal(crt.not_after, 951868800);
    assert_true(read_dates("491231235959Z", "99991231235959Z", &crt));
    assert_true(crt.not_before == INT64_C(2524607999));
    assert_true(crt.not_after == INT64_C(253402300799));
    static const char *const bad[] = {"701301000000Z", "700100000000Z", "700101240000Z",
                                      "700101006000Z", "7001010000000", "70010100000aZ"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(read_dates(bad[i], "20000229235959Z", &crt));
}

/* A certificate that is cut, or longer than it says, or says something twice, is none. */
static void test_malformed(void **state) {
    (void)state;
    der_t der, names = {.len = 0}, again = {.len = 0};
    wst__tls_x509_t crt;
    der_add(&names, 0x82, "a.example", 9);
    der_certificate(&der, &(der_parts_t){.names = &names});
    for (size_t len = 0; len <= der.len + 1; len++)
        assert_int_equal(wst__tls_x509_read(&crt, der.bytes, len), len == der.len);
    der_extension(&again, "\x55\x1d\x11", &names);
    der_certificate(&der, &(der_parts_t){.names = &names, .extensions = &again});
    assert_false(wst__tls_x509_read(&crt, der.bytes, der.len));
}

/* Whatever byte is changed, reading it ends and stays within. */
static void test_changed_bytes(void **state) {
    (void)state;
    tls_made_t made;
    uint8_t der[4096];
    wst__tls_x509_t crt;
    tls_make(&made,
             &(tls_spec_t){.subject = "C=DE,O=x,CN=agent",
                           .names = "dns:a.example ip:192.0.2.1",
                           .only_clients = true},
             NULL);
    size_t len = tls_der(&made, der);
    for (size_t at = 0; at < len; at++)
        for (unsigned change = 1; change < 256; change += 2) {
            uint8_t *copy = malloc(len); /* so that the sanitizer knows where it ends */
            assert_non_null(copy);
            memcpy(copy, der, len);
            copy[at] ^= (uint8_t)change;
            if (wst__tls_x509_read(&crt, copy, len) && change == 0x21) {
                wst__tls_cert_t *cert = wst__tls_cert_new(&test_allocator, &crt);
                assert_non_null(cert);
                wst__tls_cert_unref(cert);
            }
            free(copy);
        }
    tls_made_free(&made);
}

/* What is asked of them -------------------------------------------------------------------------
 */

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
        uint8_t der[4096];
        wst__tls_x509_t crt;
        tls_make(&made,
                 &(tls_spec_t){.subject = "CN=x",
                               .only_clients = cases[i].only_clients,
                               .only_servers = cases[i].only_servers},
                 NULL);
        parse(&crt, der, &made);
        assert_int_equal(crt.for_servers, !cases[i].only_clients);
        wst__tls_found_t found = {.text = ""};
        const wst__tls_expect_t expect = {.client = cases[i].as_client};
        unsigned faults = wst__tls_judge(&expect, &found, &crt, 0, 0, NULL);
        assert_string_equal(found.text, cases[i].text);
        assert_int_equal(faults, cases[i].text[0] != '\0' ? WST__TLS_BAD_PURPOSE : 0);
        assert_int_equal(found.bad, faults != 0);
        tls_made_free(&made);
    }
}

/* However many names there are, and however much is wrong, the text fits. */
static void test_long_complaints(void **state) {
    (void)state;
    static const char name[] = "a-very-long-name-of-a-host-somewhere.example";
    der_t der, names = {.len = 0};
    wst__tls_x509_t crt;
    der_add(&names, 0x82, "a.example", 9);
    for (int i = 0; i < 20; i++)
        der_add(&names, 0x82, name, sizeof(name) - 1);
    der_certificate(&der, &(der_parts_t){.names = &names});
    assert_true(wst__tls_x509_read(&crt, der.bytes, der.len));
    wst__tls_found_t found = {.text = ""};
    const wst__tls_expect_t expect = {.host = "b.example"};
    assert_int_equal(wst__tls_judge(&expect, &found, &crt, 0, 0, NULL), WST__TLS_OTHER_NAME);
    assert_memory_equal(found.text, "certificate is for other names: a.example, a-very", 49);
    assert_string_equal(found.text + strlen(found.text) - 3, "...");
    assert_true(wst__tls_judge(&expect, &found, &crt, 3, UINT32_MAX, NULL) != 0);
    assert_true(strlen(found.text) < sizeof(found.text));
}

static void test_no_certificate(void **state) {
    (void)state;
    for (int insecure = 0; insecure < 2; insecure++) {
        wst__tls_found_t found = {.text = ""};
        const wst__tls_expect_t expect = {.host = "a.example", .insecure = insecure != 0};
        assert_int_equal(wst__tls_judge(&expect, &found, NULL, 0, 0, NULL),
                         WST__TLS_NO_CERTIFICATE);
        assert_true(found.bad && !found.pinned);
        assert_string_equal(found.text, "the peer has sent no certificate");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_deceptive_subjects),
        cmocka_unit_test(test_deceptive_names),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_changed_bytes),
        cmocka_unit_test(test_purpose),
        cmocka_unit_test(test_long_complaints),
        cmocka_unit_test(test_no_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
