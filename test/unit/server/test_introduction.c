/* SPDX-License-Identifier: MIT */
/* What a server tells its predecessor about an agent. */
#include "introduction.h"
#include "support.h"

#include <wstunnel/error.h>

static wst__introduction_t *read_back(const char *text, size_t len) {
    wst__introduction_t *i;
    assert_int_equal(wst__introduction_read(&i, &test_allocator, text, len), 0);
    return i;
}

static void test_whole(void **state) {
    (void)state;
    char message[WST__INTRODUCTION_MAX];
    uint8_t credential[WST__CREDENTIAL_LEN];
    static const char *const labels[] = {"eu", "fast", NULL};
    memset(credential, 0xa5, sizeof(credential));
    const wst__answer_t answer = {.kind = WST__ALLOWED,
                                  .user = "berlin*",
                                  .tenant = "acme",
                                  .credential = credential,
                                  .labels = labels};
    size_t len = wst__introduction_write(message, "192.0.2.7:4711", &answer);
    wst__introduction_t *i = read_back(message, len);
    memset(message, 0, sizeof(message));
    assert_string_equal(i->peer, "192.0.2.7:4711");
    assert_int_equal(i->answer.kind, WST__ALLOWED);
    assert_string_equal(i->answer.user, "berlin*");
    assert_string_equal(i->answer.tenant, "acme");
    assert_memory_equal(i->answer.credential, credential, sizeof(credential));
    assert_string_equal(i->answer.labels[0], "eu");
    assert_string_equal(i->answer.labels[1], "fast");
    assert_null(i->answer.labels[2]);
    assert_string_equal(i->answer.claimed_user, "");
    assert_string_equal(i->answer.cause, "");
    wst__free(&test_allocator, i);
}

static void test_nobody_asked(void **state) {
    (void)state;
    char message[WST__INTRODUCTION_MAX];
    static const uint8_t none[WST__CREDENTIAL_LEN];
    wst__introduction_t *i = read_back(message, wst__introduction_write(message, "unix:", NULL));
    assert_string_equal(i->peer, "unix:");
    assert_string_equal(i->answer.user, "");
    assert_string_equal(i->answer.tenant, "");
    assert_memory_equal(i->answer.credential, none, sizeof(none));
    assert_null(i->answer.labels[0]);
    wst__free(&test_allocator, i);
}

/* The longest of all fit, to the byte. */
static void test_longest(void **state) {
    (void)state;
    static char message[WST__INTRODUCTION_MAX], texts[WST__LABELS_MAX][WST__LABEL_MAX + 1];
    static const uint8_t credential[WST__CREDENTIAL_LEN];
    const char *labels[WST__LABELS_MAX + 1] = {NULL};
    for (size_t n = 0; n < WST__LABELS_MAX; n++)
        labels[n] = memset(texts[n], 'a' + (int)n % 26, WST__LABEL_MAX);
    const wst__answer_t answer = {
        .user = texts[0], .tenant = texts[1], .credential = credential, .labels = labels};
    char peer[WST__PEER_MAX + 1] = "";
    memset(peer, 'p', WST__PEER_MAX);
    size_t len = wst__introduction_write(message, peer, &answer);
    assert_int_equal(len, sizeof(message));
    wst__introduction_t *i = read_back(message, len);
    assert_int_equal(wst__labels_count(i->answer.labels), WST__LABELS_MAX);
    wst__free(&test_allocator, i);
}

#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Where the message is cut, or one of its texts is too long, nothing is taken of it. */
static void test_malformed(void **state) {
    (void)state;
    static const char good[] = "unix:\0one\0tenant\0" HEX "\0label"; /* and the last zero */
    static char many[WST__INTRODUCTION_MAX + 2];
    wst__introduction_t *i = read_back(good, sizeof(good));
    wst__free(&test_allocator, i);
    for (size_t len = 0; len < sizeof(good); len++) {
        bool whole = good[len - (len > 0)] == '\0' && len > sizeof("unix:\0one\0tenant\0" HEX) - 1;
        int status = wst__introduction_read(&i, &test_allocator, good, len);
        assert_int_equal(status, whole ? 0 : WST_EPROTO);
        if (status == 0)
            wst__free(&test_allocator, i);
    }
    static const char wrong[] = "unix:\0one\0tenant\0" HEX "0\0", shorter[] = "u\0o\0t\0"
                                                                              "00\0";
    assert_int_equal(wst__introduction_read(&i, &test_allocator, wrong, sizeof(wrong) - 1),
                     WST_EPROTO);
    assert_int_equal(wst__introduction_read(&i, &test_allocator, shorter, sizeof(shorter) - 1),
                     WST_EPROTO);
    memset(many, 'x', WST__PEER_MAX + 1); /* and all other texts are empty */
    assert_int_equal(wst__introduction_read(&i, &test_allocator, many, sizeof(many)), WST_EPROTO);
    memset(many, 0, sizeof(many)); /* too many labels, if they are empty */
    memcpy(many + 3, HEX, sizeof(HEX));
    assert_int_equal(wst__introduction_read(&i, &test_allocator, many, sizeof(many)), WST_EPROTO);
}

static void test_no_memory(void **state) {
    (void)state;
    wst__introduction_t *i;
    test_alloc_fail(1);
    assert_int_equal(wst__introduction_read(&i, &test_allocator, "", 0), WST_ENOMEM);
    test_alloc_fail(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),     cmocka_unit_test(test_nobody_asked),
        cmocka_unit_test(test_longest),   cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
