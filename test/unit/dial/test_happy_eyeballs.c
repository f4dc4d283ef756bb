/* SPDX-License-Identifier: MIT */
/* The order of addresses (RFC 8305 section 4) and the choice among errors. */
#include "happy_eyeballs.h"
#include "support.h"

#include <wstunnel/error.h>

enum { MAX = 32 };

/* Addresses as text: '4' or '6' for the family, and a letter that tells them apart. */
static size_t read_text(struct sockaddr_storage *out, const char *text) {
    size_t count = 0;
    for (; text[0] != '\0'; text += text[2] == ' ' ? 3 : 2) {
        struct sockaddr_storage *address = &out[count++];
        memset(address, 0, sizeof(*address));
        if (text[0] == '4') {
            address->ss_family = AF_INET;
            memset(&((struct sockaddr_in *)address)->sin_addr, text[1], 4);
        } else {
            address->ss_family = AF_INET6;
            memset(&((struct sockaddr_in6 *)address)->sin6_addr, text[1], 16);
        }
    }
    return count;
}

static void write_text(char *out, const struct sockaddr_storage *addresses, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct sockaddr_storage *address = &addresses[i];
        if (i > 0)
            *out++ = ' ';
        if (address->ss_family == AF_INET) {
            *out++ = '4';
            memcpy(out++, &((const struct sockaddr_in *)address)->sin_addr, 1);
        } else {
            *out++ = '6';
            memcpy(out++, &((const struct sockaddr_in6 *)address)->sin6_addr, 1);
        }
    }
    *out = '\0';
}

static void test_order(void **state) {
    (void)state;
    static const struct {
        const char *in;
        size_t max;
        const char *out;
    } cases[] = {
        {"", MAX, ""},
        {"4a", MAX, "4a"},
        {"6a 4a", MAX, "6a 4a"},
        {"4a 6a", MAX, "4a 6a"},
        {"6a 6b 6c 4a 4b", MAX, "6a 4a 6b 4b 6c"},
        {"4a 4b 4c 6a", MAX, "4a 6a 4b 4c"},
        {"6a 4a 4b 4c", MAX, "6a 4a 4b 4c"},
        {"4a 4b 6a 4c 6b", MAX, "4a 6a 4b 6b 4c"},
        {"6a 6b", MAX, "6a 6b"},
        /* given twice */
        {"4a 4a", MAX, "4a"},
        {"4a 4a 4b 6a 6a", MAX, "4a 6a 4b"},
        {"6a 4a 6a 4a 6b", MAX, "6a 4a 6b"},
        /* the bound cuts the result, not what it is chosen from */
        {"6a 6b 6c 6d 4a", 2, "6a 4a"},
        {"6a 6b 6c 6d 4a", 3, "6a 4a 6b"},
        {"4a", 0, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct sockaddr_storage in[MAX], *out = malloc(MAX * sizeof(*out));
        char text[3 * MAX + 1];
        size_t count = read_text(in, cases[i].in);
        count = wst__happy_eyeballs_order(out, cases[i].max, in, count);
        write_text(text, out, count);
        assert_string_equal(text, cases[i].out);
        free(out);
    }
}

/* The same link-local address on two links is two addresses. */
static void test_zones_differ(void **state) {
    (void)state;
    struct sockaddr_storage in[2], out[2];
    read_text(in, "6a 6a");
    ((struct sockaddr_in6 *)&in[1])->sin6_scope_id = 2;
    assert_int_equal(wst__happy_eyeballs_order(out, 2, in, 2), 2);
    assert_int_equal(((struct sockaddr_in6 *)&out[1])->sin6_scope_id, 2);
}

/* Whatever comes in: each address once, families alternating while there are both. */
static void test_order_random(void **state) {
    (void)state;
    uint64_t first, count;
    test_seeds(&first, &count, 500);
    for (uint64_t seed = first; seed < first + count; seed++) {
        uint64_t random = seed;
        char text[3 * MAX + 1], *p = text;
        size_t n = test_random(&random) % (MAX + 1), distinct[2] = {0, 0};
        bool seen[2][26] = {{false}};
        for (size_t i = 0; i < n; i++) {
            bool six = test_random(&random) & 1;
            size_t letter = test_random(&random) % 26;
            distinct[six] += !seen[six][letter];
            seen[six][letter] = true;
            *p++ = six ? '6' : '4';
            *p++ = (char)('a' + letter);
            if (i + 1 < n)
                *p++ = ' ';
        }
        *p = '\0';
        struct sockaddr_storage in[MAX], out[MAX];
        assert_int_equal(read_text(in, text), n);
        size_t written = wst__happy_eyeballs_order(out, MAX, in, n);
        char result[3 * MAX + 1];
        write_text(result, out, written);
        size_t both = distinct[0] < distinct[1] ? distinct[0] : distinct[1];
        bool good = written == distinct[0] + distinct[1];
        for (size_t i = 0; good && i < written; i++) {
            size_t letter = (size_t)(result[3 * i + 1] - 'a');
            bool six = result[3 * i] == '6';
            good = seen[six][letter] && (i > 0 || memcmp(result, text, 2) == 0) &&
                   (i == 0 || i >= 2 * both || result[3 * i] != result[3 * i - 3]);
            seen[six][letter] = false;
        }
        if (!good)
            fail_msg("seed %llu: \"%s\" became \"%s\"", (unsigned long long)seed, text, result);
    }
}

static void test_errors(void **state) {
    (void)state;
    assert_int_equal(wst__more_telling(0, UV_ENETUNREACH), UV_ENETUNREACH);
    assert_int_equal(wst__more_telling(UV_ECONNREFUSED, UV_ENETUNREACH), UV_ECONNREFUSED);
    assert_int_equal(wst__more_telling(UV_ENETUNREACH, UV_ECONNREFUSED), UV_ECONNREFUSED);
    assert_int_equal(wst__more_telling(UV_EHOSTUNREACH, UV_ENETUNREACH), UV_EHOSTUNREACH);
    assert_int_equal(wst__more_telling(UV_ETIMEDOUT, UV_ECONNREFUSED), UV_ECONNREFUSED);
    assert_int_equal(wst__more_telling(UV_EMFILE, UV_ECONNREFUSED), UV_EMFILE);
    assert_int_equal(wst__more_telling(UV_ECONNREFUSED, WST_ENOMEM), WST_ENOMEM);
    /* of equals the last */
    assert_int_equal(wst__more_telling(UV_EHOSTUNREACH, UV_ETIMEDOUT), UV_ETIMEDOUT);
    assert_int_equal(wst__more_telling(UV_ETIMEDOUT, UV_EHOSTUNREACH), UV_EHOSTUNREACH);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_zones_differ),
        cmocka_unit_test(test_order_random),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
