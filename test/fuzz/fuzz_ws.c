/* SPDX-License-Identifier: MIT */
/*
 * A WebSocket fed with anything: the result must not depend on how the bytes are split, and must be
 * what wslay makes of them. Input: a byte that is odd for a server, a byte that chooses the splits
 * and the largest message, then what the peer sends.
 */
#include "ws_compare.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size - 2 > WS_COMPARE_MAX)
        return 0;
    size_t max_message = (data[1] & 1) != 0 ? 200 : 1024 * 1024;
    const char *difference =
        ws_compare((data[0] & 1) != 0, max_message, data + 2, size - 2, data[1]);
    if (difference != NULL) {
        fprintf(stderr, "%s\n", difference);
        abort();
    }
    return 0;
}
