/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket message from a peer into the codec. It must come out the same whole and in any
 * pieces, leave the decoder ready for the next, and what was understood must survive being written
 * again.
 *
 * Input: a byte of flags (1: JSON encoding, 2: a text, 4: small max_frame), a byte for where to
 * cut, the message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wstunnel/error.h>

#include "codec_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static codec_feed_result_t whole, cut, again;

static void check(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "codec: %s\n", what);
    abort();
}

/* In one message or as an error. What was handed on before an error may differ. */
static void check_same(const codec_feed_result_t *a, const codec_feed_result_t *b) {
    check(a->status == b->status, "pieces change the result");
    check(a->status != 1 || codec_feed_same(&a->m, &b->m), "pieces change the message");
    check(a->status != WST_ENOMEM, "an error that cannot be");
}

static void check_next(wst_decoder_t *decoder, wst_encoding_t encoding) {
    static const char ping[] = "{\"method\":8,\"seq\":5}";
    codec_feed(&again, decoder, encoding, true, ping, sizeof(ping) - 1, 3, 100);
    check(again.status == 1 && again.m.method == WST_MSG_PING && again.m.seq == 5,
          "not ready for the next message");
}

static void check_written(const wst_message_t *m, wst_encoding_t encoding) {
    static uint8_t buf[WST_JSON_DATA_MAX(WST_FRAME_MAX_LIMIT) + WST_FRAME_MAX_LIMIT];
    size_t cap = m->method != WST_MSG_COMMUNICATION ? WST_JSON_CONTROL_MAX
                 : encoding == WST_ENCODING_JSON    ? WST_JSON_DATA_MAX(m->len)
                                                    : WST_BINARY_HEAD_MAX;
    bool text;
    int len = wst_message_encode(m, encoding, buf, cap, &text);
    check(len > 0, "read, but not to be written");
    size_t total = (size_t)len;
    if (!text && m->method == WST_MSG_COMMUNICATION) {
        memcpy(buf + total, m->data, m->len);
        total += m->len;
    }
    wst_decoder_t *decoder = codec_feed_decoder(encoding, WST_FRAME_MAX_LIMIT);
    codec_feed(&again, decoder, encoding, text, buf, total, total / 2, total);
    check(again.status == 1 && codec_feed_same(m, &again.m), "written differently");
    wst_decoder_free(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    wst_encoding_t encoding = (data[0] & 1) != 0 ? WST_ENCODING_JSON : WST_ENCODING_BINARY;
    bool text = (data[0] & 2) != 0;
    uint32_t max_frame = (data[0] & 4) != 0 ? 16 : 0;
    size_t len = size - 2;
    const size_t cuts[][2] = {{1, 1}, {data[1], len + 1}, {data[1] % 16u, 1 + data[1] / 16u}};

    wst_decoder_t *decoder = codec_feed_decoder(encoding, max_frame);
    codec_feed(&whole, decoder, encoding, text, data + 2, len, len, 1);
    if (whole.status >= 0)
        check_next(decoder, encoding);
    wst_decoder_free(decoder);

    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        decoder = codec_feed_decoder(encoding, max_frame);
        codec_feed(&cut, decoder, encoding, text, data + 2, len, cuts[i][0], cuts[i][1]);
        check_same(&whole, &cut);
        if (cut.status >= 0)
            check_next(decoder, encoding);
        wst_decoder_free(decoder);
    }
    if (whole.status == 1) {
        check_written(&whole.m, WST_ENCODING_BINARY);
        check_written(&whole.m, WST_ENCODING_JSON);
    }
    return 0;
}
