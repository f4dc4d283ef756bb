/* SPDX-License-Identifier: MIT */
/*
 * Heads and masking of WebSocket frames. Stateless: ws.c checks the order of frames.
 */
#include "ws_frame.h"

#include <string.h>

enum { LEN_16 = 126, LEN_64 = 127 };

static size_t extended_len(uint8_t second) {
    switch (second & 0x7f) {
    case LEN_16:
        return 2;
    case LEN_64:
        return 8;
    default:
        return 0;
    }
}

size_t wst__frame_head_len(const uint8_t *head) {
    return 2 + extended_len(head[1]) + ((head[1] & 0x80) != 0 ? 4 : 0);
}

static const char *check_head(const wst__frame_t *frame, const uint8_t *head, bool from_client) {
    size_t extended = extended_len(head[1]);
    if ((head[0] & 0x70) != 0) /* section 5.2; no extension is ever negotiated */
        return "reserved bit set";
    if (from_client && !frame->masked) /* section 5.1 */
        return "frame from a client without a mask";
    if (!from_client && frame->masked) /* section 5.1 */
        return "frame from a server with a mask";
    if ((frame->opcode & 7) > 2) /* section 5.2 */
        return "reserved opcode";
    if (wst__frame_is_control(frame) && (!frame->fin || extended > 0)) /* section 5.5 */
        return frame->fin ? "control frame too long" : "fragmented control frame";
    if (frame->opcode == WST__OP_CLOSE && frame->len == 1) /* section 5.5.1 */
        return "close frame with half a code";
    if ((extended == 2 && frame->len < LEN_16) || (extended == 8 && frame->len <= UINT16_MAX))
        return "frame length not in its shortest form"; /* section 5.2 */
    if (frame->len > INT64_MAX)                         /* section 5.2 */
        return "frame length with its top bit set";
    return NULL;
}

const char *wst__frame_parse(wst__frame_t *frame, const uint8_t *head, bool from_client) {
    size_t extended = extended_len(head[1]);
    frame->fin = (head[0] & 0x80) != 0;
    frame->opcode = head[0] & 0x0f;
    frame->masked = (head[1] & 0x80) != 0;
    frame->len = extended == 0 ? head[1] & 0x7f : 0;
    for (size_t i = 0; i < extended; i++)
        frame->len = frame->len << 8 | head[2 + i];
    if (frame->masked)
        memcpy(frame->key, head + 2 + extended, sizeof(frame->key));
    return check_head(frame, head, from_client);
}

size_t wst__frame_write(uint8_t head[WST__FRAME_HEAD_MAX], uint8_t opcode, uint64_t len,
                        const uint8_t *key) {
    uint8_t second = len < LEN_16 ? (uint8_t)len : len <= UINT16_MAX ? LEN_16 : LEN_64;
    size_t extended = extended_len(second), n = 2 + extended;
    head[0] = (uint8_t)(0x80 | opcode);
    head[1] = (uint8_t)(second | (key != NULL ? 0x80 : 0));
    for (size_t i = 0; i < extended; i++)
        head[2 + i] = (uint8_t)(len >> 8 * (extended - 1 - i));
    if (key == NULL)
        return n;
    memcpy(head + n, key, 4);
    return n + 4;
}

void wst__frame_mask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t key[4],
                     uint64_t offset) {
    uint8_t pattern[8];
    for (size_t i = 0; i < sizeof(pattern); i++)
        pattern[i] = key[(offset + i) % 4];
    /* Vectors of the compiler's, as not every one makes them of a loop at -O2. */
    typedef uint64_t __attribute__((vector_size(16), aligned(1), may_alias)) vector_t;
    uint64_t word;
    memcpy(&word, pattern, sizeof(word));
    const vector_t mask = {word, word};
    for (; len >= 4 * sizeof(mask); len -= 4 * sizeof(mask)) {
        const vector_t *source = (const vector_t *)from;
        const vector_t a = source[0] ^ mask, b = source[1] ^ mask, c = source[2] ^ mask,
                       d = source[3] ^ mask;
        vector_t *target = (vector_t *)to; /* may be the source */
        target[0] = a;
        target[1] = b;
        target[2] = c;
        target[3] = d;
        from += 4 * sizeof(mask);
        to += 4 * sizeof(mask);
    }
    for (size_t i = 0; i < len; i++)
        to[i] = from[i] ^ pattern[i % sizeof(pattern)];
}
