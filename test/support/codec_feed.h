/* SPDX-License-Identifier: MIT */
#ifndef TEST_CODEC_FEED_H
#define TEST_CODEC_FEED_H
/* One WebSocket message through a decoder, in pieces; for the unit tests and the fuzzer (no
 * cmocka). */
#include <wstunnel/codec.h>

/* What came of it. The message's pointers are into the result. */
typedef struct codec_feed_result {
    int status;        /* 1: a message; 0: ignored; else the error */
    wst_message_t m;   /* of a communication that came in pieces, the whole */
    wst_hello_t hello; /* what the message points to */
    size_t pieces;     /* how many there were */
    char string[WST_DEST_MAX];
    char networks[WST_NETWORKS_MAX];
    uint8_t data[WST_FRAME_MAX_LIMIT];
} codec_feed_result_t;

/* A decoder with the system's allocator; aborts if there is none. `max_frame` 0: the default. */
wst_decoder_t *codec_feed_decoder(wst_encoding_t encoding, uint32_t max_frame);

/*
 * Feeds `len` bytes: first the `first` ones, then the others `step` at a time. Every piece lies in
 * a block of its own size on the heap. Aborts on what a decoder never does: saying nothing about an
 * error, forgetting one, mixing messages, pointers that are not into the piece where they must be.
 */
void codec_feed(codec_feed_result_t *result, wst_decoder_t *decoder, wst_encoding_t encoding,
                bool text, const void *bytes, size_t len, size_t first, size_t step);

/* Whether two messages say the same. */
bool codec_feed_same(const wst_message_t *a, const wst_message_t *b);

#endif
