/* SPDX-License-Identifier: MIT */
/* The field Wstunnel-Session, its proof, and which secrets are valid when. */
#include "support.h"

#include "digest.h"
#include "resume.h"

#include <wstunnel/codec.h>

#define SID   "7f3a09c2010b5c0e6f1d2a9b8c7d6e5f"
#define PROOF "ef80aec395a3065a6d434e8b4b1e723ed20fcee6a5f346953521763cb0c6e79a"

static wst_str_t str(const char *text) {
    return (wst_str_t){text, strlen(text)};
}

static void fill(uint8_t *bytes, size_t len, size_t first) {
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(first + i);
}

/* The vector of PROTOCOL.md. */
static void test_vector(void **state) {
    (void)state;
    wst__resume_field_t field;
    uint8_t sid[WST__SID_LEN], secret[WST__SECRET_LEN];
    char text[WST__RESUME_FIELD_MAX];
    fill(secret, sizeof(secret), 0);
    assert_true(wst__hex_decode(sid, sizeof(sid), str(SID)));
    assert_int_equal(wst__resume_field_prove(&field, sid, secret, 12, 0), 0);
    wst__resume_field_write(text, &field);
    assert_string_equal(text, "resume " SID " 12 " PROOF);
    field = (wst__resume_field_t){.kind = WST__RESUME_NEW};
    wst__resume_field_write(text, &field);
    assert_string_equal(text, "new");
}

static void test_right_fields(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t epoch;
    } cases[] = {{"resume " SID " 0 " PROOF, 0},
                 {"resume " SID " 1 " PROOF, 1},
                 {"resume " SID " 9007199254740991 " PROOF, WST_NUMBER_LIMIT - 1}};
    wst__resume_field_t field;
    assert_true(wst__resume_field_read(&field, str("new")));
    assert_int_equal(field.kind, WST__RESUME_NEW);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char again[WST__RESUME_FIELD_MAX];
        assert_true(wst__resume_field_read(&field, str(cases[i].text)));
        assert_int_equal(field.kind, WST__RESUME_OLD);
        assert_int_equal(field.epoch, cases[i].epoch);
        wst__resume_field_write(again, &field);
        assert_string_equal(again, cases[i].text);
    }
}

static void test_wrong_fields(void **state) {
    (void)state;
    static const char *const cases[] = {"",
                                        "New",
                                        "new ",
                                        " new",
                                        "new new",
                                        "resume",
                                        "resume ",
                                        "resume  ",
                                        "resume   ",
                                        "resume " SID,
                                        "resume " SID " 1",
                                        "resume " SID " 1 ",
                                        "resume " SID " 1  " PROOF,
                                        "resume  " SID " 1 " PROOF,
                                        "Resume " SID " 1 " PROOF,
                                        "resume " SID " 1 " PROOF " ",
                                        "resume " SID " 1 " PROOF "0",
                                        "resume " SID "0 1 " PROOF,
                                        "resume " SID " 01 " PROOF,
                                        "resume " SID "  " PROOF,
                                        "resume " SID " -1 " PROOF,
                                        "resume " SID " +1 " PROOF,
                                        "resume " SID " 9007199254740992 " PROOF,
                                        "resume " SID " 99999999999999999999 " PROOF,
                                        "resume " SID "\t1\t" PROOF,
                                        "resume 7F3A09C2010B5C0E6F1D2A9B8C7D6E5F 1 " PROOF,
                                        "resume 7g3a09c2010b5c0e6f1d2a9b8c7d6e5f 1 " PROOF};
    wst__resume_field_t field;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_false(wst__resume_field_read(&field, str(cases[i])));
    assert_false(wst__resume_field_read(&field, (wst_str_t){NULL, 0}));
}

/* A session and what its agent has heard of it. */
typedef struct rig {
    wst__resume_keys_t keys;
    uint8_t secrets[3][WST__SECRET_LEN];
} rig_t;

static rig_t open_rig(void) {
    rig_t r = {0};
    fill(r.keys.sid, sizeof(r.keys.sid), 7);
    for (size_t i = 0; i < 3; i++)
        fill(r.secrets[i], WST__SECRET_LEN, 100 + 50 * i);
    return r;
}

static bool check(rig_t *r, int secret, uint32_t conn) {
    wst__resume_field_t field;
    assert_int_equal(wst__resume_field_prove(&field, r->keys.sid, r->secrets[secret], 5, conn), 0);
    return wst__resume_check(&r->keys, &field, 0);
}

/* Hellos get lost in a row: the agent knows the first secret only, and is let in with it. */
static void test_lost_hellos(void **state) {
    (void)state;
    rig_t r = open_rig();
    wst__resume_offer(&r.keys, r.secrets[0]);
    wst__resume_confirm(&r.keys);
    for (int i = 0; i < 4; i++) {
        assert_true(check(&r, 0, 0));
        wst__resume_offer(&r.keys, r.secrets[1 + i % 2]);
    }
    assert_true(check(&r, 0, 0));
    assert_false(check(&r, 1, 0)); /* offered once, and replaced by the next offer */
    assert_true(check(&r, 2, 0));
    assert_false(check(&r, 0, 0)); /* the agent has heard a later one */
}

/* The agent has heard a hello and the server does not know yet. */
static void test_offered_secret(void **state) {
    (void)state;
    rig_t r = open_rig();
    assert_false(check(&r, 0, 0));
    wst__resume_offer(&r.keys, r.secrets[0]);
    assert_true(check(&r, 0, 0));
    wst__resume_offer(&r.keys, r.secrets[1]);
    wst__resume_confirm(&r.keys);
    assert_false(check(&r, 0, 0));
    assert_true(check(&r, 1, 0));
    wst__resume_confirm(&r.keys); /* nothing is offered */
    assert_true(check(&r, 1, 0));
    wst__resume_forget(&r.keys);
    assert_false(check(&r, 1, 0));
}

/* Each part of what is proved counts. */
static void test_wrong_proofs(void **state) {
    (void)state;
    rig_t r = open_rig();
    wst__resume_field_t field;
    wst__resume_offer(&r.keys, r.secrets[0]);
    assert_false(check(&r, 1, 0));
    assert_false(check(&r, 0, 1));
    for (size_t bit = 0; bit < 8 * sizeof(field.proof); bit++) {
        assert_int_equal(wst__resume_field_prove(&field, r.keys.sid, r.secrets[0], 5, 0), 0);
        field.proof[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(wst__resume_check(&r.keys, &field, 0));
    }
    assert_int_equal(wst__resume_field_prove(&field, r.keys.sid, r.secrets[0], 5, 0), 0);
    field.epoch++;
    assert_false(wst__resume_check(&r.keys, &field, 0));
    assert_true(r.keys.has_offered); /* none of these has confirmed it */
    field.epoch--;
    assert_true(wst__resume_check(&r.keys, &field, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),         cmocka_unit_test(test_right_fields),
        cmocka_unit_test(test_wrong_fields),   cmocka_unit_test(test_lost_hellos),
        cmocka_unit_test(test_offered_secret), cmocka_unit_test(test_wrong_proofs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
