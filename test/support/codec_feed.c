/* SPDX-License-Identifier: MIT */
#include "codec_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "decoder: %s\n", what);
    abort();
}

wst_decoder_t *codec_feed_decoder(wst_encoding_t encoding, uint32_t max_frame) {
    wst_decoder_t *decoder = NULL;
    const wst_decoder_options_t options = {sizeof(options), encoding, NULL, max_frame};
    check(wst_decoder_new(&decoder, &options) == 0, "no decoder");
    return decoder;
}

static bool same_str(wst_str_t a, wst_str_t b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool same_hello(const wst_hello_t *a, const wst_hello_t *b) {
    return a->version == b->version && a->max_frame == b->max_frame &&
           a->initial_credit == b->initial_credit && a->max_streams == b->max_streams &&
           a->yields == b->yields && a->early == b->early && same_str(a->name, b->name) &&
           a->has_instance == b->has_instance &&
           memcmp(a->instance, b->instance, sizeof(a->instance)) == 0 && a->conn == b->conn &&
           a->epoch == b->epoch && a->networks == b->networks && a->resumes == b->resumes &&
           a->has_session == b->has_session &&
           memcmp(a->session, b->session, sizeof(a->session)) == 0 &&
           memcmp(a->secret, b->secret, sizeof(a->secret)) == 0 && a->grace_ms == b->grace_ms &&
           a->resumed == b->resumed;
}

bool codec_feed_same(const wst_message_t *a, const wst_message_t *b) {
    return a->method == b->method && a->id == b->id && same_str(a->dest, b->dest) &&
           same_str(a->networks, b->networks) && a->error == b->error &&
           same_str(a->error_text, b->error_text) && same_str(a->address, b->address) &&
           a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0) &&
           a->received == b->received && a->credit == b->credit && a->offset == b->offset &&
           a->seq == b->seq && a->last == b->last &&
           (a->method != WST_MSG_HELLO || same_hello(a->hello, b->hello));
}

/* Moves a string into the result; a message has at most one, besides networks. */
static void move(wst_str_t *str, char *to, size_t size) {
    if (str->len == 0)
        return;
    check(str->len <= size, "string too long");
    memcpy(to, str->ptr, str->len);
    str->ptr = to;
}

static void keep(codec_feed_result_t *result, wst_str_t *str) {
    move(str, result->string, sizeof(result->string));
}

static void take(codec_feed_result_t *result, const wst_message_t *m) {
    if (result->status == 0)
        result->m = *m;
    else
        check(m->method == WST_MSG_COMMUNICATION && m->id == result->m.id, "messages mixed");
    keep(result, &result->m.dest);
    move(&result->m.networks, result->networks, sizeof(result->networks));
    keep(result, &result->m.error_text);
    keep(result, &result->m.address);
    if (m->hello != NULL) {
        result->hello = *m->hello;
        result->m.hello = &result->hello;
        keep(result, &result->hello.name);
    }
    size_t before = result->status == 0 ? 0 : result->m.len;
    if (m->len > 0) {
        check(m->len <= sizeof(result->data) - before, "too much data");
        memcpy(result->data + before, m->data, m->len);
        result->m.data = result->data;
        result->m.len = before + m->len;
    }
    result->status = 1;
    result->pieces++;
}

void codec_feed(codec_feed_result_t *result, wst_decoder_t *decoder, wst_encoding_t encoding,
                bool text, const void *bytes, size_t len, size_t first, size_t step) {
    result->status = 0;
    result->pieces = 0;
    memset(&result->m, 0, sizeof(result->m));
    for (size_t at = 0, n = first;; at += n, n = step) {
        n = n < len - at ? n : len - at;
        bool fin = at + n == len;
        uint8_t *piece = malloc(n);
        check(piece != NULL || n == 0, "no memory for the test");
        if (n > 0)
            memcpy(piece, (const uint8_t *)bytes + at, n);
        wst_message_t m = {.size = sizeof(m)};
        int status = wst_decoder_push(decoder, text, piece, n, fin, &m);
        if (status == 1) {
            bool borrowed =
                !text && encoding == WST_ENCODING_BINARY && m.method == WST_MSG_COMMUNICATION;
            check(!borrowed || (m.data > piece && m.data + m.len == piece + n) ||
                      (m.data == piece && m.len == n),
                  "data is not the rest of the piece");
            check(borrowed || fin, "message before its end");
            take(result, &m);
        }
        free(piece);
        if (status < 0) {
            result->status = status;
            check(wst_decoder_error_detail(decoder)[0] != '\0', "error without a detail");
            check(wst_decoder_push(decoder, true, (const uint8_t *)"{}", 2, true, &m) == status,
                  "error forgotten");
            return;
        }
        check(status <= 1 && wst_decoder_error_detail(decoder)[0] == '\0', "detail without error");
        if (fin)
            return;
    }
}
