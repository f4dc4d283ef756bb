/* SPDX-License-Identifier: MIT */
/*
 * How an agent shows that a session is its own. The input is the value of the field, up to a line's
 * end, and then a byte for each thing that happens to the server's secrets.
 *
 * Checked: a value that is read is written again as it was, a text that differs in case or by a
 * space is refused; a proof made with the secret offered last or with the one confirmed is right,
 * with any other it is not, nor one that a bit was changed in, whatever happened before.
 */
#include "resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SECRETS = 4, NONE = SECRETS, STEPS_MAX = 64 };

static void require(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "fuzz_resume: %s\n", what);
    abort();
}

/* In a block of its own, so that ASan sees a read behind it. */
static void check_field(const uint8_t *data, size_t len) {
    wst__resume_field_t field;
    char again[WST__RESUME_FIELD_MAX], *text = malloc(len + 1);
    require(text != NULL, "no memory");
    if (len > 0)
        memcpy(text, data, len);
    if (wst__resume_field_read(&field, (wst_str_t){text, len})) {
        wst__resume_field_write(again, &field);
        require(strlen(again) == len && memcmp(again, text, len) == 0, "written otherwise");
        text[len] = ' ';
        require(!wst__resume_field_read(&field, (wst_str_t){text, len + 1}), "a space is read");
        text[0] = (char)(text[0] ^ 0x20);
        require(!wst__resume_field_read(&field, (wst_str_t){text, len}), "another case is read");
    }
    free(text);
}

/* What the server should know. */
typedef struct model {
    wst__resume_keys_t keys;
    unsigned confirmed, offered; /* which secret */
} model_t;

static void secret_of(uint8_t out[WST__SECRET_LEN], unsigned which) {
    memset(out, (int)which + 1, WST__SECRET_LEN);
}

static void claim(model_t *m, unsigned which, unsigned bit) {
    uint8_t secret[WST__SECRET_LEN];
    wst__resume_field_t field;
    secret_of(secret, which);
    require(wst__resume_field_prove(&field, m->keys.sid, secret, bit, bit & 1) == 0, "no proof");
    if (bit >= 128) {
        field.proof[bit / 8 % WST__PROOF_LEN] ^= (uint8_t)(1 << bit % 8);
        require(!wst__resume_check(&m->keys, &field, bit & 1), "a changed proof is right");
        return;
    }
    require(!wst__resume_check(&m->keys, &field, 2), "right for another conn");
    bool right = wst__resume_check(&m->keys, &field, bit & 1);
    require(right == (which == m->confirmed || which == m->offered), "judged otherwise");
    if (which == m->offered) {
        m->confirmed = which;
        m->offered = NONE;
    }
}

static void step(model_t *m, uint8_t byte, uint8_t next) {
    uint8_t secret[WST__SECRET_LEN];
    unsigned which = byte / 4 % SECRETS;
    switch (byte % 4) {
    case 0:
        secret_of(secret, which);
        wst__resume_offer(&m->keys, secret);
        m->offered = which;
        break;
    case 1:
        wst__resume_confirm(&m->keys);
        m->confirmed = m->offered != NONE ? m->offered : m->confirmed;
        m->offered = NONE;
        break;
    default:
        claim(m, which, next);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = end != NULL ? (size_t)(end - data) : size;
    model_t m = {.confirmed = NONE, .offered = NONE};
    check_field(data, len);
    for (size_t i = len + 1; i < size && i < len + 1 + STEPS_MAX; i++)
        step(&m, data[i], i + 1 < size ? data[i + 1] : 0);
    return 0;
}
