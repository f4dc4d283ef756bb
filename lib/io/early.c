/* SPDX-License-Identifier: MIT */
/* Bytes that a client sends before its destination is connected (early.h). */
#include "early.h"

#include <string.h>
#include <wstunnel/error.h>

/* Reads on if there is room, else stops; puts back the part of `data` behind its first `used`
 * bytes. */
static int read_on(const wst__early_t *early, wst_stream_t *stream, wst_slice_t data, size_t used) {
    size_t room = WST__EARLY_MAX - early->kept.len;
    if (room > 0)
        wst_stream_read_start(stream, room);
    else
        wst_stream_read_stop(stream);
    if (used == data.len)
        return 0;
    const wst_slice_t excess = {data.chunk, data.data + used, data.len - used};
    return wst_stream_unread(stream, wst_slice_ref(excess));
}

int wst__early_keep(wst__early_t *early, wst_stream_t *stream, wst_slice_t data) {
    wst_slice_t *kept = &early->kept;
    if (kept->chunk == NULL) {
        kept->chunk = wst_chunk_new(wst_stream_ctx(stream), WST__EARLY_MAX);
        if (kept->chunk == NULL)
            return WST_ENOMEM;
        kept->data = wst_chunk_data(kept->chunk);
    }
    size_t room = WST__EARLY_MAX - kept->len, used = data.len < room ? data.len : room;
    memcpy(wst_chunk_data(kept->chunk) + kept->len, data.data, used);
    kept->len += used;
    return read_on(early, stream, data, used);
}

void wst__early_consume(wst__early_t *early, size_t len) {
    uint8_t *bytes = wst_chunk_data(early->kept.chunk);
    early->kept.len -= len;
    if (early->kept.len == 0)
        wst__early_free(early);
    else
        memmove(bytes, bytes + len, early->kept.len);
}

int wst__early_put_back(wst__early_t *early, wst_stream_t *stream) {
    /* Even if there are none: an end is told again. */
    int status = wst_stream_unread(stream, wst_slice_ref(early->kept));
    if (status == 0)
        wst__early_free(early); /* not put back twice if the rest fails */
    return status;
}

void wst__early_free(wst__early_t *early) {
    wst_slice_unref(early->kept);
    early->kept = (wst_slice_t){0};
}
