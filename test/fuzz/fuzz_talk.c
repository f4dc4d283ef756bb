/* SPDX-License-Identifier: MIT */
/*
 * A text from a peer that speaks the talk's protocol. What is understood keeps the bounds and comes
 * back the same from what is written of it; what is not has a reason.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wstunnel/error.h>

#include "codec_talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "talk: %s\n", what);
    abort();
}

static bool same(const wst_message_t *a, const wst_message_t *b) {
    return a->method == b->method && a->len == b->len && a->dest.len == b->dest.len &&
           (a->len == 0 || memcmp(a->data, b->data, a->len) == 0) &&
           (a->dest.len == 0 || memcmp(a->dest.ptr, b->dest.ptr, a->dest.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char written[WST__TALK_MESSAGE_MAX];
    char *text = malloc(size); /* of its own size, so that a byte further is noticed */
    check(text != NULL || size == 0, "no memory for the test");
    if (size > 0)
        memcpy(text, data, size);
    wst_message_t m, again;
    const char *why = NULL;
    int status = wst__talk_read(&m, text, size, &why);
    check(status == 0 || (status == WST_EPROTO && why != NULL && why[0] != '\0'), "no reason");
    if (status == 0) {
        check(m.len <= WST__TALK_DATA_MAX && m.dest.len <= WST_DEST_MAX, "out of bounds");
        check((m.len > 0) == (m.method == WST_MSG_COMMUNICATION), "data where there is none");
        check((m.dest.len > 0) == (m.method == WST_MSG_HANDSHAKE), "dest where there is none");
        size_t cap = m.len > 0 ? WST_JSON_DATA_MAX(m.len) : (size_t)WST__TALK_CONTROL_MAX;
        int len = wst__talk_write(&m, written, cap);
        check(len > 0, "read, but not to be written");
        check(wst__talk_read(&again, written, (size_t)len, &why) == 0, "written, but not read");
        check(same(&m, &again), "written differently");
    }
    free(text);
    return 0;
}
