/* SPDX-License-Identifier: MIT */
#include "outgoing.h"

#include "codec.h"

#include <wstunnel/error.h>

int wst__outgoing_encode(wst__outgoing_t *out, wst__pool_t *pool, const wst_message_t *message,
                         wst_encoding_t encoding, size_t cap) {
    wst_chunk_t *chunk = wst__pool_chunk(pool, cap);
    if (chunk == NULL)
        return WST_ENOMEM;
    int len = wst__message_encode(message, encoding, wst_chunk_data(chunk),
                                  wst_chunk_capacity(chunk), &out->text);
    if (len < 0) {
        wst_chunk_unref(chunk);
        return len;
    }
    out->head_len = 0;
    out->payload = (wst_slice_t){chunk, wst_chunk_data(chunk), (size_t)len};
    return 1;
}
