/* SPDX-License-Identifier: MIT */
/* Which addresses of a host have connections, as its answers change. */
#include "address_set.h"
#include "support.h"

#include <stdio.h>

#include <uv.h>

enum { MOST = 40 };

/* The last bytes of IPv4 addresses, ended by 0, as an answer. */
static void take(wst__address_set_t *set, const uint8_t *last) {
    struct sockaddr_storage answer[MOST];
    size_t n = 0;
    memset(answer, 0, sizeof(answer));
    for (; last[n] != 0; n++) {
        char text[32];
        snprintf(text, sizeof(text), "192.0.2.%u", last[n]);
        assert_int_equal(uv_ip4_addr(text, 0, (struct sockaddr_in *)&answer[n]), 0);
    }
    wst__address_set_update(set, answer, n);
}

static void expect(const wst__address_set_t *set, const uint8_t *last) {
    size_t n = 0;
    for (; last[n] != 0; n++) {
        char text[32];
        snprintf(text, sizeof(text), "192.0.2.%u", last[n]);
        assert_true(n < set->count);
        assert_string_equal(set->texts[n], text);
        assert_true(wst__address_set_has(set, text));
    }
    assert_int_equal(set->count, n);
}

static void test_changes(void **state) {
    (void)state;
    wst__address_set_t set = {.count = 0};
    take(&set, (const uint8_t[]){3, 1, 2, 1, 0}); /* once each */
    expect(&set, (const uint8_t[]){3, 1, 2, 0});
    for (int i = 1; i < WST__ADDRESS_MISSES; i++) {
        take(&set, (const uint8_t[]){4, 2, 3, 0});
        expect(&set, (const uint8_t[]){3, 1, 2, 4, 0});
    }
    take(&set, (const uint8_t[]){4, 2, 3, 0});
    expect(&set, (const uint8_t[]){3, 2, 4, 0});
    assert_false(wst__address_set_has(&set, "192.0.2.1"));
}

/* Each answer tells another part. */
static void test_parts(void **state) {
    (void)state;
    wst__address_set_t set = {.count = 0};
    take(&set, (const uint8_t[]){1, 2, 0});
    for (int i = 0; i < 3 * WST__ADDRESS_MISSES; i++) {
        take(&set, (const uint8_t[]){2, 3, 0});
        take(&set, (const uint8_t[]){4, 0});
        take(&set, (const uint8_t[]){1, 2, 0});
        expect(&set, (const uint8_t[]){1, 2, 3, 4, 0});
    }
}

/* What is missed for longest makes room. */
static void test_room(void **state) {
    (void)state;
    wst__address_set_t set = {.count = 0};
    uint8_t most[WST__ADDRESS_SET_MAX + 1] = {0};
    for (uint8_t i = 0; i < WST__ADDRESS_SET_MAX; i++)
        most[i] = (uint8_t)(i + 1);
    take(&set, most);
    most[4] = 5 + 1;
    take(&set, most); /* lacks 5 */
    most[6] = 7 + 1;
    most[0] = 50;
    take(&set, most); /* lacks 1, 5 and 7 */
    assert_int_equal(set.count, WST__ADDRESS_SET_MAX);
    assert_true(wst__address_set_has(&set, "192.0.2.50"));
    assert_false(wst__address_set_has(&set, "192.0.2.5"));
    assert_true(wst__address_set_has(&set, "192.0.2.1"));
    assert_true(wst__address_set_has(&set, "192.0.2.7"));
}

/* Too many: those that have connections keep them, wherever the answer has them. */
static void test_bound(void **state) {
    (void)state;
    wst__address_set_t set = {.count = 0};
    uint8_t all[MOST] = {0}, most[WST__ADDRESS_SET_MAX + 1] = {0};
    for (uint8_t i = 0; i < 30; i++)
        all[i] = (uint8_t)(i + 1);
    memcpy(most, all, WST__ADDRESS_SET_MAX);
    take(&set, all);
    expect(&set, most);
    for (uint8_t i = 0; i < 30; i++)
        all[i] = (uint8_t)(30 - i);
    take(&set, all);
    assert_int_equal(set.count, WST__ADDRESS_SET_MAX);
    for (uint8_t i = 1; i <= WST__ADDRESS_SET_MAX; i++) {
        char text[32];
        snprintf(text, sizeof(text), "192.0.2.%u", i);
        assert_true(wst__address_set_has(&set, text));
    }
}

static void test_families(void **state) {
    (void)state;
    wst__address_set_t set = {.count = 0};
    struct sockaddr_storage answer[4];
    memset(answer, 0, sizeof(answer));
    assert_int_equal(uv_ip6_addr("2001:db8::1", 0, (struct sockaddr_in6 *)&answer[0]), 0);
    assert_int_equal(uv_ip6_addr("fe80::1", 0, (struct sockaddr_in6 *)&answer[1]), 0);
    ((struct sockaddr_in6 *)&answer[1])->sin6_scope_id = 3;
    answer[2].ss_family = AF_UNIX; /* of no use */
    assert_int_equal(uv_ip4_addr("192.0.2.1", 0, (struct sockaddr_in *)&answer[3]), 0);
    wst__address_set_update(&set, answer, 4);
    assert_int_equal(set.count, 3);
    assert_string_equal(set.texts[0], "2001:db8::1");
    assert_string_equal(set.texts[1], "fe80::1%3");
    assert_string_equal(set.texts[2], "192.0.2.1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),  cmocka_unit_test(test_parts),
        cmocka_unit_test(test_room),     cmocka_unit_test(test_bound),
        cmocka_unit_test(test_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
