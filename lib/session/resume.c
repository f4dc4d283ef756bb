/* SPDX-License-Identifier: MIT */
/* The field, the proof and the server's two secrets (resume.h). */
#include "resume.h"

#include "digest.h"
#include "mem.h"

#include <stdio.h>
#include <string.h>
#include <wstunnel/codec.h>

/* The field ---------------------------------------------------------------------------------- */

/* Takes the text up to the next space, or to the end, out of `rest`. */
static wst_str_t next_word(wst_str_t *rest) {
    const char *space = rest->len > 0 ? memchr(rest->ptr, ' ', rest->len) : NULL;
    size_t len = space != NULL ? (size_t)(space - rest->ptr) : rest->len;
    wst_str_t word = {rest->ptr, len};
    size_t gone = space != NULL ? len + 1 : len;
    *rest = (wst_str_t){rest->ptr + gone, rest->len - gone};
    return word;
}

/* Digits in lower case only, so that there is one way to write a field. */
static bool read_hex(uint8_t *out, size_t len, wst_str_t text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= 'A' && text.ptr[i] <= 'F')
            return false;
    return wst__hex_decode(out, len, text);
}

static bool read_epoch(uint64_t *out, wst_str_t text) {
    *out = 0;
    if (text.len == 0 || text.len > 16 || (text.ptr[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return *out < WST_NUMBER_LIMIT;
}

static bool is_word(wst_str_t word, const char *text) {
    return word.len == strlen(text) && memcmp(word.ptr, text, word.len) == 0;
}

bool wst__resume_field_read(wst__resume_field_t *out, wst_str_t value) {
    *out = (wst__resume_field_t){.kind = WST__RESUME_NEW};
    if (value.len == 0)
        return false;
    if (is_word(value, "new"))
        return true;
    wst_str_t rest = value, verb = next_word(&rest), sid = next_word(&rest),
              epoch = next_word(&rest);
    out->kind = WST__RESUME_OLD;
    return is_word(verb, "resume") && read_hex(out->sid, sizeof(out->sid), sid) &&
           read_epoch(&out->epoch, epoch) && read_hex(out->proof, sizeof(out->proof), rest);
}

void wst__resume_field_write(char out[WST__RESUME_FIELD_MAX], const wst__resume_field_t *field) {
    char sid[2 * WST__SID_LEN + 1], proof[2 * WST__PROOF_LEN + 1];
    if (field->kind != WST__RESUME_OLD) {
        snprintf(out, WST__RESUME_FIELD_MAX, "new");
        return;
    }
    wst__hex_encode(sid, field->sid, sizeof(field->sid));
    wst__hex_encode(proof, field->proof, sizeof(field->proof));
    snprintf(out, WST__RESUME_FIELD_MAX, "resume %s %llu %s", sid, (unsigned long long)field->epoch,
             proof);
}

/* The proof ---------------------------------------------------------------------------------- */

static size_t put_big_endian(uint8_t *out, uint64_t value, size_t len) {
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(value >> 8 * (len - 1 - i));
    return len;
}

static int prove(uint8_t proof[WST__PROOF_LEN], const uint8_t secret[WST__SECRET_LEN],
                 const uint8_t sid[WST__SID_LEN], uint64_t epoch, uint32_t conn) {
    static const char label[] = "wstunnel resume 1"; /* with its terminator */
    uint8_t text[sizeof(label) + WST__SID_LEN + 8 + 4];
    size_t len = sizeof(label);
    memcpy(text, label, sizeof(label));
    memcpy(text + len, sid, WST__SID_LEN);
    len += WST__SID_LEN;
    len += put_big_endian(text + len, epoch, 8);
    len += put_big_endian(text + len, conn, 4);
    return wst__hmac(proof, secret, WST__SECRET_LEN, text, len);
}

int wst__resume_field_prove(wst__resume_field_t *out, const uint8_t sid[WST__SID_LEN],
                            const uint8_t secret[WST__SECRET_LEN], uint64_t epoch, uint32_t conn) {
    *out = (wst__resume_field_t){.kind = WST__RESUME_OLD, .epoch = epoch};
    memcpy(out->sid, sid, WST__SID_LEN);
    return prove(out->proof, secret, sid, epoch, conn);
}

/* The secrets -------------------------------------------------------------------------------- */

void wst__resume_offer(wst__resume_keys_t *keys, const uint8_t secret[WST__SECRET_LEN]) {
    memcpy(keys->offered, secret, WST__SECRET_LEN);
    keys->has_offered = true;
}

void wst__resume_confirm(wst__resume_keys_t *keys) {
    if (!keys->has_offered)
        return;
    memcpy(keys->confirmed, keys->offered, WST__SECRET_LEN);
    wst__wipe(keys->offered, WST__SECRET_LEN);
    keys->has_confirmed = true;
    keys->has_offered = false;
}

/* Computes the proof even if there is no such secret, so that the time tells nothing. */
static bool is_proved_by(const uint8_t secret[WST__SECRET_LEN], bool valid,
                         const wst__resume_keys_t *keys, const wst__resume_field_t *field,
                         uint32_t conn) {
    uint8_t proof[WST__PROOF_LEN];
    int status = prove(proof, secret, keys->sid, field->epoch, conn);
    bool equal = wst__equal_constant_time(proof, sizeof(proof), field->proof, sizeof(proof));
    wst__wipe(proof, sizeof(proof));
    return status == 0 && valid && equal;
}

bool wst__resume_check(wst__resume_keys_t *keys, const wst__resume_field_t *field, uint32_t conn) {
    bool by_confirmed = is_proved_by(keys->confirmed, keys->has_confirmed, keys, field, conn);
    bool by_offered = is_proved_by(keys->offered, keys->has_offered, keys, field, conn);
    if (by_offered)
        wst__resume_confirm(keys);
    return by_confirmed || by_offered;
}

void wst__resume_forget(wst__resume_keys_t *keys) {
    wst__wipe(keys->confirmed, sizeof(keys->confirmed));
    wst__wipe(keys->offered, sizeof(keys->offered));
    keys->has_confirmed = keys->has_offered = false;
}
