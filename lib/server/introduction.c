/* SPDX-License-Identifier: MIT */
/* The message about an agent whose connection is handed back (introduction.h). */
#include "introduction.h"

#include "digest.h"

#include <assert.h>
#include <string.h>
#include <wstunnel/error.h>

/* Writing ------------------------------------------------------------------------------------ */

/* Appends a text of at most `max` bytes, with its end. Returns the length so far. */
static size_t append(char *out, size_t len, const char *text, size_t max) {
    size_t n = strlen(text);
    assert(n <= max);
    memcpy(out + len, text, n + 1);
    return len + n + 1;
}

size_t wst__introduction_write(char out[WST__INTRODUCTION_MAX], const char *peer,
                               const wst__answer_t *answer) {
    static const uint8_t none[WST__CREDENTIAL_LEN];
    char credential[2 * WST__CREDENTIAL_LEN + 1];
    const char *const *labels = answer != NULL ? answer->labels : NULL;
    wst__hex_encode(credential, answer != NULL ? answer->credential : none, sizeof(none));
    size_t len = append(out, 0, peer, WST__PEER_MAX);
    len = append(out, len, answer != NULL ? answer->user : "", WST__USER_MAX);
    len = append(out, len, answer != NULL ? answer->tenant : "", WST__TENANT_MAX);
    len = append(out, len, credential, sizeof(credential) - 1);
    assert(wst__labels_count(labels) <= WST__LABELS_MAX);
    for (; labels != NULL && *labels != NULL; labels++)
        len = append(out, len, *labels, WST__LABEL_MAX);
    return len;
}

/* Reading ------------------------------------------------------------------------------------ */

/* The next text, of at most `max` bytes; NULL: there is none, or it is longer. */
static const char *next_text(const char **at, const char *end, size_t max) {
    const char *text = *at;
    const char *zero = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;
    if (zero == NULL || (size_t)(zero - text) > max)
        return NULL;
    *at = zero + 1;
    return text;
}

/* Lets the members point into the text. Returns whether that is well-formed. */
static bool read_texts(wst__introduction_t *i, size_t len) {
    const char *at = i->text, *end = at + len;
    size_t count = 0;
    i->peer = next_text(&at, end, WST__PEER_MAX);
    i->answer.user = i->peer != NULL ? next_text(&at, end, WST__USER_MAX) : NULL;
    i->answer.tenant = i->answer.user != NULL ? next_text(&at, end, WST__TENANT_MAX) : NULL;
    const char *hex =
        i->answer.tenant != NULL ? next_text(&at, end, 2 * sizeof(i->credential)) : NULL;
    if (hex == NULL ||
        !wst__hex_decode(i->credential, sizeof(i->credential), (wst_str_t){hex, strlen(hex)}))
        return false;
    while (at < end && count < WST__LABELS_MAX) {
        i->labels[count] = next_text(&at, end, WST__LABEL_MAX);
        if (i->labels[count++] == NULL)
            return false;
    }
    return at == end;
}

int wst__introduction_read(wst__introduction_t **out, const wst_allocator_t *allocator,
                           const char *text, size_t len) {
    wst__introduction_t *i = wst__zalloc(allocator, sizeof(*i) + len);
    if (i == NULL)
        return WST_ENOMEM;
    memcpy(i->text, text, len);
    i->answer.kind = WST__ALLOWED;
    i->answer.claimed_user = i->answer.cause = "";
    i->answer.credential = i->credential;
    i->answer.labels = i->labels;
    if (!read_texts(i, len)) {
        wst__free(allocator, i);
        return WST_EPROTO;
    }
    *out = i;
    return 0;
}
