/* SPDX-License-Identifier: MIT */
#ifndef WST_LIB_OUTGOING_H
#define WST_LIB_OUTGOING_H
/* A message on its way to a carrier. */
#include "pool.h"

#include <wstunnel/codec.h>

/* `head`, then `payload`, whose reference belongs to the taker. */
typedef struct wst__outgoing {
    bool text;
    uint8_t head[WST_BINARY_HEAD_MAX];
    size_t head_len;
    wst_slice_t payload;
} wst__outgoing_t;

/* Encodes a whole message of at most `cap` bytes into the payload. 1; WST_ENOMEM or WST_EINVAL. */
int wst__outgoing_encode(wst__outgoing_t *out, wst__pool_t *pool, const wst_message_t *message,
                         wst_encoding_t encoding, size_t cap);

#endif
