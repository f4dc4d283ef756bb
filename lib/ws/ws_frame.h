/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_WS_FRAME_H
#define WST_LIB_WS_FRAME_H
/* WebSocket frames on the wire: their heads (RFC 6455 section 5.2) and their masking (5.3). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WST__FRAME_HEAD_MAX = 14, WST__FRAME_CONTROL_MAX = 125 };

/* Opcodes; those with bit 3 set are control frames. */
enum {
    WST__OP_CONTINUATION = 0,
    WST__OP_TEXT = 1,
    WST__OP_BINARY = 2,
    WST__OP_CLOSE = 8,
    WST__OP_PING = 9,
    WST__OP_PONG = 10
};

typedef struct wst__frame {
    uint8_t opcode;
    bool fin, masked;
    uint8_t key[4];
    uint64_t len; /* of the payload */
} wst__frame_t;

static inline bool wst__frame_is_control(const wst__frame_t *frame) {
    return (frame->opcode & 8) != 0;
}

/* The length of the head that starts with these two bytes. */
size_t wst__frame_head_len(const uint8_t *head);

/*
 * Parses a complete head. NULL, or a static text for people if no frame may have such a head, in
 * whatever order frames come.
 */
const char *wst__frame_parse(wst__frame_t *frame, const uint8_t *head, bool from_client);

/* Writes the head of an unfragmented frame, with `key` if it is not NULL. Returns its length. */
size_t wst__frame_write(uint8_t head[WST__FRAME_HEAD_MAX], uint8_t opcode, uint64_t len,
                        const uint8_t *key);

/*
 * Masks, or unmasks, `len` bytes that start `offset` bytes into the payload. `to` is `from` or does
 * not overlap it.
 */
void wst__frame_mask(uint8_t *to, const uint8_t *from, size_t len, const uint8_t key[4],
                     uint64_t offset);

#endif
